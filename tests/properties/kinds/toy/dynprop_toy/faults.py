"""Wrong running extremes, which the laws catch."""

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.laws.catalogue import Catalogue

faults = Catalogue("running-extreme", "numpy")
CATALOGUES = (faults,)


@faults.fault("running-extreme/starts-at-zero")
def starts_at_zero(values: FloatArray) -> FloatArray:
    """The state starts at zero, which is larger than a negative first value."""
    return np.asarray(np.maximum.accumulate(np.r_[0.0, values])[1:])


@faults.fault("running-extreme/forgets")
def forgets(values: FloatArray) -> FloatArray:
    """Each entry is the extreme of the last two values only."""
    return np.asarray(np.maximum(values, np.r_[values[:1], values[:-1]]))


@faults.fault("running-extreme/in-place")
def in_place(values: FloatArray) -> FloatArray:
    """The result is written over the argument."""
    return np.asarray(np.maximum.accumulate(values, out=values))
