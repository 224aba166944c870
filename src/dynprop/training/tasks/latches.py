r"""Latching tasks: remember the class given by the first steps during noise.

Bengio, Simard and Frasconi (1994), section II: the class of a sequence depends on its first L steps only; the
other steps are Gaussian noise. Guessing recurrent weights at random solves these tasks (Schmidhuber,
Hochreiter and Bengio 2001, "Guessing can outperform many long time lag algorithms"), so that failure of
gradient descent is no property of the task.
"""

from __future__ import annotations

import math

import numpy as np

from dynprop.arrays import FloatArray, IntArray
from dynprop.training.tasks.task import Batch, Criterion, Task

__all__ = ["TASKS"]

BENGIO = "Bengio, Simard and Frasconi 1994, IEEE Trans. Neural Networks 5(2), section II"
LEARNED = 3
PREFIX = 3


def _ends(steps: int, count: int) -> IntArray:
    return np.full(count, steps - 1, dtype=np.int64)


def _sides(count: int, rng: np.random.Generator) -> FloatArray:
    return np.asarray(2.0 * rng.integers(0, 2, count) - 1.0, dtype=np.float64)


def _draw_latch(length: int, count: int, rng: np.random.Generator) -> Batch:
    side = _sides(count, rng)
    inputs = 0.2 * rng.standard_normal((length, count, 1))
    inputs[0, :, 0] = side
    return Batch(inputs, side[:, None].copy(), _ends(length, count))


def _unit_task(name: str, variance: float, source: str) -> Task:
    sd = math.sqrt(variance)

    def draw(length: int, count: int, rng: np.random.Generator) -> Batch:
        side = _sides(count, rng)
        inputs = np.zeros((length, count, 1 + 2 * LEARNED))
        inputs[LEARNED:, :, 0] = sd * rng.standard_normal((length - LEARNED, count))
        channel = np.where(side > 0, 1, 1 + LEARNED)
        for t in range(LEARNED):
            inputs[t, np.arange(count), channel + t] = 1.0
        return Batch(inputs, 0.8 * side[:, None], _ends(length, count))

    def solve(batch: Batch) -> FloatArray:
        return np.where(batch.inputs[0, :, 1] > 0.0, 0.8, -0.8)[:, None]

    return Task(
        name,
        f"one tanh unit, {LEARNED} trained inputs per class, then noise of variance {variance:g}; "
        "the state at the end is to be 0.8 or -0.8",
        source,
        1 + 2 * LEARNED,
        1,
        "squared",
        LEARNED + 1,
        Criterion(
            200,
            "side",
            allowed=0.01,
            published=False,
            text="at least 99 % of 200 fresh sequences end on the right side (ours)",
        ),
        draw,
        lambda length: 0.64,
        "predicting the mean",
        solve,
        direct=True,
    )


def _draw_two_sequence(length: int, count: int, rng: np.random.Generator) -> Batch:
    steps = length + length // 10
    ends = rng.integers(length, steps + 1, count) - 1
    side = _sides(count, rng)
    inputs = math.sqrt(0.2) * rng.standard_normal((steps, count, 1))
    inputs[:PREFIX, :, 0] = side
    inputs[np.arange(steps)[:, None] > ends] = 0.0
    return Batch(inputs, 0.5 * (side[:, None] + 1.0), ends)


def _draw_parity(length: int, count: int, rng: np.random.Generator) -> Batch:
    bits = 2.0 * rng.integers(0, 2, (length, count)) - 1.0
    inputs = bits + rng.uniform(-0.2, 0.2, (length, count))
    # Odd numbers of ones are class +1.
    odd = (bits > 0).sum(axis=0) % 2
    return Batch(inputs[:, :, None], (2.0 * odd - 1.0)[:, None], _ends(length, count))


TASKS = (
    Task(
        "latch",
        "the first input is +1 or -1, then noise of standard deviation 0.2; say at the end which it was",
        f"{BENGIO}; network form, logistic read-out",
        1,
        1,
        "logistic",
        2,
        Criterion(
            400,
            "side",
            allowed=0.05,
            published=False,
            text="at least 95 % of 400 fresh sequences on the right side (ours)",
        ),
        _draw_latch,
        lambda length: math.log(2.0),
        "guessing one of two classes",
        lambda batch: 10.0 * batch.inputs[0],
    ),
    _unit_task("latch-unit", 0.2, f"{BENGIO}; noise variance as quoted by the guessing papers"),
    _unit_task("latch-unit-quiet", 0.04, f"{BENGIO}; noise of standard deviation 0.2"),
    Task(
        "two-sequence",
        f"the first {PREFIX} inputs are all +1 or all -1, then noise of variance 0.2; 1 or 0 at the end",
        "Hochreiter and Schmidhuber 1997, section 5.3, task 3a; lengths T to T + T/10",
        1,
        1,
        "squared",
        PREFIX + 1,
        Criterion(256, "beyond", tolerance=0.2, text="none of 256 fresh sequences errs by 0.2 (ST1)"),
        _draw_two_sequence,
        lambda length: 0.25,
        "predicting the mean",
        lambda batch: 0.5 * (batch.inputs[0] + 1.0),
        extra=lambda length: length // 10,
    ),
    Task(
        "parity",
        "inputs +1 or -1 with noise from U[-0.2, 0.2]; is the number of +1 odd",
        "Bengio, Simard and Frasconi 1994, section V; Schmidhuber, Hochreiter and Bengio 2001",
        1,
        1,
        "logistic",
        2,
        Criterion(256, "side", text="none of 256 fresh sequences on the wrong side (zero final error)"),
        _draw_parity,
        lambda length: math.log(2.0),
        "guessing one of two classes",
        lambda batch: 10.0 * (2.0 * ((batch.inputs > 0).sum(axis=0) % 2) - 1.0),
    ),
)
