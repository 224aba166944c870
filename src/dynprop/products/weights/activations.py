"""Activations from names and from callables on arrays, tensors or single floats."""

from __future__ import annotations

import copy
import math
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dynprop.arrays import FloatArray, describe
from dynprop.errors import ArgumentError
from dynprop.products.weights.activation import Activation
from dynprop.products.weights.kinks import find_kinks
from dynprop.products.weights.named import NAMED

__all__ = ["Activation", "ActivationLike", "resolve_activation"]

# Any: a callable on arrays, tensors or floats, such as torch.nn.GELU().
ActivationLike = str | Activation | Callable[[Any], Any]

# Step of the difference quotient, times the root of max(1, abs(x)), and its error.
_STEP = 2.0**-10
_ERROR = 1e-11
# The quotients of two steps agree to this, relative to the largest; the coarser one errs by 16/15 of it.
_RESOLVED = 1e-10
_STEP_PROBE = np.concatenate([sign * np.geomspace(1e-8, 8.0, 300) for sign in (-1.0, 1.0)])
_PROBE = (-2.0, -0.5, 0.0, 0.5, 2.0)
# A function is positively homogeneous if f(x)/x agrees at these x, on each side of 0, to 1e-14.
_SIZES = np.array([1e-6, 1e-3, 0.02, 0.37, 1.0, 2.9, 31.0, 1e3, 1e6])


