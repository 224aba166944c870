"""scipy 1.17.1 ``signal.lfilter`` as a scan with constant gates (framework numpy).

y[t] = a y[t-1] + x[t] is the filter b = [1], a = [1, -gate]; the initial state enters through the
package's own ``zi``. One filter per (row, channel). Expected: pass.
"""

import numpy as np
from scipy.signal import lfilter


def scan(gates, inputs, initial=None):
    """Kind scan, gates constant."""
    states = np.empty_like(inputs)
    batch, time, channels = inputs.shape
    if time == 0:
        return states
    one = np.ones(1, inputs.dtype)
    for row in range(batch):
        for channel in range(channels):
            gate = gates[row, :1, channel]
            start = initial[row, channel] if initial is not None else inputs.dtype.type(0)
            states[row, :, channel], _ = lfilter(
                one, np.concatenate([one, -gate]), inputs[row, :, channel], zi=gate * start
            )
    return states
