"""Faults of kind task in single sequences, losses, criteria and oracles.

Statistical faults (a wrong distribution, dependence) are in ``faults.chance``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dynprop.arrays import NumericArray
from dynprop.laws.catalogue import Catalogue
from dynprop.training.tasks import TASKS
from dynprop.training.tasks.task import Batch, Criterion, Task

task: Catalogue = Catalogue("task", "numpy")
CATALOGUES = (task,)

Rng = np.random.Generator


def altered(name: str, change: Callable[[Batch, Rng], Batch]) -> Task:
    """Return a task whose batches are changed after they are drawn."""
    right = TASKS[name]

    def draw(length: int, count: int, rng: Rng) -> Batch:
        return change(right.draw(length, count, rng), rng)

    return replace(right, draw=draw)


# Marks and sequences


@task.fault("task/marks-anywhere", source="locuslab/TCN#30", fresh=True, caught_by={"sequences": "wrong"})
def marks_anywhere() -> Task:
    """Draws both marks anywhere where the uRNN variant has one in each half."""
    return replace(TASKS["adding-urnn"], draw=TASKS["adding-tcn"].draw)


@task.fault(
    "task/marks-from-one", source="pascanur/trainingRNNs", fresh=True, caught_by={"mark-frequencies": "wrong"}
)
def marks_from_one() -> Task:
    """Draws the first relevant symbol from [1, T/10], as the docstring says and the code does not."""

    def draw(length: int, count: int, rng: Rng) -> Batch:
        rows = np.arange(count)
        symbols = rng.integers(2, 6, (length, count))
        first = rng.integers(1, length // 10 + 1, count)
        second = rng.integers(5 * length // 10, 6 * length // 10, count)
        which = rng.integers(0, 2, (2, count))
        symbols[first, rows], symbols[second, rows] = which
        return Batch(np.eye(6)[symbols], 2 * which[0] + which[1], np.full(count, length - 1))

    return replace(TASKS["temporal-order-pascanu"], draw=draw)


@task.fault("task/last-position-missing", gross=False, fresh=True, caught_by={"mark-frequencies": "wrong"})
def last_position_missing() -> Task:
    """Never marks the last step of the second half: an exclusive end taken for an inclusive one."""

    def draw(length: int, count: int, rng: Rng) -> Batch:
        half = length // 2
        at = np.stack([rng.integers(0, half, count), rng.integers(half, max(half + 1, length - 1), count)])
        values, marks = rng.uniform(0.0, 1.0, (length, count)), np.zeros((length, count))
        marks[at, np.arange(count)] = 1.0
        target = (values * marks).sum(axis=0)[:, None]
        return Batch(np.stack([values, marks], axis=-1), target, np.full(count, length - 1))

    return replace(TASKS["adding-urnn"], draw=draw)


@task.fault("task/noise-after-the-end", fresh=True, caught_by={"sequences": "wrong"})
def noise_after_the_end() -> Task:
    """Fills the steps after the end of a sequence with noise."""

    def change(batch: Batch, rng: Rng) -> Batch:
        after = np.arange(len(batch.inputs))[:, None] > batch.ends
        noise = rng.standard_normal(batch.inputs.shape)
        return replace(batch, inputs=np.where(after[:, :, None], noise, batch.inputs))

    return altered("two-sequence", change)


@task.fault("task/generator-ignored", fresh=True, caught_by={"sequences": "wrong"})
def generator_ignored() -> Task:
    """Draws the same sequences whatever Generator it is given."""
    right = TASKS["parity"]
    return replace(right, draw=lambda length, count, rng: right.draw(length, count, np.random.default_rng(0)))


# Targets


@task.fault(
    "task/mean-for-sum", source="pascanur/trainingRNNs", fresh=True, caught_by={"target-from-inputs": "wrong"}
)
def mean_for_sum() -> Task:
    """Asks for the mean of the two marked values where the variant asks for their sum."""
    return altered("adding-urnn", lambda batch, rng: replace(batch, targets=batch.targets / 2.0))


@task.fault("task/classes-reversed", fresh=True, caught_by={"target-from-inputs": "wrong"})
def classes_reversed() -> Task:
    """Numbers the classes by the second symbol first."""
    order = np.array([0, 2, 1, 3])
    return altered("temporal-order-6a", lambda batch, rng: replace(batch, targets=order[batch.targets]))


@task.fault("task/target-in-the-last-input", fresh=True, caught_by={"no-leak": "wrong"})
def target_in_the_last_input() -> Task:
    """Writes the target into the value of the last step."""

    def change(batch: Batch, rng: Rng) -> Batch:
        inputs = batch.inputs.copy()
        inputs[-1, :, 0] = np.where(inputs[-1, :, 1] == 0.0, batch.targets[:, 0] / 2.0, inputs[-1, :, 0])
        return replace(batch, inputs=inputs)

    return altered("adding-tcn", change)


@task.fault("task/noise-leans-to-the-class", gross=False, fresh=True, caught_by={"no-leak": "wrong"})
def noise_leans_to_the_class() -> Task:
    """Adds a twentieth of the class to every step of the noise."""

    def change(batch: Batch, rng: Rng) -> Batch:
        inputs = batch.inputs.copy()
        inputs[1:, :, 0] += 0.05 * batch.targets[:, 0]
        return replace(batch, inputs=inputs)

    return altered("latch", change)


@task.fault("task/length-tells-the-class", gross=False, fresh=True, caught_by={"no-leak": "wrong"})
def length_tells_the_class() -> Task:
    """Ends sequences of one class later than those of the other."""

    def change(batch: Batch, rng: Rng) -> Batch:
        low, high = batch.ends.min(), batch.ends.max()
        ends = np.where(batch.targets[:, 0] > 0.5, high, low)
        inputs = batch.inputs.copy()
        inputs[np.arange(len(inputs))[:, None] > ends] = 0.0
        return Batch(inputs, batch.targets, ends)

    return altered("two-sequence", change)


@task.fault(
    "task/class-out-of-reach",
    source="google-research/long-range-arena#20",
    fresh=True,
    caught_by={"classes-reachable": "wrong"},
)
def class_out_of_reach() -> Task:
    """Never lets both symbols be the second one: one class of four does not occur."""

    def change(batch: Batch, rng: Rng) -> Batch:
        remaining = np.flatnonzero(batch.targets != 3)
        chosen = (
            remaining[rng.integers(0, len(remaining), len(batch.targets))] if len(remaining) else remaining
        )
        if not len(remaining):
            return batch
        return Batch(batch.inputs[:, chosen], batch.targets[chosen], batch.ends[chosen])

    return altered("temporal-order-pascanu", change)


# Losses, levels, criteria


class _Summed(Task):
    """A task whose loss is a sum over the outputs of each sequence."""

    def mean_loss(self, predictions: NumericArray, targets: NumericArray) -> float:
        """Return the mean over sequences of a sum over steps."""
        return super().mean_loss(predictions, targets) * len(targets)


class _Unequal(Task):
    """A task whose loss divides by one sequence too few."""

    def mean_loss(self, predictions: NumericArray, targets: NumericArray) -> float:
        """Return the sum over count - 1."""
        return super().mean_loss(predictions, targets) * len(targets) / max(1, len(targets) - 1)


@task.fault("task/loss-summed-over-steps", fresh=True, caught_by={"loss-average": "wrong"})
def loss_summed_over_steps() -> Task:
    """Sums the loss over the steps of a sequence where the chance level is a mean."""
    return _Summed(**TASKS["copy"].__dict__)


@task.fault("task/loss-over-one-too-few", fresh=True, caught_by={"loss-average": "wrong"})
def loss_over_one_too_few() -> Task:
    """Divides the loss of a batch by one sequence too few."""
    return _Unequal(**TASKS["adding-urnn"].__dict__)


@task.fault("task/chance-misquoted", fresh=True, caught_by={"chance-loss": "wrong"})
def chance_misquoted() -> Task:
    """States 0.1767 as the level of chance of the adding problem, as the IRNN paper does."""
    return replace(TASKS["adding-urnn"], chance=lambda length: 0.1767)


@task.fault("task/chance-of-nine-symbols", fresh=True, caught_by={"chance-loss": "wrong"})
def chance_of_nine_symbols() -> Task:
    """Takes the blank for a ninth symbol in the chance level of copy memory."""
    return replace(TASKS["copy"], chance=lambda length: 10.0 * math.log(9.0) / (length + 20))


@task.fault("task/criterion-met-by-a-constant", fresh=True, caught_by={"solvable": "wrong"})
def criterion_met_by_a_constant() -> Task:
    """Calls the level of chance a success."""
    return replace(TASKS["adding-tcn"], criterion=Criterion(400, "nothing", loss_below=1.05))


@task.fault("task/criterion-forgives", fresh=True, caught_by={"success-limit": "wrong"})
def criterion_forgives() -> Task:
    """Allows two sequences in five on the wrong side where the variant allows one in twenty."""
    return replace(TASKS["latch"], criterion=Criterion(400, "side", allowed=0.4))


@task.fault(
    "task/criterion-five-times-looser",
    source="pascanur/trainingRNNs",
    fresh=True,
    caught_by={"success-limit": "wrong"},
)
def criterion_five_times_looser() -> Task:
    """Takes an error for right up to 0.2 where the paper has 0.04: the squared error was compared."""
    return replace(TASKS["adding-hochreiter"], criterion=Criterion(2000, "beyond", tolerance=0.2))


class _Largest(Criterion):
    """A criterion that takes the largest logit as numpy finds it."""

    def mistakes(self, predictions: NumericArray, targets: NumericArray) -> NumericArray:
        """Compare classes: argmax of NaN is 0."""
        return np.asarray(predictions.argmax(axis=-1) != targets)


@task.fault("task/criterion-takes-nan-for-class-zero", fresh=True, caught_by={"success-limit": "wrong"})
def criterion_takes_nan_for_class_zero() -> Task:
    """Counts answers that are not numbers as class 0, and so as right where that is the class."""
    return replace(TASKS["temporal-order-pascanu"], criterion=_Largest(10_000, "class", allowed=0.01))


@task.fault("task/oracle-looks-up-the-answer", fresh=True, caught_by={"oracle-reads-inputs": "wrong"})
def oracle_looks_up_the_answer() -> Task:
    """Has an oracle that returns the targets that it is handed, so that anything seems solvable."""
    return replace(TASKS["adding-urnn"], solve=lambda batch: np.array(batch.targets, dtype=np.float64))


@task.fault("task/oracle-forgets", fresh=True, caught_by={"solvable": "wrong"})
def oracle_forgets() -> Task:
    """Has an oracle that reads the last step where the first one matters."""
    return replace(TASKS["latch"], solve=lambda batch: 10.0 * batch.inputs[-1])
