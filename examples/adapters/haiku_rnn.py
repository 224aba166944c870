"""dm-haiku 0.0.17 ``GRU`` and ``LSTM`` in ``hk.dynamic_unroll``, batch first (framework jax).

Expected: pass.
"""

import haiku as hk
import jax
import jax.numpy as jnp

from dynprop.check import Layer


def _layer(core_type, input_size, hidden_size):
    def start(core, like, batch):
        return jax.tree.map(lambda leaf: leaf.astype(like.dtype), core.initial_state(batch))

    def whole(x, state):
        core = core_type(hidden_size, name="core")
        state = start(core, x, x.shape[0]) if state is None else state
        return hk.dynamic_unroll(core, x, state, time_major=False)

    def single(x_t, state):
        core = core_type(hidden_size, name="core")
        return core(x_t, start(core, x_t, x_t.shape[0]) if state is None else state)

    whole, single = hk.transform(whole), hk.transform(single)
    drawn = whole.init(jax.random.key(0), jnp.zeros((1, 2, input_size), jnp.float32), None)

    def apply(transformed, x, state):
        parameters = jax.tree.map(lambda leaf: leaf.astype(x.dtype), drawn)
        return transformed.apply(parameters, None, x, state)

    return Layer(
        forward=jax.jit(lambda x, state=None: apply(whole, x, state)),
        step=jax.jit(lambda x_t, state=None: apply(single, x_t, state)),
        input_size=input_size,
        time_axis=1,
        batch_axis=0,
        state_batch_axis=0,
        framework="jax",
    )


def gru(input_size=3, hidden_size=8):
    return _layer(hk.GRU, input_size, hidden_size)


def lstm(input_size=3, hidden_size=8):
    return _layer(hk.LSTM, input_size, hidden_size)
