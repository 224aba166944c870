"""The domain of a target: an exception inside is an error, outside nothing is tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dynprop.contracts.formats import FORMATS
from dynprop.errors import ArgumentError

__all__ = [
    "ARITHMETICS",
    "GATES",
    "INPUTS",
    "INTEGERS",
    "WINDOWS",
    "Domain",
    "described",
    "floating",
    "whole",
]

GATES = ("unit", "signed", "any", "constant", "reset")
INPUTS = ("any", "positive")
ARITHMETICS = ("product", "log")
INTEGERS = ("int64",)
WINDOWS = ("start", "end")


def floating(dtypes: Sequence[str]) -> tuple[str, ...]:
    """Return the declared dtypes but the integers, unknown names among them."""
    return tuple(name for name in dtypes if name not in INTEGERS)


def whole(dtypes: Sequence[str]) -> tuple[str, ...]:
    """Return the declared dtypes that are integers."""
    return tuple(name for name in dtypes if name in INTEGERS)


@dataclass(frozen=True)
class Domain:
    """The cases that a target declares to handle.

    Attributes:
        gates: "unit" (0 < a <= 1), "signed" (-1 <= a <= 1 with 0 and +-1 exactly), "any" (all finite
            values), "constant" (any value, the same at every step) or "reset" (0 or one number gamma in
            (0, 1], the same for a whole call: discounts with done flags).
        inputs: "any" or "positive" (inputs and initial state above zero).
        dtypes: the floating-point formats that it computes in; empty where only integers are declared.
        max_length: the largest number of steps.
        arithmetic: "product", or "log" for an evaluation by sums of logarithms, which has
            an extra relative error proportional to the sum of abs(log(abs(a))).
        reach: truncation of its gradient: every output has the lags 0 to reach; None for no truncation. With
            ``windows`` the gradient is cut every ``reach`` steps instead.
        windows: where the steps between cuts are counted from, the "start" or the "end" of a call; None for
            a truncation at the same lag of every output.
        integers: the integer dtypes that it takes, for kinds whose laws have cases of whole numbers.

    Raises:
        ArgumentError: a value outside these sets, a reach beyond max_length, windows without a reach.
    """

    gates: str = "any"
    inputs: str = "any"
    dtypes: tuple[str, ...] = ("float64", "float32")
    max_length: int = 2048
    arithmetic: str = "product"
    reach: int | None = None
    windows: str | None = None
    integers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("gates", self.gates, GATES),
            ("inputs", self.inputs, INPUTS),
            ("arithmetic", self.arithmetic, ARITHMETICS),
        ):
            if value not in allowed:
                raise ArgumentError(name, repr(value), f"one of {', '.join(allowed)}")
        unknown = [d for d in self.dtypes if d not in FORMATS]
        if unknown or not (self.dtypes or self.integers):
            raise ArgumentError("dtypes", repr(self.dtypes), f"some of {', '.join(FORMATS)}")
        if not set(self.integers) <= set(INTEGERS):
            raise ArgumentError("integers", repr(self.integers), f"some of {', '.join(INTEGERS)}")
        if self.max_length < 1:
            raise ArgumentError("max_length", str(self.max_length), "a whole number of at least 1")
        if self.reach is not None and self.reach < 0:
            raise ArgumentError("reach", str(self.reach), "a whole number of at least 0")
        if self.reach is not None and self.reach > self.max_length:
            expected = f"at most max_length, {self.max_length}: beyond it nothing is cut"
            raise ArgumentError("reach", str(self.reach), expected)
        if self.windows is not None and self.windows not in WINDOWS:
            raise ArgumentError("windows", repr(self.windows), f"one of {', '.join(WINDOWS)}")
        if self.windows is not None and not self.reach:
            got = "no reach" if self.reach is None else "reach 0"
            raise ArgumentError("windows", f"{self.windows!r} and {got}", "reach=K, steps between two cuts")

    def limited(self, length: int) -> Domain:
        """Return the same domain with sequences of at most this length."""
        longest = min(self.max_length, length)
        reach = None if self.reach is None else min(self.reach, longest)
        return replace(self, max_length=longest, reach=reach)

    @property
    def uncut(self) -> int:
        """Largest number of steps of a call in which no gradient is cut, to the state given neither."""
        if self.reach is None:
            return self.max_length
        return self.reach if self.windows is None else self.reach - 1

    def first_seen(self, t: int, steps: int) -> int:
        """Return the first step, from 0, whose gradient the output of step t has in a call of some steps."""
        if self.reach is None:
            return 0
        if self.windows is None:
            return max(0, t - self.reach)
        if self.windows == "start":
            return t - t % self.reach
        return max(0, t - (self.reach - 1 - (steps - 1 - t) % self.reach))

    def to_json(self) -> dict[str, Any]:
        """Return the domain as plain JSON values."""
        data = {**self.__dict__, "dtypes": list(self.dtypes), "integers": list(self.integers)}
        return data if self.integers else {key: data[key] for key in data if key != "integers"}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Domain:
        """Build the domain that ``to_json`` described."""
        integers = tuple(data.get("integers", ()))
        return cls(**{**data, "dtypes": tuple(data["dtypes"]), "integers": integers})


def described(domain: Mapping[str, Any], first: Sequence[str] = ()) -> str:
    """Return the line of a report that describes a domain.

    Args:
        domain: the JSON form of a domain.
        first: parts of the line that stand before formats and length.
    """
    dtypes = [*domain["dtypes"], *domain.get("integers", ())]
    parts = [*first, ", ".join(dtypes), f"length <= {domain['max_length']}"]
    if domain["arithmetic"] != "product":
        parts.append(f"arithmetic {domain['arithmetic']}")
    if domain["reach"] is not None:
        parts.append(f"reach {domain['reach']}")
    if domain.get("windows") is not None:
        parts.append(f"windows from the {domain['windows']}")
    return f"domain: {' · '.join(parts)}"
