"""Gradients of every form: by lag, through the final state, to the initial state, of everything.

d(w . o_T) to the arguments at step T - k is what a long-range gradient is made of (Bengio, Simard and
Frasconi 1994). The bounds are relative to what the recurrence itself carries over k steps, so that no lag is
too small to be judged, unless a form must cancel to reach it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from dynprop.kinds.linear_attention.cases import LinearCase, linear_case
from dynprop.kinds.linear_attention.judging import judge
from dynprop.kinds.linear_attention.solution import cotangents, solution
from dynprop.kinds.linear_attention.subject import LinearSubject
from dynprop.laws.evidence import Comparison, Evidence, LagProfile, worst
from dynprop.laws.law import law

SHORT = partial(linear_case, longest=129)


def differentiable(subject: LinearSubject) -> str | None:
    """Return why there are no gradients, or None."""
    return None if subject.differentiable else "the library has no automatic differentiation"


def _from_a_state(subject: LinearSubject) -> str | None:
    return differentiable(subject) or (
        None if subject.convention.initial else "the kernel takes no initial state"
    )


def _gradients(
    subject: LinearSubject, case: LinearCase, loss: str, leaves: tuple[str, ...] = ()
) -> Iterator[tuple[dict[str, str], Comparison]]:
    """Yield the comparison of every form's gradients with the exact ones."""
    for label, form in subject.whole.items():
        weighted = loss
        if not form.has_state:
            if loss == "final state":
                continue
            weighted = "outputs" if loss == "everything" else loss
        local = replace(case, initial=None) if not form.takes_initial and case.initial is not None else case
        found = form.losses(local, cotangents(local, weighted))
        answers = solution(local, subject.convention, weighted)
        for name, value in found.items():
            if not leaves or name in leaves:
                comparison = judge(label, name, value, answers[name], local, subject.convention, weighted)
                yield {"form": label, "leaf": name}, comparison


def _by_lag(comparison: Comparison) -> LagProfile:
    """Return the worst relative error of the gradient to v at each lag, over what is decided."""
    axes, size = (0, 2, 3), np.abs(comparison.reference)
    decided = np.logical_and(comparison.decided, size > 0.0)
    with np.errstate(all="ignore"):
        error = np.where(decided, comparison.residual / size, 0.0)
        bound = np.where(decided, comparison.bound / size, 0.0)
    return LagProfile(
        np.arange(size.shape[1]),
        error.max(axis=axes),
        bound.max(axis=axes),
        np.asarray(np.any(decided, axis=axes)),
    )


@law(
    "linear-attention/gradient-by-lag",
    claim="C6",
    statement="the gradients of the last output to every argument at every step are those of the recurrence, "
    "at every lag",
    source="Bengio, Simard and Frasconi 1994; Goodfellow et al. 2016, section 10.7",
    draw=linear_case,
    applies=differentiable,
    script="o, state = f(q, k, v, **others)\no[:, -1].sum().backward()\nprint(v.grad.flip(1))",
    share=0.3,
)
def gradient_by_lag(subject: LinearSubject, case: LinearCase) -> Evidence:
    """Judge one backward pass from the last output, in every form."""
    pairs = list(_gradients(subject, case, "last output"))
    comparisons, detail = worst(pairs)
    lags = [_by_lag(c) for found, c in pairs if found["leaf"] == "v" and found["form"] == "forward"]
    return Evidence(comparisons, detail=detail, lags=lags[0] if lags else None)


@law(
    "linear-attention/gradient-through-state",
    claim="C6",
    statement="the gradients of the final state to every argument are those of the recurrence",
    source="state-space-models: gradients through a final state are dropped or decayed once too often",
    draw=SHORT,
    applies=differentiable,
    script="o, state = f(q, k, v, **others)\nstate.sum().backward()\nprint(k.grad, v.grad)",
    share=0.2,
)
def gradient_through_state(subject: LinearSubject, case: LinearCase) -> Evidence:
    """Judge one backward pass from the final state, in every form."""
    comparisons, detail = worst(_gradients(subject, case, "final state"))
    return Evidence(comparisons, detail=detail)


@law(
    "linear-attention/gradient-initial-state",
    claim="C6",
    statement="the gradient to the initial state is that of the recurrence",
    source="public fixes of 2025-26: the gradient of the initial state is dropped",
    draw=partial(linear_case, longest=65, states=(True,)),
    applies=_from_a_state,
    script="o, state = f(q, k, v, initial_state=initial_state, **others)\n"
    "(o.sum() + state.sum()).backward()\nprint(initial_state.grad)",
    share=0.2,
)
def gradient_initial_state(subject: LinearSubject, case: LinearCase) -> Evidence:
    """Judge the gradient of everything to the initial state, in every form."""
    comparisons, detail = worst(_gradients(subject, case, "everything", ("initial_state",)))
    return Evidence(comparisons, detail=detail)


@law(
    "linear-attention/gradient-dense",
    claim="C6",
    statement="the gradients of a weighted sum of all outputs and the final state to every argument are "
    "those of the recurrence",
    source="Yang et al. 2024, section 3 (backward of the chunked delta rule)",
    draw=SHORT,
    applies=differentiable,
    script="o, state = f(q, k, v, **others)\n(o.sum() + state.sum()).backward()\n"
    "print(q.grad, k.grad, v.grad)",
    share=0.3,
)
def gradient_dense(subject: LinearSubject, case: LinearCase) -> Evidence:
    """Judge the gradient of everything to every argument, in every form."""
    comparisons, detail = worst(_gradients(subject, case, "everything"))
    return Evidence(comparisons, detail=detail)
