__all__: list[str]

from . import tasks as tasks
from .analysis.prediction import GradientSignal as GradientSignal
from .analysis.prediction import initial_gradient_by_lag as initial_gradient_by_lag
from .analysis.prediction import signal_to_noise as signal_to_noise
from .analysis.success import LearningTime as LearningTime
from .analysis.success import SuccessCurve as SuccessCurve
from .analysis.success import SuccessRate as SuccessRate
from .analysis.success import Threshold as Threshold
from .analysis.success import confidence_sequence as confidence_sequence
from .analysis.success import learning_time as learning_time
from .analysis.success import proportion_interval as proportion_interval
from .analysis.success import success_curve as success_curve
from .sweeps.engine import run_sweep as run_sweep
from .sweeps.sweep import Sweep as Sweep
from .tasks import TASKS as TASKS
from .tasks import Batch as Batch
from .tasks import Criterion as Criterion
from .tasks import Task as Task
from .tasks import task_named as task_named
from .trials.setting import Setting as Setting
from .trials.training import train as train
from .trials.trial import Trial as Trial
