"""Laws become tests: a failure shows its counterexample, what cannot be said is a skip, never a pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynprop.arrays import FloatArray
from dynprop.check import Product, Scan, parametrize_with_laws
from dynprop.check.pytest_laws import LawCheck
from dynprop.check.run.session import chosen_laws
from dynprop.errors import ArgumentError, TargetError
from dynprop.kinds import laws_for

FAKES = Path(__file__).with_name("fake_targets.py")
SOURCE = f"""\
import sys
sys.path.insert(0, {str(FAKES.parent)!r})
import fake_targets
from dynprop.check import Scan, parametrize_with_laws

LAWS = ["forward", "split-resume", "threads"]

@parametrize_with_laws([Scan(fake_targets.right, framework="numpy")], laws=LAWS, examples=2)
def test_right(check):
    check()

@parametrize_with_laws([Scan(fake_targets.ignores_initial, framework="numpy")], laws=LAWS[:2], examples=2)
def test_wrong(check):
    check()

@parametrize_with_laws(
    [Scan(fake_targets.ignores_initial, framework="numpy"), Scan(fake_targets.right, framework="numpy")],
    laws=["forward"], examples=2,
    expected_failures={{"scan/forward": "the initial state is another issue"}},
)
def test_known(check):
    check()

@parametrize_with_laws(Scan(fake_targets.returns_none, framework="numpy"), laws=["forward"], examples=2)
def test_useless(check):
    check()
