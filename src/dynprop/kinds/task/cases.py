"""Cases of a task: a length, a number of sequences and a seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from dynprop.contracts.domain import Domain
from dynprop.kinds.task.subject import Sequences, TaskSubject
from dynprop.kinds.task.variants import VARIANTS
from dynprop.laws.draw import Source

__all__ = ["LONG", "TaskCase", "task_case", "usual_case"]

# Longer drawn cases cost time and detect little more; the long fixed case detects positions beyond 8 bits.
LONGEST, LONG = 60, 300
# Sequences in one call, and the largest number of sequences where frequencies are judged.
CHUNK, MOST = 4096, 32768


@dataclass(frozen=True)
class TaskCase:
    """One batch of a task.

    Attributes:
        length: the length in the terms of the variant.
        count: number of sequences.
        seed: seed of the numpy Generator.
        dtype: always float64.
        judging: whether the task's generator for judging success draws them, where it has one.
    """

    length: int
    count: int
    seed: int
    dtype: str = "float64"
    judging: bool = False

    def smaller(self) -> Iterator[TaskCase]:
        """Yield simpler cases: sequences for training, shorter ones, fewer."""
        if self.judging:
            yield replace(self, judging=False)
        for length in sorted({self.length // 2, self.length - 1}):
            if 0 < length < self.length:
                yield replace(self, length=length)
        for count in (1, 2, self.count // 2):
            if 0 < count < self.count:
                yield replace(self, count=count)

    def refusable(self) -> bool:
        """A length that is too short may be refused."""
        return True

    @property
    def refusal_types(self) -> tuple[type[BaseException], ...]:
        """The exceptions of a refusal."""
        return (ValueError,)

    def describe(self) -> str:
        """Describe the case on one line."""
        drawn = ", drawn for judging" if self.judging else ""
        return f"length {self.length}, {self.count} sequences, seed {self.seed}{drawn}"

    def drawn(self, subject: TaskSubject, offset: int = 0) -> Sequences:
        """Return the sequences of the seed plus an offset."""
        return subject.sample(self.length, self.count, self.seed + offset, judging=self.judging)

    def chunks(self, subject: TaskSubject) -> Iterator[Sequences]:
        """Yield the sequences a few thousand at a time, each part from another seed."""
        for offset, start in enumerate(range(0, self.count, CHUNK)):
            yield replace(self, count=min(CHUNK, self.count - start)).drawn(subject, offset)

    def to_json(self) -> dict[str, Any]:
        """Return the case as plain JSON values."""
        return dict(self.__dict__)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TaskCase:
        """Build the case that ``to_json`` described."""
        return cls(**data)


def _sequence_count(subject: TaskSubject, length: int, count: int, numbers: int) -> int:
    """Return the number of sequences that contain ``numbers`` input values, at least ``count``."""
    variant = VARIANTS.get(subject.variant)
    features = 1 if variant is None else variant.features
    return max(count, min(MOST, numbers // (length * features)))


def task_case(
    source: Source,
    domain: Domain,
    subject: TaskSubject,
    *,
    count: int = 64,
    numbers: int = 0,
    shortest: int = 0,
) -> TaskCase:
    """Draw a case: mostly short lengths from the least possible one on.

    Args:
        source: draws the choices.
        domain: its max_length bounds lengths.
        subject: the task, with its shortest and longest length.
        count: smallest number of sequences.
        numbers: number of input values to draw, which may need more sequences.
        shortest: the smallest length that the law can use.
    """
    low = max(shortest, subject.shortest)
    high = min(max(low, LONGEST), domain.max_length, subject.longest)
    length = max(low, min(high, low + source.choice((0, 1, 2, 3, 7, 10, 20, 33, 50))))
    judging = source.choice((False, True)) if subject.draws_for_judging else False
    seed = source.integer(0, 2**31 - 1)
    return TaskCase(length, _sequence_count(subject, length, count, numbers), seed, judging=judging)


def usual_case(
    domain: Domain,
    subject: TaskSubject,
    *,
    count: int = 64,
    numbers: int = 0,
    shortest: int = 0,
    long: bool = False,
) -> Iterator[TaskCase]:
    """Yield the fixed cases: twenty steps beyond the shortest length, where they exist.

    Args:
        domain: its max_length bounds lengths.
        subject: the task, with its shortest and longest length.
        count: smallest number of sequences.
        numbers: number of input values to draw, which may need more sequences.
        shortest: the smallest length that the law can use.
        long: add a case of length 300.
    """
    low, high = max(shortest, subject.shortest), min(domain.max_length, subject.longest)
    lengths = [min(low + 20, high), *([LONG] if long and high >= LONG else ())]
    for length in lengths:
        for judging in (False, True) if subject.draws_for_judging else (False,):
            if length >= low:
                yield TaskCase(length, _sequence_count(subject, length, count, numbers), 0, judging=judging)
