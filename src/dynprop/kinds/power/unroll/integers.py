"""The states of integers of 64 bits: exact, or refused where they do not fit."""

from __future__ import annotations

from dynprop.contracts.domain import Domain
from dynprop.kinds.power.cases import PowerCase
from dynprop.kinds.power.integers import as_floats, every_integer_class, exact_states, integer_case
from dynprop.kinds.power.judging import judge_states
from dynprop.kinds.power.subject import PowerSubject
from dynprop.laws.draw import Source
from dynprop.laws.evidence import Evidence
from dynprop.laws.integers import compare_integers
from dynprop.laws.law import law


def _moderate(source: Source, domain: Domain, subject: PowerSubject) -> PowerCase:
    return integer_case(source, domain.limited(64), subject)


@law(
    "unroll/integers",
    claim="C1",
    statement="the states of integers are the exact ones where powers fit 64 bits, and refused where they do "
    "not; floating states stay within their bound; states that wrap around are wrong",
    source="numpy and torch wrap around at 2^63 without a word",
    draw=_moderate,
    fixed=every_integer_class,
    script="import numpy as np\nw, h = (np.array(v.tolist(), dtype=object) for v in (W, h0))\n"
    "for state in f(W, h0, t):\n    print(state, h)  # Python integers\n    h = h @ w",
    share=0.5,
    numbers="integer",
)
def integers(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Compare the states with those of Python integers."""
    value = subject.unrounded(case.arguments, "int64")
    comparison = compare_integers(
        "states",
        value,
        exact_states(case),
        ("time", "component"),
        lambda floats: judge_states(as_floats(case), floats),
    )
    return Evidence((comparison,))
