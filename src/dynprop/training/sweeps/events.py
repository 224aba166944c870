"""Events of a running sweep, and their listener."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dynprop.training.trials.setting import Setting
from dynprop.training.trials.trial import Trial

__all__ = ["GroupStarted", "Listener", "Recorded", "SweepEvent", "TrainingProgress", "ignore"]


@dataclass(frozen=True)
class GroupStarted:
    """Training of a group begins in this process."""

    setting: Setting
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class TrainingProgress:
    """State of the group that trains in this process.

    Attributes:
        updates: made so far.
        training: models still training.
        succeeded: models that have met the criterion.
    """

    updates: int
    training: int
    succeeded: int


@dataclass(frozen=True)
class Recorded:
    """Trials that are on the disk."""

    trials: tuple[Trial, ...]


SweepEvent = GroupStarted | TrainingProgress | Recorded
Listener = Callable[[SweepEvent], None]


def ignore(event: SweepEvent) -> None:
    """Do nothing: the default listener."""
