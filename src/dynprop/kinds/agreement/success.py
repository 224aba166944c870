r"""The probability of success and the time to it: intervals, censored times and trials (claims C6 and C7).

The coverage of an interval for a probability is a sum over all outcomes of a few trials. A confidence
sequence holds for all numbers of trials at once: the probability that some interval misses is a sum over
paths, one step of Pascal's triangle at a time, which removes the paths that have missed.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np

from dynprop.kinds.agreement.depths import DepthCase, depth_case
from dynprop.kinds.agreement.judging import UNIT, compare_number, compare_pair
from dynprop.kinds.agreement.subject import AgreementSubject, FunctionName, needs
from dynprop.laws.evidence import Evidence
from dynprop.laws.law import law
from dynprop.training import Setting, Trial

LEVELS = (0.8, 0.9, 0.95, 0.99)
# Ends come from a search: scipy's stops at 4e-12, and the slope of a tail is at most the number of trials.
SEARCHED = 1e-11
# With as many equal outcomes every interval must lie on one side of one half.
PLENTY = 200
# Empirical: how far a float32 loss may move when sums are rounded in another order, relatively.
REORDERED = 1e-4


def _level_and_chance(case: DepthCase) -> tuple[float, Fraction]:
    rng = case.generator()
    return float(rng.choice(LEVELS)), Fraction(int(rng.integers(1, 97)), 97)


def _chance_of(successes: int, trials: int, chance: Fraction) -> Fraction:
    return math.comb(trials, successes) * chance**successes * (1 - chance) ** (trials - successes)


@law(
    "agreement/fixed-interval",
    claim="C7",
    statement="the interval for a fixed number of trials holds any probability at least as often as it says, "
    "counted over all outcomes in fractions, and what lies beyond each of its ends has half of the rest",
    source="Clopper and Pearson 1934, Biometrika 26:404",
    draw=partial(depth_case, depths=(1, 30), widths=(1, 30)),
    applies=needs("proportion_interval"),
    script="from math import comb\nlevel, p = 0.95, 0.3\n"
    "ends = [f.proportion_interval(s, depth, level) for s in range(depth + 1)]\n"
    "print(sum(comb(depth, s) * p**s * (1 - p)**(depth - s)\n"
    "          for s, (low, high) in enumerate(ends) if low <= p <= high), level)",
    share=0.2,
)
def fixed_interval(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Compute the coverage, and the tails of one outcome."""
    level, chance = _level_and_chance(case)
    n = case.depth
    ends = [subject.numbers("proportion_interval", s, n, level, shape=(2,)) for s in range(n + 1)]
    held = sum(
        (_chance_of(s, n, chance) for s, (low, high) in enumerate(ends) if low <= chance <= high), Fraction()
    )
    label = f"how often {n} trials at {float(chance):.4g} are held"
    found = [compare_number(label, float(held), level, 1.0, 4.0 * UNIT)]
    s, half = case.width % (n + 1), 0.5 * (1.0 - level)
    beyond = {"low": range(s, n + 1), "high": range(s + 1)}
    for side, end, last in zip(beyond, ends[s], (s == 0, s == n), strict=True):
        name = f"{side} end of {s} of {n}"
        if last:
            # No outcome lies beyond: the end is 0 or 1.
            edge = float(side == "high")
            found.append(compare_number(name, float(end), edge, edge, SEARCHED))
        else:
            exact = Fraction(float(end))
            tail = float(sum((_chance_of(k, n, exact) for k in beyond[side]), Fraction()))
            found.append(compare_number(f"tail at the {name}", tail, half, half, n * SEARCHED))
    return Evidence(tuple(found))


