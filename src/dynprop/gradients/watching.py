"""The profile of a model while it trains: measured now and then on what the model is called with."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from dynprop.errors import ArgumentError, DynpropError
from dynprop.gradients.by_lag import GradientProfile, gradient_by_lag, require_count
from dynprop.gradients.models.recording import Call

__all__ = ["Watch", "Watched", "watch"]


@dataclass(frozen=True)
class Watched:
    """One measurement.

    Attributes:
        call: number of training calls before it.
        profile: of the model at that moment, Frobenius norms from probes.
    """

    call: int
    profile: GradientProfile


@dataclass
class Watch:
    """What was measured, and what it cost.

    Attributes:
        measured: in order.
        calls: training calls so far.
        seconds: spent on measuring.
        elapsed: seconds since the watch began; final once it has ended.
        problems: why a measurement failed, by the number of the call.
    """

    measured: list[Watched] = field(default_factory=list)
    calls: int = 0
    seconds: float = 0.0
    elapsed: float = 0.0
    problems: dict[int, str] = field(default_factory=dict)

    @property
    def cost(self) -> float:
        """Share of the time that measuring took."""
        return self.seconds / self.elapsed if self.elapsed > 0.0 else 0.0


@contextmanager
def watch(
    model: nn.Module,
    every: int = 500,
    *,
    module: str | None = None,
    sequences: int = 4,
    probes: int = 16,
    writer: Any = None,
) -> Iterator[Watch]:
    """Measure the gradient by lag of a model every so many training calls.

    Inside the ``with`` block the model is trained as always. Every so many calls in training mode, the first
    one included, its profile is measured on the first sequences of what it is called with, on a copy. Neither
    the model nor its random numbers are touched; a measurement that fails is a warning, and training goes on.

    Args:
        model: as for `gradient_by_lag`.
        every: training calls between two measurements.
        module: the name of its recurrent part.
        sequences: how many of a batch are measured.
        probes: random probes for the estimate of each norm, 2 or more.
        writer: an object with ``add_scalar(name, value, step)``, such as TensorBoard's SummaryWriter: gets
            half life, slope and horizon of each measurement.

    Raises:
        ArgumentError: the model is no module, or a number is none.

    Example:
        >>> import torch
        >>> from dynprop.gradients import watch
        >>> torch.manual_seed(0) and None
        >>> rnn, x = torch.nn.RNN(2, 8), torch.randn(20, 16, 2)
        >>> with watch(rnn, every=10) as log:
        ...     for _ in range(25):
        ...         loss = rnn(x)[0][-1].square().mean()
        ...         for p, g in zip(rnn.parameters(), torch.autograd.grad(loss, list(rnn.parameters()))):
        ...             p.data -= 0.1 * g
        >>> [(each.call, each.profile.log_norms.shape) for each in log.measured]
        [(0, (4, 21)), (10, (4, 21)), (20, (4, 21))]
    """
    if not isinstance(model, nn.Module):
        raise ArgumentError("model", type(model).__name__, "a torch.nn.Module")
    require_count("every", every, 1)
    require_count("sequences", sequences, 1)
    require_count("probes", probes, 2)
    if writer is not None and not callable(getattr(writer, "add_scalar", None)):
        raise ArgumentError("writer", type(writer).__name__, "an object with add_scalar, or None")
    log, busy = Watch(), [False]
    begun = time.perf_counter()

    # A function, and no method: deepcopy of the model leaves functions alone.
    def heard(called: nn.Module, arguments: Any, keywords: Any, _: Any) -> None:
        if busy[0] or not called.training:
            return
        call, log.calls = log.calls, log.calls + 1
        log.elapsed = time.perf_counter() - begun
        if call % every:
            return
        busy[0], start = True, time.perf_counter()
        try:
            given = Call(arguments, keywords, None)
            profile = gradient_by_lag(model, given, module, probes=probes, sequences=sequences)
        except (DynpropError, RuntimeError) as error:
            if not log.problems:
                warnings.warn(f"watch: not measured at call {call}: {error}", stacklevel=2)
            log.problems[call] = str(error)
        else:
            log.measured.append(Watched(call, profile))
            if writer is not None:
                _write(writer, profile, call)
        finally:
            busy[0] = False
            log.seconds += time.perf_counter() - start

    handle = model.register_forward_hook(heard, with_kwargs=True)
    try:
        yield log
    finally:
        handle.remove()
        log.elapsed = time.perf_counter() - begun


def _write(writer: Any, profile: GradientProfile, call: int) -> None:
    prefix = f"gradient by lag/{profile.name or 'model'}"
    horizon = profile.horizon(1e-3)
    writer.add_scalar(f"{prefix}/slope per step", profile.slope, call)
    writer.add_scalar(f"{prefix}/lag at 1e-3", len(profile.lags) if horizon is None else horizon, call)
