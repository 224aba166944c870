"""Does SGD succeed (claims C0, C6 and C7): tasks, ensembles of models, success curves, sweeps.

torch, dask, scipy and matplotlib are imported by the modules that need them, when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynprop.training.tasks import TASKS, Batch, Criterion, Task, task_named

__all__ = ["TASKS", "Batch", "Criterion", "Task", "task_named"]

_HOMES = {
    "TASKS": "dynprop.training.tasks",
    "Batch": "dynprop.training.tasks",
    "Criterion": "dynprop.training.tasks",
    "Task": "dynprop.training.tasks",
    "task_named": "dynprop.training.tasks",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dynprop.training' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
