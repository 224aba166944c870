"""Kernels of a family are planted, each to be caught by one law."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from dynprop.kinds.linear_attention.kernels import options
from dynprop.laws.catalogue import Catalogue

__all__ = ["GATED", "PLAIN", "Planter"]

Target = TypeVar("Target", bound=Callable[..., object])
USUAL = "gated-delta"
PLAIN = options(USUAL)
GATED = options(USUAL, groups="interleave")


@dataclass(frozen=True)
class Planter:
    """A decorator of kernels that plants them in a catalogue.

    Attributes:
        catalogue: where they are planted.
        usual: the options of kernels of the usual family, the gated delta rule.
    """

    catalogue: Catalogue
    usual: Mapping[str, object]

    def __call__(
        self,
        name: str,
        law: str,
        verdict: str = "wrong",
        *,
        source: str = "dynprop",
        gross: bool = True,
        family: str = USUAL,
        **domain: object,
    ) -> Callable[[Target], Target]:
        """Plant every instance of the decorated class, or what the decorated function returns.

        Args:
            name: of the fault, without the kind.
            law: slug of the law that catches it.
            verdict: of that law.
            source, gross: as on ``Fault``.
            family: of the kernel; see ``kernels.FAMILIES``.
            domain: what it declares beside the options of its family.
        """
        return self.catalogue.fault(
            f"linear-attention/{name}",
            source=source,
            gross=gross,
            fresh=True,
            domain={**(self.usual if family == USUAL else options(family)), **domain},
            caught_by={law: verdict},
        )
