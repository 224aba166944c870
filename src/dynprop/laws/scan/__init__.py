"""Laws of the gated scan h_t = a_t h_{t-1} + x_t."""

from dynprop.laws.scan import forward, gradient, hygiene, invariance

__all__ = ["forward", "gradient", "hygiene", "invariance"]
