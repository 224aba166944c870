r"""Exact decisions about the stored matrix: defective, nilpotent, eigenvalues on the unit circle.

A float is an integer times a power of two, so :math:`N = 2^s W` is an integer matrix with the
eigenvectors of W. Let r be the product of the factors of its characteristic polynomial with roots of
multiplicity above one, each factor once. W is diagonalisable iff r(N) has the kernel of full dimension, the
sum of those multiplicities: diag(1, 1, 2) is. FLINT's minimal polynomial would say the same, but is wrong for
some matrices, such as diag(2⁷⁰, 3) (`fmpz_mat_minpoly`, FLINT 3.3); its characteristic polynomial and ranks
are not. A complex :math:`A + iB` is first written as the real
:math:`[[A, -B], [B, A]]`, similar to :math:`(A + iB) \oplus (A - iB)`, which is diagonalisable,
nilpotent or of spectral radius ρ exactly where A + iB is.

Most decisions need no large numbers. Modulo a prime q ≡ 1 (mod 4), in which i is the number
:math:`I` with :math:`I^2 = -1`, the characteristic polynomial of the image is the image of that of
N. If the image has distinct roots, its discriminant is not zero, so neither is that of N, and W is
not defective. If :math:`N^n \ne 0` modulo q then W is not nilpotent. Only the other cases need
exact arithmetic, whose cost is estimated in advance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dynprop.errors import PrecisionError
from dynprop.linear.arithmetic.balls import certainly_ge, certainly_lt, rational_matrix
from dynprop.linear.validation import Matrix
from dynprop.precision import working_precision

if TYPE_CHECKING:
    from flint import acb, fmpq_poly, fmpz_mat, fmpz_poly, nmod_mat

__all__ = [
    "MAX_WORK",
    "IntegerForm",
    "integer_form",
    "is_defective",
    "nilpotency_index",
    "on_true_scale",
    "powers_stay_bounded",
    "reverse",
    "root_balls",
]

# Default limit on n⁴·bits, the cost of an exact characteristic polynomial: some ten seconds.
MAX_WORK = 2.5e11

_PRIME = 4611686018427387817
_ROOT_OF_MINUS_ONE = 4490822397581186023


@dataclass(frozen=True)
class IntegerForm:
    """The integer matrix 2**shift · W, in its real form where W is complex.

    Attributes:
        matrix: shape (n, n), or (2n, 2n) for complex W.
        shift: the power of two.
        bits: size of the largest entry.
    """

    matrix: fmpz_mat
    shift: int
    bits: int

    @property
    def work(self) -> float:
        """Estimated cost of exact polynomials of this matrix, in units of some 4e-11 s."""
        return float(self.matrix.nrows()) ** 4 * (self.bits + 8.0)

    def require_affordable(self, max_work: float) -> None:
        """Raise PrecisionError if exact arithmetic would cost more than max_work."""
        if self.work > max_work:
            size, bits = self.matrix.nrows(), self.bits
            raise PrecisionError(
                f"exact arithmetic on {size} × {size} integers of {bits} bits costs {self.work:.1e} units,"
                f" more than max_work={max_work:.1e}: raise max_work"
            )

    def characteristic(self) -> fmpz_poly:
        """Return the characteristic polynomial, monic with integer coefficients."""
        return self.matrix.charpoly()


def integer_form(W: Matrix) -> IntegerForm:
    """Return 2**s · W, exactly."""
    matrix, denominator = rational_matrix(W).numer_denom()
    bits = max((int(x).bit_length() for x in matrix.entries()), default=0)
    return IntegerForm(matrix, int(denominator).bit_length() - 1, bits)


def is_defective(W: Matrix, max_work: float = MAX_WORK) -> bool:
    """Whether the stored matrix has fewer than n independent eigenvectors; exact.

    Raises:
        PrecisionError: the exact test costs more than max_work.
    """
    if len(W) < 2 or _distinct_modulo_prime(W):
        return False
    form = integer_form(W)
    form.require_affordable(max_work)
    return not _semisimple(form, _squarefree(form.characteristic()))


def _squarefree(polynomial: fmpz_poly) -> list[tuple[fmpz_poly, int]]:
    """Return squarefree factors, coprime to one another, with their multiplicities (Yun 1976).

    The polynomial is monic with integer coefficients, and so are the factors.
    """
    rest = polynomial.gcd(polynomial.derivative())
    radical, found, multiplicity = polynomial // rest, [], 1
    while radical.degree() > 0:
        repeated = radical.gcd(rest)
        if (once := radical // repeated).degree() > 0:
            found.append((once, multiplicity))
        radical, rest, multiplicity = repeated, rest // repeated, multiplicity + 1
    return found


def _semisimple(form: IntegerForm, factors: list[tuple[fmpz_poly, int]]) -> bool:
    """Whether roots of factors of the characteristic polynomial have as many eigenvectors as they should."""
    from flint import nmod_mat

    repeated = [(factor, count) for factor, count in factors if count > 1 and factor.degree() > 0]
    if not repeated:
        return True
    rank = form.matrix.nrows() - sum(count * int(factor.degree()) for factor, count in repeated)
    product = _product([factor for factor, _ in repeated])
    # A rank modulo a prime is at most the rank.
    if _evaluated(product, nmod_mat(form.matrix, _PRIME)).rank() > rank:
        return False
    return int(_evaluated(product, form.matrix).rank()) == rank


def _product(factors: list[fmpz_poly]) -> fmpz_poly:
    from flint import fmpz_poly

    product = fmpz_poly([1])
    for factor in factors:
        product *= factor
    return product


def _evaluated(polynomial: fmpz_poly, matrix: Any) -> Any:
    """Return a polynomial of an integer or modular matrix, in about 2 √degree products of matrices.

    Source: Paterson and Stockmeyer (1973), SIAM J. Comput. 2.
    """
    coefficients = polynomial.coeffs()
    step = math.isqrt(len(coefficients)) + 1
    powers = [matrix**0]
    for _ in range(step):
        powers.append(powers[-1] * matrix)
    value = powers[0] * 0
    for start in reversed(range(0, len(coefficients), step)):
        value = value * powers[step]
        for power, coefficient in zip(powers[:step], coefficients[start : start + step], strict=False):
            value = value + power * coefficient
    return value


def nilpotency_index(W: Matrix) -> int | None:
    """Return the least m with W**m = 0 exactly, None if there is none; the zero matrix has index 1."""
    n = len(W)
    if n == 0:
        return 0
    if (_image(W) ** n).rank():
        return None
    squares = [integer_form(W).matrix]
    while not squares[-1].is_zero():
        # N is nilpotent iff N**n = 0; that N**n vanishes modulo a prime does not prove it.
        if 1 << (len(squares) - 1) >= n:
            return None
        squares.append(squares[-1] * squares[-1])
    if len(squares) == 1:
        return 1
    power, exponent = squares[-2], 1 << (len(squares) - 2)
    for k in range(len(squares) - 3, -1, -1):
        further = power * squares[k]
        if not further.is_zero():
            power, exponent = further, exponent + (1 << k)
    return exponent + 1


def _image(W: Matrix) -> nmod_mat:
    """Return 2**s · W modulo the prime, i standing for the root of minus one."""
    from flint import nmod_mat

    n = len(W)
    if not np.iscomplexobj(W):
        return nmod_mat(integer_form(W).matrix, _PRIME)
    parts = integer_form(np.concatenate([W.real, W.imag])).matrix
    whole = nmod_mat(parts, _PRIME)
    rows = whole.tolist()
    real = nmod_mat(n, n, [int(x) for row in rows[:n] for x in row], _PRIME)
    imag = nmod_mat(n, n, [int(x) for row in rows[n:] for x in row], _PRIME)
    return real + imag * _ROOT_OF_MINUS_ONE


def _distinct_modulo_prime(W: Matrix) -> bool:
    polynomial = _image(W).charpoly()
    return int(polynomial.gcd(polynomial.derivative()).degree()) == 0


def powers_stay_bounded(W: Matrix, max_work: float = MAX_WORK) -> bool | None:
    """Whether sup ‖Wᵗ‖ is finite; exact, None beyond max_work or 4,096 bits.

    It is finite iff no eigenvalue exceeds modulus one and those on the circle are semisimple. Let p be a
    squarefree factor of the characteristic polynomial of the real form and a the greatest common divisor of
    p and its reverse. The roots of a are the roots of p on the circle, and pairs λ, 1/λ. So sup ‖Wᵗ‖ is
    finite iff every a has all roots on the circle, all p/a have all roots inside it, and the roots of every a
    have as many eigenvectors as p has multiplicity.
    """
    form = integer_form(W)
    if form.work > max_work:
        return None
    factors = _squarefree(form.characteristic())
    radical = on_true_scale(_product([factor for factor, _ in factors]), form.shift)
    circle = radical.gcd(reverse(radical))
    inside = radical / circle
    # In the scale of the integers the common factors are monic with integer coefficients again.
    scaled = on_true_scale(circle, -form.shift).numer()
    if not _semisimple(form, [(factor.gcd(scaled), count) for factor, count in factors]):
        return False
    for bits in (64, 256, 1024, 4096):
        with working_precision(bits):
            on, off = _roots(circle), _roots(inside)
            if any(certainly_ge(abs(root), 1) and not abs(root).contains(1) for root in on + off):
                return False
            if all(certainly_lt(abs(root), 1) for root in off) and _own_mirrors(on):
                return True
    return None


def on_true_scale(polynomial: fmpz_poly | fmpq_poly, shift: int) -> fmpq_poly:
    """Return p(2**shift x): the roots of a polynomial of 2**shift · W become those of W itself."""
    from flint import fmpq, fmpq_poly

    coefficients: list[Any] = polynomial.coeffs()
    return fmpq_poly([c * fmpq(2) ** (shift * i) for i, c in enumerate(coefficients)])


def reverse(polynomial: fmpq_poly) -> fmpq_poly:
    """Return the polynomial whose roots are the inverses of those that are not zero."""
    from flint import fmpq_poly

    return fmpq_poly(polynomial.coeffs()[::-1])


def root_balls(polynomial: fmpz_poly | fmpq_poly) -> list[tuple[acb, int]]:
    """Enclose the distinct roots at the current precision, each with its exact multiplicity."""
    from flint import acb

    # python-flint's annotation leaves the multiplicities out; a constant has no roots.
    found: Any = polynomial.complex_roots() if polynomial.degree() > 0 else []
    return [(acb(ball), int(count)) for ball, count in found]


def _roots(polynomial: fmpq_poly) -> list[acb]:
    return [ball for ball, _ in root_balls(polynomial)]


def _own_mirrors(balls: list[acb]) -> bool:
    """Whether each root λ equals its mirror image 1/λ̄ and so has modulus one.

    The image of a root is a root; if the image of its ball overlaps no other ball, it is the same root.
    """
    return all(
        not (1 / ball.conjugate()).overlaps(other)
        for i, ball in enumerate(balls)
        for j, other in enumerate(balls)
        if i != j
    )
