"""Cases of the gated scan: gates, inputs and an initial state, and how the scan is called.

The fixed cases of the laws are the rows of a plan (``kinds.scan.plan``); Hypothesis and independent runs draw
over the same space, with sizes between those of the plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np

from dynprop.arrays import FloatArray, round_to
from dynprop.contracts.domain import Domain
from dynprop.contracts.formats import FORMATS
from dynprop.contracts.subject import Call
from dynprop.kinds.scan import calling
from dynprop.kinds.scan.calling import LEAVES, ONE_CALL
from dynprop.kinds.scan.regimes import gate_regimes, gates, input_regimes, inputs
from dynprop.laws.cases import ArrayCase, Axes, fewer, one_bit, three_bits
from dynprop.laws.draw import Source, length

__all__ = ["ScanCase", "build_case", "long_case", "scan_case", "sized_case"]

CALLS = {
    "layout": calling.layouts,
    "mode": calling.modes,
    "wants": calling.wants,
    "form": calling.forms,
}
# Most numbers that drawn gates have.
MOST = 4096

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
        stratum: the regime of gates that it was drawn from.
        seed: seed of further random numbers of a law, such as cotangents.
        regime: the regime of inputs.
        layout, mode: memory layout and gradient mode of the call, as ``contracts.subject.Call`` has them.
        wants: the arguments that require a gradient, joined by "+"; empty for none.
        form: "one call", "after the same shape", "after an error", or "in two pieces", the second resumed
            from the last state of the first.
    """

    gates: Annotated[FloatArray, Axes(("batch", "time", "channel"), shape="shape")]
    inputs: Annotated[FloatArray, Axes(("batch", "time", "channel"))]
    initial: Annotated[FloatArray | None, Axes(("batch", "channel"))]
    dtype: str
    stratum: str = ""
    seed: int = 0
    regime: str = "normal"
    layout: str = "contiguous"
    mode: str = "grad"
    wants: str = ""
    form: str = ONE_CALL

    @property
    def call(self) -> Call:
        """How the scan is called."""
        before = self.form.removeprefix("after the ").removeprefix("after ")
        return Call(
            self.layout,
            self.mode,
            self.wanted,
            before if self.form.startswith("after") else "",
        )

    @property
    def wanted(self) -> tuple[str, ...]:
        """The arguments that require a gradient, of those that are given."""
        given = LEAVES if self.initial is not None else LEAVES[:2]
        return tuple(name for name in self.wants.split("+") if name in given)

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
        kind += f", inputs {self.regime}" if self.regime not in ("", "normal") else ""
        plain = ("contiguous", "grad", ONE_CALL)
        special = [v for v in (self.layout, self.mode, self.form) if v not in plain]
        special += [f"{self.wants} want a gradient"] if self.wants else []
        how = f", {', '.join(special)}" if special else ""
        return f"{self.dtype}, batch {batch}, {steps} steps, {channels} channels, {start}{kind}{how}"

    def part(self, start: int, stop: int) -> ScanCase:
        """Return the steps from start to stop; the initial state stays only where start is 0."""
        cut = self.take("time", slice(start, stop))
        return cut if start == 0 else replace(cut, initial=None)

    def cotangent(self, shape: tuple[int, ...]) -> FloatArray:
        """Return reproducible weights, exact in the dtype, for a scalar loss."""
        return round_to(np.random.default_rng(self.seed).standard_normal(shape), self.dtype)

    def smaller(self) -> Iterator[ScanCase]:
        """Yield simpler cases: a plain call, fewer rows, channels and steps, then rounder numbers."""
        batch, steps, channels = self.gates.shape
        plain: dict[str, str] = {"layout": "contiguous", "mode": "grad", "wants": "", "form": ONE_CALL}
        for name, simplest in plain.items():
            if getattr(self, name) != simplest:
                changed: dict[str, Any] = {name: simplest}
                yield replace(self, **changed)
        for axis, size in (("batch", batch), ("channel", channels)):
            if size > 1:
                for i in range(size) if size <= 5 else (0, size // 2, size - 1):
                    yield self.take(axis, np.array([i]))
                for count in fewer(size, 2, size // 2, size - 1, least=2):
                    yield self.take(axis, np.arange(count))
        for count in fewer(steps, steps // 2, steps - steps // 4, steps - 8, steps - 1):
            yield self.take("time", slice(count))
            yield self.take("time", slice(steps - count, steps))
        if self.initial is not None:
            yield replace(self, initial=None)
            yield from self.simpler("initial", *SIMPLER)
        yield from self.simpler("inputs", *SIMPLER)
        if " over " not in self.layout:
            yield from self.simpler("gates", *SIMPLER)


def build_case(
    rng: Rng,
    shape: Shape,
    name: str,
    dtype: str,
    domain: Domain,
    *,
    initial: bool,
    regime: str = "normal",
    layout: str = "contiguous",
) -> ScanCase:
    """Fill a case of a given shape with the numbers of a regime of gates and one of inputs.

    An argument that the layout expands is constant along that axis.
    """
    a = gates(rng, shape, name, dtype, domain, layout)
    x = inputs(rng, shape, regime, dtype, domain, a, layout)
    start = None
    if initial:
        start = inputs(rng, (shape[0], shape[2]), regime, dtype, domain, layout=layout)
    if name == "smallest" and domain.inputs == "any" and not layout.startswith("inputs"):
        # The state beside such a gate is the product alone, so that it shows.
        x = np.where(np.abs(a) < FORMATS[dtype].tiny * 2.0**10, 0.0, x)
    return ScanCase(a, x, start, dtype, name, int(rng.integers(2**31)), regime, layout)


def scan_case(
    source: Source,
    domain: Domain,
    subject: Any = None,
    *,
    shortest: int = 0,
    usual: int = 12,
    varied: tuple[str, ...] = (),
) -> ScanCase:
    """Draw a case of a domain.

    Args:
        source: where choices come from.
        domain: what the target promises.
        subject: the target, None in strategies; where its library compiles every new shape, shapes are few.
        shortest: smallest number of steps.
        usual: most cases have at most this many steps.
        varied: what is drawn of the call: "layout", "mode", "wants", "form".
    """
    dtype = source.choice(domain.dtypes)
    name = source.choice([name for names in gate_regimes(domain).values() for name in names])
    regimes = [name for names in input_regimes(domain).values() for name in names]
    regime = source.choice(("normal", "normal", *regimes))
    few = bool(getattr(subject, "compiles", False))
    steps = length(source, domain.max_length, shortest=shortest, usual=usual, few=few)
    shape = (2, steps, 2) if few else (_width(source), steps, _width(source))
    while np.prod(shape) > MOST:
        shape = (max(1, shape[0] // 2), steps, max(1, shape[2] // 2))
    initial = source.choice((False, True))
    how: dict[str, Any] = {
        name: source.choice([value for values in classes(subject).values() for value in values])
        for name, classes in CALLS.items()
        if name in varied
    }
    layout = how.pop("layout", "contiguous")
    case = build_case(
        source.generator(), shape, name, dtype, domain, initial=initial, regime=regime, layout=layout
    )
    return replace(case, **how)


def _width(source: Source) -> int:
    """Draw a batch size or a number of channels: mostly small."""
    return source.integer(1, source.choice((3, 3, 5, 9, 33, 65)))


def sized_case(steps: int, dtype: str, domain: Domain, *, initial: bool = True) -> ScanCase:
    """Return a reproducible case with a given number of steps."""
    rng = np.random.default_rng([steps, 7])
    names = {"any": "signed", "reset": "zeros at every other step"}
    name = names.get(domain.gates, "sigmoid")
    return build_case(rng, (2, steps, 2), name, dtype, domain, initial=initial)


def long_case(dtype: str, domain: Domain, steps: int = 2048) -> ScanCase:
    """Return the fixed long case, whose products of gates all stay in range.

    Gates of resets are 0.995, or 0 at one step in 500. Gates lie just below 1 where the domain is unit or
    constant; otherwise pairs of gates above and below 1 in magnitude cancel nearly, so that a product of
    2,048 of them is still of order one.
    """
    steps = min(steps, domain.max_length)
    rng = np.random.default_rng([2048, 11])
    shape = (1, steps, 2)
    if domain.gates == "constant":
        a = np.full(shape, round_to(np.array(1.0 - 2.0**-8), dtype))
    elif domain.gates == "reset":
        a = np.where(rng.random(shape) < 1 / 500, 0.0, round_to(np.array(0.995), dtype))
    elif domain.gates in ("unit", "signed"):
        a = 1.0 - rng.uniform(0.0, 2.0**-7, shape)
    else:
        factors = np.exp(rng.uniform(-0.5, 0.5, (1, (steps + 1) // 2, 2)))
        a = np.stack([factors, 1.0 / factors], axis=2).reshape(1, -1, 2)[:, :steps]
    if domain.gates in ("signed", "any"):
        a = a * rng.choice([-1.0, 1.0], shape)
    x = inputs(rng, shape, "normal", dtype, domain)
    return ScanCase(round_to(a, dtype), x, None, dtype, "long, products in range", 3)
