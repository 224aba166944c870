"""Cuts, packed sequences, padding, rows and heads alone, causality: one result by several ways."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, round_to
from dynprop.kinds.linear_attention.cases import LinearCase, linear_case, packed_case
from dynprop.kinds.linear_attention.convention import format_inside
from dynprop.kinds.linear_attention.judging import agree, is_rounded, judge
from dynprop.kinds.linear_attention.solution import (
    Answer,
    bounded,
    cotangents,
    cut,
    solution,
)
from dynprop.kinds.linear_attention.subject import Form, LinearSubject
from dynprop.laws.evidence import Comparison, Evidence, worst
from dynprop.laws.law import law

Pair = tuple[dict[str, object], Comparison]


def _resumes(subject: LinearSubject) -> str | None:
    return None if _hand_overs(subject) else "no form takes the state of another"


def _hand_overs(subject: LinearSubject) -> list[tuple[str, Form, Form]]:
    """Return pairs of forms, the first of which hands its state to the second."""
    forms = {label: form for label, form in subject.whole.items() if form.has_state}
    pairs = [(a, b) for a in forms for b in forms if forms[b].takes_initial and not a == b == "step"]
    return [(f"{a} to {b}" if a != b else a, forms[a], forms[b]) for a, b in pairs]


def _cut_points(case: LinearCase, count: int = 2) -> list[int]:
    """Return steps at which a case is cut, on and off the grid of chunks."""
    units = case.steps // case.multiple
    rng = np.random.default_rng([case.seed, 5])
    chosen = rng.permutation(np.arange(1, units))[:count]
    return sorted(int(p) * case.multiple for p in chosen)


@law(
    "linear-attention/resume",
    claim="C1",
    statement="a sequence cut anywhere, also inside a chunk, and resumed from the state there by any form "
    "gives the outputs, final state and gradients of the whole",
    source="fla-org/flash-linear-attention#285; xlstm 2.0.6; transformers caches of Mamba, Zamba",
    draw=partial(linear_case, shortest=2, longest=65),
    applies=_resumes,
    script="p = {split}\nhead, state = f(q[:, :p], k[:, :p], v[:, :p], **others)\n"
    "tail, state = f(q[:, p:], k[:, p:], v[:, p:], initial_state=state, **others)\nprint(tail, state)",
    share=0.3,
)
def resume(subject: LinearSubject, case: LinearCase) -> Evidence:
    """Cut twice, resume by every pair of forms, and compare with the exact recurrence of the whole."""
    pairs: list[Pair] = []
    pairings = [
        (label, first, second)
        for label, first, second in _hand_overs(subject)
        if first.takes_initial or case.initial is None
    ]
    weights = cotangents(case, "everything")
    for p in _cut_points(case):
        for label, first, second in pairings:
            if second.form == "step" and case.steps - p > 20:
                continue
            pairs += _resumed(subject, case, p, label, first, second)
    points = _cut_points(case, 1)
    if subject.differentiable and points and pairings:
        label, first, second = pairings[case.seed % len(pairings)]
        if "step" not in (first.form, second.form):
            found = first.losses(case, weights, points, (second,))
            answers = solution(case, subject.convention, "everything")
            pairs += [
                (
                    {"split": points[0], "forms": label},
                    judge(f"resumed: {label}", n, v, answers[n], case, subject.convention, "everything"),
                )
                for n, v in found.items()
            ]
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)


def _resumed(
    subject: LinearSubject, case: LinearCase, p: int, label: str, first: Form, second: Form
) -> Iterator[Pair]:
    convention = subject.convention
    o, state = first.run(case.part(0, p))
    assert state is not None
    if not np.isfinite(state).all():
        return
    tail = case.part(p, case.steps).with_initial(state)
    rest, final = second.run(tail)
    assert final is not None
    detail: dict[str, object] = {"split": p, "forms": label}
    text = f"resumed at {p}: {label}"
    if format_inside(case.dtype, convention) != case.dtype and is_rounded(state, case.dtype):
        # The state was rounded to the format of the arguments: the tail is exact from there.
        answers = solution(tail, convention)
        yield detail, judge(text, "o", rest, answers["o"], tail, convention)
        yield detail, judge(text, "final_state", final, answers["final_state"], tail, convention)
        return
    answers = solution(case, convention)
    whole = np.concatenate([o, rest], axis=1)
    yield detail, judge(text, "o", whole, answers["o"], case, convention)
    yield detail, judge(text, "final_state", final, answers["final_state"], case, convention)


def _packs(subject: LinearSubject) -> str | None:
    return None if subject.has_packed else "no form takes cu_seqlens"


@law(
    "linear-attention/packed",
    claim="C1",
    statement="each packed sequence has the outputs, final state and gradients of the sequence alone, from "
    "its own initial state",
    source="transformers 5.24.0, torch_chunk_gated_delta_rule (cu_seqlens accepted and ignored)",
    draw=packed_case,
    applies=_packs,
    script="o, state = f(q, k, v, cu_seqlens=cu_seqlens, **others)\n"
    "print([f(q[:, i:j], k[:, i:j], v[:, i:j], **others)[0] - o[:, i:j] for i, j in pairs])",
    share=0.3,
)
def packed(subject: LinearSubject, case: LinearCase) -> Evidence:
    """Compare packed sequences with the exact recurrence of each alone."""
    form, convention = subject.forms["packed"], subject.convention
    loss = "everything" if subject.differentiable else ""
    answers = solution(case, convention, loss)
    o, state = form.run(case)
    pairs = [judge("packed", "o", o, answers["o"], case, convention)]
    if state is not None:
        pairs.append(judge("packed", "final_state", state, answers["final_state"], case, convention))
    if loss:
        found = form.losses(case, cotangents(case, loss))
        pairs += [judge("packed", n, v, answers[n], case, convention, loss) for n, v in found.items()]
    return Evidence(tuple(pairs))


@law(
    "linear-attention/neighbours",
    claim="C1",
    statement="other values in one packed sequence change no other sequence",
    source="vLLM, SGLang: states that leak over the boundaries of packed sequences",
    draw=packed_case,
    applies=_packs,
    script="o, _ = f(q, k, v, cu_seqlens=cu_seqlens, **others)\nv[:, cu_seqlens[{other}]:] *= 2\n"
    "print(f(q, k, v, cu_seqlens=cu_seqlens, **others)[0] - o)",
    share=0.2,
)
def neighbours(subject: LinearSubject, case: LinearCase) -> Evidence:
    """Change one sequence, and compare all others with what they were."""
    assert case.boundaries is not None
    form, convention = subject.forms["packed"], subject.convention
    index = case.seed % case.sequences
    start, stop = case.boundaries[index : index + 2]
    v = case.v.copy()
    v[:, start:stop] = -2.0 * v[:, start:stop]
    initial = None if case.initial is None else case.initial.copy()
    if initial is not None:
        initial[index] *= -2.0
    answers = bounded(case, convention)
    before, state = form.run(case)
    after, later = form.run(replace(case, v=v, initial=initial))
    dtype, text = format_inside(case.dtype, convention), "beside another neighbour"
    own = np.ones(case.steps, dtype=bool)
    own[start:stop] = False
    pairs = [agree(text, "o", after[:, own], before[:, own], cut(answers["o"], (slice(None), own)), dtype)]
    if state is not None and later is not None:
        others = np.arange(case.sequences) != index
        part = cut(answers["final_state"], (others,))
        pairs.append(agree(text, "final_state", later[others], state[others], part, dtype))
    return Evidence(tuple(pairs), detail={"other": index})


def _pads(subject: LinearSubject) -> str | None:
    if subject.convention.decay == "constant":
        return "with a constant decay no step leaves the state as it is"
    if subject.convention.normalises == 0.0:
        return "a key of zero has no direction to normalise to (epsilon 0)"
    return None


@law(
    "linear-attention/padding",
    claim="C1",
    statement="steps with k, v, beta, a, b and log decay 0 leave the state as it is, in front and behind",
    source="state-spaces/mamba#368; lengths that are padded to whole chunks",
    draw=partial(linear_case, longest=65),
    applies=_pads,
    script="# append {padding} steps with k = v = beta = a = b = log_decay = 0: the state stays\n"
    "print(f(q, k, v, **others)[1])",
    share=0.2,
)
def padding(subject: LinearSubject, case: LinearCase) -> Evidence:
    """Pad both ends, and compare outputs and final state with the sequence alone."""
    count = case.multiple * (1 + case.seed % 3)
    convention, pairs = subject.convention, []
    answers = bounded(case, convention)
    dtype = format_inside(case.dtype, convention)
    for label, form in subject.whole.items():
        if not form.takes_initial and (case.initial is not None or not form.has_state):
            continue
        o, state = form.run(case)
        for text, where, steps in (
            ("padding behind", case.steps, slice(0, case.steps)),
            ("padding in front", 0, slice(count, None)),
        ):
            longer = _padded(case, where, count, convention.neutral_decay)
            found, final = form.run(longer)
            wide = {n: _doubled(a) for n, a in answers.items()}
            assert state is not None
            assert final is not None
            pairs.append(agree(f"with {text} ({label})", "o", found[:, steps], o, wide["o"], dtype))
            pairs.append(
                agree(f"with {text} ({label})", "final_state", final, state, wide["final_state"], dtype)
            )
    return Evidence(tuple(pairs), detail={"padding": count})


def _doubled(answer: Answer) -> Answer:
    """Return an answer with twice its bound: up to as many steps again store the state."""
    return replace(answer, bound=2.0 * answer.bound)


def _padded(case: LinearCase, where: int, count: int, neutral: float) -> LinearCase:
    changed: dict[str, Any] = {}
    for name in ("q", "k", "v", "decay", "beta", "a", "b"):
        values: FloatArray | None = getattr(case, name)
        if values is not None:
            pad = np.full((values.shape[0], count, *values.shape[2:]), neutral if name == "decay" else 0.0)
            changed[name] = np.concatenate([values[:, :where], pad, values[:, where:]], axis=1)
    return replace(case, **changed)


def _crowd(subject: LinearSubject) -> str | None:
    return None


@law(
    "linear-attention/row-and-head-alone",
    claim="C1",
    statement="a row of the batch, and a key head with its value heads, have the same results alone",
    source="LRU-pytorch 0.1.3 (state of row 0 only); order of grouped heads in SSD kernels",
    draw=partial(linear_case, longest=65),
    applies=_crowd,
    script="r = {row}\nprint(f(q, k, v, **others)[0][r:r+1] - f(q[r:r+1], k[r:r+1], v[r:r+1], **others)[0])",
    share=0.2,
)
def row_and_head_alone(subject: LinearSubject, case: LinearCase) -> Evidence:
    """Compare one row, and one key head, with the same alone."""
    form, convention = subject.forms["forward"], subject.convention
    answers = bounded(case, convention)
    dtype = format_inside(case.dtype, convention)
    o, state = form.run(case)
    pairs: list[Pair] = []
    row = case.seed % case.batch
    head = case.seed % case.key_heads
    own = np.flatnonzero(convention.key_heads(case.heads, case.key_heads) == head)
    everything = slice(None)
    for detail, alone, index, state_index in (
        ({"row": row, "head": "all"}, case.row(row), (slice(row, row + 1),), (slice(row, row + 1),)),
        (
            {"row": "all", "head": head},
            case.group(head, convention),
            (everything, everything, own),
            (everything, own),
        ),
    ):
        found, final = form.run(alone)
        text = "alone and together"
        pairs.append((dict(detail), agree(text, "o", found, o[index], cut(answers["o"], index), dtype)))
        if state is not None and final is not None:
            part = cut(answers["final_state"], state_index)
            pairs.append((dict(detail), agree(text, "final_state", final, state[state_index], part, dtype)))
    comparisons, detail_found = worst(pairs)
    return Evidence(comparisons, detail=detail_found)


@law(
    "linear-attention/causality",
    claim="C1",
    statement="outputs before a step do not depend on it",
    source="masks of chunks that keep the diagonal of the wrong side",
    draw=partial(linear_case, shortest=2, longest=65),
    script="p = {step}\nbefore = f(q, k, v, **others)[0]\nv[:, p:] += 1\n"
    "print(f(q, k, v, **others)[0][:, :p] - before[:, :p])",
    share=0.2,
)
def causality(subject: LinearSubject, case: LinearCase) -> Evidence:
    """Change everything from a step on, and compare the outputs before it."""
    convention = subject.convention
    p = int(np.random.default_rng([case.seed, 3]).integers(1, case.steps))
    later = case.take("time", np.concatenate([np.arange(p), np.arange(case.steps - 1, p - 1, -1)]))
    v = later.v.copy()
    v[:, p:] = 1.0 - v[:, p:]
    other = replace(later, v=round_to(v, case.dtype))
    answers, pairs = bounded(case, convention), []
    dtype = format_inside(case.dtype, convention)
    for label, form in subject.whole.items():
        if form.form == "step":
            continue
        first, second = (
            (case, other) if form.takes_initial else (replace(x, initial=None) for x in (case, other))
        )
        before, after = form.run(first)[0][:, :p], form.run(second)[0][:, :p]
        part = cut(answers["o"], (slice(None), slice(0, p)))
        pairs.append(agree(f"before a changed step ({label})", "o", after, before, part, dtype))
    return Evidence(tuple(pairs), detail={"step": p})
