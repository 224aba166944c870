"""How a loss reaches back (claim C6): cells, and the gradient of a state by lag.

torch is imported by the modules that need it, when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynprop.gradients.cells import CELLS, Cell, cell_named
    from dynprop.gradients.profile import cell_gradient_by_lag

__all__ = ["CELLS", "Cell", "cell_gradient_by_lag", "cell_named"]

_HOMES = {
    "CELLS": "dynprop.gradients.cells",
    "Cell": "dynprop.gradients.cells",
    "cell_gradient_by_lag": "dynprop.gradients.profile",
    "cell_named": "dynprop.gradients.cells",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dynprop.gradients' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
