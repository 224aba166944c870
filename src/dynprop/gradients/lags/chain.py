r"""Products of the Jacobians of a chain of steps, from the last one back, in log scale.

:math:`P_k = J_T J_{T-1} \cdots J_{T-k+1}` is the derivative of the state after T steps with respect to the
one k steps earlier (Pascanu, Mikolov and Bengio 2013, eq. 5). Products are multiplied out block by block;
each block starts from a matrix whose norm is in [1/2, 1), and a block in which a norm leaves
[2^-500, 2^500] is repeated with a power of two taken out at every step. Powers of two round nothing, so no
product underflows or overflows at any length. Memory is that of a block: O(n² + T n) in all, not O(T n²).

Rounding: the computed product is that of factors which differ from the given ones by n u of themselves, so
its largest singular value is as good as the factors are. Those below 4 n u of it are rounding alone.

Probes: for v with independent normal entries, E |v P|² is the squared Frobenius norm of P. Independent
probes give an average and its standard error, at the cost of one backward pass for each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dynprop.arrays import BoolArray, FloatArray, IntArray
from dynprop.gradients.lags.steps import Step

__all__ = [
    "Block",
    "CellChain",
    "Chain",
    "FirstSequences",
    "LagNorms",
    "Matrices",
    "probed_norms",
    "product_norms",
    "products",
]

# Numbers in the Jacobians of one block, 2 MiB: they stay in the cache of a core.
BLOCK = 2**18
LONGEST_BLOCK = 64
# Norms of a block between these need no scale inside it: what is lost by underflow is 2^-570 of them.
SAFE = 2.0**500
LN2 = math.log(2.0)
UNIT = 2.0**-53


class Block(Protocol):
    """The derivatives of some steps, m of them."""

    def jacobians(self) -> FloatArray:
        """Return ∂s'/∂s, (m, size, size)."""
        ...

    def input_jacobians(self) -> FloatArray:
        """Return ∂s'/∂x, (m, size, features)."""
        ...

    def pulled(self, vectors: FloatArray, at: slice) -> FloatArray:
        """Return v ∂s'/∂s at a slice of the steps, for rows v of shape (p, len(slice), size)."""
        ...

    def pulled_to_inputs(self, vectors: FloatArray, at: slice) -> FloatArray:
        """Return v ∂s'/∂x at a slice of the steps, (p, len(slice), features)."""
        ...


class Chain(Protocol):
    """A recurrence on given inputs, as a chain of steps."""

    @property
    def size(self) -> int:
        """Numbers in the state."""
        ...

    @property
    def lengths(self) -> IntArray:
        """Steps of each sequence, (sequences,)."""
        ...

    def block(self, rows: IntArray, times: IntArray) -> Block:
        """Return the derivatives of the steps to these times, 1 to length, of these sequences."""
        ...


@dataclass(frozen=True)
class CellBlock:
    """Steps of one cell."""

    cell: Step
    coefficients: FloatArray

    def jacobians(self) -> FloatArray:
        """Return ∂s'/∂s."""
        return self.cell.jacobians(self.coefficients)

    def input_jacobians(self) -> FloatArray:
        """Return ∂s'/∂x."""
        return self.cell.input_jacobians(self.coefficients)

    def pulled(self, vectors: FloatArray, at: slice) -> FloatArray:
        """Return v ∂s'/∂s."""
        return self.cell.pulled(vectors, self.coefficients[:, at])

    def pulled_to_inputs(self, vectors: FloatArray, at: slice) -> FloatArray:
        """Return v ∂s'/∂x."""
        return self.cell.pulled_to_inputs(vectors, self.coefficients[:, at])


@dataclass(frozen=True)
class CellChain:
    """A cell along its own trajectory.

    Attributes:
        cell: the cell.
        inputs: (sequences, time, features).
        states: (sequences, time + 1, size), the initial one first.
        lengths: steps of each sequence; later inputs are padding.
    """

    cell: Step
    inputs: FloatArray
    states: FloatArray
    lengths: IntArray

    @property
    def size(self) -> int:
        """Numbers in the state."""
        return self.cell.size

    def block(self, rows: IntArray, times: IntArray) -> CellBlock:
        """Return the derivatives of these steps."""
        before = times - 1
        return CellBlock(
            self.cell, self.cell.coefficients(self.inputs[rows, before], self.states[rows, before])
        )


@dataclass(frozen=True)
class FirstSequences:
    """The first sequences of a chain.

    Attributes:
        chain: of all of them.
        count: how many.
    """

    chain: Chain
    count: int

    @property
    def size(self) -> int:
        """Numbers in the state."""
        return self.chain.size

    @property
    def lengths(self) -> IntArray:
        """Steps of each sequence."""
        return self.chain.lengths[: self.count]

    def block(self, rows: IntArray, times: IntArray) -> Block:
        """Return the derivatives of these steps."""
        return self.chain.block(rows, times)


