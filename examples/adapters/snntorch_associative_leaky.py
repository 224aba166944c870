"""snntorch 1.0.0 ``AssociativeLeaky`` without spikes and without the q projection, (T, B, in_dim).

The state is S_t (d_value x d_key), written to by v_t k_t^T and decayed per key by alpha_t:
S_t = S_{t-1} diag(alpha_t) + v_t k_t^T, with the module's own to_v, to_k, to_alpha. The module
has the parallel form only, cumprod * cumsum(write / (cumprod + 1e-8)); that is ``parallel``. The
recurrence is ``step`` and ``forward``.

The constructor of 1.0.0 takes no ``output``; the attribute is set instead, so that the membrane S_t
is returned and not the spikes. Expected: wrong. Once the running product of alpha is below 1e-8
(about 25 steps), new writes count for nothing: value and gradient at lag 0 go to zero.
"""

import torch
from snntorch._neurons.associative import AssociativeLeaky

from dynprop.check import Layer

INPUT, VALUE, KEY = 4, 3, 3


def layer():
    module = AssociativeLeaky(INPUT, VALUE, KEY, VALUE * KEY, use_q_projection=False)
    module.output = False

    def step(x_t, state=None):
        write = module.to_v(x_t)[:, :, None] * module.to_k(x_t)[:, None, :]
        if state is not None:
            write = write + state * torch.sigmoid(module.to_alpha(x_t))[:, None, :]
        return write.flatten(1), write

    def forward(x, state=None):
        outputs = []
        for x_t in x:
            y_t, state = step(x_t, state)
            outputs.append(y_t)
        return torch.stack(outputs) if outputs else x.new_zeros(0, x.shape[1], VALUE * KEY), state

    return Layer(
        module,
        forward=forward,
        step=step,
        parallel=module,
        input_size=INPUT,
        time_axis=0,
        batch_axis=1,
        state_batch_axis=0,
        framework="torch",
    )
