r"""What is known of a sweep before anything is trained, within a budget that all its settings share.

A picture must not take longer than the sweep that it shows. What a measurement costs is estimated from the
setting alone: steps T, batch b, features f, hidden units h, gates g, n numbers of state, m models. Seen with
one thread of a busy machine, where this is right within a factor of three:

    K batches        m · (K · T · b · (2 ns · g h (h/2 + 64) + 40 ns · f) + T · 0.1 ms per block of them;
                     1.5 ms where g > 1)
    gradient by lag  T · (n · (0.12 + 0.18 g) ms + m · (15 µs + 4 ns · n g h² + 0.7 ns · n³))

Nothing here looks at a clock, so that the same sweep always gives the same numbers. Settings that differ in
the optimiser alone are the same before training, and measured once. Where the budget is too small for all,
the shortest and the longest lengths go first, then those between them: few numbers that mean something, and
not many that mean nothing.
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
    "foretold",
    "ignore",
    "planned",
    "planned_profiles",
    "profile_seconds",
    "profiled",
    "seconds",
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


# What is worth having, what is better than nothing, and what is enough.
GOOD, POOR, FULL = Plan(3, 256), Plan(1, 32), Plan(3, 4096)


@dataclass(frozen=True)
class Forecast:
    """After how many updates the signal of a setting can be told from its fluctuation.

    Attributes:
        plan: what it was measured with.
        updates: the number, at least 1; infinite where the signal is not seen.
        least: the fewest that they can be, at least 1; infinite where nothing is known.
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
    """Divide a budget: all that is asked for, or as much as the others that ask for more."""
    shares, left = [0.0] * len(costs), budget
    for place, i in enumerate(sorted(range(len(costs)), key=lambda i: costs[i])):
        shares[i] = min(costs[i], left / (len(costs) - place))
        left -= shares[i]
    return shares


def _spread(count: int) -> list[int]:
    """Order 0..count-1 so that the first few are spread over all: the ends, then what halves the gaps."""
    order = [0, count - 1]
    while len(order) < count:
        known = sorted(order)
        gaps = [(known[i] - known[i + 1], known[i]) for i in range(len(known) - 1)]
        width, first = min(gaps)
        order.append(first - width // 2)
    return order[:count]


def _chosen(settings: Sequence[Setting], plan: Plan, budget: float) -> list[Setting]:
    """Return which settings a plan can be afforded for, spread over the lengths of each configuration."""
    lengths = sorted({setting.length for setting in settings})
    turn = {lengths[place]: rank for rank, place in enumerate(_spread(len(lengths)))}
    found, left = [], budget
    for setting in sorted(settings, key=lambda setting: turn[setting.length]):
        if (cost := seconds(setting, plan)) <= left:
            found.append(setting)
            left -= cost
    return found


def _batches(setting: Setting, least: Plan, share: float) -> Plan:
    """Return the most batches that a share affords, as 2ⁿ or 3·2ⁿ, and at least those of a plan."""
    steps = (FULL.batches >> i for i in range(12))
    for batches in (size for step in steps for size in (step, 3 * step // 4)):
        plan = Plan(least.models, batches)
        if batches <= least.batches or seconds(setting, plan) <= share:
            return plan if batches > least.batches else least
    return least


def planned(settings: Iterable[Setting], budget: float = SIGNALS) -> dict[Setting, Plan]:
    """Return what the signals of settings are measured with; what cannot be afforded is left out.

    Args:
        settings: of one figure, all different.
        budget: seconds for all of them, as estimated.
    """
    wanted = list(settings)
    least = next((plan for plan in (GOOD, POOR) if _chosen(wanted, plan, budget)), POOR)
    chosen = _chosen(wanted, least, budget)
    floor = [seconds(setting, least) for setting in chosen]
    full = [seconds(setting, replace(FULL, models=least.models)) for setting in chosen]
    more = [most - low for most, low in zip(full, floor, strict=True)]
    shares = _shares(more, budget - sum(floor))
    return {
        setting: _batches(setting, least, low + share)
        for setting, low, share in zip(chosen, floor, shares, strict=True)
    }


def _same_before(settings: Iterable[Setting]) -> dict[Setting, Setting]:
    """Return for each setting the first that is the same before training."""
    first: dict[Setting, Setting] = {}
    return {s: first.setdefault(replace(s, optimiser="sgd"), s) for s in settings}


def foretold(
    settings: Sequence[Setting], budget: float = SIGNALS, listen: Listener = ignore
) -> dict[Setting, Forecast]:
    """Measure the signals of settings within a budget; what cannot be afforded is left out.

    Args:
        settings: of one figure.
        budget: seconds for all of them, as estimated.
        listen: is told what is being done.
    """
    like = _same_before(settings)
    plans = planned(dict.fromkeys(like.values()), budget)
    found: dict[Setting, Forecast] = {}
    for i, (setting, plan) in enumerate(plans.items()):
        listen(f"signals before training: {i} of {len(plans)} settings")
        # Where an initial state overflows, nothing is seen.
        with np.errstate(all="ignore"):
            signal = signal_to_noise(setting, plan.models, plan.batches)
            # Updates are whole: what shows at once shows after the first.
            found[setting] = Forecast(plan, max(1.0, signal.updates), max(1.0, signal.least))
    return {setting: found[same] for setting, same in like.items() if same in found}


def planned_profiles(
    settings: Sequence[Sequence[Setting]], models: int = 20, budget: float = PROFILES
) -> list[tuple[Setting, int] | None]:
    """Return which gradients by lag are measured, and of how many models; None where none can be afforded.

    Args:
        settings: configurations, each by increasing length; the longest that can be afforded is taken.
        models: how many initial models are wanted of each.
        budget: seconds for all of them, as estimated.
    """
    found: list[tuple[Setting, int] | None] = []
    shares = _shares([profile_seconds(own[-1], models) for own in settings], budget)
    for own, share in zip(settings, shares, strict=True):
        choices = ((s, count) for s in reversed(own) for count in range(models, 0, -1))
        # A rounding of what is asked for in full must not take a model away.
        found.append(next((c for c in choices if profile_seconds(*c) <= share * (1.0 + 1e-9)), None))
    return found


def profiled(
    settings: Sequence[Sequence[Setting]],
    models: int = 20,
    budget: float = PROFILES,
    listen: Listener = ignore,
) -> list[Profile | None]:
    """Return the gradient by lag of each configuration within a budget; None where it cannot be afforded.

    Args:
        settings: configurations, each by increasing length.
        models: how many initial models of each, at the most.
        budget: seconds for all of them, as estimated.
        listen: is told what is being done.
    """
    like = _same_before(setting for own in settings for setting in own)
    same = [tuple(like[setting] for setting in own) for own in settings]
    different = list(dict.fromkeys(same))
    found: dict[tuple[Setting, ...], Profile | None] = {}
    for own, plan in zip(different, planned_profiles(different, models, budget), strict=True):
        listen(f"gradients by lag before training: {len(found)} of {len(different)} configurations")
        found[own] = None
        if plan is not None:
            setting, count = plan
            logs = initial_gradient_by_lag(setting, tuple(range(count)))
            found[own] = Profile(setting.length, logs / math.log(10.0))
    return [found[own] for own in same]
