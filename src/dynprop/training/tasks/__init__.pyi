__all__: list[str]

from .catalogue import TASKS as TASKS
from .catalogue import task_named as task_named
from .task import Batch as Batch
from .task import Criterion as Criterion
from .task import Task as Task
