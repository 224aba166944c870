"""Unrolls and closed forms are called as their kinds say, and reported so that it can be repeated."""

from __future__ import annotations

import contextlib
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dynprop.arrays import NumericArray
from dynprop.check import ClosedForm, Unroll, again, check, load_subject
from dynprop.errors import ArgumentError, TargetError
from dynprop.kinds import all_faults
from dynprop.kinds.power.closed_form.controls import power_numpy, power_torch
from dynprop.kinds.power.unroll.controls import unroll_loop, unroll_torch_loop
from dynprop.subjects.calls import TargetMismatchError, TargetRaisedError

W = np.array([[0.5, 1.0], [0.0, -0.25]])
H = np.array([1.0, 2.0])
LAST = np.array([0.125, 0.15625])

KERNELS = """\
import numpy as np
def power(W, h0, t):
    return h0 @ np.linalg.matrix_power(W, t)
def wrong(W, h0, t):
    return h0 @ np.linalg.matrix_power(W, t + 1)
def conjugated(W, h0, t):
    return h0 @ np.linalg.matrix_power(W.conj(), t)
def unroll(W, h0, steps):
    states = [h0]
    for _ in range(steps):
        states.append(states[-1] @ W)
    return np.stack(states)
def two(W, h0):
    return h0
"""


@pytest.fixture
def kernels(tmp_path: Path) -> str:
    path = tmp_path / f"kernels_{tmp_path.name}.py".replace("-", "_")
    path.write_text(KERNELS)
    return str(path)


# Calling


def test_rows_are_multiplied_from_the_left() -> None:
    states = Unroll(unroll_loop).values((W, H, 3), "float64")
    assert np.array_equal(states[0], H)
    assert np.array_equal(states[1], H @ W)
    assert np.array_equal(states[3], LAST)
    assert np.array_equal(ClosedForm(power_numpy).values((W, H, 3), "float64"), LAST)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("complex_", [False, True])
def test_arguments_come_in_the_format_that_is_named(dtype: str, complex_: bool) -> None:
    seen: list[Any] = []

    def keeps(W: torch.Tensor, h0: torch.Tensor, t: int) -> torch.Tensor:
        seen.append((W.dtype, h0.dtype, type(t)))
        return power_torch(W, h0, t)

    if complex_ and dtype == "bfloat16":
        return
    subject = ClosedForm(keeps, framework="torch")
    turn = 1j if complex_ else 1.0
    found = subject.values((turn * W, turn * H, 3), dtype)
    real = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16}[dtype]
    expected = {torch.float64: torch.complex128, torch.float32: torch.complex64}.get(real, real)
    assert seen == [(expected if complex_ else real,) * 2 + (int,)]
    assert np.array_equal(found, LAST if not complex_ else LAST * 1j**4)


def test_arguments_are_fresh_at_every_call() -> None:
    def spoils(W: NumericArray, h0: NumericArray, t: int) -> NumericArray:
        W[:] = 7.0
        h0[:] = 7.0
        return h0

    w, h = W.copy(), H.copy()
    subject = ClosedForm(spoils)
    subject.values((w, h, 2), "float64")
    assert np.array_equal(w, W)
    assert np.array_equal(h, H)
    assert subject.changed_arguments((w, h, 2), "float64") == "the caller's argument W was modified in place"


def test_layouts_hold_the_same_numbers() -> None:
    for subject in (ClosedForm(power_numpy), ClosedForm(power_torch, framework="torch")):
        found = dict(subject.layouts((W, H, 3), "float64"))
        assert len(found) >= 3
        assert all(np.allclose(v, LAST, rtol=1e-15) for (v,) in found.values())


def test_read_only_vectors_are_read_only() -> None:
    flags: dict[bool, None] = {}

    def looks(W: NumericArray, h0: NumericArray, t: int) -> NumericArray:
        flags[bool(h0.flags.writeable and W.flags.writeable)] = None
        return power_numpy(W, h0, t)

    list(ClosedForm(looks).layouts((W, H, 3), "float64"))
    assert set(flags) == {True, False}


def test_a_result_of_another_shape_or_library_is_a_mismatch() -> None:
    for target in (unroll_loop, lambda W, h0, t: torch.zeros(2), lambda W, h0, t: h0[None]):
        with pytest.raises(TargetMismatchError):
            ClosedForm(target).values((W, H, 3), "float64")
    with pytest.raises(TargetMismatchError, match=r"expected shape \(steps \+ 1, n\), \(4, 2\)"):
        Unroll(power_numpy).values((W, H, 3), "float64")


