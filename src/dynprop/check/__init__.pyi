__all__: list[str]

from .adapters import Agreement as Agreement
from .adapters import AssociativeScan as AssociativeScan
from .adapters import ClosedForm as ClosedForm
from .adapters import Initializer as Initializer
from .adapters import Layer as Layer
from .adapters import LinearAttention as LinearAttention
from .adapters import Product as Product
from .adapters import Scan as Scan
from .adapters import Unroll as Unroll
from .api import check as check
from .pytest_laws import parametrize_with_laws as parametrize_with_laws
from .run.report import Report as Report
from .run.session import Retrial as Retrial
from .run.session import again as again
from .targets import load_subject as load_subject
