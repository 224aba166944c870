r"""Initial weights of one model, by name.

The only place where training draws weights: a function from names, sizes and a Generator to arrays. Rules
that have a name in the field come from `dynprop.products`.

=================  =====================================================================================
small[=0.1]        every weight N(0, sd²), no bias: contracts wherever sd √hidden < 1
default            every weight and bias U[-1/√hidden, 1/√hidden], as torch.nn.RNN, GRU and LSTM, where torch
                   adds two such biases
orthogonal[=1]     recurrent weights gain · Q per gate, Q uniform on its group (Mezzadri 2007)
identity[=1]       recurrent weights scale · I, per gate (Le, Jaitly and Hinton 2015)
variance[=1]       recurrent weights N(0, gain²/hidden), per gate
ring               |λ|² uniform on [0.9², 0.999²], phases on [0, 2π]; lru only (Orvieto et al. 2023)
w[=1.25]           the one recurrent weight; trained inputs N(0, 0.1²); unit only
+forget[=1]        besides, the bias of the forget gate (Gers, Schmidhuber and Cummins 2000)
+chrono[=T]        besides, b_f = ln U[1, T - 1], b_i = -b_f (Tallec and Ollivier 2018, eq. 16)
=================  =====================================================================================

Where a rule speaks of recurrent weights only, inputs and read-out are as in default, without bias. A read-out
of an lru sees real and imaginary parts: 2 · hidden numbers, which its bound counts, as torch.nn.Linear does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.errors import ArgumentError
from dynprop.products import chrono_gates, identity, lru_ring, orthogonal, variance_scaled
from dynprop.training.tasks.task import Task
from dynprop.training.trials.rules import RuleNumber, parse_rule

__all__ = ["CELL_NAMES", "Init", "initial_weights", "parse_init"]

RING_LOW = 0.9
BASES: dict[str, RuleNumber | None] = {
    "small": RuleNumber(0.1, 0.0),
    "default": None,
    "orthogonal": RuleNumber(1.0),
    "identity": RuleNumber(1.0),
    "variance": RuleNumber(1.0, 0.0),
    "ring": RuleNumber(0.999, RING_LOW, 1.0),
    "w": RuleNumber(1.25),
}
EXTRAS = {"forget": RuleNumber(1.0), "chrono": RuleNumber(None, 2.0)}
CELL_NAMES = ("tanh", "relu", "gru", "lstm", "lru", "unit")


@dataclass(frozen=True)
class Init:
    """A parsed name of an initialisation.

    Attributes:
        base: the rule of the weights.
        value: its number; 1 where it takes none.
        extra: "forget", "chrono" or "".
        amount: the number of the extra; None, for chrono, is the length of the task.
    """

    base: str
    value: float
    extra: str = ""
    amount: float | None = None


def parse_init(text: str, cell: str) -> Init:
    """Read the name of an initialisation.

    Raises:
        ArgumentError: it is unknown, or is not one for this cell.
    """
    first, _, second = str(text).partition("+")
    base, value = parse_rule("init", first, BASES)
    extra, amount = parse_rule("init", second, EXTRAS) if second else ("", None)
    allowed = {"lru": ("ring",), "unit": ("w",)}.get(cell, tuple(b for b in BASES if b not in ("ring", "w")))
    if base not in allowed:
        raise ArgumentError("init", repr(text), f"one of {', '.join(allowed)} for the cell {cell}")
    if extra and cell != "lstm":
        raise ArgumentError(
            "init", repr(text), f"+{extra} with the cell lstm only; {cell} has no forget gate"
        )
    return Init(base, 1.0 if value is None else value, extra, amount)


def _recurrent(init: Init, n: int, rng: np.random.Generator) -> FloatArray:
    """Return one square block of recurrent weights."""
    rules: dict[str, Callable[[], FloatArray]] = {
        "orthogonal": lambda: init.value * orthogonal((n, n), rng),
        "identity": lambda: identity((n, n), gain=init.value),
        "variance": lambda: variance_scaled((n, n), rng, scale=init.value**2),
    }
    return rules[init.base]()


def initial_weights(
    task: Task, cell: str, init: Init, hidden: int, length: int, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """Return the initial parameters of one model by name; the read-out is "out" and "out bias".

    Args:
        task: its features and outputs give the outer sizes.
        cell: name of the cell.
        init: how to draw.
        hidden: hidden units.
        length: of the task, the default of +chrono.
        rng: the only source of randomness.
    """
    from dynprop.gradients import cell_named

    cell_type = cell_named(cell)
    shapes = cell_type.shapes(task.features, hidden)
    if not task.direct:
        shapes |= {"out": (cell_type.width * hidden, task.outputs), "out bias": (task.outputs,)}
    bound = 1.0 / math.sqrt(hidden)
    weights: dict[str, FloatArray] = {}
    for name, shape in shapes.items():
        if name.endswith("bias") or name == "inner":
            weights[name] = rng.uniform(-bound, bound, shape) if init.base == "default" else np.zeros(shape)
        elif name == "recurrent" and init.base in ("orthogonal", "identity", "variance"):
            weights[name] = np.hstack([_recurrent(init, hidden, rng) for _ in range(cell_type.gates)])
        elif init.base in ("small", "w"):
            weights[name] = rng.normal(0.0, init.value if init.base == "small" else 0.1, shape)
        elif name == "nu":
            ring = lru_ring(hidden, rng, RING_LOW, init.value)
            weights |= {"nu": ring.nu_log, "theta": np.exp(ring.theta_log)}
        elif name not in weights:
            limit = bound / math.sqrt(cell_type.width) if name == "out" else bound
            weights[name] = rng.uniform(-limit, limit, shape)
    if init.base == "w":
        weights["recurrent"] = np.full((1, 1), init.value)
    _gates(weights, init, hidden, length, rng)
    return weights


def _gates(
    weights: dict[str, FloatArray], init: Init, hidden: int, length: int, rng: np.random.Generator
) -> None:
    """Set the biases of the gates of an LSTM, in the order input, forget, output, new."""
    if init.extra == "forget":
        weights["bias"][hidden : 2 * hidden] = init.amount
    elif init.extra == "chrono":
        gates = chrono_gates(hidden, rng, max(3.0, float(length)) if init.amount is None else init.amount)
        weights["bias"][hidden : 2 * hidden] = gates.forget
        weights["bias"][:hidden] = gates.input
