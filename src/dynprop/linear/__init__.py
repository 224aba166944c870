"""One matrix, or one gate, again and again (claims C1 to C3).

Names are imported here and not on first use: most modules are named after their function, and importing
a submodule would otherwise put the module in the function's place. The modules are light; scipy, torch,
python-flint and matplotlib are loaded by the functions that need them.
"""

from dynprop.linear.closed.certified import CertifiedPower, certified_power
from dynprop.linear.closed.closed_form import ClosedForm, closed_form
from dynprop.linear.growth.growth import Growth, GrowthVerdict, growth
from dynprop.linear.growth.kreiss import kreiss_constant
from dynprop.linear.growth.stability import (
    CertifiedGrowth,
    Interval,
    certified_growth,
    certified_radius,
    is_stable,
)
from dynprop.linear.plots import plot_growth, plot_spectrum
from dynprop.linear.scan import scan
from dynprop.linear.spectra.eigenvalues import CertifiedEigenvalue, Stability, certified_eigenvalues
from dynprop.linear.spectra.modes import Modes, discard_ratio, log_discard_ratio, modes
from dynprop.linear.spectra.spectrum import Spectrum, spectrum
from dynprop.linear.unroll import unroll

__all__ = [
    "CertifiedEigenvalue",
    "CertifiedGrowth",
    "CertifiedPower",
    "ClosedForm",
    "Growth",
    "GrowthVerdict",
    "Interval",
    "Modes",
    "Spectrum",
    "Stability",
    "certified_eigenvalues",
    "certified_growth",
    "certified_power",
    "certified_radius",
    "closed_form",
    "discard_ratio",
    "growth",
    "is_stable",
    "kreiss_constant",
    "log_discard_ratio",
    "modes",
    "plot_growth",
    "plot_spectrum",
    "scan",
    "spectrum",
    "unroll",
]
