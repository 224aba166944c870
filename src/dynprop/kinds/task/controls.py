"""Controls of kind task: the tasks of `dynprop.training`, and two more as plain loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.laws.catalogue import Catalogue
from dynprop.training.tasks import TASKS
from dynprop.training.tasks.task import Batch, Task

task: Catalogue = Catalogue("task", "numpy")
CATALOGUES = (task,)

Rng = np.random.Generator


def _plain_adding(length: int, count: int, rng: Rng) -> Batch:
    inputs, targets = np.zeros((length, count, 2)), np.zeros((count, 1))
    half = length // 2
    for i in range(count):
        marked = [int(rng.integers(half)), half + int(rng.integers(length - half))]
        inputs[:, i, 0] = rng.random(length)
        inputs[marked, i, 1] = 1.0
        targets[i, 0] = inputs[marked[0], i, 0] + inputs[marked[1], i, 0]
    return Batch(inputs, targets, np.full(count, length - 1))


def _plain_oracle(batch: Batch) -> FloatArray:
    return np.asarray((batch.inputs[:, :, 0] * batch.inputs[:, :, 1]).sum(axis=0)[:, None])


def plain_adding() -> Task:
    """Adds as the uRNN variant does, drawn sequence by sequence."""
    return replace(TASKS["adding-urnn"], draw=_plain_adding, solve=_plain_oracle)


def _literal_product(length: int, count: int, rng: Rng) -> Batch:
    inputs = np.zeros((length + length // 10, count, 2))
    targets, ends = np.zeros((count, 1)), np.zeros(count, dtype=np.int64)
    for i in range(count):
        steps = length + int(rng.integers(length // 10 + 1))
        # In single precision; the target is that of the rounded values.
        inputs[:steps, i, 0] = rng.random(steps, dtype=np.float32)
        unmarked = list(range(steps))
        first = unmarked.pop(int(rng.integers(10)))
        second = unmarked[int(rng.integers(length // 2 - 1))]
        inputs[[first, second], i, 1] = 1.0
        inputs[[0, steps - 1], i, 1] = -1.0
        x = [1.0 if at == 0 else inputs[at, i, 0] for at in (first, second)]
        targets[i, 0], ends[i] = x[0] * x[1], steps - 1
    return Batch(inputs[: ends.max() + 1], targets, ends)


def literal_product() -> Task:
    """Multiplies step by step, each sequence alone, in a batch as long as its longest sequence."""
    return replace(TASKS["multiplication"], draw=_literal_product)


def judged_alike() -> Task:
    """Draws the sequences that success is judged on by a second function, which does the same."""
    return replace(TASKS["two-sequence"], examine=TASKS["two-sequence"].draw)


task.add_control("control/task-plain-adding", "Adds sequence by sequence.", plain_adding())
task.add_control(
    "control/task-literal-product",
    "Multiplies step by step as the paper has it, in single precision, batches as long as they must be.",
    literal_product(),
)
task.add_control("control/task-judged-alike", "Draws for judging as it does for training.", judged_alike())

for _name, _task in TASKS.items():
    if _name != "digits":
        task.add_control(f"control/task-{_name}", _task.summary[0].upper() + _task.summary[1:] + ".", _task)