@law(
    "agreement/any-time-interval",
    claim="C7",
    statement="the probability that some interval of a confidence sequence misses is at most what one may, "
    "summed over all paths; and with many equal outcomes it leaves one half",
    source="Robbins 1970; Howard et al. 2021, Annals of Statistics 49:1055; Ville's inequality",
    draw=partial(depth_case, depths=(1, 24), widths=(1, 1)),
    applies=needs("confidence_sequence"),
    script="level, p, alive = 0.95, 0.3, {0: 1.0}\nfor n in range(1, depth + 1):\n"
    "    alive = {s: alive.get(s, 0) * (1 - p) + alive.get(s - 1, 0) * p for s in range(n + 1)}\n"
    "    ends = {s: f.confidence_sequence(s, n, level) for s in alive}\n"
    "    alive = {s: m for s, m in alive.items() if ends[s][0] <= p <= ends[s][1]}\n"
    "print(1 - sum(alive.values()), 1 - level)",
    share=0.05,
)
def any_time_interval(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Sum over Pascal's triangle; a step rounds each of its positive terms three times."""
    level, exact = _level_and_chance(case)
    p, alive = float(exact), np.ones(1)
    for n in range(1, case.depth + 1):
        alive = np.append(alive * (1.0 - p), 0.0) + np.append(0.0, alive * p)
        for s in range(n + 1):
            low, high = subject.numbers("confidence_sequence", s, n, level, shape=(2,))
            if not low <= p <= high:
                alive[s] = 0.0
    missed = 1.0 - float(alive.sum())
    none = float(subject.numbers("confidence_sequence", 0, PLENTY, level, shape=(2,))[1])
    every = float(subject.numbers("confidence_sequence", PLENTY, PLENTY, level, shape=(2,))[0])
    label = f"probability that some interval of {case.depth} trials at {p:.4g} misses"
    return Evidence(
        (
            compare_number(label, missed, 0.0, 1.0 - level, 4.0 * (case.depth + 1) * UNIT),
            compare_number(f"high end of 0 of {PLENTY}", none, 0.0, 0.5, UNIT),
            compare_number(f"low end of {PLENTY} of {PLENTY}", every, 0.5, 1.0, UNIT),
        )
    )


@law(
    "agreement/impossible-counts",
    claim="C7",
    statement="an interval for a probability is refused where the counts are no counts (a fraction, NaN, "
    "negative, more successes than trials) or the level is none, and given for counts that are",
    source="definition of a count",
    draw=partial(depth_case, depths=(1, 30), widths=(1, 1)),
    applies=needs("proportion_interval"),
    script="print(f.proportion_interval(depth - 0.5, depth))",
    share=0.1,
)
def impossible_counts(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Ask for impossible intervals, and for one that is possible: 1 where they are refused."""
    n = case.depth
    level, chance = _level_and_chance(case)
    impossible = (
        (n - 0.5, n, level),
        (float(n * chance), n, level),
        (0, n + 0.5, level),
        (-1, n, level),
        (n + 1, n, level),
        (math.nan, n, level),
        (n, math.inf, level),
        (0, n, 1.0 + level),
        (0, n, -level),
    )
    intervals: tuple[FunctionName, ...] = ("proportion_interval", "confidence_sequence")
    found = []
    for name in filter(subject.has, intervals):
        for given in impossible:
            refused = float(subject.refuses(name, *given))
            found.append(compare_number(f"1 where {name}{given} is refused", refused, 1.0, 1.0, UNIT))
        refused = float(subject.refuses(name, n, n, level))
        found.append(compare_number(f"1 where {name}{(n, n, level)} is refused", refused, 0.0, 0.0, UNIT))
    return Evidence(tuple(found))


def _runs(case: DepthCase) -> list[Trial]:
    """Return trials of every status, several at the same times."""
    rng = case.generator()
    setting = Setting("latch", 10, updates=100, every=10)
    runs = []
    for seed in range(case.depth):
        status = str(rng.choice(("success", "success", "failure", "diverged", "timed out")))
        made = 100 if status == "failure" else 10 * int(rng.integers(1, 11))
        runs.append(Trial(setting, seed, status, made))
    # One success at least, so that the curve has a step.
    return [*runs, Trial(setting, case.depth, "success", 10 * int(rng.integers(1, 11)))]


@law(
    "agreement/censored-times",
    claim="C6",
    statement="the share of runs that is unsolved after each time of a success is the product of 1 - "
    "solved/at risk, in fractions; a run counts as at risk while it trained, one that diverged for the whole "
    "budget; the median is the first time at which the share is at most one half",
    source="Kaplan and Meier 1958, J. Amer. Statist. Assoc. 53:457",
    draw=partial(depth_case, depths=(1, 40), widths=(1, 1)),
    applies=needs("learning_time"),
    script="from dynprop.training import Setting, Trial\nsetting = Setting('latch', 10)\n"
    "runs = [('success', 100), ('timed out', 100), ('success', 200), ('failure', 1500)]\n"
    "found = f.learning_time([Trial(setting, i, *run) for i, run in enumerate(runs)])\n"
    "print(found.unsolved, (3 / 4, 3 / 8), found.median, 200)",
)
def censored_times(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Form the product in fractions; a float product of as many factors errs by two units for each."""
    runs = _runs(case)
    solved = [t.updates for t in runs if t.succeeded]
    left = [t.setting.updates if t.status == "diverged" else t.updates for t in runs]
    times = sorted(set(solved))
    shares, share = [], Fraction(1)
    for time in times:
        share *= 1 - Fraction(solved.count(time), sum(other >= time for other in left))
        shares.append(share)
    read = partial(subject.numbers, "learning_time", runs, shape=(len(times),))
    expected = np.array([float(x) for x in shares])
    bound = 4.0 * (len(times) + 1) * UNIT * expected
    found = [
        compare_pair(
            "times of success", read(read="updates"), np.array(times, dtype=float), 0.0, axes=("time",)
        ),
        compare_pair("share that is unsolved", read(read="unsolved"), expected, bound, axes=("time",)),
    ]
    median = subject.number("learning_time", runs, read="median")
    first = next((float(t) for t, x in zip(times, shares, strict=True) if x <= Fraction(1, 2)), math.inf)
    # Infinite: at least half are never solved.
    stated = math.inf if math.isnan(median) else median
    found.append(compare_number("1 over the median", 1.0 / stated, 1.0 / first, 1.0 / first, 4.0 * UNIT))
    return Evidence(tuple(found))


@law(
    "agreement/trial-alone",
    claim="C7",
    statement="what comes of a trial is a function of its setting and seed: it is the same alone, beside "
    "other seeds and in another order of them, and another seed is another trial",
    source="dynprop",
    draw=partial(depth_case, depths=(2, 8), widths=(2, 5)),
    applies=needs("train"),
    script="from dynprop.training import Setting\n"
    "setting = Setting('latch', depth, hidden=width, updates=6, every=3)\n"
    "print([t.loss for t in f.train(setting, [0, 1, 2])])\n"
    "print([f.train(setting, [seed])[0].loss for seed in (0, 1, 2)])",
    share=0.1,
)
def trial_alone(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Train three together and each alone.

    A library may sum larger arrays in another order: a relative 1e-4 of a loss in float32 after six updates.
    dynprop's own trials have the same bits.
    """
    rng = case.generator()
    setting = Setting("latch", case.depth, hidden=case.width, updates=6, every=3)
    setting = replace(setting, rate=float(rng.integers(1, 20)) / 20.0)
    seeds = [int(x) for x in rng.permutation(50)[:3]]
    names = ("succeeded", "updates", "loss")
    whole = subject.trial_outcomes(setting, seeds, names)
    alone = np.concatenate([subject.trial_outcomes(setting, [seed], names) for seed in seeds])
    turned = subject.trial_outcomes(setting, seeds[::-1], names)[::-1]
    bound = REORDERED * np.abs(whole)
    apart_by = float(np.abs(np.diff(np.sort(whole[:, 2]))).min())
    return Evidence(
        (
            compare_pair("trained alone beside together", alone, whole, bound, axes=("seed", "outcome")),
            compare_pair("in another order", turned, whole, bound, axes=("seed", "outcome")),
            compare_number("1 where losses of seeds differ", float(apart_by > 0.0), 1.0, 1.0, UNIT),
        )
    )
