"""The domain of a target: an exception inside is an error, outside nothing is tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dynprop.contracts.formats import FORMATS
from dynprop.errors import ArgumentError

__all__ = ["ARITHMETICS", "GATES", "INPUTS", "Domain", "described"]

GATES = ("unit", "signed", "any", "constant", "reset")
INPUTS = ("any", "positive")
ARITHMETICS = ("product", "log")


@dataclass(frozen=True)
class Domain:
    """The cases that a target declares to handle.

    Attributes:
        gates: "unit" (0 < a <= 1), "signed" (-1 <= a <= 1 with 0 and +-1 exactly), "any" (all finite
            values), "constant" (any value, the same at every step) or "reset" (0 or one number gamma in
            (0, 1], the same for a whole call: discounts with done flags).
        inputs: "any" or "positive" (inputs and initial state above zero).
        dtypes: the formats that it computes in.
        max_length: the largest number of steps.
        arithmetic: "product", or "log" for an evaluation by sums of logarithms, which has
            an extra relative error proportional to the sum of abs(log(abs(a))).
        reach: truncation of its gradient, the largest lag that it includes; None for no truncation.

    Raises:
        ArgumentError: a value outside these sets.
    """

    gates: str = "any"
    inputs: str = "any"
    dtypes: tuple[str, ...] = ("float64", "float32")
    max_length: int = 2048
    arithmetic: str = "product"
    reach: int | None = None

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("gates", self.gates, GATES),
            ("inputs", self.inputs, INPUTS),
            ("arithmetic", self.arithmetic, ARITHMETICS),
        ):
            if value not in allowed:
                raise ArgumentError(name, repr(value), f"one of {', '.join(allowed)}")
        unknown = [d for d in self.dtypes if d not in FORMATS]
        if unknown or not self.dtypes:
            raise ArgumentError("dtypes", repr(self.dtypes), f"some of {', '.join(FORMATS)}")
        if self.max_length < 1:
            raise ArgumentError("max_length", str(self.max_length), "a whole number of at least 1")
        if self.reach is not None and self.reach < 0:
            raise ArgumentError("reach", str(self.reach), "a whole number of at least 0")

    def limited(self, length: int) -> Domain:
        """Return the same domain with sequences of at most this length."""
        return replace(self, max_length=min(self.max_length, length))

    def to_json(self) -> dict[str, Any]:
        """Return the domain as plain JSON values."""
        return {**self.__dict__, "dtypes": list(self.dtypes)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Domain:
        """Build the domain that ``to_json`` described."""
        return cls(**{**data, "dtypes": tuple(data["dtypes"])})


def described(domain: Mapping[str, Any], first: Sequence[str] = ()) -> str:
    """Return the line of a report that describes a domain.

    Args:
        domain: the JSON form of a domain.
        first: parts of the line that stand before formats and length.
    """
    parts = [*first, ", ".join(domain["dtypes"]), f"length <= {domain['max_length']}"]
    if domain["arithmetic"] != "product":
        parts.append(f"arithmetic {domain['arithmetic']}")
    if domain["reach"] is not None:
        parts.append(f"reach {domain['reach']}")
    return f"domain: {' · '.join(parts)}"
