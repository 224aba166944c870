"""Laws of the running product: f(weights) -> W_t ... W_1 at every t, elementwise or of matrices."""

from dynprop.laws.product import forward, invariance, hygiene  # isort: skip (order of laws)

__all__ = ["forward", "hygiene", "invariance"]
