"""Laws of batches: a row gives the same alone, in a batch, with a state, padded, with side inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from dynprop.contracts.domain import Domain
from dynprop.contracts.states import State
from dynprop.kinds.layer.cases import LayerCase, layer_case, made_case
from dynprop.kinds.layer.judging import agree, given_state, run_whole, sensitivity
from dynprop.kinds.layer.subject import LayerSubject
from dynprop.laws.draw import Source
from dynprop.laws.evidence import Comparison, Evidence, worst
from dynprop.laws.law import law

EXTRA = 2


def _rows(subject: LayerSubject, case: LayerCase, state: State | None) -> Evidence:
    """Compare each row in the batch with the row alone."""
    whole = run_whole(subject, case, state)
    bound = sensitivity(subject, case, state, whole)
    alone = [
        run_whole(subject, case.take(slice(r, r + 1)), None if state is None else state.rows(slice(r, r + 1)))
        for r in range(case.batch)
    ]
    # The row alone is the reference: implementations get batches wrong.
    reference = np.concatenate(alone, axis=0)
    found = agree("outputs of rows in their batch", whole, reference, bound, case.dtype)
    return Evidence((found,), detail={"row": found.worst[0]})


@law(
    "layer/row-alone",
    claim="C1",
    statement="a row gives the same outputs alone and in any batch",
    source="batch statistics, reshapes of (batch, time)",
    draw=partial(layer_case, batches=(2, 4), state=False),
    script="r = {row}\n# layer(x) at row r against layer(x with row r only)",
    share=0.5,
)
def row_alone(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Compare rows without a state."""
    return _rows(subject, case, None)


def square_cases(domain: Domain, subject: Any) -> Iterator[LayerCase]:
    """Yield a batch as large as the number of units: a transposed state has the same shape there."""
    units = subject.units
    if units is not None and 1 < units <= 64:
        for dtype in domain.dtypes:
            rng = np.random.default_rng([units, 17])
            yield made_case(rng, subject, dtype, batch=units, steps=3, state=True)


def _takes_state(subject: LayerSubject) -> str | None:
    if not subject.takes_state:
        return "no state can be given"
    if not subject.returns_state and "initial_state" not in subject.forms:
        return "no state is returned and no initial_state is offered, so none can be given"
    return None


