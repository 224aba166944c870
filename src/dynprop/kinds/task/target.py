"""A task under test: an object like the tasks of `dynprop.training`."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, NumericArray, describe
from dynprop.contracts.domain import Domain
from dynprop.errors import TargetError
from dynprop.kinds.task.cases import TaskCase
from dynprop.kinds.task.subject import Sequences
from dynprop.kinds.task.variants import VARIANTS
from dynprop.subjects.adapter import Adapter
from dynprop.subjects.calls import TargetMismatchError, attributed
from dynprop.subjects.frameworks import framework_named

__all__ = ["TaskAdapter"]

NEEDED = ("name", "loss", "shortest", "sample", "chance_loss", "mean_loss", "succeeds", "solve")


@dataclass(frozen=True)
class TaskAdapter(Adapter):
    """A task, to be judged by the laws of kind ``task``.

    Args:
        target: an object with these attributes of `dynprop.training.Task`: name (its variant), loss,
            shortest, sample(length, count, rng), chance_loss(length), mean_loss(predictions, targets),
            succeeds(predictions, targets, length), solve(batch). Optional: examine(length, count, rng), which
            draws the sequences that success is judged on, criterion.count, their number, and only, its one
            possible length.
        framework: always "numpy".
        device: always "cpu".
        max_length: the longest sequence.
        name: the name in reports.
    """

    target: Any
    framework: str = "numpy"
    device: str = "cpu"
    max_length: int = 2048
    name: str = ""
    kind: str = field(default="task", init=False)

    def __post_init__(self) -> None:
        library = framework_named(self.framework, self.device)
        promised = Domain(dtypes=("float64",), max_length=self.max_length)
        self._settle(library, promised, getattr(self.target, "name", describe(self.target)))

    @property
    def variant(self) -> str:
        """The name of its variant."""
        return str(self.target.name)

    @property
    def loss(self) -> str:
        """The name of its loss."""
        return str(self.target.loss)

    @property
    def shortest(self) -> int:
        """The smallest possible length."""
        return int(self.target.shortest)

    @property
    def longest(self) -> int:
        """The largest possible length."""
        only = getattr(self.target, "only", None)
        return self.max_length if only is None else int(only)

    @property
    def draws_for_judging(self) -> bool:
        """Whether a separate generator draws the sequences for judging success."""
        return getattr(self.target, "examine", None) is not None

    @property
    def judged_count(self) -> int | None:
        """Number of fresh sequences for judging success; None if unspecified."""
        count = getattr(getattr(self.target, "criterion", None), "count", None)
        return None if count is None else int(count)

    def preflight(self) -> None:
        """Check that the target has every attribute that laws use.

        Raises:
            TargetError: an attribute is missing.
        """
        missing = [name for name in NEEDED if not hasattr(self.target, name)]
        if missing:
            raise TargetError(f"kind task takes an object with {', '.join(NEEDED)}; no {', '.join(missing)}")

    @staticmethod
    def case_from_json(data: dict[str, Any]) -> TaskCase:
        """Build a case of this kind from its JSON form."""
        return TaskCase.from_json(data)

    def sample(self, length: int, count: int, seed: int, *, judging: bool = False) -> Sequences:
        """Draw sequences from a fresh Generator with this seed, for training or for judging."""
        draw = self.target.examine if judging and self.draws_for_judging else self.target.sample
        with attributed():
            batch = draw(length, count, np.random.default_rng(seed))
        inputs = np.asarray(batch.inputs, dtype=np.float64)
        if inputs.ndim != 3 or inputs.shape[1] != count:
            raise TargetMismatchError(f"inputs of shape {inputs.shape}, expected (time, {count}, feature)")
        variant = VARIANTS.get(self.variant)
        if variant is not None and inputs.shape[2] != variant.features:
            raise TargetMismatchError(f"{inputs.shape[2]} features a step, expected {variant.features}")
        ends = np.asarray(batch.ends, dtype=np.int64)
        if ends.shape != (count,) or ends.min() < 0 or ends.max() >= len(inputs):
            raise TargetMismatchError("ends are no steps of the sequences")
        return Sequences(inputs, self._targets(batch, inputs), ends, batch)

    def _targets(self, batch: Any, inputs: FloatArray) -> NumericArray:
        """Return the targets of a batch after a check of their shape."""
        targets, (steps, count) = np.asarray(batch.targets), inputs.shape[:2]
        if self.loss == "cross-entropy":
            right, expected = targets.shape in ((count,), (steps, count)), f"({count},) or ({steps}, {count})"
        else:
            right, expected = targets.ndim == 2 and len(targets) == count, f"({count}, output)"
        if not right:
            raise TargetMismatchError(f"targets of shape {targets.shape}, expected {expected}")
        return targets

    def with_targets(self, sequences: Sequences, targets: NumericArray) -> Sequences | None:
        """Return the sequences with other targets in their batch; None if they cannot be set."""
        batch = sequences.batch
        try:
            if is_dataclass(batch) and not isinstance(batch, type):
                other: Any = replace(batch, targets=targets)
            elif hasattr(batch, "_replace"):
                other = batch._replace(targets=targets)
            else:
                other = copy.copy(batch)
                other.targets = targets
        except Exception:  # the target's batch class may raise any exception
            return None
        return replace(sequences, targets=targets, batch=other)

    def chance_loss(self, length: int) -> float:
        """Return the stated chance level."""
        with attributed():
            return float(self.target.chance_loss(length))

    def mean_loss(self, predictions: NumericArray, targets: NumericArray) -> float:
        """Return the loss of a batch."""
        with attributed():
            return float(self.target.mean_loss(predictions.copy(), targets.copy()))

    def succeeds(self, predictions: NumericArray, targets: NumericArray, length: int) -> bool:
        """Whether the criterion accepts predictions."""
        with attributed():
            return bool(self.target.succeeds(predictions.copy(), targets.copy(), length))

    def solve(self, sequences: Sequences) -> FloatArray:
        """Return the predictions of the oracle."""
        with attributed():
            return np.asarray(self.target.solve(sequences.batch), dtype=np.float64)
