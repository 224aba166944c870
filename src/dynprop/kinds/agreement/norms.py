r"""How far powers grow: norms, the spectral radius, eigenvector condition and Kreiss constant of one matrix.

.. math:: \rho^t \le \|W^t\| \le \kappa(V)\rho^t, \qquad
    \|W^t\| \le \sum_{k<n} \binom{t}{k}\rho^{t-k}\nu^k, \qquad K \le \sup_t \|W^t\| \le e\,n\,K

(Trefethen and Embree 2005, chapters 14 to 16; the factor e n is Spijker's, 1991). For
normal W the first line is :math:`\|W^t\| = \rho^t`.

Slack. Radius, condition and departure are LAPACK's: by Bauer and Fike an eigenvalue has an error of
:math:`8nu\kappa\|W\|` (the 8 is empirical: at most 0.5 of it was seen), t times that in the logarithm. The
error of a norm is what `growth` states, and at most the 1e-6 that it promises. Nothing is decided where the
slack is not small.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, NumericArray
from dynprop.contracts.domain import Domain
from dynprop.kinds.agreement.judging import UNIT, compare_interval, product_form_error
from dynprop.kinds.agreement.subject import AgreementSubject, Norms, needs
from dynprop.kinds.power.bounds import bound_of_states, condition
from dynprop.kinds.power.cases import PowerCase, build_case, power_case, usable_families
from dynprop.kinds.power.families.families import FAMILIES, families_for
from dynprop.laws.draw import Source
from dynprop.laws.evidence import Comparison, Evidence
from dynprop.laws.law import law

__all__ = ["eigenvalue_error", "errors_of", "normality"]

# The error of a logarithm that `growth` promises by default.
PROMISED = 1e-6
# Empirical factor of Bauer and Fike's bound for LAPACK's eigenvalues.
BAUER_FIKE = 8.0
# A grid search may return a Kreiss constant that is too small by this share.
MISSED = 0.05
NORMAL = families_for(traits=["normal"], without=["LAPACK"])
MODERATE = tuple(name for name in FAMILIES if not FAMILIES[name].extreme)


def _short(
    source: Source, domain: Domain, subject: Any, *, families: tuple[str, ...], longest: int
) -> PowerCase:
    return power_case(source, domain.limited(longest), subject, shortest=1, families=families)


def _one_of_every_family(domain: Domain, _subject: AgreementSubject) -> Iterator[PowerCase]:
    """Yield 16 steps of a small matrix of every moderate family."""
    dtype = domain.dtypes[0]
    for i, family in enumerate(usable_families(MODERATE, dtype)):
        n = max(4, FAMILIES[family].smallest)
        yield build_case(np.random.default_rng([i, 29]), n, min(16, domain.max_length), family, dtype)


def errors_of(norms: Norms) -> FloatArray:
    """Return the errors of logarithms of norms: the stated ones, at most the promised one."""
    size = np.where(np.isfinite(norms.logs), np.abs(norms.logs), 0.0)
    return np.minimum(norms.errors, PROMISED + 16.0 * UNIT * size)


def eigenvalue_error(w: NumericArray) -> float:
    """Return the error bound of LAPACK's eigenvalues (Bauer and Fike 1960), infinite if defective."""
    kappa = condition(w)
    with np.errstate(all="ignore"):
        found = BAUER_FIKE * len(w) * UNIT * kappa * float(np.linalg.norm(w, 2))
    return found if np.isfinite(found) else math.inf


def normality(w: NumericArray) -> float:
    """Return the distance of W^H W and W W^H, relative to ||W||^2."""
    size = float(np.linalg.norm(w, 2)) or 1.0
    w = w / size
    return float(np.linalg.norm(w.conj().T @ w - w @ w.conj().T))


