"""Cases of the running product: scalar and matrix weights of every class.

Scalar weights have shape (time, ...); their classes are those of the gates of a scan, and those with one
factor at the edge of a regime (``regimes``). Matrix weights are (time, n, n). Weights of dtype int64 are
stored as integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np

from dynprop.arrays import FloatArray, NumericArray, round_to
from dynprop.contracts.domain import Domain
from dynprop.contracts.formats import FORMATS
from dynprop.kinds.product.regimes import REGIMES
from dynprop.kinds.product.subject import ProductSubject
from dynprop.laws.cases import ArrayCase, Axes, fewer, one_bit
from dynprop.laws.draw import Source, length
from dynprop.laws.gates import GATE_CLASSES, gate_classes
from dynprop.laws.integers import MOST, REFUSALS

__all__ = ["MATRIX_CLASSES", "ProductCase", "build_case", "classes_of", "product_case"]

Rng = np.random.Generator
Shape = tuple[int, int, int]


def _reflections(rng: Rng, shape: Shape) -> FloatArray:
    # Reflections: exact enough to be orthogonal, and no factorisation decides their signs.
    v = rng.standard_normal((shape[0], shape[1], 1))
    eye = np.broadcast_to(np.eye(shape[1]), shape)
    return np.asarray(eye - 2.0 * v @ v.swapaxes(1, 2) / (v * v).sum(axis=1, keepdims=True))


def _triangular(rng: Rng, shape: Shape) -> FloatArray:
    return np.asarray(np.triu(rng.standard_normal(shape)))


def _stochastic(rng: Rng, shape: Shape) -> FloatArray:
    # Rows of sum 1: no product grows or vanishes, and no term cancels, at any length.
    drawn = 1.0 - rng.random(shape)
    return np.asarray(drawn / drawn.sum(axis=2, keepdims=True))


def _signed_permutations(rng: Rng, shape: Shape) -> FloatArray:
    # One entry a row and column, of size near 1: every product has its signs, at any length.
    places = rng.random(shape[:2]).argsort(axis=1)
    sizes = rng.choice([-1.0, 1.0], shape[:2]) * (1.0 - 10.0 ** rng.uniform(-6.0, -3.0, shape[:2]))
    return np.asarray(np.eye(shape[1])[places] * sizes[:, :, None])


MATRIX_CLASSES: dict[str, Callable[[Rng, Shape], FloatArray]] = {
    "of variance 1/n": lambda rng, s: rng.standard_normal(s) / np.sqrt(s[1]),
    "whole numbers": lambda rng, s: rng.integers(-2, 3, s).astype(np.float64),
    "reflections": _reflections,
    "triangular": _triangular,
    "positive": lambda rng, s: rng.random(s) / s[1],
    "half zeros": lambda rng, s: np.where(rng.random(s) < 0.5, 0.0, rng.standard_normal(s)),
    "contracting": lambda rng, s: 0.1 * rng.standard_normal(s),
    "graded": lambda rng, s: rng.standard_normal(s) * 2.0 ** rng.integers(-8, 9, (s[0], s[1], 1)),
    "stochastic": _stochastic,
    "signed permutations": _signed_permutations,
}
# Numbers of scalar series, and sizes of matrices, that cases are drawn with.
TRAILING: tuple[tuple[int, ...], ...] = ((3,), (1,), (), (2, 2), (2,), (5,), (8,), (17,), (3, 3), (33,))
SIZES = (1, 2, 3, 4, 5, 8)


def classes_of(domain: Domain, matrix: bool) -> tuple[str, ...]:
    """Return the names of the classes of weights for a domain."""
    if matrix:
        return tuple(MATRIX_CLASSES)
    return gate_classes(domain) + (() if domain.gates == "constant" else tuple(REGIMES))


@dataclass(frozen=True, eq=False)
class ProductCase(ArrayCase):
    """One input of a running product; every number is exactly representable in the dtype.

    Attributes:
        weights: shape (time, ...), or (time, n, n) for matrices.
        dtype: the format that the subject computes in.
        matrix: whether products are those of matrices.
        stratum: the class that the weights were drawn from.
        seed: seed of further random numbers of a law.
    """

    weights: Annotated[NumericArray, Axes(("time",), shape="shape")]
    dtype: str
    matrix: bool = False
    stratum: str = ""
    seed: int = 0

    @property
    def arguments(self) -> tuple[NumericArray]:
        """The argument of a running product."""
        return (self.weights,)

    @property
    def steps(self) -> int:
        """Number of factors."""
        return int(self.weights.shape[0])

    def refusable(self) -> bool:
        """An empty product may be refused, and integers whose products do not fit 64 bits."""
        return self.weights.size == 0 or (self.is_integer and self._largest_integer() > MOST)

    @property
    def is_integer(self) -> bool:
        """Whether weights are integers, handed over as such."""
        return np.issubdtype(self.weights.dtype, np.integer)

    @property
    def refusal_types(self) -> tuple[type[BaseException], ...]:
        """The exceptions by which this case may be refused."""
        return REFUSALS if self.is_integer else (ValueError, TypeError, NotImplementedError)

    def _largest_integer(self) -> int:
        """Return the largest entry of a contiguous product of absolute values, zeros left out of scalars."""
        sizes = np.abs(self.weights.astype(object))
        largest = int(sizes.max(initial=0))
        if self.matrix:
            ending: list[Any] = []
            for factor in sizes:
                ending = [*(factor @ product for product in ending), factor]
                largest = max(largest, *(int(product.max()) for product in ending))
            return largest
        running = np.ones(sizes.shape[1:], dtype=object)
        for row in sizes:
            running = np.where(row == 0, 1, np.asarray(running * row))
            largest = max(largest, int(np.max(running)))
        return largest

    def describe(self) -> str:
        """Describe the case on one line."""
        kind = "matrices" if self.matrix else "weights"
        stratum = f" {self.stratum}" if self.stratum else ""
        return f"{self.dtype}, {self.steps} {kind}{stratum}, shape {self.weights.shape}"

    def part(self, start: int, stop: int | None = None) -> ProductCase:
        """Return the factors from start to stop."""
        return self.take("time", slice(start, stop))

    def generator(self) -> Rng:
        """Return a Generator for further random numbers of a law."""
        return np.random.default_rng(self.seed)

    def smaller(self) -> Iterator[ProductCase]:
        """Yield simpler cases: fewer series or rows, fewer factors, rounder numbers."""
        if self.matrix and self.weights.shape[1] > 1:
            for i in range(self.weights.shape[1]):
                indices = np.delete(np.arange(self.weights.shape[1]), i)
                yield replace(self, weights=self.weights[:, indices][:, :, indices])
        elif not self.matrix:
            if self.weights.ndim > 2:
                flat = (self.steps, int(np.prod(self.weights.shape[1:])))
                yield replace(self, weights=self.weights.reshape(flat))
            if self.weights.ndim == 2 and self.weights.shape[1] > 1:
                for i in range(self.weights.shape[1]):
                    yield replace(self, weights=self.weights[:, i : i + 1])
        steps = self.steps
        for count in fewer(steps, steps // 2, steps - steps // 4, steps - 1):
            yield self.part(0, count)
            yield self.part(steps - count)
        yield from self.simpler("weights", np.sign, *([] if self.is_integer else [one_bit]))


def build_case(
    rng: Rng, shape: tuple[int, ...], name: str, dtype: str, domain: Domain, *, matrix: bool = False
) -> ProductCase:
    """Fill a case of a given shape and class with numbers."""
    steps, series = shape[0], int(np.prod(shape[1:]))
    if matrix:
        values = MATRIX_CLASSES[name](rng, (shape[0], shape[1], shape[2]))
    elif name in REGIMES:
        values = REGIMES[name](rng, (steps, series), FORMATS[dtype], domain.gates)
    elif domain.gates == "constant":
        values = np.repeat(GATE_CLASSES[name](rng, (1, 1, series)), steps, axis=1)
    else:
        values = GATE_CLASSES[name](rng, (1, steps, series))
    rounded = round_to(values, dtype).reshape(shape)
    if domain.gates == "unit" and not matrix and name not in REGIMES:
        rounded = np.maximum(rounded, FORMATS[dtype].tiny)
    return ProductCase(rounded, dtype, matrix, name, int(rng.integers(2**31)))


def product_case(
    source: Source,
    domain: Domain,
    subject: ProductSubject,
    *,
    shortest: int = 0,
    usual: int = 12,
    axes: int = 1,
    without: tuple[str, ...] = (),
) -> ProductCase:
    """Draw a case of a domain.

    Args:
        source: where choices come from.
        domain: what the target promises.
        subject: the target; its ``matrix`` decides whether weights are matrices.
        shortest: smallest number of factors.
        usual: most cases have at most this many.
        axes: smallest number of axes of scalar weights.
        without: names of classes that are left out.
    """
    dtype = source.choice(domain.dtypes)
    name = source.choice([c for c in classes_of(domain, subject.matrix) if c not in without])
    few = bool(subject.compiles)
    longest = min(domain.max_length, 64) if subject.matrix else domain.max_length
    steps = length(source, longest, shortest=shortest, usual=usual, few=few)
    if subject.matrix:
        n = 3 if few else source.choice(SIZES)
        shape: tuple[int, ...] = (steps, n, n)
    elif few:
        shape = (steps, 2)
    else:
        shape = (
            steps,
            *source.choice([trailing for trailing in TRAILING if len(trailing) + 1 >= axes]),
        )
    return build_case(source.generator(), shape, name, dtype, domain, matrix=subject.matrix)
