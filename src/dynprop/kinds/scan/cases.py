"""Cases of the gated scan: gates, inputs and an initial state, drawn class by class.

Classes of gates are structures, not distributions: every edge of the domain (exactly 0 and 1 and -1,
tiny, above 1, nearly 1) is drawn on purpose, since these decide the result of a product.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np

from dynprop.arrays import FloatArray, round_to
from dynprop.contracts.domain import Domain
from dynprop.contracts.formats import FORMATS
from dynprop.laws.cases import ArrayCase, Axes, fewer, one_bit, three_bits
from dynprop.laws.draw import Source, length
from dynprop.laws.gates import GATE_CLASSES, gate_classes

__all__ = ["ScanCase", "long_case", "scan_case", "sized_case"]

Shape = tuple[int, int, int]
Rng = np.random.Generator
SIMPLER = (np.ones_like, np.sign, one_bit, three_bits)


@dataclass(frozen=True, eq=False)
class ScanCase(ArrayCase):
    """One input of a scan; every number is exactly representable in the dtype.

    Attributes:
        gates: shape (batch, time, channel).
        inputs: same shape.
        initial: shape (batch, channel), or None.
        dtype: the format that the subject computes in.
        stratum: the class of gates that it was drawn from.
        seed: seed of further random numbers of a law, such as cotangents.
    """

    gates: Annotated[FloatArray, Axes(("batch", "time", "channel"), shape="shape")]
    inputs: Annotated[FloatArray, Axes(("batch", "time", "channel"))]
    initial: Annotated[FloatArray | None, Axes(("batch", "channel"))]
    dtype: str
    stratum: str = ""
    seed: int = 0

    @property
    def arguments(self) -> tuple[FloatArray, FloatArray, FloatArray | None]:
        """The arguments of a scan, in order."""
        return self.gates, self.inputs, self.initial

    @property
    def steps(self) -> int:
        """Number of time steps."""
        return int(self.gates.shape[1])

    def refusable(self) -> bool:
        """Empty and one-step scans may be refused (PyTorch refuses length 0)."""
        return self.steps <= 1

    def describe(self) -> str:
        """Describe the case on one line."""
        batch, steps, channels = self.gates.shape
        start = "no initial state" if self.initial is None else "with an initial state"
        kind = f", gates {self.stratum}" if self.stratum else ""
        return f"{self.dtype}, batch {batch}, {steps} steps, {channels} channels, {start}{kind}"

    def part(self, start: int, stop: int) -> ScanCase:
        """Return the steps from start to stop; the initial state stays only where start is 0."""
        cut = self.take("time", slice(start, stop))
        return cut if start == 0 else replace(cut, initial=None)

    def cotangent(self, shape: tuple[int, ...]) -> FloatArray:
        """Return reproducible weights, exact in the dtype, for a scalar loss."""
        return round_to(np.random.default_rng(self.seed).standard_normal(shape), self.dtype)

    def smaller(self) -> Iterator[ScanCase]:
        """Yield simpler cases: fewer rows, channels and steps, then rounder numbers."""
        batch, steps, channels = self.gates.shape
        for axis, size in (("batch", batch), ("channel", channels)):
            if size > 1:
                for i in range(size):
                    yield self.take(axis, np.array([i]))
                if size > 2:
                    yield self.take(axis, np.arange(2))
        for count in fewer(steps, steps // 2, steps - steps // 4, steps - 8, steps - 1):
            yield self.take("time", slice(count))
            yield self.take("time", slice(steps - count, steps))
        if self.initial is not None:
            yield replace(self, initial=None)
            yield from self.simpler("initial", *SIMPLER)
        yield from self.simpler("inputs", *SIMPLER)
        yield from self.simpler("gates", *SIMPLER)


def _gates(rng: Rng, shape: Shape, name: str, domain: Domain, dtype: str) -> FloatArray:
    if domain.gates == "constant":
        single = GATE_CLASSES[name](rng, (shape[0], 1, shape[2]))
        return round_to(np.repeat(single, shape[1], axis=1), dtype)
    gates = round_to(GATE_CLASSES[name](rng, shape), dtype)
    # The smallest gates of a class may round to 0 in half precision, which is outside of (0, 1].
    return np.maximum(gates, FORMATS[dtype].tiny) if domain.gates == "unit" else gates


def _inputs(rng: Rng, shape: tuple[int, ...], domain: Domain, dtype: str) -> FloatArray:
    values = rng.standard_normal(shape) * 10.0 ** rng.uniform(-1, 1)
    if domain.inputs == "positive":
        return round_to(np.abs(values) + 1e-3, dtype)
    return round_to(np.where(rng.random(shape) < 0.05, 0.0, values), dtype)


def build_case(rng: Rng, shape: Shape, name: str, dtype: str, domain: Domain, *, initial: bool) -> ScanCase:
    """Fill a case of a given shape and class with numbers."""
    return ScanCase(
        _gates(rng, shape, name, domain, dtype),
        _inputs(rng, shape, domain, dtype),
        _inputs(rng, (shape[0], shape[2]), domain, dtype) if initial else None,
        dtype,
        name,
        int(rng.integers(2**31)),
    )


def scan_case(
    source: Source, domain: Domain, subject: Any = None, *, shortest: int = 0, usual: int = 12
) -> ScanCase:
    """Draw a case of a domain.

    Args:
        source: where choices come from.
        domain: what the target promises.
        subject: the target, None in strategies; where its library compiles every new shape, shapes are few.
        shortest: smallest number of steps.
        usual: most cases have at most this many steps.
    """
    dtype = source.choice(domain.dtypes)
    name = source.choice(gate_classes(domain))
    few = bool(getattr(subject, "compiles", False))
    steps = length(source, domain.max_length, shortest=shortest, usual=usual, few=few)
    shape = (2, steps, 2) if few else (source.integer(1, 3), steps, source.integer(1, 3))
    initial = source.choice((False, True))
    return build_case(source.generator(), shape, name, dtype, domain, initial=initial)


def sized_case(steps: int, dtype: str, domain: Domain, *, initial: bool = True) -> ScanCase:
    """Return a reproducible case with a given number of steps."""
    rng = np.random.default_rng([steps, 7])
    name = "sigmoid" if domain.gates != "any" else "signed"
    return build_case(rng, (2, steps, 2), name, dtype, domain, initial=initial)


def long_case(dtype: str, domain: Domain, steps: int = 2048) -> ScanCase:
    """Return the fixed long case, whose products of gates all stay in range.

    Gates lie just below 1 where the domain is unit or constant; otherwise pairs of gates above and
    below 1 in magnitude cancel nearly, so that a product of 2,048 of them is still of order one.
    """
    steps = min(steps, domain.max_length)
    rng = np.random.default_rng([2048, 11])
    shape = (1, steps, 2)
    if domain.gates == "constant":
        gates = np.full(shape, round_to(np.array(1.0 - 2.0**-8), dtype))
    elif domain.gates in ("unit", "signed"):
        gates = 1.0 - rng.uniform(0.0, 2.0**-7, shape)
    else:
        factors = np.exp(rng.uniform(-0.5, 0.5, (1, (steps + 1) // 2, 2)))
        gates = np.stack([factors, 1.0 / factors], axis=2).reshape(1, -1, 2)[:, :steps]
    if domain.gates in ("signed", "any"):
        gates = gates * rng.choice([-1.0, 1.0], shape)
    inputs = _inputs(rng, shape, domain, dtype)
    return ScanCase(round_to(gates, dtype), inputs, None, dtype, "long, products in range", 3)
