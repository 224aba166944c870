r"""The gated scan: a diagonal linear recurrence with one gate per step and channel.

.. math:: h_t = a_t \odot h_{t-1} + x_t, \qquad t = 1, \dots, T, \qquad h_0 = \text{initial or } 0

Unrolled (Goodfellow, Bengio and Courville 2016, section 10.7, equations 10.37 to 10.39, with a
fresh diagonal matrix per step) the state is a sum of products,
:math:`h_t = \sum_s (\prod_{r=s+1}^t a_r)\, x_s`, and its gradient at lag k is one product of k
gates, :math:`\partial h_T / \partial x_{T-k} = \prod_{r=T-k+1}^T a_r`: it vanishes or explodes with
the gates, and every law of kind ``scan`` is a statement about that product.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

from dynprop.arrays import (
    NumericArray,
    library_of,
    require_alike,
    require_finite,
    require_floating,
    require_rank,
    require_shape,
)

if TYPE_CHECKING:
    import torch

__all__ = ["scan"]

Scalar = TypeVar("Scalar", bound=np.generic)


@overload
def scan(
    gates: np.ndarray[Any, np.dtype[Scalar]],
    inputs: np.ndarray[Any, np.dtype[Scalar]],
    initial: np.ndarray[Any, np.dtype[Scalar]] | None = None,
    reverse: bool = False,
) -> np.ndarray[Any, np.dtype[Scalar]]: ...
@overload
def scan(
    gates: torch.Tensor,
    inputs: torch.Tensor,
    initial: torch.Tensor | None = None,
    reverse: bool = False,
) -> torch.Tensor: ...
def scan(gates: Any, inputs: Any, initial: Any = None, reverse: bool = False) -> Any:
    """Run the gated scan h_t = a_t h_{t-1} + x_t and return every state.

    Args:
        gates: the factors a_t, shape (batch, time, channel); any finite values, of any sign and size.
        inputs: the terms x_t, same shape, dtype, library and device as the gates.
        initial: the state h_0 before the first step, shape (batch, channel); None means zero.
        reverse: run from the last step to the first, h_t = a_t h_{t+1} + x_t, with ``initial`` as the state
            after the last step. It equals flipping both arrays and the result along time.

    Returns:
        The states, shape (batch, time, channel), in the library, dtype and device of the arguments.
        torch results are differentiable in all three arguments. Arguments are never modified.
        States beyond the range of the dtype are infinite, as in any evaluation of this formula.

    Raises:
        ArgumentError: wrong rank or dtype, NaN or infinity, or arguments whose shape, dtype, library or
            device differ.

    Example:
        >>> import numpy as np
        >>> gates = np.full((1, 4, 1), 0.5)
        >>> scan(gates, np.ones((1, 4, 1)))[0, :, 0]
        array([1.   , 1.5  , 1.75 , 1.875])

    Source: Goodfellow, Bengio and Courville (2016), Deep Learning, section 10.7.
    """
    _validate(gates, inputs, initial)
    if library_of(gates) == "torch":
        return _scan_torch(gates, inputs, initial, reverse)
    # Subclasses of arrays may redefine the operations.
    start = None if initial is None else np.asarray(initial)
    return _scan_numpy(np.asarray(gates), np.asarray(inputs), start, reverse)


def _validate(gates: Any, inputs: Any, initial: Any) -> None:
    require_floating("gates", gates)
    require_rank("gates", gates, ("batch", "time", "channel"))
    arguments = {"inputs": inputs} if initial is None else {"inputs": inputs, "initial": initial}
    for name, value in arguments.items():
        require_floating(name, value)
        require_alike(name, value, "gates", gates)
    require_shape("inputs", inputs, gates.shape, "(batch, time, channel), that of gates")
    if initial is not None:
        batch, _, channels = gates.shape
        require_shape("initial", initial, (batch, channels), "(batch, channel) of gates")
    for name, value in {"gates": gates, **arguments}.items():
        require_finite(name, value)


def _steps(length: int, reverse: bool) -> range:
    return range(length - 1, -1, -1) if reverse else range(length)


def _scan_numpy(
    gates: NumericArray, inputs: NumericArray, initial: NumericArray | None, reverse: bool
) -> NumericArray:
    states = np.empty_like(inputs, order="C")
    previous = np.zeros_like(inputs[:, :0].sum(axis=1)) if initial is None else initial
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for t in _steps(inputs.shape[1], reverse):
            previous = gates[:, t] * previous + inputs[:, t]
            states[:, t] = previous
    return states


def _scan_torch(
    gates: torch.Tensor, inputs: torch.Tensor, initial: torch.Tensor | None, reverse: bool
) -> torch.Tensor:
    import torch

    if inputs.shape[1] == 0:
        return inputs.clone()
    state = torch.zeros_like(inputs[:, 0]) if initial is None else initial
    # unbind instead of indexing: the backward pass of `x[:, t]` allocates a full-size array at every step.
    a, x = gates.unbind(1), inputs.unbind(1)
    states = [state] * len(x)
    for t in _steps(len(x), reverse):
        state = torch.addcmul(x[t], a[t], state)
        states[t] = state
    return torch.stack(states, dim=1)
