"""The value of a scan: equal to the exact recurrence, at every length, exactly so on integers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from dynprop.arrays import round_to
from dynprop.contracts.domain import Domain
from dynprop.contracts.formats import FORMATS
from dynprop.kinds.scan.bounds import recurrence
from dynprop.kinds.scan.cases import ScanCase, build_case, long_case, scan_case, sized_case
from dynprop.kinds.scan.judging import AXES, judge, run
from dynprop.kinds.scan.plan import planned, planned_lengths
from dynprop.kinds.scan.references import bound_of
from dynprop.kinds.scan.regimes import gate_regimes
from dynprop.kinds.scan.subject import ScanSubject
from dynprop.laws.draw import Source
from dynprop.laws.evidence import Evidence, compare
from dynprop.laws.exact import Exact
from dynprop.laws.law import law

BOOK = "Goodfellow, Bengio and Courville 2016, section 10.7, eq. 10.37"

at_least_two: partial[ScanCase] = partial(scan_case, shortest=2)

FORWARD_SCRIPT = """\
states = f(gates, inputs, initial)
h, expected = (0 * inputs[:, 0] if initial is None else initial), []
for t in range(inputs.shape[1]):
    h = gates[:, t] * h + inputs[:, t]
    expected.append(h)
for t, h in enumerate(expected):
    print(t, states[:, t], h)"""


PLANNED = planned()
LONGER = planned(shortest=2)


def every_regime(domain: Domain, subject: ScanSubject) -> Iterator[ScanCase]:
    """Yield the planned cases, one small case of every regime of gates in every dtype, and the long case."""
    yield from LONGER(domain, subject)
    names = [name for regimes in gate_regimes(domain).values() for name in regimes]
    for dtype in domain.dtypes:
        for i, name in enumerate(names):
            shape = (2, min(9, domain.max_length), 2)
            rng = np.random.default_rng([i, 5])
            yield build_case(rng, shape, name, dtype, domain, initial=i % 2 == 0)
        yield long_case(dtype, domain)


@law(
    "scan/forward",
    claim="C1",
    statement="states equal the exact recurrence h_t = a_t h_{t-1} + x_t within the rounding of any "
    "order of evaluation, for gates in (0,1), negative, exactly 0 and +-1, above 1 and tiny",
    source=BOOK,
    draw=at_least_two,
    fixed=every_regime,
    script=FORWARD_SCRIPT,
)
def forward(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Judge the states against exact arithmetic."""
    return Evidence((judge(subject, case, run(subject, case)),))


def every_length(domain: Domain, subject: ScanSubject) -> Iterator[ScanCase]:
    """Yield the planned cases, every length with a state, and the shortest without one."""
    yield from PLANNED(domain, subject)
    for i, steps in enumerate(planned_lengths(domain, subject)):
        yield sized_case(steps, domain.dtypes[i % len(domain.dtypes)], domain)
        if steps <= 2:
            yield sized_case(steps, domain.dtypes[0], domain, initial=False)


@law(
    "scan/lengths",
    claim="C1",
    statement="every length gives the exact states: 0, 1, odd numbers, powers of two and neighbours",
    source="proger/accelerated-scan 0.3.1 (raises at 1); lucidrains/assoc-scan 0.0.6 (raises at 0)",
    draw=scan_case,
    fixed=every_length,
    script=FORWARD_SCRIPT,
    share=0.6,
)
def lengths(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Judge the states at a given length; lengths 0 and 1 may be refused."""
    # Of an empty scan there is the shape, which is checked where states are read.
    return Evidence((judge(subject, case, run(subject, case)),), detail={"checked": case.steps == 0})


def _whole_numbers(source: Source, domain: Domain, subject: ScanSubject) -> ScanCase:
    return whole(scan_case(source, domain.limited(32), subject, shortest=2), domain)


def _planned_whole_numbers(domain: Domain, subject: ScanSubject) -> Iterator[ScanCase]:
    for case in LONGER(domain, subject):
        yield whole(case, domain)


def whole(case: ScanCase, domain: Domain) -> ScanCase:
    """Return a case of the same shape with gates 0, 1 and -1 and small whole inputs."""
    rng = np.random.default_rng(case.seed)
    gates = rng.choice([0.0, 1.0, -1.0, 1.0], case.gates.shape)
    if domain.gates == "unit":
        gates = np.ones(case.gates.shape)
    if domain.gates == "reset":
        gates = np.abs(gates)
    if domain.gates == "constant":
        gates = np.broadcast_to(gates[:, :1], gates.shape).copy()
    low = 1 if domain.inputs == "positive" else -3
    inputs = rng.integers(low, 4, case.inputs.shape).astype(np.float64)
    initial = None
    if case.initial is not None:
        initial = rng.integers(low, 4, case.initial.shape).astype(np.float64)
    stratum = {"unit": "unit with exact ones", "reset": "zeros at every other step"}
    regime = "ones" if domain.inputs == "positive" else "whole"
    return replace(
        case,
        gates=gates,
        inputs=inputs,
        initial=initial,
        stratum=stratum.get(domain.gates, "exactly 0, 1 and -1"),
        regime=regime,
    )


def _multiplies(subject: ScanSubject) -> str | None:
    if subject.domain.arithmetic == "log":
        return "the target declares arithmetic by logarithms, which rounds whole numbers"
    return None


@law(
    "scan/exact-on-integers",
    claim="C1",
    statement="with gates 0, 1 and -1 and small whole inputs nothing is rounded: the states are exact",
    source="integer certificate; AccelerateHS/accelerate#348 (order errors that tolerances hid)",
    draw=_whole_numbers,
    fixed=_planned_whole_numbers,
    applies=_multiplies,
    script=FORWARD_SCRIPT,
    share=0.6,
)
def exact_on_integers(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Check bitwise equality where every order of evaluation is exact."""
    value = run(subject, case)
    # Sums of small whole numbers are exact in float64.
    exact = Exact(recurrence(case.gates, case.inputs, case.initial), np.zeros_like(case.inputs))
    bound = bound_of(case, subject.domain)
    # Whole numbers below 1/u are exact in the format; larger ones are not decided.
    representable = bound.scale * FORMATS[case.dtype].unit < 1.0
    representable &= np.array_equal(case.inputs, round_to(case.inputs, case.dtype))
    zero = np.zeros_like(bound.bound)
    comparison = compare("states", value, exact, zero, dtype=case.dtype, axes=AXES, relaxed=bound.relaxed)
    # Every finite entry is decided, zeros included: the reference is exact.
    return Evidence((replace(comparison, decided=representable & np.isfinite(exact.high)),))
