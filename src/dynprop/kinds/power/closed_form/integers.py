"""The closed form of integers of 64 bits: exact, or refused where they do not fit."""

from __future__ import annotations

from dynprop.kinds.power.cases import PowerCase
from dynprop.kinds.power.integers import as_floats, every_integer_class, exact_states, integer_case
from dynprop.kinds.power.judging import judge_state
from dynprop.kinds.power.subject import PowerSubject
from dynprop.laws.evidence import Evidence
from dynprop.laws.integers import compare_integers
from dynprop.laws.law import law


@law(
    "closed-form/integers",
    claim="C1",
    statement="for integers the answer is the exact one where powers fit 64 bits, and a refusal where they "
    "do not; a floating answer stays within its bound; one that wraps around is wrong",
    source="numpy and torch wrap around at 2^63 without a word",
    draw=integer_case,
    fixed=every_integer_class,
    script="import numpy as np\nw, h = (np.array(v.tolist(), dtype=object) for v in (W, h0))\n"
    "for _ in range(t):\n    h = h @ w  # Python integers\nprint(f(W, h0, t), h)",
    share=0.5,
    numbers="integer",
)
def integers(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Compare the state with that of Python integers."""
    value = subject.unrounded(case.arguments, "int64")
    comparison = compare_integers(
        "state",
        value,
        exact_states(case)[-1],
        ("component",),
        lambda floats: judge_state(as_floats(case), floats),
    )
    return Evidence((comparison,))
