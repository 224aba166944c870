"""How a loss reaches back (claim C6): cells, and the gradient of a state by lag.

torch is imported by the modules that need it, when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynprop.lazy import loaded_when_used

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

__getattr__, __dir__ = loaded_when_used(__name__, _HOMES, __all__)
