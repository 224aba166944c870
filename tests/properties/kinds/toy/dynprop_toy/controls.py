"""A right running extreme, which the laws never accuse."""

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.laws.catalogue import Catalogue

controls = Catalogue("running-extreme", "numpy")
CATALOGUES = (controls,)


@controls.control("control/numpy-accumulate")
def accumulate(values: FloatArray) -> FloatArray:
    """numpy.maximum.accumulate."""
    return np.asarray(np.maximum.accumulate(values))
