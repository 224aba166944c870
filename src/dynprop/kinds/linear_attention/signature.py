"""What the signature of a kernel says: which arguments it takes, and under which names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dynprop.errors import ArgumentError

__all__ = ["ARGUMENTS", "Parameters"]

# The arguments of a kernel in the order of the call, and the names by which kernels take them.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "q": ("q",),
    "k": ("k",),
    "v": ("v",),
    "log_decay": ("log_decay", "g", "gk", "decay", "log_alpha"),
    "beta": ("beta",),
    "a": ("a",),
    "b": ("b",),
    "bonus": ("bonus", "u"),
    "initial_state": ("initial_state", "h0", "init_state", "state"),
    "scale": ("scale",),
    "cu_seqlens": ("cu_seqlens", "offsets"),
}
# Flags by which kernels are asked for their final state.
FLAGS = ("output_final_state", "return_final_state", "return_last_states")


@dataclass(frozen=True)
class Parameters:
    """The names by which a kernel takes its arguments.

    Attributes:
        names: parameter by argument, of those that it takes.
        constants: further keywords of every call.
        open: whether it takes keywords of any name, or its signature cannot be read.
    """

    names: Mapping[str, str]
    constants: Mapping[str, bool]
    open: bool

    @classmethod
    def of(cls, target: Callable[..., Any], declared: Mapping[str, str]) -> Parameters:
        """Read the signature of a kernel.

        Args:
            target: the kernel.
            declared: parameter by argument, as far as the caller says so.

        Raises:
            ArgumentError: an argument that no kernel has, or a parameter that this one does not have.
        """
        for name in declared:
            if name not in ARGUMENTS:
                raise ArgumentError("names", repr(name), f"names of arguments: {', '.join(ARGUMENTS)}")
        try:
            found = inspect.signature(target).parameters
        except (TypeError, ValueError):
            return cls({name: declared.get(name, name) for name in ARGUMENTS}, {}, True)
        opened = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in found.values())
        for name, parameter in declared.items():
            if parameter not in found and not opened:
                have = ", ".join(found)
                raise ArgumentError("names", f"{name}={parameter}", f"a parameter of the kernel: {have}")
        names = {}
        for name, usual in ARGUMENTS.items():
            present = [p for p in usual if p in found and p not in declared.values()]
            if name in declared:
                names[name] = declared[name]
            elif present:
                names[name] = present[0]
        return cls(names, {flag: True for flag in FLAGS if flag in found}, opened)

    @classmethod
    def of_form(cls, target: Callable[..., Any], declared: Mapping[str, str]) -> Parameters:
        """Read the signature of a further form, which may lack arguments that the kernel has."""
        try:
            found = inspect.signature(target).parameters
        except (TypeError, ValueError):
            return cls.of(target, declared)
        opened = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in found.values())
        return cls.of(target, {n: p for n, p in declared.items() if p in found or opened})

    def takes(self, name: str) -> bool:
        """Whether the kernel takes an argument, as far as its signature says."""
        return name in self.names

    def require(self, option: str, value: str, name: str) -> None:
        """Raise ArgumentError if a declared option needs an argument that the kernel does not take."""
        if not self.takes(name) and not self.open:
            expected = f"a kernel that takes {name}: declare names {name}=PARAMETER, or another {option}"
            raise ArgumentError(option, f"{value!r} for a kernel without {name}", expected)
