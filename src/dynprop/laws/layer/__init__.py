"""Laws of recurrent layers: every form is the same function, forward and backward."""

from dynprop.laws.layer import batch, forms, gradient, hygiene, step_gradient

__all__ = ["batch", "forms", "gradient", "hygiene", "step_gradient"]
