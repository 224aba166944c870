"""Laws of kind ``task``: sequences, marks, classes, targets, losses and solvers of a named variant."""

from dynprop.laws.task import contract, sequences

__all__ = ["contract", "sequences"]
