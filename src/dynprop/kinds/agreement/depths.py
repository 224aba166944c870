"""Cases of laws about random weights over many steps: a depth, a width and a seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dynprop.contracts.domain import Domain
from dynprop.laws.draw import Source

__all__ = ["DepthCase", "depth_case"]


@dataclass(frozen=True)
class DepthCase:
    """One case.

    Attributes:
        depth: number of steps or layers, >= 1.
        width: units, series or atoms, >= 1.
        seed: seed of all random numbers.
        dtype: format of the computation.
    """

    depth: int
    width: int
    seed: int
    dtype: str = "float64"

    def generator(self) -> np.random.Generator:
        """Return a Generator of the random numbers."""
        return np.random.default_rng(self.seed)

    def refusable(self) -> bool:
        """No case may be refused."""
        return False

    def describe(self) -> str:
        """Describe the case on one line."""
        return f"depth {self.depth}, width {self.width}, seed {self.seed}"

    def smaller(self) -> Iterator[DepthCase]:
        """Yield simpler cases."""
        for depth in sorted({1, 2, self.depth // 2}):
            if 0 < depth < self.depth:
                yield replace(self, depth=depth)
        for width in sorted({1, 2, self.width // 2}):
            if 0 < width < self.width:
                yield replace(self, width=width)
        if self.seed:
            yield replace(self, seed=0)

    def to_json(self) -> dict[str, Any]:
        """Return the case as plain JSON values."""
        return dict(self.__dict__)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> DepthCase:
        """Build the case that ``to_json`` described."""
        return cls(**{name: data[name] for name in ("depth", "width", "seed", "dtype")})


def depth_case(
    source: Source, domain: Domain, subject: Any, *, depths: tuple[int, int], widths: tuple[int, int] = (1, 6)
) -> DepthCase:
    """Draw a case; bounds are included."""
    deepest = min(depths[1], domain.max_length)
    return DepthCase(
        source.integer(min(depths[0], deepest), deepest), source.integer(*widths), source.integer(0, 2**31)
    )