@law(
    "layer/row-alone-with-state",
    claim="C1",
    statement="with a state given, a row gives the same outputs alone and in any batch, also where the "
    "batch is as large as the number of units",
    source="LRU-pytorch 0.1.3 (the state is used for row 0, then reset)",
    draw=partial(layer_case, batches=(2, 4), state=True),
    fixed=square_cases,
    applies=_takes_state,
    script="r = {row}\n# layer(x, state) at row r against layer(x and state with row r only)",
    share=0.5,
)
def row_alone_with_state(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Compare rows with a state."""
    if case.warm_up is None:
        return Evidence()
    return _rows(subject, case, given_state(subject, case))


def padded_case(source: Source, domain: Domain, subject: Any) -> LayerCase:
    """Draw a batch of rows that are padded to one length."""
    case = layer_case(source, domain, subject, batches=(2, 4), longest=12)
    low = min(subject.shortest_row, case.steps)
    lengths = [source.integer(low, case.steps) for _ in range(case.batch)]
    return replace(case, lengths=tuple(lengths))


def padded_cases(domain: Domain, subject: Any) -> Iterator[LayerCase]:
    """Yield rows of length 0 (where offered), 1 and full."""
    for dtype in domain.dtypes:
        rng = np.random.default_rng([4, 19])
        for state in (True, False) if subject.takes_state else (False,):
            case = made_case(rng, subject, dtype, batch=4, steps=min(6, domain.max_length), state=state)
            shortest = subject.shortest_row
            yield replace(case, lengths=(case.steps, shortest, 1, max(1, case.steps - 2)))


def pads(subject: LayerSubject) -> str | None:
    """Return why no row can be padded, or None."""
    return "padded rows (lengths) are not offered" if subject.shortest_row is None else None


@law(
    "layer/padding",
    claim="C1",
    statement="a padded row gives the outputs and the state of the row alone, for lengths 0, 1 and full",
    source="flax 0.12.8 RNN with seq_lengths (length 0); state-spaces/mamba#368",
    draw=padded_case,
    fixed=padded_cases,
    applies=pads,
    script="r, length = {row}, {length}\n# layer(x, lengths=...) at row r against layer(x[r, :length])",
    share=0.5,
)
def padding(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Compare each padded row, and the outputs that follow from its state, with the row alone."""
    lengths = case.lengths or ()
    state = given_state(subject, case)
    y, after = subject.call(subject.primary, case.inputs, state, case.dtype, case.sides, lengths)
    further = case.part(0, min(EXTRA, case.steps))
    # The bound of a row does not depend on the other rows: that of the whole batch serves all of them.
    full = replace(case, lengths=None)
    bounds = sensitivity(subject, full, state, run_whole(subject, full, state))
    pairs: list[tuple[dict[str, Any], Comparison]] = []
    for r, length in enumerate(lengths):
        row = slice(r, r + 1)
        start = None if state is None else state.rows(row)
        single = replace(case.take(row), lengths=None)
        detail = {"row": r, "length": length}
        if length > 0:
            valid = single.part(0, length)
            alone, end = subject.call(subject.primary, valid.inputs, start, case.dtype, valid.sides)
            bound = bounds[row, :length]
            found = agree(f"outputs of a row of length {length}", y[row, :length], alone, bound, case.dtype)
            pairs.append((detail, found))
        else:
            end = start
        if after is None or (end is None and start is not None):
            continue
        rest = replace(further.take(row), lengths=None)
        expected = run_whole(subject, rest, end)
        value = run_whole(subject, rest, after.rows(row))
        bound = sensitivity(subject, rest, end, expected)
        whole_end = partial(_padded_end, subject, single, start, rest)
        label = f"outputs that follow from the state of a row of length {length}"
        found = agree(label, value, expected, bound, case.dtype, alternatives=whole_end)
        pairs.append((detail, found))
    comparisons, detail = worst(pairs)  # type: ignore[assignment]  # a mapping again
    return Evidence(comparisons, detail=detail)


def _padded_end(subject: LayerSubject, single: LayerCase, start: State | None, rest: LayerCase) -> Any:
    _, end = subject.call(subject.primary, single.inputs, start, single.dtype, single.sides)
    return {"the state is the one after all padded steps": run_whole(subject, rest, end)}


def _has_sides(subject: LayerSubject) -> str | None:
    return None if subject.side_shapes else "the layer takes no side inputs"


@law(
    "layer/side-inputs",
    claim="C1",
    statement="per-step side inputs act at their own step and row: they change neither earlier outputs nor "
    "other rows",
    source="time spans of continuous-time cells",
    draw=partial(layer_case, shortest=2, batches=(2, 3)),
    applies=_has_sides,
    script="p = {split}\n# change a side input of row 0 from step p on: only row 0 from step p on may change",
    share=0.5,
)
def side_inputs(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Change the side inputs of one row from one step on, and compare all other outputs."""
    state = given_state(subject, case)
    whole = run_whole(subject, case, state)
    bound = sensitivity(subject, case, state, whole)
    p = 1 + case.seed % max(1, case.steps - 1)
    pairs = []
    for name, values in case.sides.items():
        other = values.copy()
        other[0, p:] = 1.0
        value = run_whole(subject, replace(case, sides={**case.sides, name: other}), state)
        earlier = agree(
            f"outputs before {name} changes", value[:, :p], whole[:, :p], bound[:, :p], case.dtype
        )
        others = agree(f"outputs of rows whose {name} stays", value[1:], whole[1:], bound[1:], case.dtype)
        pairs += [({"split": p, "side": name}, earlier), ({"split": p, "side": name}, others)]
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)
