"""Tables of judged powers: counts and worst ratios, per stratum, decade of t, size and route.

A float64 route has an upper bound on an unknown error, so its ratios show how sharp the bound is. The bound
of the certified route is the rounding of a ball to a float: its ratios are near 1 by construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dynprop.arrays import BoolArray, NumericArray
from dynprop.kinds.power.strata import STRATA

__all__ = ["described", "no_blank_cheque"]


def described(rows: NumericArray, outcomes: Sequence[str], routes: Sequence[str]) -> dict[str, Any]:
    """Return the tables of judged cases as plain JSON values.

    Args:
        rows: a structured array: stratum, size, complex, t, outcome, route, error, bound.
        outcomes: names that the column outcome counts.
        routes: names that the column route counts.
    """

    def row(mask: BoolArray) -> dict[str, Any]:
        return _counted(rows[mask], outcomes, routes)

    everything = np.ones(len(rows), dtype=bool)
    decades = _decades(rows["t"])
    return {
        **row(everything),
        "strata": [{"stratum": s.name, **row(rows["stratum"] == i)} for i, s in enumerate(STRATA)],
        "decades": [
            {
                "t": _decade_name(d),
                **row(decades == d),
                **no_blank_cheque(rows[decades == d], outcomes, routes),
            }
            for d in np.unique(decades).tolist()
        ],
        "sizes": [{"n": n, **row(rows["size"] == n)} for n in np.unique(rows["size"]).tolist()],
        "fields": [
            {"numbers": name, **row(rows["complex"] == flag)}
            for name, flag in (("real W", False), ("complex W", True))
        ],
        "routes": [
            {"route": name, **row((rows["route"] == i) & (rows["outcome"] != outcomes.index("refused")))}
            for i, name in enumerate(routes)
            if (rows["route"] == i).any()
        ],
    }


def _decades(t: NumericArray) -> NumericArray:
    """Return floor(log10(t)), -1 for 0; integers up to 2^63 - 1 are compared, not rounded."""
    powers = np.array([10**k for k in range(19)], dtype=np.int64)
    return np.asarray(np.searchsorted(powers, t, side="right") - 1)


def _decade_name(decade: int) -> str:
    return "0" if decade < 0 else f"1e{decade} to 1e{decade + 1}"


def _counted(rows: NumericArray, outcomes: Sequence[str], routes: Sequence[str]) -> dict[str, Any]:
    counts: dict[str, Any] = {"cases": len(rows)}
    counts.update({name: int((rows["outcome"] == i).sum()) for i, name in enumerate(outcomes)})
    judged = rows[(rows["outcome"] != outcomes.index("refused")) & (rows["bound"] > 0.0)]
    certified = judged["route"] == routes.index("certified")
    for name, group in (("float64", judged[~certified]), ("certified", judged[certified])):
        with np.errstate(over="ignore"):
            worst = (group["error"] / group["bound"]).max(initial=0.0)
        counts[f"{name}_cases"] = len(group)
        counts[f"worst_ratio_{name}"] = _plain(worst)
    counts["worst_error"] = _plain(judged["error"].max(initial=0.0))
    return counts


def no_blank_cheque(
    rows: NumericArray, outcomes: Sequence[str], routes: Sequence[str]
) -> dict[str, float | None]:
    """Return the share of answers whose bound is below ten times the worst relative error seen.

    One share is over all answers, one over float64 routes, whose bounds are not roundings of balls.
    """
    answered = rows[(rows["outcome"] == outcomes.index("answered")) & (rows["bound"] > 0.0)]
    float64 = answered[answered["route"] != routes.index("certified")]
    shares: dict[str, float | None] = {}
    for name, group in (("all", answered), ("float64", float64)):
        caught = (group["bound"] < 10.0 * group["error"].max(initial=0.0)).mean() if len(group) else np.nan
        shares[f"ten_times_worse_caught_{name}"] = _plain(caught)
        shares[f"median_bound_{name}"] = _plain(np.median(group["bound"])) if len(group) else None
    return shares


def _plain(value: Any) -> float | None:
    """Return a number to four digits; None for NaN and infinity, which JSON cannot store."""
    return float(f"{float(value):.4g}") if np.isfinite(value) else None
