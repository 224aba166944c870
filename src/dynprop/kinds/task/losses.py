"""Laws of the loss and of its chance level."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from dynprop.arrays import FloatArray, NumericArray
from dynprop.contracts.domain import Domain
from dynprop.kinds.task.bounds import bernstein, evidence_from
from dynprop.kinds.task.cases import TaskCase, task_case, usual_case
from dynprop.kinds.task.sequences import CLAIM, published
from dynprop.kinds.task.subject import TaskSubject
from dynprop.kinds.task.variants import VARIANTS
from dynprop.laws.draw import Source
from dynprop.laws.evidence import Evidence, compare
from dynprop.laws.law import law

__all__: list[str] = []

UNIT = 2.0**-53
NUMBERS = 2**21


def _chance_level_case(source: Source, domain: Domain, subject: TaskSubject) -> TaskCase:
    """Draw a length; one case in twenty-five has enough sequences to estimate the chance level."""
    estimated = source.choice((False,) * 24 + (True,))
    return task_case(
        source, domain, subject, count=2048 if estimated else 1, numbers=NUMBERS if estimated else 0
    )


def _fixed_chance_level_cases(domain: Domain, subject: TaskSubject) -> Iterator[TaskCase]:
    for case in usual_case(domain, subject, count=2048, numbers=NUMBERS, long=True):
        yield replace(case, count=1)
        yield case


@law(
    "task/chance-loss",
    claim=CLAIM,
    statement="the stated chance level is the loss of the best prediction that looks at no input: exactly, "
    "and on the numbers that are drawn",
    source="the exact variance or entropy; Le, Jaitly and Hinton 2015 quote 0.1767 where it is 1/6; Maurer "
    "and Pontil 2009, theorem 4",
    draw=_chance_level_case,
    fixed=_fixed_chance_level_cases,
    applies=published,
    script="print(f.chance_loss({length}), batch.targets.var())",
)
def chance_loss(subject: TaskSubject, case: TaskCase) -> Evidence:
    """Compare with the exact value, and with the mean loss on many drawn targets.

    Tasks with classes are compared with the exact value only: other laws judge their frequencies.
    """
    variant, detail = VARIANTS[subject.variant], {"length": case.length}
    exact = np.array([variant.chance(case.length)])
    value = np.array([subject.chance_loss(case.length)])
    # A closed form of a few operations; its one subtraction leaves at least half of the larger term.
    comparison = compare("chance", value, exact, 64.0 * UNIT * exact, dtype="float64", axes=("case",))
    numbers = variant.numbers
    if numbers is None or case.count < 2 or comparison.ratio > 1.0:
        return Evidence((comparison,), detail=detail)
    targets = np.concatenate([np.ravel(batch.targets) for batch in case.chunks(subject)]).astype(np.float64)
    if not ((targets >= numbers.low) & (targets <= numbers.high)).all():
        return Evidence(failure=f"targets are not from {numbers.low} to {numbers.high}", detail=detail)
    mean = numbers.mean(case.length)
    most = max(numbers.high - mean, mean - numbers.low) ** 2
    label = f"mean loss on {case.count} targets of predicting their mean {mean:.6g}"
    return evidence_from([comparison, bernstein(label, (targets - mean) ** 2, float(exact[0]), most)], detail)


def _plain_loss(loss: str, predictions: NumericArray, targets: NumericArray) -> float:
    """Return the mean loss over every output, step and sequence, term by term, with an exact sum."""
    terms = []
    if loss == "cross-entropy":
        flat, classes = predictions.reshape(-1, predictions.shape[-1]), targets.reshape(-1)
        for row, chosen in zip(flat.tolist(), classes.tolist(), strict=True):
            top = max(row)
            terms.append(top + math.log(math.fsum(math.exp(x - top) for x in row)) - row[chosen])
    else:
        for y, t in zip(predictions.ravel().tolist(), targets.ravel().tolist(), strict=True):
            z = -t * y
            logistic = max(z, 0.0) + math.log1p(math.exp(-abs(z)))
            terms.append(logistic if loss == "logistic" else (y - t) ** 2)
    return math.fsum(terms) / len(terms)


def _random_predictions(shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    return rng.standard_normal(shape)


@law(
    "task/loss-average",
    claim=CLAIM,
    statement="the loss of a batch is the mean over all outputs, steps and sequences",
    source="a sum in place of a mean; a mean of unequal batches; locuslab/TCN#40",
    draw=partial(task_case, count=24),
    fixed=partial(usual_case, count=24),
    script="print(f.mean_loss(np.zeros_like(f.solve(batch)), batch.targets))",
)
def loss_average(subject: TaskSubject, case: TaskCase) -> Evidence:
    """Compare the loss of random predictions, for a batch and for one of its sequences."""
    batch = case.drawn(subject)
    predictions = _random_predictions(subject.solve(batch).shape, np.random.default_rng(case.seed))
    pairs = [(predictions, batch.targets)]
    if case.count > 1:
        first_sequence = (slice(None), slice(1)) if predictions.ndim == 3 else (slice(1),)
        pairs.append((predictions[first_sequence], batch.targets[first_sequence]))
    value = np.array([subject.mean_loss(y, t) for y, t in pairs])
    exact = np.array([_plain_loss(subject.loss, y, t) for y, t in pairs])
    # Positive terms in any order of summation, each of a few functions with errors of an ulp or two; logits
    # are below 6, so that their differences lose four bits at most.
    bound = (batch.targets.size + 256.0) * UNIT * np.maximum(exact, 1.0)
    return Evidence((compare("losses", value, exact, bound, dtype="float64", axes=("batch",)),))
