r"""Laws of eigenvalues, modes and the discard ratio: `spectrum`, `modes`, `discard_ratio` and the states.

With the components :math:`P_\lambda h_0` of the state in the eigenspaces of :math:`W^T`,

.. math:: h_t = \sum_\lambda \lambda^t P_\lambda h_0, \qquad \tan\theta_t =
    \Bigl(\sum_{\lambda\ne\lambda_1} |\lambda/\lambda_1|^{2t} \|P_\lambda h_0\|^2\Bigr)^{1/2}
    \Big/ \|P_{\lambda_1} h_0\|

Ties of the largest modulus discard nothing between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from dynprop.contracts.domain import Domain
from dynprop.kinds.agreement.judging import UNIT, compare_interval, compare_pair
from dynprop.kinds.agreement.norms import MODERATE, eigenvalue_error
from dynprop.kinds.agreement.subject import AgreementSubject, needs
from dynprop.kinds.power.bounds import length
from dynprop.kinds.power.cases import PowerCase, power_case
from dynprop.kinds.power.closed_form.modes import TIES, exact_modes
from dynprop.kinds.power.families.families import FAMILIES
from dynprop.laws.draw import Source
from dynprop.laws.draw import length as number_of_steps
from dynprop.laws.evidence import Evidence
from dynprop.laws.law import law

# Exact characteristic polynomials cost n^4; tests of dynprop.linear have larger matrices.
LARGEST = 5
DIAGONALISABLE = tuple(
    name
    for name in MODERATE
    if not FAMILIES[name].traits & {"defective", "nilpotent", "LAPACK"} and name not in ("Forsythe", "graded")
)


def _diagonalisable(source: Source, domain: Domain, subject: Any, *, longest: int) -> PowerCase:
    case = power_case(source, domain.limited(longest), subject, families=DIAGONALISABLE)
    if case.n <= LARGEST:
        return case
    kept = LARGEST
    return PowerCase(case.W[:kept, :kept], case.h[:kept], case.t, case.dtype, "", case.refusals, case.seed)


def _repeated(domain: Domain, subject: Any) -> Iterator[PowerCase]:
    """Yield eigenspaces of more than one dimension, which few drawn matrices have."""
    for values in ((0.5, 0.5), (0.5, 0.5, -0.25, -0.25, -0.25)):
        yield PowerCase(np.diag(values), np.ones(len(values)), 1, "float64", "repeated", "free", 0)


@law(
    "agreement/eigenvalues",
    claim="C2",
    statement="the eigenvalues of the spectrum are those of the modes, with their multiplicities, by "
    "decreasing modulus; the radius is the first modulus",
    source="Bauer and Fike 1960",
    draw=partial(_diagonalisable, longest=1),
    fixed=_repeated,
    applies=needs("spectrum", "modes"),
    script="print(f.spectrum(W), f.modes(W, h0))",
    share=0.4,
)
def eigenvalues(subject: AgreementSubject, case: PowerCase) -> Evidence:
    """Match the eigenvalues, and check their order."""
    from scipy.optimize import linear_sum_assignment

    spectrum, parts = subject.spectrum(case.W), subject.modes(case.W, case.h)
    exact = np.repeat(parts.eigenvalues, parts.multiplicities)
    if len(exact) != len(spectrum.eigenvalues):
        sizes = f"{len(spectrum.eigenvalues)} of the spectrum and {len(exact)} of the modes"
        return Evidence(failure=f"the numbers of eigenvalues differ: {sizes}")
    distances = np.abs(spectrum.eigenvalues[:, None] - exact[None])
    if not np.isfinite(distances).all():
        return Evidence(failure="an eigenvalue is not finite")
    rows, columns = linear_sum_assignment(distances)
    error = eigenvalue_error(case.W)
    moduli = np.abs(spectrum.eigenvalues)
    largest = float(moduli.max(initial=0.0))
    # Moduli within 1e-12 of the radius are ties, which may come in any order.
    tie, before = 2e-12 * largest, "modulus of an eigenvalue beside the one before"
    falls = compare_interval(
        before, moduli[1:], -np.inf, moduli[:-1], tie, axes=("eigenvalue",), largest=np.inf
    )
    stated_radius = np.array([spectrum.radius])
    radius = compare_interval(
        "radius", stated_radius, largest, largest, tie, axes=("radius",), largest=np.inf
    )
    label = "eigenvalues of the spectrum beside those of the modes"
    paired = compare_pair(label, spectrum.eigenvalues[rows], exact[columns], error, axes=("eigenvalue",))
    return Evidence((paired, falls, radius))


@law(
    "agreement/modes-of-the-state",
    claim="C2",
    statement="the closed form is the sum of the components of h(0), each times its eigenvalue to the t-th",
    source="Goodfellow, Bengio and Courville 2016, section 10.7",
    draw=partial(_diagonalisable, longest=64),
    applies=needs("modes", "closed_form"),
    script="import numpy as np\nm = f.modes(W, h0)\n"
    "print(f.closed_form(W, h0, t), m.eigenvalues**t @ m.components)",
    share=0.4,
)
def modes_of_the_state(subject: AgreementSubject, case: PowerCase) -> Evidence:
    """Compare the sum of the components with the closed form."""
    parts = subject.modes(case.W, case.h)
    closed, error = subject.closed_form(case.W, case.h, case.t).at(0)
    powers = parts.eigenvalues**case.t
    value = powers @ parts.components
    # The error of a component is relative to its norm, not to its entries.
    terms = np.abs(powers) @ np.linalg.norm(parts.components, axis=1)
    # An eigenvalue is rounded once and enters t times; numpy's complex power adds a few units.
    allowed = 8.0 * (case.t + case.n + 8.0) * UNIT * terms + error
    if not np.iscomplexobj(closed):
        closed = closed + 0.0j
    allowed = allowed if 1e-280 < terms < 1e300 else np.inf
    label = "sum of the components beside the closed form"
    return Evidence((compare_pair(label, value, closed, allowed, axes=("component",)),))


def _exact_normal(source: Source, domain: Domain, subject: Any) -> PowerCase:
    n = source.choice((2, 4))
    t = number_of_steps(source, domain.limited(64).max_length, shortest=0)
    family = source.choice(("exact eigenvectors", TIES, "equal moduli"))
    seed = int(source.generator().integers(2**31))
    q, values, coefficients = exact_modes(seed, n, family)
    return PowerCase((q * values) @ q.T, q @ coefficients, t, "float64", family, "free", seed)


@law(
    "agreement/discarding",
    claim="C3",
    statement="the discard ratio is the tangent of the angle between the closed form and the dominant "
    "eigenspace, and what the components say; a unique dominant modulus makes it fall as the ratio of the "
    "moduli to the power t, a tie leaves it as it is",
    source="Goodfellow, Bengio and Courville 2016, section 10.7",
    draw=_exact_normal,
    applies=needs("discard_ratio", "modes", "closed_form"),
    script="print(f.discard_ratio(W, h0, t), f.modes(W, h0), f.closed_form(W, h0, t))",
    share=0.6,
)
def discarding(subject: AgreementSubject, case: PowerCase) -> Evidence:
    """Measure the angle in three ways, for W = Q diag(l) Q^T with exact Q and l."""
    q, values, coefficients = exact_modes(case.seed, case.n, case.family)
    if not np.array_equal((q * values) @ q.T, case.W) or not np.array_equal(q @ coefficients, case.h):
        raise ValueError("the eigenvectors of this case are not known")
    stated = subject.discard_ratio(case.W, case.h, case.t)
    parts = subject.modes(case.W, case.h)
    sizes = np.linalg.norm(parts.components, axis=1)
    first = abs(parts.eigenvalues[0])
    relative = np.abs(parts.eigenvalues[1:]) / first if first > 0.0 else 0.0 * sizes[1:]
    expected = length(relative**case.t * sizes[1:]) / sizes[0]
    # The positive one of a tie comes first.
    dominant = values == max(values[np.abs(values) == np.abs(values).max()])
    state = subject.closed_form(case.W, case.h, case.t)
    along = q.T @ state.value
    # Q has few bits; the errors of the state and of this product, relative to the largest entry.
    error = np.sqrt(case.n) * (state.relative_bound + (case.n + 2) * UNIT) * float(np.abs(state.value).max())
    inside, outside = length(along[dominant]), length(along[~dominant])
    seen = outside / inside if inside > 0.0 else np.inf
    spread = (1.0 + seen) * 2.0 * error / (inside - error) if error < inside / 2.0 else np.inf
    rounded = 8.0 * (case.t + case.n + 8.0) * UNIT * max(expected, stated)
    angles = [np.array([angle]) for angle in (stated, expected, seen)]
    one = ("angle",)
    return Evidence(
        (
            compare_pair("discard ratio beside the components", angles[0], angles[1], rounded, axes=one),
            compare_pair(
                "discard ratio beside the state", angles[0], angles[2], spread + 1e-15 * stated, axes=one
            ),
        )
    )
