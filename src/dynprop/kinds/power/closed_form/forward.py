"""The result of a closed form: the exact state, or a refusal where W is ill-conditioned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from dynprop.contracts.domain import Domain
from dynprop.kinds.power.cases import (
    FEW_SIZES,
    PowerCase,
    build_case,
    power_case,
    size_of_state,
    usable_families,
)
from dynprop.kinds.power.closed_form.batch import exact_batch
from dynprop.kinds.power.families.families import FAMILIES, families_for, round_matrix
from dynprop.kinds.power.families.normal import reflectors, spectra
from dynprop.kinds.power.judging import judge_state
from dynprop.kinds.power.subject import PowerSubject
from dynprop.laws.draw import Source
from dynprop.laws.evidence import Evidence
from dynprop.laws.law import law

BOOK = "Goodfellow, Bengio and Courville 2016, section 10.7, eq. 10.37 to 10.39"

SCRIPT = """\
h = h0
for k in range(t):
    h = h @ W
print(f(W, h0, t), h)"""


def every_family(domain: Domain, subject: PowerSubject) -> Iterator[PowerCase]:
    """Yield one case of every family of matrices in every dtype, and one beyond 30 steps."""
    for dtype in domain.dtypes:
        for i, name in enumerate(usable_families(tuple(FAMILIES), dtype)):
            sizes, times = ((2, 4, 5, 8), (3, 9, 13, 16)), ((7, 3, 12)[i % 3], 40)
            for size, t in (
                [(3, 5)] if subject.compiles else zip((s[i % 4] for s in sizes), times, strict=True)
            ):
                n = max(FAMILIES[name].smallest, size)
                rng = np.random.default_rng([i, t, 41])
                steps = min(t, domain.max_length)
                yield build_case(rng, n, steps, name, dtype, refusals="judged")


@law(
    "closed-form/exact-or-refused",
    claim="C1",
    statement="the answer equals the exact state (W^t)^T h(0), within the rounding of any order of products "
    "or of eigenvectors that keep six digits, for every W; an ill-conditioned W may be refused with "
    "ValueError or ArithmeticError, a well-conditioned one may not",
    source=BOOK,
    draw=partial(power_case, shortest=1, refusals="judged"),
    fixed=every_family,
    script=SCRIPT,
    batch=exact_batch,
)
def exact_or_refused(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Compare the state with exact arithmetic."""
    return Evidence((judge_state(case, subject.values(case.arguments, case.dtype)),))


def _symmetric(source: Source, domain: Domain, subject: PowerSubject) -> PowerCase:
    dtype = source.choice(domain.dtypes)
    n = source.choice([s for s in FEW_SIZES if s > 1]) if subject.compiles else size_of_state(source, 2)
    t = min(source.integer(1, 9), domain.max_length)
    side = source.choice(("W = Q L Q^T", "W = Q^T L Q"))
    rng = source.generator()
    q = reflectors(rng, 1, n)[0]
    q = q if side == "W = Q L Q^T" else q.T
    values = spectra(rng, 1, n)[0] * rng.choice([0.7, 1.0, 1.3])
    w = (q * values) @ q.T
    h = round_matrix(rng.standard_normal(n), dtype)
    symmetric = round_matrix((w + w.T) / 2.0, dtype)
    return PowerCase(symmetric, h, t, dtype, side, "judged", int(rng.integers(2**31)))


@law(
    "closed-form/symmetric",
    claim="C1",
    statement="for symmetric W = Q L Q^T, Q from at least two reflectors, the answer is Q L^t Q^T h(0); "
    "Q^T L^t Q, which has the same spectrum and norms, is another vector",
    source="eq. 10.39 of the textbook prints Q^T L^t Q",
    draw=_symmetric,
    script=SCRIPT,
    share=0.6,
)
def symmetric(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Judge the state for a symmetric matrix."""
    return Evidence((judge_state(case, subject.values(case.arguments, case.dtype)),))


LASTING = (
    *families_for(traits=["normal"]),
    "nonnegative",
    "random",
    "triangular",
    "diagonalisable",
    "complex pairs",
    "Jordan",
    "Jordan, hidden exactly",
    "companion",
    "random, complex",
)


def _large_time_case(source: Source, domain: Domain, subject: PowerSubject) -> PowerCase:
    """Draw t near a power of two, or between two of them, and scale W so that its powers stay in range."""
    highest = max(0, domain.max_length.bit_length() - 1)
    power = 2 ** source.integer(min(5, highest), highest)
    t = power + (source.choice((0, -1, 1)) if source.choice((True, False)) else source.integer(0, power))
    case = power_case(source, domain.limited(1), subject, shortest=1, families=LASTING, refusals="judged")
    return in_range(case, max(1, min(t, domain.max_length)))


def in_range(case: PowerCase, t: int) -> PowerCase:
    """Scale W to a spectral radius from which t steps go at most a few decades up or down."""
    rng = case.generator()
    with np.errstate(all="ignore"):
        radius = float(np.abs(np.linalg.eigvals(case.W)).max())
    if not 1e-3 < radius < 1e3:
        return replace(case, t=t)
    target = np.exp(rng.uniform(-15.0, 15.0) / t)
    w = case.W if abs(radius - 1.0) < 1e-12 else round_matrix(case.W * (target / radius), case.dtype)
    return replace(case, W=w, t=t)


def late_cases(domain: Domain, subject: PowerSubject) -> Iterator[PowerCase]:
    """Yield steps beyond 30 one by one, then powers of two and their neighbours up to the longest."""
    times = [*range(29, 34), *(2**k + d for k in range(6, 12) for d in (-1, 0, 1)), domain.max_length]
    few = (31, 64, 257)
    for t in few if subject.compiles else times:
        if t <= domain.max_length:
            rng = np.random.default_rng([t, 43])
            for family in ("normal with complex pairs", "nonnegative"):
                case = build_case(rng, 3, 1, family, domain.dtypes[0], refusals="judged")
                yield in_range(case, t)


@law(
    "closed-form/large-times",
    claim="C2",
    statement="the answer is exact at large t: beyond 30, at powers of two and their neighbours, up to the "
    "longest of the domain; a well-conditioned W may be refused at none of them",
    source="off-by-one errors of repeated squaring",
    draw=_large_time_case,
    fixed=late_cases,
    script=SCRIPT,
    share=0.6,
)
def large_times(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Judge the state at a large t."""
    return Evidence((judge_state(case, subject.values(case.arguments, case.dtype)),))


def _zero_time_case(source: Source, domain: Domain, subject: PowerSubject) -> PowerCase:
    return replace(power_case(source, domain, subject), t=0)


@law(
    "closed-form/time-zero",
    claim="C1",
    statement="at t = 0 the answer is h(0), for singular and defective W too",
    source=BOOK,
    draw=_zero_time_case,
    script="print(f(W, h0, 0), h0)",
    share=0.3,
)
def time_zero(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Judge the state at t = 0."""
    return Evidence((judge_state(case, subject.values(replace(case, t=0).arguments, case.dtype)),))
