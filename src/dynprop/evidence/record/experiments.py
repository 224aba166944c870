r"""The experiments behind claims C0 and C5 to C7, each one command, recorded as evidence.

    python -m dynprop.evidence.record.experiments E1 E2 E3 --record docs/evidence/training.json

=====  ====================================================================================================
E1     Bengio's latch of one unit: success against length, from a contracting and from a latching weight
E2     the latch with a tanh net of 8 units: four initialisations, two as positive control; time to learn
E3     temporal order with 16 units, from torch's default and from orthogonal weights
E4     gradient by lag at initialisation against mean field, nothing trained
E5     log norms through 100 layers at the exact gain and at others, and with one shared matrix
C0     how often gradients vanish or explode at initialisation; effect of explosion, clipped and not
LSTM   the pattern of Hochreiter and Schmidhuber (1997), table 2, on the small scale
ADAM   the contracting net of E2 with Adam in the place of SGD
=====  ====================================================================================================

A success that comes and goes counts: training stops at the first judgement that meets the criterion.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dynprop.evidence.code import code_of
from dynprop.evidence.compare import Code, Source, differences
from dynprop.evidence.record.jobs import environment, today, write_json
from dynprop.products import critical_gain, layer_norm_law, mean_field, norm_walks
from dynprop.training.analysis.success import SuccessCurve, SuccessRate, learning_time, proportion_interval
from dynprop.training.trials.setting import Setting
from dynprop.training.trials.training import train
from dynprop.training.trials.trial import Trial

__all__ = ["EXPERIMENTS", "SOURCE", "main"]

Rows = list[dict[str, Any]]
# Runs of a setting have this seed and the ones after it.
SEED = 0
# Enough batches for a significant signal if it needs about as many updates as E2 has.
SIGNAL_BATCHES = 32768


def _curve(
    name: str, lengths: Sequence[int], seeds: int, **options: Any
) -> tuple[dict[str, Any], list[Trial]]:
    """Train one configuration at several lengths; return its curve as plain values, and the trials."""
    trials: list[Trial] = []
    for length in lengths:
        trials += train(Setting(length=length, **options), range(SEED, SEED + seeds))
        done = SuccessCurve.of(name, trials).rates[-1]
        print(f"{name}: length {length}, {done.successes} of {done.trials}", flush=True)
    curve = SuccessCurve.of(name, trials)
    row = {
        "name": name,
        "setting": Setting(length=lengths[0], **options).without_length(),
        "rates": [_rate(rate) for rate in curve.rates],
        "threshold": str(curve.threshold),
    }
    return row, trials


def _rate(rate: SuccessRate) -> dict[str, Any]:
    names = ("length", "trials", "successes", "explosions", "vanishings", "at_chance")
    return {name: getattr(rate, name) for name in names} | {"interval": list(rate.interval)}


def latch_of_one_unit(share: float = 1.0) -> dict[str, Any]:
    """E1: w0 = 0.5 and 1.25, noise of standard deviation 0.2 and of variance 0.2."""
    common: dict[str, Any] = {"cell": "unit", "hidden": 1, "batch": 20, "clip": None, "dtype": "float64"}
    rows = []
    for name, task, weight, lengths, seeds in (
        ("w0 = 0.5, noise sd 0.2", "latch-unit-quiet", 0.5, (4, 6, 8, 10, 15, 20, 30), 400),
        ("w0 = 1.25, noise sd 0.2", "latch-unit-quiet", 1.25, (4, 6, 10, 15, 20, 30), 400),
        ("w0 = 1.25, noise variance 0.2", "latch-unit", 1.25, (4, 6, 10, 15, 20, 30), 300),
    ):
        seeds = max(5, round(share * seeds))
        rows.append(_curve(name, lengths, seeds, task=task, init=f"w={weight}", **common)[0])
    return {"curves": rows}


def latch_of_a_net(share: float = 1.0) -> dict[str, Any]:
    """E2: small, default, orthogonal and identity initialisation; time to learn of two of them."""
    from dynprop.training.analysis.prediction import signal_to_noise

    rows, times = [], []
    for init in ("small", "default", "orthogonal", "identity"):
        lengths = (4, 5, 6, 8, 10, 15, 20, 30) + ((50,) if init in ("orthogonal", "identity") else ())
        row, trials = _curve(init, lengths, max(5, round(share * 100)), task="latch", init=init)
        rows.append(row)
        for length in lengths:
            setting = Setting("latch", length, init=init)
            learning = learning_time(t for t in trials if t.setting.length == length)
            signal = signal_to_noise(setting, batches=SIGNAL_BATCHES)
            times.append(
                {
                    "init": init,
                    "length": length,
                    "trials": learning.trials,
                    "successes": learning.successes,
                    "median": learning.median,
                    "low": learning.low,
                    "high": learning.high,
                    "signal_to_noise_updates": signal.updates if math.isfinite(signal.updates) else None,
                    "signal_to_noise_least": signal.least,
                }
            )
    return {"curves": rows, "times": times}


def temporal_order(share: float = 1.0) -> dict[str, Any]:
    """E3: torch's default and orthogonal initialisation at lengths 10, 20 and 40."""
    options: dict[str, Any] = {"hidden": 16, "batch": 20, "updates": 3000, "every": 250}
    seeds = max(3, round(share * 30))
    return {
        "curves": [
            _curve(init, (10, 20, 40), seeds, task="temporal-order-pascanu", init=init, **options)[0]
            for init in ("default", "orthogonal")
        ]
    }


