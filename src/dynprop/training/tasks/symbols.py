r"""Tasks on symbols, one-hot: temporal order in three variants, and copy memory.

========================  ==========================================  =======  ==============================
variant                   relevant symbols at                         classes  sequence
========================  ==========================================  =======  ==============================
temporal-order-6a         10 to 20, 50 to 60, from one                4        start, distractors, trigger; T
                                                                               to T + T/10 steps
temporal-order-6b         10 to 20, 33 to 43, 66 to 76, from one      8        the same
temporal-order-pascanu    [T/10, 2T/10), [5T/10, 6T/10), from zero    4        T steps, 4 distractors
========================  ==========================================  =======  ==============================

The first two (Hochreiter and Schmidhuber 1997, section 5.6) are given for T = 100, ends included; at other T
they are the same hundredths of it. Their positions count from one, so that the last relevant symbol leaves 40
and 24 steps to the trigger of the shortest sequence (the minimal lags of table 10): an index is a position
less one. The third are indices in the released code of Pascanu, Mikolov and Bengio 2013 (its docstring says
otherwise). Fractions are rounded down. From length 20 on no relevant symbol meets the start, the trigger or
another one.

Training ended in the first two when 2,000 sequences in a row had no output that errs by 0.3 and the average
error was below 0.1. The second follows here: errors below 0.3 have squares below 0.09.

Copy memory (Arjovsky, Shah and Bengio 2016): ten symbols of eight, T - 1 blanks, a marker, ten blanks; the
answer is T + 10 blanks and then the ten symbols. Remembering nothing costs 10 ln 8/(T + 20) a step.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from dynprop.arrays import FloatArray, NumericArray
from dynprop.training.tasks.task import Batch, Criterion, Draw, Task

__all__ = ["TASKS"]

Solve = Callable[[Batch], FloatArray]
START, TRIGGER, DISTRACTORS, FIRST_RELEVANT = 0, 1, (2, 6), 6
SYMBOLS, RECALLED, BLANK, MARKER = 8, 10, 8, 9
# Percent of T, ends included, counted from one.
ORDER_6A = ((10, 20), (50, 60))
ORDER_6B = ((10, 20), (33, 43), (66, 76))


def _one_hot(symbols: NumericArray, features: int) -> FloatArray:
    return np.asarray(np.eye(features)[symbols])


def _order(ranges: tuple[tuple[int, int], ...]) -> Draw:
    def draw(length: int, count: int, rng: np.random.Generator) -> Batch:
        steps, rows = length + length // 10, np.arange(count)
        ends = rng.integers(length, steps + 1, count) - 1
        symbols = rng.integers(*DISTRACTORS, (steps, count))
        classes = np.zeros(count, dtype=np.int64)
        for low, high in ranges:
            at = rng.integers(low * length // 100, high * length // 100 + 1, count) - 1
            bits = rng.integers(0, 2, count)
            symbols[at, rows] = FIRST_RELEVANT + bits
            classes = 2 * classes + bits
        symbols[0], symbols[ends, rows] = START, TRIGGER
        inputs = _one_hot(symbols, 8)
        inputs[np.arange(steps)[:, None] > ends] = 0.0
        return Batch(inputs, classes, ends)

    return draw


def _draw_released(length: int, count: int, rng: np.random.Generator) -> Batch:
    rows = np.arange(count)
    symbols = rng.integers(2, 6, (length, count))
    first = rng.integers(length // 10, 2 * length // 10, count)
    second = rng.integers(5 * length // 10, 6 * length // 10, count)
    bits = rng.integers(0, 2, (2, count))
    symbols[first, rows], symbols[second, rows] = bits
    ends = np.full(count, length - 1, dtype=np.int64)
    return Batch(_one_hot(symbols, 6), 2 * bits[0] + bits[1], ends)


def _read_order(first: int, marks: int) -> Solve:
    """Return an oracle: the relevant symbols in the order of their appearance, as bits of a class."""

    def solve(batch: Batch) -> FloatArray:
        relevant = batch.inputs[:, :, first : first + 2]
        is_relevant = relevant.any(axis=-1)
        rank = is_relevant.cumsum(axis=0)
        classes = np.zeros(is_relevant.shape[1], dtype=np.int64)
        for mark in range(1, marks + 1):
            at = (is_relevant & (rank == mark)).argmax(axis=0)
            classes = 2 * classes + relevant[at, np.arange(is_relevant.shape[1]), 1].astype(np.int64)
        return 20.0 * _one_hot(classes, 2**marks)

    return solve


def _hochreiter(name: str, ranges: tuple[tuple[int, int], ...]) -> Task:
    marks = len(ranges)
    return Task(
        name,
        f"{marks} relevant symbols, each X or Y, among distractors; say in which order they came",
        f"Hochreiter and Schmidhuber 1997, section 5.6, task {name[-2:]}; softmax in place of sigmoids",
        8,
        2**marks,
        "cross-entropy",
        20,
        Criterion(
            2000,
            "probability",
            tolerance=0.3,
            text="no output of 2,000 fresh sequences errs by 0.3 (so that the mean square is below 0.1)",
        ),
        _order(ranges),
        lambda length: marks * math.log(2.0),
        f"guessing one of {2**marks} classes",
        _read_order(FIRST_RELEVANT, marks),
        extra=lambda length: length // 10,
    )


def _draw_copy(length: int, count: int, rng: np.random.Generator) -> Batch:
    steps = length + 2 * RECALLED
    content = rng.integers(0, SYMBOLS, (RECALLED, count))
    symbols = np.full((steps, count), BLANK)
    symbols[:RECALLED] = content
    symbols[RECALLED + length - 1] = MARKER
    targets = np.full((steps, count), BLANK)
    targets[-RECALLED:] = content
    return Batch(_one_hot(symbols, 10), targets, np.full(count, steps - 1, dtype=np.int64))


def _recall(batch: Batch) -> FloatArray:
    recalled = np.full(batch.inputs.shape[:2], BLANK)
    recalled[-RECALLED:] = batch.inputs[:RECALLED].argmax(axis=-1)
    return 20.0 * _one_hot(recalled, SYMBOLS + 1)


TASKS = (
    _hochreiter("temporal-order-6a", ORDER_6A),
    _hochreiter("temporal-order-6b", ORDER_6B),
    Task(
        "temporal-order-pascanu",
        "two relevant symbols, each A or B, among four distractors; say in which order they came",
        "Pascanu, Mikolov and Bengio 2013, section 4.1; positions of the code pascanur/trainingRNNs",
        6,
        4,
        "cross-entropy",
        10,
        Criterion(
            10_000,
            "class",
            allowed=0.01,
            text="at most 1 % of 10,000 fresh sequences wrong",
        ),
        _draw_released,
        lambda length: math.log(4.0),
        "guessing one of 4 classes",
        _read_order(0, 2),
    ),
    Task(
        "copy",
        "ten symbols of eight, a delay of T, a marker; then say the ten symbols",
        "Arjovsky, Shah and Bengio 2016, section 4.1; Hochreiter and Schmidhuber 1997",
        10,
        SYMBOLS + 1,
        "cross-entropy",
        1,
        Criterion(
            100,
            "nothing",
            loss_below=0.05,
            published=False,
            text="mean cross-entropy on 100 fresh sequences below a twentieth of chance (ours)",
        ),
        _draw_copy,
        lambda length: RECALLED * math.log(SYMBOLS) / (length + 2 * RECALLED),
        "remembering nothing",
        _recall,
        every=True,
        extra=lambda length: 2 * RECALLED,
    ),
)
