"""Laws of initial weights: f(shape, rng) -> weights, alone and beside what they promise."""

from dynprop.laws.initializer import structure, chance, spectra  # isort: skip (order of laws)

__all__ = ["chance", "spectra", "structure"]
