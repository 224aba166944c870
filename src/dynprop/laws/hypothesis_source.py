"""Choices drawn by Hypothesis: any generator of cases becomes a strategy that shrinks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st
from hypothesis.internal.cache import LRUCache
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

from dynprop.contracts.domain import Domain
from dynprop.laws.draw import Source

__all__ = ["HypothesisSource", "cases", "without_constants_of_modules"]

T = TypeVar("T")


class HypothesisSource:
    """Choices drawn by Hypothesis, which shrink towards the lowest and the first."""

    def __init__(self, draw: st.DrawFn) -> None:
        """Wrap the draw function of a composite strategy."""
        self._draw = draw

    def integer(self, low: int, high: int) -> int:
        """Draw a whole number from low to high, both included."""
        return self._draw(st.integers(low, high))

    def choice(self, options: Sequence[T]) -> T:
        """Draw one of the options."""
        return self._draw(st.sampled_from(options))

    def generator(self) -> np.random.Generator:
        """Return a Generator whose seed is drawn."""
        return np.random.default_rng(self._draw(st.integers(0, 2**32 - 1)))


@st.composite
def cases(
    draw: st.DrawFn, generate: Callable[[Source, Domain, Any], T], domain: Domain, subject: Any = None
) -> T:
    """Cases from a law's own generator (``Law.draw``) within a domain.

    The subject is Any: each generator takes that of its own kind, or None where no target is at hand.
    """
    return generate(HypothesisSource(draw), domain, subject)


@contextmanager
def without_constants_of_modules() -> Iterator[None]:
    """Draw no constants from the source of imported modules, so that a seed alone decides the cases.

    Hypothesis mixes integers that stand in the source of local modules into its draws, and caches them in
    ``.hypothesis`` in the current folder. With them the same seed gives other cases after any edit, and a
    planted fault at length 513 would be met because its source says 513. Hypothesis has no setting for this.
    """
    names = vars(providers)
    nothing = Constants()
    # The cache holds what is permitted of both kinds of constants.
    changed = {"_get_local_constants": lambda: nothing, "CONSTANTS_CACHE": LRUCache(1024)}
    before = {name: names[name] for name in changed}
    names.update(changed)
    try:
        yield
    finally:
        names.update(before)
