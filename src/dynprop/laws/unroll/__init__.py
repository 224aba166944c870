"""Laws of the unrolled linear recurrence: f(W, h0, steps) -> states, h(t) = h(t-1) @ W."""

from dynprop.laws.unroll import forward, invariance, hygiene  # isort: skip (order of laws)

__all__ = ["forward", "hygiene", "invariance"]