def gradient_by_lag(share: float = 1.0) -> dict[str, Any]:
    """E4: slope of ln ‖∂h(T)/∂h(T-k)‖ over lags of tanh nets with 64 units, inputs of deviation 0.5."""
    import torch

    from dynprop.gradients import cell_gradient_by_lag, cell_named

    hidden, steps, nets = 64, 60, max(4, round(share * 40))
    rows: Rows = []
    for name, gain in (("1/√3, torch's default", 1.0 / math.sqrt(3.0)), ("1", 1.0), ("1.5", 1.5)):
        rng = np.random.default_rng([4, round(1000 * gain)])
        weights = rng.standard_normal((nets, hidden, hidden)) * gain / math.sqrt(hidden)
        parameters = {
            "inputs": torch.eye(hidden, dtype=torch.float64).expand(nets, hidden, hidden),
            "recurrent": torch.from_numpy(weights),
            "bias": torch.zeros(nets, hidden, dtype=torch.float64),
        }
        inputs = torch.from_numpy(0.5 * rng.standard_normal((steps, nets, hidden)))
        logs = cell_gradient_by_lag(cell_named("tanh"), parameters, inputs)
        slopes = np.polyfit(np.arange(steps + 1), logs.T, 1)[0]
        radius = np.log(np.abs(np.linalg.eigvals(weights)).max(axis=1))
        error = float(slopes.std(ddof=1)) / math.sqrt(nets)
        rows.append(
            {
                "gain": name,
                "nets": nets,
                "slope": float(slopes.mean()),
                "error": error,
                "largest": float(slopes.max()),
                "mean_field": mean_field("tanh", gain**2, 0.25).exponent,
                "log_radius": float(radius.mean()),
                "profile": logs.mean(axis=0).round(4).tolist(),
            }
        )
        print(f"gain {name}: slope {rows[-1]['slope']:.3f}", flush=True)
    return {"rows": rows}


def vanishing_and_explosion(share: float = 1.0) -> dict[str, Any]:
    """C0: shares of vanished and exploded gradients at initialisation; success with and without clipping."""
    from dynprop.training.analysis.prediction import initial_gradient_by_lag

    nets, length = max(10, round(share * 200)), 50
    initial: Rows = []
    for cell, init in (
        ("tanh", "small"),
        ("tanh", "default"),
        ("tanh", "variance"),
        ("tanh", "variance=1.5"),
        ("tanh", "orthogonal"),
        ("relu", "identity"),
        ("gru", "default"),
        ("lstm", "default+forget"),
    ):
        setting = Setting("adding-urnn", length, cell=cell, init=init, hidden=20)
        logs = initial_gradient_by_lag(setting, range(nets))[:, -1]
        counts = [int((logs < math.log(0.01)).sum()), int((logs > math.log(100.0)).sum())]
        intervals = [list(proportion_interval(count, nets)) for count in counts]
        initial.append(
            {
                "cell": cell,
                "init": init,
                "nets": nets,
                "vanished": counts[0],
                "exploded": counts[1],
                "vanished_interval": intervals[0],
                "exploded_interval": intervals[1],
                "median": float(np.median(logs)),
            }
        )
    options: dict[str, Any] = {"task": "adding-urnn", "cell": "relu", "init": "identity", "hidden": 20}
    curves = []
    for clip in (None, 1.0):
        name = "no clipping" if clip is None else "clipped at norm 1"
        budget = {"rate": 0.1, "clip": clip, "updates": 1000, "every": 100}
        curves.append(_curve(name, (5, 10, 20), max(5, round(share * 30)), **options, **budget)[0])
    return {"initial": initial, "length": length, "curves": curves}


def small_table_2(share: float = 1.0) -> dict[str, Any]:
    """LSTM: a contracting tanh net and LSTMs on the latch at lengths 4, 10 and 30, the same plain SGD."""
    seeds = max(3, round(share * 30))
    common: dict[str, Any] = {"task": "latch", "rate": 0.5}
    lengths = (4, 10, 30)
    return {
        "curves": [
            _curve("tanh, small", lengths, seeds, cell="tanh", init="small", **common)[0],
            _curve("lstm, default+forget", lengths, seeds, cell="lstm", init="default+forget", **common)[0],
            _curve("lstm, default+chrono", lengths, seeds, cell="lstm", init="default+chrono", **common)[0],
        ]
    }