"""


def right(gates: FloatArray, inputs: FloatArray, initial: FloatArray | None = None) -> FloatArray:
    batch, steps, channels = inputs.shape
    states = np.empty_like(inputs)
    state = np.zeros((batch, channels), inputs.dtype) if initial is None else initial
    for t in range(steps):
        state = gates[:, t] * state + inputs[:, t]
        states[:, t] = state
    return states


def doubled(gates: FloatArray, inputs: FloatArray, initial: FloatArray | None = None) -> FloatArray:
    return np.asarray(2 * right(gates, inputs, initial))


def law_check(target: Any, law: str) -> LawCheck:
    (chosen,) = chosen_laws("scan", [law])
    return LawCheck(Scan(target, framework="numpy"), chosen, examples=2)


def parameters(decorated: Any) -> list[Any]:
    (mark,) = decorated.pytestmark
    return list(mark.args[1])


def test_every_law_of_every_subject_is_a_test_with_a_readable_id() -> None:
    @parametrize_with_laws([Scan(right, framework="numpy"), Scan(doubled, framework="numpy", name="twice")])
    def judged(check: LawCheck) -> None: ...

    ids = [p.id for p in parameters(judged)]
    slugs = [law.id for law in laws_for("scan")]
    assert ids == [f"{name}:{slug}" for name in ("right", "twice") for slug in slugs]


def test_a_law_that_holds_returns_its_result() -> None:
    assert law_check(right, "forward")().verdict == "pass"


def test_a_failure_raises_with_counterexample_hypothesis_and_code() -> None:
    with pytest.raises(AssertionError) as caught:
        law_check(doubled, "forward")()
    text = str(caught.value)
    for part in ("doubled breaks scan/forward: wrong", "got ", "likely  scaled by 2", "import numpy as np"):
        assert part in text


def test_a_law_that_is_not_applicable_skips_with_its_reason() -> None:
    with pytest.raises(pytest.skip.Exception, match="not applicable: the library has no thread count"):
        law_check(right, "threads")()


def test_a_law_that_decides_nothing_skips() -> None:
    from dynprop.check.run.outcome import LawResult

    reason = LawCheck.reason(LawResult("scan/forward", cases=3, undecidable=2, refused=1))
    assert reason == "refused: 2 undecidable and 1 refused of 3 cases"


def test_a_subject_that_cannot_be_called_is_told() -> None:
    with pytest.raises(TargetError, match="returned"):
        law_check(lambda gates, inputs, initial: None, "forward")()


def test_mistakes_are_found_when_tests_are_collected() -> None:
    with pytest.raises(ArgumentError, match="subject: got int 3"):
        parametrize_with_laws([3])
    with pytest.raises(ArgumentError, match="law: got 'fwd'"):
        parametrize_with_laws([Scan(right, framework="numpy")], laws=["fwd"])
    with pytest.raises(ArgumentError, match="expected_failures: got scan/gone"):
        parametrize_with_laws([Scan(right, framework="numpy")], expected_failures={"scan/gone": "why"})


def test_expected_failures_are_strict_and_name_laws_or_tests() -> None:
    subjects = [Scan(right, framework="numpy"), Scan(doubled, framework="numpy")]

    @parametrize_with_laws(subjects, laws=["forward"], expected_failures={"doubled:scan/forward": "known"})
    def judged(check: LawCheck) -> None: ...

    first, second = parameters(judged)
    assert not first.marks
    (mark,) = second.marks
    assert mark.name == "xfail"
    assert mark.kwargs == {"reason": "known", "strict": True, "raises": AssertionError}


def test_one_subject_needs_no_list() -> None:
    @parametrize_with_laws(Scan(right, framework="numpy"), laws=["forward"])
    def judged(check: LawCheck) -> None: ...

    assert [p.id for p in parameters(judged)] == ["right:scan/forward"]


def test_laws_of_several_kinds_run_each_on_the_subjects_that_have_them() -> None:
    products = Product(lambda weights: np.cumprod(weights, axis=0), name="cumprod")
    subjects = [Scan(right, framework="numpy"), products]

    @parametrize_with_laws(subjects, laws=["scan/forward", "product/exact", "inputs-unchanged"])
    def judged(check: LawCheck) -> None: ...

    assert [p.id for p in parameters(judged)] == [
        "right:scan/forward",
        "right:scan/inputs-unchanged",
        "cumprod:product/exact",
        "cumprod:product/inputs-unchanged",
    ]
    with pytest.raises(ArgumentError, match="law: got 'fwd', expected one of the kinds scan, product"):
        parametrize_with_laws(subjects, laws=["forward", "fwd"])


def test_expected_failures_by_subject_leave_the_others_as_they_are() -> None:
    subjects = [Scan(right, framework="numpy"), Scan(doubled, framework="numpy")]
    known = {"doubled": {"forward": "issue 7"}}

    @parametrize_with_laws(subjects, laws=["forward"], expected_failures=known)
    def judged(check: LawCheck) -> None: ...

    first, second = parameters(judged)
    assert not first.marks
    assert second.marks[0].kwargs["reason"] == "issue 7"
    with pytest.raises(ArgumentError, match="expected_failures: got tripled:forward"):
        parametrize_with_laws(subjects, expected_failures={"tripled": {"forward": "issue 8"}})


def test_a_session_of_pytest_reports_them(tmp_path: Path) -> None:
    (tmp_path / "test_kernels.py").write_text(SOURCE)
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path)
    out = done.stdout
    assert done.returncode == 1, out + done.stderr
    for line in (
        "PASSED test_kernels.py::test_right[right:scan/forward]",
        "FAILED test_kernels.py::test_wrong[ignores_initial:scan/forward]",
        "FAILED test_kernels.py::test_known[right:scan/forward]",
        "XFAIL test_kernels.py::test_known[ignores_initial:scan/forward]",
        "[XPASS(strict)] the initial state is another issue",
        "not applicable: the library has no thread count to set",
        "ignores_initial breaks scan/forward: wrong",
    ):
        assert line in out
    # Both kinds of failure point to the line of the user's test, and to nothing of dynprop.
    assert "test_kernels.py:14: AssertionError" in out
    assert "test_kernels.py:26: TargetError" in out
    assert "dynprop/" not in out.partition("short test summary")[0]
