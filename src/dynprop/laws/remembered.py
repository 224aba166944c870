"""Values that several laws need of the same arrays, computed once: exact references, bounds, states.

Values belong to arrays by identity and live as long as these do. Only arrays that nobody writes to may be
used, such as those of a case.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar, cast

from dynprop.arrays import NumericArray

__all__ = ["Remembered"]

T = TypeVar("T")


class Remembered:
    """Values by arrays and key.

    Example:
        >>> import numpy as np
        >>> remembered, values = Remembered(), np.arange(3.0)
        >>> [remembered.value([values], "sum", lambda: print("computed") or values.sum()) for _ in range(2)]
        computed
        [np.float64(3.0), np.float64(3.0)]
    """

    def __init__(self) -> None:
        self._values: dict[tuple[int, ...], dict[Hashable, object]] = {}

    def value(self, arrays: Sequence[NumericArray | None], key: Hashable, compute: Callable[[], T]) -> T:
        """Return the value of these arrays under a key, computed at the first call."""
        place = tuple(0 if array is None else id(array) for array in arrays)
        if place not in self._values:
            self._values[place] = {}
            for array in arrays:
                if array is not None:
                    weakref.finalize(array, self._values.pop, place, None).atexit = False
        values = self._values[place]
        if key not in values:
            values[key] = compute()
        return cast("T", values[key])
