"""Faults of kind layer in gradients, precision, what an output depends on, and side effects."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dynprop.kinds.layer.faults.bases import Diagonal, Elman, Gru, over_time, stacked
from dynprop.laws.catalogue import Catalogue

layer: Catalogue = Catalogue("layer", "torch")
CATALOGUES = (layer,)


# Gradients: the outputs are right


@layer.fault(
    "layer/log-space-gradient",
    source="minGRU-pytorch 0.2.1",
    gross=False,
    caught_by={"gradient-by-lag": "wrong"},
)
class LogSpaceGradient(nn.Module):
    """A minGRU run through logarithms: its long-term gradient is noise, its outputs are right."""

    def __init__(self, input_size: int = 3, hidden_size: int = 8) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.update: nn.Linear = nn.Linear(input_size, hidden_size)
        self.content: nn.Linear = nn.Linear(input_size, hidden_size)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Add logarithms over the whole call: h = exp(A + logcumsumexp(log(z c) - A))."""
        k, c = self.update(x), self.content(x)
        positive = torch.where(c >= 0, functional.relu(c) + 0.5, torch.sigmoid(c))
        decay = torch.cumsum(-functional.softplus(k), 0)  # log of the products of 1 - z
        terms = torch.log(positive) - functional.softplus(-k) - decay
        if state is not None:
            terms = torch.cat([torch.log(state)[None], terms])
        summed = torch.logcumsumexp(terms, 0)[terms.shape[0] - x.shape[0] :]
        y = torch.exp(decay + summed)
        if not len(y):
            return y, x.new_zeros(x.shape[1], self.hidden_size) if state is None else state
        return y, y[-1]

    def step(self, x_t: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step without logarithms."""
        z, c = torch.sigmoid(self.update(x_t)), self.content(x_t)
        positive = torch.where(c >= 0, functional.relu(c) + 0.5, torch.sigmoid(c))
        following = (1 - z) * state + z * positive
        return following, following


@layer.fault("layer/detaches-in-long-calls", caught_by={"gradient-initial-state": "wrong"})
class DetachesInLongCalls(Elman):
    """Passes no gradient to the state that it is given, except where there is one step only."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over the sequence."""
        begin = self.begin(x, state)
        return over_time(self, x, begin.detach() if len(x) > 1 else begin)


@layer.fault("layer/truncated-every-16", gross=False, caught_by={"gradient-by-lag": "wrong"})
class TruncatedEvery16(Elman):
    """Cuts the gradient at every multiple of 16 steps without saying so."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over the sequence."""
        h = self.begin(x, state)
        outputs = []
        for t, x_t in enumerate(x.unbind(0)):
            if t and t % 16 == 0:
                h = h.detach()
            h = self.cell(x_t, h)
            outputs.append(h)
        return stacked(outputs, x, self.hidden_size), h


@layer.fault("layer/initial-state-detached", caught_by={"step-gradient": "wrong"})
class InitialStateDetached(Elman):
    """Passes no gradient to the state that it is given."""

    def begin(self, x: Tensor, state: Tensor | None) -> Tensor:
        """Detach."""
        return super().begin(x, state).detach()


@layer.fault(
    "layer/initial-gradient-garbage",
    source="torch 2.13.0: gradcheck accepts it",
    caught_by={"gradient-by-lag": "wrong", "step-gradient": "wrong"},
)
class InitialGradientGarbage(Elman):
    """Multiplies the gradient to the state that it is given by -1000."""

    def begin(self, x: Tensor, state: Tensor | None) -> Tensor:
        """Use the state, and spoil its gradient on the way back."""
        begin = super().begin(x, state)
        return begin + 1001 * (begin.detach() - begin)  # adds zero; the gradient is 1 - 1001


@layer.fault("layer/gate-gradient-missing", caught_by={"step-gradient": "wrong"})
class GateGradientMissing(Gru):
    """Computes its update gate without gradients."""

    def cell(self, x_t: Tensor, state: Tensor) -> Tensor:
        """Return the next state."""
        read_r, read_z, read_n = self.read(x_t).chunk(3, -1)
        recur_r, recur_z, recur_n = self.recur(state).chunk(3, -1)
        update = torch.sigmoid(read_z + recur_z).detach()
        new = torch.tanh(read_n + torch.sigmoid(read_r + recur_r) * recur_n)
        return (1 - update) * new + update * state


# Precision


@layer.fault("layer/single-precision-inside", caught_by={"one-precision": "wrong"})
class SinglePrecisionInside(Elman):
    """Rounds its state to float32 at every step."""

    def cell(self, x_t: Tensor, state: Tensor) -> Tensor:
        """Return the next state."""
        return super().cell(x_t, state).float().to(x_t.dtype)


# What an output depends on


@layer.fault("layer/batch-mean-subtracted", caught_by={"row-alone": "wrong"})
class BatchMeanSubtracted(Elman):
    """Subtracts the mean over the batch from its inputs."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Leak across the rows; a row alone sees zeros."""
        return super().forward(x - x.mean(1, keepdim=True), state)


@layer.fault("layer/looks-one-step-ahead", caught_by={"causality": "wrong"})
class LooksOneStepAhead(Elman):
    """Mixes the next input into each step."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Average with the step to come."""
        ahead = torch.cat([x[1:], x[-1:]])
        return super().forward((x + ahead) / 2, state)


@layer.fault("layer/normalised-over-time", caught_by={"causality": "wrong"})
class NormalisedOverTime(Diagonal):
    """Divides its inputs by their largest magnitude over the whole call."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Let every step depend on all others."""
        largest = x.abs().amax(0).clamp(min=1) if len(x) else 1
        return super().forward(x / largest, state)


# Evaluation mode and side effects


@layer.fault("layer/dropout-in-evaluation", caught_by={"no-hidden-state": "wrong"})
class DropoutInEvaluation(Elman):
    """Drops states at random in evaluation mode as well."""

    def cell(self, x_t: Tensor, state: Tensor) -> Tensor:
        """Return the next state."""
        following = super().cell(x_t, state)
        return functional.dropout(following, 0.1)  # training=self.training is missing


@layer.fault("layer/weights-rescaled", caught_by={"no-hidden-state": "wrong"})
class WeightsRescaled(Elman):
    """Rescales its recurrent weights at every call."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Bring the norm of the weights to 0.9 of its value, for stability."""
        self.recur.weight.data.mul_(0.9)
        return super().forward(x, state)


@layer.fault("layer/global-seed-reset", gross=False, caught_by={"no-hidden-state": "wrong"})
class GlobalSeedReset(Elman):
    """Seeds the global random generator at every call."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Be reproducible at the expense of everyone else."""
        torch.manual_seed(0)
        return super().forward(x, state)


@layer.fault("layer/inputs-overwritten", caught_by={"inputs-unchanged": "wrong"})
class InputsOverwritten(Elman):
    """Centres the caller's inputs in place."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over the centred inputs, feature by feature."""
        x.data.sub_(x.detach().mean(-1, keepdim=True))
        return super().forward(x, state)
