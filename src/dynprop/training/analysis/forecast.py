r"""Predictions for a sweep before training, within one budget of time for all settings.

A picture must not take longer than the sweep that it shows. The cost of a measurement is estimated from the
setting alone: steps T, batch b, features f, hidden units h, gates g, n numbers of state, m models. Measured
with one thread of a busy machine, the estimate is right within a factor of three:

    K batches        m · (K · T · b · (2 ns · g h (h/2 + 64) + 40 ns · f) + T · 0.1 ms per block of them;
                     1.5 ms where g > 1)
    gradient by lag  T · (n · (0.12 + 0.18 g) ms + m · (15 µs + 4 ns · n g h² + 0.7 ns · n³))

No clock is read, so that the same sweep always gives the same numbers. Settings that differ only in the
optimiser are equal before training, and are measured once. Where the budget is too small for all settings,
the shortest and the longest lengths have priority, then those between them: a few accurate numbers are better
than many inaccurate ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.gradients import cell_named
from dynprop.training.analysis.prediction import TOGETHER, initial_gradient_by_lag, signal_to_noise
from dynprop.training.tasks import task_named
from dynprop.training.trials.setting import Setting
from dynprop.training.trials.training import group_size

__all__ = [
    "Forecast",
    "Listener",
    "Plan",
    "Profile",
    "ignore",
    "measured_forecasts",
    "measured_profiles",
    "profile_plans",
    "profile_seconds",
    "seconds",
    "signal_plans",
]

# Estimated seconds that all signals of a figure may take together, and all gradients by lag.
SIGNALS, PROFILES = 10.0, 4.0
Listener = Callable[[str], None]


def ignore(doing: str) -> None:
    """Do nothing: the default listener."""


@dataclass(frozen=True)
class Plan:
    """How many models, and batches of each, the signal of a setting is measured with."""

    models: int
    batches: int


# The wanted accuracy, the least useful one, and the greatest.
GOOD, POOR, FULL = Plan(3, 256), Plan(1, 32), Plan(3, 4096)


@dataclass(frozen=True)
class Forecast:
    """Number of updates after which the signal of a setting exceeds its fluctuation.

    Attributes:
        plan: models and batches of the measurement.
        updates: the number, at least 1; infinite where the signal is not significant.
        least: lower bound of the number, at least 1; infinite where nothing is known.
    """

    plan: Plan
    updates: float
    least: float


@dataclass(frozen=True)
class Profile:
    """Gradient by lag of initial models.

    Attributes:
        length: of the task.
        logs: log10 ‖∂s(T)/∂s(T-k)‖₂, (models, lags); -inf where it is exactly zero.
    """

    length: int
    logs: FloatArray


def seconds(setting: Setting, plan: Plan) -> float:
    """Estimate how long the signal of a setting takes to measure."""
    task, gates = task_named(setting.task), cell_named(setting.cell).gates
    steps, hidden = task.steps(setting.length), setting.hidden
    blocks = math.ceil(plan.batches / min(TOGETHER, group_size(replace(setting, dtype="float64"))))
    # Cells of one gate have a backward pass of their own.
    overhead = blocks * steps * (1e-4 if gates == 1 else 1.5e-3)
    each = 2e-9 * gates * hidden * (hidden / 2 + 64) + 4e-8 * task.features
    return plan.models * (overhead + plan.batches * steps * setting.batch * each)


def profile_seconds(setting: Setting, models: int) -> float:
    """Estimate how long the gradient by lag of a setting takes to measure."""
    cell, hidden = cell_named(setting.cell), setting.hidden
    size = cell.parts * hidden
    each = 1.5e-5 + 4e-9 * size * cell.gates * hidden**2 + 7e-10 * size**3
    rows = size * (1.2e-4 + 1.8e-4 * cell.gates)
    return task_named(setting.task).steps(setting.length) * (rows + models * each)


def _shares(costs: Sequence[float], budget: float) -> list[float]:
    """Divide a budget: costs below an equal share in full, the others equal shares of the remainder."""
    shares, remaining = [0.0] * len(costs), budget
    for rank, i in enumerate(sorted(range(len(costs)), key=lambda i: costs[i])):
        shares[i] = min(costs[i], remaining / (len(costs) - rank))
        remaining -= shares[i]
    return shares


def _spread(count: int) -> list[int]:
    """Order 0..count-1 so that each prefix is spread: the ends, then midpoints of the largest gaps."""
    order = [0, count - 1]
    while len(order) < count:
        ordered = sorted(order)
        gaps = [(ordered[i] - ordered[i + 1], ordered[i]) for i in range(len(ordered) - 1)]
        width, start = min(gaps)
        order.append(start - width // 2)
    return order[:count]


def _affordable(settings: Sequence[Setting], plan: Plan, budget: float) -> list[Setting]:
    """Return the settings that a budget covers under a plan, spread over the lengths of configurations."""
    lengths = sorted({setting.length for setting in settings})
    turn = {lengths[place]: rank for rank, place in enumerate(_spread(len(lengths)))}
    selected, remaining = [], budget
    for setting in sorted(settings, key=lambda setting: turn[setting.length]):
        if (cost := seconds(setting, plan)) <= remaining:
            selected.append(setting)
            remaining -= cost
    return selected


def _batches(setting: Setting, least: Plan, share: float) -> Plan:
    """Return the largest number of batches, 2ⁿ or 3·2ⁿ, within a share, and at least that of a plan."""
    steps = (FULL.batches >> i for i in range(12))
    for batches in (size for step in steps for size in (step, 3 * step // 4)):
        plan = Plan(least.models, batches)
        if batches <= least.batches or seconds(setting, plan) <= share:
            return plan if batches > least.batches else least
    return least


def signal_plans(settings: Iterable[Setting], budget: float = SIGNALS) -> dict[Setting, Plan]:
    """Return the plan of each measurement of a signal; settings beyond the budget are left out.

    Args:
        settings: of one figure, all different.
        budget: seconds for all of them, as estimated.
    """
    all_settings = list(settings)
    least = next((plan for plan in (GOOD, POOR) if _affordable(all_settings, plan, budget)), POOR)
    selected = _affordable(all_settings, least, budget)
    floor = [seconds(setting, least) for setting in selected]
    full = [seconds(setting, replace(FULL, models=least.models)) for setting in selected]
    extra = [most - low for most, low in zip(full, floor, strict=True)]
    shares = _shares(extra, budget - sum(floor))
    return {
        setting: _batches(setting, least, low + share)
        for setting, low, share in zip(selected, floor, shares, strict=True)
    }


def _representatives(settings: Iterable[Setting]) -> dict[Setting, Setting]:
    """Return for each setting the first one that is equal before training."""
    representatives: dict[Setting, Setting] = {}
    return {s: representatives.setdefault(replace(s, optimiser="sgd"), s) for s in settings}


def measured_forecasts(
    settings: Sequence[Setting], budget: float = SIGNALS, listen: Listener = ignore
) -> dict[Setting, Forecast]:
    """Measure the signals of settings within a budget; settings beyond the budget are left out.

    Args:
        settings: of one figure.
        budget: seconds for all of them, as estimated.
        listen: called with a description of the current measurement.
    """
    representative = _representatives(settings)
    plans = signal_plans(dict.fromkeys(representative.values()), budget)
    forecasts: dict[Setting, Forecast] = {}
    for i, (setting, plan) in enumerate(plans.items()):
        listen(f"signals before training: {i} of {len(plans)} settings")
        # If an initial state overflows, the signal is NaN.
        with np.errstate(all="ignore"):
            signal = signal_to_noise(setting, plan.models, plan.batches)
            # Updates are whole numbers: a signal that is significant at once is so after the first.
            forecasts[setting] = Forecast(plan, max(1.0, signal.updates), max(1.0, signal.least))
    return {setting: forecasts[same] for setting, same in representative.items() if same in forecasts}


def profile_plans(
    settings: Sequence[Sequence[Setting]], models: int = 20, budget: float = PROFILES
) -> list[tuple[Setting, int] | None]:
    """Return setting and number of models of each gradient by lag; None where the budget is too small.

    Args:
        settings: configurations, each by increasing length; the longest within the budget is measured.
        models: wanted number of initial models of each.
        budget: seconds for all of them, as estimated.
    """
    plans: list[tuple[Setting, int] | None] = []
    shares = _shares([profile_seconds(configuration[-1], models) for configuration in settings], budget)
    for configuration, share in zip(settings, shares, strict=True):
        choices = ((s, count) for s in reversed(configuration) for count in range(models, 0, -1))
        # Rounding of a share that covers the full cost must not remove a model.
        plans.append(next((c for c in choices if profile_seconds(*c) <= share * (1.0 + 1e-9)), None))
    return plans


def measured_profiles(
    settings: Sequence[Sequence[Setting]],
    models: int = 20,
    budget: float = PROFILES,
    listen: Listener = ignore,
) -> list[Profile | None]:
    """Return the gradient by lag of each configuration; None where the budget is too small.

    Args:
        settings: configurations, each by increasing length.
        models: largest number of initial models of each.
        budget: seconds for all of them, as estimated.
        listen: called with a description of the current measurement.
    """
    representative = _representatives(setting for configuration in settings for setting in configuration)
    reduced = [tuple(representative[setting] for setting in configuration) for configuration in settings]
    distinct = list(dict.fromkeys(reduced))
    profiles: dict[tuple[Setting, ...], Profile | None] = {}
    for configuration, plan in zip(distinct, profile_plans(distinct, models, budget), strict=True):
        listen(f"gradients by lag before training: {len(profiles)} of {len(distinct)} configurations")
        profiles[configuration] = None
        if plan is not None:
            setting, count = plan
            logs = initial_gradient_by_lag(setting, tuple(range(count)))
            profiles[configuration] = Profile(setting.length, logs / math.log(10.0))
    return [profiles[configuration] for configuration in reduced]
