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
        ArgumentError: there is none.
    """
    if name not in TASKS:
        raise ArgumentError("task", repr(name), f"one of {', '.join(TASKS)}")
    return TASKS[name]
