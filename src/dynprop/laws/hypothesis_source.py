"""Choices drawn by Hypothesis: any generator of cases becomes a strategy that shrinks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st

from dynprop.contracts.domain import Domain
from dynprop.laws.draw import Source

__all__ = ["HypothesisSource", "cases"]

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
