"""Arrays as code that can be pasted, in the arrays of one library."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["MOST_NUMBERS", "array_code", "import_lines", "matrix_code"]

# Largest number of numbers in a script.
MOST_NUMBERS = 400


def array_code(library: str, values: Any, shape: Sequence[int], dtype: str) -> str:
    """Return an expression for an array of real numbers, nested lists as JSON has them, or None."""
    if values is None:
        return "None"
    empty = int(np.prod(shape)) == 0
    if library == "torch":
        expression = f"torch.tensor({json.dumps(values)}, dtype=torch.{dtype})"
        return f"torch.zeros({tuple(shape)}, dtype=torch.{dtype})" if empty else expression
    module = "jnp" if library == "jax" else "np"
    expression = f"{module}.array({json.dumps(values)}, dtype='{dtype}')"
    return f"{module}.zeros({tuple(shape)}, dtype='{dtype}')" if empty else expression


def matrix_code(library: str, values: Any, dtype: str) -> str:
    """Return an expression for a matrix or a vector, real or {"real": ..., "imag": ...}."""
    if not isinstance(values, dict):
        return array_code(library, values, np.shape(values), dtype)
    real, imaginary = (
        array_code(library, values[part], np.shape(values[part]), dtype) for part in ("real", "imag")
    )
    return f"{real} \\\n    + 1j * {imaginary}"


def import_lines(library: str, dtype: str) -> list[str]:
    """Return the lines that import a library; jax is set to float64 where that is the dtype."""
    if library == "jax":
        x64 = ['jax.config.update("jax_enable_x64", True)'] if dtype == "float64" else []
        return ["import jax", *x64, "import jax.numpy as jnp"]
    return ["import torch"] if library == "torch" else ["import numpy as np"]