class Matrices:
    """A chain whose Jacobians are given, (sequences, time, n, n), such as those of other software."""

    def __init__(self, matrices: FloatArray) -> None:
        self.matrices = matrices
        self.size = int(matrices.shape[-1])
        self.lengths = np.full(len(matrices), matrices.shape[1])

    def block(self, rows: IntArray, times: IntArray) -> MatrixBlock:
        """Return these matrices."""
        return MatrixBlock(self.matrices[rows, times - 1])


@dataclass(frozen=True)
class MatrixBlock:
    """Given Jacobians; the inputs are added to the state."""

    matrices: FloatArray

    def jacobians(self) -> FloatArray:
        """Return the matrices."""
        return self.matrices

    def input_jacobians(self) -> FloatArray:
        """Return unit matrices."""
        return np.array(np.broadcast_to(np.eye(self.matrices.shape[-1]), self.matrices.shape))

    def pulled(self, vectors: FloatArray, at: slice) -> FloatArray:
        """Return v J."""
        return np.asarray((vectors[:, :, None, :] @ self.matrices[at])[:, :, 0, :])

    def pulled_to_inputs(self, vectors: FloatArray, at: slice) -> FloatArray:
        """Return v: the inputs are added to the state."""
        return vectors


@dataclass(frozen=True)
class LagNorms:
    """Norms of products by lag, natural logarithms, (sequences, lags); NaN beyond the start of a sequence.

    Attributes:
        spectral: ln of the largest singular value; None for probes.
        frobenius: ln of the Frobenius norm.
        singular: ln of the singular values, (sequences, lags, size), descending; NaN below the rounding of
            the largest; None where they were not asked for.
        error: standard error of `frobenius`; zero where it is exact.
    """

    spectral: FloatArray | None
    frobenius: FloatArray
    singular: FloatArray | None
    error: FloatArray


@dataclass(frozen=True)
class Products:
    """Some consecutive products of a group of sequences.

    Attributes:
        rows: sequences, (b,).
        lags: (k,).
        matrices: products of the lags, (k, b, n, n).
        exponents: integers; the products are matrices · 2^exponents, (k, b).
        norms: Frobenius norms of the matrices, (k, b).
        before: the product of the lag before the first of these, (b, n, n).
        before_exponents: its exponents, (b,).
        active: whether the lag lies within the sequence, (k, b).
        block: the derivatives of the last factors, in the order of (k, b).
    """

    rows: IntArray
    lags: IntArray
    matrices: FloatArray
    exponents: IntArray
    norms: FloatArray
    before: FloatArray
    before_exponents: IntArray
    active: BoolArray
    block: Block


