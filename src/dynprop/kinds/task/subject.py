"""What the laws ask of a task under test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from dynprop.arrays import FloatArray, IntArray, NumericArray
from dynprop.contracts.domain import Domain

__all__ = ["Sequences", "TaskSubject"]


@dataclass(frozen=True)
class Sequences:
    """A batch as the laws see it.

    Attributes:
        inputs: (time, count, feature).
        targets: (count, output), (count,) or (time, count).
        ends: index of the last step of each sequence.
        batch: what the task itself returned, to be handed to its own solver.
    """

    inputs: FloatArray
    targets: NumericArray
    ends: IntArray
    batch: Any


class TaskSubject(Protocol):
    """A task: it draws sequences with targets, and says what they are worth."""

    @property
    def domain(self) -> Domain:
        """What the target promises."""
        ...

    @property
    def variant(self) -> str:
        """The name of the variant that it claims to be."""
        ...

    @property
    def loss(self) -> str:
        """The name of its loss: squared, logistic or cross-entropy."""
        ...

    @property
    def shortest(self) -> int:
        """The least length at which it exists."""
        ...

    @property
    def longest(self) -> int:
        """The largest length at which it exists."""
        ...

    @property
    def examined(self) -> bool:
        """Whether it draws the sequences that success is judged on in a way of their own."""
        ...

    @property
    def judged(self) -> int | None:
        """On how many fresh sequences success is judged; None if it does not say."""
        ...

    def sample(self, length: int, count: int, seed: int, *, judging: bool = False) -> Sequences:
        """Draw sequences from a fresh Generator with this seed, for training or for judging."""
        ...

    def retargeted(self, sequences: Sequences, targets: NumericArray) -> Sequences | None:
        """Return the sequences with other targets in what the solver is handed; None if none can be set."""
        ...

    def chance_loss(self, length: int) -> float:
        """Return the loss that it states for the best prediction without any input."""
        ...

    def mean_loss(self, predictions: NumericArray, targets: NumericArray) -> float:
        """Return its loss of a batch."""
        ...

    def succeeds(self, predictions: NumericArray, targets: NumericArray, length: int) -> bool:
        """Say whether it counts predictions as a success."""
        ...

    def solve(self, sequences: Sequences) -> FloatArray:
        """Return the predictions of its oracle solver."""
        ...
