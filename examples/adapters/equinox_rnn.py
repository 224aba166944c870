"""equinox 0.13.8 ``nn.GRUCell`` and ``nn.LSTMCell`` in a ``jax.lax.scan`` (framework jax).

The cells take one row; ``jax.vmap`` makes the batch. Expected: pass.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from dynprop.check import Layer


def _layer(cell, zeros, output, input_size):
    @jax.jit
    def step(x_t, state=None):
        if state is None:
            state = zeros(x_t)
        cast = jax.tree.map(lambda p: p.astype(x_t.dtype) if eqx.is_array(p) else p, cell)
        state = jax.vmap(cast)(x_t, state)
        return output(state), state

    @jax.jit
    def forward(x, state=None):
        state = zeros(x) if state is None else state

        def body(carry, x_t):
            y_t, carry = step(x_t, carry)
            return carry, y_t

        state, y = jax.lax.scan(body, state, jnp.moveaxis(x, 1, 0))
        return jnp.moveaxis(y, 0, 1), state

    return Layer(
        forward=forward,
        step=step,
        input_size=input_size,
        time_axis=1,
        batch_axis=0,
        state_batch_axis=0,
        framework="jax",
    )


def gru(input_size=3, hidden_size=8):
    cell = eqx.nn.GRUCell(input_size, hidden_size, key=jax.random.key(0))
    return _layer(
        cell,
        lambda x: jnp.zeros((x.shape[0], hidden_size), x.dtype),
        lambda state: state,
        input_size,
    )


def lstm(input_size=3, hidden_size=8):
    cell = eqx.nn.LSTMCell(input_size, hidden_size, key=jax.random.key(0))
    return _layer(
        cell,
        lambda x: (jnp.zeros((x.shape[0], hidden_size), x.dtype),) * 2,
        lambda state: state[0],
        input_size,
    )
