r"""Components of h(0) along eigenvectors: below modulus 1 they vanish, above 1 they explode.

The matrices here are :math:`W = Q\Lambda Q^T` with Q a product of two reflectors along vectors of signs, and
:math:`\Lambda` of few bits, so that W, Q and h(0) = Q c are stored exactly: the laws hold of the stored
floats, and component i of :math:`Q^T h_t` is :math:`\lambda_i^t c_i`, known without any matrix power.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.contracts.domain import Domain
from dynprop.kinds.power.bounds import PowerBound, bound_of_state, length
from dynprop.kinds.power.cases import PowerCase
from dynprop.kinds.power.exact import TwoPart, combined, power_state
from dynprop.kinds.power.judging import allowance, as_exact, weigh
from dynprop.kinds.power.subject import PowerSubject
from dynprop.laws.draw import Source
from dynprop.laws.draw import length as number_of_steps
from dynprop.laws.evidence import Comparison, Evidence
from dynprop.laws.law import law

SIZES = (2, 4, 8)
EIGENVALUES = (0.5, 1.0, 1.5, -0.5, -1.0, 0.75, -1.25, 2.0, 0.25, 0.0)
TIES = "tied for the largest"


def _reflected(rng: np.random.Generator, n: int) -> FloatArray:
    """Product of two reflectors I - (2/n) v v^T with v of signs: every entry has few bits."""
    product = np.eye(n)
    for _ in range(2):
        v = rng.choice([-1.0, 1.0], (n, 1))
        product = product @ (np.eye(n) - (2.0 / n) * (v @ v.T))
    return product


def exact_modes(seed: int, n: int, family: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return Q, the eigenvalues and the coefficients c of h(0), the first eigenvalue the largest."""
    rng = np.random.default_rng([seed, 47])
    q = _reflected(rng, n)
    values = rng.choice(EIGENVALUES, n)
    order = np.argsort(-np.abs(values), kind="stable")
    values = values[order]
    if family == TIES:
        values[:2] = values[0] * np.array([1.0, -1.0])
    elif family == "equal moduli":
        values = np.abs(values[0]) * rng.choice([-1.0, 1.0], n)
    coefficients = rng.integers(1, 4, n) * rng.choice([-1.0, 1.0], n)
    return q, values, coefficients


def _case_with_exact_modes(source: Source, domain: Domain, families: tuple[str, ...]) -> PowerCase:
    dtype = source.choice([d for d in domain.dtypes if d in ("float64", "float32")])
    n = source.choice(SIZES)
    t = number_of_steps(source, domain.limited(256).max_length, shortest=1)
    family = source.choice(families)
    seed = int(source.generator().integers(2**31))
    q, values, coefficients = exact_modes(seed, n, family)
    return PowerCase((q * values) @ q.T, q @ coefficients, t, dtype, family, "free", seed)


def _distinct_or_tied_case(source: Source, domain: Domain, subject: PowerSubject) -> PowerCase:
    return _case_with_exact_modes(source, domain, ("exact eigenvectors", TIES, "equal moduli"))


def _equal_moduli_case(source: Source, domain: Domain, subject: PowerSubject) -> PowerCase:
    return _case_with_exact_modes(source, domain, ("equal moduli",))


def _has_exact_format(subject: PowerSubject) -> str | None:
    if not {"float64", "float32"} & set(subject.domain.dtypes):
        return "eigenvectors are exact in float64 and float32, and the domain has neither"
    return None


def _modes_of(case: PowerCase) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return Q, eigenvalues and coefficients; ValueError for a case with another matrix."""
    q, values, coefficients = exact_modes(case.seed, case.n, case.family)
    if not np.array_equal((q * values) @ q.T, case.W) or not np.array_equal(q @ coefficients, case.h):
        raise ValueError("the eigenvectors of this case are not known")
    return q, values, coefficients


def _bound_along(rows: FloatArray, bound: PowerBound) -> PowerBound:
    """Return the bound on the components along rows of unit length."""
    entry = np.abs(rows) @ bound.entry
    scale = np.abs(rows) @ bound.scale
    return replace(bound, entry=entry, scale=scale)


@law(
    "closed-form/modes",
    claim="C2",
    statement="along an eigenvector a component is multiplied by its eigenvalue at every step: it vanishes "
    "below magnitude 1, stays at 1, explodes above 1",
    source="Goodfellow, Bengio and Courville 2016, section 10.7",
    draw=_distinct_or_tied_case,
    applies=_has_exact_format,
    script="# W = Q diag(l) Q^T exactly: compare Q.T @ f(W, h0, t) with l**t * (Q.T @ h0)\n"
    "print(f(W, h0, t))",
    share=0.6,
)
def modes(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Judge the components along every eigenvector."""
    q, values, coefficients = _modes_of(case)
    state = subject.values(case.arguments, case.dtype)
    bound = bound_of_state(case.W, case.h, case.t, case.dtype)
    with np.errstate(all="ignore"):
        diagonal = power_state(np.diag(values), coefficients, case.t)
        size = length(diagonal.high)
    if np.iscomplexobj(state):
        state = state.real
    comparison = weigh(
        "components along eigenvectors",
        combined(q.T, as_exact(state)).high if np.isfinite(state).all() else np.full(case.n, np.nan),
        diagonal,
        _bound_along(q.T, bound),
        dtype=case.dtype,
        axes=("eigenvector",),
        allowed=allowance(case.W, case.h, case.t, case.dtype, size, float(bound.underflow.max())),
    )
    return Evidence((comparison,))


