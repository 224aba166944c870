"""Outputs and final state of every form: exact on whole numbers, within the bound on any."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.contracts.formats import FORMATS
from dynprop.kinds.linear_attention.cases import LONG_NORM, LinearCase, linear_case, whole_case
from dynprop.kinds.linear_attention.convention import Convention
from dynprop.kinds.linear_attention.judging import NAMES, judge
from dynprop.kinds.linear_attention.solution import Answer, cotangents, solution, whole_solution
from dynprop.kinds.linear_attention.subject import LinearSubject
from dynprop.laws.evidence import Comparison, Evidence, compare, worst
from dynprop.laws.law import law

SOURCE = "Yang et al. 2024 (delta rule), Dao and Gu 2024 (SSD); fla-org/flash-linear-attention"
# Whole numbers up to this part of 1/u are sums without rounding.
MARGIN = 0.25


@law(
    "linear-attention/whole-numbers",
    claim="C1",
    statement="for one-hot keys, beta 0 or 1, no decay and small whole numbers, outputs, final state and "
    "every gradient of every form equal the recurrence bit for bit",
    source="no form rounds them, not even the inverse of a chunk's triangular system",
    draw=whole_case,
    script="o, state = f(q, k, v, **others)\nprint(o - o.round(), state - state.round())",
    share=0.3,
)
def whole_numbers(subject: LinearSubject, case: LinearCase) -> Evidence:
    """Compare all results of every form with the recurrence, without a tolerance."""
    answers = whole_solution(case, subject.convention)
    forms = subject.whole if case.boundaries is None else {"packed": subject.forms["packed"]}
    pairs: list[tuple[dict[str, str], Comparison]] = []
    for label, form in forms.items():
        local, exact = case, answers
        if not form.takes_initial and case.initial is not None:
            local = replace(case, initial=None)
            exact = whole_solution(local, subject.convention)
        o, state = form.run(local)
        values = {"o": o} if state is None else {"o": o, "final_state": state}
        if subject.differentiable:
            weights = cotangents(local, "everything")
            if not form.has_state:
                weights = cotangents(local, "outputs")
                exact = whole_solution(local, subject.convention, "outputs")
            values |= form.losses(local, weights)
        pairs += [
            ({"form": label}, _bitwise(label, name, value, exact[name], local, subject.convention))
            for name, value in values.items()
            if not (name == "log_decay" and subject.convention.decay_space == "log2")
        ]
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)


def _bitwise(
    label: str, name: str, value: FloatArray, answer: Answer, case: LinearCase, convention: Convention
) -> Comparison:
    unit = FORMATS[case.dtype].unit
    factor = case.factor(convention)
    if factor is None:
        factor = float(case.state_shape[2]) ** -0.5
    grain = min(1.0, factor) if np.log2(factor).is_integer() else 0.0
    if name in ("q", "k") and convention.normalises is not None:
        grain /= LONG_NORM
    exactly = answer.in_range & (answer.magnitude <= MARGIN * grain / unit)
    what = NAMES.get(name, f"gradient to {name}")
    return compare(
        f"{what} ({label})",
        value,
        answer.exact,
        np.zeros_like(value),
        dtype=case.dtype,
        axes=answer.axes(name),
        scale=np.abs(answer.exact.high),
        in_range=exactly,
    )


def judged(
    subject: LinearSubject, case: LinearCase, name: str
) -> Iterator[tuple[dict[str, str], Comparison]]:
    """Yield the comparison of outputs or final state of every form with the exact recurrence."""
    for label, form in subject.whole.items():
        if name == "final_state" and not form.has_state:
            continue
        local = replace(case, initial=None) if not form.takes_initial and case.initial is not None else case
        o, state = form.run(local)
        value = o if state is None or name == "o" else state
        answer = solution(local, subject.convention)[name]
        yield {"form": label}, judge(label, name, value, answer, local, subject.convention)


@law(
    "linear-attention/outputs",
    claim="C1",
    statement="the outputs of every form are those of the recurrence, within the rounding errors of any form",
    source=SOURCE,
    draw=linear_case,
    script="# compare o with the loop over S = d S; u = beta (v - S^T k); S = S + k u^T; o = scale S^T q\n"
    "print(f(q, k, v, **others)[0])",
    share=0.4,
)
def outputs(subject: LinearSubject, case: LinearCase) -> Evidence:
    """Compare the outputs of every form with the exact ones."""
    comparisons, detail = worst(judged(subject, case, "o"))
    return Evidence(comparisons, detail=detail)


@law(
    "linear-attention/final-state",
    claim="C1",
    statement="the final state of every form is that of the recurrence, in the declared layout",
    source="fla-org/flash-linear-attention (state layouts); xlstm 2.0.6 (state off by sqrt K)",
    draw=partial(linear_case, longest=129),
    script="# compare with the loop over S = d S; u = beta (v - S^T k); S = S + k u^T\n"
    "print(f(q, k, v, **others)[1])",
    share=0.3,
)
def final_state(subject: LinearSubject, case: LinearCase) -> Evidence:
    """Compare the final state of every form with the exact one."""
    comparisons, detail = worst(judged(subject, case, "final_state"))
    return Evidence(comparisons, detail=detail)
