"""Regimes of gates and inputs: the numbers of a scan's case, by the name of a class.

A regime keeps the products of gates and the sums of a case within the range of the format, at every length,
so that the case decides: a factor above 1 is followed by its reciprocal where a sequence is long, and large
inputs are scaled by what the gates make of them. Numbers at the ends of the range stand alone among others.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dynprop.arrays import BoolArray, FloatArray, round_to
from dynprop.contracts.domain import Domain
from dynprop.contracts.formats import FORMATS, Format
from dynprop.kinds.scan.calling import constant_along
from dynprop.laws.gates import GATE_CLASSES

__all__ = ["gate_regimes", "gates", "input_regimes", "inputs"]

Shape = tuple[int, ...]
Rng = np.random.Generator

# A sequence longer than this has its factors above 1 followed by their reciprocals.
FREE_PRODUCTS = 24

# Regimes of gates by coarse class; those without a generator here are classes of laws.gates.
WITHIN = {
    "within 0 to 1": ("between 0 and 1", "sigmoid", "unit with exact ones"),
    "near 1": ("near 1", "nearer to 1"),
    "small": ("tiny", "smallest", "denormal"),
}
SIGNED = {
    "signed": ("signed", "signed with exact values"),
    "exact": ("exactly 0, 1 and -1", "zeros of both signs"),
}
LARGE = {"large": ("normal", "above 1", "wide", "reciprocal pairs", "largest")}
RESETS = {
    "rare zeros": ("zeros at 1 in 50 steps",),
    "many zeros": ("zeros at every other step",),
    "one value": ("never zero", "zero everywhere"),
}


def gate_regimes(domain: Domain) -> Mapping[str, tuple[str, ...]]:
    """Return the regimes of gates that a domain contains, by coarse class."""
    if domain.gates == "unit":
        return {**WITHIN, "small": ("tiny",) if domain.arithmetic == "log" else ("tiny", "smallest")}
    if domain.gates == "reset":
        return RESETS
    return {**WITHIN, **SIGNED} if domain.gates == "signed" else {**WITHIN, **SIGNED, **LARGE}


def input_regimes(domain: Domain) -> Mapping[str, tuple[str, ...]]:
    """Return the regimes of inputs that a domain contains, by coarse class.

    An evaluation through logarithms has gradients that multiply and divide by the states: their range ends
    where that of the states does, so that inputs stay of ordinary size.
    """
    if domain.arithmetic == "log":
        exact = ("ones",) if domain.inputs == "positive" else ("zeros of both signs", "ones", "whole")
        return {"usual": ("normal",), "large": ("thousands",), "exact": exact}
    small = ("smallest",) if domain.inputs == "positive" else ("smallest", "denormal")
    return {
        "usual": ("normal",),
        "large": ("thousands", "very large", "largest"),
        "small": small,
        "exact": ("ones",) if domain.inputs == "positive" else ("zeros of both signs", "ones", "whole"),
    }


def _few(rng: Rng, shape: Shape, share: float = 0.2) -> BoolArray:
    """Choose some places, at least one."""
    chosen = rng.random(shape) < share
    if chosen.size and not chosen.any():
        chosen.flat[int(rng.integers(chosen.size))] = True
    return np.asarray(chosen)


def _reciprocal_pairs(values: FloatArray) -> FloatArray:
    """Replace every second factor along time by the reciprocal of the one before."""
    paired = values.copy()
    later = paired[:, 1::2]
    paired[:, 1::2] = np.sign(later) / np.abs(values[:, 0::2][:, : later.shape[1]])
    return paired


def _alone(rng: Rng, shape: Shape, small: FloatArray, extreme: float) -> FloatArray:
    """Place one extreme factor in each column, among the first four steps or at the last."""
    values = small.copy()
    if shape[1]:
        rows, channels = np.indices((shape[0], shape[2]))
        early = rng.integers(0, min(shape[1], 4), (shape[0], shape[2]))
        step = np.where(rng.random(early.shape) < 0.5, early, shape[1] - 1)
        values[rows, step, channels] = extreme * rng.uniform(1.0, 2.0, step.shape)
    return values


def _special(name: str, rng: Rng, shape: Shape, format_: Format) -> FloatArray | None:
    """Return the gates of a regime that depends on the format; None for a class of ``laws.gates``."""
    unit = rng.uniform(0.5, 1.0, shape)
    signs = rng.choice([-1.0, 1.0], shape)
    if name == "nearer to 1":
        return 1.0 - 2.0**-8 * rng.random(shape)
    if name == "smallest":
        return _alone(rng, shape, unit, format_.tiny * 2.0**8)
    if name == "largest":
        return _alone(rng, shape, unit, format_.largest * 2.0**-16)
    if name == "denormal":
        return np.where(_few(rng, shape), format_.tiny * rng.uniform(0.1, 0.9, shape), unit)
    if name == "zeros of both signs":
        return np.where(_few(rng, shape, 0.3), rng.choice([0.0, -0.0], shape), signs * unit)
    if name == "reciprocal pairs":
        return _reciprocal_pairs(signs * np.exp2(rng.uniform(-2.0, 2.0, shape)))
    return None


def _reset(name: str, rng: Rng, shape: Shape) -> FloatArray:
    """Return gates in {0, gamma}, one gamma for the case."""
    share = {"zeros at 1 in 50 steps": 0.02, "zeros at every other step": 0.5, "zero everywhere": 1.0}
    discount = float(rng.choice([0.5, 0.9, 0.99, 0.995, 1.0]))
    return np.where(rng.random(shape) < share.get(name, 0.0), 0.0, discount)


def gates(
    rng: Rng, shape: Shape, name: str, dtype: str, domain: Domain, layout: str = "contiguous"
) -> FloatArray:
    """Draw gates of a regime, exactly representable in the format.

    Args:
        rng: source of the numbers.
        shape: (batch, time, channel).
        name: the regime, one of the values of :func:`gate_regimes`.
        dtype: the format.
        domain: what the target promises; gates that it calls constant are the same at every step.
        layout: of the arguments; gates that it expands are constant along that axis.
    """
    format_ = FORMATS[dtype]
    if domain.gates == "reset":
        return constant_along(layout, "gates", round_to(_reset(name, rng, shape), dtype))
    constant = domain.gates == "constant" or layout == "gates over time"
    drawn = (shape[0], min(shape[1], 1), shape[2]) if constant else shape
    special = _special(name, rng, drawn, format_)
    values = GATE_CLASSES[name](rng, drawn) if special is None else special
    if constant:
        # The power over all steps stays within 2^60.
        most = 2.0 ** (60.0 / max(shape[1], 1))
        values = np.sign(values) * np.minimum(np.abs(values), most)
        repeated = np.repeat(values, shape[1], axis=1) if shape[1] else values
        return _in_unit(constant_along(layout, "gates", round_to(repeated, dtype)), format_, domain)
    if shape[1] > FREE_PRODUCTS and name in ("above 1", "wide"):
        values = _reciprocal_pairs(values)
    return _in_unit(constant_along(layout, "gates", round_to(values, dtype)), format_, domain)


def _in_unit(values: FloatArray, format_: Format, domain: Domain) -> FloatArray:
    """Keep gates of (0, 1] above 0: the smallest of a class may round to 0 in half precision."""
    return np.maximum(values, format_.tiny) if domain.gates == "unit" else values


def _scaled(values: FloatArray, gates: FloatArray, format_: Format, share: float) -> FloatArray:
    """Scale inputs so that the states reach a share of the exponents between 1 and the end of the range."""
    size = np.zeros_like(values[:, :0].sum(axis=1))
    largest = 1.0
    with np.errstate(all="ignore"):
        for t in range(values.shape[1]):
            size = np.abs(gates[:, t]) * size + np.abs(values[:, t])
            largest = max(largest, float(size.max(initial=0.0)))
    room = np.log2(format_.safe) - np.log2(largest) - 2.0
    if not np.isfinite(room) or room <= 0.0:
        return values
    return np.asarray(values * np.exp2(np.floor(room * share)))


def inputs(
    rng: Rng,
    shape: Shape,
    name: str,
    dtype: str,
    domain: Domain,
    gates: FloatArray | None = None,
    layout: str = "contiguous",
) -> FloatArray:
    """Draw inputs, or an initial state, of a regime, exactly representable in the format.

    Args:
        rng: source of the numbers.
        shape: (batch, time, channel) or (batch, channel).
        name: the regime, one of the values of :func:`input_regimes`.
        dtype: the format.
        domain: what the target promises.
        gates: those of the case, for inputs whose states are to reach the end of the range; None for an
            initial state, which is of ordinary size there.
        layout: of the arguments; inputs that it expands are constant along that axis.
    """
    format_ = FORMATS[dtype]
    argument = "inputs" if len(shape) > 2 else "initial"
    values = constant_along(layout, argument, rng.standard_normal(shape))
    if domain.inputs == "positive":
        values = np.abs(values) + 1e-3
    if name == "normal":
        values = values * 10.0 ** rng.uniform(-1, 1)
        if domain.inputs != "positive":
            values = np.where(rng.random(shape) < 0.05, 0.0, values)
    elif name == "thousands":
        values = values * 10.0 ** rng.uniform(2.5, 4)
    elif name in ("very large", "largest") and gates is not None:
        values = _scaled(values, gates, format_, 0.4 if name == "very large" else 1.0)
    elif name == "smallest":
        # Underflow loses up to tiny at each of the steps, which must not decide.
        steps = shape[1] if len(shape) > 2 else 1
        values = (np.abs(values) + 1.0) * np.sign(values) * format_.tiny * 2.0**8 * (steps + 2.0) ** 2
    elif name == "denormal":
        values = np.where(_few(rng, shape), format_.tiny * values / 8.0, values)
    elif name == "zeros of both signs":
        values = np.where(_few(rng, shape, 0.5), rng.choice([0.0, -0.0], shape), values)
    elif name == "ones":
        values = np.where(_few(rng, shape, 0.5), 1.0, values)
    elif name == "whole":
        values = rng.integers(-3, 4, shape).astype(np.float64)
    return round_to(constant_along(layout, argument, values), dtype)
