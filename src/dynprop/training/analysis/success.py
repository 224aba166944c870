r"""Probability of success at each length, with intervals of proven coverage.

For a number of seeds that was fixed beforehand: Clopper and Pearson (1934), quantiles of beta distributions.
If seeds are added until the answer is clear, that interval is wrong (tested after each of 400 seeds, a
nominal 95 % misses in 32 % of the sweeps), and an anytime-valid confidence sequence takes its place: with
Beta(1, 1) as mixture,

    { p : B(1 + s, 1 + n - s) / (p^s (1 - p)^(n - s)) < 1/α }

covers the true p at every n at once with probability at least 1 - α, by Ville's inequality for the mixture
martingale (Robbins 1970; Howard et al. 2021, section 3).

Runs that were lost or timed out count as failures: omitting hard runs would raise the probability.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from dynprop.arrays import FloatArray
from dynprop.errors import ArgumentError
from dynprop.training.trials.setting import Setting
from dynprop.training.trials.trial import LOST, Trial

__all__ = [
    "LearningTime",
    "SuccessCurve",
    "SuccessRate",
    "Threshold",
    "confidence_sequence",
    "learning_time",
    "proportion_interval",
    "success_curve",
]

LEVEL = 0.95


Count = int | np.integer[Any]
CountArray = NDArray[np.integer[Any]] | Sequence[int]


def _intervals(
    interval: Callable[[int, int, float], tuple[float, float]],
    successes: Count | CountArray,
    trials: Count | CountArray,
    level: float,
) -> tuple[Any, Any]:
    """Validate counts; return low and high ends, floats for two numbers and arrays for arrays.

    Any: the overloads of the public functions give the types.
    """
    arrays = []
    for name, value in (("successes", successes), ("trials", trials)):
        array = np.asarray(value)
        if array.dtype.kind not in "iu":
            raise ArgumentError(name, repr(value), "whole numbers")
        arrays.append(array)
    try:
        s, n = np.broadcast_arrays(*arrays)
    except ValueError as error:
        shapes = f"shape {arrays[0].shape} for trials of shape {arrays[1].shape}"
        raise ArgumentError("successes", shapes, "shapes that broadcast") from error
    if ((s < 0) | (s > n)).any():
        i = int(np.flatnonzero((s < 0) | (s > n))[0])
        raise ArgumentError(
            "successes", f"{s.flat[i]} of {n.flat[i]}", "a number from 0 to that of the trials"
        )
    if isinstance(level, str) or not 0.0 < level < 1.0:
        raise ArgumentError("level", str(level), "a number between 0 and 1")
    intervals = [interval(int(a), int(b), level) for a, b in zip(s.flat, n.flat, strict=True)]
    if s.ndim == 0:
        return intervals[0]
    low, high = np.array(intervals, dtype=np.float64).reshape(-1, 2).T
    return low.reshape(s.shape), high.reshape(s.shape)


@overload
def proportion_interval(successes: Count, trials: Count, level: float = ...) -> tuple[float, float]: ...
@overload
def proportion_interval(
    successes: CountArray, trials: Count | CountArray, level: float = ...
) -> tuple[FloatArray, FloatArray]: ...
@overload
def proportion_interval(
    successes: Count, trials: CountArray, level: float = ...
) -> tuple[FloatArray, FloatArray]: ...
def proportion_interval(
    successes: Count | CountArray, trials: Count | CountArray, level: float = LEVEL
) -> tuple[float, float] | tuple[FloatArray, FloatArray]:
    """Return the interval of Clopper and Pearson (1934) for a probability; (0, 1) without any trial.

    Args:
        successes: number of successful trials, or an array of such numbers.
        trials: number of trials, fixed beforehand, or an array that broadcasts with the successes.
        level: least probability with which the interval covers the true one.

    Returns:
        Low and high end; for arrays two arrays, elementwise.

    Raises:
        ArgumentError: counts are no whole numbers or impossible, or the level is.

    Examples:
        >>> from dynprop.training import proportion_interval
        >>> low, high = proportion_interval(30, 40)
        >>> print(f"{low:.3f} {high:.3f}")
        0.588 0.873
        >>> proportion_interval([0, 10], 10)[0].round(3).tolist()
        [0.0, 0.692]
    """
    return _intervals(_clopper_pearson, successes, trials, level)


def _clopper_pearson(successes: int, trials: int, level: float) -> tuple[float, float]:
    if trials == 0:
        return 0.0, 1.0
    from scipy.special import betaincinv

    s, n, tail = successes, trials, 0.5 * (1.0 - level)
    low = 0.0 if s == 0 else float(betaincinv(s, n - s + 1, tail))
    # From failures: 1 - low end keeps the digits near 1.
    high = 1.0 if s == n else 1.0 - float(betaincinv(n - s, s + 1, tail))
    return low, high


@overload
def confidence_sequence(successes: Count, trials: Count, level: float = ...) -> tuple[float, float]: ...
@overload
def confidence_sequence(
    successes: CountArray, trials: Count | CountArray, level: float = ...
) -> tuple[FloatArray, FloatArray]: ...
@overload
def confidence_sequence(
    successes: Count, trials: CountArray, level: float = ...
) -> tuple[FloatArray, FloatArray]: ...
def confidence_sequence(
    successes: Count | CountArray, trials: Count | CountArray, level: float = LEVEL
) -> tuple[float, float] | tuple[FloatArray, FloatArray]:
    """Return an interval for a probability that is valid at every number of trials at once.

    Args:
        successes: number of successful trials, or an array of such numbers.
        trials: number of trials so far, or an array that broadcasts with the successes; stopping may depend
            on the outcomes.
        level: least probability with which all intervals of a sequence cover the true probability.

    Returns:
        Low and high end; for arrays two arrays, elementwise.

    Raises:
        ArgumentError: counts are no whole numbers or impossible, or the level is.

    Examples:
        >>> from dynprop.training import confidence_sequence
        >>> low, high = confidence_sequence(30, 40)
        >>> print(f"{low:.3f} {high:.3f}")
        0.512 0.914
    """
    return _intervals(_mixture_interval, successes, trials, level)


def _mixture_interval(successes: int, trials: int, level: float) -> tuple[float, float]:
    if trials == 0:
        return 0.0, 1.0
    from scipy.optimize import brentq
    from scipy.special import betaln, xlog1py, xlogy

    s, n = successes, trials
    mixture = float(betaln(1.0 + s, 1.0 + n - s))
    limit = math.log(1.0 / (1.0 - level))

    def excess(successes: int, p: float) -> float:
        return mixture - float(xlogy(successes, p) + xlog1py(n - successes, -p)) - limit

    def least(successes: int) -> float:
        if successes == 0:
            return 0.0
        # Without an absolute tolerance: the end may be far below the default one.
        return float(brentq(partial(excess, successes), 1e-300, successes / n, xtol=1e-300))

    # The high end from failures, whose probability may be far below the precision of 1.
    return least(s), 1.0 - least(n - s)


@dataclass(frozen=True)
class SuccessRate:
    """Number of successful trials at one length.

    Attributes:
        length: of the task.
        trials: number of trials, lost ones included.
        successes: trials that met the criterion.
        explosions, vanishings: failures by cause.
        at_chance: failures at the loss of the best prediction without inputs.
        lost: runs that timed out or whose worker was lost.
    """

    length: int
    trials: int
    successes: int
    explosions: int = 0
    vanishings: int = 0
    at_chance: int = 0
    lost: int = 0

    @property
    def rate(self) -> float:
        """The share of successes; NaN without any trial."""
        return self.successes / self.trials if self.trials else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval for a number of seeds that was fixed beforehand."""
        return proportion_interval(self.successes, self.trials)

    @property
    def sequence(self) -> tuple[float, float]:
        """95 % interval that is valid at any stopping time."""
        return confidence_sequence(self.successes, self.trials)

    @property
    def clear(self) -> bool:
        """Whether the confidence sequence lies on one side of one half."""
        low, high = self.sequence
        return low > 0.5 or high < 0.5


