"""Cases of matrix powers: a matrix, a vector and a number of steps.

Rows are states: h(t) = h(t-1) @ W, so that h_t is the transpose of the t-th power of W times h_0
(Goodfellow, Bengio and Courville 2016, eq. 10.37 to 10.39).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np

from dynprop.arrays import IntArray, NumericArray
from dynprop.contracts.domain import Domain
from dynprop.contracts.formats import FORMATS
from dynprop.kinds.power.bounds import is_well_conditioned
from dynprop.kinds.power.families.families import FAMILIES, draw_matrices, round_matrix
from dynprop.laws.cases import ArrayCase, Axes, fewer, one_bit, three_bits
from dynprop.laws.draw import Source, length
from dynprop.laws.integers import MOST, REFUSALS

__all__ = [
    "LARGEST",
    "USUAL",
    "VECTORS",
    "PowerCase",
    "build_case",
    "power_case",
    "scaled_to_range",
    "size_of_state",
    "usable_families",
    "vectors",
    "within_format",
]

Rng = np.random.Generator
VECTORS = ("random", "whole numbers", "unit vector", "ones", "with zeros", "wide")
FEW_SIZES = (1, 2, 3, 5)
# Most sizes are at most USUAL.
USUAL, LARGEST = 8, 16


@dataclass(frozen=True)
class PowerCase(ArrayCase):
    """One input of an unroll or a closed form; every number is representable in the dtype.

    Attributes:
        W: shape (n, n), float64 or complex128.
        h: shape (n,), of the same dtype.
        t: number of steps.
        dtype: the real format that the subject computes in; complex data have two numbers of it.
        family: the class of matrices that W was drawn from.
        refusals: who may refuse: "at zero" (an unroll of no steps), "free" (a closed form, in a law that
            leaves refusals to another), "judged" (a closed form, unless it is well-conditioned), "integers"
            (where powers of integers do not fit 64 bits) or "numpy t" (whoever takes Python integers only).
        seed: seed of further random numbers of a law.
    """

    W: Annotated[NumericArray, Axes(("n", "n"))]
    h: Annotated[NumericArray, Axes(("n",))]
    t: int
    dtype: str
    family: str = ""
    refusals: str = "free"
    seed: int = 0

    @property
    def arguments(self) -> tuple[NumericArray, NumericArray, int]:
        """The arguments of an unroll or a closed form, in order."""
        return self.W, self.h, self.t

    @property
    def n(self) -> int:
        """Size of the state."""
        return len(self.h)

    @property
    def steps(self) -> int:
        """Number of steps."""
        return self.t

    @property
    def is_complex(self) -> bool:
        """Whether the data are complex."""
        return np.iscomplexobj(self.W)

    @property
    def refusal_types(self) -> tuple[type[BaseException], ...]:
        """The exceptions by which this case may be refused."""
        if self.refusals == "at zero":
            return (ValueError, TypeError, NotImplementedError)
        if self.refusals in ("integers", "numpy t"):
            return (*REFUSALS, AttributeError) if self.refusals == "numpy t" else REFUSALS
        return (ValueError, ArithmeticError)

    def refusable(self) -> bool:
        """Whether an implementation may refuse this case with a plain error."""
        if self.refusals == "at zero":
            return self.t == 0
        if self.refusals in ("free", "numpy t"):
            return True
        if self.refusals == "integers":
            return not self.powers_fit()
        return not is_well_conditioned(self.W, self.h, self.t, self.dtype)

    def powers_fit(self) -> bool:
        """Whether |W|^k for k <= 2t, and |h| times it for k <= t, fit 64 bits.

        A squaring may square once more than it needs.
        """
        w, row = np.abs(self.W.astype(object)), np.abs(self.h.astype(object))
        power = np.eye(self.n, dtype=object)
        for k in range(2 * self.t + 1):
            if max(power.max(), row.max() if k <= self.t else 0) > MOST:
                return False
            following = np.asarray(power @ w)
            if np.array_equal(following, power) and k > self.t:
                break
            power, row = following, row @ w
        return True

    def describe(self) -> str:
        """Describe the case on one line."""
        kind = f", {self.family}" if self.family else ""
        numbers = {"float64": "complex128", "float32": "complex64"}.get(self.dtype, f"complex {self.dtype}")
        return f"{numbers if self.is_complex else self.dtype}, W {self.n}x{self.n}{kind}, {self.t} steps"

    def generator(self) -> Rng:
        """Return a Generator seeded by the case."""
        return np.random.default_rng([self.seed, 29])

    def vector(self, rng: Rng) -> NumericArray:
        """Return another vector of the same dtype, each component random."""
        return round_matrix(vectors(rng, 1, self.n, "random", complex_=self.is_complex)[0], self.dtype)

    def smaller(self) -> Iterator[PowerCase]:
        """Yield simpler cases: fewer steps, fewer components, simpler numbers."""
        for t in fewer(self.t, self.t // 2, self.t - self.t // 4, self.t - 1, least=0):
            yield replace(self, t=t)
        for count in fewer(self.n, self.n // 2, self.n - 1):
            yield self.take("n", slice(count))
        for i in range(self.n - 1):
            yield self.take("n", np.delete(np.arange(self.n), i))
        for form in () if np.issubdtype(self.W.dtype, np.integer) else (one_bit, three_bits):
            yield from self.simpler("h", form)
            yield from self.simpler("W", form)


def vectors(rng: Rng, count: int, n: int, name: str, *, complex_: bool) -> NumericArray:
    """Return vectors of a class, shape (count, n)."""
    values: NumericArray = rng.standard_normal((count, n))
    if complex_:
        values = values + 1j * rng.standard_normal((count, n))
    if name == "whole numbers":
        integers = rng.integers(1, 4, (count, n)) * rng.choice([-1.0, 1.0], (count, n))
        values = integers + (1j * integers[:, ::-1] if complex_ else 0.0)
    elif name == "unit vector":
        values = np.eye(n, dtype=values.dtype)[rng.integers(0, n, count)]
    elif name == "ones":
        values = np.ones_like(values)
    elif name == "with zeros":
        values = np.where(rng.random((count, n)) < 0.4, 0.0, values)
    elif name == "wide":
        values = values * 10.0 ** rng.uniform(-6.0, 6.0, (count, n))
    return np.asarray(values)


def scaled_to_range(rng: Rng, members: NumericArray, family: str, t: IntArray, dtype: str) -> NumericArray:
    """Multiply members of an extreme family so that their t-th powers come near the edge of the format."""
    side = FAMILIES[family].extreme
    if side == 0:
        return members
    edge = np.log2(FORMATS[dtype].largest) if side > 0 else np.log2(FORMATS[dtype].tiny)
    share = rng.uniform(0.3, 0.9, len(members))
    exponent = np.round(share * edge / np.maximum(t, 1))
    return np.asarray(members * np.exp2(exponent)[:, None, None])


def within_format(values: NumericArray, dtype: str) -> NumericArray:
    """Divide members that overflow a format by a power of two; the first axis indexes members."""
    largest = np.abs(values).reshape(len(values), -1).max(axis=1, initial=0.0)
    too_large = largest > FORMATS[dtype].safe
    exponent = np.where(too_large, np.ceil(np.log2(np.maximum(largest, 1.0))), 0.0)
    return np.asarray(values * np.exp2(-exponent).reshape(-1, *[1] * (values.ndim - 1)))


def build_case(
    rng: Rng, n: int, t: int, family: str, dtype: str, *, vector: str = "random", refusals: str = "free"
) -> PowerCase:
    """Fill a case of a given size, family and number of steps with numbers."""
    matrices = scaled_to_range(rng, draw_matrices(rng, family, 1, n), family, np.array([t]), dtype)
    h = vectors(rng, 1, n, vector, complex_=np.iscomplexobj(matrices))
    return PowerCase(
        round_matrix(within_format(matrices, dtype)[0], dtype),
        round_matrix(within_format(h, dtype)[0], dtype),
        t,
        dtype,
        family,
        refusals,
        int(rng.integers(2**31)),
    )


def usable_families(names: Sequence[str], dtype: str) -> tuple[str, ...]:
    """Return the families available in a format; half formats have no complex type."""
    if dtype in ("float64", "float32"):
        return tuple(names)
    return tuple(name for name in names if "complex" not in FAMILIES[name].traits)


def size_of_state(source: Source, smallest: int) -> int:
    """Draw a size, one in eight of them from a range up to 16."""
    return source.integer(smallest, source.choice((*[USUAL] * 7, LARGEST)))


def power_case(
    source: Source,
    domain: Domain,
    subject: Any = None,
    *,
    shortest: int = 0,
    usual: int = 12,
    families: Sequence[str] = tuple(FAMILIES),
    refusals: str = "free",
) -> PowerCase:
    """Draw a case of a domain.

    Args:
        source: where choices come from.
        domain: what the target promises; its ``max_length`` bounds t.
        subject: the target, None in strategies; where its library compiles every new shape, shapes are few.
        shortest: smallest number of steps.
        usual: most cases have at most this many.
        families: names of the classes of matrices to draw from.
        refusals: who may refuse the case; see ``PowerCase``.
    """
    dtype = source.choice(domain.dtypes)
    family = source.choice(usable_families(families, dtype))
    few = bool(getattr(subject, "compiles", False))
    smallest = FAMILIES[family].smallest
    if few:
        n = source.choice([size for size in FEW_SIZES if size >= smallest])
    else:
        n = size_of_state(source, smallest)
    t = length(source, domain.max_length, shortest=shortest, usual=usual, few=few)
    vector = source.choice(VECTORS)
    return build_case(source.generator(), n, t, family, dtype, vector=vector, refusals=refusals)
