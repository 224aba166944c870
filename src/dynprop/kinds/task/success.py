"""Laws of the success criterion, and of the oracle that proves a task solvable."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from dynprop.arrays import FloatArray, IntArray, NumericArray
from dynprop.contracts.domain import Domain
from dynprop.kinds.task.bounds import all_hold
from dynprop.kinds.task.cases import TaskCase, task_case, usual_case
from dynprop.kinds.task.sequences import CLAIM, published
from dynprop.kinds.task.subject import TaskSubject
from dynprop.kinds.task.variants import VARIANTS, Success
from dynprop.laws.draw import Source
from dynprop.laws.evidence import Evidence
from dynprop.laws.law import law

__all__: list[str] = []

# Relative distance of answers from a limit: far above rounding, and below the distance to any other limit.
NEAR = 1e-6


@law(
    "task/solvable",
    claim=CLAIM,
    statement="an oracle that reads the inputs meets the success criterion, and the best prediction that "
    "looks at none does not",
    source="google-research/long-range-arena#20: a task that nothing can solve",
    draw=partial(task_case, count=2048),
    fixed=partial(usual_case, count=2048),
    script="print(f.succeeds(f.solve(batch), batch.targets, {length}))",
    share=0.08,
)
def solvable(subject: TaskSubject, case: TaskCase) -> Evidence:
    """Judge the predictions of the oracle, and a constant prediction."""
    detail = {"length": case.length}
    batch = case.drawn(subject)
    solved = subject.solve(batch)
    if not subject.succeeds(solved, batch.targets, case.length):
        return Evidence(failure="the oracle does not meet the success criterion", detail=detail)
    if subject.succeeds(
        _constant_prediction(subject.loss, solved, batch.targets), batch.targets, case.length
    ):
        return Evidence(failure="a constant prediction meets the success criterion", detail=detail)
    return all_hold("solved", detail)


def _constant_prediction(loss: str, like: FloatArray, targets: NumericArray) -> FloatArray:
    """Return the best constant prediction for these targets."""
    if loss == "squared":
        return np.broadcast_to(np.asarray(targets).mean(axis=0), like.shape).copy()
    if loss == "logistic":
        return np.full(like.shape, 1e-3)
    steps = np.atleast_2d(targets)
    counts = np.stack([(steps == k).mean(axis=1) for k in range(like.shape[-1])], axis=-1)
    logits = np.log(np.maximum(counts, 1e-9))
    return np.broadcast_to(logits[:, None] if like.ndim == 3 else logits, like.shape).copy()


@law(
    "task/oracle-reads-inputs",
    claim=CLAIM,
    statement="the oracle answers from inputs and ends alone: with other targets, or none, and after another "
    "batch it says the same, and it changes nothing",
    source="a solver that looks up the answer proves nothing solvable",
    draw=partial(task_case, count=24),
    fixed=partial(usual_case, count=24),
    script="from dataclasses import replace\n"
    "print(f.solve(batch)[..., 0], f.solve(replace(batch, targets=0 * batch.targets))[..., 0])",
    share=0.3,
)
def oracle_reads_inputs(subject: TaskSubject, case: TaskCase) -> Evidence:
    """Call the oracle on the same inputs with the targets of other sequences, and without targets."""
    batch = case.drawn(subject)
    inputs, targets = batch.inputs.copy(), batch.targets.copy()
    axis = 1 if targets.ndim == 2 and targets.shape[1] == case.count != targets.shape[0] else 0
    detail = {"length": case.length}
    solved = subject.solve(batch).copy()
    if not np.array_equal(batch.inputs, inputs) or not np.array_equal(batch.targets, targets):
        return Evidence(failure="the oracle changes the batch that it is given", detail=detail)
    case.drawn(subject, 1)
    blank = np.full_like(targets, np.nan) if targets.dtype.kind == "f" else np.zeros_like(targets)
    for other, description in (
        (np.roll(targets, 1, axis), "the targets of other sequences"),
        (blank, "no targets"),
    ):
        altered = subject.with_targets(batch, other)
        if altered is None:
            return Evidence(detail=detail)
        if not np.array_equal(subject.solve(altered), solved, equal_nan=True):
            return Evidence(
                failure=f"the oracle answers otherwise when it is given {description}", detail=detail
            )
    return all_hold("answers", detail)


def _with_judged_count(case: TaskCase, subject: TaskSubject) -> TaskCase:
    return replace(case, count=VARIANTS[subject.variant].success.count)


def _judged_case(source: Source, domain: Domain, subject: TaskSubject) -> TaskCase:
    """Draw a case with the number of sequences of the criterion."""
    return _with_judged_count(task_case(source, domain, subject), subject)


def _fixed_judged_cases(domain: Domain, subject: TaskSubject) -> Iterator[TaskCase]:
    for case in usual_case(domain, subject):
        yield _with_judged_count(case, subject)


@law(
    "task/success-limit",
    claim=CLAIM,
    statement="the success criterion is that of the variant: right answers spoiled to just within its limit, "
    "as often as it allows, are a success, and beyond it, once more than it allows or by a NaN, are none",
    source="Hochreiter and Schmidhuber 1997, sections 5.3 to 5.6; pascanur/trainingRNNs: an error of 0.2 "
    "where the paper has 0.04",
    draw=_judged_case,
    fixed=_fixed_judged_cases,
    applies=published,
    script="print(f.criterion)",
    share=0.04,
)
def success_limit(subject: TaskSubject, case: TaskCase) -> Evidence:
    """Perturb correct predictions within and beyond the limit, and compare the verdicts."""
    success, detail = VARIANTS[subject.variant].success, {"length": case.length}
    if case.count != success.count:
        # The criterion of another number of sequences allows another number of errors.
        raise ValueError(f"the criterion is about {success.count} sequences")
    if subject.judged_count not in (None, success.count):
        return Evidence(
            failure=f"{subject.judged_count} sequences are judged, expected {success.count}", detail=detail
        )
    targets = case.drawn(subject).targets
    classes = VARIANTS[subject.variant].classes or 9
    if subject.loss == "cross-entropy" and not ((targets >= 0) & (targets < classes)).all():
        return Evidence(failure=f"targets are not classes from 0 to {classes - 1}", detail=detail)
    spoiled_answers = _SpoiledAnswers(subject, success, targets, case.length)
    for predictions, spoiled, right in spoiled_answers.all():
        if subject.succeeds(predictions, targets, case.length) != right:
            verdict = "no success" if right else "a success"
            return Evidence(failure=f"{spoiled}: this is {verdict}", detail=detail)
    return all_hold("criterion", detail)


class _SpoiledAnswers:
    """Correct predictions with a known error.

    Predictions are numbers for squared and logistic losses, and logits for cross-entropy.
    """

    def __init__(self, subject: TaskSubject, success: Success, targets: NumericArray, length: int) -> None:
        self.success, self.targets = success, targets
        self.numbers = subject.loss != "cross-entropy"
        self.chance = VARIANTS[subject.variant].chance(length)
        # Copy memory has no equally likely classes: eight symbols and the blank.
        self.classes = VARIANTS[subject.variant].classes or 9

    def all(self) -> Iterator[tuple[FloatArray, str, bool]]:
        """Yield predictions, a description of their errors, and whether they are a success."""
        count, limit, allowed = self.success.count, self.success.limit, self.success.allowed
        if self.success.wrong == "loss":
            chance = f"{limit:g} of the level of chance"
            yield self.losing(limit * (1.0 - NEAR)), f"a mean loss just below {chance}", True
            yield self.losing(limit * (1.0 + NEAR)), f"a mean loss just above {chance}", False
            undefined = self.losing(limit / 2.0)
            undefined[(0,) * (undefined.ndim - 1)] = np.nan
            yield undefined, "an answer is not a number", False
            return
        right, wrong = self.near(-NEAR), self.near(NEAR)
        criterion = f"{self.success.wrong} {limit:g}" if limit else f"wrong {self.success.wrong}"
        yield right, f"none of {count} answers errs ({criterion})", True
        yield self.spoiled(right, allowed, wrong), f"{allowed} of {count} answers err ({criterion})", True
        yield self.spoiled(right, allowed + 1, wrong), f"{allowed + 1} of {count} err ({criterion})", False
        undefined = np.full_like(right, np.nan)
        yield self.spoiled(right, allowed + 1, undefined), f"{allowed + 1} of {count} are no numbers", False

    def spoiled(self, right: FloatArray, count: int, wrong: FloatArray) -> FloatArray:
        """Return answers with a number of wrong ones, the lowest classes first: argmax of NaN is 0."""
        at: IntArray = np.asarray(self.targets).reshape(len(right), -1)[:, 0].argsort(kind="stable")[:count]
        answers = right.copy()
        answers[at] = wrong[at]
        return answers

    def near(self, beyond: float) -> FloatArray:
        """Return answers at a relative distance beyond the limit; negative: within it."""
        wrong, error = self.success.wrong, self.success.limit * (1.0 + beyond)
        if wrong == "probability":
            return self.logits(1.0 - error)
        if wrong == "class":
            return self.logits(0.5 - beyond)
        if wrong == "side":
            return -beyond * self.right()
        signs = np.where(np.arange(len(self.targets)) % 2 == 0, 1.0, -1.0)
        return self.right() + error * signs[:, None]

    def losing(self, share: float) -> FloatArray:
        """Return answers whose mean loss is this share of the chance level."""
        loss = share * self.chance
        return self.right() + math.sqrt(loss) if self.numbers else self.logits(math.exp(-loss))

    def right(self) -> FloatArray:
        """Return the targets themselves."""
        return np.asarray(self.targets, dtype=np.float64)

    def logits(self, probability: float) -> FloatArray:
        """Return logits with this probability of the correct class, and the remainder on one other class."""
        classes = np.asarray(self.targets, dtype=np.int64)
        logits = np.full((*classes.shape, self.classes), -1000.0)
        np.put_along_axis(logits, classes[..., None], math.log(probability), axis=-1)
        other = (classes + 1) % self.classes
        np.put_along_axis(logits, other[..., None], math.log1p(-probability), axis=-1)
        return logits
