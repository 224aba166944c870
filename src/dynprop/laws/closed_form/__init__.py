"""Laws of the closed form of a linear recurrence: f(W, h0, t) -> h_t = (W^t)^T h0, or a refusal."""

from dynprop.laws.closed_form import forward, invariance, modes, hygiene  # isort: skip (order of laws)

__all__ = ["forward", "hygiene", "invariance", "modes"]
