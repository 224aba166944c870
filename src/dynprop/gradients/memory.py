r"""Memory: what a change of the input k steps ago does to the output now.

Of a differentiable recurrence it is :math:`\|\partial h(T)/\partial x(T-k)\| = \|C P_k B_{T-k}\|`, P_k the
product of Jacobians, B the derivative with respect to the input and C the rows of the state that are the
output. It is what the gradient is to a loss: both fall with the same product, and a model that cannot
remember is not helped by a better gradient.

Of any other model it is measured: one step of the input is changed, and the change of the last output is
divided by that of the input. That needs neither a state nor a derivative.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, IntArray, describe, to_numpy
from dynprop.errors import ArgumentError, NotFiniteError
from dynprop.gradients.by_lag import EXACT, PROBES, median_over_sequences, require_count
from dynprop.gradients.lags.chain import LN2, UNIT, Chain, blocks_of, groups_of, products, taken
from dynprop.results import Result

__all__ = ["MemoryProfile", "memory_by_lag"]

# Changed copies of the inputs that are put through a model together.
TOGETHER = 64


@dataclass(frozen=True, eq=False, repr=False)
class MemoryProfile(Result):
    """How much a change of the input k steps ago changes the last output, of each sequence.

    Attributes:
        name: of the recurrent part; empty for the model itself.
        norm: "spectral", "frobenius" (from probes) or "change" (measured).
        log_norms: natural logarithm, (sequences, lags), lags 0 to T-1; -inf for an exact zero, NaN beyond the
            start of a sequence.
        log_errors: standard error of estimates from probes, otherwise 0.
    """

    name: str
    norm: str
    log_norms: FloatArray
    log_errors: FloatArray

    @property
    def lags(self) -> IntArray:
        """0, 1, ..., shape (lags,)."""
        return np.arange(self.log_norms.shape[1])

    @property
    def median(self) -> FloatArray:
        """Median over sequences of ln of what is left at each lag, relative to lag 0, (lags,)."""
        with np.errstate(invalid="ignore"):
            return median_over_sequences(self.log_norms - self.log_norms[:, :1])


def memory_by_lag(
    model: Any,
    inputs: Any,
    module: str | None = None,
    *,
    change: float | None = None,
    probes: int | None = None,
    most: int | None = None,
    seed: int = 0,
) -> MemoryProfile:
    """Return how much a change of the input k steps ago changes the output now.

    Args:
        model: as for `gradient_by_lag`; with `change` any callable from inputs to outputs.
        inputs: as for `gradient_by_lag`; with `change` one array (time, batch, ...), or (batch, time, ...)
            where the model has batch_first. Tokens (integers) are replaced by the next one.
        module: the name of a recurrent part.
        change: without it derivatives are taken; a number is the size of a change in a random direction,
            measured: for models without a differentiable state, such as spiking or quantised ones.
        probes: number of random probes, or of random directions of a change; see `gradient_by_lag`.
        most: the largest lag.
        seed: of probes and directions.

    Raises:
        ArgumentError: as for `gradient_by_lag`; a change that is not positive.
        NotFiniteError: a state or an output is NaN or infinite.

    Source: Jaeger (2001), Short term memory in echo state networks, for the question; Pascanu, Mikolov and
        Bengio (2013), eq. 4 and 5.

    Example:
        >>> import numpy as np
        >>> from dynprop.gradients import ElmanStep, memory_by_lag
        >>> unit = ElmanStep(np.ones((1, 1)), np.array([[0.5]]), np.zeros(1), "linear")
        >>> np.exp(memory_by_lag(unit, np.ones((4, 1))).log_norms)
        array([[1.   , 0.5  , 0.25 , 0.125]])

        A running mean of eight numbers, rounded to hundredths, has no derivative:

        >>> def rounded(x):
        ...     return np.round(np.stack([x[max(0, t - 7) : t + 1].mean(0) for t in range(len(x))]), 2)
        >>> found = memory_by_lag(rounded, np.zeros((12, 1, 1)), change=8.0)
        >>> np.exp(found.log_norms[0, [0, 7, 8]])
        array([0.125, 0.125, 0.   ])
    """
    limit = 10**9 if most is None else require_count("most", most, 0)
    require_count("seed", seed, 0)
    if probes is not None:
        require_count("probes", probes, 0 if change is None else 1)
    if change is not None:
        if not (isinstance(change, int | float) and 0.0 < change < math.inf):
            raise ArgumentError("change", repr(change), "a positive number")
        return _measured(model, inputs, float(change), probes or 1, limit, seed)
    from dynprop.gradients.models.parts import parts_of

    part = parts_of(model, inputs, module)[-1]
    count = (PROBES if part.chain.size > EXACT else 0) if probes is None else probes
    if count == 1:
        raise ArgumentError("probes", "1", "0, or 2 and more: one probe has no standard error")
    shape = (len(part.chain.lengths), min(limit + 1, int(part.chain.lengths.max())))
    logs, errors = np.full(shape, np.nan), np.zeros(shape)
    with np.errstate(divide="ignore", under="ignore"):
        if count:
            _probed(part.chain, part.visible, count, seed, logs, errors)
        else:
            _exact(part.chain, part.visible, logs)
    return MemoryProfile(part.name, "frobenius" if count else "spectral", logs, errors)


def _exact(chain: Chain, visible: slice, logs: FloatArray) -> None:
    """Fill in ln ‖C P_k B‖₂; the factor of lag k + 1 stands where B of lag k does."""
    for part in products(chain, logs.shape[1]):
        entering = part.block.input_jacobians().reshape(*part.active.shape, chain.size, -1)
        for k, lag in enumerate(part.lags - 1):
            product = part.before if k == 0 else part.matrices[k - 1]
            exponents = part.before_exponents if k == 0 else part.exponents[k - 1]
            response = product[:, visible] @ entering[k]
            scale = np.frexp(np.abs(response).max(axis=(1, 2)))[1]
            norms = np.linalg.norm(np.ldexp(response, -scale[:, None, None]), 2, axis=(1, 2))
            found = np.log(norms) + (exponents + scale) * LN2
            logs[part.rows, lag] = np.where(part.active[k], found, np.nan)


def _probed(
    chain: Chain, visible: slice, probes: int, seed: int, logs: FloatArray, errors: FloatArray
) -> None:
    """Fill in estimates of ln ‖C P_k B‖_F."""
    generators = np.random.default_rng(seed).spawn(len(logs))
    for rows in groups_of(chain, chain.size * probes):
        vectors = np.zeros((probes, len(rows), chain.size))
        width = vectors[..., visible].shape[-1]
        drawn = [generators[row].standard_normal((probes, width)) for row in rows]
        vectors[..., visible] = np.stack(drawn, axis=1)
        exponent = np.zeros(len(rows), dtype=np.int64)
        for lags, times in blocks_of(chain, rows, logs.shape[1], 8 * chain.size):
            block = taken(chain, rows, times)
            for k, lag in enumerate(lags - 1):
                at = slice(k * len(rows), (k + 1) * len(rows))
                response = block.pulled_to_inputs(vectors, at)
                squares = (response * response).sum(axis=2)
                mean = squares.mean(axis=0)
                inside = times[k] >= 1
                logs[rows[inside], lag] = (0.5 * np.log(mean) + exponent * LN2)[inside]
                spread = squares.std(axis=0, ddof=1) / math.sqrt(probes)
                errors[rows[inside], lag] = (0.5 * spread / np.where(mean > 0.0, mean, 1.0))[inside]
                vectors = block.pulled(vectors, at)
                shift = np.frexp(np.abs(vectors).max(axis=(0, 2)))[1]
                vectors, exponent = np.ldexp(vectors, -shift[None, :, None]), exponent + shift


def _measured(model: Any, inputs: Any, change: float, directions: int, most: int, seed: int) -> MemoryProfile:
    """Change one step at a time, many steps in one batch, and compare the last outputs."""
    function, native = _called(model, inputs)
    axis = 1 if getattr(model, "batch_first", False) is True else 0
    values = to_numpy(inputs)
    if values.ndim < 2 or 0 in values.shape:
        raise ArgumentError("inputs", describe(inputs), "an array with axes of time and batch")
    values = values.swapaxes(0, 1) if axis else values
    steps, batch, rng = len(values), values.shape[1], np.random.default_rng(seed)

    def last(x: Any) -> FloatArray:
        outputs = function(native(x.swapaxes(0, 1) if axis else x))
        found = np.asarray(to_numpy(outputs[0] if isinstance(outputs, tuple | list) else outputs), np.float64)
        timed = found.ndim > 1 and found.shape[axis] == steps and found.shape[1 - axis] == x.shape[1]
        ended = (found[:, -1] if axis else found[-1]) if timed else found
        if ended.ndim == 0 or len(ended) != x.shape[1]:
            got = f"outputs of shape {found.shape} for inputs of shape {x.shape}"
            raise ArgumentError(
                "model", got, "one row of outputs for each sequence, at each step or at the end"
            )
        return ended.reshape(len(ended), -1)

    before = last(values)
    if not np.isfinite(before).all():
        raise NotFiniteError("the last output of the model", "the unchanged inputs")
    count = min(steps, most + 1)
    squares = np.zeros((batch, count))
    tokens = values.dtype.kind in "iub"
    for _ in range(directions):
        direction = rng.standard_normal((batch, *values.shape[2:]))
        sizes = np.sqrt((direction.reshape(batch, -1) ** 2).sum(axis=1))
        direction = change * direction / sizes.reshape(batch, *[1] * (values.ndim - 2))
        for start in range(0, count, TOGETHER):
            lags = range(start, min(start + TOGETHER, count))
            copies = np.concatenate([values] * len(lags), axis=1)
            for place, lag in enumerate(lags):
                at, now = slice(place * batch, (place + 1) * batch), steps - 1 - lag
                moved = (values[now] + 1) % (values.max() + 1) if tokens else values[now] + direction
                copies[now, at] = moved
            gap = (last(copies).reshape(len(lags), batch, -1) - before) / (1.0 if tokens else change)
            # A batch of another size is rounded otherwise: that is no response.
            size = np.abs(before).max(axis=1) / (1.0 if tokens else change)
            gap[np.abs(gap) <= 64.0 * _unit(values) * size[:, None]] = 0.0
            squares[:, start : start + len(lags)] += (gap * gap).sum(axis=2).T
    with np.errstate(divide="ignore"):
        logs = 0.5 * np.log(squares / directions)
    return MemoryProfile("", "change", logs, np.zeros_like(logs))


def _unit(values: Any) -> float:
    """Return the unit roundoff of what the model computes in."""
    return UNIT if values.dtype == np.float64 else 2.0**-24


def _called(model: Any, inputs: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return the model as a function without gradients, and what makes its arrays from numpy."""
    if not callable(model):
        raise ArgumentError("model", describe(model), "a callable from inputs to outputs")
    if isinstance(inputs, np.ndarray):
        return model, lambda values: np.array(values)
    import torch

    if not isinstance(inputs, torch.Tensor):
        raise ArgumentError("inputs", describe(inputs), "a numpy array or a torch tensor, with change")
    if isinstance(model, torch.nn.Module):
        from dynprop.gradients.models.recording import copied

        model = copied(model)

    def quietly(given: Any) -> Any:
        with torch.no_grad():
            return model(given)

    return quietly, lambda values: torch.from_numpy(np.array(values)).to(inputs)
