"""A control of kind agreement: success, times and gradients as others compute them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from dynprop.laws.catalogue import Catalogue

Array = npt.NDArray[Any]

agreements: Catalogue = Catalogue("agreement", "numpy")
CATALOGUES = (agreements,)


def searched_interval(successes: int, trials: int, level: float) -> tuple[float, float]:
    """Clopper and Pearson's ends by scipy, which searches them in the tails."""
    from scipy.stats import binomtest

    found = binomtest(successes, trials).proportion_ci(level, method="exact")
    return float(found.low), float(found.high)


def spent_interval(successes: int, trials: int, level: float) -> tuple[float, float]:
    """Hoeffding's intervals whose errors add up to the one that is allowed: wide, and valid."""
    if successes not in range(trials + 1) or not 0.0 < level < 1.0:
        raise ValueError("no count, or no level")
    wide = math.sqrt(math.log(2.0 * trials * (trials + 1) / (1.0 - level)) / (2.0 * trials))
    return max(0.0, successes / trials - wide), min(1.0, successes / trials + wide)


@dataclass(frozen=True)
class Times:
    """A curve of runs without success."""

    updates: tuple[int, ...]
    unsolved: tuple[float, ...]
    median: float | None


def times_in_a_loop(trials: Iterable[Any]) -> Times:
    """Kaplan and Meier's product, run by run; whoever diverged is at risk to the end."""
    runs = sorted(
        (t.setting.updates if t.status == "diverged" else t.updates, t.status != "success") for t in trials
    )
    updates: list[int] = []
    unsolved: list[float] = []
    share, risk = 1.0, len(runs)
    for at, censored in runs:
        if not censored:
            share *= (risk - 1) / risk
            if updates and updates[-1] == at:
                updates.pop()
                unsolved.pop()
            updates.append(at)
            unsolved.append(share)
        risk -= 1
    reached = [at for at, left in zip(updates, unsolved, strict=True) if left <= 0.5 + 1e-12]
    return Times(tuple(updates), tuple(unsolved), reached[0] if reached else None)


def forward_differences_of_the_chain(cell: Any, parameters: Any, inputs: torch.Tensor) -> Array:
    """Differentiate the whole sequence from each of its states on, by torch.func, without products."""
    weights, first, bias = (parameters[k] for k in ("recurrent", "inputs", "bias"))
    logs = []
    for model in range(inputs.shape[1]):
        drive = inputs[:, model] @ first[model] + bias[model]
        states = [torch.zeros_like(bias[model])]
        for now in drive:
            states.append(torch.tanh(now + states[-1] @ weights[model]))

        def ended(state: torch.Tensor, lag: int, drive: Any = drive, w: Any = weights[model]) -> Any:
            for now in drive[len(drive) - lag :]:
                state = torch.tanh(now + state @ w)
            return state

        rows = []
        for lag, state in enumerate(reversed(states)):
            jacobian: Any = torch.func.jacrev(ended)(state, lag)
            rows.append(math.log(float(torch.linalg.matrix_norm(jacobian, 2))))
        logs.append(rows)
    return np.array(logs)


agreements.add_control(
    "control/agreement-success",
    "A search of tails, Hoeffding summed over all numbers of trials, a loop over runs, torch.func.jacrev.",
    SimpleNamespace(
        proportion_interval=searched_interval,
        confidence_sequence=spent_interval,
        learning_time=times_in_a_loop,
        cell_gradient_by_lag=forward_differences_of_the_chain,
    ),
)
