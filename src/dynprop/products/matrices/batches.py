"""Batch means and the block length of a run over a sequence of unknown length, in bounded memory."""

from __future__ import annotations

import numpy as np

from dynprop.arrays import FloatArray

__all__ = ["BatchSums", "BlockLength"]

_BATCHES = 64
_FEWEST = 8
_LONGEST = 32
_LENGTHS = np.arange(1, _LONGEST + 1)
# Cost of an orthonormalisation in units of one step within a block (n = 64: 60 and 30 microseconds), and
# rates at which the estimated acceptance probabilities follow acceptances and decay towards 1.
_FACTORISATION, _LEARN, _FORGET = 2.0, 0.1, 0.0005


class BatchSums:
    """Sums over contiguous batches; when there are 128, neighbours are merged."""

    def __init__(self) -> None:
        """Start without batches."""
        self.sums: list[FloatArray] = []
        self.lengths: list[int] = []
        self._full = 1

    def add(self, sums: FloatArray, length: int) -> None:
        """Add the sums over the next steps of the sequence."""
        if self.lengths and self.lengths[-1] < self._full:
            self.sums[-1] = self.sums[-1] + sums
            self.lengths[-1] += length
        else:
            self.sums.append(sums)
            self.lengths.append(length)
        if len(self.lengths) == 2 * _BATCHES and self.lengths[-1] >= self._full:
            self.sums = [a + b for a, b in zip(self.sums[::2], self.sums[1::2], strict=True)]
            self.lengths = [a + b for a, b in zip(self.lengths[::2], self.lengths[1::2], strict=True)]
            self._full = min(self.lengths)

    def standard_error(self) -> FloatArray:
        """Return the standard error of the mean per step; nan with fewer than 8 batches.

        A batch of b steps has variance b s^2 where batches are independent, so s^2 is estimated by the
        mean of (sum - b mean)^2 / b; correlation within a batch is counted, between batches it is not.
        """
        sums, lengths = np.array(self.sums), np.array(self.lengths, dtype=np.float64)[:, None]
        if len(sums) < _FEWEST:
            return np.full(sums.shape[1], np.nan)
        with np.errstate(invalid="ignore"):
            mean = sums.sum(axis=0) / lengths.sum()
            rate = ((sums - lengths * mean) ** 2 / lengths).sum(axis=0) / (len(sums) - 1)
        return np.asarray(np.sqrt(rate / lengths.sum()))


class BlockLength:
    """The block length of least expected work per step, from estimated acceptance probabilities.

    The probability decreases with the length. It decays towards 1 over time, so that longer blocks are
    tried again.

    Attributes:
        best: the length to use next, 1 to 32.
    """

    def __init__(self) -> None:
        """Start with blocks of 1 and every acceptance probability 1."""
        self.best: int = 1
        self._chances = np.ones(_LONGEST)
        self._streak = 0

    def learn(self, length: int, room: float) -> None:
        """Update with one block; acceptances are counted in groups of four.

        Args:
            length: length of the block.
            room: the allowed error bound divided by the block's, at least 1; 0 where it was refused.
        """
        self._streak += 1
        accepted = room >= 1.0
        if accepted and self._streak < 4:
            return
        weight = 1.0 - (1.0 - _LEARN) ** (self._streak if accepted else 1)
        chances = self._chances
        # Where bounds are far below the allowed ones, refusals are forgotten faster.
        forget = _FORGET * min(200.0, max(1.0, room / 100.0))
        chances += min(0.5, self._streak * forget) * (1.0 - chances)
        chances[length - 1] += weight * (float(accepted) - chances[length - 1])
        if accepted:
            np.maximum(chances[:length], chances[length - 1], out=chances[:length])
        else:
            np.minimum(chances[length - 1 :], chances[length - 1], out=chances[length - 1 :])
        self._streak = 0
        longest = min(_LONGEST, 2 * length)
        refused = 1.0 - chances[:longest]
        work = (_FACTORISATION * (1.0 + 2.0 * refused) + _LENGTHS[:longest] * (1.0 + refused)) / _LENGTHS[
            :longest
        ]
        self.best = 1 + int(np.argmin(work))
