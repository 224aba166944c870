"""training.md: results of the experiments of `dynprop.training`, from docs/evidence/training.json."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

__all__ = ["training_page"]

Table = Callable[[Sequence[str], Iterable[Sequence[object]]], str]
Data = Mapping[str, Any]


def _share(successes: int, trials: int, interval: Sequence[float]) -> str:
    return f"{successes}/{trials} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _curves(curves: Sequence[Data], table: Table, first: str) -> str:
    lengths = sorted({rate["length"] for curve in curves for rate in curve["rates"]})
    rows = []
    for length in lengths:
        row: list[object] = [length]
        for curve in curves:
            rates = [r for r in curve["rates"] if r["length"] == length]
            row.append(
                _share(rates[0]["successes"], rates[0]["trials"], rates[0]["interval"]) if rates else ""
            )
        rows.append(row)
    return table([first, *(curve["name"] for curve in curves)], rows) + "\n"


def _thresholds(curves: Sequence[Data]) -> str:
    return "; ".join(f"{curve['name']}: {curve['threshold']}" for curve in curves) + ".\n"


def _stuck(curves: Sequence[Data]) -> str:
    rates = [rate for curve in curves for rate in curve["rates"]]
    failed = sum(rate["trials"] - rate["successes"] for rate in rates)
    counts = [sum(rate[name] for rate in rates) for name in ("at_chance", "vanishings", "explosions")]
    return (
        f"Of {failed:,} failures {counts[0]:,} end at the level of chance; {counts[1]:,} are attributed to "
        f"vanishing, {counts[2]:,} to explosion.\n"
    )


def _one_unit(data: Data, table: Table) -> list[str]:
    curves = data["curves"]
    return [
        "## E1: Bengio's latch of one unit\n",
        "x(t) = tanh(w x(t−1) + input(t)): three trained inputs per class, then Gaussian noise; the state "
        "at the "
        "end is to be ±0.8. Plain SGD, rate 0.1, batch 20, at most 1,500 updates; success is at least 99 % "
        "of 200 "
        "fresh sequences on the right side.\n",
        _curves(curves, table, "T"),
        _thresholds(curves),
        _stuck(curves),
    ]


def _digits(number: float) -> str:
    """Return two significant digits, written out."""
    return f"{float(f'{number:.2g}'):,.10g}"


def _net(data: Data, table: Table) -> list[str]:
    curves = data["curves"]
    rows = []
    for time in data["times"]:
        if time["init"] not in ("small", "default"):
            continue
        median = "more than 1,500" if time["median"] is None else f"{time['median']:.0f}"
        ends = ("?" if time[side] is None else f"{time[side]:.0f}" for side in ("low", "high"))
        if time["median"] is not None:
            median += f" ({' to '.join(ends)})"
        signal = time["signal_to_noise_updates"]
        signal_text = (
            f"more than {_digits(time['signal_to_noise_least'])}" if signal is None else _digits(signal)
        )
        solved = f"{time['successes']}/{time['trials']}"
        rows.append((time["init"], time["length"], solved, median, signal_text))
    return [
        "## E2: the latch with a tanh net, and the positive control\n",
        "8 tanh units, the first input ±1, then noise of standard deviation 0.2, a logistic read-out at T. "
        "SGD, "
        "rate 0.1, clipped at norm 1, batch 16, at most 1,500 updates; success is at least 95 % of 400 fresh "
        "sequences. Initial weights: *small* N(0, 0.1²), which contracts; *default* torch's U(±1/√8); "
        "*orthogonal* and *identity* are the positive control: the same net, task and optimiser.\n",
        _curves(curves, table, "T"),
        _thresholds(curves),
        _stuck(curves),
        "So C7 is a statement about initialisations that contract, and not about tanh nets as such.\n",
        "### Time to learn (C6)\n",
        "Median updates until success by Kaplan and Meier, runs without success censored at 1,500, with 95 % "
        "interval; beside it the prediction of theory before training: tr Σ/‖μ‖², the updates in which "
        "the signal of the first input can be distinguished from the fluctuation of the gradient, at "
        "initialisation (median of 8 models; a signal below three standard errors of 32,768 batches gives a "
        "lower bound only). Both grow with the length, and a signal that exceeds its fluctuation within "
        "some tens of updates is learnt by every run. The prediction is for the initial weights, and correct "
        "to an order of magnitude only: the signal grows as the weights move, so that *small* at 4 and "
        "*default* at 8 and 10 learn several times sooner than predicted.\n",
        table(("init", "T", "successes", "updates until success", "updates until the signal shows"), rows)
        + "\n",
    ]


def _order(data: Data, table: Table) -> list[str]:
    return [
        "## E3: temporal order\n",
        "Task `temporal-order-pascanu`, 16 tanh units, SGD, rate 0.1, clipped at norm 1, batch 20, at most "
        "3,000 "
        "updates; success is at most 1 % of 10,000 fresh sequences wrong.\n",
        _curves(data["curves"], table, "T"),
        _stuck(data["curves"]),
    ]


def _lag(data: Data, table: Table) -> list[str]:
    rows = [
        (
            row["gain"],
            row["nets"],
            f"{row['slope']:.3f} ± {row['error']:.3f}",
            f"{row['mean_field']:.3f}",
            f"{row['log_radius']:+.3f}",
            f"{row['largest']:.3f}",
        )
        for row in data["rows"]
    ]
    head = (
        "gain g",
        "nets",
        "slope per lag ± standard error",
        "mean field ½ ln χ",
        "mean ln ρ(W)",
        "largest slope",
    )
    return [
        "## E4: gradient by lag at initialisation\n",
        "tanh nets of 64 units, W ~ N(0, g²/64), inputs of standard deviation 0.5, 60 steps: the slope of "
        "ln ‖∂h(T)/∂h(T−k)‖₂ over k. Nothing is trained. The spectral radius is not the predictor once units "
        "saturate: at g = 1 it is near 1, and the gradient still vanishes.\n",
        table(head, rows) + "\n",
    ]


def _walks(data: Data, table: Table) -> list[str]:
    def pair(values: Sequence[float] | None) -> str:
        return "" if values is None else f"{values[0]:+.3f}, {values[1]:.3f}"

    rows = [
        (
            row["name"],
            f"{row['gain']:.4f}",
            pair(row["forward"]),
            pair(row["backward"]),
            pair(row.get("theory")),
        )
        for row in data["rows"]
    ]
    head = ("net", "gain", "forward: mean, sd", "backward: mean, sd", "theory: mean, sd")
    return [
        "## E5: the walk of the log norm\n",
        f"{data['rows'][0]['nets']} nets of {data['width']} units and {data['depth']} layers: ln of the "
        "norm at the end over that at the start, of the signal forward and of the gradient backward. Fresh "
        "weights stay near 0 at the exact gain, with a spread of the order of √(depth/(2·width)); one shared "
        "matrix at the same gain spreads in proportion to the depth (claim C5). ReLU nets whose signal is "
        "exactly zero at the end are left out.\n",
        table(head, rows) + "\n",
    ]


def _explosion(data: Data, table: Table) -> list[str]:
    initial = [
        (
            row["cell"],
            row["init"],
            _share(row["vanished"], row["nets"], row["vanished_interval"]),
            _share(row["exploded"], row["nets"], row["exploded_interval"]),
            f"{row['median']:.1f}",
        )
        for row in data["initial"]
    ]
    rows = [
        (
            curve["name"],
            rate["length"],
            _share(rate["successes"], rate["trials"], rate["interval"]),
            rate["explosions"],
            rate["vanishings"],
        )
        for curve in data["curves"]
        for rate in curve["rates"]
    ]
    return [
        "## C0: mostly vanishing, rarely exploding, and the effect of explosion\n",
        f"Freshly drawn nets of 20 units on the adding problem: how often ‖∂s(T)/∂s(T−k)‖₂ at lag "
        f"{data['length']} is below 1/100, or above 100.\n",
        table(("cell", "init", "vanished", "exploded", "median ln ‖·‖"), initial) + "\n",
        "Effect of explosion on SGD: a ReLU net from the identity (IRNN), 20 units, rate 0.1, at most 1,000 "
        "updates, on `adding-urnn`. A failure is an explosion if a number became NaN, or a gradient norm "
        "reached 100.\n",
        table(("clipping", "T", "successes", "explosions", "vanishings"), rows) + "\n",
    ]


def _table_2(data: Data, table: Table) -> list[str]:
    return [
        "## The pattern of Hochreiter and Schmidhuber, table 2\n",
        "They report that gradient descent through time fails at a delay of 10 where an LSTM still learns "
        "at 100. "
        "On the small scale: the latch, 8 units, plain SGD at rate 0.5, clipped at norm 1, at most 1,500 "
        "updates.\n",
        _curves(data["curves"], table, "T"),
    ]


def _adam(data: Data, table: Table) -> list[str]:
    return [
        "## The optimiser matters, too\n",
        "The contracting net of E2 again, *small*, at most 1,500 updates. Adam divides each step by the size "
        "of its gradient, however small: C7 is a statement about SGD.\n",
        _curves(data["curves"], table, "T"),
    ]


PARTS: dict[str, Callable[[Data, Table], list[str]]] = {
    "E1": _one_unit,
    "E2": _net,
    "E3": _order,
    "E4": _lag,
    "E5": _walks,
    "C0": _explosion,
    "LSTM": _table_2,
    "ADAM": _adam,
}


def training_page(data: Data, table: Table, note: str, recorded: str) -> str:
    """Return training.md.

    Args:
        data: the record.
        table: (head, rows) -> a Markdown table.
        note: the remark that the page is generated.
        recorded: date and versions of the run.
    """
    experiments = data["experiments"]
    seconds = sum(part["seconds"] for part in experiments.values())
    text = [
        f"# Does SGD succeed\n\n{note}\n",
        "`dynprop train` measures how probable it is that training succeeds, against the length of the "
        "sequences "
        "([tutorial](tutorial.md#does-training-succeed), [options](reference.md#dynprop-train)). This page "
        "holds "
        "the experiments behind claims C0 and C5 to C7 of the [theory map](theory.md). `make experiments` "
        "records "
        "them again, each by one command: `python -m dynprop.evidence.record.experiments E2`.\n",
        f"{recorded}Successes over runs, with the 95 % interval of Clopper and Pearson: the numbers of "
        f"seeds were "
        "fixed beforehand. Training stops at the first judgement on fresh sequences that meets the "
        "criterion. "
        f"Together {seconds / 60:.0f} minutes of one core of a shared machine.\n",
    ]
    for name, part in PARTS.items():
        if name in experiments:
            text += part(experiments[name], table)
    return "\n".join(text)
