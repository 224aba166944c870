"""Gradients by lag: one step of a cell, chains of steps, their products, the profiles of torch modules."""
