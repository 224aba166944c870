r"""Where a weight gradient comes from, and which lags show above the noise (claim C6).

:math:`dL/dW = \sum_k G_k`, G_k from the use of the weights k steps before the output that the loss reads
(Pascanu, Mikolov and Bengio 2013, eq. 3). The reference of G_k uses weights of their own at every step.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.kinds.agreement.depths import DepthCase, depth_case
from dynprop.kinds.agreement.judging import compare_interval, compare_pair
from dynprop.kinds.agreement.subject import AgreementSubject, needs
from dynprop.laws.evidence import Evidence
from dynprop.laws.law import law

BATCHES, TOGETHER = 6, 5


def _module(units: int) -> Any:
    """Return h(t) = tanh(h(t-1) Wᵀ + x(t) Uᵀ) as a module, called like torch.nn.RNN."""
    import torch

    class Tanh(torch.nn.Module):
        """Weights W and U, no biases."""

        def __init__(self) -> None:
            super().__init__()
            self.w = torch.nn.Parameter(torch.zeros(units, units, dtype=torch.float64))
            self.u = torch.nn.Parameter(torch.zeros(units, 2, dtype=torch.float64))

        def forward(self, x: Any, state: Any = None) -> Any:
            held = x.new_zeros(x.shape[1], len(self.w)) if state is None else state
            seen = []
            for now in x:
                held = torch.tanh(held @ self.w.T + now @ self.u.T)
                seen.append(held)
            return torch.stack(seen), held

    return Tanh()


def _drawn(rng: np.random.Generator, units: int) -> Any:
    import torch

    module = _module(units)
    with torch.no_grad():
        module.w.copy_(torch.from_numpy(rng.standard_normal((units, units)) / math.sqrt(units)))
        module.u.copy_(torch.from_numpy(0.5 * rng.standard_normal((units, 2))))
    return module


def _by_lag(module: Any, inputs: Any, loss: Any, read: tuple[int, ...]) -> FloatArray:
    """Return G_0, G_1, ... as rows, of a loss of the outputs at some steps, one backward pass each."""
    import torch

    steps = len(inputs)
    size = module.w.numel() + module.u.numel()
    found = np.zeros((steps, size))
    for at in read:
        own = [(module.w.detach().clone(), module.u.detach().clone()) for _ in range(steps)]
        for pair in own:
            for weight in pair:
                weight.requires_grad_(True)
        held, seen = inputs.new_zeros(inputs.shape[1], len(module.w)), []
        for t, now in enumerate(inputs):
            held = torch.tanh(held @ own[t][0].T + now @ own[t][1].T)
            seen.append(held)
        # The loss reads step `at` through the graph, the others as constants.
        outputs = torch.stack([out if t == at else out.detach() for t, out in enumerate(seen)])
        flat = [weight for pair in own[: at + 1] for weight in pair]
        grads = torch.autograd.grad(loss(outputs), flat, materialize_grads=True)
        for t in range(at + 1):
            found[at - t] += np.concatenate([g.numpy().ravel() for g in grads[2 * t : 2 * t + 2]])
    return found


@law(
    "agreement/weight-gradient-by-lag",
    claim="C6",
    statement="the contributions of the lags to the gradient of the recurrent weights are those of "
    "weights of "
    "their own at every step, lag by lag, and they add up to the gradient that autograd gives",
    source="Pascanu, Mikolov and Bengio 2013, eq. 3 to 5",
    draw=partial(depth_case, depths=(1, 8), widths=(1, 4)),
    applies=needs("weight_gradient_by_lag"),
    script="import torch\ntorch.manual_seed(seed)\nrnn = torch.nn.RNN(2, width).double()\n"
    "found = f.weight_gradient_by_lag(rnn, torch.randn(depth, 3, 2).double(), lambda out: out[0][-1].sum())\n"
    "print(found.log_norms, found.shares)",
    share=0.1,
)
def weight_gradient_by_lag(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Compare norms, shares and the sum; a loss of two steps, so that a lag is no time.

    Both are sums of products of at most 8 steps and 3 sequences; 1e-12 of the largest is 1,000 times what was
    observed, and is asked of autograd in float64 by SCIENCE P25.
    """
    import torch

    rng = case.generator()
    module, steps = _drawn(rng, case.width), case.depth
    inputs = torch.from_numpy(rng.standard_normal((steps, 3, 2)))
    weights = torch.from_numpy(rng.standard_normal((2, 3, case.width)))
    read = (steps - 1,) if steps < 3 else (steps - 1, steps - 3)

    def loss(outputs: Any) -> Any:
        values = outputs[0] if isinstance(outputs, tuple) else outputs
        return torch.stack([(weights[i] * values[at].sin()).sum() for i, at in enumerate(read)]).sum()

    rows = _by_lag(module, inputs, loss, read)
    # By autograd, through the module as it is.
    whole = torch.autograd.grad(loss(module(inputs)), [module.w, module.u])
    shape = (steps,)
    found = subject.parts(
        "weight_gradient_by_lag", module, inputs, loss, shapes={"log_norms": shape, "shares": shape}
    )
    gradients = subject.gradients_by_name("weight_gradient_by_lag", module, inputs, loss)
    size = max(float(np.linalg.norm(rows, axis=1).max()), 1e-300)
    total = np.concatenate([np.asarray(g).ravel() for g in whole])
    square = float(total @ total)
    shares = rows @ total / square
    # Shares are dots over a square that may cancel.
    share_error = 1e-12 * size * float(np.linalg.norm(total)) / square
    names = ("w", "u")
    known = {
        name: gradients.get(name, np.full(tuple(g.shape), np.nan))
        for name, g in zip(names, whole, strict=True)
    }
    return Evidence(
        (
            compare_pair(
                "norm of each lag", np.exp(found["log_norms"]), np.linalg.norm(rows, axis=1), 1e-12 * size,
                axes=("lag",),
            ),
            compare_pair("share of each lag", found["shares"], shares, share_error, axes=("lag",)),
            *(
                compare_pair(
                    f"sum of the lags, {name}",
                    known[name],
                    np.asarray(g),
                    1e-12 * size,
                    axes=("row", "column"),
                )
                for name, g in zip(names, whole, strict=True)
            ),
        )
    )  # fmt: skip


