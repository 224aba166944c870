"""Invariances of the states: splits, padding, resets, batch rows, channels, causality, linearity.

These laws compare the subject with itself, so that a failure names one defect.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.contracts.domain import Domain
from dynprop.kinds.scan.bounds import absolute_states
from dynprop.kinds.scan.calling import ONE_CALL, PIECES
from dynprop.kinds.scan.cases import ScanCase, scan_case, sized_case
from dynprop.kinds.scan.forward import LONGER, at_least_two
from dynprop.kinds.scan.judging import AXES, agree, cut_bound, run
from dynprop.kinds.scan.references import bound_of
from dynprop.kinds.scan.subject import ScanSubject
from dynprop.laws.draw import Source, split_points
from dynprop.laws.evidence import Alternatives, Evidence, compare, worst
from dynprop.laws.law import law

crowded: partial[ScanCase] = partial(scan_case, shortest=2, usual=8)
# Beyond this many steps a law that calls once for each split point, row or channel takes a few of them.
MANY_STEPS = 257


def cut_cases(domain: Domain, subject: ScanSubject) -> Iterator[ScanCase]:
    """Yield the planned cases, and longer ones, which span several chunks and blocks."""
    for case in LONGER(domain, subject):
        yield replace(case, form=PIECES)
    for dtype in domain.dtypes:
        for steps in (33,) if subject.compiles else (33, 130, 257):
            if steps <= domain.max_length:
                yield sized_case(steps, dtype, domain)


@law(
    "scan/split-resume",
    claim="C1",
    statement="a sequence cut anywhere and resumed from the state there gives the states of one call",
    source="fla-org/flash-linear-attention#285; xlstm 2.0.6",
    draw=crowded,
    fixed=cut_cases,
    script="p = {split}\nwhole = f(gates, inputs, initial)\n"
    "resumed = f(gates[:, p:], inputs[:, p:], whole[:, p - 1])\nprint(resumed - whole[:, p:])",
    share=0.6,
)
def split_resume(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Split at every split point; compare the head alone and the resumed tail with the full states."""
    case = replace(case, form=ONE_CALL)
    states, bound = run(subject, case), bound_of(case, subject.domain)
    pairs = []
    points = split_points(case.steps, subject.compiles)
    if case.steps > MANY_STEPS:
        points = points[case.seed % 2 :: max(1, len(points) // 2)]
    for p in points:
        tail = replace(case.part(p, case.steps), initial=states[:, p - 1])
        for part, time in ((case.part(0, p), slice(0, p)), (tail, slice(p, None))):
            label = "states resumed from the state there" if part is tail else "states of the head"
            if _in_domain(subject, states[:, p - 1]):
                ignored = _without_state(subject, part) if part is tail else dict
                value = run(subject, part)
                cut = cut_bound(bound, time)
                pairs.append(({"split": p}, agree(label, value, states[:, time], part, cut, ignored)))
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)


def _in_domain(subject: ScanSubject, state: FloatArray) -> bool:
    """Whether a state is a valid initial state: finite, and positive if all inputs of the domain are."""
    positive = subject.domain.inputs != "positive" or bool((state > 0.0).all())
    return positive and bool(np.isfinite(state).all())


def _without_state(subject: ScanSubject, part: ScanCase) -> Alternatives:
    return lambda: {"initial state ignored": run(subject, replace(part, initial=None))}


def _zero_allowed(subject: ScanSubject) -> str | None:
    if subject.domain.gates in ("unit", "constant"):
        return f"the domain --gates {subject.domain.gates} has no single gate of 0"
    return None


@law(
    "scan/reset",
    claim="C1",
    statement="a gate of exactly 0 forgets: later states do not depend on what came before it",
    source="state-spaces/mamba#368; packing of sequences by reset gates",
    draw=at_least_two,
    fixed=LONGER,
    applies=_zero_allowed,
    script="p = {reset}\nother = inputs + 0\nother[:, :p] = 1\n"
    "print(f(gates, inputs, initial)[:, p:] - f(gates, other, None)[:, p:])  # gates[:, p] is 0",
    share=0.6,
)
def reset(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Change the past before a gate of 0 and compare what follows."""
    p = int(np.random.default_rng(case.seed).integers(1, case.steps))
    gates = case.gates.copy()
    gates[:, p] = 0.0
    case = replace(case, gates=gates)
    past = case.inputs.copy()
    past[:, :p] = 1.0
    states = run(subject, case)
    perturbed = run(subject, replace(case, inputs=past, initial=None))
    bound = bound_of(case, subject.domain)
    later = slice(p, None)
    comparison = agree(
        "states after a gate of 0, with another past",
        perturbed[:, later],
        states[:, later],
        case.part(p, case.steps),
        cut_bound(bound, later),
    )
    return Evidence((comparison,), detail={"reset": p})


def _padding_allowed(subject: ScanSubject) -> str | None:
    if subject.domain.gates in ("constant", "reset") or subject.domain.inputs == "positive":
        return "the domain has no step with gate 1 and input 0"
    return None


@law(
    "scan/padding",
    claim="C1",
    statement="steps with gate 1 and input 0 change nothing: appended they repeat the last state, "
    "put in front they leave the initial state",
    source="state-spaces/mamba#368 (padding and softplus in the backward pass)",
    draw=crowded,
    fixed=LONGER,
    applies=_padding_allowed,
    script="# append {padding} steps with gate 1 and input 0 to gates and inputs: the states before stay,\n"
    "# and the new ones repeat the last",
    share=0.6,
)
def padding(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Pad both ends and compare with the sequence alone."""
    count = 1 + case.seed % 4
    batch, _, channels = case.gates.shape
    ones, zeros = np.ones((batch, count, channels)), np.zeros((batch, count, channels))
    plain, bound = run(subject, case), bound_of(case, subject.domain)
    padded_end = replace(
        case,
        gates=np.concatenate([case.gates, ones], axis=1),
        inputs=np.concatenate([case.inputs, zeros], axis=1),
    )
    padded_front = replace(
        case,
        gates=np.concatenate([ones, case.gates], axis=1),
        inputs=np.concatenate([zeros, case.inputs], axis=1),
    )
    repeated = np.concatenate([plain, np.repeat(plain[:, -1:], count, axis=1)], axis=1)
    padded_bound = bound_of(padded_end, subject.domain)
    pairs = [
        agree("states with padding behind", run(subject, padded_end), repeated, padded_end, padded_bound),
        agree("states with padding in front", run(subject, padded_front)[:, count:], plain, case, bound),
    ]
    return Evidence(tuple(pairs), detail={"padding": count})


def _some(count: int, case: ScanCase) -> list[int]:
    """Return positions along an axis: all of a few, else the first and last and one or two between."""
    if count <= 5 and case.steps <= MANY_STEPS:
        return list(range(count))
    between = [1 + case.seed % (count - 1), count // 2] if count > 2 else []
    return sorted({0, count - 1, *between} if case.steps <= MANY_STEPS else {count - 1, *between[:1]})


def _independent_along(subject: ScanSubject, case: ScanCase, axis: str, name: str) -> Evidence:
    """Compare each index of an axis, computed in its batch, with the same index computed alone."""
    states, bound = run(subject, case), bound_of(case, subject.domain)
    pairs, dimension = [], AXES.index(axis)
    for i in _some(case.gates.shape[dimension], case):
        single = case.take(axis, np.array([i]))
        value = run(subject, single)
        together = states.take([i], axis=dimension)
        cut = replace(bound, **{k: v.take([i], axis=dimension) for k, v in bound.__dict__.items()})
        pairs.append(
            ({name: i}, agree(f"{name} in its batch beside itself alone", together, value, single, cut))
        )
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)


@law(
    "scan/batch-independence",
    claim="C1",
    statement="a row gives the same states alone and in any batch, with a state given",
    source="LRU-pytorch 0.1.3 (the state reaches row 0 only)",
    draw=crowded,
    fixed=LONGER,
    script="r = {row}\nalone = f(gates[r:r+1], inputs[r:r+1], None if initial is None else initial[r:r+1])\n"
    "print(f(gates, inputs, initial)[r:r+1] - alone)",
    share=0.6,
)
def batch_independence(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Compare each row in the batch with the row alone."""
    return _independent_along(subject, case, "batch", "row")


@law(
    "scan/channel-independence",
    claim="C1",
    statement="a channel gives the same states alone and among others",
    source="broadcast errors of fused kernels",
    draw=crowded,
    fixed=LONGER,
    script="c = {channel}\nalone = f(gates[..., c:c+1], inputs[..., c:c+1], "
    "None if initial is None else initial[:, c:c+1])\nprint(f(gates, inputs, initial)[..., c:c+1] - alone)",
    share=0.6,
)
def channel_independence(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Compare each channel among others with the channel alone."""
    return _independent_along(subject, case, "channel", "channel")


@law(
    "scan/causality",
    claim="C1",
    statement="a state does not depend on later gates and inputs",
    source="time reversal errors: pytorch/pytorch#137943",
    draw=at_least_two,
    fixed=LONGER,
    script="p = {split}\nprint(f(gates, inputs, initial)[:, :p] - f(gates[:, :p], inputs[:, :p], initial))",
    share=0.6,
)
def causality(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Change the future and compare the past."""
    p = 1 + case.seed % (case.steps - 1)
    inputs = case.inputs.copy()
    inputs[:, p:] = 3.0
    states = run(subject, case)
    perturbed = run(subject, replace(case, inputs=inputs))
    bound = cut_bound(bound_of(case, subject.domain), slice(0, p))
    comparison = agree("states with another future", perturbed[:, :p], states[:, :p], case.part(0, p), bound)
    return Evidence((comparison,), detail={"split": p})


def _summable(source: Source, domain: Domain, subject: ScanSubject) -> ScanCase:
    return _with_small_numbers(scan_case(source, domain, subject, shortest=2), domain)


def _planned_summable(domain: Domain, subject: ScanSubject) -> Iterator[ScanCase]:
    for case in LONGER(domain, subject):
        yield _with_small_numbers(case, domain)


def _with_small_numbers(case: ScanCase, domain: Domain) -> ScanCase:
    rng = np.random.default_rng(case.seed)
    return replace(case, inputs=_small_numbers(rng, case.inputs.shape, domain), regime="normal")


def _small_numbers(rng: np.random.Generator, shape: tuple[int, ...], domain: Domain) -> FloatArray:
    """Draw multiples of 1/8 below 4: sums of two of them are exact in every format."""
    low = 1 if domain.inputs == "positive" else -31
    return rng.integers(low, 32, shape) / 8.0


@law(
    "scan/superposition",
    claim="C1",
    statement="the states are linear in inputs and initial state: f(x + y) = f(x) + f(y)",
    source="linearity of eq. 10.37; state-spaces/mamba#75",
    draw=_summable,
    fixed=_planned_summable,
    script="y = inputs / inputs  # any second input\n"
    "print(f(gates, inputs, None) + f(gates, y, None) - f(gates, inputs + y, None))",
    share=0.6,
)
def superposition(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Add two inputs, exactly, and compare the sum of states with the states of the sum."""
    rng = np.random.default_rng(case.seed + 1)
    first = replace(case, initial=None)
    start = case.initial
    second = replace(case, inputs=_small_numbers(rng, case.inputs.shape, subject.domain))
    combined = replace(case, inputs=first.inputs + second.inputs, initial=start)
    parts = [run(subject, c) for c in (first, second)]
    with np.errstate(all="ignore"):
        total = parts[0] + parts[1]
    bounds = [bound_of(c, subject.domain) for c in (first, second, combined)]
    total_bound = replace(
        bounds[2],
        bound=sum((b.bound for b in bounds), np.zeros_like(total)),
        scale=bounds[0].scale + bounds[1].scale,
        in_range=bounds[0].in_range & bounds[1].in_range & bounds[2].in_range,
    )
    return Evidence((agree("states of the sum", run(subject, combined), total, combined, total_bound),))


@law(
    "scan/adjoint",
    claim="C6",
    statement="the scan run backwards in time with shifted gates is its transpose: <f(x), y> = <x, f*(y)>",
    source="dot-product test (Claerbout 1992, Earth Soundings Analysis, chapter 5)",
    draw=at_least_two,
    fixed=LONGER,
    script="# sum(f(gates, inputs, None) * y) equals sum(inputs * g), g the flipped states of the flipped y\n"
    "# under gates shifted by one step and flipped",
    share=0.6,
)
def adjoint(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Compare two inner products that are equal for a linear map and its transpose."""
    weights = case.cotangent(case.inputs.shape)
    if subject.domain.inputs == "positive":
        weights = np.abs(weights) + 1.0
    case = replace(case, initial=None)
    shifted = np.concatenate([case.gates[:, 1:], case.gates[:, :1]], axis=1)
    reversed_case = replace(case, gates=shifted[:, ::-1].copy(), inputs=weights[:, ::-1].copy())
    states, adjoint_states = run(subject, case), run(subject, reversed_case)[:, ::-1]
    forward, backward = (bound_of(c, subject.domain) for c in (case, reversed_case))
    with np.errstate(all="ignore"):
        left = (states * weights).sum(axis=1)
        right = (case.inputs * adjoint_states).sum(axis=1)
        bound = (np.abs(weights) * forward.bound).sum(axis=1)
        bound += (np.abs(case.inputs) * backward.bound[:, ::-1]).sum(axis=1)
        # float64 sums of the law itself, of either side.
        relaxed = {
            name: bound
            + (np.abs(weights) * relaxed_bound).sum(axis=1)
            + (np.abs(case.inputs) * backward.relaxed()[name][:, ::-1]).sum(axis=1)
            for name, relaxed_bound in forward.relaxed().items()
        }
        size = (np.abs(weights) * absolute_states(case.gates, case.inputs, None)).sum(axis=1)
        bound += 4.0 * (case.steps + 2) * 2.0**-53 * size
    in_range = np.asarray(forward.in_range.all(axis=1) & backward.in_range.all(axis=1))
    return Evidence(
        (
            compare(
                "inner product <f(x), y> beside <x, f*(y)>",
                left,
                right,
                bound,
                dtype=case.dtype,
                axes=("batch", "channel"),
                scale=size,
                in_range=in_range,
                relaxed=lambda: relaxed,
            ),
        )
    )
