"""Statistical faults of kind task: wrong frequencies, wrong distributions, and dependence.

Every single sequence of these tasks is valid and has the correct target.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from dynprop.kinds.task.faults.tasks import Rng, altered
from dynprop.laws.catalogue import Catalogue
from dynprop.training.tasks import TASKS
from dynprop.training.tasks.task import Batch, Task

task: Catalogue = Catalogue("task", "numpy")
CATALOGUES = (task,)


def _uniform_pair(length: int, count: int, rng: Rng, at: np.ndarray, values: np.ndarray) -> Batch:
    marks = np.zeros((length, count))
    marks[at, np.arange(count)] = 1.0
    target = (values * marks).sum(axis=0)[:, None]
    return Batch(np.stack([values, marks], axis=-1), target, np.full(count, length - 1))


# Positions


@task.fault("task/second-mark-too-early", gross=False, fresh=True, caught_by={"mark-frequencies": "wrong"})
def second_mark_too_early() -> Task:
    """Draws the second mark from the first T/2 - 1 pairs, not from those that are still unmarked."""
    right = TASKS["adding-hochreiter"]

    def draw(length: int, count: int, rng: Rng) -> Batch:
        batch = right.draw(length, count, rng)
        while True:
            late = np.flatnonzero(batch.inputs[length // 2 - 1, :, 1] == 1.0)
            if not len(late):
                return batch
            again = right.draw(length, len(late), rng)
            batch.inputs[:, late], batch.targets[late], batch.ends[late] = (
                again.inputs,
                again.targets,
                again.ends,
            )

    return replace(right, draw=draw)


@task.fault("task/positions-from-zero", fresh=True, caught_by={"sequences": "wrong"})
def positions_from_zero() -> Task:
    """Takes the positions of the paper, which count from one, for indices: lags are one step too short."""

    def draw(length: int, count: int, rng: Rng) -> Batch:
        batch = TASKS["temporal-order-6a"].draw(length, count, rng)
        inputs = batch.inputs.copy()
        rows = np.arange(count)
        for t in np.nonzero(inputs[:, :, 6:].any(axis=-1).T)[1].reshape(-1, 2).T:
            current, following = inputs[t, rows], inputs[t + 1, rows]
            inputs[t, rows], inputs[t + 1, rows] = following, current
        return replace(batch, inputs=inputs)

    return replace(TASKS["temporal-order-6a"], draw=draw)


@task.fault("task/positions-in-eight-bits", fresh=True, caught_by={"sequences": "wrong"})
def positions_in_eight_bits() -> Task:
    """Keeps positions in eight bits: marks of long sequences come back at the wrong end."""

    def draw(length: int, count: int, rng: Rng) -> Batch:
        half = length // 2
        at = np.stack([rng.integers(0, half, count), rng.integers(half, length, count)]).astype(np.int8)
        return _uniform_pair(length, count, rng, at, rng.uniform(0.0, 1.0, (length, count)))

    return replace(TASKS["adding-urnn"], draw=draw)


@task.fault("task/marks-tied", fresh=True, caught_by={"mark-frequencies": "wrong"})
def marks_tied() -> Task:
    """Sets the second mark half a length after the first: each is where it may be, as often as it should."""

    def draw(length: int, count: int, rng: Rng) -> Batch:
        half = length // 2
        first = rng.integers(0, half, count)
        last = (length % 2 == 1) & (rng.random(count) < 1.0 / (length - half))
        at = np.stack([first, np.where(last, length - 1, first + half)])
        return _uniform_pair(length, count, rng, at, rng.uniform(0.0, 1.0, (length, count)))

    return replace(TASKS["adding-urnn"], draw=draw)


@task.fault("task/never-the-longest", fresh=True, caught_by={"ends-uniform": "wrong"})
def never_the_longest() -> Task:
    """Never draws the largest length: an exclusive end taken for an inclusive one."""

    def change(batch: Batch, rng: Rng) -> Batch:
        ends = np.minimum(batch.ends, max(len(batch.inputs) - 2, int(batch.ends.min())))
        inputs = batch.inputs.copy()
        inputs[np.arange(len(inputs))[:, None] > ends] = 0.0
        return Batch(inputs, batch.targets, ends)

    return altered("two-sequence", change)


# Distributions


@task.fault("task/classes-uneven", gross=False, fresh=True, caught_by={"classes-reachable": "wrong"})
def classes_uneven() -> Task:
    """Draws one class with probability 0.55."""

    def draw(length: int, count: int, rng: Rng) -> Batch:
        side = np.where(rng.random(count) < 0.55, 1.0, -1.0)
        inputs = 0.2 * rng.standard_normal((length, count, 1))
        inputs[0, :, 0] = side
        return Batch(inputs, side[:, None].copy(), np.full(count, length - 1))

    return replace(TASKS["latch"], draw=draw)


@task.fault(
    "task/variance-for-deviation",
    source="pascanur/trainingRNNs",
    fresh=True,
    caught_by={"input-distribution": "wrong"},
)
def variance_for_deviation() -> Task:
    """Draws noise of deviation 0.2 where its variance is 0.2."""

    def change(batch: Batch, rng: Rng) -> Batch:
        inputs = batch.inputs.copy()
        inputs[3:] *= 0.2 / math.sqrt(0.2)
        return replace(batch, inputs=inputs)

    return altered("two-sequence", change)


@task.fault("task/values-averaged", fresh=True, caught_by={"input-distribution": "wrong"})
def values_averaged() -> Task:
    """Draws each value as the mean of two uniform numbers."""

    def draw(length: int, count: int, rng: Rng) -> Batch:
        half = length // 2
        at = np.stack([rng.integers(0, half, count), rng.integers(half, length, count)])
        return _uniform_pair(length, count, rng, at, rng.uniform(0.0, 1.0, (2, length, count)).mean(axis=0))

    return replace(TASKS["adding-urnn"], draw=draw)


@task.fault("task/marked-values-in-order", gross=False, fresh=True, caught_by={"input-distribution": "wrong"})
def marked_values_in_order() -> Task:
    """Sorts the two marked values: their sum and their common law are right, but neither is uniform."""

    def change(batch: Batch, rng: Rng) -> Batch:
        inputs = batch.inputs.copy()
        at = np.nonzero(inputs[:, :, 1].T == 1.0)[1].reshape(-1, 2).T
        rows = np.arange(inputs.shape[1])
        inputs[at, rows, 0] = np.sort(inputs[at, rows, 0], axis=0)
        return replace(batch, inputs=inputs)

    return altered("adding-urnn", change)


@task.fault("task/half-of-the-symbols", fresh=True, caught_by={"symbol-frequencies": "wrong"})
def half_of_the_symbols() -> Task:
    """Draws four of the eight symbols of copy memory, which halves what has to be remembered."""

    def change(batch: Batch, rng: Rng) -> Batch:
        inputs, targets = batch.inputs.copy(), batch.targets.copy()
        targets[-10:] = inputs[:10].argmax(axis=-1) % 4
        inputs[:10] = np.eye(10)[targets[-10:]]
        return Batch(inputs, targets, batch.ends)

    return altered("copy", change)


@task.fault("task/three-of-four-distractors", fresh=True, caught_by={"symbol-frequencies": "wrong"})
def three_of_four_distractors() -> Task:
    """Draws distractors up to an exclusive end that was meant to be inclusive."""

    def change(batch: Batch, rng: Rng) -> Batch:
        inputs = batch.inputs.copy()
        inputs[:, :, 2] += inputs[:, :, 5]
        inputs[:, :, 5] = 0.0
        return replace(batch, inputs=inputs)

    return altered("temporal-order-6b", change)


# Dependence


@task.fault("task/one-noise-for-all", fresh=True, caught_by={"independent-sequences": "wrong"})
def one_noise_for_all() -> Task:
    """Broadcasts one sequence of noise over the whole batch."""

    def change(batch: Batch, rng: Rng) -> Batch:
        inputs = batch.inputs.copy()
        inputs[1:] = inputs[1:, :1]
        return replace(batch, inputs=inputs)

    return altered("latch", change)


@task.fault("task/sequences-in-pairs", fresh=True, caught_by={"independent-sequences": "wrong"})
def sequences_in_pairs() -> Task:
    """Holds every sequence twice: half as many are fresh."""

    def change(batch: Batch, rng: Rng) -> Batch:
        twice = np.arange(len(batch.ends)) // 2
        return Batch(batch.inputs[:, twice], batch.targets[twice], batch.ends[twice])

    return altered("adding-urnn", change)


@task.fault("task/classes-by-turns", fresh=True, caught_by={"independent-sequences": "wrong"})
def classes_by_turns() -> Task:
    """Takes the classes by turns, so that a batch is balanced and the next target is known."""

    def draw(length: int, count: int, rng: Rng) -> Batch:
        side = 2.0 * ((np.arange(count) + rng.integers(0, 2)) % 2) - 1.0
        inputs = 0.2 * rng.standard_normal((length, count, 1))
        inputs[0, :, 0] = side
        return Batch(inputs, side[:, None].copy(), np.full(count, length - 1))

    return replace(TASKS["latch"], draw=draw)


@task.fault("task/louder-for-one-class", fresh=True, caught_by={"no-leak": "wrong"})
def louder_for_one_class() -> Task:
    """Draws louder noise for one class, so softer for the other that the variance is right."""

    def change(batch: Batch, rng: Rng) -> Batch:
        inputs = batch.inputs.copy()
        inputs[1:, :, 0] *= np.where(batch.targets[:, 0] > 0.0, math.sqrt(1.5), math.sqrt(0.5))
        return replace(batch, inputs=inputs)

    return altered("latch", change)


@task.fault("task/judged-on-easier-sequences", fresh=True, caught_by={"input-distribution": "wrong"})
def judged_on_easier_sequences() -> Task:
    """Trains on noise and is judged without: success is that of another task."""

    def examine(length: int, count: int, rng: Rng) -> Batch:
        batch = TASKS["latch"].draw(length, count, rng)
        inputs = batch.inputs.copy()
        inputs[1:] = 0.0
        return replace(batch, inputs=inputs)

    return replace(TASKS["latch"], examine=examine)