@law(
    "agreement/signal-of-lags",
    claim="C6",
    statement="the signal of a lag is the squared mean of what it contributes beyond the targets of other "
    "sequences, without bias, and the noise is the fluctuation of the whole gradient over batches",
    source="Bengio, Simard and Frasconi 1994, section IV",
    draw=partial(depth_case, depths=(2, 5), widths=(1, 3)),
    applies=needs("signal_to_noise_by_lag"),
    script="import torch\ntorch.manual_seed(seed)\nrnn = torch.nn.RNN(2, width).double()\n"
    "batches = [(torch.randn(depth, 5, 2).double(), torch.randn(5).double()) for _ in range(6)]\n"
    "print(f.signal_to_noise_by_lag(rnn, batches, lambda out, y: (out[0][-1].sum(-1) - "
    "y).square().mean()).signal)",
    share=0.03,
)
def signal_of_lags(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Compute both from weights of their own at every step; the estimate of ‖E x‖² is the mean of x(i)·x(j).

    Differences of gradients that nearly cancel: 1e-12 of the largest square.
    """
    import torch

    rng = case.generator()
    module, steps = _drawn(rng, case.width), case.depth
    batches = [
        (
            torch.from_numpy(rng.standard_normal((steps, TOGETHER, 2))),
            torch.from_numpy(rng.standard_normal(TOGETHER)),
        )
        for _ in range(BATCHES)
    ]

    def loss(outputs: Any, targets: Any) -> Any:
        values = outputs[0] if isinstance(outputs, tuple) else outputs
        return (values[-1].sum(dim=-1) - targets).square().mean()

    own, others = (
        np.stack(
            [_by_lag(module, x, partial(loss, targets=y.roll(turn, 0)), (steps - 1,)) for x, y in batches],
            axis=1,
        )
        for turn in (0, 1)
    )
    differences = own - others
    signal = np.array([_squared_mean(rows) for rows in differences])
    noise = float(own.sum(axis=0).var(axis=0, ddof=1).sum())
    lags = list(range(steps))
    shapes = {"signal": (steps,), "noise": ()}
    given = (module, batches, loss)
    found = subject.parts("signal_to_noise_by_lag", *given, shapes=shapes, options={"lags": lags})
    size = float((differences * differences).sum(axis=2).max())
    return Evidence(
        (
            compare_pair("signal of each lag", found["signal"], signal, 1e-12 * size, axes=("lag",)),
            compare_interval(
                "noise", found["noise"].reshape(1), noise, noise, 1e-12 * noise, axes=("number",)
            ),
        )
    )


def _squared_mean(rows: FloatArray) -> float:
    """Return the mean of x(i)·x(j) over pairs of different rows."""
    products = rows @ rows.T
    count = len(rows)
    return float((products.sum() - np.trace(products)) / (count * (count - 1)))