@law(
    "agreement/growth-of-the-unrolled",
    claim="C2",
    statement="growth says the 2-norms of the powers that an unroll of the unit vectors gives",
    source="Trefethen and Embree 2005, chapter 14",
    draw=partial(_short, families=tuple(FAMILIES), longest=32),
    applies=needs("unroll", "growth"),
    script="import numpy as np\n"
    "powers = np.stack([f.unroll(W, row, t) for row in np.eye(len(W), dtype=W.dtype)], axis=1)\n"
    "print(np.log(np.linalg.norm(powers, 2, axis=(1, 2))), f.growth(W, t).log_norms)",
    share=0.6,
)
def growth_of_the_unrolled(subject: AgreementSubject, case: PowerCase) -> Evidence:
    """Compare with singular values of unrolled powers, whose rows have known error bounds."""
    found = subject.growth(case.W, case.t)
    rows = np.eye(case.n, dtype=case.W.dtype)
    powers = np.stack([subject.unroll(case.W, row, case.t) for row in rows], axis=1)
    error, gone = np.zeros(case.t + 1), np.zeros(case.t + 1, dtype=bool)
    for i, row in enumerate(rows):
        bound = bound_of_states(case.W, row, case.t, case.dtype)
        # n times the largest entry is no less than the Frobenius norm, and squares nothing.
        error = np.maximum(error, case.n * product_form_error(bound, powers[:, i]).max(axis=1))
    usable = np.isfinite(powers).all(axis=(1, 2))
    norms = np.full(case.t + 1, np.nan)
    norms[usable] = np.linalg.norm(powers[usable], 2, axis=(1, 2))
    # The norm moves by no more than the error in the Frobenius norm; the singular value rounds once more.
    relative = (error + 8.0 * case.n * UNIT * norms) / norms
    # A power is exactly zero where no path of t nonzero entries is left; any other zero has underflowed.
    links = path = case.W != 0.0
    for t in range(1, case.t + 1):
        gone[t] = not path.any()
        path = (path.astype(int) @ links) > 0
    slack = np.where(relative < 0.5, -np.log1p(-relative), np.inf) + errors_of(found)
    logs, room = np.log(norms), np.where(gone, 0.0, slack)
    return Evidence(
        (compare_interval("logarithm of the norm", found.logs, logs, logs, room, axes=("time",)),)
    )


@law(
    "agreement/normal-growth",
    claim="C2",
    statement="for normal W the norm of W^t is the spectral radius to the power t: below 1 it falls at every "
    "step, above 1 it rises",
    source="Goodfellow, Bengio and Courville 2016, section 10.7",
    draw=partial(_short, families=NORMAL, longest=256),
    applies=needs("growth", "spectrum"),
    script="import numpy as np\n"
    "print(f.growth(W, t).log_norms, np.arange(t + 1) * np.log(f.spectrum(W).radius))",
    share=0.6,
)
def normal_growth(subject: AgreementSubject, case: PowerCase) -> Evidence:
    """Compare log norms with multiples of the log radius.

    W is normal up to a few n u of rounding, and its powers drift by t times that.
    """
    if normality(case.W) > 64.0 * case.n * UNIT:
        raise ValueError("the case is not normal")
    found, steps = subject.growth(case.W, case.t), np.arange(case.t + 1.0)
    logs = _multiples(_log(subject.spectrum(case.W).radius), steps)
    slack = 64.0 * case.n * UNIT * steps + errors_of(found)
    return Evidence(
        (compare_interval("logarithm of the norm", found.logs, logs, logs, slack, axes=("time",)),)
    )


@law(
    "agreement/radius-and-condition",
    claim="C2",
    statement="the norm of W^t is at least the radius to the power t, at most the condition of the "
    "eigenvectors times that, and at most Henrici's sum, so that its t-th root tends to the radius",
    source="Trefethen and Embree 2005, chapters 14 and 16; Henrici 1962",
    draw=partial(_short, families=MODERATE, longest=256),
    fixed=_one_of_every_family,
    applies=needs("growth", "spectrum"),
    script="s = f.spectrum(W)\nprint(f.growth(W, t).log_norms, s.radius, s.condition, s.departure)",
)
def radius_and_condition(subject: AgreementSubject, case: PowerCase) -> Evidence:
    """Put log norms between the classical bounds."""
    found, spectrum = subject.growth(case.W, case.t), subject.spectrum(case.W)
    steps = np.arange(case.t + 1.0)
    if spectrum.radius == 0.0:
        slack: FloatArray = np.full(case.t + 1, np.inf)
    else:
        # The error of an eigenvalue, in its logarithm, t times; the condition errs by about as much.
        relative = eigenvalue_error(case.W) / spectrum.radius
        slack = (steps + 4.0) * relative + errors_of(found) + 64.0 * case.n * UNIT
    low = _multiples(_log(spectrum.radius), steps)
    high = np.minimum(
        _log(spectrum.condition) + low,
        _henrici(_log(spectrum.radius), _log(spectrum.departure), case.n, steps),
    )
    label = "logarithm of the norm between its bounds"
    # Rounding at t = 0 or for normal W can make the bounds cross.
    compared = compare_interval(label, found.logs, low, np.maximum(high, low), slack, axes=("time",))
    return Evidence((compared,))


