"""Does the advice of `dynprop diagnose` pay? Digits read pixel by pixel, 64 steps, many seeds.

    python examples/diagnose_digits.py [SEEDS] [EPOCHS]

Each net is built as torch builds it and with the first advice of the diagnosis, found on white noise and
held-out seeds, not on the digits. Printed are the accuracy on held-out digits with a 95 % interval over seeds
(Student's t), the same of the difference seed by seed, and what is left of the gradient at lag 60 before,
half way and after training. A diagonal state-space model, whose gradient a start keeps, stands beside them.
Needs torch and scikit-learn; some minutes on one core.
"""

import math
import sys

import numpy as np
import torch
from scipy import stats
from sklearn.datasets import load_digits
from torch import nn

from dynprop.gradients import diagnose, gradient_by_lag
from dynprop.gradients.diagnosis.advice import changed, changes_for

HIDDEN, STEPS, LAG = 32, 64, 60


class Ssm(nn.Module):
    """A diagonal state-space model, radii uniform in the ring from 0.9 to 0.999 (Orvieto et al. 2023)."""

    def __init__(self):
        super().__init__()
        radius = torch.empty(HIDDEN).uniform_(0.9**2, 0.999**2).sqrt()
        self.nu = nn.Parameter((-radius.log()).log())
        self.entry = nn.Parameter(torch.randn(HIDDEN, 1) * (1.0 - radius[:, None] ** 2).sqrt())

    def forward(self, x, state=None):
        gate = torch.exp(-self.nu.exp())
        held = torch.zeros(x.shape[1], HIDDEN, dtype=x.dtype) if state is None else state
        seen = []
        for now in x:
            held = gate * held + now @ self.entry.T
            seen.append(held)
        return torch.stack(seen), held


BUILDS = {
    "RNN": lambda: nn.RNN(1, HIDDEN),
    "GRU": lambda: nn.GRU(1, HIDDEN),
    "LSTM": lambda: nn.LSTM(1, HIDDEN),
    "SSM": Ssm,
}


def advised(name):
    """Return the change that the diagnosis gives first, or None."""
    noise = torch.randn(STEPS, 8, 1, generator=torch.Generator().manual_seed(0))
    found = diagnose(BUILDS[name], noise, lag=LAG)
    print(f"{name}: {found.sentence}")
    if not found.advice:
        return None
    best = found.advice[0].name
    print(f"{name}: advice: {found.advice[0].text}")
    return next(c for c in changes_for(BUILDS[name](), LAG, found.profile.slope) if c.name == best)


def left(net, x):
    profile = gradient_by_lag(net, x[:, :4], norm="frobenius", most=LAG)
    return math.exp(float(profile.median[LAG]))


def trained(name, seed, change, epochs, data):
    """Train one net; return its accuracy and what is left of the gradient, three times."""
    torch.manual_seed(seed)
    net, head = BUILDS[name](), nn.Linear(HIDDEN, 10)
    if change is not None:
        net = changed(net, "", change).train()
        for parameter in net.parameters():
            parameter.requires_grad_(True)
    x, y, x_test, y_test = data
    parameters = [*net.parameters(), *head.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=3e-3)
    seen = [left(net, x_test)]
    for epoch in range(epochs):
        for rows in torch.randperm(x.shape[1]).split(64):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(head(net(x[:, rows])[0][-1]), y[rows])
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
        if epoch == epochs // 2:
            seen.append(left(net, x_test))
    seen.append(left(net, x_test))
    with torch.no_grad():
        return float((head(net(x_test)[0][-1]).argmax(1) == y_test).float().mean()), seen


def interval(values):
    """Return mean and half width of Student's 95 % interval."""
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    return float(np.mean(values)), float(half)


def main(seeds=10, epochs=12):
    torch.set_num_threads(1)
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    values = (images[order] - images.mean()) / images.std()
    x = torch.tensor(values.T[:, :, None], dtype=torch.float32)
    y = torch.tensor(labels[order])
    data = x[:, 500:], y[500:], x[:, :500], y[:500]
    for name in BUILDS:
        change = advised(name)
        scores = {}
        for start in ("default",) if change is None else ("default", "advised"):
            runs = [
                trained(name, s, change if start == "advised" else None, epochs, data) for s in range(seeds)
            ]
            scores[start] = np.array([accuracy for accuracy, _ in runs])
            mean, half = interval(scores[start])
            kept = ", ".join(f"{np.median([seen[i] for _, seen in runs]):.1e}" for i in range(3))
            print(f"{name} {start}: accuracy {mean:.3f} ± {half:.3f}; left at lag {LAG}: {kept}", flush=True)
        if change is not None:
            mean, half = interval(scores["advised"] - scores["default"])
            print(f"{name} advised - default: {mean:+.3f} ± {half:.3f}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
