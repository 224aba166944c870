"""Faults of kind layer in side inputs: time spans between the steps."""

from __future__ import annotations

import torch
from torch import Tensor

from dynprop.kinds.layer.faults.bases import Elman, stacked
from dynprop.kinds.layer.target import Layer
from dynprop.laws.catalogue import Catalogue

layer: Catalogue = Catalogue("layer", "torch")
CATALOGUES = (layer,)


class TimeSpans(Elman):
    """h decays over the time dt of its own row and step, (time, batch): dt is a side input."""

    def spans(self, dt: Tensor) -> Tensor:
        """Return the span that every row and step uses."""
        return dt

    def forward(
        self, x: Tensor, state: Tensor | None = None, dt: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Run over the sequence."""
        h, outputs = self.begin(x, state), []
        dt = torch.ones_like(x[..., 0]) if dt is None else dt
        for x_t, dt_t in zip(x, self.spans(dt), strict=True):
            h = self.cell(x_t, torch.exp(-dt_t)[:, None] * h)
            outputs.append(h)
        return stacked(outputs, x, self.hidden_size), h


def with_spans(module: TimeSpans) -> Layer:
    """Return the layer with its time spans declared as a side input."""

    def forward(x: Tensor, state: Tensor | None = None, dt: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return module.forward(x, state, dt)

    return Layer(module, forward=forward, name=type(module).__name__, side={"dt": ()})


@layer.fault("layer/spans-of-the-next-step", caught_by={"side-inputs": "wrong"})
def spans_of_the_next_step() -> Layer:
    """Takes every time span one step early."""

    class Early(TimeSpans):
        def spans(self, dt: Tensor) -> Tensor:
            return torch.cat([dt[1:], dt[-1:]])

    return with_spans(Early())


@layer.fault("layer/spans-of-the-first-row", caught_by={"side-inputs": "wrong"})
def spans_of_the_first_row() -> Layer:
    """Uses the time spans of row 0 for all rows."""

    class First(TimeSpans):
        def spans(self, dt: Tensor) -> Tensor:
            return dt[:, :1].expand_as(dt)

    return with_spans(First())
