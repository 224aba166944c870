__all__: list[str]

from .closed.certified import CertifiedPower as CertifiedPower
from .closed.certified import certified_power as certified_power
from .closed.closed_form import ClosedForm as ClosedForm
from .closed.closed_form import closed_form as closed_form
from .growth.growth import Growth as Growth
from .growth.growth import GrowthVerdict as GrowthVerdict
from .growth.growth import growth as growth
from .growth.kreiss import kreiss_constant as kreiss_constant
from .growth.stability import CertifiedGrowth as CertifiedGrowth
from .growth.stability import Interval as Interval
from .growth.stability import certified_growth as certified_growth
from .growth.stability import certified_radius as certified_radius
from .growth.stability import is_stable as is_stable
from .plots import plot_growth as plot_growth
from .plots import plot_spectrum as plot_spectrum
from .scan import scan as scan
from .spectra.eigenvalues import CertifiedEigenvalue as CertifiedEigenvalue
from .spectra.eigenvalues import Stability as Stability
from .spectra.eigenvalues import certified_eigenvalues as certified_eigenvalues
from .spectra.modes import Modes as Modes
from .spectra.modes import discard_ratio as discard_ratio
from .spectra.modes import log_discard_ratio as log_discard_ratio
from .spectra.modes import modes as modes
from .spectra.spectrum import Spectrum as Spectrum
from .spectra.spectrum import spectrum as spectrum
from .unroll import unroll as unroll
