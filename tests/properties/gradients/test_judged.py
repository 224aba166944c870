"""The cells of this room are layers: every law that other people's layers are judged by holds for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dynprop.check import Layer
from dynprop.check.run.runner import Options, run_law
from dynprop.gradients import CELLS, Cell
from dynprop.kinds import laws_for

FEATURES, HIDDEN = 3, 5


class OneModel(torch.nn.Module):
    """One model of a cell, as a layer: whole calls, chunks and single steps."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        self.cell, self.hidden = cell, 1 if cell.name == "unit" else HIDDEN
        drawn = {
            name: torch.nn.Parameter(torch.from_numpy(0.5 * rng.standard_normal((1, *shape))))
            for name, shape in cell.shapes(FEATURES, self.hidden).items()
        }
        self.weights = torch.nn.ParameterDict(drawn)

    def initial_state(self, batch: int) -> tuple[Tensor, ...]:
        dtype = next(iter(self.weights.values())).dtype
        return tuple(part[0] for part in self.cell.start(1, batch, self.hidden, dtype))

    def whole(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        # `run` returns what a read-out sees; the last state is that of single steps.
        held = self.initial_state(x.shape[1]) if state is None else state
        parameters = dict(self.weights)
        if not len(x):
            return x.new_zeros(0, x.shape[1], self.cell.width * self.hidden), held
        start = tuple(part[None] for part in held)
        seen = self.cell.run(parameters, x[:, None], start)[:, 0]
        for projected in self.cell.project(parameters, x[:, None]).unbind(0):
            start = self.cell.step(parameters, projected, start)
        return seen, tuple(part[0] for part in start)

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        parameters = dict(self.weights)
        (projected,) = self.cell.project(parameters, x[None, None]).unbind(0)
        after = self.cell.step(parameters, projected, tuple(part[None] for part in state))
        return self.cell.visible(after)[0], tuple(part[0] for part in after)


@pytest.mark.parametrize("cell", CELLS.values(), ids=lambda cell: cell.name)
def test_a_cell_obeys_every_law_of_layers(cell: Cell) -> None:
    model = OneModel(cell)
    layer = Layer.of(
        Layer(
            model,
            forward=model.whole,
            step=model.step,
            initial_state=model.initial_state,
            input_size=FEATURES,
            # A model trains in one of these two.
            dtypes=("float64", "float32"),
            max_length=64,
            name=cell.name,
        )
    )
    layer.preflight()
    results = [run_law(law, layer, Options(examples=4, patience=0.0)) for law in laws_for("layer")]
    judged = [r for r in results if not r.not_applicable]
    assert {r.law: r.verdict for r in judged} == {r.law: "pass" for r in judged}, judged
    laws = {r.law for r in judged}
    assert {"layer/gradient-by-lag", "layer/own-steps", "layer/split-resume", "layer/row-alone"} <= laws
    assert max(r.worst_ratio for r in judged) <= 1.0
