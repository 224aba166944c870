"""jax 0.10.2: ``jax.lax.scan`` and ``jax.lax.associative_scan`` (framework jax).

Compiled once per shape by ``jax.jit``. The initial state is the carry of ``lax.scan``; for the tree
it is folded into the first input. Expected: pass (above underflow: XLA flushes subnormal numbers to
zero).
"""

import jax
import jax.numpy as jnp


def associative_scan(combine, elements):
    """Kind associative-scan."""
    return jax.lax.associative_scan(combine, elements, axis=0)


def _affine(left, right):
    return right[0] * left[0], right[0] * left[1] + right[1]


@jax.jit
def tree_scan(gates, inputs, initial=None):
    """Kind scan."""
    if initial is not None:
        first = inputs[:, :1] + gates[:, :1] * initial[:, None]
        inputs = jnp.concatenate([first, inputs[:, 1:]], axis=1)
    return jax.lax.associative_scan(_affine, (gates, inputs), axis=1)[1]


def _step(state, gate_and_input):
    state = gate_and_input[0] * state + gate_and_input[1]
    return state, state


@jax.jit
def loop_scan(gates, inputs, initial=None):
    """Kind scan."""
    if initial is None:
        initial = jnp.zeros_like(inputs, shape=(inputs.shape[0], inputs.shape[2]))
    time_first = (jnp.moveaxis(gates, 1, 0), jnp.moveaxis(inputs, 1, 0))
    return jnp.moveaxis(jax.lax.scan(_step, initial, time_first)[1], 0, 1)
