"""Tasks: sequences, their distribution, targets, losses, criteria and solvers of a named variant."""

from __future__ import annotations

from dynprop.kinds.options import DEVICE, FRAMEWORK, MAX_LENGTH
from dynprop.kinds.record import Kind

__all__ = ["KIND"]

KIND = Kind(
    name="task",
    callable="an object as `dynprop.training.Task`",
    arguments_text="a generator of sequences with targets, its loss, level of chance, criterion and solver; "
    "inputs `(time, count, feature)`",
    adapter="dynprop.kinds.task.target:TaskAdapter",
    laws=(
        "dynprop.kinds.task.sequences",
        "dynprop.kinds.task.losses",
        "dynprop.kinds.task.frequencies",
        "dynprop.kinds.task.independence",
        "dynprop.kinds.task.success",
    ),
    faults=("dynprop.kinds.task.faults.tasks", "dynprop.kinds.task.faults.chance"),
    controls=("dynprop.kinds.task.controls",),
    options=(FRAMEWORK, DEVICE, MAX_LENGTH),
    setup="dynprop.kinds.task.show:setup",
)
