"""Does SGD succeed (claims C0, C6 and C7): tasks, ensembles of models, success curves, sweeps.

torch, dask, scipy and matplotlib are imported by the modules that need them, when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynprop.lazy import loaded_when_used

if TYPE_CHECKING:
    from dynprop.training import tasks
    from dynprop.training.engine import run_sweep
    from dynprop.training.prediction import GradientSignal, initial_gradient_by_lag, signal_to_noise
    from dynprop.training.setting import Setting
    from dynprop.training.success import (
        LearningTime,
        SuccessCurve,
        SuccessRate,
        Threshold,
        confidence_sequence,
        learning_time,
        proportion_interval,
        success_curve,
    )
    from dynprop.training.sweep import Sweep
    from dynprop.training.tasks import TASKS, Batch, Criterion, Task, task_named
    from dynprop.training.training import train
    from dynprop.training.trial import Trial

__all__ = [
    "TASKS",
    "Batch",
    "Criterion",
    "GradientSignal",
    "LearningTime",
    "Setting",
    "SuccessCurve",
    "SuccessRate",
    "Sweep",
    "Task",
    "Threshold",
    "Trial",
    "confidence_sequence",
    "initial_gradient_by_lag",
    "learning_time",
    "proportion_interval",
    "run_sweep",
    "signal_to_noise",
    "success_curve",
    "task_named",
    "tasks",
    "train",
]

_HOMES = {
    "Batch": "dynprop.training.tasks",
    "Criterion": "dynprop.training.tasks",
    "GradientSignal": "dynprop.training.prediction",
    "LearningTime": "dynprop.training.success",
    "Setting": "dynprop.training.setting",
    "SuccessCurve": "dynprop.training.success",
    "SuccessRate": "dynprop.training.success",
    "Sweep": "dynprop.training.sweep",
    "TASKS": "dynprop.training.tasks",
    "Task": "dynprop.training.tasks",
    "Threshold": "dynprop.training.success",
    "Trial": "dynprop.training.trial",
    "confidence_sequence": "dynprop.training.success",
    "initial_gradient_by_lag": "dynprop.training.prediction",
    "learning_time": "dynprop.training.success",
    "proportion_interval": "dynprop.training.success",
    "run_sweep": "dynprop.training.engine",
    "signal_to_noise": "dynprop.training.prediction",
    "success_curve": "dynprop.training.success",
    "task_named": "dynprop.training.tasks",
    "train": "dynprop.training.training",
}

__getattr__, __dir__ = loaded_when_used(__name__, _HOMES, __all__, ("tasks",))
