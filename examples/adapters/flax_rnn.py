"""flax 0.12.8 ``RNN`` with ``seq_lengths``, linen and nnx, batch first (framework jax).

The documentation promises "the carry will be the state of the last valid element of each sequence".
Expected: wrong in the padding law at length 0: index 0 - 1 picks the carry after all padded steps,
where a row of length 0 alone keeps its initial carry. Lengths 1 to full agree.

Parameters are drawn once in float32 and cast to the dtype of x; each form is compiled per shape.
"""

import jax
import jax.numpy as jnp
from flax import linen, nnx

from dynprop.check import Layer


def _cast(tree, dtype):
    def cast(leaf):
        return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(cast, tree)


def _linen(cell_type, input_size, hidden_size):
    def cell(dtype):
        return cell_type(hidden_size, dtype=dtype, param_dtype=dtype)

    def rnn(dtype):
        return linen.RNN(cell(dtype), return_carry=True)

    example = jnp.zeros((1, 2, input_size), jnp.float32)
    variables = rnn(jnp.float32).init(jax.random.key(0), example)

    @jax.jit
    def forward(x, state=None, lengths=None):
        parameters = _cast(variables, x.dtype)
        carry, y = rnn(x.dtype).apply(parameters, x, initial_carry=state, seq_lengths=lengths)
        return y, carry

    @jax.jit
    def step(x_t, state=None):
        if state is None:
            state = cell(x_t.dtype).initialize_carry(jax.random.key(0), x_t.shape)
        parameters = _cast(variables["params"]["cell"], x_t.dtype)
        carry, y = cell(x_t.dtype).apply({"params": parameters}, state, x_t)
        return y, carry

    return forward, step


def _nnx(cell_type, input_size, hidden_size):
    def rnn(dtype):
        cell = cell_type(input_size, hidden_size, dtype=dtype, param_dtype=dtype, rngs=nnx.Rngs(0))
        return nnx.RNN(cell, return_carry=True)

    parameters = nnx.state(rnn(jnp.float32), nnx.Param)

    def load(dtype):
        model = rnn(dtype)
        nnx.update(model, _cast(parameters, dtype))
        return model

    @jax.jit
    def forward(x, state=None, lengths=None):
        carry, y = load(x.dtype)(x, initial_carry=state, seq_lengths=lengths)
        return y, carry

    @jax.jit
    def step(x_t, state=None):
        cell = load(x_t.dtype).cell
        if state is None:
            state = cell.initialize_carry(x_t.shape, nnx.Rngs(0))
        carry, y = cell(state, x_t)
        return y, carry

    return forward, step


def _layer(forward, step, input_size):
    return Layer(
        forward=forward,
        step=step,
        input_size=input_size,
        time_axis=1,
        batch_axis=0,
        state_batch_axis=0,
        framework="jax",
    )


def linen_gru(input_size=3, hidden_size=8):
    return _layer(*_linen(linen.GRUCell, input_size, hidden_size), input_size)


def linen_lstm(input_size=3, hidden_size=8):
    return _layer(*_linen(linen.OptimizedLSTMCell, input_size, hidden_size), input_size)


def nnx_gru(input_size=3, hidden_size=8):
    return _layer(*_nnx(nnx.GRUCell, input_size, hidden_size), input_size)


def nnx_lstm(input_size=3, hidden_size=8):
    return _layer(*_nnx(nnx.OptimizedLSTMCell, input_size, hidden_size), input_size)
