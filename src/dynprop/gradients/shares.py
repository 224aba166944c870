r"""Where the gradient of the recurrent weights comes from, lag by lag.

The weights are used at every step, and a loss reads outputs of some steps. Lag k collects what reaches the
use of the weights k steps before the output that the loss reads,

.. math:: \frac{dL}{dW} = \sum_k G_k, \qquad G_k = \sum_t \frac{\partial L}{\partial y_t}
    \frac{\partial y_t}{\partial s_{t-k}} \frac{\partial^+ s_{t-k}}{\partial W}

(Pascanu, Mikolov and Bengio 2013, eq. 3 to 5), :math:`\partial^+` at a fixed earlier state. G_0 is the use in
the step of the output itself. The sum looks healthy where the first few lags are, though G_k of the lag that
matters is gone.

Contributions below 1e-300 are zero in floats, and of no weight in the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from dynprop.arrays import FloatArray, IntArray
from dynprop.errors import ArgumentError, DynpropError, NotFiniteError
from dynprop.gradients.models.recording import (
    Call,
    arguments_of,
    chosen_parts,
    copied,
    default_dtype,
    first_line,
    moved,
    place_of,
)
from dynprop.gradients.models.stepping import SteppedChain, stepped_part
from dynprop.results import Result

__all__ = ["WeightGradient", "contributions", "weight_gradient_by_lag"]

# Pairs of a sequence and a step that are differentiated together.
TOGETHER = 4096


@dataclass(frozen=True, eq=False, repr=False)
class WeightGradient(Result):
    """The gradient of a loss with respect to the parameters of a recurrent part, by lag.

    Attributes:
        name: of the part; empty for the model itself.
        log_norms: ln ‖G_k‖ over all parameters of the part, (lags,); -inf for zero.
        shares: ⟨G_k, G⟩/‖G‖², G the whole gradient, (lags,); they sum to 1, and some may be negative. NaN
            where G is zero.
        gradients: the whole gradient of each parameter by name, the sum over lags.
    """

    name: str
    log_norms: FloatArray
    shares: FloatArray
    gradients: dict[str, FloatArray]

    @property
    def lags(self) -> IntArray:
        """0, 1, ..., shape (lags,)."""
        return np.arange(len(self.log_norms))

    def lag_of_share(self, share: float) -> int:
        """Return the smallest lag up to which the shares add up to at least this."""
        reached = np.flatnonzero(np.cumsum(self.shares) >= share)
        return int(reached[0]) if len(reached) else len(self.shares) - 1


@dataclass(frozen=True)
class _Recorded:
    """A part's steps on its inputs, and the gradient of the loss with respect to its outputs."""

    name: str
    parameters: dict[str, nn.Parameter]
    chain: SteppedChain
    by_output: Tensor
    by_state: Tensor | None


