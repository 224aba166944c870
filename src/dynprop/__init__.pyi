__all__: list[str]

from . import check as check
from . import contracts as contracts
from . import gradients as gradients
from . import kinds as kinds
from . import laws as laws
from . import linear as linear
from . import products as products
from . import strategies as strategies
from . import training as training
from ._version import __version__ as __version__
from .errors import ArgumentError as ArgumentError
from .errors import DynpropError as DynpropError
from .errors import LedgerError as LedgerError
from .errors import PrecisionError as PrecisionError
from .errors import TargetError as TargetError
from .linear import scan as scan