@dataclass(frozen=True)
class Threshold:
    """The length at which half of the trials succeed.

    Attributes:
        length: where the monotone fit crosses one half; None if it does not, or if low is above high.
        low: the largest length whose confidence sequence lies above one half, or None.
        high: the smallest length whose confidence sequence lies below, or None.
    """

    length: float | None
    low: int | None
    high: int | None

    def __str__(self) -> str:
        """Describe the threshold in a few words."""
        if self.low is not None and self.high is not None and self.low > self.high:
            return f"no threshold: less than half succeed at length {self.high}, more at {self.low}"
        if self.length is not None:
            return f"half succeed at length {self.length:.3g} ({self._brackets()})"
        if self.low is not None:
            return f"more than half succeed up to length {self.low}"
        return f"less than half succeed at length {self.high}" if self.high is not None else "not clear yet"

    def _brackets(self) -> str:
        """Describe the lengths between which the threshold lies, as far as they are clear."""
        if self.low is not None and self.high is not None:
            return f"between {self.low} and {self.high}"
        if self.low is not None:
            return f"clearly above {self.low}"
        return f"clearly below {self.high}" if self.high is not None else "no length is clear yet"


@dataclass(frozen=True)
class SuccessCurve:
    """The probability of success against length, for one way of training.

    Attributes:
        name: what was trained, such as "tanh, orthogonal".
        rates: by increasing length.
    """

    name: str
    rates: tuple[SuccessRate, ...]

    @classmethod
    def of(cls, name: str, trials: Iterable[Trial]) -> SuccessCurve:
        """Count trials by length."""
        by_length: dict[int, list[Trial]] = {}
        for trial in trials:
            by_length.setdefault(trial.setting.length, []).append(trial)
        return cls(name, tuple(_rate(length, group) for length, group in sorted(by_length.items())))

    @property
    def threshold(self) -> Threshold:
        """Where half of the trials succeed: isotonic regression, interpolated.

        Its brackets are lengths whose confidence sequence excludes one half.
        """
        judged = [rate for rate in self.rates if rate.trials]
        clear = [rate for rate in judged if rate.clear]
        low = max((rate.length for rate in clear if rate.rate > 0.5), default=None)
        high = min((rate.length for rate in clear if rate.rate < 0.5), default=None)
        if len(judged) < 2 or (low is not None and high is not None and low > high):
            return Threshold(None, low, high)
        from scipy.optimize import isotonic_regression

        weights = [rate.trials for rate in judged]
        fit = isotonic_regression([rate.rate for rate in judged], weights=weights, increasing=False).x
        for i in range(len(judged) - 1):
            if fit[i] >= 0.5 >= fit[i + 1] and fit[i] > fit[i + 1]:
                share = (fit[i] - 0.5) / (fit[i] - fit[i + 1])
                first, second = judged[i].length, judged[i + 1].length
                return Threshold(float(first + share * (second - first)), low, high)
        return Threshold(None, low, high)