def contracting_with_adam(share: float = 1.0) -> dict[str, Any]:
    """Adam: the contracting net of E2, its steps divided by the size of the gradient."""
    seeds = max(3, round(share * 30))
    common: dict[str, Any] = {"task": "latch", "init": "small"}
    return {
        "curves": [
            _curve("SGD, rate 0.1", (10, 30), seeds, **common)[0],
            _curve("Adam, rate 0.01", (10, 30), seeds, optimiser="adam", rate=0.01, **common)[0],
        ]
    }


def depth_walk(share: float = 1.0) -> dict[str, Any]:
    """E5: mean and deviation of the log norm after 100 layers of 50 units, fresh weights and one matrix."""
    width, depth, nets = 50, 100, max(8, round(share * 200))
    exact = {name: critical_gain(width, name) for name in ("linear", "relu")}
    rows: Rows = []
    for name, activation, gain, weights in (
        ("linear, exact gain", "linear", exact["linear"], "fresh"),
        ("linear, gain 1", "linear", 1.0, "fresh"),
        ("ReLU, exact gain", "relu", exact["relu"], "fresh"),
        ("ReLU, gain √2 (He)", "relu", math.sqrt(2.0), "fresh"),
        ("linear, exact gain, one matrix", "linear", exact["linear"], "shared"),
    ):
        walks = norm_walks(width, depth, activation, gain, "fresh" if weights == "fresh" else "shared", nets)
        row: dict[str, Any] = {"name": name, "gain": gain, "nets": nets}
        for direction, final_norms in (("forward", walks.forward[:, -1]), ("backward", walks.backward[:, 0])):
            finite = final_norms[np.isfinite(final_norms)]
            row[direction] = [float(finite.mean()), float(finite.std(ddof=1))]
        if weights == "fresh":
            law = layer_norm_law([width] * (depth + 1), gain, activation)
            row["theory"] = [law.log_mean, math.sqrt(law.log_variance)]
        rows.append(row)
    return {"rows": rows, "width": width, "depth": depth}


EXPERIMENTS: dict[str, Callable[[float], dict[str, Any]]] = {
    "E1": latch_of_one_unit,
    "E2": latch_of_a_net,
    "E3": temporal_order,
    "E4": gradient_by_lag,
    "E5": depth_walk,
    "C0": vanishing_and_explosion,
    "LSTM": small_table_2,
    "ADAM": contracting_with_adam,
}


def today_code() -> dict[str, str]:
    """Return the digests of the experiments and of everything that they import."""
    return code_of(["dynprop.evidence.record.experiments"])


def _described(data: Mapping[str, Any]) -> Code:
    return {name: result["run"].get("code") for name, result in data["experiments"].items()}


SOURCE = Source(
    "make experiments",
    lambda: dict.fromkeys(EXPERIMENTS, frozenset()),
    lambda data: dict.fromkeys(data["experiments"], frozenset()),
    lambda: dict.fromkeys(EXPERIMENTS, today_code()),
    _described,
    differences,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run experiments and add them to the record."""
    parser = argparse.ArgumentParser(prog="python -m dynprop.evidence.record.experiments")
    parser.add_argument("names", nargs="+", choices=list(EXPERIMENTS), metavar="NAME")
    parser.add_argument("--share", type=float, default=1.0, help="share of the seeds")
    parser.add_argument("--record", type=Path, help="JSON file to add the results to")
    parser.add_argument(
        "--resume", action="store_true", help="keep recorded results of the same share, versions and code"
    )
    given = parser.parse_args(arguments)
    settings = {"seed": SEED, "share": given.share}
    described = {**settings, **environment("dynprop", "numpy", "torch"), "code": today_code()}
    for name in given.names:
        run = _read(given.record).get(name, {}).get("run", {})
        if given.resume and {key: value for key, value in run.items() if key != "date"} == described:
            continue
        begin = time.monotonic()
        result = EXPERIMENTS[name](given.share)
        result["seconds"] = round(time.monotonic() - begin, 1)
        result["run"] = {"date": today(), **described}
        print(f"{name}: {result['seconds']:.0f} s", flush=True)
        if given.record is not None:
            # Read again: another experiment may have been recorded meanwhile.
            experiments = {**_read(given.record), name: result}
            write_json(
                given.record,
                {"experiments": {key: experiments[key] for key in EXPERIMENTS if key in experiments}},
            )
    return 0


def _read(path: Path | None) -> dict[str, Any]:
    if path is None or not path.exists():
        return {}
    experiments: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["experiments"]
    return experiments


if __name__ == "__main__":
    raise SystemExit(main())