@law(
    "agreement/kreiss",
    claim="C2",
    statement="the Kreiss constant is at least 1 and what the resolvent shows at any point outside the unit "
    "circle, at most the largest norm of a power, and that is at most e n times the constant",
    source="Kreiss 1962; Spijker 1991; Trefethen and Embree 2005, chapters 14 and 18",
    draw=partial(_short, families=MODERATE, longest=256),
    applies=needs("growth", "kreiss_constant"),
    script="print(f.kreiss_constant(W), f.growth(W, 4 * t + 64).peak)",
    share=0.4,
)
def kreiss(subject: AgreementSubject, case: PowerCase) -> Evidence:
    """Put the constant between a few values of the resolvent and the peak of the powers."""
    constant = subject.kreiss_constant(case.W)
    found = subject.growth(case.W, 4 * case.t + 64)
    errors, peak = errors_of(found), float(found.logs.max())
    # Once a norm is below one, no later norm exceeds the largest so far: the peak is that of all powers.
    settled = bool((found.logs + errors < 0.0).any())
    slack = float(errors.max()) + 1e-5
    log = math.log(constant) if constant > 0.0 else -math.inf
    low = max(0.0, _resolvent_on_circles(case.W) if settled else 0.0)
    high = peak if settled else math.inf
    from_below = _single("log Kreiss constant", log, low, high, slack + (MISSED if low > 0.0 else 0.0))
    ceiling = 1.0 + math.log(case.n) + log
    from_above = _single("log of the largest norm", peak, -math.inf, ceiling, slack + MISSED)
    return Evidence((from_below, from_above))


def _single(label: str, value: float, low: float, high: float, slack: float) -> Comparison:
    return compare_interval(label, np.array([value]), low, high, slack, axes=("constant",))


def _resolvent_on_circles(w: NumericArray) -> float:
    """Return the largest log of (|z| - 1) ||(zI - W)^-1|| over points where LAPACK is accurate."""
    radii = 1.0 + np.geomspace(1e-3, 10.0, 9)
    angles = np.exp(2j * np.pi * np.arange(24) / 24.0)
    z = (radii[:, None] * angles).ravel()
    shifted = z[:, None, None] * np.eye(len(w)) - w
    sizes = np.linalg.svd(shifted, compute_uv=False)
    known = sizes[:, -1] > 1e-8 * sizes[:, 0]
    found = np.log((np.abs(z) - 1.0) / sizes[:, -1], where=known, out=np.full(len(z), -np.inf))
    return float(found.max())


def _log(x: float) -> float:
    return math.log(x) if x > 0.0 else -math.inf


def _multiples(log: float, counts: FloatArray) -> FloatArray:
    """Return counts times log, 0 for the empty product whatever the log."""
    with np.errstate(invalid="ignore"):
        return np.where(counts == 0.0, 0.0, counts * log)


def _henrici(log_radius: float, log_departure: float, n: int, steps: FloatArray) -> FloatArray:
    """Return the log of the sum over k < n of (t choose k) radius^(t - k) departure^k."""
    found = np.full(len(steps), -np.inf)
    for i, t in enumerate(steps.astype(int).tolist()):
        for k in range(min(n, t + 1)):
            ways = math.log(math.comb(t, k))
            power = (0.0 if t == k else (t - k) * log_radius) + (0.0 if k == 0 else k * log_departure)
            found[i] = np.logaddexp(found[i], ways + power)
    return found