def _recorded(model: Any, inputs: Any, loss: Callable[[Any], Any], module: str | None) -> _Recorded:
    held = copied(model).to(torch.float64)
    dtype, device = place_of(held)
    parts = chosen_parts(held, module) or {"": held}
    if len(parts) > 1:
        names = ", ".join(map(repr, parts))
        raise ArgumentError("module", "None, for a model of several recurrent parts", f"one of {names}")
    ((name, part),) = parts.items()
    if isinstance(part, nn.RNNBase) and part.bidirectional:
        raise ArgumentError(
            "module", f"{name or type(part).__name__}, bidirectional", "a part of one direction"
        )
    if isinstance(part, nn.RNNCellBase):
        raise ArgumentError(
            "module", f"{name or type(part).__name__}, a cell", "a layer, called for all steps"
        )
    calls: list[Call] = []
    leaves: list[Any] = []

    def heard(_: nn.Module, arguments: Any, keywords: Any, output: Any) -> Any:
        if not isinstance(output, tuple | list) or len(output) != 2 or not isinstance(output[0], Tensor):
            got = "a packed sequence" if _is_packed(output) else type(output).__name__
            raise ArgumentError("module", f"{got} from {name or 'the model'}", "a pair (outputs, state)")
        calls.append(Call(arguments, keywords, output))
        fresh = torch.utils._pytree.tree_map(lambda x: x.detach().requires_grad_(True), output)
        leaves.append(fresh)
        return fresh

    given, keywords = arguments_of(moved(inputs, dtype, device))
    for parameter in held.parameters():
        parameter.requires_grad_(False)
    handle = part.register_forward_hook(heard, with_kwargs=True)
    random = torch.random.get_rng_state()
    try:
        with default_dtype(dtype), torch.enable_grad():
            value = _loss_of(loss, held(*given, **keywords))
    except DynpropError:
        raise
    except Exception as error:
        expected = f"a call and a loss that work; one raised {first_line(error)}"
        raise ArgumentError("inputs", type(inputs).__name__, expected) from error
    finally:
        handle.remove()
        torch.random.set_rng_state(random)
    if len(calls) != 1:
        got = f"{name or 'the model'}, which is called {len(calls)} times"
        raise ArgumentError("module", got, "a part that is called once, for all steps")
    states = torch.utils._pytree.tree_leaves(leaves[0][1])
    if not value.requires_grad:
        raise ArgumentError("loss", "a value that does not depend on the outputs", "a differentiable loss")
    found = torch.autograd.grad(value, [leaves[0][0], *states], allow_unused=True)
    chain = stepped_part(name, part, calls[0]).chain
    assert isinstance(chain, SteppedChain)
    by_output = torch.zeros_like(leaves[0][0]) if found[0] is None else found[0]
    axis = 0 if by_output.shape[0] == chain.inputs.shape[1] and not getattr(part, "batch_first", False) else 1
    by_state = None
    if any(each is not None for each in found[1:]):
        filled = [torch.zeros_like(s) if g is None else g for s, g in zip(states, found[1:], strict=True)]
        spec = torch.utils._pytree.tree_structure(calls[0].output[1])
        by_state = chain.rows(torch.utils._pytree.tree_unflatten(filled, spec))
    by_time = by_output.movedim(1, 0) if axis == 0 else by_output
    parameters = dict(part.named_parameters())
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    return _Recorded(name, parameters, chain, by_time, by_state)


def _is_packed(output: Any) -> bool:
    return isinstance(output, tuple | list) and bool(output) and isinstance(output[0], PackedSequence)


def _loss_of(loss: Callable[[Any], Any], output: Any) -> Tensor:
    """Return the value of a loss.

    Raises:
        ArgumentError: it is no scalar tensor.
        NotFiniteError: it is NaN or infinite.
    """
    value = loss(output)
    if not isinstance(value, Tensor) or value.numel() != 1 or not value.is_floating_point():
        got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ArgumentError("loss", got, "a scalar: take the mean or the sum")
    if not bool(torch.isfinite(value)):
        raise NotFiniteError("the loss", "this batch")
    return value.reshape(())


def contributions(
    model: Any, inputs: Any, loss: Callable[[Any], Any], module: str | None = None
) -> tuple[str, dict[str, tuple[int, ...]], Iterator[Tensor]]:
    """Return the part's name, the shapes of its parameters, and an iterator of G_0, G_1, ... as flat rows."""
    recorded = _recorded(model, inputs, loss, module)
    shapes = {name: tuple(p.shape) for name, p in recorded.parameters.items()}
    return recorded.name, shapes, _by_lag(recorded)