@law(
    "closed-form/discarding",
    claim="C3",
    statement="what is not along the dominant eigenvector is discarded relative to it, as the ratio of the "
    "moduli to the power t; a tie for the largest modulus discards nothing",
    source="Goodfellow, Bengio and Courville 2016, section 10.7",
    draw=_distinct_or_tied_case,
    applies=_has_exact_format,
    script="# W = Q diag(l) Q^T exactly: the tangent of the angle to Q[:, 0] falls as |l2/l1|**t\n"
    "print(f(W, h0, t))",
    share=0.4,
)
def discarding(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Judge the tangent of the angle between the state and the dominant eigenvector."""
    q, values, coefficients = _modes_of(case)
    state = subject.values(case.arguments, case.dtype)
    bound = bound_of_state(case.W, case.h, case.t, case.dtype)
    with np.errstate(all="ignore"):
        relative = np.where(values == 0.0, 0.0, values / values[0]) ** case.t
        subdominant = length((relative * coefficients)[1:])
        expected = subdominant / abs(coefficients[0])
        components = (
            combined(q.T, as_exact(state.real)).high if np.isfinite(state).all() else np.full(case.n, np.nan)
        )
        size = length(power_state(np.diag(values), coefficients, case.t).high)
        value = length(components[1:]) / np.abs(components[0])
        first = abs(float(values[0])) ** case.t * abs(coefficients[0])
        error = length(np.abs(q.T) @ np.minimum(bound.entry, float(bound.norm[0])))
        # A quotient of two lengths, each off by at most the error, and the rounding of this line.
        limit = _tangent_error(error, float(first), float(expected))
    magnitude = np.array([expected])
    tangent = PowerBound(
        np.array([limit]), np.array([limit]), magnitude, bound.underflow[:1], bound.in_range[:1]
    )

    def allowed() -> float:
        normwise = allowance(case.W, case.h, case.t, case.dtype, size, float(bound.underflow.max()))()
        return _tangent_error(normwise, float(first), float(expected))

    compared: Comparison = weigh(
        "tangent of the angle to the dominant eigenvector",
        np.array([value]),
        as_exact(magnitude),
        tangent,
        dtype=case.dtype,
        axes=("angle",),
        allowed=allowed,
    )
    return Evidence((compared,))


def _tangent_error(error: float, first: float, tangent: float) -> float:
    """Return the error of a quotient of lengths, (tangent, 1) times ``first``, each known up to ``error``."""
    if not error < first / 2.0:
        return np.inf
    return (1.0 + tangent) * error / (first - error) + 1e-13 * tangent


@law(
    "closed-form/norms",
    claim="C2",
    statement="where all eigenvalues of a normal W have one modulus r, the length of the state is r^t "
    "times the length of h(0): nothing turns into growth or decay",
    source="for normal W the norm of W^t is the spectral radius to the power t",
    draw=_equal_moduli_case,
    applies=_has_exact_format,
    script="import numpy as np\nh = np.asarray(f(W, h0, t))\nprint(np.linalg.norm(h) / np.linalg.norm(h0))",
    share=0.4,
)
def norms(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Judge the norm of the state."""
    _, values, coefficients = _modes_of(case)
    state = subject.values(case.arguments, case.dtype)
    bound = bound_of_state(case.W, case.h, case.t, case.dtype)
    with np.errstate(all="ignore"):
        expected = np.array([length(coefficients) * abs(float(values[0])) ** case.t])
        error = min(length(bound.entry), float(bound.norm[0])) + 1e-14 * expected
        norm = np.array([length(state)])
    comparison = weigh(
        "length of the state",
        norm,
        TwoPart(expected, np.zeros(1)),
        PowerBound(error, error, expected, bound.underflow[:1], bound.in_range[:1]),
        dtype=case.dtype,
        axes=("length",),
        allowed=allowance(
            case.W, case.h, case.t, case.dtype, float(expected[0]), float(bound.underflow.max())
        ),
    )
    return Evidence((comparison,))
