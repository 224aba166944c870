"""Scans to be judged in tests: right ones, wrong ones, and ones that take the interpreter with them."""

from __future__ import annotations

import os
import time

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.kinds.scan.target import Scan

Initial = FloatArray | None


def right(gates: FloatArray, inputs: FloatArray, initial: Initial = None) -> FloatArray:
    batch, steps, channels = inputs.shape
    states = np.empty_like(inputs)
    state = np.zeros((batch, channels), inputs.dtype) if initial is None else initial
    for t in range(steps):
        state = gates[:, t] * state + inputs[:, t]
        states[:, t] = state
    return states


def ignores_initial(gates: FloatArray, inputs: FloatArray, initial: Initial = None) -> FloatArray:
    return right(gates, inputs)


def rounded(values: FloatArray) -> FloatArray:
    return values.astype(np.float32).astype(values.dtype)


def single_inside(gates: FloatArray, inputs: FloatArray, initial: Initial = None) -> FloatArray:
    start = None if initial is None else rounded(initial)
    states, state = np.empty_like(inputs), np.zeros_like(inputs[:, :1])[:, 0] if start is None else start
    for t in range(inputs.shape[1]):
        state = rounded(rounded(gates[:, t]) * state + rounded(inputs[:, t]))
        states[:, t] = state
    return states


def raises_with_initial(gates: FloatArray, inputs: FloatArray, initial: Initial = None) -> FloatArray:
    if initial is not None:
        raise RuntimeError("the kernel is missing\nsecond line")
    return right(gates, inputs)


def refuses(gates: FloatArray, inputs: FloatArray, initial: Initial = None) -> FloatArray:
    if inputs.shape[1] < 2:
        raise ValueError("two steps, please")
    return right(gates, inputs, initial)


def hangs_with_initial(gates: FloatArray, inputs: FloatArray, initial: Initial = None) -> FloatArray:
    if initial is not None and inputs.shape[1] != 5:
        time.sleep(600.0)
    return right(gates, inputs, initial)


def always_hangs(gates: FloatArray, inputs: FloatArray, initial: Initial = None) -> FloatArray:
    while True:
        pass


def exits_at_7(gates: FloatArray, inputs: FloatArray, initial: Initial = None) -> FloatArray:
    if inputs.shape[1] == 7:
        os._exit(3)
    return right(gates, inputs, initial)


def dies_when_made_smaller(gates: FloatArray, inputs: FloatArray, initial: Initial = None) -> FloatArray:
    """Wrong on long cases; ends the interpreter on the short ones that a counterexample shrinks to."""
    if inputs.shape[1] == 1 and initial is not None:
        os._exit(4)
    return right(gates, inputs)


def prints(gates: FloatArray, inputs: FloatArray, initial: Initial = None) -> FloatArray:
    print("noise of the target")
    os.write(1, b"raw noise of the target\n")
    return right(gates, inputs, initial)


def takes_two(gates: FloatArray, inputs: FloatArray) -> FloatArray:
    return inputs


def returns_none(gates: FloatArray, inputs: FloatArray, initial: Initial = None) -> None:
    return None


class Kernels:
    """Targets may stand inside other objects."""

    right = staticmethod(right)


declared = Scan(right, framework="numpy", max_length=4)
number = 3
