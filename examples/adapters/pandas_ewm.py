"""pandas 3.1.1 ``DataFrame.ewm(alpha=0.3, adjust=False).mean()`` against its documented recurrence.

The documentation gives y_0 = x_0 and y_t = (1 - alpha) y_{t-1} + alpha x_t. That is the step form
here; pandas is the whole-call form. pandas has no state and no gradient, and computes in float64.
Expected: pass (gradient and resume laws: not applicable).
"""

import pandas as pd
import torch

from dynprop.check import Layer

ALPHA = 0.3


def _whole(x):
    """(time, batch, feature) -> the same."""
    frame = pd.DataFrame(x.detach().to(torch.float64).flatten(1).numpy())
    mean = frame.ewm(alpha=ALPHA, adjust=False).mean().to_numpy(copy=True)
    return torch.from_numpy(mean).reshape(x.shape).to(x.dtype)


def _step(x_t, state=None):
    y_t = x_t if state is None else (1 - ALPHA) * state + ALPHA * x_t
    return y_t, y_t


def _documented(x, state=None):
    outputs = []
    for x_t in x:
        y_t, state = _step(x_t, state)
        outputs.append(y_t)
    return torch.stack(outputs) if outputs else x, state


def layer():
    return Layer(
        forward=_documented,
        step=_step,
        parallel=_whole,
        input_size=3,
        time_axis=0,
        batch_axis=1,
        framework="torch",
    )
