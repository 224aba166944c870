"""dynprop: how signals and gradients travel through time, executable and checked.

Importing this package imports numpy and nothing heavier; rooms are loaded when a name is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynprop.errors import ArgumentError, DynpropError, LedgerError, PrecisionError, TargetError
    from dynprop.linear import scan

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "DynpropError",
    "LedgerError",
    "PrecisionError",
    "TargetError",
    "__version__",
    "scan",
]

_HOMES = {
    "ArgumentError": "dynprop.errors",
    "DynpropError": "dynprop.errors",
    "LedgerError": "dynprop.errors",
    "PrecisionError": "dynprop.errors",
    "TargetError": "dynprop.errors",
    "scan": "dynprop.linear",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dynprop' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
