"""dynprop: how signals and gradients travel through time, executable and checked.

Importing this package imports numpy and nothing heavier; rooms are loaded when a name is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynprop.lazy import loaded_when_used

if TYPE_CHECKING:
    from dynprop import check, gradients, laws, linear, products, training
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
    "check",
    "gradients",
    "laws",
    "linear",
    "products",
    "scan",
    "training",
]

_HOMES = {
    "ArgumentError": "dynprop.errors",
    "DynpropError": "dynprop.errors",
    "LedgerError": "dynprop.errors",
    "PrecisionError": "dynprop.errors",
    "TargetError": "dynprop.errors",
    "scan": "dynprop.linear",
}

_ROOMS = ("check", "gradients", "laws", "linear", "products", "training")

__getattr__, __dir__ = loaded_when_used(__name__, _HOMES, __all__, _ROOMS)