def _rate(length: int, trials: Sequence[Trial]) -> SuccessRate:
    def count(predicate: Any) -> int:
        return sum(map(predicate, trials))

    return SuccessRate(
        length,
        len(trials),
        count(lambda t: t.succeeded),
        count(lambda t: t.cause == "explosion"),
        count(lambda t: t.cause == "vanishing"),
        count(lambda t: t.at_chance),
        count(lambda t: t.status in LOST),
    )


@dataclass(frozen=True)
class LearningTime:
    """Updates until success, runs without success being censored.

    Attributes:
        trials: number of runs.
        successes: number of successful ones.
        median: updates by which half of the runs have succeeded; None if fewer do.
        low, high: 95 % interval of the median; None for an open end.
        updates: at which runs succeeded, increasing.
        unsolved: Kaplan-Meier estimate of the share without success after each of them.
    """

    trials: int
    successes: int
    median: float | None
    low: float | None
    high: float | None
    updates: tuple[float, ...]
    unsolved: tuple[float, ...]


def learning_time(trials: Iterable[Trial]) -> LearningTime:
    """Estimate the updates until success, by Kaplan and Meier (1958).

    A run without success is censored at the updates that it made; a diverged run at the whole budget of its
    setting, since it cannot succeed any more. The interval of the median is the set where the pointwise
    interval of the curve (log-log, Greenwood's variance) contains one half; with fewer than five successes
    its coverage is below 95 %.

    Raises:
        ArgumentError: there is no trial.

    Examples:
        >>> from dynprop.training import Setting, Trial, learning_time
        >>> setting = Setting("latch", 10)
        >>> trials = [Trial(setting, seed, "success", 50 + 50 * seed) for seed in range(5)]
        >>> learning_time([*trials, Trial(setting, 5, "failure", 1500)]).median
        150.0
    """
    runs = list(trials)
    if not runs:
        raise ArgumentError("trials", "none", "at least one")
    solved = [float(t.updates) for t in runs if t.succeeded]
    censored = [
        float(t.setting.updates if t.status == "diverged" else t.updates) for t in runs if not t.succeeded
    ]
    if not solved:
        return LearningTime(len(runs), 0, None, None, None, (), ())
    from scipy.stats import CensoredData, ecdf

    curve: Any = ecdf(CensoredData(uncensored=solved, right=censored)).sf
    with warnings.catch_warnings():
        # The interval is NaN where no run is left.
        warnings.simplefilter("ignore", RuntimeWarning)
        band = curve.confidence_interval(LEVEL, method="log-log")
    times = np.unique(solved)
    share = np.asarray(curve.evaluate(times), dtype=np.float64)

    # Rounding of a product of len(times) factors that is one half exactly: two units for each.
    half = 0.5 + 2.0 * len(times) * 2.0**-53

    def crossing(values: Any, unknown: float = 0.0) -> float | None:
        filled = np.nan_to_num(np.asarray(values, dtype=np.float64), nan=unknown)
        below = np.flatnonzero(filled <= half)
        return float(times[below[0]]) if len(below) else None

    # Where the last runs at risk succeed together the formula has no interval: the high end is then the
    # one-sided interval of Clopper and Pearson for no failure among them.
    open_end = 1.0 - (0.5 * (1.0 - LEVEL)) ** (1.0 / solved.count(times[-1]))
    low, high = crossing(band.low.evaluate(times)), crossing(band.high.evaluate(times), unknown=open_end)
    unsolved = tuple(float(x) for x in share)
    return LearningTime(len(runs), len(solved), crossing(share), low, high, tuple(times.tolist()), unsolved)


