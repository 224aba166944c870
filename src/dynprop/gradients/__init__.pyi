__all__: list[str]

from .cells import CELLS as CELLS
from .cells import Cell as Cell
from .cells import cell_named as cell_named
from .profile import cell_gradient_by_lag as cell_gradient_by_lag
