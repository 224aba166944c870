"""Planted faults are many, named after where they come from, and caught; controls are right.

Law by law they are tried in tests/properties/laws; `dynprop faults` prints the whole matrix.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from dataclasses import fields
from functools import cache
from inspect import signature
from typing import Any

import pytest

from dynprop.check.run.runner import Options, run_law
from dynprop.contracts.domain import Domain, floating, whole
from dynprop.evidence.kill_matrix import KillMatrix, Row, kill_matrix, subject_of
from dynprop.kinds import all_controls, all_faults, all_kinds, laws_for
from dynprop.laws.catalogue import Catalogue, Control, Fault, summary_of

FAULTS = all_faults()
# Lost digits of a costly kind, which sequences of two chunks show.
SHORT = {
    f"linear-attention/{name}"
    for name in (
        "state-in-bfloat16",
        "state-in-float16",
        "operands-in-bfloat16",
        "single-inside-double",
        "neighbour-in-the-last-digit",
        "inverse-in-bfloat16",
        "gradient-in-bfloat16",
        "declared-single-inside",
    )
}
CONTROLS = all_controls()
FRAMEWORKS = {"numpy", "torch"}


@cache
def named(name: str) -> Fault | Control:
    entries: list[Fault | Control] = [*FAULTS, *CONTROLS]
    return next(entry for entry in entries if entry.name == name)


def declared(entry: Fault | Control) -> Domain:
    """Return the domain that an entry declares; an impossible one raises."""
    known = {field.name for field in fields(Domain)}
    options: dict[str, Any] = {name: value for name, value in entry.domain.items() if name in known}
    # What belongs to no domain is tried where the entry is adapted to its kind.
    assert set(entry.domain) - known <= set(signature(all_kinds()[entry.kind].adapter_class()).parameters)
    if "dtypes" in options:
        options |= {"dtypes": floating(options["dtypes"]), "integers": whole(options["dtypes"])}
    return Domain(**options)


# The registry


def test_there_are_faults_and_controls_enough_of_every_kind() -> None:
    faults, controls = (Counter(e.kind for e in entries) for entries in (FAULTS, CONTROLS))
    assert set(faults) == set(controls) == set(all_kinds())
    assert faults["scan"] + faults["layer"] >= 25
    assert controls["scan"] + controls["layer"] >= 8
    assert min(*faults.values(), *controls.values()) >= 4


def test_names_are_unique() -> None:
    names = [entry.name for entry in FAULTS] + [entry.name for entry in CONTROLS]
    assert [name for name, count in Counter(names).items() if count > 1] == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_says_what_it_is_and_where_it_comes_from(fault: Fault) -> None:
    assert re.fullmatch(re.escape(fault.kind) + "/[a-z0-9]+(-[a-z0-9]+)*", fault.name)
    assert fault.framework in FRAMEWORKS
    assert fault.summary.endswith(".")
    assert "\n" not in fault.summary
    assert fault.source
    assert declared(fault).max_length == (33 if fault.name in SHORT else 2048)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name)
def test_a_control_says_what_it_is(control: Control) -> None:
    assert re.fullmatch("control/[a-z0-9]+(-[a-z0-9]+)*", control.name)
    assert control.kind in all_kinds()
    assert control.summary.endswith(".")
    assert declared(control).max_length == 2048


def test_many_faults_are_named_after_a_real_bug() -> None:
    real = [fault for fault in FAULTS if fault.source != "dynprop"]
    assert len(real) >= 15
    # A pull request or issue, a package with its version, or a repository.
    pattern = r".+/.+#\d+|[\w-]+ \d+\.\d+\.\d+(: .+)?|a released layer: .+|Goodfellow.+|[\w-]+/[\w-]+"
    assert [fault.source for fault in real if not re.fullmatch(pattern, fault.source)] == []


def test_a_target_without_a_docstring_cannot_be_planted() -> None:
    catalogue = Catalogue("scan", "numpy")
    with pytest.raises(ValueError, match="has no docstring"):
        catalogue.fault("scan/nameless")(lambda gates, inputs, initial: inputs)
    assert catalogue.faults == []


def test_the_first_line_of_a_docstring_is_the_summary() -> None:
    def target() -> None:
        """Does one thing.

        And says more about it.
        """

    assert summary_of(target) == "Does one thing."


def test_what_keeps_something_between_calls_is_built_afresh() -> None:
    fresh = named("scan/result-buffer-shared")
    assert fresh.build() is not fresh.build()
    plain = named("scan/exclusive")
    assert plain.build() is plain.build()


def test_the_registry_is_read_without_importing_torch() -> None:
    code = "import sys, dynprop.laws.catalogue; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=300).returncode == 0


# Catching


GROSS = (
    "scan/exclusive",
    "scan/cumprod-division",
    "scan/initial-for-row-zero",
    "scan/initial-gradient-zero",
    "associative-scan/odd-tail-dropped",
    "layer/batch-mean-subtracted",
)


def test_what_is_visible_in_any_decent_case_is_gross() -> None:
    gross = {fault.name for fault in FAULTS if fault.gross}  # caught within 20 examples: test_kill_matrix.py
    assert set(GROSS) <= gross


BACKWARD = (
    "scan/gradient-cut-at-lag-32",
    "scan/initial-gradient-shared",
    "scan/gate-gradient-one-step-late",
    "scan/upstream-strides-ignored",
    "scan/workspace-shared-between-calls",
)


@pytest.mark.parametrize("name", BACKWARD)
def test_a_fault_of_the_backward_pass_has_the_right_states(name: str) -> None:
    forwards = next(law for law in laws_for("scan") if law.id == "scan/forward")
    assert run_law(forwards, subject_of(named(name)), Options(examples=5)).verdict == "pass"


# The matrix


def row(name: str, verdicts: dict[str, str], *, correct: bool = False) -> Row:
    return Row(name, "scan", "", "", correct, False, 10, verdicts, 10)


def test_the_matrix_lists_what_is_uncaught_accused_and_idle() -> None:
    matrix = KillMatrix(
        (
            row("seen", {"a": "wrong", "b": "pass", "c": "undecidable"}),
            row("coarse", {"a": "pass", "b": "inaccurate", "c": "pass"}),
            row("unseen", {"a": "pass", "b": "refused", "c": "not-applicable"}),
            row("sound", {"a": "pass", "b": "pass", "c": "pass"}, correct=True),
            row("blamed", {"a": "pass", "b": "pass", "c": "error"}, correct=True),
        )
    )
    assert matrix.uncaught == ("unseen",)
    assert matrix.accused == ("blamed",)
    assert matrix.idle == ("c",)  # accusing a control is no merit
    data = matrix.to_json()
    assert [entry["caught_by"] for entry in data["rows"]] == [["a"], ["b"], [], [], ["c"]]


def test_gross_faults_get_twenty_examples_and_the_others_their_law_s_share() -> None:
    gross, fine = named("associative-scan/suffixes"), named("associative-scan/stale-carry")
    heard: list[tuple[str, int, int]] = []
    matrix = kill_matrix(None, lambda *event: heard.append(event), entries=[gross, fine])
    assert [r.examples for r in matrix.rows] == [20, None]
    assert heard == [(gross.name, 0, 2), (fine.name, 1, 2)]
    assert matrix.uncaught == ()
