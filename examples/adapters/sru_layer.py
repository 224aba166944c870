"""sru 2.6.0 ``SRU``, two layers, (time, batch, feature), on the CPU.

The package has two code paths: Python with gradients, and a C++ kernel without (float32 only),
compiled when sru is first imported (needs a C++ compiler; about a minute once).
``layer``: the path with gradients, float64 and float32. ``with_kernel``: the same with the kernel
as its parallel form, float32. Expected: pass.
"""

import torch
from sru import SRU

from dynprop.check import Layer


def _layer(module, **forms):
    def forward(x, state=None, lengths=None):
        mask = None
        if lengths is not None:
            mask = torch.arange(x.shape[0])[:, None] >= torch.as_tensor(lengths)
        with torch.enable_grad():
            return module(x, state, mask)

    def step(x_t, state=None):
        y, state = forward(x_t[None], state)
        return y[0], state

    return Layer(
        module,
        forward=forward,
        step=step,
        input_size=module.input_size,
        time_axis=0,
        batch_axis=1,
        state_batch_axis=1,
        framework="torch",
        **forms,
    )


def layer(input_size=3, hidden_size=8):
    return _layer(SRU(input_size, hidden_size, num_layers=2).eval())


def with_kernel(input_size=3, hidden_size=8):
    module = SRU(input_size, hidden_size, num_layers=2).eval()

    def kernel(x):
        with torch.no_grad():
            return module(x)[0]

    return _layer(module, parallel=kernel)
