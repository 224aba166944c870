"""A leaky sum with a trained leak: h_t = sigmoid(w) h_{t-1} + x_t; x is (time, batch, feature)."""

import torch

from dynprop.check import Layer


class Leaky(torch.nn.Module):
    """One leak per feature."""

    def __init__(self, size):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.linspace(-2.0, 2.0, size))

    def step(self, x_t, h):
        h = torch.sigmoid(self.weight) * h + x_t
        return h, h

    def forward(self, x, h=None):
        h = torch.zeros_like(x[0]) if h is None else h
        states = []
        for x_t in x:
            h = self.step(x_t, h)[1]
            states.append(h)
        return torch.stack(states), h


def initial_state(batch):
    return torch.zeros(batch, 3)


module = Leaky(3)
leaky_layer = Layer(
    module,
    forward=module.forward,
    step=module.step,
    initial_state=initial_state,
    input_size=3,
    name="leaky",
)
