"""Any object of the right form is a task to the laws of kind task; cases are drawn, read and stored."""

from __future__ import annotations

from collections import Counter, namedtuple
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dynprop.check.run.outcome import judge_case
from dynprop.check.run.runner import Options, run_law
from dynprop.contracts.domain import Domain
from dynprop.errors import TargetError
from dynprop.kinds import law_by_id, laws_for
from dynprop.kinds.task.cases import LONG, TaskCase, task_case, usual_case
from dynprop.kinds.task.frequencies import marked_positions
from dynprop.kinds.task.sequences import rows_of
from dynprop.kinds.task.target import TaskAdapter
from dynprop.kinds.task.variants import VARIANTS
from dynprop.laws.draw import RandomSource
from dynprop.training import TASKS, Batch, Criterion

QUICK = Options(examples=3, patience=0.0)
LAWS = [law.id for law in laws_for("task")]
Rng = np.random.Generator


def drawn_otherwise(name: str, change: Any) -> TaskAdapter:
    right = TASKS[name]

    def draw(length: int, count: int, rng: Rng) -> Batch:
        batch = right.draw(length, count, rng)
        changed: Batch = change(replace(batch, inputs=batch.inputs.copy()), rng)
        return changed

    return TaskAdapter(replace(right, draw=draw))


def verdict(law: str, subject: TaskAdapter, case: TaskCase) -> str:
    return judge_case(law_by_id(f"task/{law}"), subject, case).verdict


# The adapter.


@dataclass
class Changeable:
    inputs: Any
    targets: Any
    ends: Any


class Sealed:
    __slots__ = ("_batch",)

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (Changeable, "pass"),
        (namedtuple("Named", "inputs targets ends"), "pass"),
        (lambda inputs, targets, ends: SimpleNamespace(inputs=inputs, targets=targets, ends=ends), "pass"),
        (lambda inputs, targets, ends: Sealed(Batch(inputs, targets, ends)), "undecidable"),
    ],
)
def test_an_oracle_is_handed_other_targets_in_a_batch_of_any_kind(kind: Any, found: str) -> None:
    def change(batch: Batch, rng: Rng) -> Any:
        return kind(batch.inputs, batch.targets, batch.ends)

    assert verdict("oracle-reads-inputs", drawn_otherwise("latch", change), TaskCase(9, 8, 0)) == found


def test_an_oracle_that_writes_its_answers_into_the_batch_is_seen() -> None:
    def solve(batch: Batch) -> Any:
        batch.targets[...] = 1.0
        return batch.targets

    subject = TaskAdapter(replace(TASKS["latch"], solve=solve))
    assert verdict("oracle-reads-inputs", subject, TaskCase(9, 8, 0)) == "wrong"


def test_an_oracle_that_remembers_the_last_batch_is_seen() -> None:
    last: list[Batch] = []
    right = TASKS["latch"]

    def draw(length: int, count: int, rng: Rng) -> Batch:
        last.append(right.draw(length, count, rng))
        return last[-1]

    subject = TaskAdapter(replace(right, draw=draw, solve=lambda batch: last[-1].targets))
    assert verdict("oracle-reads-inputs", subject, TaskCase(9, 8, 0)) == "wrong"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "latch",
            lambda b: replace(b, targets=b.targets[:, 0]),
            r"targets of shape \(48,\), expected \(48, out",
        ),
        ("copy", lambda b: replace(b, targets=b.targets[:-1]), r"targets of shape"),
        ("copy", lambda b: replace(b, inputs=b.inputs[:, :, :9]), "9 features a step, expected 10"),
        ("parity", lambda b: replace(b, ends=b.ends + 1), "ends are no steps"),
    ],
)
def test_batches_of_another_form_are_wrong_and_say_why(name: str, change: Any, message: str) -> None:
    subject = drawn_otherwise(name, lambda batch, rng: change(batch))
    result = run_law(law_by_id("task/sequences"), subject, QUICK)
    assert (result.verdict, result.counterexample is not None) == ("wrong", True)
    assert result.counterexample is not None
    with pytest.raises(ValueError, match=message):
        raise ValueError(result.counterexample.message)


@pytest.mark.parametrize("law", LAWS)
def test_inputs_and_targets_that_make_no_sense_break_no_law(law: str) -> None:
    outcomes = set()
    for name in ("latch", "adding-hochreiter", "temporal-order-6a", "copy"):

        def spoil(batch: Batch, rng: Rng) -> Batch:
            batch.inputs[-1, ::3] = np.nan
            targets = np.where(
                np.arange(batch.targets.size).reshape(batch.targets.shape) % 5, batch.targets, 99
            )
            return replace(batch, targets=targets)

        outcomes.add(run_law(law_by_id(law), drawn_otherwise(name, spoil), QUICK).verdict)
    # Positions, lengths and symbols are as they were.
    blind = law.split("/")[1] in ("mark-frequencies", "ends-uniform", "symbol-frequencies")
    assert bool(outcomes & {"wrong", "error"}) != blind


