"""xlstm 2.0.6, mLSTM kernels: prefill with the chunk form, then decode with the step form.

The chunk kernel scales q by 1/sqrt(head_dim), the step kernel scales k, so the states C and n that
they keep differ by sqrt(head_dim), and nothing says so.
"""

import torch
from xlstm.blocks.mlstm.backends import chunkwise_simple, recurrent_step_stabilized_simple

torch.manual_seed(0)
B, T, D = 2, 8, 8
q, k, v = torch.randn(3, B, 1, T, D, dtype=torch.float64)  # one head
i, f = torch.randn(2, B, 1, T, dtype=torch.float64)


def prefill(steps, state=(None, None, None)):
    one = slice(steps[0], steps[-1] + 1)
    return chunkwise_simple(
        q[:, :, one], k[:, :, one], v[:, :, one], i[:, :, one], f[:, :, one], *state,
        chunk_size=len(steps), return_last_state=True,
    )  # fmt: skip


whole, _ = prefill(range(T))
_, (c, n, m) = prefill(range(4))
print("shapes returned by the chunk kernel:", *(tuple(part.shape) for part in (c, n, m)))

for scale in (1.0, D**0.5):
    state = (c / scale, n.unsqueeze(-1) / scale, m)  # n: (B, NH, DH) -> (B, NH, DH, 1)
    error = 0.0
    for t in range(4, T):
        gates = i[:, :, t, None, None], f[:, :, t, None, None]
        qkv = (part[:, :, t : t + 1].clone() for part in (q, k, v))
        y, state = recurrent_step_stabilized_simple(*state, *qkv, *gates)
        error = max(error, float((y - whole[:, :, t : t + 1]).abs().max()))
    print(f"chunk to step, state divided by {scale:.4f}: outputs differ by {error:.2g}")

for shape in ((B, 1, 1, 1), (B, 1, 1), (B, 1)):
    try:
        prefill(range(4, T), (c, n, m.reshape(shape)))
        print(f"m of shape {shape} handed back to the chunk kernel: accepted")
    except RuntimeError as error:
        print(f"m of shape {shape} handed back to the chunk kernel: {type(error).__name__}")

q_t, k_t, v_t = torch.randn(3, B, 1, 1, D, dtype=torch.float64).unbind()
before = tuple(k_t.shape)
zero = torch.zeros(B, 1, 1, 1, dtype=torch.float64)
start = torch.zeros(B, 1, D, D).double(), torch.zeros(B, 1, D, 1).double(), zero
recurrent_step_stabilized_simple(*start, q_t, k_t, v_t, zero, zero)
print(f"shape of the caller's k before one step {before}, after {tuple(k_t.shape)}")

# Output:
#
# shapes returned by the chunk kernel: (2, 1, 8, 8) (2, 1, 8) (2, 1, 1, 1)
# chunk to step, state divided by 1.0000: outputs differ by 1.1
# chunk to step, state divided by 2.8284: outputs differ by 6.7e-16
# m of shape (2, 1, 1, 1) handed back to the chunk kernel: RuntimeError
# m of shape (2, 1, 1) handed back to the chunk kernel: RuntimeError
# m of shape (2, 1) handed back to the chunk kernel: accepted
# shape of the caller's k before one step (2, 1, 1, 8), after (2, 1, 8)
