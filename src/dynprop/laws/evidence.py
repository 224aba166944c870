"""Evidence of a law on one case: values, references and bounds.

A law returns no verdict. It returns comparisons, each a residual beside the bound of a sound evaluation, and
marks the entries that can be decided. Verdicts are derived from that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from dynprop.arrays import BoolArray, FloatArray, IntArray
from dynprop.laws.exact import Exact

__all__ = ["NORMWISE", "Bounded", "Comparison", "Evidence", "LagProfile", "compare", "within", "worst"]

Alternatives = Callable[[], Mapping[str, FloatArray]]
LAG_TOLERANCE = 1e-2
# Prefix of the name of a relaxed bound that is one norm for all entries. It explains a failure if it is
# narrow at every failing entry; any other relaxed bound, if it is narrow at one of them.
NORMWISE = "an evaluation accurate only relative to"


@dataclass(frozen=True)
class Comparison:
    """A computed array and its reference, entry by entry.

    Attributes:
        label: what is compared, such as "states" or "gradient to gates".
        value: the array that the subject computed.
        reference: the correct array, rounded to float64.
        residual: abs(value - reference), from the unrounded reference; NaN counts as infinite.
        bound: the largest residual of a sound evaluation.
        decided: where the bound is below the reference, so that the entry can be judged.
        scale: the magnitude that the bound is relative to (a sum of absolute terms, or a norm).
        dtype: the format that the subject computed in.
        axes: names of the axes, such as ("batch", "time", "channel"); explanations look for "batch", "time"
            and "lag".
        relaxed: larger bounds of evaluations with fewer digits, by name; see ``NORMWISE``.
        alternatives: results of known wrong implementations, by name.
        repaired: results of the subject with a suspected defect undone, by name.
    """

    label: str
    value: FloatArray
    reference: FloatArray
    residual: FloatArray
    bound: FloatArray
    decided: BoolArray
    scale: FloatArray
    dtype: str
    axes: tuple[str, ...]
    relaxed: Alternatives = field(default=dict)
    alternatives: Alternatives = field(default=dict)
    repaired: Alternatives = field(default=dict)

    @property
    def ratios(self) -> FloatArray:
        """Residual over bound where decided, 0 elsewhere."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = np.where(self.residual == 0.0, 0.0, self.residual / self.bound)
        return np.where(self.decided, ratio, 0.0)

    @property
    def ratio(self) -> float:
        """Worst residual over bound among the decided entries."""
        return float(self.ratios.max(initial=0.0))

    @property
    def worst(self) -> tuple[int, ...]:
        """Index of the entry with the worst ratio."""
        return tuple(int(i) for i in np.unravel_index(self.ratios.argmax(), self.ratios.shape))


@dataclass(frozen=True)
class LagProfile:
    """Relative error of a gradient at each lag, the worst over batch rows and channels.

    Attributes:
        lags: the lags k, from 0; k = 0 is dh(T)/dx(T).
        error: relative error at each lag.
        bound: relative bound at each lag.
        decided: whether the lag can be judged.
    """

    lags: IntArray
    error: FloatArray
    bound: FloatArray
    decided: BoolArray

    @property
    def first_wrong(self) -> int | None:
        """Smallest decided lag whose error exceeds max(bound, 1e-2), or None."""
        wrong = self.decided & (self.error > np.maximum(self.bound, LAG_TOLERANCE))
        return int(self.lags[wrong].min()) if wrong.any() else None

    @property
    def max_decided(self) -> int | None:
        """Largest decided lag, or None."""
        return int(self.lags[self.decided].max()) if self.decided.any() else None


