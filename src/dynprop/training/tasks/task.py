r"""Contract of a task: sequences, targets, a loss, its chance level, a success criterion and a solver.

A task is a named variant: two generators that differ in where marks may lie are two tasks. Sequences are
(time, count, feature), time first. `length` is the length that the literature quotes for the variant; some
have more steps than that (`Task.steps`), and where sequences of one batch differ in length the rest is zero
and `Batch.ends` holds the index of the last step.

Losses are means over every output of every sequence, in nats where they are entropies:

    squared        mean (y - ŷ)²                       chance: the variance of the target
    logistic       mean ln(1 + e^(-y ŷ)), y = ±1       chance: ln 2 for even classes
    cross-entropy  mean -ln softmax(ŷ)_y               chance: the entropy of the classes

The chance level is the loss of the best prediction that looks at no input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dynprop.arrays import FloatArray, IntArray, NumericArray
from dynprop.errors import ArgumentError
from dynprop.training.whole import require_whole

__all__ = ["Batch", "Criterion", "Task", "sequence_losses"]

Loss = Literal["squared", "logistic", "cross-entropy"]


@dataclass(frozen=True)
class Batch:
    """Sequences and their targets.

    Attributes:
        inputs: (time, count, feature).
        targets: (count, output) for squared and logistic losses, logistic ones ±1; class numbers (count,) for
            cross-entropy, or (time, count) where every step is read.
        ends: index of the last step of each sequence, (count,).
    """

    inputs: FloatArray
    targets: NumericArray
    ends: IntArray


@dataclass(frozen=True)
class Criterion:
    """When a learner has succeeded, judged on fresh sequences.

    Attributes:
        count: number of fresh sequences judged.
        wrong: the test of an answer: "side" (the sign of the output), "class" (the largest output),
            "beyond" (some output errs by the tolerance), "probability" (some softmax probability errs
            by more than the tolerance from 0 or 1), "nothing". A NaN is wrong.
        tolerance: of "beyond" and "probability".
        allowed: the largest share of wrong answers.
        loss_below: besides, the mean loss must be below this share of the chance level.
        published: whether paper and numbers agree; else the criterion is this project's, as the text says.
        text: one line.
    """

    count: int
    wrong: Literal["side", "class", "beyond", "probability", "nothing"]
    tolerance: float = 0.0
    allowed: float = 0.0
    loss_below: float | None = None
    published: bool = True
    text: str = ""

    def mistakes(self, predictions: NumericArray, targets: NumericArray) -> NumericArray:
        """Return which answers are wrong, (count,) or (time, count).

        Args:
            predictions: outputs or logits, (count, output) or (time, count, class).
            targets: as in Batch.
        """
        if self.wrong == "nothing":
            return np.zeros(len(targets), dtype=np.bool_)
        # A diverged learner predicts infinities and NaNs: they are wrong answers, not warnings.
        with np.errstate(over="ignore", invalid="ignore"):
            if self.wrong == "class":
                # argmax returns the position of a NaN.
                undefined = np.isnan(predictions).any(axis=-1)
                return np.asarray(undefined | (predictions.argmax(axis=-1) != targets))
            if self.wrong == "side":
                # A comparison with NaN is false.
                return np.asarray(~(predictions[:, 0] * targets[:, 0] > 0.0))
            if self.wrong == "probability":
                shifted = np.exp(predictions - predictions.max(axis=-1, keepdims=True))
                predictions = shifted / shifted.sum(axis=-1, keepdims=True)
                targets = np.eye(predictions.shape[-1])[targets]
            return np.asarray(~(np.abs(predictions - targets).max(axis=-1) < self.tolerance))

    def allows(self, wrong: int, answers: int) -> bool:
        """Return whether the error rate is at most `allowed`."""
        return wrong <= self.allowed * answers


def sequence_losses(loss: str, predictions: NumericArray, targets: NumericArray) -> FloatArray:
    """Return the loss of each sequence, (count,): the mean over its outputs and over the steps that are read.

    Predictions that overflow or are NaN have the loss inf or NaN, without a warning: divergence is a result.

    Args:
        loss: "squared", "logistic" or "cross-entropy".
        predictions: (count, output), or (time, count, class) where every step is read.
        targets: as in Batch.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if loss == "squared":
            return np.asarray(((predictions - targets) ** 2).mean(axis=-1), dtype=np.float64)
        if loss == "logistic":
            return np.asarray(np.logaddexp(0.0, -targets * predictions).mean(axis=-1), dtype=np.float64)
        top = predictions.max(axis=-1, keepdims=True)
        normal = np.log(np.exp(predictions - top).sum(axis=-1)) + top[..., 0]
        target_logits = np.take_along_axis(predictions, np.asarray(targets)[..., None], axis=-1)[..., 0]
        losses = normal - target_logits
        return np.asarray(losses.mean(axis=0) if losses.ndim == 2 else losses, dtype=np.float64)