def _by_lag(recorded: _Recorded) -> Iterator[Tensor]:
    chain, parameters = recorded.chain, list(recorded.parameters.values())
    batch, steps = chain.inputs.shape[:2]
    by_output = recorded.by_output.reshape(batch, steps, -1)
    wanted = (by_output != 0).any(dim=2)
    last = torch.zeros(batch, chain.size, dtype=chain.states.dtype, device=chain.states.device)
    if recorded.by_state is not None:
        last = recorded.by_state
        wanted[:, -1] |= (last != 0).any(dim=1)
    rows, times = torch.nonzero(wanted, as_tuple=True)
    vectors: Tensor | None = None
    for _ in range(steps):
        total = torch.zeros(sum(p.numel() for p in parameters), dtype=chain.states.dtype)
        before = []
        for part in range(0, max(1, len(rows)), TOGETHER):
            b, t = rows[part : part + TOGETHER], times[part : part + TOGETHER]
            if not len(b):
                continue
            held = chain.states[b, t].clone().requires_grad_(True)
            with torch.enable_grad():
                output, state = chain.step(chain.inputs[b, t], held)
            if vectors is None:
                ends = torch.where((t == steps - 1)[:, None], last[b], torch.zeros_like(last[b]))
                outs, grads = [output, state], [by_output[b, t].reshape(output.shape), ends]
            else:
                outs, grads = [state], [vectors[part : part + TOGETHER]]
            usable = [(o, g) for o, g in zip(outs, grads, strict=True) if o.requires_grad]
            found = torch.autograd.grad(
                [o for o, _ in usable], [*parameters, held], [g for _, g in usable], materialize_grads=True,
                allow_unused=True,
            )  # fmt: skip
            total += torch.cat([g.reshape(-1) for g in found[:-1]]).to(total)
            before.append(found[-1])
        yield total
        if not before:
            continue
        moved_back = torch.cat(before)
        kept = (times > 0) & (moved_back != 0).any(dim=1)
        rows, times, vectors = rows[kept], times[kept] - 1, moved_back[kept]


def weight_gradient_by_lag(
    model: Any, inputs: Any, loss: Callable[[Any], Any], module: str | None = None
) -> WeightGradient:
    """Return the contributions of each lag to the gradient of a recurrent part's parameters.

    Args:
        model: a torch module with one recurrent part, or with `module` several; it is called on a copy in
            eval mode and float64. The part is called once, for all steps, and has one direction.
        inputs: as for `dynprop.gradients.gradient_by_lag`, without packed sequences.
        loss: from the outputs of the model to a scalar tensor.
        module: the name of the recurrent part; "" is the model itself.

    Raises:
        ArgumentError: the loss is no scalar or does not depend on the outputs, or as for `gradient_by_lag`.
        NotFiniteError: the loss or a state is NaN or infinite.

    Source: Pascanu, Mikolov and Bengio (2013), arXiv:1211.5063, eq. 3 to 5.

    Example:
        >>> import torch
        >>> from dynprop.gradients import weight_gradient_by_lag
        >>> torch.manual_seed(0) and None
        >>> found = weight_gradient_by_lag(
        ...     torch.nn.RNN(2, 8), torch.randn(40, 5, 2), lambda outputs: outputs[0][-1].square().mean()
        ... )
        >>> round(float(found.shares.sum()), 9), found.lag_of_share(0.99) < 10
        (1.0, True)
    """
    name, shapes, parts = contributions(model, inputs, loss, module)
    norms, dots = [], []
    rows = [part.cpu().numpy() for part in parts]
    whole = np.sum(rows, axis=0)
    scale = float(np.abs(whole).max(initial=0.0)) or 1.0
    for row in rows:
        norms.append(float(np.linalg.norm(row / scale)))
        dots.append(float((row / scale) @ (whole / scale)))
    size = float(np.linalg.norm(whole / scale))
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
    gradients = {
        key: part.reshape(shape)
        for (key, shape), part in zip(shapes.items(), np.split(whole, ends[:-1]), strict=True)
    }
    with np.errstate(divide="ignore"):
        logs = np.log(norms) + np.log(scale)
    shares = np.array(dots) / size**2 if size > 0.0 else np.full(len(dots), np.nan)
    return WeightGradient(name, logs, shares, gradients)
