"""The recurrence h_t = a_t h_{t-1} + x_t; arrays are (batch, time, channel)."""

import numpy as np

CHUNK = 16


def leaky_scan(gates, inputs, initial):
    """Step by step, in the format of the inputs."""
    states = np.empty_like(inputs)
    h = np.zeros_like(inputs[:, 0]) if initial is None and inputs.shape[1] else initial
    for t in range(inputs.shape[1]):
        h = gates[:, t] * h + inputs[:, t]
        states[:, t] = h
    return states


def scan_in_chunks(gates, inputs, initial):
    """Chunk by chunk, each from the last state of the one before."""
    chunks, h = [np.zeros((inputs.shape[0], 0, inputs.shape[2]))], initial
    for start in range(0, inputs.shape[1], CHUNK):
        part = slice(start, start + CHUNK)
        chunks.append(leaky_scan(gates[:, part], inputs[:, part], h))
        h = chunks[-1][:, -1]
    return np.concatenate(chunks, axis=1)
