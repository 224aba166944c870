"""Bounds of the distance of two backward passes of a layer, from perturbations of what it is given.

As for outputs (``judging``), inputs, state and the parameters that are known are moved three times by one
unit in the last place with random signs; the bound is 16 times the largest effect on an entry of the gradient
and four units of its largest entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from dynprop.arrays import NumericArray
from dynprop.contracts.formats import FORMATS
from dynprop.contracts.states import State
from dynprop.kinds.layer.cases import LayerCase
from dynprop.kinds.layer.judging import nudged
from dynprop.kinds.layer.pullback import Cotangents, Pullback
from dynprop.kinds.layer.step_chain import rows_first
from dynprop.kinds.layer.subject import LayerSubject

__all__ = ["MovedGradients", "moved_gradients"]

CONSTANT = 16.0
SAMPLES = 3


@dataclass(frozen=True)
class MovedGradients:
    """The gradients of one backward pass, and how far those of another sound evaluation may be from them.

    Attributes:
        pulled: the gradients.
        inputs, state: the largest distance of an entry of the gradient to the inputs, and to the state given.
        parameters: the same for each parameter.
    """

    pulled: Pullback
    inputs: float
    state: float
    parameters: Mapping[str, float]


def moved_gradients(
    subject: LayerSubject, row: LayerCase, start: State | None, weights: Cotangents, form: str = "forward"
) -> MovedGradients | None:
    """Return the gradients of a whole call and their bounds; None if it carries no gradient."""

    def pulled(case: LayerCase, state: State | None) -> Pullback | None:
        return subject.pullback(case.inputs, state, case.dtype, case.sides, weights, form, case.steps)

    base = pulled(row, start)
    if base is None:
        return None
    unit, rng = FORMATS[row.dtype].unit, np.random.default_rng(row.seed)
    near = []
    for _ in range(SAMPLES):
        inputs = nudged(row.inputs, unit, rng, row.dtype)
        inputs = np.abs(inputs) if subject.domain.inputs == "positive" else inputs
        state = None if start is None else start.map(lambda v: nudged(v, unit, rng, row.dtype))
        with subject.nudged(int(rng.integers(2**31))):
            other = pulled(replace(row, inputs=inputs), state)
        near.append(other or base)

    def apart(value: NumericArray, others: list[NumericArray]) -> float:
        moved = max(float(np.abs(other - value).max(initial=0.0)) for other in others)
        return CONSTANT * (moved + 4.0 * unit * float(np.abs(value).max(initial=0.0)))

    to_state = 0.0
    if start is not None and start.floating:
        to_state = apart(rows_first(start, base.state), [rows_first(start, other.state) for other in near])
    parameters = {n: apart(v, [other.parameters[n] for other in near]) for n, v in base.parameters.items()}
    return MovedGradients(base, apart(base.inputs, [other.inputs for other in near]), to_state, parameters)
