"""A recurrent model, diagnosed: where its gradient goes, why, and what helps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn

from dynprop.arrays import FloatArray, NumericArray, describe
from dynprop.errors import ArgumentError, DynpropError
from dynprop.gradients.by_lag import GradientProfile, gradient_by_lag, left_at, require_count
from dynprop.gradients.diagnosis.advice import Advice, Change, changed, changes_for, helps
from dynprop.gradients.diagnosis.inputs import built, first_sequences, is_batched_first, split, white_inputs
from dynprop.gradients.diagnosis.measure import (
    Activity,
    Hiding,
    activity_of,
    contracts,
    drive_of,
    eigenvalues_of,
    hiding,
    predicted_slopes,
    top_cell,
)
from dynprop.gradients.exponents import LyapunovSpectrum, lyapunov_spectrum
from dynprop.gradients.lags.gated import GruStep, LstmStep
from dynprop.gradients.lags.steps import ElmanStep
from dynprop.gradients.memory import MemoryProfile, memory_by_lag
from dynprop.gradients.models.parts import parts_of
from dynprop.gradients.models.recording import unwrapped
from dynprop.gradients.models.rnn import Part
from dynprop.results import Result

__all__ = ["Diagnosis", "Frequencies", "diagnose"]

Verdict = Literal["vanishes", "explodes", "stays"]

# Less of it left than this at the lag is a gradient that vanishes, more than its inverse one that explodes.
VANISHED = 1e-3
# Between this and its inverse it keeps its size.
STEADY = 0.1
FACTORS = (0.5, 0.1, 1e-3)
SEQUENCES = 8
# Sequences whose weight gradients, and whose exponents, are measured.
FEW, EXPONENTS = 4, 1
# Held-out sequences on which advice is tried.
TRIED = 2
# Pieces of advice that are given.
MOST = 3
# Held-out models from other seeds.
OTHERS = 2
LEVEL = 0.95
# States above this size are measured on fewer sequences.
WIDE = 64
# States up to this size are measured with all singular values, and get exponents.
SMALL = 512


@dataclass(frozen=True)
class Frequencies:
    """How often gradients vanish, stay and explode over starts, with exact 95 % intervals.

    Attributes:
        seeds: number of models.
        counts: of each verdict.
        intervals: Clopper and Pearson's, of each verdict.
        log_left: ln of what is left at the lag, of each model.
    """

    seeds: int
    counts: dict[str, int]
    intervals: dict[str, tuple[float, float]]
    log_left: tuple[float, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis(Result):
    """What became of the gradient, why, and what helps.

    Attributes:
        verdict: "vanishes", "explodes" or "stays", by what is left at the lag: below 1e-3, above 1e3.
        sentence: what happens, in one sentence.
        cause: why, in a few words; empty where it is not known.
        lag: that the verdict is about.
        left: of the gradient's norm at that lag, median over sequences.
        profile: gradient by lag, over sequences.
        memory: by lag; None where inputs are no numbers.
        exponents: Lyapunov spectrum; None for large states.
        eigenvalues: by what they are of.
        predictions: slopes of ln norm per lag that theory gives, by name.
        activity: gates, or slopes of units, by name.
        hiding: the weight gradient by lag; None where there is no such decomposition.
        frequencies: over starts; None without a builder.
        advice: changes that help, the best first.
        remarks: on how this was measured.
    """

    verdict: Verdict
    sentence: str
    cause: str
    lag: int
    left: float
    profile: GradientProfile
    memory: MemoryProfile | None
    exponents: LyapunovSpectrum | None
    eigenvalues: dict[str, NumericArray]
    predictions: dict[str, float]
    activity: dict[str, Activity]
    hiding: Hiding | None
    frequencies: Frequencies | None
    advice: tuple[Advice, ...]
    remarks: tuple[str, ...]

    @property
    def horizons(self) -> dict[float, int | None]:
        """First lag from which on less than a factor is left, by factor; None where it never is."""
        return {factor: self.profile.horizon(factor) for factor in FACTORS}


def diagnose(
    model: Any,
    inputs: Any = None,
    module: str | None = None,
    *,
    lag: int | None = None,
    steps: int = 100,
    seeds: int = 1,
    seed: int = 0,
    prepare: Callable[[nn.Module], None] | None = None,
    listen: Callable[[str], None] = lambda _: None,
) -> Diagnosis:
    """Say where the gradient of a recurrent model goes, why, and what helps.

    Args:
        model: a torch module, or a class or function that builds one, with (input_size=8, hidden_size=64) or
            without arguments. A builder is called again for other seeds.
        inputs: a batch as a torch tensor or numpy array; white noise by default. Half of the sequences are
            held out: advice is tried on them.
        module: the name of the recurrent part.
        lag: that the verdict is about; by default the last.
        steps: of the white noise.
        seeds: number of starts that are counted; more than one needs a builder.
        seed: of all random numbers.
        prepare: called with each model that is built, to load weights into it: advice about starts is not
            given then.
        listen: called with what is being measured.

    Raises:
        ArgumentError, TargetError: as for `gradient_by_lag`; or the model cannot be built.
        NotFiniteError: a state is NaN or infinite; the message names the step.

    Source: Bengio, Simard and Frasconi (1994); Pascanu, Mikolov and Bengio (2013).

    Example:
        >>> import torch
        >>> from dynprop.gradients import diagnose
        >>> found = diagnose(lambda: torch.nn.RNN(3, 16), steps=60)
        >>> found.verdict, found.cause.startswith("the recurrent weight contracts")
        ('vanishes', True)
        >>> found.advice[0].name
        'orthogonal start, gain 1.25'
    """
    for name, value in (("steps", steps), ("seeds", seeds)):
        require_count(name, value, 1)
    require_count("seed", seed, 0)
    if lag is not None:
        require_count("lag", lag, 1)
    if seeds > 1 and isinstance(model, nn.Module):
        raise ArgumentError(
            "seeds", str(seeds), "1 for a module; a class or function that builds one has more"
        )
    listen("building the model")

    def made(number: int) -> nn.Module:
        found = built(model, number)
        if prepare is not None:
            prepare(found)
        return found

    first = made(seed)
    given, held, remarks = _batches(first, inputs, steps, seed)
    listen("gradient by lag")
    part = parts_of(first, given, module)[-1]
    profile = gradient_by_lag(first, given, module, sequences=FEW if part.chain.size > WIDE else SEQUENCES)
    longest = len(profile.lags) - 1
    wanted = longest if lag is None else lag
    left = left_at(profile, wanted)
    verdict = _verdict(left)
    listen("memory, exponents, gates")
    memory = _memory(first, given, module)
    small = part.chain.size <= SMALL
    few = _sequences(given, first, EXPONENTS)
    exponents = lyapunov_spectrum(first, few, module) if small else None
    eigenvalues = eigenvalues_of(part) if small else {}
    activity = activity_of(part)
    listen("weight gradient by lag")
    hidden = _hiding(first, given, part)
    frequencies = None
    if seeds > 1:
        frequencies = _frequencies(made, given, module, wanted, seeds, seed, profile, listen)
    advice: tuple[Advice, ...] = ()
    if verdict != "stays" and prepare is None:
        listen("advice, on held-out inputs")
        advice = _advice(made, first, given, held, part, wanted, profile, isinstance(model, nn.Module), seed)
    cause = _cause(verdict, part, activity, profile, exponents)
    sentence = _sentence(verdict, profile, wanted, left, hidden, cause)
    if prepare is not None and verdict != "stays":
        remarks = (*remarks, "weights are given: advice about starts is left out")
    return Diagnosis(
        verdict,
        sentence,
        cause,
        wanted,
        left,
        profile,
        memory,
        exponents,
        eigenvalues,
        predicted_slopes(part, eigenvalues) if eigenvalues else {},
        activity,
        hidden,
        frequencies,
        advice,
        (*profile.remarks, *remarks),
    )


def _batches(model: nn.Module, inputs: Any, steps: int, seed: int) -> tuple[Any, Any, tuple[str, ...]]:
    """Return a batch, a held-out one, and remarks."""
    if inputs is None:
        made = (white_inputs(model, steps, SEQUENCES, seed + offset) for offset in (0, 1))
        given, held = made
        kind = "uniform tokens" if not given.is_floating_point() else "white noise of variance 1"
        return given, held, (f"inputs are {kind}, {SEQUENCES} sequences of {steps} steps",)
    if isinstance(inputs, np.ndarray):
        import torch

        inputs = torch.from_numpy(np.array(inputs))
    if not isinstance(inputs, Tensor):
        raise ArgumentError(
            "inputs", describe(inputs), "a tensor or a numpy array with axes of time and batch"
        )
    if inputs.ndim < 2 or 0 in inputs.shape:
        raise ArgumentError("inputs", describe(inputs), "axes of time and batch, none of them empty")
    if inputs.ndim == 2 and inputs.is_floating_point():
        inputs = inputs[:, None]
    given, held = split(inputs, is_batched_first(unwrapped(model)))
    one = () if given is not held else ("one sequence: advice is tried on the inputs that it is drawn from",)
    return given, held, one


def _sequences(inputs: Any, model: nn.Module, count: int, start: int = 0) -> Any:
    return first_sequences(inputs, count, is_batched_first(unwrapped(model)), start)


def _verdict(left: float) -> Verdict:
    if left < VANISHED:
        return "vanishes"
    return "explodes" if left > 1.0 / VANISHED else "stays"


def _memory(model: nn.Module, inputs: Any, module: str | None) -> MemoryProfile | None:
    try:
        return memory_by_lag(model, _sequences(inputs, model, SEQUENCES), module)
    except ArgumentError:
        return None


def _hiding(model: nn.Module, inputs: Any, part: Part) -> Hiding | None:
    if any("bidirectional" in remark for remark in part.remarks):
        return None
    count = int(inputs.shape[0 if is_batched_first(unwrapped(model)) else 1])
    singles = [_sequences(inputs, model, 1, place) for place in range(min(count, FEW))]
    try:
        return hiding(model, singles, part.name, 0)
    except DynpropError:
        return None


def _frequencies(
    made: Callable[[int], nn.Module],
    inputs: Any,
    module: str | None,
    lag: int,
    seeds: int,
    seed: int,
    first: GradientProfile,
    listen: Callable[[str], None],
) -> Frequencies:
    from scipy.stats import binomtest

    logs = [float(first.median[lag])]
    for number in range(1, seeds):
        listen(f"start {number + 1} of {seeds}")
        model = made(seed + number)
        profile = gradient_by_lag(model, inputs, module, norm="frobenius", most=lag, sequences=1)
        logs.append(float(profile.median[lag]))
    verdicts = [_verdict(math.exp(min(value, 700.0))) for value in logs]
    counts = {name: verdicts.count(name) for name in ("vanishes", "stays", "explodes")}
    intervals = {}
    for name, count in counts.items():
        found = binomtest(count, seeds).proportion_ci(LEVEL, method="exact")
        intervals[name] = (float(found.low), float(found.high))
    return Frequencies(seeds, counts, intervals, tuple(logs))


def _advice(
    made: Callable[[int], nn.Module],
    model: nn.Module,
    inputs: Any,
    held: Any,
    part: Part,
    lag: int,
    profile: GradientProfile,
    single: bool,
    seed: int,
) -> tuple[Advice, ...]:
    """Try changes on held-out inputs and, where models can be built, held-out seeds."""
    bare = unwrapped(model)
    chosen = bare.get_submodule(part.name)
    others = [model] if single else [model, *(made(seed + 1000 + number) for number in range(OTHERS))]
    shortest = min(lag, min(_steps(inputs, bare), _steps(held, bare)))

    def measured(held_model: nn.Module) -> FloatArray:
        found = gradient_by_lag(held_model, held, part.name, norm="frobenius", most=shortest, sequences=TRIED)
        return found.median

    before = [measured(other) for other in others]
    slope = profile.slope if math.isfinite(profile.slope) else 0.0
    found: list[Advice] = []
    for change in changes_for(chosen, shortest, slope, drive_of(part)):
        after = _after(others, part.name, change, measured)
        if after is None:
            continue
        first, last = (tuple(float(values[-1]) for values in each) for each in (before, after))
        if helps(first, last):
            curves = tuple(map(float, before[0])), tuple(map(float, after[0]))
            found.append(Advice(change.name, change.text, first, last, *curves))
    return tuple(sorted(found, key=lambda each: max(map(abs, each.after))))[:MOST]


def _after(
    models: Sequence[nn.Module], name: str, change: Change, measured: Callable[[nn.Module], FloatArray]
) -> list[FloatArray] | None:
    """Return the profiles after a change; None where it breaks a model."""
    try:
        return [measured(changed(unwrapped(model), name, change)) for model in models]
    except DynpropError:
        return None


def _steps(inputs: Any, model: nn.Module) -> int:
    return int(inputs.shape[1 if is_batched_first(model) else 0])


def _cause(
    verdict: Verdict,
    part: Part,
    activity: dict[str, Activity],
    profile: GradientProfile,
    exponents: LyapunovSpectrum | None,
) -> str:
    """Return the cause in a few words: the measured factor that explains the slope."""
    chain = top_cell(part.chain)
    if verdict == "stays" or chain is None:
        return ""
    cell = chain.cell
    if verdict == "explodes":
        largest = float(np.exp(profile.slope))
        return f"each step multiplies the gradient by {largest:.3g}"
    if isinstance(cell, ElmanStep):
        slope = activity["slope"]
        if slope.closed > 0.5 and cell.activation == "relu":
            return f"{slope.closed:.0%} of the units are off: their slope is 0"
        if slope.closed > 0.5:
            return f"{slope.closed:.0%} of the units are saturated: their slope is below 0.05"
        if contracts(cell):
            size = float(np.linalg.norm(cell.recurrent, 2))
            limit = 4.0 if cell.activation == "sigmoid" else 1.0
            return f"the recurrent weight contracts, whatever the inputs: its norm is {size:.3g} < {limit:g}"
        radius = float(np.abs(np.linalg.eigvals(cell.recurrent)).max())
        return (
            f"units pass {slope.mean:.2g} of the gradient on average, and W has spectral radius {radius:.2g}"
        )
    if isinstance(cell, LstmStep):
        gate = activity["forget"]
        return f"forget gates keep {gate.mean:.2g} of the cell state per step on average"
    if isinstance(cell, GruStep):
        gate = activity["update"]
        return f"update gates keep {gate.mean:.2g} of the state per step on average"
    return ""


def _sentence(
    verdict: Verdict,
    profile: GradientProfile,
    lag: int,
    left: float,
    hidden: Hiding | None,
    cause: str,
) -> str:
    """Return what happens in one sentence."""
    part = f"of {profile.name} " if profile.name else ""
    amount = f"{left:.2g} of it is left at lag {lag}" if left > 0.0 else f"nothing of it is left at lag {lag}"
    if verdict == "vanishes":
        rate = profile.half_life
        text = f"the gradient {part}halves every {rate:.2g} steps" if math.isfinite(rate) else (
            f"the gradient {part}vanishes"
        )  # fmt: skip
        reached = profile.horizon(VANISHED)
        if reached is not None and reached < lag:
            text += f": a thousandth is left at lag {reached}"
        if hidden is not None and hidden.hidden_from is not None and hidden.hidden_from < lag:
            text += (
                f"; from lag {hidden.hidden_from} on its part of the weight gradient is below 1/100 of the "
                "fluctuation of the last five steps"
            )
        elif reached is None or reached >= lag:
            text += f": {amount}"
    elif verdict == "explodes":
        doubling = math.log(2.0) / profile.slope if profile.slope > 0.0 else math.nan
        size = f"{left:.2g}" if math.isfinite(left) else f"e^{float(profile.median[lag]):.0f}"
        text = (
            f"the gradient {part}doubles every {doubling:.2g} steps: at lag {lag} it is {size} times as large"
        )
    elif left < STEADY:
        text = f"the gradient {part}halves every {profile.half_life:.2g} steps: {amount}"
    elif left > 1.0 / STEADY:
        text = f"the gradient {part}grows: at lag {lag} it is {left:.2g} times as large"
    else:
        text = f"the gradient {part}keeps its size: {amount}"
    return f"{text}; {cause}" if cause else text
