r"""Everything that determines the outcome of a trial, except its seed.

The key of a run is the hash of its setting, and its seed. The hash is that of the setting's canonical JSON,
the same on every machine, with `EPOCH`, which changes whenever the same setting would give another outcome.

Random numbers come from Philox, a function of a key and a counter (Salmon et al. 2011): the key consists of
the setting's hash and the seed, the counter of the purpose of the numbers. So a trial draws the same numbers
alone, in any ensemble and on any worker.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from dynprop.errors import ArgumentError
from dynprop.training.tasks import task_named
from dynprop.training.trials.initial import CELL_NAMES, parse_init
from dynprop.training.trials.rules import RuleNumber, parse_rule
from dynprop.training.whole import require_whole

__all__ = ["EPOCH", "STREAMS", "Setting"]

# Raise this when a change gives the same setting another outcome: old and new runs then have different keys.
EPOCH = 3
STREAMS = {"weights": 0, "training": 1, "judging": 2, "looking": 3}
OPTIMISERS: dict[str, RuleNumber | None] = {"sgd": None, "momentum": RuleNumber(0.9, 0.0, 1.0), "adam": None}
DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Setting:
    """One configuration of a training run, at one length.

    Attributes:
        task: name of the task.
        length: of the task, as its literature quotes it.
        cell: "tanh", "relu", "gru", "lstm", "lru", or "unit" for the latch of one unit.
        init: "small[=SD]", "default", "orthogonal[=GAIN]", "identity[=SCALE]", "variance[=GAIN]", "ring",
            "w[=WEIGHT]" (unit), each with "+forget[=BIAS]" or "+chrono[=LONGEST]" for an LSTM.
        optimiser: "sgd", "momentum[=0.9]" or "adam", torch's.
        rate: learning rate.
        clip: gradients with a larger norm are scaled down to it; None for no clipping.
        hidden: hidden units.
        batch: sequences per update.
        updates: largest number of updates.
        every: updates between two tests of success.
        dtype: "float32" or "float64".

    Raises:
        ArgumentError: a value is unknown, not positive, or does not fit the others.
    """

    task: str
    length: int
    cell: str = "tanh"
    init: str = "default"
    optimiser: str = "sgd"
    rate: float = 0.1
    clip: float | None = 1.0
    hidden: int = 8
    batch: int = 16
    updates: int = 1500
    every: int = 50
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.integer | np.floating):
                # JSON cannot store numpy scalars.
                object.__setattr__(self, field.name, value.item())
        task = task_named(self.task)
        task.require_length(self.length)
        for name in ("hidden", "batch", "updates", "every"):
            require_whole(name, getattr(self, name))
        for name in ("rate", "clip"):
            value = getattr(self, name)
            if value is None and name == "clip":
                continue
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (is_number and 0.0 < value < math.inf):
                raise ArgumentError(name, repr(value), "a finite number above 0")
        if self.dtype not in DTYPES:
            raise ArgumentError("dtype", repr(self.dtype), f"one of {', '.join(DTYPES)}")
        parse_rule("optimiser", self.optimiser, OPTIMISERS)
        if self.cell not in CELL_NAMES:
            raise ArgumentError("cell", repr(self.cell), f"one of {', '.join(CELL_NAMES)}")
        if task.direct != (self.cell == "unit"):
            expected = (
                f"the cell unit for {self.task}" if task.direct else "another cell: unit is for latch-unit"
            )
            raise ArgumentError("cell", repr(self.cell), expected)
        if self.cell == "unit" and self.hidden != 1:
            raise ArgumentError("hidden", str(self.hidden), "1 for the cell unit")
        parse_init(self.init, self.cell)

    def to_json(self) -> dict[str, Any]:
        """Return the setting as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Setting:
        """Build the setting that ``to_json`` described."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in data.items() if name in known})

    @cached_property
    def key(self) -> str:
        """The content hash, 20 hexadecimal digits."""
        content = {**self.to_json(), "epoch": EPOCH}
        # 1 and 1.0 are the same rate.
        content |= {name: float(content[name]) for name in ("rate", "clip") if content[name] is not None}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()

    def without_length(self) -> dict[str, Any]:
        """Return the setting as plain values, without its length."""
        return {name: value for name, value in self.to_json().items() if name != "length"}

    def generator(self, seed: int, stream: str, block: int = 0) -> np.random.Generator:
        """Return the random generator of one trial for one purpose.

        Args:
            seed: of the trial.
            stream: the purpose, one of STREAMS.
            block: number of the block of random numbers; blocks never overlap.
        """
        digest = hashlib.blake2b(f"{self.key}:{seed}".encode(), digest_size=16).digest()
        counter = [0, block, STREAMS[stream], 0]
        return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little"), counter=counter))
