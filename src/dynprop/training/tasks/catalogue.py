"""The tasks by name."""

from __future__ import annotations

from typing import Any

from dynprop.errors import ArgumentError
from dynprop.training.tasks import digits, latches, marked_sequences, symbols
from dynprop.training.tasks.task import Task

__all__ = ["TASKS", "task_named"]

TASKS: dict[str, Task] = {
    task.name: task for room in (latches, marked_sequences, symbols, digits) for task in room.TASKS
}


def task_named(name: Any) -> Task:
    """Return the task of this name.

    Raises:
        ArgumentError: there is no such task.

    Examples:
        >>> import numpy as np
        >>> from dynprop.training import task_named
        >>> task = task_named("latch")
        >>> task.sample(5, 2, np.random.default_rng(0)).inputs.shape
        (5, 2, 1)
        >>> round(task.chance_loss(5), 4)
        0.6931
    """
    if name not in TASKS:
        raise ArgumentError("task", repr(name), f"one of {', '.join(TASKS)}")
    return TASKS[name]
