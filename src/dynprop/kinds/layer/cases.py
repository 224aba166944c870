"""Cases of a recurrent layer: inputs, side inputs, and whether a state is given."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, round_to
from dynprop.contracts.domain import Domain
from dynprop.laws.draw import Source, length

__all__ = ["LayerCase", "layer_case", "made_case"]

WARM_UP = 3


@dataclass(frozen=True)
class LayerCase:
    """One case; every number is exactly representable in the dtype.

    Attributes:
        inputs: shape (batch, time, feature).
        sides: further per-step inputs by name, shape (batch, time, ...).
        warm_up: inputs (batch, 3, feature) whose final state is the state given, or None for no state.
        dtype: the format that the layer computes in.
        lengths: number of valid steps of each row, or None for all.
        seed: seed of further random numbers.
    """

    inputs: FloatArray
    sides: Mapping[str, FloatArray]
    warm_up: FloatArray | None
    dtype: str
    lengths: tuple[int, ...] | None = None
    seed: int = 0
    stratum: str = field(default="", compare=False)

    @property
    def batch(self) -> int:
        """Number of rows."""
        return int(self.inputs.shape[0])

    @property
    def steps(self) -> int:
        """Number of time steps."""
        return int(self.inputs.shape[1])

    @property
    def key(self) -> tuple[Hashable, ...]:
        """What tells two cases apart, to look up what was evaluated on one of them."""
        arrays = {
            "": self.inputs,
            **self.sides,
            " ": self.inputs[:0] if self.warm_up is None else self.warm_up,
        }
        contents = tuple((name, values.shape, values.tobytes()) for name, values in arrays.items())
        return (*contents, self.dtype, self.lengths, self.seed)

    def refusable(self) -> bool:
        """A layer may refuse a sequence without a step, and nothing else."""
        return self.steps == 0

    @property
    def refusal_types(self) -> tuple[type[Exception], ...] | None:
        """Any error refuses a sequence without a step: torch.nn.GRU raises RuntimeError."""
        return (Exception,) if self.steps == 0 else None

    def describe(self) -> str:
        """Describe the case on one line."""
        batch, steps, features = self.inputs.shape
        start = "no state given" if self.warm_up is None else "with a state given"
        rows = "" if self.lengths is None else f", lengths {list(self.lengths)}"
        return f"{self.dtype}, batch {batch}, {steps} steps, {features} features, {start}{rows}"

    def take(self, rows: slice) -> LayerCase:
        """Return some of the rows."""
        return replace(
            self,
            inputs=self.inputs[rows],
            sides={n: v[rows] for n, v in self.sides.items()},
            warm_up=None if self.warm_up is None else self.warm_up[rows],
            lengths=None if self.lengths is None else self.lengths[rows],
        )

    def part(self, start: int, stop: int | None) -> LayerCase:
        """Return some of the steps, with all of the sides."""
        cut = slice(start, stop)
        sides = {n: v[:, cut] for n, v in self.sides.items()}
        return replace(self, inputs=self.inputs[:, cut], sides=sides)

    def cotangent(self, shape: tuple[int, ...]) -> FloatArray:
        """Return reproducible weights, exact in the dtype, for a scalar loss."""
        return round_to(np.random.default_rng(self.seed).standard_normal(shape), self.dtype)

    def smaller(self) -> Iterator[LayerCase]:
        """Yield simpler cases: fewer rows and steps, no state, rounder numbers."""
        for i in range(self.batch if self.batch > 1 else 0):
            yield self.take(slice(i, i + 1))
        if self.batch > 2:
            yield self.take(slice(0, 2))
        for kept in sorted({self.steps // 2, self.steps - self.steps // 4, self.steps - 1}):
            if 0 < kept < self.steps:
                lengths = None if self.lengths is None else tuple(min(n, kept) for n in self.lengths)
                yield replace(self.part(0, kept), lengths=lengths)
        if self.warm_up is not None:
            yield replace(self, warm_up=None)
        for bits in (1, 3):
            mantissa, exponent = np.frexp(self.inputs)
            simple = np.ldexp(np.round(mantissa * 2**bits) / 2**bits, exponent)
            if not np.array_equal(simple, self.inputs):
                yield replace(self, inputs=simple)

    def to_json(self) -> dict[str, Any]:
        """Return the case as plain JSON values."""
        return {
            "inputs": self.inputs.tolist(),
            "sides": {n: v.tolist() for n, v in self.sides.items()},
            "warm_up": None if self.warm_up is None else self.warm_up.tolist(),
            "dtype": self.dtype,
            "lengths": None if self.lengths is None else list(self.lengths),
            "seed": self.seed,
            "stratum": self.stratum,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> LayerCase:
        """Build the case that ``to_json`` described."""
        lengths, warm_up = data["lengths"], data["warm_up"]
        return cls(
            np.array(data["inputs"], dtype=np.float64),
            {n: np.array(v, dtype=np.float64) for n, v in data["sides"].items()},
            None if warm_up is None else np.array(warm_up, dtype=np.float64),
            data["dtype"],
            None if lengths is None else tuple(lengths),
            data["seed"],
            data["stratum"],
        )


def made_case(
    rng: np.random.Generator,
    subject: Any,
    dtype: str,
    *,
    batch: int,
    steps: int,
    state: bool,
    size: float = 1.0,
) -> LayerCase:
    """Fill a case with normal inputs of a given size, and sides between 1/2 and 3/2."""
    features = subject.input_size

    def normal(count: int) -> FloatArray:
        values = size * rng.standard_normal((batch, count, features))
        if subject.domain.inputs == "positive":
            values = np.abs(values) + 1e-3
        return round_to(values, dtype)

    sides = {
        name: round_to(rng.uniform(0.5, 1.5, (batch, steps, *trailing)), dtype)
        for name, trailing in subject.side_shapes.items()
    }
    warm_up = normal(WARM_UP) if state else None
    return LayerCase(normal(steps), sides, warm_up, dtype, None, int(rng.integers(2**31)))


def layer_case(
    source: Source,
    domain: Domain,
    subject: Any,
    *,
    shortest: int = 1,
    usual: int = 10,
    longest: int = 40,
    batches: tuple[int, int] = (1, 3),
    state: bool | None = None,
) -> LayerCase:
    """Draw a case for a layer.

    Args:
        source: draws the choices.
        domain: what the target promises.
        subject: the layer, for its sizes.
        shortest: smallest number of steps.
        usual: most cases have at most this many.
        longest: no case has more.
        batches: smallest and largest number of rows.
        state: whether a state is given; None draws it where the layer takes one.
    """
    dtype = source.choice(domain.dtypes)
    most = min(longest, domain.max_length)
    few = bool(getattr(subject, "compiles", False))
    steps = length(source, most, shortest=min(shortest, most), usual=min(usual, most), few=few)
    batch = batches[1] if few else source.integer(*batches)
    given = bool(source.choice((False, True))) if state is None else state
    size = source.choice((1.0, 0.3, 2.0))
    return made_case(
        source.generator(),
        subject,
        dtype,
        batch=batch,
        steps=steps,
        state=given and subject.takes_state,
        size=size,
    )
