"""mambapy 1.2.0 ``MambaBlock``: the parallel scan for training against ``step`` for generation.

The cache of ``step`` is (h, last inputs of the convolution); without one it starts from zeros, as
the package documents. float32 only: the block computes A and D in float32 by design. Expected:
pass.
"""

from mambapy.mamba import MambaBlock, MambaConfig

from dynprop.check import Layer


def layer():
    config = MambaConfig(d_model=4, n_layers=1, d_state=4, expand_factor=2)
    module = MambaBlock(config).eval()

    def step(x_t, state=None):
        if state is None:
            batch, inner = x_t.shape[0], config.d_inner
            h = x_t.new_zeros(batch, inner, config.d_state)
            state = h, x_t.new_zeros(batch, inner, config.d_conv - 1)
        return module.step(x_t, state)

    return Layer(
        module,
        step=step,
        parallel=module,
        input_size=4,
        time_axis=1,
        batch_axis=0,
        state_batch_axis=0,
        framework="torch",
    )
