"""Every law says what it claims and where from, and earns its place by a fault that it catches."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from dynprop.contracts.domain import INTEGERS, Domain
from dynprop.errors import ArgumentError
from dynprop.evidence.kill_matrix import chosen_entries, kill_matrix
from dynprop.kinds import all_controls, all_faults, all_kinds, all_laws, law_by_id, laws_for
from dynprop.kinds.record import Kind
from dynprop.kinds.scan.cases import ScanCase, scan_case
from dynprop.kinds.scan.subject import ScanSubject
from dynprop.laws.catalogue import Catalogue, Control, Fault
from dynprop.laws.evidence import Evidence
from dynprop.laws.law import Law, law

LAWS = all_laws()
SLUG = re.compile(rf"({'|'.join(all_kinds())})/[a-z0-9]+(-[a-z0-9]+)*")


def test_there_are_laws_of_every_kind() -> None:
    assert {found.kind for found in LAWS} == set(all_kinds())


@pytest.mark.parametrize("found", LAWS, ids=lambda found: found.id)
def test_a_law_is_named_claimed_stated_and_sourced(found: Law) -> None:
    assert SLUG.fullmatch(found.id)
    assert found.id == f"{found.kind}/{found.slug}"
    assert re.fullmatch("C[0-7]", found.claim)
    assert found.statement.strip() == found.statement != ""
    assert not found.statement.endswith(".")
    assert "\n" not in found.statement + found.source
    assert found.source
    assert inspect.getdoc(found.test)
    assert 0.0 < found.share <= 1.0


@pytest.mark.parametrize("found", LAWS, ids=lambda found: found.id)
def test_a_script_that_is_shown_is_python(found: Law) -> None:
    assert any(found.script.values())
    for framework, script in found.script.items():
        compile(re.sub(r"\{[a-z]+\}", "1", script), f"{found.id} {framework}", "exec")


def test_ids_are_unique() -> None:
    ids = [found.id for found in LAWS]
    assert len(ids) == len(set(ids))


def test_a_law_is_found_by_its_id() -> None:
    assert all(law_by_id(found.id) is found for found in LAWS)


def test_an_unknown_kind_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ArgumentError) as caught:
        laws_for("scans")
    assert str(caught.value) == (
        f"kind: got 'scans', expected one of {', '.join(all_kinds())}; did you mean 'scan'?"
    )


def test_an_unknown_law_is_answered_with_where_to_look() -> None:
    with pytest.raises(ArgumentError) as caught:
        law_by_id("scan/nothing")
    assert str(caught.value) == "law: got 'scan/nothing', expected an id that `dynprop laws` lists"


def test_an_id_cannot_be_taken_twice() -> None:
    with pytest.raises(ArgumentError, match="law: got 'scan/forward', expected an id that is not taken"):

        @law("scan/forward", claim="C1", statement="", source="", draw=scan_case)
        def forward(subject: ScanSubject, case: ScanCase) -> Evidence:
            return Evidence()

    assert law_by_id("scan/forward").statement


@pytest.mark.parametrize("claim", ["C8", "c1", "", "C"])
def test_a_claim_is_one_of_the_theory(claim: str) -> None:
    with pytest.raises(
        ArgumentError, match=f"claim: got '{claim}' of law 'scan/new', expected one of C0, C1"
    ):
        law("scan/new", claim=claim, statement="", source="", draw=scan_case)


@pytest.mark.parametrize("identifier", ["new", "/new", "scan/", "scan/new/er"])
def test_an_id_has_a_kind_and_a_slug(identifier: str) -> None:
    with pytest.raises(ArgumentError, match="expected an id of the form kind/slug"):
        law(identifier, claim="C1", statement="", source="", draw=scan_case)


def test_a_fault_begins_with_its_kind_and_names_laws_by_their_slugs() -> None:
    faults = Catalogue("scan", "numpy")
    with pytest.raises(
        ArgumentError, match="fault: got 'scans/new', expected a name that begins with 'scan/'"
    ):
        faults.fault("scans/new")
    with pytest.raises(
        ArgumentError, match=r"'scan/forward' for fault 'scan/new', expected .* slug, 'forward'"
    ):
        faults.fault("scan/new", caught_by={"scan/forward": "wrong"})
    assert not faults.faults


@pytest.mark.parametrize("kind", all_kinds().values(), ids=lambda kind: kind.name)
def test_what_a_record_names_exists(kind: Kind) -> None:
    kind.require_usable()
    for place in (kind.adapter, kind.promise, kind.setup, kind.accepts):
        if place:
            with pytest.raises(
                ArgumentError, match=r"expected a kind that can be used: module .* has no .*x"
            ):
                replace(kind, adapter=f"{place}x").require_usable()


def test_a_fault_may_be_named_without_its_kind_where_the_kind_is_given() -> None:
    (entry,) = chosen_entries(["associative-scan"], ["suffixes"])
    assert entry.name == "associative-scan/suffixes"
    with pytest.raises(ArgumentError, match="fault: got 'suffixes'"):
        chosen_entries([], ["suffixes"])


def test_the_order_of_laws_is_that_of_their_definition() -> None:
    assert [found.id for found in laws_for("scan")][:2] == ["scan/forward", "scan/lengths"]
    assert [found.kind for found in LAWS] == sorted((f.kind for f in LAWS), key=list(all_kinds()).index)


WITH_STEPS = [f for f in LAWS if f.kind in ("scan", "unroll", "closed-form")]


@pytest.mark.parametrize("found", WITH_STEPS, ids=lambda found: found.id)
@pytest.mark.parametrize("longest", [1, 5, 2048])
def test_fixed_cases_keep_to_the_longest_length_of_a_domain(found: Law, longest: int) -> None:
    domain = Domain(max_length=longest, integers=INTEGERS)
    for compiles in (False, True):
        for case in found.fixed(
            domain, SimpleNamespace(domain=domain, compiles=compiles, differentiable=True)
        ):
            assert case.steps <= longest
            assert case.dtype in (domain.integers if found.numbers == "integer" else domain.dtypes)


def test_the_kill_matrix_says_which_law_caught_what_and_accuses_no_control() -> None:
    known: list[Fault | Control] = [*all_faults(), *all_controls()]
    faults = ("associative-scan/suffixes", "associative-scan/elements-overwritten")
    chosen = [entry for entry in known if entry.name in (*faults, "control/associative-blocks")]
    matrix = kill_matrix(examples=10, entries=chosen)
    assert (matrix.uncaught, matrix.accused) == ((), ())
    assert matrix.idle == ("associative-scan/repeatable",)
    rows = {row.name: row for row in matrix.rows}
    assert rows["associative-scan/elements-overwritten"].caught_by == ("associative-scan/elements-unchanged",)
    assert "associative-scan/order" in rows["associative-scan/suffixes"].caught_by
    assert rows["control/associative-blocks"].correct
    assert set(rows["control/associative-blocks"].verdicts.values()) == {"pass"}
