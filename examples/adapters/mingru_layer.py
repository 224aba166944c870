"""minGRU-pytorch 0.2.1 ``minGRU(8)``: whole calls in log space, single steps in plain arithmetic.

Both are the package's own; a call of length 1 takes the plain path. The state is positive by
construction (the package takes its logarithm). Expected: wrong or inaccurate in the gradient: in
the log-space form the gate gradients cancel and the long-term gradient is noise (float32: wrong
from about lag 15 on). The forward values agree to 1e-6.
"""

from minGRU_pytorch import minGRU

from dynprop.check import Layer

SIZE = 8


def layer():
    module = minGRU(SIZE)

    def forward(x, state=None):
        return module(x, state, return_next_prev_hidden=True)

    def step(x_t, state=None):
        y, state = module(x_t[:, None], state, return_next_prev_hidden=True)
        return y[:, 0], state

    return Layer(
        module,
        forward=forward,
        step=step,
        input_size=SIZE,
        time_axis=1,
        batch_axis=0,
        state_batch_axis=0,
        framework="torch",
    )