@dataclass(frozen=True)
class _Elementwise:
    """A user's callable as a function on float64 arrays."""

    given: Callable[[Any], Any]
    takes: Literal["arrays", "tensors", "floats"]

    def __call__(self, x: FloatArray) -> FloatArray:
        x = np.array(x, dtype=np.float64)
        if self.takes == "tensors":
            import torch

            with torch.no_grad():
                return np.asarray(self.given(torch.from_numpy(x)).numpy(), dtype=np.float64)
        if self.takes == "floats":
            return np.array([float(self.given(float(value))) for value in x.flat]).reshape(x.shape)
        with np.errstate(all="ignore"):
            values = np.asanyarray(self.given(x))
        if isinstance(values, np.ma.MaskedArray) or values.dtype.kind not in "fiub":
            raise TypeError(f"it returns {describe(values)} for an array of floats")
        return np.asarray(values, dtype=np.float64)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the callable, or its name where pickle refuses it (a lambda, a local function)."""
        try:
            pickle.dumps(self.given)
        except (AttributeError, TypeError, pickle.PicklingError):
            return _Unpicklable, (_name(self.given),)
        return _Elementwise, (self.given, self.takes)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Elementwise:
        return self


@dataclass(frozen=True, eq=False)
class _Unpicklable:
    """Takes the place of a callable that pickle could not store; equal to callables of its name."""

    name: str

    def __call__(self, x: FloatArray) -> FloatArray:
        raise ArgumentError("activation", f"{self.name}, which pickle cannot store", "a function of a module")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, _Unpicklable):
            return self.name == other.name
        return isinstance(other, _Elementwise) and _name(other.given) == self.name

    def __hash__(self) -> int:
        return hash(self.name)


def _name(given: Callable[[Any], Any]) -> str:
    return str(getattr(given, "__qualname__", type(given).__qualname__))


@dataclass(frozen=True)
class _DifferenceQuotient:
    """Derivative by five points, of fourth order; one-sided near kinks, good to about 1e-11."""

    function: Callable[[FloatArray], FloatArray]
    kinks: tuple[float, ...]
    step: float

    def __call__(self, x: FloatArray) -> FloatArray:
        with np.errstate(over="ignore", invalid="ignore"):
            return self._quotient(x)

    def _quotient(self, x: FloatArray) -> FloatArray:
        breaks = np.array([-np.inf, *sorted({0.0, *self.kinks}), np.inf])
        right = np.searchsorted(breaks, x, side="right")
        # A negative zero belongs to the negative half line.
        right -= (x == 0.0) & np.signbit(x)
        below, above = x - breaks[right - 1], breaks[right] - x
        step = self.step * np.sqrt(np.maximum(1.0, np.abs(x)))
        outward = np.where(below <= above, 1.0, -1.0) * np.minimum(step, 0.24 * np.maximum(below, above))
        values = [self.function(x + k * outward) for k in range(5)]
        sided = sum(c * v for c, v in zip((-25.0, 48.0, -36.0, 16.0, -3.0), values, strict=True))
        f = self.function
        central = f(x - 2 * step) - 8 * f(x - step) + 8 * f(x + step) - f(x + 2 * step)
        near = np.minimum(below, above) < 3 * step
        return np.where(near, sided / (12.0 * outward), central / (12.0 * step))


@dataclass(frozen=True)
class _HalfLines:
    """Derivative of a positively homogeneous function: one slope on each side of 0."""

    negative: float
    positive: float

    def __call__(self, x: FloatArray) -> FloatArray:
        return np.where(np.signbit(x), self.negative, self.positive)


def resolve_activation(activation: object) -> Activation:
    """Return the activation for a name, an Activation, or an elementwise callable.

    A callable takes float arrays, torch tensors (a module of torch.nn) or single floats. Its kinks and jumps
    up to 2^20 are found (`kinks`), its derivative is a difference quotient, good to about 1e-11; an
    `Activation` supplies both. A positively homogeneous callable, f(c x) = c f(x) for c > 0, is recognised.

    Raises:
        ArgumentError: an unknown name, something that cannot be called, or a callable that does not map
            floats to finite reals elementwise.
    """
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, str):
        if activation not in NAMED:
            names = ", ".join(f'"{name}"' for name in NAMED)
            raise ArgumentError("activation", repr(activation), f"{names}, or a callable on float arrays")
        return NAMED[activation]
    if not callable(activation):
        raise ArgumentError("activation", describe(activation), "a name or a callable on float arrays")
    function = _elementwise(activation)
    name = getattr(activation, "__name__", type(activation).__name__)
    found = find_kinks(function)
    if not found.places and not found.jumps:
        slopes = _homogeneous_slopes(function)
        if slopes is not None:
            mean = 0.5 * (slopes.negative**2 + slopes.positive**2)
            return Activation(name, function, slopes, homogeneous=mean)
    derivative, error = _resolved_quotient(function, found.places)
    return Activation(
        name, function, derivative, kinks=found.places, jumps=found.jumps, derivative_error=error
    )


def _resolved_quotient(
    function: Callable[[FloatArray], FloatArray], kinks: tuple[float, ...]
) -> tuple[_DifferenceQuotient, float]:
    """Return the quotient of the longest step that one of half the length agrees with, and its error.

    The error is relative to the largest derivative on the probe. The step counts only where the function
    changes within some 1e-3, as sin(100 x) does.
    """
    best, least = _DifferenceQuotient(function, kinks, _STEP), math.inf
    for level in range(0, 30, 3):
        coarse, fine = (_DifferenceQuotient(function, kinks, _STEP * 2.0**-k) for k in (level, level + 1))
        with np.errstate(all="ignore"):
            slopes = fine(_STEP_PROBE)
            missed = np.abs(coarse(_STEP_PROBE) - slopes).max() / max(float(np.abs(slopes).max()), 1e-300)
        if missed < least:
            best, least = coarse, float(missed)
        if missed <= _RESOLVED:
            return coarse, _ERROR
    return best, max(_ERROR, least)


def _elementwise(given: Callable[[Any], Any]) -> _Elementwise:
    """Return the callable as a function on arrays, after trying it on arrays, tensors and floats."""
    probe = np.array(_PROBE)
    failure: Exception | None = None
    for function in _forms(given):
        try:
            values = function(probe)
        except Exception as error:
            failure = failure or error
            continue
        if values.shape != probe.shape or not np.isfinite(values).all():
            got = f"a callable that gives {values!r:.80}"
            raise ArgumentError("activation", got, "finite values, shape kept")
        _require_elementwise(function, probe, values)
        return function
    raise ArgumentError(
        "activation", f"a callable that raises {failure!r}", "a callable on float arrays, tensors or floats"
    ) from failure


def _require_elementwise(function: _Elementwise, probe: FloatArray, values: FloatArray) -> None:
    """Raise ArgumentError if values change with the entries beside them or with the shape."""
    try:
        rows = function(np.stack([probe, 0.5 * probe, probe[::-1]]))
        alone = function(probe[1:2])
    except Exception as error:
        got = f"a callable that raises {error!r:.120} for another shape"
        raise ArgumentError("activation", got, "an elementwise function of arrays of any shape") from error
    pairs = ((rows.shape, (3, len(probe))), (alone.shape, (1,)))
    # float32 inside a callable may round differently in vectors; a layer that normalises differs by far more.
    if any(got != expected for got, expected in pairs) or not (
        np.allclose(rows[0], values, 1e-4, 1e-6)
        and np.allclose(rows[2], values[::-1], 1e-4, 1e-6)
        and np.allclose(alone, values[1:2], 1e-4, 1e-6)
    ):
        got = "a callable whose values depend on the entries beside them, or on the shape"
        raise ArgumentError("activation", got, "an elementwise function")


def _forms(given: Callable[[Any], Any]) -> list[_Elementwise]:
    torch = sys.modules.get("torch")
    if torch is None:
        return [_Elementwise(given, "arrays"), _Elementwise(given, "floats")]
    if isinstance(given, torch.nn.Module):
        # A copy in float64 and evaluation mode, since parameters may be float32.
        return [_Elementwise(copy.deepcopy(given).double().eval(), "tensors")]
    return [_Elementwise(given, "arrays"), _Elementwise(given, "tensors"), _Elementwise(given, "floats")]


def _homogeneous_slopes(function: Callable[[FloatArray], FloatArray]) -> _HalfLines | None:
    """Return the slopes on both sides of 0 if the function is positively homogeneous, else None."""
    with np.errstate(all="ignore"):
        positive, negative = function(_SIZES) / _SIZES, function(-_SIZES) / -_SIZES
        zero = float(function(np.zeros(1))[0])
    size = max(np.abs(positive).max(), np.abs(negative).max())
    same = max(np.ptp(positive), np.ptp(negative)) <= 1e-14 * size
    if zero != 0.0 or not same or size == 0.0:
        return None
    return _HalfLines(float(negative[4]), float(positive[4]))
