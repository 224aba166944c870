"""The likely mistake behind a failure: a catalogue of transformations, tried one after the other.

Each entry of the catalogue undoes one known mistake and computes the remaining error. A failure is
*inaccurate* if lost digits explain it, and *wrong* if another mistake or none does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from dynprop.arrays import BoolArray, FloatArray, round_to
from dynprop.contracts.formats import FORMATS, coarser
from dynprop.laws.evidence import NORMWISE, Comparison

__all__ = ["Explanation", "explain", "name_constant"]

# Allowance for the rounding errors of a repaired value, as a multiple of the bound.
SLACK = 16.0
FEW_DIGITS = 1e-3
# A hypothesis is printed if it leaves at most this share of the error.
CONVINCING = 0.1


@dataclass(frozen=True)
class Explanation:
    """A hypothesis about a failure.

    Attributes:
        text: the likely mistake.
        before: worst error of the value.
        after: worst error once the mistake is undone.
        digits_only: whether only digits are lost, not the function.
    """

    text: str
    before: float
    after: float
    digits_only: bool = False

    @property
    def head(self) -> str:
        """The hypothesis without the numbers of the case."""
        return self.text.split(":")[0]

    def __str__(self) -> str:
        return f"{self.text} (error {self.before:.2g} -> {self.after:.2g} under it)"


def explain(comparison: Comparison) -> Explanation | None:
    """Return the first explanation of the catalogue that fits every decided entry, or None.

    Args:
        comparison: a failing comparison.
    """
    if not comparison.decided.any() or comparison.ratio <= 1.0:
        return None
    with np.errstate(all="ignore"):
        for attempt in CATALOGUE:
            for explanation in attempt(comparison):
                if explanation.digits_only or explanation.after <= CONVINCING * explanation.before:
                    return explanation
    return None


def _error(c: Comparison, value: FloatArray, where: BoolArray | None = None) -> float:
    mask = c.decided if where is None else c.decided & where
    return float(np.abs(value - c.reference)[mask].max(initial=0.0))


def _before(c: Comparison) -> float:
    return float(c.residual[c.decided].max(initial=0.0))


def _slack(c: Comparison) -> float:
    """Return the slack, smaller for formats whose rounding errors are about a percent."""
    return SLACK if FORMATS[c.dtype].unit < 2.0**-20 else 1.5


def _fits(c: Comparison, value: FloatArray, factor: float = 1.0) -> bool:
    """Whether a transformed value agrees with the reference at every decided entry."""
    if value.shape != c.reference.shape:
        return False
    return bool((np.abs(value - c.reference) <= _slack(c) * factor * c.bound)[c.decided].all())


def name_constant(factor: float) -> str:
    """Return a factor as a signed whole number, its inverse or a root of either, else in decimals."""
    for sign, prefix in ((1.0, ""), (-1.0, "-")):
        for n in range(2, 129):
            root = math.isqrt(n)
            is_square = root * root == n
            forms = [(float(n), f"{n}"), (1.0 / n, f"1/{n}")]
            if not is_square:
                forms += [(math.sqrt(n), f"√{n}"), (1.0 / math.sqrt(n), f"1/√{n}")]
            for value, name in forms:
                if abs(factor / (sign * value) - 1.0) < 1e-6:
                    return f"{prefix}{name}"
    return f"{factor:.6g}"


def _scaled(c: Comparison) -> Iterator[Explanation]:
    """Every entry scaled by one factor: a sign, the square root of a size, any constant."""
    used = c.decided & np.isfinite(c.value) & (c.reference != 0.0)
    if used.sum() < 2:
        return
    top = np.where(used, np.abs(c.reference), -1.0).argmax()
    factor = float(c.value.flat[top] / c.reference.flat[top])
    if factor == 0.0:
        if not np.any(c.value[c.decided]):
            yield Explanation("always zero", _before(c), 0.0)
        return
    # Rounding alone can make a factor this close to 1.
    rounding = SLACK * float((c.bound / np.abs(c.reference)).flat[top]) + max(
        1e-4, 32.0 * FORMATS[c.dtype].unit
    )
    if (
        not math.isfinite(factor)
        or abs(factor - 1.0) <= rounding
        or not _fits(c, c.value / factor, max(1.0, 1.0 / abs(factor)))
    ):
        return
    text = "sign flipped" if abs(factor + 1.0) < 1e-6 else f"scaled by {name_constant(factor)}"
    yield Explanation(text, _before(c), _error(c, c.value / factor))


def _sequence_axis(c: Comparison) -> int | None:
    return next((i for i, a in enumerate(c.axes) if a in ("lag", "time")), None)


def _truncated(c: Comparison) -> Iterator[Explanation]:
    """Correct up to some lag; from there on exactly zero, or scaled by one factor."""
    axis = _sequence_axis(c)
    if axis is None:
        return
    other_axes = tuple(i for i in range(c.value.ndim) if i != axis)
    failing = (c.ratios > 1.0).any(axis=other_axes)
    first = int(failing.argmax())
    from_first = np.moveaxis(np.zeros(c.value.shape, dtype=bool), axis, 0)
    from_first[first:] = True
    after = np.moveaxis(from_first, 0, axis) & c.decided & (c.reference != 0.0)
    if not after.any():
        return
    name = c.axes[axis]
    if not np.any(c.value[after]):
        text = f"truncated at {first}: exactly zero at every {name} from {first} on"
        yield Explanation(text, _before(c), _error(c, c.value, ~after))
        return
    factors = c.value[after] / c.reference[after]
    factor = float(np.median(factors))
    enough = factors.size >= 3 and abs(factor - 1.0) > 1e-2
    if enough and first > 0 and math.isfinite(factor) and np.all(np.abs(factors / factor - 1.0) < 1e-2):
        text = f"scaled by {name_constant(factor)} at every {name} from {first} on"
        yield Explanation(text, _before(c), _error(c, np.where(after, c.value / factor, c.value)))


def _alternatives(c: Comparison) -> Iterator[Explanation]:
    """Equal to the value of an implementation with one known mistake."""
    for name, value in c.alternatives().items():
        if value.shape != c.value.shape:
            continue
        # Where the mistake does not change the value, the case is no evidence for it.
        separation = (np.abs(value - c.reference) / np.maximum(c.bound, 5e-324))[c.decided].max(initial=0.0)
        distance = np.abs(c.value - value)
        if separation > 2.0 * SLACK and (distance <= _slack(c) * c.bound)[c.decided].all():
            yield Explanation(name, _before(c), float(distance[c.decided].max(initial=0.0)))


def _repaired(c: Comparison) -> Iterator[Explanation]:
    """Correct once the suspected defect is undone in the subject itself."""
    for name, value in c.repaired().items():
        if _fits(c, value):
            yield Explanation(name, _before(c), _error(c, value))


def _rows(c: Comparison) -> Iterator[Explanation]:
    """Only the first row of the batch is right."""
    if "batch" not in c.axes or c.value.shape[c.axes.index("batch")] < 2:
        return
    failing = np.moveaxis(c.ratios > 1.0, c.axes.index("batch"), 0)
    other_rows = failing[1:].reshape(failing.shape[0] - 1, -1).any(axis=1)
    decided_counts = (
        np.moveaxis(c.decided, c.axes.index("batch"), 0).reshape(failing.shape[0], -1).sum(axis=1)
    )
    precise = FORMATS[c.dtype].unit < 2.0**-20 and decided_counts[0] >= decided_counts.max() / 2
    if precise and not failing[0].any() and other_rows.all():
        yield Explanation("first row only: row 0 of the batch is right, every other is not", _before(c), 0.0)


def _shifted(c: Comparison) -> Iterator[Explanation]:
    """One step late or early along time or lag."""
    axis = _sequence_axis(c)
    if axis is None or c.value.shape[axis] < 3:
        return
    value, reference = (np.moveaxis(v, axis, 0) for v in (c.value, c.reference))
    bound, decided = np.moveaxis(c.bound, axis, 0), np.moveaxis(c.decided, axis, 0)
    for text, value_steps, reference_steps in (
        (f"off by one step: one {c.axes[axis]} late", slice(1, None), slice(None, -1)),
        (f"off by one step: one {c.axes[axis]} early", slice(None, -1), slice(1, None)),
    ):
        distance = np.abs(value[value_steps] - reference[reference_steps])
        both = decided[value_steps] & decided[reference_steps]
        fits = bool((distance <= _slack(c) * bound[reference_steps])[both].all())
        if fits and both.sum() >= 2 and np.any(reference[reference_steps][both]):
            yield Explanation(text, _before(c), float(distance[both].max(initial=0.0)))


def _transposed(c: Comparison) -> Iterator[Explanation]:
    """Two axes of equal length exchanged."""
    for i in range(c.value.ndim):
        for j in range(i + 1, c.value.ndim):
            if c.value.shape[i] == c.value.shape[j] > 1 and _fits(c, np.swapaxes(c.value, i, j)):
                text = f"transposed: {c.axes[i]} and {c.axes[j]} exchanged"
                yield Explanation(text, _before(c), _error(c, np.swapaxes(c.value, i, j)))


def _coarse(c: Comparison) -> Iterator[Explanation]:
    """A format with fewer digits somewhere inside."""
    finite = bool(np.isfinite(c.residual[c.decided]).all())
    for format_ in coarser(c.dtype):
        wider = c.bound * (format_.unit / FORMATS[c.dtype].unit)
        if finite and (c.residual <= wider)[c.decided].all() and _is_rounded(c, wider, format_.name):
            names = {"float32": "single precision (float32)", "float16": "half precision (float16)"}
            text = f"{names.get(format_.name, format_.name)} inside a {c.dtype} computation"
            ratio = float((c.residual / wider)[c.decided].max(initial=0.0))
            yield Explanation(f"{text}: {ratio:.2g} of its bound", _before(c), 0.0, digits_only=True)


def _is_rounded(c: Comparison, wider: FloatArray, name: str) -> bool:
    """Whether the bound is narrow, or the values have no more digits than the coarser format."""
    narrow = bool((wider <= 1e-2 * c.scale.max(initial=0.0))[c.decided].all())
    return narrow or bool(np.array_equal(round_to(c.value, name), c.value))


def _relaxed(c: Comparison) -> Iterator[Explanation]:
    """An evaluation of the right function that loses digits."""
    failing = c.ratios > 1.0
    for name, wider in sorted(c.relaxed().items(), key=lambda item: float(item[1][failing].sum())):
        within = (c.residual <= wider) & np.isfinite(wider) & np.isfinite(c.residual)
        # A bound as wide as the values would explain any error.
        narrow = (wider < 0.5 * c.scale.max(initial=0.0))[failing]
        conclusive = bool(narrow.all() if name.startswith(NORMWISE) else narrow.any())
        if conclusive and within[c.decided].all():
            yield Explanation(name, _before(c), 0.0, digits_only=True)


def _few_digits(c: Comparison) -> Iterator[Explanation]:
    """Errors small relative to the largest entry, in a value that is not zero throughout."""
    failing = c.ratios > 1.0
    if not np.isfinite(c.residual[failing]).all():
        return
    if not np.any(c.value[failing]):
        return
    largest = float(c.scale[c.decided].max(initial=0.0))
    relative = _before(c) / largest if largest else math.inf
    if relative <= max(FEW_DIGITS, 32.0 * FORMATS[c.dtype].unit):
        text = f"fewer digits than a sound evaluation has: {relative:.1g} of the largest entry is lost"
        yield Explanation(text, _before(c), 0.0, digits_only=True)


CATALOGUE: tuple[Callable[[Comparison], Iterator[Explanation]], ...] = (
    _scaled,
    _truncated,
    _alternatives,
    _repaired,
    _shifted,
    _transposed,
    # The narrower bounds first: a log-space error also fits the bound of single precision.
    _relaxed,
    _coarse,
    _few_digits,
    _rows,
)
