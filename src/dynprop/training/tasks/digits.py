"""Real handwritten digits, read pixel by pixel: the 8 × 8 digits of Alpaydin and Kaynak (UCI, 1998).

The images come with scikit-learn (1,797 of them, 16 grey levels); nothing is downloaded. Every fifth image is
held out, and success is judged on those alone. The chance level is the entropy of the classes of the training
images.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from dynprop.arrays import FloatArray, IntArray
from dynprop.errors import TargetError
from dynprop.training.tasks.task import Batch, Criterion, Task

__all__ = ["TASKS"]

PIXELS, CLASSES = 64, 10


@cache
def _images() -> tuple[FloatArray, IntArray]:
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise TargetError("the task digits needs scikit-learn: pip install 'dynprop[digits]'") from error
    pixels, labels = load_digits(return_X_y=True)
    return np.asarray(pixels, dtype=np.float64) / 16.0, np.asarray(labels, dtype=np.int64)


def _part(held_out: bool) -> tuple[FloatArray, IntArray]:
    pixels, labels = _images()
    mask = (np.arange(len(labels)) % 5 == 4) == held_out
    return pixels[mask], labels[mask]


def _draw(length: int, count: int, rng: np.random.Generator, held_out: bool = False) -> Batch:
    pixels, labels = _part(held_out)
    rows = rng.integers(0, len(labels), count)
    ends = np.full(count, length - 1, dtype=np.int64)
    return Batch(pixels[rows].T[:, :, None].copy(), labels[rows], ends)


def _examine(length: int, count: int, rng: np.random.Generator) -> Batch:
    return _draw(length, count, rng, held_out=True)


def _chance(length: int) -> float:
    shares = np.bincount(_part(False)[1], minlength=CLASSES) / len(_part(False)[1])
    return float(-(shares * np.log(shares)).sum())


def _nearest(batch: Batch) -> FloatArray:
    """Return the class of the nearest training image."""
    pixels, labels = _part(False)
    images = batch.inputs[:, :, 0].T
    distances = (images**2).sum(axis=1)[:, None] - 2.0 * images @ pixels.T + (pixels**2).sum(axis=1)
    return np.asarray(20.0 * np.eye(CLASSES)[labels[distances.argmin(axis=1)]])


TASKS = (
    Task(
        "digits",
        "a handwritten digit of 8 × 8 grey pixels, one pixel a step; say which digit",
        "Le, Jaitly and Hinton 2015, section 4.2, on the digits of Alpaydin and Kaynak 1998 (UCI)",
        1,
        CLASSES,
        "cross-entropy",
        PIXELS,
        Criterion(
            360,
            "class",
            allowed=0.1,
            published=False,
            text="at most 10 % of 360 draws from the held-out images wrong (ours)",
        ),
        _draw,
        _chance,
        "guessing one of 10 classes",
        _nearest,
        examine=_examine,
        only=PIXELS,
    ),
)
