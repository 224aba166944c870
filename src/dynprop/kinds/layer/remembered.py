"""Evaluations that several laws, or several cases of one law, need: each is made once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

__all__ = ["Remembered"]

Value = TypeVar("Value")
MOST = 256


class Remembered:
    """The results of the last evaluations, by a key that names all that they depend on.

    Laws of one check draw the same cases where they draw in the same way, so that a bound, which costs
    several evaluations of the layer, serves all of them. What a law judges is evaluated anew every time.
    """

    def __init__(self) -> None:
        self._results: OrderedDict[Hashable, Any] = OrderedDict()

    def once(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the remembered result of a key, or make it; the caller does not modify it."""
        if key in self._results:
            self._results.move_to_end(key)
            found: Value = self._results[key]
            return found
        made = make()
        self._results[key] = made
        if len(self._results) > MOST:
            self._results.popitem(last=False)
        return made
