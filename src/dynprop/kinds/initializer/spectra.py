"""Laws of promised spectra: orthonormal vectors, a spectral radius."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from dynprop.contracts.domain import Domain
from dynprop.kinds.initializer.cases import SHAPES, InitializerCase, any_shape, square
from dynprop.kinds.initializer.chance import DRAWS, compare_sign_frequency
from dynprop.kinds.initializer.judging import compare_number, evidence, sample
from dynprop.kinds.initializer.subject import InitializerSubject
from dynprop.laws.evidence import Evidence
from dynprop.laws.law import law
from dynprop.laws.statistics import STATEMENT

# Empirical factors of n u: in a Gram matrix, and in eigenvalues by one of two algorithms.
GRAM = 8.0
EIGENVALUE = 8.0


def _orthogonal(subject: InitializerSubject) -> str | None:
    declared = subject.law_of_weights
    is_orthogonal = declared is not None and declared.name == "orthogonal"
    return None if is_orthogonal else "the law is not declared to be orthogonal (--law orthogonal)"


def single_calls(domain: Domain, subject: InitializerSubject) -> Iterator[InitializerCase]:
    """Yield every designed shape, called once."""
    for i, (fan_in, fan_out) in enumerate(SHAPES):
        yield InitializerCase(fan_in, fan_out, 83 + i)


@law(
    "initializer/orthogonal",
    claim="C5",
    statement="rows or columns, whichever are fewer, are orthogonal and of one norm: that of the promised "
    "variance, which then is the square of the norm over the longer side",
    source="Saxe, McClelland and Ganguli 2014, arXiv:1312.6120; Higham 2002, theorem 19.4",
    draw=any_shape,
    fixed=single_calls,
    applies=_orthogonal,
    script="w = f(shape, rng)\nprint(w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T)",
    share=0.2,
)
def orthogonal(subject: InitializerSubject, case: InitializerCase) -> Evidence:
    """Compare the Gram matrix with a multiple of the identity.

    Householder's Q departs from orthogonality by at most a small constant times n^1.5 u in norm; the larger
    of 8 n u and n^1.5 u for an entry, n the longer side, is that with a constant of 1 (worst observed up to
    n = 64: 0.02 of it; at n = 512: 0.002).
    """
    weights, unit = sample(subject, InitializerCase(case.fan_in, case.fan_out, case.seed))
    matrix, longer = weights[0], max(case.fan_in, case.fan_out)
    gram = matrix.T @ matrix if case.fan_in >= case.fan_out else matrix @ matrix.T
    square_norm = float(gram.diagonal().mean())
    if "variance" in subject.promises:
        square_norm = subject.promises["variance"].at(case.fan_in, case.fan_out) * longer
    departure = float(np.abs(gram - square_norm * np.eye(len(gram))).max())
    allowed = max(GRAM * longer, longer**1.5) * unit * square_norm
    label = f"largest departure of the Gram matrix from {square_norm:.4g} times the identity"
    return evidence([compare_number(label, departure, 0.0, 0.0, allowed)])


def _square_cases(domain: Domain, subject: InitializerSubject) -> Iterator[InitializerCase]:
    """Yield square matrices of small sizes, and one of 33 rows."""
    for n in (1, 2, 3, 4, 5, 8, 16, 33):
        yield InitializerCase(n, n, 89 + n)


@law(
    "initializer/determinant-signs",
    claim="C5",
    statement="the determinant of a square orthogonal matrix is positive and negative equally often, exactly "
    "binomial: reflections are as frequent as rotations (false alarms at the rate of a statement)",
    source="Mezzadri 2007, Notices AMS 54:592: Haar measure on O(n) has both components",
    draw=square,
    fixed=_square_cases,
    applies=_orthogonal,
    script="import numpy as np\n"
    "signs = [np.sign(np.linalg.det(np.asarray(f(shape, rng)))) for _ in range({calls})]\n"
    "print(np.mean(np.array(signs) > 0))",
    share=0.1,
)
def determinant_signs(subject: InitializerSubject, case: InitializerCase) -> Evidence:
    """Count positive determinants over many calls; the sign of an orthogonal matrix is exact."""
    weights, _ = sample(subject, InitializerCase(case.fan_in, case.fan_out, case.seed, DRAWS))
    if not np.isfinite(weights).all():
        return Evidence(failure="weights have NaN or infinity among them")
    positive = np.linalg.slogdet(weights)[0] > 0.0
    judged = evidence([compare_sign_frequency("positive determinants", positive)])
    return Evidence(judged.comparisons, judged.failure, {"calls": DRAWS, "false_alarm": STATEMENT})


def _radius(subject: InitializerSubject) -> str | None:
    return None if "radius" in subject.promises else "no spectral radius is promised (--promise radius=EXPR)"


@law(
    "initializer/spectral-radius",
    claim="C2",
    statement="square matrices have the promised spectral radius, each of them and not on average",
    source="Jaeger 2001; Sutskever et al. 2013, section 4",
    draw=square,
    applies=_radius,
    script="import numpy as np\nprint(abs(np.linalg.eigvals(np.asarray(f(shape, rng)))).max(), {promised})",
    share=0.3,
)
def spectral_radius(subject: InitializerSubject, case: InitializerCase) -> Evidence:
    """Compare the largest modulus of an eigenvalue with the promise.

    An eigenvalue of condition k moves by k times the perturbation of the matrix: 8 n u of its norm for either
    of two backward stable algorithms (the 8 is empirical; worst observed: 0.03 of the bound), and the
    rounding of the entries to their format.
    """
    weights, unit = sample(subject, InitializerCase(case.fan_in, case.fan_out, case.seed))
    promised = subject.promises["radius"].at(case.fan_in, case.fan_out)
    values, vectors = np.linalg.eig(weights[0])
    radius = float(np.abs(values).max())
    size = float(np.linalg.norm(weights[0]))
    with np.errstate(all="ignore"):
        condition = float(np.linalg.norm(np.linalg.pinv(vectors), axis=1).max())
    allowed = (2.0 * EIGENVALUE * case.fan_in * 2.0**-53 + 2.0 * unit) * condition * size
    if not math.isfinite(allowed) or allowed > 1e-3 * promised:
        return Evidence(detail={"undecidable": f"eigenvalues of condition {condition:.2g}"})
    label = f"spectral radius of a {case.fan_in} x {case.fan_in} matrix"
    judged = evidence([compare_number(label, radius, promised, promised - allowed, promised + allowed)])
    return Evidence(judged.comparisons, judged.failure, {"promised": promised})
