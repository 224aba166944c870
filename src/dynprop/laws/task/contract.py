r"""What a task says about itself: its loss, the level of chance, its criterion and its solver."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from dynprop.arrays import FloatArray, NumericArray
from dynprop.laws.evidence import Evidence, compare
from dynprop.laws.registry import law
from dynprop.laws.task.cases import TaskCase, task_case, usual_case
from dynprop.laws.task.sequences import published
from dynprop.laws.task.subject import TaskSubject
from dynprop.laws.task.variants import VARIANTS

__all__: list[str] = []

CLAIM = "C7"
UNIT = 2.0**-53


@law(
    "task/chance-loss",
    claim=CLAIM,
    statement="the stated chance level is the loss of the best prediction that looks at no input",
    source="the exact variance or entropy; Le, Jaitly and Hinton 2015 quote 0.1767 where it is 1/6",
    draw=partial(task_case, count=1),
    fixed=partial(usual_case, count=1),
    applies=published,
    script="print(f.chance_loss({length}))",
)
def chance_loss(subject: TaskSubject, case: TaskCase) -> Evidence:
    """Compare with the exact value, from rationals where there are any."""
    exact = np.array([VARIANTS[subject.variant].chance(case.length)])
    stated = np.array([subject.chance_loss(case.length)])
    # A closed form of a handful of operations, whose only difference halves its terms at most.
    comparison = compare("chance", stated, exact, 64.0 * UNIT * exact, dtype="float64", axes=("case",))
    return Evidence((comparison,), detail={"length": case.length})


def _plain_loss(loss: str, predictions: NumericArray, targets: NumericArray) -> float:
    """Return the mean over every output, step and sequence, each worked out alone and summed exactly."""
    terms = []
    if loss == "cross-entropy":
        flat, said = predictions.reshape(-1, predictions.shape[-1]), targets.reshape(-1)
        for row, chosen in zip(flat.tolist(), said.tolist(), strict=True):
            top = max(row)
            terms.append(top + math.log(math.fsum(math.exp(x - top) for x in row)) - row[chosen])
    else:
        for y, t in zip(predictions.ravel().tolist(), targets.ravel().tolist(), strict=True):
            z = -t * y
            logistic = max(z, 0.0) + math.log1p(math.exp(-abs(z)))
            terms.append(logistic if loss == "logistic" else (y - t) ** 2)
    return math.fsum(terms) / len(terms)


def _guesses(shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
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
    found = subject.sample(case.length, case.count, case.seed)
    guesses = _guesses(subject.solve(found).shape, case.generator())
    pairs = [(guesses, found.targets)]
    if case.count > 1:
        alone = (slice(None), slice(1)) if guesses.ndim == 3 else (slice(1),)
        pairs.append((guesses[alone], found.targets[alone]))
    value = np.array([subject.mean_loss(y, t) for y, t in pairs])
    exact = np.array([_plain_loss(subject.loss, y, t) for y, t in pairs])
    # Positive terms in any order of summation, each a few functions accurate to an ulp or two; the logits are
    # below 6, so that differences of them lose no more than four bits.
    bound = (found.targets.size + 256.0) * UNIT * np.maximum(exact, 1.0)
    return Evidence((compare("losses", value, exact, bound, dtype="float64", axes=("batch",)),))


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
    """Judge the oracle, and a constant."""
    detail = {"length": case.length}
    found = subject.sample(case.length, case.count, case.seed)
    solved = subject.solve(found)
    if not subject.succeeds(solved, found.targets, case.length):
        return Evidence(failure="the oracle does not meet the success criterion", detail=detail)
    if subject.succeeds(_constant(subject.loss, solved, found.targets), found.targets, case.length):
        return Evidence(failure="a constant prediction meets the success criterion", detail=detail)
    whole = np.ones(1)
    return Evidence((compare("solved", whole, whole, 0.0 * whole, dtype="float64", axes=("case",)),))


def _constant(loss: str, like: FloatArray, targets: NumericArray) -> FloatArray:
    """Return the best constant prediction for these targets."""
    if loss == "squared":
        return np.broadcast_to(np.asarray(targets).mean(axis=0), like.shape).copy()
    if loss == "logistic":
        return np.full(like.shape, 1e-3)
    steps = np.atleast_2d(targets)
    counts = np.stack([(steps == k).mean(axis=1) for k in range(like.shape[-1])], axis=-1)
    logits = np.log(np.maximum(counts, 1e-9))
    return np.broadcast_to(logits[:, None] if like.ndim == 3 else logits, like.shape).copy()
