"""Faults of kind layer in gradients to parameters and side inputs; outputs and other gradients are right."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dynprop.kinds.layer.faults.bases import Diagonal, Elman, gated_sums, stacked
from dynprop.kinds.layer.faults.sides import TimeSpans, with_spans
from dynprop.kinds.layer.target import Layer
from dynprop.laws.catalogue import Catalogue

layer = Catalogue("layer", "torch")
CATALOGUES = (layer,)


def scaled(values: Tensor, factor: float | Tensor) -> Tensor:
    """Return the same values, whose gradient is multiplied by a factor on the way back."""
    fixed = values.detach()
    return fixed + factor * (values - fixed)  # adds zero


@layer.fault(
    "layer/input-weights-half-gradient",
    source="fangwei123456/spikingjelly#151",
    caught_by={"gradient-parameters": "wrong"},
)
class InputWeightsHalfGradient(Elman):
    """Gives its input weights half of their gradient at every step."""

    def cell(self, x_t: Tensor, state: Tensor) -> Tensor:
        """Return the next state."""
        read = x_t @ scaled(self.read.weight, 0.5).T + self.read.bias
        return torch.tanh(read + self.recur(state))


@layer.fault("layer/recurrent-weights-fixed", caught_by={"gradient-parameters": "wrong"})
class RecurrentWeightsFixed(Elman):
    """Trains everything but its recurrent weights, which it uses without a gradient."""

    def cell(self, x_t: Tensor, state: Tensor) -> Tensor:
        """Return the next state."""
        return torch.tanh(self.read(x_t) + state @ self.recur.weight.detach().T)


class LateState(torch.autograd.Function):
    """A product with recurrent weights whose gradient to the weights uses the state after the step."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, weight: Tensor, state: Tensor) -> Tensor:
        """Multiply."""
        ctx.save_for_backward(weight, state)
        return state @ weight.T

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, upstream: Tensor) -> tuple[Tensor, Tensor]:
        """Pair the error with tanh of the product in place of the state."""
        weight, state = ctx.saved_tensors  # type: ignore[attr-defined]  # torch sets it in save_for_backward
        return upstream.T @ torch.tanh(state @ weight.T), upstream @ weight


@layer.fault(
    "layer/weights-paired-with-late-state",
    source="wvabrinskas/Neuron#181",
    caught_by={"gradient-parameters": "wrong"},
)
class WeightsPairedWithLateState(Elman):
    """Pairs the error of each step with a state after it, in the gradient of its recurrent weights."""

    def cell(self, x_t: Tensor, state: Tensor) -> Tensor:
        """Return the next state."""
        moved: Tensor = LateState.apply(self.recur.weight, state)  # type: ignore[no-untyped-call]  # torch
        return torch.tanh(self.read(x_t) + moved)


@layer.fault("layer/weights-of-the-first-steps", gross=False, caught_by={"gradient-parameters": "wrong"})
class WeightsOfTheFirstSteps(Elman):
    """Trains its recurrent weights on the first 16 steps of a call only."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over the sequence."""
        h, outputs = self.begin(x, state), []
        for t, x_t in enumerate(x.unbind(0)):
            weight = self.recur.weight if t < 16 else self.recur.weight.detach()
            h = torch.tanh(self.read(x_t) + h @ weight.T)
            outputs.append(h)
        return stacked(outputs, x, self.hidden_size), h


@layer.fault("layer/weights-of-the-first-row", caught_by={"gradient-parameters": "wrong"})
class WeightsOfTheFirstRow(Elman):
    """Trains its bias on the first row of a batch only."""

    def cell(self, x_t: Tensor, state: Tensor) -> Tensor:
        """Return the next state."""
        first = torch.arange(len(x_t), device=x_t.device)[:, None] == 0
        bias = torch.where(first, self.read.bias, self.read.bias.detach())
        return torch.tanh(x_t @ self.read.weight.T + bias + self.recur(state))


@layer.fault("layer/last-unit-untrained", caught_by={"gradient-parameters": "wrong"})
class LastUnitUntrained(Elman):
    """Writes the gradient of its recurrent weights to all entries but the last one."""

    def cell(self, x_t: Tensor, state: Tensor) -> Tensor:
        """Return the next state."""
        kept = torch.ones_like(self.recur.weight)
        kept[-1, -1] = 0
        return torch.tanh(self.read(x_t) + state @ scaled(self.recur.weight, kept).T)


@layer.fault("layer/parallel-gates-untrained", caught_by={"gradient-parameters": "wrong"})
class ParallelGatesUntrained(Diagonal):
    """Trains the weights of its gates in every form but the parallel one, which trains their bias only."""

    def parallel(self, x: Tensor) -> Tensor:
        """Return all outputs from the zero state."""
        gates = torch.sigmoid(x @ self.recur.weight.detach().T + self.recur.bias)
        return gated_sums(gates, (1 - gates) * self.read(x))


@layer.fault("layer/chunk-biases-untrained", caught_by={"gradient-parameters": "wrong"})
class ChunkBiasesUntrained(Diagonal):
    """Leaves the bias of what it writes out of the backward pass of its chunk form."""

    def chunk(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Run over a piece of a sequence from a state."""
        outputs = []
        for x_t in x.unbind(0):
            gate = torch.sigmoid(self.recur(x_t))
            written = x_t @ self.read.weight.T + self.read.bias.detach()
            state = gate * state + (1 - gate) * written
            outputs.append(state)
        return stacked(outputs, x, self.hidden_size), state


@layer.fault("layer/learned-start-untrained", caught_by={"gradient-parameters": "wrong"})
class LearnedStartUntrained(Elman):
    """Starts from a learned state that gets no gradient where no state is given."""

    def __init__(self, input_size: int = 3, hidden_size: int = 8) -> None:
        super().__init__(input_size, hidden_size)
        self.start = nn.Parameter(torch.randn(hidden_size))

    def initial_state(self, batch: int) -> Tensor:
        """Return the learned state for every row."""
        return self.start.repeat(batch, 1)

    def begin(self, x: Tensor, state: Tensor | None) -> Tensor:
        """Return the state before the first step."""
        return self.initial_state(x.shape[1]).detach() if state is None else state


# Side inputs


@layer.fault("layer/spans-without-gradient", caught_by={"gradient-side-inputs": "wrong"})
def spans_without_gradient() -> Layer:
    """Passes no gradient to its time spans."""

    class Fixed(TimeSpans):
        def spans(self, dt: Tensor) -> Tensor:
            return dt.detach()

    return with_spans(Fixed())


@layer.fault("layer/late-spans-half-gradient", gross=False, caught_by={"gradient-side-inputs": "wrong"})
def late_spans_half_gradient() -> Layer:
    """Passes half of the gradient to the time spans from step 16 of a call on."""

    class Late(TimeSpans):
        def spans(self, dt: Tensor) -> Tensor:
            return torch.cat([dt[:16], scaled(dt[16:], 0.5)])

    return with_spans(Late())