def test_what_a_target_raises_is_its_own() -> None:
    with pytest.raises(TargetRaisedError, match="ZeroDivisionError"):
        ClosedForm(lambda W, h0, t: 1 / 0).values((W, H, 3), "float64")


def test_gradients_travel_by_the_matrix() -> None:
    subject = Unroll(unroll_torch_loop, framework="torch")
    arrays = {"W": W, "h": H, "weights": np.array([1.0, 3.0])}

    def loss(f: Any, leaves: Any) -> Any:
        return (f(leaves["W"], leaves["h"], 3)[3] * leaves["weights"]).sum()

    found = subject.gradients(loss, arrays, "float64", ("h",))["h"]
    assert np.array_equal(found, np.linalg.matrix_power(W, 3) @ arrays["weights"])


# Options


@pytest.mark.parametrize("adapter", [Unroll, ClosedForm])
def test_the_defaults_are_those_of_numpy(adapter: Any) -> None:
    subject = adapter(power_numpy)
    assert subject.framework == "numpy"
    assert subject.domain.dtypes == ("float64", "float32")
    assert subject.domain.max_length == 2048
    assert adapter(power_torch, framework="torch").domain.dtypes == ("float64", "float32", "bfloat16")
    with pytest.raises(ArgumentError):
        adapter(power_numpy, dtypes=("int8",))


def test_targets_are_loaded_by_kind_and_options_are_checked(kernels: str) -> None:
    subject = load_subject(f"{kernels}:power", "closed-form", max_length=64, dtypes=["float32"])
    assert (subject.kind, subject.domain.max_length, subject.domain.dtypes) == (
        "closed-form",
        64,
        ("float32",),
    )
    assert load_subject(f"{kernels}:unroll", "unroll", arithmetic="log").domain.arithmetic == "log"
    with pytest.raises(ArgumentError, match="an option that kind closed-form takes"):
        load_subject(f"{kernels}:power", "closed-form", gates="unit")
    with pytest.raises(TargetError, match=r"kind closed-form calls f\(W, h0, t\)"):
        load_subject(f"{kernels}:two", "closed-form")
    with pytest.raises(TargetError, match=r"kind unroll calls f\(W, h0, steps\)"):
        load_subject(f"{kernels}:two", "unroll")


def test_a_torch_target_given_numpy_arrays_is_told_what_to_say() -> None:
    def torch_only(W: Any, h0: Any, t: int) -> Any:
        return torch.as_tensor(h0)

    with pytest.raises(TargetError, match="say --framework torch"):
        ClosedForm(torch_only).preflight()


# Reports


def test_a_right_closed_form_gets_a_verdict_in_which_every_law_decides_something() -> None:
    report = check(ClosedForm(power_numpy), examples=5)
    assert report.verdict == "pass"
    assert all(law.decided > 0 or law.not_applicable for law in report.laws)
    json.dumps(report.to_json(), allow_nan=False)


@pytest.mark.parametrize("name", ["wrong", "conjugated"])
def test_a_counterexample_is_replayed_and_its_script_shows_the_failure(kernels: str, name: str) -> None:
    subject = load_subject(f"{kernels}:{name}", "closed-form")
    (law,) = check(subject, examples=15, laws=["exact-or-refused"]).laws
    assert law.verdict == "wrong"
    assert law.counterexample is not None
    saved = json.loads(json.dumps(law.counterexample.to_json()))
    assert again(law.law, subject, saved["case"]).failed
    script = law.counterexample.script
    assert "dynprop" not in script.replace(str(Path(kernels).parent), "")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(script, "script", "exec"), {})
    assert printed.getvalue().strip()


def test_the_script_of_an_unroll_prints_both_trajectories() -> None:
    fault = next(f for f in all_faults() if f.name == "unroll/untransposed")
    report = check(Unroll(fault.build()), examples=5, laws=["exact-states"])  # type: ignore[arg-type]  # callable
    (law,) = report.laws
    assert law.counterexample is not None
    lines = law.counterexample.script.splitlines()
    assert lines[0] == "import numpy as np"
    assert any(line.startswith("W = np.array([[") for line in lines)
    assert any(line.startswith("t = ") for line in lines)


@pytest.mark.parametrize("kind", [Unroll, ClosedForm])
def test_no_law_of_ours_warns(kind: Any, recwarn: pytest.WarningsRecorder) -> None:
    target = unroll_loop if kind is Unroll else power_numpy
    report = check(kind(target), examples=10)
    assert report.verdict == "pass"
    assert [str(w.message) for w in recwarn] == []
    assert math.isfinite(max(law.worst_ratio for law in report.laws))
