"""Faults of kind layer in truncated backpropagation, with the right layers that they break."""

from __future__ import annotations

import torch
from torch import Tensor

from dynprop.kinds.layer.faults.bases import Elman, stacked
from dynprop.laws.catalogue import Catalogue

layer = Catalogue("layer", "torch")
CATALOGUES = (layer,)
END = {"reach": 6, "windows": "end"}
START = {"reach": 6, "windows": "start"}
EVERY_OUTPUT = {"reach": 4}


class Windows(Elman):
    """A right layer that cuts its gradient every 6 steps; ``is_cut`` says before which steps."""

    def is_cut(self, t: int, steps: int) -> bool:
        """Count from the end, so that the last output sees a whole window."""
        return (steps - t) % 6 == 0

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over the sequence."""
        h, outputs = self.begin(x, state), []
        for t, x_t in enumerate(x.unbind(0)):
            if t and self.is_cut(t, len(x)):
                h = h.detach()
            h = self.cell(x_t, h)
            outputs.append(h)
        return stacked(outputs, x, self.hidden_size), h


class Sliding(Elman):
    """A right layer whose outputs have the lags 0 to 4 each: it runs the last 5 steps anew for each."""

    def first(self, t: int) -> int:
        """Return the first step that output t is differentiated to."""
        return max(0, t - 4)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over the sequence."""
        outputs: list[Tensor] = []
        h = self.begin(x, state)
        for t in range(len(x)):
            first = self.first(t)
            h = outputs[first - 1].detach() if first else self.begin(x, state)
            for x_t in x[first : t + 1]:
                h = self.cell(x_t, h)
            outputs.append(h)
        return stacked(outputs, x, self.hidden_size), h


@layer.fault(
    "layer/windows-never-cut",
    source="Lightning-AI/pytorch-lightning#8145",
    domain=END,
    caught_by={"truncation": "wrong"},
)
class WindowsNeverCut(Windows):
    """Says that it cuts its gradient, and carries it through the whole call."""

    def is_cut(self, t: int, steps: int) -> bool:
        """Miss every boundary."""
        return False


@layer.fault("layer/windows-one-step-late", domain=END, caught_by={"truncation": "wrong"})
class WindowsOneStepLate(Windows):
    """Cuts its gradient every 7 steps where 6 are declared."""

    def is_cut(self, t: int, steps: int) -> bool:
        """Count from the end."""
        return (steps - t) % 7 == 0


@layer.fault("layer/windows-one-step-early", domain=END, caught_by={"truncation": "wrong"})
class WindowsOneStepEarly(Windows):
    """Cuts its gradient every 5 steps where 6 are declared."""

    def is_cut(self, t: int, steps: int) -> bool:
        """Count from the end."""
        return (steps - t) % 5 == 0


@layer.fault("layer/windows-from-the-wrong-end", domain=START, caught_by={"truncation": "wrong"})
class WindowsFromTheWrongEnd(Windows):
    """Counts its windows from the end of a call where the start is declared."""


@layer.fault("layer/windows-cut-once", gross=False, domain=START, caught_by={"truncation": "wrong"})
class WindowsCutOnce(Windows):
    """Cuts its gradient after the first window of a call, and never again."""

    def is_cut(self, t: int, steps: int) -> bool:
        """Count from the start."""
        return t == 6


@layer.fault("layer/sliding-reach-one-lag-late", domain=EVERY_OUTPUT, caught_by={"truncation": "wrong"})
class SlidingReachOneLagLate(Sliding):
    """Gives each output the lags 0 to 5 where 0 to 4 are declared."""

    def first(self, t: int) -> int:
        """Begin one step too early."""
        return max(0, t - 5)


@layer.fault(
    "layer/sliding-reach-of-late-outputs", gross=False, domain=EVERY_OUTPUT, caught_by={"truncation": "wrong"}
)
class SlidingReachOfLateOutputs(Sliding):
    """Cuts the gradient of the last output of a call, and of no other."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over the sequence without cuts, and use the cut one for the last output."""
        y, last = super().forward(x, state)
        whole, _ = Elman.forward(self, x, state)
        return torch.cat([whole[:-1], y[-1:]]), last