def groups_of(chain: Chain, numbers: int) -> Iterator[IntArray]:
    """Yield sequences in groups whose states of so many numbers fit into a block."""
    each = max(1, BLOCK // max(1, numbers))
    order = np.argsort(-chain.lengths, kind="stable")
    for start in range(0, len(order), each):
        yield order[start : start + each]


def steps_of(sequences: int, numbers: int) -> int:
    """Return how many steps of so many numbers per sequence make a block."""
    return min(LONGEST_BLOCK, max(1, BLOCK // max(1, numbers * sequences)))


def blocks_of(chain: Chain, rows: IntArray, most: int, numbers: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield lags (k,) and the times of their factors, (k, b): length - lag + 1, below 1 beyond the start."""
    steps = steps_of(len(rows), numbers)
    longest = min(most, int(chain.lengths[rows].max()))
    for start in range(1, longest + 1, steps):
        lags = np.arange(start, min(start + steps, longest + 1))
        yield lags, chain.lengths[rows][None, :] - lags[:, None] + 1


def taken(chain: Chain, rows: IntArray, times: IntArray) -> Block:
    """Return the derivatives at times (k, b); steps before the first are replaced by the first."""
    every = np.broadcast_to(rows, times.shape)
    return chain.block(every.ravel(), np.maximum(times, 1).ravel())


def products(chain: Chain, most: int) -> Iterator[Products]:
    """Yield the products of all lags from 1 to the longest sequence or `most`, block by block.

    The memory of the matrices is used again for the next block.
    """
    n = chain.size
    for rows in groups_of(chain, n * n):
        held = np.array(np.broadcast_to(np.eye(n), (len(rows), n, n)))
        exponent = np.zeros(len(rows), dtype=np.int64)
        room = np.empty((steps_of(len(rows), n * n), len(rows), n, n))
        for lags, times in blocks_of(chain, rows, most, n * n):
            block = taken(chain, rows, times)
            factors = block.jacobians().reshape(*times.shape, n, n)
            found = room[: len(lags)]
            with np.errstate(over="ignore", invalid="ignore", under="ignore"):
                for k, factor in enumerate(factors):
                    np.matmul(held if k == 0 else found[k - 1], factor, out=found[k])
                norms = frobenius_norms(found)
            exponents = np.array(np.broadcast_to(exponent, times.shape))
            if not ((norms > 1.0 / SAFE) & (norms < SAFE)).all():
                exponents = _carefully(held, exponent, factors, found)
                norms = frobenius_norms(found)
            yield Products(rows, lags, found, exponents, norms, held, exponent, times >= 1, block)
            shift = np.frexp(norms[-1])[1]
            held = np.ldexp(found[-1], -shift[:, None, None])
            exponent = exponents[-1] + shift


def frobenius_norms(matrices: FloatArray) -> FloatArray:
    """Return the Frobenius norms of matrices (..., n, n)."""
    flat = matrices.reshape(*matrices.shape[:-2], -1)
    return np.asarray(np.sqrt(np.vecdot(flat, flat)))


def _carefully(held: FloatArray, exponent: IntArray, factors: FloatArray, out: FloatArray) -> IntArray:
    """Multiply with a power of two taken out after every step; return the exponents, (k, b)."""
    exponents = np.empty(factors.shape[:2], dtype=np.int64)
    for k, factor in enumerate(factors):
        scale = np.frexp(np.abs(factor).max(axis=(1, 2)))[1]
        product = held @ np.ldexp(factor, -scale[:, None, None])
        shift = np.frexp(np.abs(product).max(axis=(1, 2)))[1]
        held = np.ldexp(product, -shift[:, None, None])
        exponent = exponent + scale + shift
        out[k], exponents[k] = held, exponent
    return exponents


def product_norms(chain: Chain, most: int, *, singular: bool) -> LagNorms:
    """Return the norms of the products at every lag, exactly up to rounding.

    Args:
        chain: the steps.
        most: largest lag.
        singular: whether to take singular values, some ten times the work of a Frobenius norm.
    """
    shape, n = (len(chain.lengths), min(most, int(chain.lengths.max())) + 1), chain.size
    frobenius, spectral = np.full(shape, np.nan), np.full(shape, np.nan)
    values = np.full((*shape, n), np.nan) if singular else None
    frobenius[:, 0], spectral[:, 0] = 0.5 * math.log(n), 0.0
    if values is not None:
        values[:, 0] = 0.0
    with np.errstate(divide="ignore", under="ignore"):
        for part in products(chain, most):
            place = np.ix_(part.rows, part.lags)
            offset = np.where(part.active, part.exponents * LN2, np.nan)
            if values is None:
                frobenius[place] = (np.log(part.norms) + offset).T
                continue
            sizes = np.linalg.svd(part.matrices, compute_uv=False)
            top = sizes[..., :1]
            kept = np.where(sizes >= 4.0 * n * UNIT * top, sizes, np.nan)
            values[place] = np.swapaxes(np.log(np.where(top > 0.0, kept, 0.0)) + offset[..., None], 0, 1)
            spectral[place] = (np.log(sizes[..., 0]) + offset).T
            relative = sizes / np.where(top > 0.0, top, 1.0)
            share = 0.5 * np.log((relative * relative).sum(axis=-1))
            frobenius[place] = (share + np.log(sizes[..., 0]) + offset).T
    return LagNorms(spectral if singular else None, frobenius, values, np.zeros(shape))


def probed_norms(chain: Chain, most: int, probes: int, seed: int) -> LagNorms:
    """Estimate the Frobenius norms at every lag from independent random probes.

    Args:
        chain: the steps.
        most: largest lag.
        probes: number of probes, at least 2.
        seed: of the probes.
    """
    shape, n = (len(chain.lengths), min(most, int(chain.lengths.max())) + 1), chain.size
    logs, errors = np.full(shape, np.nan), np.full(shape, np.nan)
    logs[:, 0], errors[:, 0] = 0.5 * math.log(n), 0.0
    generators = np.random.default_rng(seed).spawn(shape[0])
    for rows in groups_of(chain, n * probes):
        vectors = np.stack([generators[row].standard_normal((probes, n)) for row in rows], axis=1)
        exponent = np.zeros(len(rows), dtype=np.int64)
        for lags, times in blocks_of(chain, rows, most, 8 * n):
            block = taken(chain, rows, times)
            for k, lag in enumerate(lags):
                vectors = block.pulled(vectors, slice(k * len(rows), (k + 1) * len(rows)))
                shift = np.frexp(np.abs(vectors).max(axis=(0, 2)))[1]
                vectors = np.ldexp(vectors, -shift[None, :, None])
                exponent = exponent + shift
                mean, error = _averages((vectors * vectors).sum(axis=2))
                inside = times[k] >= 1
                with np.errstate(divide="ignore"):
                    logs[rows[inside], lag] = (0.5 * np.log(mean) + exponent * LN2)[inside]
                errors[rows[inside], lag] = error[inside]
    return LagNorms(None, logs, None, errors)


def _averages(squares: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the mean over probes, (b,), and the standard error of half its logarithm."""
    count, mean = len(squares), squares.mean(axis=0)
    spread = squares.std(axis=0, ddof=1) / math.sqrt(count)
    return mean, 0.5 * spread / np.where(mean > 0.0, mean, 1.0)
