"""`unroll` and `closed_form` pass every law of their kinds, and a small defect in them does not.

`scan` is judged in test_scan.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dynprop import linear
from dynprop.arrays import NumericArray
from dynprop.check.run.outcome import LawResult
from dynprop.check.run.runner import Options, run_law
from dynprop.kinds import laws_for
from dynprop.kinds.power.closed_form.target import ClosedForm
from dynprop.kinds.power.unroll.target import Unroll
from dynprop.laws.law import Law
from tests.properties.kinds.kinds import thinned

LIBRARIES = ("numpy", "torch")
ROUTES = ("loop", "squaring", "eigen", "schur", "certified")
# A fifth of the examples that `dynprop check` draws; the fixed cases of every law run besides.
EXAMPLES = 20


def as_floats(route: Any = "auto") -> Callable[[NumericArray, NumericArray, int], NumericArray]:
    """Return a closed form in plain floats of the caller's format; refusals pass through."""

    def closed_form(W: NumericArray, h0: NumericArray, t: int) -> NumericArray:
        found = linear.closed_form(W, h0, t, route=route)
        with np.errstate(over="ignore", under="ignore"):
            return found.state.astype(h0.dtype)

    return closed_form


def by_route(route: str) -> ClosedForm:
    return ClosedForm(as_floats(route), name=f"closed_form by {route}")


def judged(law: Law, judged_subject: Any, examples: int = EXAMPLES) -> LawResult:
    """Run a law on a share of its usual number of cases."""
    return run_law(law, judged_subject, Options(examples=max(2, round(examples * law.share)), patience=0.3))


def is_about_gradients(law: Law) -> bool:
    return law.slug == "adjoint"


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("law", laws_for("unroll"), ids=lambda law: law.slug)
def test_unroll_obeys_the_laws_of_its_kind(law: Law, library: str) -> None:
    result = judged(law, Unroll(linear.unroll, framework=library))
    # unroll takes no integers, and says so.
    if law.numbers == "integer" or (library == "numpy" and is_about_gradients(law)):
        assert result.verdict == "not-applicable"
        return
    assert (result.verdict, result.refused) == ("pass", 0), result.counterexample
    assert result.worst_ratio <= 1.0


@pytest.mark.parametrize("law", laws_for("closed-form"), ids=lambda law: law.slug)
def test_closed_form_obeys_the_laws_of_its_kind_and_refuses_nothing(law: Law) -> None:
    whole = ClosedForm(lambda W, h0, t: linear.closed_form(W, h0, t).state, dtypes=("int64",))
    result = judged(law, whole if law.numbers == "integer" else by_route("auto"))
    if is_about_gradients(law):
        assert result.verdict == "not-applicable"
        return
    assert (result.verdict, result.refused) == ("pass", 0), result.counterexample
    assert result.worst_ratio <= 1.0


@pytest.mark.parametrize("route", ROUTES)
def test_a_forced_route_is_right_or_refuses(route: str) -> None:
    """A route that is not made for a W may refuse even a well-conditioned one; it is never inaccurate."""
    results = [judged(thinned(law, 3), by_route(route), 6) for law in laws_for("closed-form")]
    assert sum(result.wrong + result.inaccurate for result in results) == 0
    assert sum(result.decided for result in results) > 50


DEFECTS: list[tuple[str, Any, str]] = [
    ("unroll", lambda W, h0, steps: linear.unroll(W.T, h0, steps), "unroll/exact-states"),
    ("unroll", lambda W, h0, steps: linear.unroll(W, h0, steps + 1)[1:], "unroll/step-zero"),
    ("closed-form", lambda W, h0, t: as_floats()(W.T.copy(), h0, t), "closed-form/exact-or-refused"),
    ("closed-form", lambda W, h0, t: linear.closed_form(W, h0, t).value, "closed-form/exact-or-refused"),
]


@pytest.mark.parametrize(("kind", "target", "law"), DEFECTS)
def test_the_same_laws_fail_a_defect_of_one_line(kind: str, target: Any, law: str) -> None:
    adapter: Any = {"unroll": Unroll, "closed-form": ClosedForm}[kind]
    (chosen,) = [found for found in laws_for(kind) if found.id == law]
    assert judged(thinned(chosen, 6), adapter(target, framework="numpy")).failed
