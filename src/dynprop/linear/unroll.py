r"""The linear recurrence, unrolled: every state of h(t) = Wᵀ h(t-1) + x(t).

.. math:: h_t = (W^t)^T h_0 + \sum_{s=1}^{t} (W^{t-s})^T x_s

Goodfellow, Bengio and Courville (2016), Deep Learning, section 10.7, equations 10.36 and 10.37. A state is
stored as a row, so a step is ``h @ W``. The gradient travels by W where the state travels by Wᵀ:
with :math:`g_t = \partial L/\partial h_t` given, the adjoint :math:`a_t = g_t + W a_{t+1}` is the same
recurrence run backward with Wᵀ for W; then :math:`\partial L/\partial h_0 = a_0`,
:math:`\partial L/\partial x_t = a_t` and :math:`\partial L/\partial W = \sum_t h_{t-1} a_t^T`.

Speed. One state at a time is limited by memory: every step reads all of W. With :math:`W^B`, B states
follow from the B before them in one matrix product. A product may be parenthesised in any way within
the rounding bound of the loop, componentwise :math:`\gamma_{nt} |W^T|^t |h_0|` (Higham 2002, section
3.5: t multiplications of n roundings each), but powers can overflow or underflow where the states do
not. So W is squared only while no product of its entries can leave the range of normal numbers, and a
trajectory that ends in inf or NaN is recomputed step by step from its first state that is not finite.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

from dynprop.arrays import (
    NumericArray,
    dtype_name,
    library_of,
    require_alike,
    require_finite,
    require_floating,
    require_rank,
    require_shape,
)
from dynprop.linear.validation import require_memory, step_count

if TYPE_CHECKING:
    import torch

__all__ = ["unroll"]

Scalar = TypeVar("Scalar", bound=np.generic)

# OpenBLAS multiplies without packing its operands while rows * inner * columns <= 10**6; half of it is safe.
_UNPACKED = 2**19
# Cost model for the choice of the block: microseconds, and operations per microsecond, measured with
# OpenBLAS 0.3 on one core. The choice affects speed only.
_CALL, _BULK = 1.3, 50_000.0
_RATE = {1: 20_000.0, 2: 30_000.0, 4: 45_000.0}
# The complex dtype of each real one.
_COMPLEX = {"float32": "complex64", "float64": "complex128"}
# Rows of a block times n: beyond it a block leaves the second-level cache and larger ones gain nothing.
_LARGEST_BLOCK = 2**16


@overload
def unroll(
    W: np.ndarray[Any, np.dtype[Scalar]],
    h0: np.ndarray[Any, np.dtype[Scalar]],
    steps: int,
    inputs: np.ndarray[Any, np.dtype[Scalar]] | None = None,
) -> np.ndarray[Any, np.dtype[Scalar]]: ...
@overload
def unroll(
    W: NumericArray, h0: NumericArray, steps: int, inputs: NumericArray | None = None
) -> NumericArray: ...
@overload
def unroll(
    W: torch.Tensor, h0: torch.Tensor, steps: int, inputs: torch.Tensor | None = None
) -> torch.Tensor: ...
def unroll(W: Any, h0: Any, steps: int, inputs: Any = None) -> Any:
    """Run h(t) = Wᵀ h(t-1) + x(t) and return every state; memory is the output plus O(n²).

    Args:
        W: the matrix, shape (n, n), numpy or torch, real or complex floats.
        h0: the state at step 0, shape (n,), or a batch of them, (batch, n); library, device and precision of
            W. Where some arguments are real and others complex, the real ones are converted.
        steps: number of steps, an integer of Python or numpy from 0 on.
        inputs: the terms x, shape (steps, n), or (steps, batch, n) or (steps, 1, n) for a batch; inputs[0]
            enters the state after the first step. None means zero.

    Returns:
        The states, shape (steps + 1, n) or (steps + 1, batch, n); state 0 is exactly h0. States beyond the
        range of the dtype are infinite or NaN, as in the loop. torch results are differentiable, to any
        order, in W, h0 and inputs. Arguments are never modified.

    Raises:
        ArgumentError: wrong rank, shape or dtype, NaN or infinity, steps out of range, or an
            output larger than the free memory (the message gives its size; nothing is allocated).

    Example:
        >>> import numpy as np
        >>> W = np.array([[0.0, 1.0], [0.5, 0.0]])
        >>> unroll(W, np.array([1.0, 2.0]), 3)
        array([[1. , 2. ],
               [1. , 1. ],
               [0.5, 1. ],
               [0.5, 0.5]])

    Source: Goodfellow, Bengio and Courville (2016), Deep Learning, section 10.7.
    """
    W, h0, inputs = _alike(W, h0, inputs)
    count = _validated(W, h0, steps, inputs)
    if library_of(W) == "torch":
        states: Any = _torch_function().apply(W, h0, inputs, count)
        return states
    states = np.empty((count + 1, *h0.shape), dtype=W.dtype)
    with np.errstate(all="ignore"):
        _run(W, h0, inputs, states, _NUMPY)
    return states


def _alike(*arrays: Any) -> list[Any]:
    """Convert real arrays to complex beside complex ones of the same precision; drop numpy subclasses.

    Other values are returned unchanged; validation refuses them by name.
    """
    names = {dtype_name(x) for x in arrays if library_of(x) in ("numpy", "torch")}
    found = [x if isinstance(x, np.ma.MaskedArray | np.generic) else _plain(x) for x in arrays]
    for real, wide in _COMPLEX.items():
        if names == {real, wide}:
            return [_complex(x, wide) if dtype_name(x) == real else x for x in found]
    return found


def _plain(x: Any) -> Any:
    return np.asarray(x) if isinstance(x, np.ndarray) else x


def _complex(x: Any, dtype: str) -> Any:
    if library_of(x) == "numpy":
        return x.astype(dtype)
    import torch

    return x.to(getattr(torch, dtype))


def _validated(W: Any, h0: Any, steps: Any, inputs: Any) -> int:
    require_floating("W", W)
    require_rank("W", W, ("row", "column"))
    n = W.shape[0]
    require_shape("W", W, (n, n), "(n, n): W is square")
    arguments = {"h0": h0} if inputs is None else {"h0": h0, "inputs": inputs}
    for name, value in arguments.items():
        require_floating(name, value)
        require_alike(name, value, "W", W)
    if len(h0.shape) != 1:
        require_rank("h0", h0, ("batch", "n"))
    require_shape("h0", h0, (*h0.shape[:-1], n), "(n,) or (batch, n), n the size of W")
    count = step_count(steps)
    require_memory("steps", (count + 1, *h0.shape), W.dtype.itemsize)
    if inputs is not None:
        shared = len(h0.shape) == 2 and len(inputs.shape) == 3 and inputs.shape[1] == 1
        shape = (count, 1, n) if shared else (count, *h0.shape)
        require_shape("inputs", inputs, shape, "(steps, n), or with a batch (steps, batch, n)")
    for name, value in {"W": W, **arguments}.items():
        require_finite(name, value)
    return count


@dataclass(frozen=True)
class _Library:
    """Operations that the recurrence uses from an array library.

    Attributes:
        product: product(rows, matrix, out=...), the matrix product, written to ``out``.
        vector: vector(row, matrix, out=...), the same for one row, with less overhead.
        contiguous: a row-major copy.
    """

    product: Callable[..., Any]
    vector: Callable[..., Any]
    contiguous: Callable[[Any], Any]


_NUMPY = _Library(np.matmul, np.dot, np.ascontiguousarray)


def _run(W: Any, h0: Any, inputs: Any, states: Any, library: _Library) -> None:
    """Fill the states, shape (steps + 1, [batch,] n), in place."""
    states[0] = h0
    if inputs is not None:
        states[1:] = inputs
    n = W.shape[0]
    batch = h0.shape[0] if len(h0.shape) == 2 else 1
    steps = states.shape[0] - 1
    if n == 0 or batch == 0 or steps == 0:
        return
    rows = states.reshape(-1, n)  # a view: the states are contiguous
    block = _block(n, batch, steps, inputs is not None)
    if inputs is None:
        block, power = _doubled(W, rows, batch, block, library)
    else:
        block, power = _driven(W, rows, batch, block)
    _chain(power, rows, batch * block, library, driven=inputs is not None)
    if block > 1 and not bool(abs(rows[-batch * block :].sum()) < float("inf")):
        # A state that is not finite stays so, since every step multiplies the whole state. Earlier states
        # are correct.
        finite = abs(states.reshape(steps + 1, -1).sum(-1)) < float("inf")
        # A sum may overflow where its terms do not: then the loop repeats a few correct states.
        first = max(int(finite.argmin() if library_of(finite) == "numpy" else finite.int().argmin()), 1)
        if inputs is not None:
            states[first:] = inputs[first - 1 :]
        _chain(W, rows[batch * (first - 1) :], batch, library, driven=inputs is not None)


def _cost(n: int, rows: int, call: float) -> float:
    """Estimate the microseconds of one product of this many rows with an (n, n) matrix."""
    rate = _RATE.get(1 << (rows.bit_length() - 1), _BULK)
    return call + 2.0 * n * n * rows / rate


def _block(n: int, batch: int, steps: int, driven: bool) -> int:
    """Choose how many states to compute per product: a power of two."""
    best, chosen, spent = steps * _cost(n, batch, _CALL), 1, 0.0
    block = 2
    while block <= steps and block * batch * n <= max(_LARGEST_BLOCK, batch * n):
        # A squaring includes the check of its range, a few passes over the matrix.
        spent += 2.0 * n**3 / _BULK + 10 * _CALL + n * n / 300.0
        if driven:
            spent += steps * batch * (2.0 * n * n / _BULK + n / 300.0)
        total = spent + steps / block * _cost(n, block * batch, _CALL)
        # The estimate is rough: leave the loop only for a clear gain.
        if total < (best if chosen > 1 else 0.75 * best):
            best, chosen = total, block
        block *= 2
    return chosen


def _squared(power: Any) -> Any | None:
    """Return the square of a matrix, or None where a product of two entries may leave the normal range."""
    size = abs(power)
    nonzero = size[size > 0]
    if len(nonzero) == 0:
        return None
    limits = _limits(dtype_name(size))
    if float(nonzero.min()) < limits[0] or float(size.max()) * len(size) > limits[1]:
        return None
    return power @ power


@cache
def _limits(dtype: str) -> tuple[float, float]:
    """Return sizes between which products of two numbers of a dtype are normal and finite."""
    if dtype == "bfloat16":
        return 2.0**-62, 2.0**62
    found = np.finfo(dtype)
    return 2.0 * float(found.tiny) ** 0.5, float(found.max) ** 0.5 / 2.0


def _doubled(W: Any, rows: Any, batch: int, block: int, library: _Library) -> tuple[int, Any]:
    """Fill the first states by doubling, up to a block of them; return its length and W**block."""
    power, filled = W, 1
    while filled < block:
        library.product(rows[: batch * filled], power, out=rows[batch * filled : 2 * batch * filled])
        square = _squared(power)
        filled *= 2
        if square is None:
            # All states of the block are filled, but W**filled is not representable: step by half of it.
            return filled // 2, power
        power = square
    return filled, power


def _driven(W: Any, rows: Any, batch: int, block: int) -> tuple[int, Any]:
    """Replace every term x(t) by the sum of the last ``block`` terms, x(t-j) W**j, by doubling."""
    power, width = W, 1
    total, n = rows.shape
    while width < block:
        square = _squared(power)
        if square is None:
            break
        lag = width * batch
        # From the last chunk to the first, so that each reads terms not yet replaced.
        chunk = max(_LARGEST_BLOCK // n, 1)
        for end in range(total, lag, -chunk):
            start = max(end - chunk, lag)
            rows[start:end] += rows[start - lag : end - lag] @ power
        power, width = square, 2 * width
    return width, power


def _chain(power: Any, rows: Any, stride: int, library: _Library, *, driven: bool) -> None:
    """Compute each group of rows from the one before it, ``stride`` rows earlier."""
    if stride == 1 and not driven:
        before = rows[0]
        for row in rows[1:]:
            library.vector(before, power, out=row)
            before = row
        return
    total = rows.shape[0] - rows.shape[0] % stride
    groups, rest = rows[:total].reshape(-1, stride, rows.shape[1]), rows[total:]
    # Iterate over whole groups: slicing would cost as much as a small product.
    before, product = groups[0], library.product
    if driven:
        for group in groups[1:]:
            group += before @ power
            before = group
        rest += before[: len(rest)] @ power
        return
    panels = _panels(power, stride, library)
    if len(panels) == 1:
        for group in groups[1:]:
            product(before, power, out=group)
            before = group
    else:
        for group in groups[1:]:
            for columns, panel in panels:
                product(before, panel, out=group[:, columns])
            before = group
    product(before[: len(rest)], power, out=rest)


def _panels(matrix: Any, rows: int, library: _Library) -> list[tuple[slice, Any]]:
    """Cut a matrix into panels of columns small enough for BLAS to multiply without packing them."""
    n = matrix.shape[1]
    width = _UNPACKED // (rows * n)
    if not 1 < rows <= 8 or not 32 <= width < n:
        return [(slice(None), matrix)]
    cuts = [slice(start, min(start + width, n)) for start in range(0, n, width)]
    return [(columns, library.contiguous(matrix[:, columns])) for columns in cuts]


@cache
def _torch_function() -> Any:
    import torch

    def vector(row: torch.Tensor, matrix: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        return torch.mv(matrix.T, row, out=out)

    library = _Library(torch.mm, vector, torch.Tensor.contiguous)

    # torch's Function is untyped, and its apply returns Any.
    class Unroll(torch.autograd.Function):
        """The recurrence and its adjoint, which is the recurrence again and differentiable as such."""

        @staticmethod
        def forward(
            ctx: Any, W: torch.Tensor, h0: torch.Tensor, inputs: torch.Tensor | None, steps: int
        ) -> torch.Tensor:
            states = W.new_empty((steps + 1, *h0.shape))
            _run(W.contiguous(), h0, inputs, states, library)
            ctx.save_for_backward(W, states)
            ctx.inputs_shape = None if inputs is None else inputs.shape
            return states

        @staticmethod
        def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
            W, states = ctx.saved_tensors
            (given,) = gradients
            steps = len(given) - 1
            backward = given.flip(0).contiguous()
            recurrence: Any = Unroll
            adjoint = recurrence.apply(W.mH, backward[0], backward[1:], steps).flip(0)
            of_W = of_inputs = None
            if ctx.needs_input_grad[0]:
                n = W.shape[0]
                of_W = states[:-1].reshape(-1, n).mH @ adjoint[1:].reshape(-1, n)
            if ctx.inputs_shape is not None and ctx.needs_input_grad[2]:
                of_inputs = adjoint[1:].sum_to_size(ctx.inputs_shape)
            return of_W, adjoint[0], of_inputs, None

    return Unroll
