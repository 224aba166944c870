r"""The gradient of the last state with respect to earlier ones, lag by lag, for many models at once.

∂s(T)/∂s(T-k) is a product of k Jacobians (Pascanu, Mikolov and Bengio 2013, eq. 5), s the whole state: (h, c)
for an LSTM. Each Jacobian comes from automatic differentiation of one step at the cell's own states. The
norms of the products are those of `lags.chain`, in log scale.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dynprop.arrays import FloatArray, describe, library_of, require_floating
from dynprop.errors import ArgumentError
from dynprop.gradients.cells import Cell, Parameters, State
from dynprop.gradients.lags.chain import Matrices, product_norms

__all__ = ["cell_gradient_by_lag"]


def cell_gradient_by_lag(cell: Cell, parameters: Parameters, inputs: Tensor) -> FloatArray:
    """Return ln ‖∂s(T)/∂s(T-k)‖₂ of each model for k = 0..T, shape (models, T + 1).

    Args:
        cell: the cell.
        parameters: stacked over models, float64.
        inputs: (time, model, feature), one sequence per model, float64, at least one step.

    Returns:
        Natural logarithms of spectral norms; 0 at lag 0, -inf where the product is exactly zero.

    Raises:
        ArgumentError: the inputs are no floating torch tensor, have other axes or no steps.

    Example:
        A linear unit (relu with positive states) with weight 1/2, so that the gradient at lag k is 2**-k:

        >>> import numpy as np
        >>> import torch
        >>> from dynprop.gradients import cell_named
        >>> shapes = {"inputs": (1, 1, 1), "recurrent": (1, 1, 1), "bias": (1, 1)}
        >>> weights = {name: torch.full(shape, 0.5).double() for name, shape in shapes.items()}
        >>> inputs = torch.ones(3, 1, 1).double()
        >>> np.exp(cell_gradient_by_lag(cell_named("relu"), weights, inputs))
        array([[1.   , 0.5  , 0.25 , 0.125]])
    """
    if library_of(inputs) != "torch":
        raise ArgumentError("inputs", describe(inputs), "a torch tensor (time, model, feature)")
    require_floating("inputs", inputs)
    if inputs.ndim != 3 or len(inputs) == 0:
        raise ArgumentError(
            "inputs", f"shape {tuple(inputs.shape)}", "(time, model, feature), 1 step or more"
        )
    steps, models, _ = inputs.shape
    held = {name: value.detach() for name, value in parameters.items()}
    hidden = _hidden(cell, held)
    state = cell.start(models, 1, hidden, inputs.dtype)
    jacobians = []
    with torch.no_grad():
        projected = cell.project(held, inputs[:, :, None, :])
    for now in projected.unbind(0):
        jacobians.append(_jacobian(cell, held, now, state))
        with torch.no_grad():
            state = cell.step(held, now, state)
    chain = Matrices(torch.stack(jacobians, dim=1).numpy())
    found = product_norms(chain, steps, singular=True).spectral
    assert found is not None
    return found


def _hidden(cell: Cell, parameters: Parameters) -> int:
    name = "nu" if "nu" in parameters else "recurrent"
    columns = int(parameters[name].shape[-1])
    return columns if name == "nu" else columns // cell.gates


def _jacobian(cell: Cell, parameters: Parameters, projected: Tensor, state: State) -> Tensor:
    """Return ∂s'/∂s of one step, (model, size, size), row by row; models do not interact."""
    held = tuple(part.clone().requires_grad_(True) for part in state)
    flat = torch.cat(cell.step(parameters, projected, held), dim=-1)[:, 0, :]
    rows = []
    for j in range(flat.shape[-1]):
        grads = torch.autograd.grad(flat[:, j].sum(), held, retain_graph=True, materialize_grads=True)
        rows.append(torch.cat([g[:, 0, :] for g in grads], dim=-1))
    return torch.stack(rows, dim=1)
