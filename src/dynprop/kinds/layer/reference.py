"""Law of another layer with the same parameters: outputs and gradients are the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dynprop.kinds.layer.cases import LayerCase, layer_case
from dynprop.kinds.layer.derivatives import flat
from dynprop.kinds.layer.forms import long_cases
from dynprop.kinds.layer.judging import agree, given_state, run_whole, sensitivity
from dynprop.kinds.layer.moved import moved_gradients
from dynprop.kinds.layer.pullback import Cotangents
from dynprop.kinds.layer.subject import LayerSubject
from dynprop.laws.evidence import Comparison, Evidence, worst
from dynprop.laws.law import law

__all__ = ["reference"]


def _is_compared(subject: LayerSubject) -> str | None:
    return "no reference is given (--reference)" if subject.reference is None else None


@law(
    "layer/reference",
    claim="C1",
    statement="outputs and gradients are those of another layer with the same parameters, within the bounds "
    "of both",
    source="a slow loop as the definition; layers that agree with themselves and with nothing else",
    draw=layer_case,
    fixed=long_cases,
    applies=_is_compared,
    script="# {what} of the layer and of the reference, with the same parameters, beside each other",
    share=0.3,
)
def reference(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Compare outputs and gradients of two layers, each from the state after its own warm-up."""
    other = subject.reference
    if other is None:
        return Evidence()
    theirs = replace(case, dtype=other.dtype(case.dtype))
    state = given_state(subject, case)
    whole = run_whole(subject, case, state)
    bound = sensitivity(subject, case, state, whole)
    weights = Cotangents(case.cotangent(whole.shape))
    cut = subject.domain.uncut < case.steps
    mine = (
        None
        if cut or not subject.differentiable
        else moved_gradients(subject, case, state, weights, subject.primary)
    )
    with other.parameters_as(case.dtype):
        start = given_state(other.subject, theirs)
        expected = run_whole(other.subject, theirs, start)
        wide = sensitivity(other.subject, theirs, start, expected)
        exact = None
        if mine is not None and other.subject.differentiable:
            exact = moved_gradients(other.subject, theirs, start, weights, other.subject.primary)
    found = agree("outputs beside the reference", whole, expected, bound + wide, case.dtype)
    pairs: list[tuple[Mapping[str, str], Comparison]] = [({"what": "outputs"}, found)]
    if mine is not None and exact is not None:
        limit = np.full_like(exact.pulled.inputs, mine.inputs + exact.inputs)
        label = "gradient to the inputs beside the reference"
        axes = ("batch", "step", "feature")
        found = agree(label, mine.pulled.inputs, exact.pulled.inputs, limit, case.dtype, axes=axes)
        pairs.append(({"what": "gradients to the inputs"}, found))
        for name, value in mine.pulled.parameters.items():
            partner = other.names.get(name, name)
            if partner in exact.pulled.parameters:
                wanted = flat(exact.pulled.parameters[partner])[None]
                limit = np.full_like(wanted, mine.parameters[name] + exact.parameters[partner])
                label = f"gradient to {name} beside the reference"
                found = agree(label, flat(value)[None], wanted, limit, case.dtype, axes=("row", "entry"))
                pairs.append(({"what": f"gradients to {name}"}, found))
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)