def test_success_is_judged_on_so_many_sequences() -> None:
    few = replace(TASKS["parity"], criterion=Criterion(25, "side"))
    result = run_law(law_by_id("task/success-limit"), TaskAdapter(few), QUICK)
    assert result.counterexample is not None
    assert "25 sequences are judged, expected 256" in result.counterexample.message


def test_a_task_of_one_s_own_is_judged_by_the_laws_that_need_no_paper() -> None:
    own = replace(TASKS["adding-urnn"], name="mine")
    verdicts = {law: run_law(law_by_id(law), TaskAdapter(own), QUICK).verdict for law in LAWS}
    passed = {law.split("/")[1] for law, found in verdicts.items() if found == "pass"}
    assert passed == {"loss-average", "solvable", "oracle-reads-inputs"}
    assert set(verdicts.values()) == {"pass", "not-applicable"}


def test_something_that_is_no_task_is_named() -> None:
    with pytest.raises(TargetError, match="no chance_loss, mean_loss, succeeds, solve"):
        TaskAdapter(SimpleNamespace(name="x", loss="squared", shortest=1, sample=None)).preflight()


# Cases.


def test_cases_shrink_and_come_back_from_json() -> None:
    case = TaskCase(30, 64, 5, judging=True)
    assert TaskCase.from_json(case.to_json()) == case
    assert TaskCase.from_json({"length": 30, "count": 64, "seed": 5, "dtype": "float64"}).judging is False
    assert all(c.length <= 30 and c.count <= 64 and c != case for c in case.smaller())
    assert list(TaskCase(1, 1, 0).smaller()) == []
    assert "length 30, 64 sequences, seed 5, drawn for judging" in case.describe()


@pytest.mark.parametrize("name", ["latch", "adding-hochreiter", "copy", "digits"])
def test_cases_keep_to_the_lengths_of_a_task(name: str) -> None:
    subject, source = TaskAdapter(TASKS[name]), RandomSource(0)
    cases = [task_case(source, Domain(max_length=200), subject) for _ in range(60)]
    lengths = {case.length for case in cases}
    assert min(lengths) >= TASKS[name].shortest
    assert max(lengths) <= 64
    assert name == "digits" or len(lengths) >= 4
    # What is judged on is drawn too where it is drawn otherwise.
    assert {case.judging for case in cases} == ({False, True} if name == "digits" else {False})


def test_a_long_case_is_always_judged_where_it_exists() -> None:
    subject = TaskAdapter(TASKS["copy"])
    assert [case.length for case in usual_case(Domain(), subject, long=True)] == [21, LONG]
    assert [case.length for case in usual_case(Domain(max_length=200), subject, long=True)] == [21]


def test_many_sequences_are_drawn_where_they_are_small_and_from_a_seed_each() -> None:
    subject = TaskAdapter(TASKS["latch"])
    (case,) = usual_case(Domain(), subject, count=2048, numbers=2**22)
    parts = list(case.chunks(subject))
    assert sum(len(part.ends) for part in parts) == case.count == 32768
    assert not np.array_equal(parts[0].inputs, parts[1].inputs)
    assert np.array_equal(parts[0].inputs, replace(case, count=4096).drawn(subject).inputs)


def test_sequences_are_read_up_to_their_ends() -> None:
    found = TaskAdapter(TASKS["two-sequence"]).sample(30, 40, 0)
    assert [len(row) for row in rows_of(found)] == (found.ends + 1).tolist()


@pytest.mark.parametrize("name", ["adding-hochreiter", "temporal-order-6b", "temporal-order-pascanu"])
def test_sets_of_marks_are_read_as_loops_read_them(name: str) -> None:
    variant, found = VARIANTS[name], TaskAdapter(TASKS[name]).sample(23, 300, 0)
    _, which, cells = marked_positions(found, variant, 23)
    for row, cell in zip(rows_of(found), which, strict=True):
        at = tuple(t for t, step in enumerate(row) if any(step[f] == 1.0 for f in variant.marks))
        assert cells[cell][: len(at)] == at
        if len(variant.marks) > 1:
            bits = sum(2**k for k, t in enumerate(at) if row[t][variant.marks[1]] == 1.0)
            assert cells[cell][len(at) :] == (bits,)
    assert max(Counter(which.tolist()).values()) > 1