Draw = Callable[[int, int, np.random.Generator], Batch]


@dataclass(frozen=True)
class Task:
    """A named variant of a task, with its contract.

    Attributes:
        name: readable slug, such as "adding-urnn".
        summary: one sentence.
        source: paper and section, or the code that defines the variant.
        features: numbers per step.
        outputs: numbers, or classes, of an answer.
        loss: "squared", "logistic" or "cross-entropy".
        shortest: the least length at which the variant exists.
        criterion: when a learner has succeeded.
        draw: (length, count, rng) -> Batch, for training.
        chance: length -> the loss of the best prediction that looks at no input, in closed form.
        level: that prediction in words, such as "predicting the mean".
        solve: batch -> predictions of an oracle that reads inputs and ends only: it proves the task solvable.
        examine: as draw, for judging success; None where training sequences are fresh anyway.
        every: whether every step is read, not the last one alone.
        direct: whether the state itself is the prediction, without a read-out.
        extra: length -> steps beyond the length that the longest sequence has.
        only: the one length at which the task exists, or None.
    """

    name: str
    summary: str
    source: str
    features: int
    outputs: int
    loss: Loss
    shortest: int
    criterion: Criterion
    draw: Draw
    chance: Callable[[int], float]
    level: str
    solve: Callable[[Batch], FloatArray]
    examine: Draw | None = None
    every: bool = False
    direct: bool = False
    extra: Callable[[int], int] = lambda length: 0
    only: int | None = None

    def require_length(self, length: Any) -> int:
        """Return the length, if the variant exists at it.

        Raises:
            ArgumentError: marks or symbols do not fit into so few steps.
        """
        if isinstance(length, bool) or not isinstance(length, int | np.integer):
            raise ArgumentError("length", repr(length), "a whole number")
        if self.only is not None and length != self.only:
            raise ArgumentError("length", str(length), f"{self.only}: {self.name} has no other")
        if length < self.shortest:
            expected = f"at least {self.shortest}, or what {self.name} puts into a sequence does not fit"
            raise ArgumentError("length", str(length), expected)
        return int(length)

    def steps(self, length: int) -> int:
        """Return the number of steps of a batch at this length."""
        return length + self.extra(length)

    def sample(self, length: int, count: int, rng: np.random.Generator) -> Batch:
        """Draw independent sequences with their targets.

        Args:
            length: as quoted in the literature of this variant.
            count: number of sequences, at least 1.
            rng: the only source of randomness.

        Raises:
            ArgumentError: an impossible length, or no sequence asked for.
        """
        return self.draw(self.require_length(length), require_whole("count", count), rng)

    def chance_loss(self, length: int) -> float:
        """Return the loss of the best prediction that looks at no input.

        Raises:
            ArgumentError: an impossible length.
        """
        return self.chance(self.require_length(length))

    def mean_loss(self, predictions: NumericArray, targets: NumericArray) -> float:
        """Return the loss of a batch: the mean over all outputs, steps and sequences."""
        with np.errstate(over="ignore", invalid="ignore"):
            return float(sequence_losses(self.loss, predictions, targets).mean())

    def succeeds(self, predictions: NumericArray, targets: NumericArray, length: int) -> bool:
        """Return whether answers to fresh sequences meet the success criterion.

        Args:
            predictions: outputs or logits, as `solve` returns them.
            targets: as in Batch.
            length: of the sequences; it fixes the chance level.
        """
        mistakes = self.criterion.mistakes(predictions, targets)
        if not self.criterion.allows(int(mistakes.sum()), mistakes.size):
            return False
        limit = self.criterion.loss_below
        return limit is None or self.mean_loss(predictions, targets) < limit * self.chance_loss(length)