@dataclass(frozen=True)
class Evidence:
    """The observations of a law on one case.

    Attributes:
        comparisons: the arrays compared.
        failure: a structural failure that needs no bound ("inputs were modified"), or None.
        detail: the law's own parameters at the worst place, such as the split point.
        lags: the gradient's error by lag; the effective lag of a report comes from the laws that have it.
        note: what a reader of the report should know beside the verdict, such as a part of a state that is
            never read.
    """

    comparisons: tuple[Comparison, ...] = ()
    failure: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    lags: LagProfile | None = None
    note: str = ""

    @property
    def decided(self) -> bool:
        """Whether any entry of this case can be judged."""
        return self.failure is not None or any(c.decided.any() for c in self.comparisons)

    @property
    def ratio(self) -> float:
        """Worst residual over bound, infinite for a structural failure."""
        if self.failure is not None:
            return np.inf
        return max((c.ratio for c in self.comparisons), default=0.0)

    @property
    def passed(self) -> bool:
        """Whether nothing decided exceeds its bound."""
        return self.failure is None and self.ratio <= 1.0

    @property
    def worst(self) -> Comparison | None:
        """The comparison with the worst ratio."""
        return max(self.comparisons, key=lambda c: c.ratio, default=None)


def compare(
    label: str,
    value: FloatArray,
    reference: Exact | FloatArray,
    bound: FloatArray,
    *,
    dtype: str,
    axes: tuple[str, ...],
    scale: FloatArray | None = None,
    in_range: BoolArray | None = None,
    relaxed: Alternatives = dict,
    alternatives: Alternatives = dict,
    repaired: Alternatives = dict,
) -> Comparison:
    """Compare a computed array with its reference.

    An entry is decided where it is in range and its bound is finite and below abs(reference), or where
    the reference is zero because every term of it is (scale zero).

    Args:
        label: what is compared.
        value: what the subject computed.
        reference: exact (two-part) or float64 reference of the same shape.
        bound: largest residual of a sound evaluation, same shape.
        dtype: the format that the subject computed in.
        axes: names of the axes.
        scale: sum of the absolute values of the reference's terms; default abs(reference).
        in_range: where no intermediate leaves the range of the format; default everywhere.
        relaxed: larger bounds of less accurate evaluations, by name, computed on demand.
        alternatives: values of known wrong implementations, by name, computed on demand.
        repaired: values of the subject with a suspected defect undone, computed on demand.
    """
    exact = reference if isinstance(reference, Exact) else Exact(reference, np.zeros_like(reference))
    with np.errstate(invalid="ignore", over="ignore"):
        residual = np.abs((value - exact.high) - exact.low)
        magnitude = np.abs(exact.high)
        size = magnitude if scale is None else scale
        decided = np.isfinite(bound) & np.isfinite(exact.high)
        decided &= (bound < magnitude) | ((magnitude == 0.0) & (size == 0.0))
    if in_range is not None:
        decided &= in_range
    residual = np.where(np.isnan(residual), np.inf, residual)
    return Comparison(
        label,
        value,
        exact.high,
        residual,
        np.asarray(bound, dtype=np.float64),
        np.asarray(decided, dtype=np.bool_),
        np.asarray(size, dtype=np.float64),
        dtype,
        axes,
        relaxed,
        alternatives,
        repaired,
    )


class Bounded(Protocol):
    """The rounding-error bound of a sound evaluation, entry by entry."""

    @property
    def bound(self) -> FloatArray:
        """Largest residual."""
        ...

    @property
    def scale(self) -> FloatArray:
        """Sum of the absolute values of the terms."""
        ...

    @property
    def in_range(self) -> BoolArray:
        """Where no intermediate leaves the range of the format."""
        ...

    def relaxed(self) -> Mapping[str, FloatArray]:
        """Return the bounds of evaluations with fewer digits, by name."""
        ...


def within(
    label: str,
    value: FloatArray,
    reference: Exact | FloatArray,
    bound: Bounded,
    *,
    dtype: str,
    axes: tuple[str, ...],
    alternatives: Alternatives = dict,
) -> Comparison:
    """Compare a computed array with its reference, within a bound that has the arguments of ``compare``."""
    return compare(
        label,
        value,
        reference,
        bound.bound,
        dtype=dtype,
        axes=axes,
        scale=bound.scale,
        in_range=bound.in_range,
        relaxed=bound.relaxed,
        alternatives=alternatives,
    )


def worst(
    pairs: Iterable[tuple[Mapping[str, Any], Comparison]],
) -> tuple[tuple[Comparison, ...], Mapping[str, Any]]:
    """Return every comparison, and the detail of the one with the worst ratio."""
    listed = list(pairs)
    detail = max(listed, key=lambda pair: pair[1].ratio, default=({}, None))[0]
    return tuple(comparison for _, comparison in listed), detail