def success_curve(
    task: str, lengths: CountArray, seeds: Count | CountArray = 100, **options: Any
) -> SuccessCurve:
    """Train a task at several lengths in this process, and count successes.

    Args:
        task: its name.
        lengths: of the task.
        seeds: number of seeds, from 0 on, or the seeds themselves.
        **options: fields of Setting: cell, init, optimiser, rate, clip, hidden, batch, updates, every, dtype.

    Raises:
        ArgumentError: an option is unknown or wrong, a length impossible, or there is no length or seed.

    Examples:
        >>> from dynprop.training import success_curve
        >>> curve = success_curve("latch", [3], seeds=4, hidden=4, batch=8, updates=300, rate=0.5)
        >>> [(rate.length, rate.successes, rate.trials) for rate in curve.rates]
        [(3, 4, 4)]
    """
    from dynprop.training.trials.training import train

    known = [field.name for field in fields(Setting) if field.name not in ("task", "length")]
    for option in options:
        if option not in known:
            raise ArgumentError("option", repr(option), f"one of {', '.join(known)}")
    if isinstance(lengths, int | np.integer | str) or not len(lengths):
        raise ArgumentError("lengths", repr(lengths), "one or more whole numbers, such as [4, 6, 8]")
    seed_list = range(seeds) if isinstance(seeds, int | np.integer) else seeds
    settings = [Setting(task, length, **options) for length in lengths]
    name = f"{task}, {settings[0].cell}, {settings[0].init}"
    return SuccessCurve.of(name, [trial for setting in settings for trial in train(setting, list(seed_list))])
