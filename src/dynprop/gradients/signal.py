r"""Signal and noise of the gradient by lag: after how many updates a long lag shows.

For batches with gradients :math:`g = \sum_k G_k` (module `shares`) and gradients g' of the same inputs with
the targets of other sequences, :math:`\mu_k = E(G_k - G'_k)` is what lag k learns about the dependence of
targets on inputs. Training adds up whole gradients, so that the noise is that of the whole,
:math:`\operatorname{tr} \operatorname{Cov} g`, in which the short lags have the largest part: after n small
steps the drift :math:`n\|\mu_k\|` exceeds the wandering :math:`\sqrt{n \operatorname{tr} \operatorname{Cov}
g}` once :math:`n > \operatorname{tr} \operatorname{Cov} g / \|\mu_k\|^2` (Bengio, Simard and Frasconi 1994,
section IV).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, IntArray, describe, is_array
from dynprop.errors import ArgumentError
from dynprop.gradients.by_lag import require_count
from dynprop.gradients.estimates import ERRORS, largest_squared_mean, squared_mean
from dynprop.results import Result

__all__ = ["LagSignal", "signal_to_noise_by_lag"]

# Numbers of all contributions that are kept, 2 GiB.
MOST = 2**28


@dataclass(frozen=True, eq=False, repr=False)
class LagSignal(Result):
    """Signal of each lag and noise of the whole gradient, over batches.

    Attributes:
        name: of the recurrent part.
        lags: (lags,).
        signal: ‖μ_k‖², estimated without bias; may come out negative.
        error: standard error of the signal.
        limit: the largest ‖μ_k‖² compatible with the estimate.
        spread: tr Cov G_k, the fluctuation of the lag's own contribution.
        noise: tr Cov g of one batch, of the whole gradient.
        batches: number of batches.
    """

    name: str
    lags: IntArray
    signal: FloatArray
    error: FloatArray
    limit: FloatArray
    spread: FloatArray
    noise: float
    batches: int

    @property
    def significant(self) -> FloatArray:
        """Whether the signal exceeds three standard errors, (lags,)."""
        return np.asarray(self.signal > ERRORS * self.error)

    @property
    def updates(self) -> FloatArray:
        """Updates after which the lag's drift exceeds the noise; inf where it is not significant, (lags,)."""
        return self._ratio(np.where(self.significant, self.signal, 0.0))

    @property
    def least(self) -> FloatArray:
        """The least number of updates that is compatible with the batches, (lags,)."""
        return self._ratio(self.limit)

    def _ratio(self, signal: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(signal > 0.0, self.noise / signal, math.inf))


def signal_to_noise_by_lag(
    model: Any,
    batches: Iterable[tuple[Any, Any]],
    loss: Callable[[Any, Any], Any],
    module: str | None = None,
    *,
    lags: Sequence[int] | None = None,
) -> LagSignal:
    """Compare what each lag learns with the fluctuation of the whole gradient over batches.

    Args:
        model, module: as for `dynprop.gradients.weight_gradient_by_lag`.
        batches: pairs of inputs and targets, three or more, drawn independently; targets are arrays whose
            axis 0 is the batch, of two sequences or more.
        loss: from outputs and targets to a scalar.
        lags: which; by default 0, 1, 2, 4, 8, ... below the number of steps.

    Raises:
        ArgumentError: too few batches, targets without a batch, a lag that is no whole number or beyond the
            sequence, more numbers than 2 GiB hold, or as for `weight_gradient_by_lag`.
        NotFiniteError: a loss or a state is NaN or infinite.

    Source: Bengio, Simard and Frasconi (1994), section IV; Goodfellow, Bengio and Courville (2016), 10.7.

    Example:
        >>> import torch
        >>> from dynprop.gradients import signal_to_noise_by_lag
        >>> torch.manual_seed(0) and None
        >>> def batch():  # the target is the input three steps before the end
        ...     x = torch.randn(6, 32, 1)
        ...     return x, x[2]
        >>> found = signal_to_noise_by_lag(
        ...     torch.nn.RNN(1, 4), (batch() for _ in range(40)),
        ...     lambda outputs, target: (outputs[0][-1].mean(-1, keepdim=True) - target).square().mean(),
        ... )
        >>> found.lags, found.significant
        (array([0, 1, 2, 4]), array([ True,  True,  True, False]))
    """
    from dynprop.gradients.shares import contributions

    asked = None if lags is None else [require_count("lags", lag, 0) for lag in lags]
    own: list[FloatArray] = []
    differences: list[FloatArray] = []
    whole: list[FloatArray] = []
    name, chosen = "", np.zeros(0, dtype=np.int64)
    for inputs, targets in batches:
        if not is_array(targets) or len(getattr(targets, "shape", ())) == 0 or len(targets) < 2:
            raise ArgumentError(
                "batches", f"targets {describe(targets)}", "an array of two sequences or more"
            )
        found = []
        for given in (targets, _others(targets)):
            name, _, parts = contributions(model, inputs, _against(loss, given), module)
            rows = [part.cpu().numpy() for part in parts]
            chosen = _chosen(asked, len(rows))
            found.append(np.stack([rows[k] for k in chosen]))
            if given is targets:
                whole.append(np.sum(rows, axis=0))
        own.append(found[0])
        differences.append(found[0] - found[1])
        if len(own) * own[0].size * 2 > MOST:
            raise ArgumentError("batches", f"{len(own)} and more", "fewer batches or lags: they are kept")
    if len(own) < 3:
        raise ArgumentError("batches", str(len(own)), "three or more")
    values = np.stack(differences, axis=1)
    estimates = [squared_mean(rows) for rows in values]
    return LagSignal(
        name,
        chosen,
        np.array([signal for signal, _ in estimates]),
        np.array([error for _, error in estimates]),
        np.array([largest_squared_mean(rows, s) for rows, (s, _) in zip(values, estimates, strict=True)]),
        np.stack(own, axis=1).var(axis=1, ddof=1).sum(axis=1),
        float(np.stack(whole).var(axis=0, ddof=1).sum()),
        len(own),
    )


def _against(loss: Callable[[Any, Any], Any], targets: Any) -> Callable[[Any], Any]:
    """Return the loss as a function of the outputs."""
    return lambda outputs: loss(outputs, targets)


def _others(targets: Any) -> Any:
    """Return the targets of other sequences of the batch."""
    if isinstance(targets, np.ndarray):
        return np.roll(targets, 1, axis=0)
    return targets.roll(1, 0)


def _chosen(asked: list[int] | None, steps: int) -> IntArray:
    if asked is None:
        return np.array([0, *(2**i for i in range(steps.bit_length()) if 2**i < steps)])
    if not asked or max(asked) >= steps:
        raise ArgumentError("lags", repr(asked), f"whole numbers below {steps}, the number of steps")
    return np.array(asked)
