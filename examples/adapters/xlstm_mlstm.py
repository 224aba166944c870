"""xlstm 2.0.6: the three mLSTM kernels of ``xlstm.blocks.mlstm.backends``, one head of size 8.

chunk = ``chunkwise_simple`` with one chunk per call, step = ``recurrent_step_stabilized_simple``,
parallel = ``parallel_stabilized_simple``. x is q; k and v are side inputs of the kernels' own
shape, (B, heads, 1, head_dim) a step, and reach the step kernel as they are; the gate
preactivations are fixed linear maps of x. A state that the other form made is reshaped to what a
kernel documents (n: (B, NH, DH) or (B, NH, DH, 1); m: (B, NH)); a state goes back to its own form
untouched.

Expected of ``layer``: wrong and error.

- chunk -> step: C and n differ by sqrt(head_dim) (one kernel scales k, the other q).
- chunk -> chunk: the returned m, (B, NH, 1, 1), is not accepted as initial_m, nor is the documented
  (B, NH, 1); only (B, NH) is.
- step: ``squeeze_`` on q, k and v changes the shape of the caller's tensors.

``layer`` sets the kernels' ``eps`` to 0: it is added to normalisers that the forms scale
differently, so they differ by about 1e-7 by design. ``layer_default_eps`` leaves it at 1e-6.
"""

import torch
from xlstm.blocks.mlstm.backends import (
    chunkwise_simple,
    parallel_stabilized_simple,
    recurrent_step_stabilized_simple,
)

from dynprop.check import Layer

HEAD = 8


def _build(options):
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, HEAD, generator=generator, dtype=torch.float64) / HEAD**0.5
    input_gate, forget_gate = maps

    def heads(x, k, v):
        """Sequences as the kernels take them: (B, NH, S, DH)."""
        q, k, v = x[:, None], k[:, :, 0].transpose(1, 2), v[:, :, 0].transpose(1, 2)
        i = (x @ input_gate.to(x))[:, None]
        f = (x @ forget_gate.to(x))[:, None] + 2
        return tuple(t.contiguous() for t in (q, k, v)), i, f

    def chunk(x, state=None, *, k, v):
        qkv, i, f = heads(x, k, v)
        c = n = m = None
        if state is not None:
            c, n, m = state
            if n.ndim == 4:  # from the step form
                n, m = n.squeeze(-1), m.reshape(m.shape[:2])
        one_chunk = {"chunk_size": max(1, x.shape[1]), "return_last_state": True}
        y, state = chunkwise_simple(*qkv, i, f, c, n, m, **one_chunk, **options)
        return y[:, 0], state

    def step(x_t, state=None, *, k, v):
        batch = x_t.shape[0]
        if state is None:
            shapes = (batch, 1, HEAD, HEAD), (batch, 1, HEAD, 1), (batch, 1, 1, 1)
            state = tuple(x_t.new_zeros(shape) for shape in shapes)
        c, n, m = state
        if n.ndim == 3:  # from the chunk form
            n = n.unsqueeze(-1)
        i = (x_t @ input_gate.to(x_t)).view(batch, 1, 1, 1)
        f = (x_t @ forget_gate.to(x_t)).view(batch, 1, 1, 1) + 2
        q = x_t.clone().view(batch, 1, 1, HEAD)
        y, state = recurrent_step_stabilized_simple(c, n, m, q, k, v, i, f, **options)
        return y.reshape(batch, HEAD), state

    def parallel(x, *, k, v):
        qkv, i, f = heads(x, k, v)
        return parallel_stabilized_simple(*qkv, i.unsqueeze(-1), f.unsqueeze(-1), **options)[:, 0]

    return Layer(
        chunk=chunk,
        step=step,
        parallel=parallel,
        side={"k": (1, 1, HEAD), "v": (1, 1, HEAD)},
        input_size=HEAD,
        time_axis=1,
        batch_axis=0,
        state_batch_axis=0,
        framework="torch",
    )


def layer():
    return _build({"eps": 0.0})


def layer_default_eps():
    return _build({})
