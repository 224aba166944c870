"""Laws of kind ``task``: sequences, chance, targets, losses, criteria and solvers of a named variant."""

from dynprop.laws.task import contract, frequencies, independence, sequences, success

__all__ = ["contract", "frequencies", "independence", "sequences", "success"]
