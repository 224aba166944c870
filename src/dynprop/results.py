"""Results as values: comparison, pickling, copying and short reprs for frozen dataclasses.

A result class derives from `Result` and leaves these methods to it::

    @dataclass(frozen=True, eq=False, repr=False)
    class Spectrum(Result): ...

The generated methods fail for arrays: ``==`` of a dataclass compares tuples of fields, an array has no truth
value, and a hash of an array would change with its contents. python-flint's balls have neither pickling nor
an equality of contents: ``==`` between balls means "certainly equal", which is False for a ball and itself.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from flint import arb

__all__ = ["Result", "contents", "same", "short"]

# Largest number of entries of an array that a repr prints.
_PRINTED = 6


class Result:
    """Base of the result dataclasses: equal by contents, unhashable, picklable, with a short repr.

    Two results are equal if they have the same type and equal fields: arrays of the same shape, dtype and
    entries (NaN equals NaN), balls with the same midpoint and radius. Fields of any value that pickle accepts
    are allowed, and python-flint balls and ball matrices.

    Attributes:
        _summary: names of properties that the repr prints after the fields.
    """

    _summary: ClassVar[tuple[str, ...]] = ()

    def __eq__(self, other: object) -> bool:
        """Whether the other result has the same type and equal contents."""
        if type(other) is not type(self):
            return NotImplemented
        return all(same(a, b) for a, b in zip(_values(self), _values(other), strict=True))

    # A result may contain arrays, which are mutable.
    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # unhashable, as typeshed's object is not

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields for pickle and copy, balls in a picklable form, without cached properties."""
        return {f.name: _packed(getattr(self, f.name)) for f in _fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the fields; attributes of a frozen dataclass are set in its dictionary."""
        self.__dict__.update({name: _unpacked(value) for name, value in state.items()})

    def __repr__(self) -> str:
        """Return the class name with its fields; large arrays and ball matrices as shape and dtype."""
        names = [f.name for f in _fields(self) if f.repr]
        parts = [f"{name}={short(getattr(self, name))}" for name in (*names, *self._summary)]
        return f"{type(self).__name__}({', '.join(parts)})"


def _fields(result: Any) -> tuple[Any, ...]:
    assert is_dataclass(result), f"{type(result).__name__} derives from Result and is no dataclass"
    return fields(result)


def _values(result: Any) -> list[Any]:
    return [getattr(result, f.name) for f in _fields(result)]


def same(a: Any, b: Any) -> bool:
    """Whether two values have equal contents; never raises on arrays, NaN equals NaN.

    The values may be of any type, since results may have fields of any type.
    """
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return _same_arrays(a, b)
    if type(a) is not type(b):
        # A numpy scalar and a Python number of equal value are the same number.
        numbers = isinstance(a, np.generic) or isinstance(b, np.generic)
        return bool(numbers and a == b)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    packed = contents(a)
    if packed is not None:
        return packed == contents(b)
    return bool(a is b or a == b or (a != a and b != b))


def _same_arrays(a: Any, b: Any) -> bool:
    if type(a) is not type(b) or a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype == object:
        return all(same(x, y) for x, y in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True))
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))


def short(value: Any) -> str:
    """Return the repr of a small value; of a large array or a ball matrix its type, dtype and shape."""
    if isinstance(value, np.ndarray):
        if value.size > _PRINTED or value.ndim > 1:
            return f"<{value.dtype} array of shape {value.shape}>"
        return np.array2string(value, separator=", ")
    if isinstance(value, np.generic):
        return repr(value.item())
    if isinstance(value, Enum):
        return str(value)
    packed = contents(value)
    if packed is not None:
        return f"<{packed[0]} {packed[1]} × {packed[2]}>" if packed[0].endswith("mat") else value.str(8)
    return repr(value)


# The contents of a ball: mantissa and exponent of the midpoint and of the radius.
_Ball = tuple[tuple[int, int], tuple[int, int]]


def contents(value: Any) -> tuple[Any, ...] | None:
    """Return the exact contents of a python-flint ball or ball matrix as nested tuples, else None.

    They are (type, ball) or (type, rows, columns, balls); equal contents mean equal midpoints and radii.

    Raises:
        ValueError: a ball is not finite.
    """
    if type(value).__module__.partition(".")[0] != "flint":
        return None
    kind = type(value).__name__
    if kind == "arb":
        return kind, _ball(value)
    if kind == "acb":
        return kind, (_ball(value.real), _ball(value.imag))
    if kind == "arb_mat":
        return kind, value.nrows(), value.ncols(), tuple(_ball(x) for x in value.entries())
    if kind == "acb_mat":
        balls = tuple((_ball(x.real), _ball(x.imag)) for x in value.entries())
        return kind, value.nrows(), value.ncols(), balls
    return None


def _ball(x: arb) -> _Ball:
    (m, e), (r, f) = x.mid().man_exp(), x.rad().man_exp()
    return (int(m), int(e)), (int(r), int(f))


class _Packed(tuple[Any, ...]):
    """The contents of a ball, as stored in a pickle in place of it."""


def _packed(value: Any) -> Any:
    found = contents(value)
    return value if found is None else _Packed(found)


def _unpacked(value: Any) -> Any:
    if not isinstance(value, _Packed):
        return value
    from flint import acb, acb_mat, arb_mat

    kind, *rest = value
    if kind == "arb":
        return _restored(rest[0])
    if kind == "acb":
        return acb(*map(_restored, rest[0]))
    rows, columns, balls = rest
    if kind == "arb_mat":
        return arb_mat(rows, columns, [_restored(ball) for ball in balls])
    return acb_mat(rows, columns, [acb(*map(_restored, pair)) for pair in balls])


def _restored(ball: _Ball) -> arb:
    """Build a ball with exactly this midpoint and radius.

    A radius has 30 bits. FLINT converts a number with the leading bits m to the radius m + 1, so the radius m
    is made from m - 1. For m = 2²⁹, where m - 1 has fewer bits, it is the sum of the radius (2³⁰ - 1)/2 and a
    tiny one, which FLINT rounds up by one unit.
    """
    from flint import arb

    from dynprop.precision import working_precision

    middle, (m, e) = ball
    if m == 0:
        return arb(middle)
    shift = 30 - m.bit_length()
    m, e = m << shift, e - shift
    with working_precision(max(64, abs(middle[0]).bit_length())):
        if m > 1 << 29:
            radius = arb(0, arb((m - 1, e)))
        else:
            radius = arb(0, arb(((1 << 30) - 2, e - 1))) + arb(0, arb((1, e - 64)))
        return arb(middle) + radius
