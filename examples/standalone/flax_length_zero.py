"""flax 0.12.8, RNN with seq_lengths: a row of length 0 returns the carry after all padded steps.

Documented: "the carry will be the state of the last valid element of each sequence". A row without
a valid element has seen nothing, and its carry should be the initial one (here zero, or as given).
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

np.set_printoptions(precision=3, suppress=True)

x = jax.random.normal(jax.random.key(0), (3, 5, 2))  # (batch, time, feature)
lengths = jnp.array([0, 1, 5])

linen_rnn = linen.RNN(linen.GRUCell(4), return_carry=True)
variables = linen_rnn.init(jax.random.key(1), x)


def linen_carry(x, **options):
    return linen_rnn.apply(variables, x, **options)[0]


nnx_rnn = nnx.RNN(nnx.GRUCell(2, 4, rngs=nnx.Rngs(0)), return_carry=True)


def nnx_carry(x, **options):
    return nnx_rnn(x, **options)[0]


for name, carry in (("linen", linen_carry), ("nnx", nnx_carry)):
    padded = carry(x, seq_lengths=lengths)
    print(name)
    for row, length in enumerate(lengths.tolist()):
        alone = carry(x[row : row + 1, :length])[0] if length else jnp.zeros(4)
        print(f"  length {length}: in the padded batch {np.asarray(padded[row])},")
        print(f"            alone               {np.asarray(alone)}")
    print(f"  row 0 after all 5 padded steps: {np.asarray(carry(x)[0])}")

# Output:
#
# linen
#   length 0: in the padded batch [ 0.094 -0.425  0.058 -0.007],
#             alone               [0. 0. 0. 0.]
#   length 1: in the padded batch [ 0.17  -0.827  0.302 -0.067],
#             alone               [ 0.17  -0.827  0.302 -0.067]
#   length 5: in the padded batch [-0.103 -0.128 -0.302 -0.186],
#             alone               [-0.103 -0.128 -0.302 -0.186]
#   row 0 after all 5 padded steps: [ 0.094 -0.425  0.058 -0.007]
# nnx
#   length 0: in the padded batch [ 0.594  0.101 -0.392 -0.421],
#             alone               [0. 0. 0. 0.]
#   length 1: in the padded batch [ 0.91  -0.144 -0.537 -0.786],
#             alone               [ 0.91  -0.144 -0.537 -0.786]
#   length 5: in the padded batch [0.068 0.287 0.386 0.256],
#             alone               [0.068 0.287 0.386 0.256]
#   row 0 after all 5 padded steps: [ 0.594  0.101 -0.392 -0.421]
