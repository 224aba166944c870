"""Cases of a task: a length, a number of sequences and a seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dynprop.laws.domain import Domain
from dynprop.laws.draw import Source
from dynprop.laws.task.subject import TaskSubject

__all__ = ["TaskCase", "task_case", "usual_case"]

# Lengths above this show nothing that shorter ones do not, and cost time.
LONGEST = 60


@dataclass(frozen=True)
class TaskCase:
    """One batch that a task is asked for.

    Attributes:
        length: as the variant quotes it.
        count: how many sequences.
        seed: of the numpy Generator.
        dtype: always float64.
    """

    length: int
    count: int
    seed: int
    dtype: str = "float64"

    def smaller(self) -> Iterator[TaskCase]:
        """Yield shorter and fewer sequences."""
        for length in sorted({self.length // 2, self.length - 1}):
            if 0 < length < self.length:
                yield replace(self, length=length)
        for count in (1, 2, self.count // 2):
            if 0 < count < self.count:
                yield replace(self, count=count)

    def refusable(self) -> bool:
        """A length that is too short may be refused; cases are made smaller only."""
        return True

    @property
    def refusal_types(self) -> tuple[type[BaseException], ...]:
        """By which exceptions."""
        return (ValueError,)

    def describe(self) -> str:
        """Describe the case on one line."""
        return f"length {self.length}, {self.count} sequences, seed {self.seed}"

    def generator(self, offset: int = 0) -> np.random.Generator:
        """Return the Generator that the task is given."""
        return np.random.default_rng(self.seed + offset)

    def to_json(self) -> dict[str, Any]:
        """Return the case as plain JSON values."""
        return dict(self.__dict__)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TaskCase:
        """Build the case that ``to_json`` described."""
        return cls(**data)


def task_case(source: Source, domain: Domain, subject: TaskSubject, *, count: int = 64) -> TaskCase:
    """Draw a case: mostly short lengths from the least possible one on.

    Args:
        source: where choices come from.
        domain: its max_length bounds lengths.
        subject: the task; it says which lengths exist.
        count: sequences per case.
    """
    low = subject.shortest
    high = min(max(low, LONGEST), domain.max_length, subject.longest)
    length = max(low, min(high, low + source.choice((0, 1, 2, 3, 7, 10, 20, 33, 50))))
    return TaskCase(length, count, source.integer(0, 2**31 - 1))


def usual_case(domain: Domain, subject: TaskSubject, *, count: int = 64) -> Iterator[TaskCase]:
    """Yield the one case that is always judged: twenty steps beyond the shortest length, where they exist."""
    length = min(subject.shortest + 20, domain.max_length, subject.longest)
    if length >= subject.shortest:
        yield TaskCase(length, count, 0)
