"""The interface of a task under test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from dynprop.arrays import FloatArray, IntArray, NumericArray
from dynprop.contracts.domain import Domain

__all__ = ["Sequences", "TaskSubject"]


@dataclass(frozen=True)
class Sequences:
    """A batch of sequences with targets.

    Attributes:
        inputs: (time, count, feature).
        targets: (count, output), (count,) or (time, count).
        ends: index of the last step of each sequence.
        batch: the object that the task returned, for its solver.
    """

    inputs: FloatArray
    targets: NumericArray
    ends: IntArray
    batch: Any


class TaskSubject(Protocol):
    """A task: a generator of sequences with targets, their loss, chance level, criterion and oracle."""

    @property
    def domain(self) -> Domain:
        """What the target promises."""
        ...

    @property
    def variant(self) -> str:
        """The name of its variant."""
        ...

    @property
    def loss(self) -> str:
        """The name of its loss: squared, logistic or cross-entropy."""
        ...

    @property
    def shortest(self) -> int:
        """The smallest possible length."""
        ...

    @property
    def longest(self) -> int:
        """The largest possible length."""
        ...

    @property
    def draws_for_judging(self) -> bool:
        """Whether a separate generator draws the sequences for judging success."""
        ...

    @property
    def judged_count(self) -> int | None:
        """Number of fresh sequences for judging success; None if unspecified."""
        ...

    def sample(self, length: int, count: int, seed: int, *, judging: bool = False) -> Sequences:
        """Draw sequences from a fresh Generator with this seed, for training or for judging."""
        ...

    def with_targets(self, sequences: Sequences, targets: NumericArray) -> Sequences | None:
        """Return the sequences with other targets in their batch; None if they cannot be set."""
        ...

    def chance_loss(self, length: int) -> float:
        """Return the stated loss of the best prediction that ignores the inputs."""
        ...

    def mean_loss(self, predictions: NumericArray, targets: NumericArray) -> float:
        """Return the loss of a batch."""
        ...

    def succeeds(self, predictions: NumericArray, targets: NumericArray, length: int) -> bool:
        """Whether the criterion accepts predictions."""
        ...

    def solve(self, sequences: Sequences) -> FloatArray:
        """Return the predictions of the oracle."""
        ...
