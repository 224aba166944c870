r"""Second moments of all entries: every pair of rows, of columns and of entries, and every row's variance.

Where entries are independent and symmetric around 0, the products of the signs of two rows, column by column
and call by call, are fair coins, whatever the distribution: a pair of rows has a count of equal signs that is
exactly binomial. So has a pair of single entries, call by call, also for orthogonal matrices of Haar measure,
which is invariant under a change of sign of one row or column. Whether abs(w) is above its median is a fair
coin as well, so that dependent sizes show in the same counts. The largest of p counts exceeds the reach of a
statement at the rate 1/p (``laws.statistics``) with the probability of one statement.

Diagonal: every row and column has the promised variance, by the chi-square interval of Gaussian weights or
the median of means of others, each at its share of one statement.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from dynprop.arrays import BoolArray, FloatArray
from dynprop.contracts.domain import Domain
from dynprop.kinds.initializer.cases import InitializerCase, any_shape, every_shape, pooled, square
from dynprop.kinds.initializer.chance import interval, law_of, symmetric
from dynprop.kinds.initializer.judging import compare_number, evidence, sample
from dynprop.kinds.initializer.promise import Law
from dynprop.kinds.initializer.subject import InitializerSubject
from dynprop.laws.draw import Source
from dynprop.laws.evidence import Comparison, Evidence
from dynprop.laws.law import law
from dynprop.laws.statistics import STATEMENT, median_of_means, signs_reach

# Largest number of entries of which all pairs are counted: 2,016 pairs.
MOST_ENTRIES = 64


def coins(weights: FloatArray, declared: Law, promised: float | None) -> Iterator[tuple[str, BoolArray]]:
    """Yield the signs of the entries, and whether each is above the median of sizes, by name."""
    yield "signs", weights > 0.0
    if declared.cdf is not None and promised is not None:
        yield "sizes", np.abs(declared.cdf(weights / math.sqrt(promised)) - 0.5) > 0.25


def largest_agreement(coins: BoolArray, of: str) -> Comparison | None:
    """Compare the pair of rows whose coins agree most, or least, with what chance explains.

    Args:
        coins: shape (rows, throws).
        of: what a row is, in reports.
    """
    rows, throws = coins.shape
    pairs = rows * (rows - 1) // 2
    if not pairs:
        return None
    values = np.where(coins, 1.0, -1.0).astype(np.float32)
    # Sums of at most 2^24 ones are exact in float32.
    agreement = values @ values.T
    agreement[np.tril_indices(rows)] = 0.0
    i, j = np.unravel_index(np.abs(agreement).argmax(), agreement.shape)
    rate = STATEMENT / pairs
    reach = signs_reach(throws, rate) / throws
    label = (
        f"equal {of} {int(i)} and {int(j)}, the worst of {pairs} pairs, {throws} throws each, at a rate of "
        f"false alarms of {STATEMENT:.0e}"
    )
    excess = float(agreement[i, j]) / throws
    return compare_number(label, 0.5 + 0.5 * excess, 0.5, 0.5 - 0.5 * reach, 0.5 + 0.5 * reach)


def _variances(
    weights: FloatArray, declared: Law, promised: float, unit: float, of: str
) -> Iterator[Comparison]:
    """Compare the smallest and the largest mean square of a row of weights, shape (rows, samples)."""
    rows, samples = weights.shape
    rate = STATEMENT / (2 * rows)
    if not math.isfinite(declared.kurtosis):
        return
    low, high = interval(declared, samples, unit, rate)
    if low <= 0.0 or not math.isfinite(high):
        return
    squares = weights**2
    if declared.name == "normal":
        estimates = squares.mean(axis=1)
    else:
        estimates = np.array([median_of_means(row, rate) for row in squares])
    for i in sorted({int(estimates.argmin()), int(estimates.argmax())}):
        label = f"variance of {of} {i}, an extreme of {rows}, {samples} weights each"
        yield compare_number(label, float(estimates[i]), promised, low * promised, high * promised)


def _entries_alone(subject: InitializerSubject) -> bool:
    declared = subject.law_of_weights
    return declared is not None and not declared.independent


def _drawn(source: Source, domain: Domain, subject: InitializerSubject) -> InitializerCase:
    """Draw any shape; where pairs of entries alone are counted, a small one."""
    if not _entries_alone(subject):
        return any_shape(source, domain, subject)
    case = square(source, domain, subject)
    return pooled(min(case.fan_in, 8), source.integer(1, 8), case.seed)


def _designed(domain: Domain, subject: InitializerSubject) -> Iterator[InitializerCase]:
    """Yield every designed shape; where pairs of entries alone are counted, the small ones."""
    for case in every_shape(domain, subject):
        if not _entries_alone(subject) or case.fan_in * case.fan_out <= MOST_ENTRIES:
            yield case


@law(
    "initializer/covariance",
    claim="C4",
    statement="all entries are uncorrelated and rows and columns have one variance: signs, and sizes above "
    "their median, agree in all pairs of rows, of columns and of entries as fair coins do, exactly binomial, "
    "each with false alarms below the rate of a statement, 2e-10",
    source="Glorot and Bengio 2010; Mezzadri 2007 for orthogonal matrices",
    draw=_drawn,
    fixed=_designed,
    applies=symmetric,
    script="import numpy as np\nw = np.stack([np.asarray(f(shape, rng)) for _ in range({calls})])\n"
    "s = np.sign(w)\nprint(np.einsum('cik,cjk->ij', s, s) / s[:, 0].size)  # rows; the diagonal is 1\n"
    "print(np.einsum('cki,ckj->ij', s, s) / s[:, :, 0].size)  # columns\n"
    "print((w ** 2).mean(axis=(0, 2)), (w ** 2).mean(axis=(0, 1)))  # variances",
    share=0.1,
)
def covariance(subject: InitializerSubject, case: InitializerCase) -> Evidence:
    """Count agreements of all pairs, and compare the variances of rows and columns."""
    weights, unit = sample(subject, case)
    if not np.isfinite(weights).all():
        return Evidence(failure="weights have NaN or infinity among them")
    declared = law_of(subject)
    promises = subject.promises
    promised = promises["variance"].at(case.fan_in, case.fan_out) if "variance" in promises else None
    by_row, by_column = (np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1) for axis in (1, 2))
    comparisons: list[Comparison | None] = []
    for name, thrown in coins(weights, declared, promised):
        if declared.independent:
            for axis, what in ((1, "rows"), (2, "columns")):
                rows = np.moveaxis(thrown, axis, 0).reshape(thrown.shape[axis], -1)
                comparisons.append(largest_agreement(rows, f"{name} of {what}"))
        if thrown[0].size <= MOST_ENTRIES:
            comparisons.append(
                largest_agreement(thrown.reshape(len(thrown), -1).T, f"{name} of entries, row by row,")
            )
    if declared.independent and promised is not None:
        comparisons += _variances(by_row, declared, promised, unit, "row")
        comparisons += _variances(by_column, declared, promised, unit, "column")
    judged = evidence([c for c in comparisons if c is not None])
    detail = {"calls": case.calls, "false_alarm": STATEMENT}
    return Evidence(judged.comparisons, judged.failure, detail)
