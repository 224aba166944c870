"""Cases of the running product: scalar and matrix weights of every class.

Scalar weights have shape (time, ...); their classes are those of the gates of a scan. Matrix weights are
(time, n, n).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from dynprop.arrays import FloatArray, round_to
from dynprop.contracts.domain import Domain
from dynprop.contracts.formats import FORMATS
from dynprop.kinds.product.subject import ProductSubject
from dynprop.laws.cases import ArrayCase, Axes, fewer, one_bit
from dynprop.laws.draw import Source, length
from dynprop.laws.gates import GATE_CLASSES, gate_classes

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


MATRIX_CLASSES: dict[str, Callable[[Rng, Shape], FloatArray]] = {
    "of variance 1/n": lambda rng, s: rng.standard_normal(s) / np.sqrt(s[1]),
    "whole numbers": lambda rng, s: rng.integers(-2, 3, s).astype(np.float64),
    "reflections": _reflections,
    "triangular": _triangular,
    "positive": lambda rng, s: rng.random(s) / s[1],
    "half zeros": lambda rng, s: np.where(rng.random(s) < 0.5, 0.0, rng.standard_normal(s)),
    "contracting": lambda rng, s: 0.1 * rng.standard_normal(s),
    "graded": lambda rng, s: rng.standard_normal(s) * 2.0 ** rng.integers(-8, 9, (s[0], s[1], 1)),
}


def classes_of(domain: Domain, matrix: bool) -> tuple[str, ...]:
    """Return the names of the classes of weights for a domain."""
    return tuple(MATRIX_CLASSES) if matrix else gate_classes(domain)


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

    weights: Annotated[FloatArray, Axes(("time",), shape="shape")]
    dtype: str
    matrix: bool = False
    stratum: str = ""
    seed: int = 0

    @property
    def arguments(self) -> tuple[FloatArray]:
        """The argument of a running product."""
        return (self.weights,)

    @property
    def steps(self) -> int:
        """Number of factors."""
        return int(self.weights.shape[0])

    def refusable(self) -> bool:
        """An empty product may be refused."""
        return self.weights.size == 0

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
        yield from self.simpler("weights", np.sign, one_bit)


def build_case(
    rng: Rng, shape: tuple[int, ...], name: str, dtype: str, domain: Domain, *, matrix: bool
) -> ProductCase:
    """Fill a case of a given shape and class with numbers."""
    steps, series = shape[0], int(np.prod(shape[1:]))
    if matrix:
        values = MATRIX_CLASSES[name](rng, (shape[0], shape[1], shape[2]))
    elif domain.gates == "constant":
        values = np.repeat(GATE_CLASSES[name](rng, (1, 1, series)), steps, axis=1)
    else:
        values = GATE_CLASSES[name](rng, (1, steps, series))
    rounded = round_to(values, dtype).reshape(shape)
    if domain.gates == "unit" and not matrix:
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
) -> ProductCase:
    """Draw a case of a domain.

    Args:
        source: where choices come from.
        domain: what the target promises.
        subject: the target; its ``matrix`` decides whether weights are matrices.
        shortest: smallest number of factors.
        usual: most cases have at most this many.
        axes: smallest number of axes of scalar weights.
    """
    dtype = source.choice(domain.dtypes)
    name = source.choice(classes_of(domain, subject.matrix))
    few = bool(subject.compiles)
    longest = min(domain.max_length, 64) if subject.matrix else domain.max_length
    steps = length(source, longest, shortest=shortest, usual=usual, few=few)
    if subject.matrix:
        n = 3 if few else source.integer(1, 4)
        shape: tuple[int, ...] = (steps, n, n)
    elif few:
        shape = (steps, 2)
    else:
        shape = (
            steps,
            *source.choice([trailing for trailing in ((3,), (1,), (), (2, 2)) if len(trailing) + 1 >= axes]),
        )
    return build_case(source.generator(), shape, name, dtype, domain, matrix=subject.matrix)
