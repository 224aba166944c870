r"""Arithmetic on two marked values: the adding problem in three variants, and its product.

==================  ==========  ==========================================  ====================  ============
variant             values      marks                                       target                chance
==================  ==========  ==========================================  ====================  ============
adding-hochreiter   U[-1, 1]    one of the first ten, one of the first      0.5 + (X₁ + X₂)/4     (2 - p)/48
                                T/2 - 1 that are still unmarked
adding-urnn         U[0, 1]     one in each half                            X₁ + X₂               1/6
adding-tcn          U[0, 1]     two different ones anywhere                 X₁ + X₂               1/6
multiplication      U[0, 1]     as adding-hochreiter                        X₁ · X₂               see below
==================  ==========  ==========================================  ====================  ============

Among the first T/2 - 1 unmarked pairs beside a marked one is the T/2-th of all: the last mark lies there at
most, index T//2 - 1 counted from 0, and T/2 steps remain to the end of the shortest sequence (the minimal lag
of table 10). In Hochreiter's variants the marker is -1 at the first and at the last pair. Where the first
pair is chosen, its marker stays -1 and its value counts as 0 (1 in a product). That has probability p = 1/10
+ (9/10)/(T//2 - 1). Chance of a product: E[Y²] - E[Y]² with E[Y²] = (1-p)/9 + p/3 and E[Y] = (1-p)/4 + p/2.

Training ended there when 2,000 sequences in a row met the tolerance and the average error was below 0.01. The
second follows here: errors below 0.04 have squares below 0.0016, and twelve in 2,000 that err by 1 add 0.006.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dynprop.arrays import FloatArray, IntArray
from dynprop.training.tasks.task import Batch, Criterion, Draw, Task

__all__ = ["ADDING_URNN", "TASKS"]

Pairs = Callable[[int, int, np.random.Generator], tuple[FloatArray, FloatArray, IntArray]]
FIRST = 10


def _values(values: FloatArray, at: IntArray) -> FloatArray:
    return np.asarray(np.take_along_axis(values, at[None], axis=0)[0])


def _hochreiter(low: float, neutral: float) -> Pairs:
    """Return a generator of pairs; ``neutral`` replaces the value of a marked first pair."""

    def pairs(length: int, count: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, IntArray]:
        steps = length + length // 10
        ends = rng.integers(length, steps + 1, count) - 1
        values = rng.uniform(low, 1.0, (steps, count))
        first = rng.integers(0, FIRST, count)
        # The k-th pair that is still unmarked is pair k before the first mark, and k + 1 from there on.
        second = rng.integers(0, length // 2 - 1, count)
        second += second >= first
        marks = np.zeros((steps, count))
        rows = np.arange(count)
        marks[first, rows] = marks[second, rows] = 1.0
        marks[0] = marks[ends, rows] = -1.0
        marked_values = [np.where(at == 0, neutral, _values(values, at)) for at in (first, second)]
        inputs = np.stack([values, marks], axis=-1)
        inputs[np.arange(steps)[:, None] > ends] = 0.0
        return inputs, np.stack(marked_values), ends

    return pairs


def _first_pair(length: int) -> float:
    """Return the probability that the first pair is one of the two."""
    return 1.0 / FIRST + (1.0 - 1.0 / FIRST) / (length // 2 - 1)


def _draw_adding(length: int, count: int, rng: np.random.Generator) -> Batch:
    inputs, marked_values, ends = _SIGNED(length, count, rng)
    return Batch(inputs, (0.5 + marked_values.sum(axis=0) / 4.0)[:, None], ends)


def _draw_product(length: int, count: int, rng: np.random.Generator) -> Batch:
    inputs, marked_values, ends = _POSITIVE(length, count, rng)
    return Batch(inputs, marked_values.prod(axis=0)[:, None], ends)


def _marked(batch: Batch) -> tuple[FloatArray, FloatArray]:
    """Return the sum and the product of the marked values, read from the inputs."""
    is_marked = batch.inputs[:, :, 1] == 1.0
    values = batch.inputs[:, :, 0]
    return np.where(is_marked, values, 0.0).sum(axis=0), np.where(is_marked, values, 1.0).prod(axis=0)


def _summed(length: int, count: int, rng: np.random.Generator, positions: IntArray) -> Batch:
    values = rng.uniform(0.0, 1.0, (length, count))
    marks = np.zeros((length, count))
    rows = np.arange(count)
    for at in positions:
        marks[at, rows] = 1.0
    target = (values * marks).sum(axis=0)[:, None]
    return Batch(np.stack([values, marks], axis=-1), target, np.full(count, length - 1, dtype=np.int64))


def _draw_urnn(length: int, count: int, rng: np.random.Generator) -> Batch:
    half = length // 2
    positions = np.stack([rng.integers(0, half, count), rng.integers(half, length, count)])
    return _summed(length, count, rng, positions)


def _draw_tcn(length: int, count: int, rng: np.random.Generator) -> Batch:
    first = rng.integers(0, length, count)
    second = rng.integers(0, length - 1, count)
    return _summed(length, count, rng, np.stack([first, second + (second >= first)]))


def _chance_product(length: int) -> float:
    p = _first_pair(length)
    return (1.0 - p) / 9.0 + p / 3.0 - ((1.0 - p) / 4.0 + p / 2.0) ** 2


_SIGNED, _POSITIVE = _hochreiter(-1.0, 0.0), _hochreiter(0.0, 1.0)
_TENTH = Criterion(
    400,
    "nothing",
    loss_below=0.1,
    published=False,
    text="mean squared error on 400 fresh sequences below a tenth of chance (ours)",
)


def _adding(name: str, where: str, source: str, draw: Draw) -> Task:
    return Task(
        name,
        f"two features, a value from U[0, 1] and a mark; two marks, {where}; say the sum of their values",
        source,
        2,
        1,
        "squared",
        2,
        _TENTH,
        draw,
        lambda length: 1.0 / 6.0,
        "predicting the mean",
        lambda batch: _marked(batch)[0][:, None],
    )


ADDING_URNN = _adding(
    "adding-urnn",
    "one in each half",
    "Arjovsky, Shah and Bengio 2016, section 4.2; code amarshah/complex_RNN",
    _draw_urnn,
)
TASKS = (
    Task(
        "adding-hochreiter",
        "values from U[-1, 1]; marks among the first ten and the first T/2; say 0.5 + (X1 + X2)/4",
        "Hochreiter and Schmidhuber 1997, section 5.4, task 4; lengths T to T + T/10",
        2,
        1,
        "squared",
        2 * FIRST,
        Criterion(
            2000,
            "beyond",
            tolerance=0.04,
            text="none of 2,000 fresh sequences errs by 0.04 (so that the mean square is below 0.01)",
        ),
        _draw_adding,
        lambda length: (2.0 - _first_pair(length)) / 48.0,
        "predicting the mean",
        lambda batch: (0.5 + _marked(batch)[0] / 4.0)[:, None],
        extra=lambda length: length // 10,
    ),
    ADDING_URNN,
    _adding(
        "adding-tcn",
        "anywhere",
        "Bai, Kolter and Koltun 2018, section 4.1; code locuslab/TCN: np.random.choice(seq_length, 2)",
        _draw_tcn,
    ),
    Task(
        "multiplication",
        "values from U[0, 1]; marks among the first ten and the first T/2; say X1 · X2",
        "Hochreiter and Schmidhuber 1997, section 5.5, task 5; lengths T to T + T/10",
        2,
        1,
        "squared",
        2 * FIRST,
        Criterion(
            2000,
            "beyond",
            tolerance=0.04,
            allowed=12 / 2000,
            text="fewer than 13 of 2,000 fresh sequences err by 0.04 (so that the mean square is below 0.01, "
            "unless one errs by more than 1)",
        ),
        _draw_product,
        _chance_product,
        "predicting the mean",
        lambda batch: _marked(batch)[1][:, None],
        extra=lambda length: length // 10,
    ),
)
