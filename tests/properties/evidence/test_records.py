"""Records have the names of their source and the digests of the code that ran; long runs resume."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from docs import generate, records
from dynprop.errors import ArgumentError
from dynprop.evidence import kill_matrix
from dynprop.evidence.code import closure, code_of, code_of_kind, code_of_planted, normalised
from dynprop.evidence.compare import (
    changes,
    differences,
    digest_lines,
    laws_text,
    some_row_differences,
    state_text,
)
from dynprop.evidence.kill_matrix import chosen_entries
from dynprop.evidence.record import controls, experiments, faults
from dynprop.evidence.record.jobs import Job, Shard, Store
from dynprop.evidence.record.rows import OWN, Recorded, apart_text, described
from dynprop.kinds import all_controls, all_faults, all_kinds, laws_for
from dynprop.laws.catalogue import Fault

# Records and their sources


@pytest.mark.parametrize("name", records.SOURCES)
def test_a_record_has_every_name_of_its_source_and_no_other(name: str) -> None:
    source, data = records.SOURCES[name], records.read(name)
    print(f"{name}: digests that the record describes, and today's")
    print("\n".join(digest_lines(source.described(data), source.today())))
    assert source.problems(data) == [], f"record it by: {source.command}"


@pytest.mark.parametrize("name", records.SOURCES)
def test_a_record_carries_date_seed_and_versions(name: str) -> None:
    assert records.undated(records.read(name)) == []


def planted(name: str) -> Fault:
    return replace(all_faults()[0], name=name)


def recorded_in_full() -> dict[str, Any]:
    """Return what a run over the whole registry records of names."""
    rows = [
        {"name": entry.name, "kind": entry.kind, "verdicts": {law.id: "pass" for law in laws_for(entry.kind)}}
        for entry in chosen_entries()
    ]
    return {"rows": rows}


def test_a_planted_fault_that_no_run_recorded_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    source, data = faults.SOURCE, recorded_in_full()
    assert differences(source.expected(), source.recorded(data)) == []
    monkeypatch.setattr(
        kill_matrix, "all_faults", lambda kinds: (*all_faults(kinds), planted("scan/planted-today"))
    )
    assert differences(source.expected(), source.recorded(data)) == ["missing: scan/planted-today"]
    # The committed record does not have it either.
    lines = differences(source.expected(), source.recorded(records.read("faults.json")))
    assert "missing: scan/planted-today" in lines


def test_a_fault_that_was_removed_is_superfluous(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = all_faults()
    data = recorded_in_full()
    monkeypatch.setattr(kill_matrix, "all_faults", lambda kinds: tuple(others))
    source = faults.SOURCE
    assert differences(source.expected(), source.recorded(data)) == [f"superfluous: {first.name}"]


@pytest.mark.parametrize("module", [faults, controls])
def test_a_law_that_no_run_recorded_is_missing_on_every_entry(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = module.SOURCE.expected()
    new = replace(laws_for("scan")[0], id="scan/of-today")

    def laws(kind: str) -> tuple[Any, ...]:
        return (*laws_for(kind), new) if kind == "scan" else laws_for(kind)

    monkeypatch.setattr(module, "laws_for", laws)
    source = module.SOURCE
    (line,) = source.compare(source.expected(), expected)
    assert line.startswith("missing: law scan/of-today on ")


def test_an_unrecorded_control_or_experiment_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    control = replace(all_controls()[0], name="control/of-today")
    before = controls.SOURCE.expected()
    monkeypatch.setattr(controls, "all_controls", lambda: (*all_controls(), control))
    assert differences(controls.SOURCE.expected(), before) == ["missing: control/of-today"]
    data = {"experiments": dict.fromkeys([*experiments.EXPERIMENTS, "E9"])}
    lines = differences(experiments.SOURCE.expected(), experiments.SOURCE.recorded(data))
    assert lines == ["superfluous: E9"]


def test_a_law_that_does_not_apply_to_a_control_counts_as_recorded() -> None:
    row = {"control": "c", "laws": [{"law": "a"}], "not_applicable": ["b"]}
    assert controls.SOURCE.recorded({"controls": [row]}) == {"c": frozenset("ab")}


def test_a_law_of_the_kill_matrix_is_recorded_once_one_row_has_it() -> None:
    expected = {"a": frozenset({"old", "new"}), "b": frozenset({"old", "new"})}
    recorded = {"a": frozenset({"old", "new"}), "b": frozenset({"old"})}
    assert some_row_differences(expected, recorded) == []
    assert differences(expected, recorded) == ["missing: law new on b"]
    assert laws_text(expected, recorded) == "**Laws that came after the run:** `new` (on 1 entry).\n\n"
    # In no row it is missing, and so is an entry.
    assert some_row_differences(expected, {"a": frozenset({"old"})}) == [
        "missing: b",
        "missing: law new on a",
    ]
    assert some_row_differences(dict.fromkeys("ab", frozenset({"old"})), recorded) == [
        "superfluous: law new on a"
    ]


def test_a_law_that_the_survey_did_not_know_is_no_error_and_named_on_the_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = records.SOURCES["survey.json"]
    data = records.read("survey.json")
    assert source.problems(data) == []
    new = replace(laws_for("scan")[0], id="scan/of-today")
    monkeypatch.setattr(
        records, "laws_for", lambda kind: (*laws_for(kind), new) if kind == "scan" else laws_for(kind)
    )
    assert source.problems(data) == []
    scans = sum(entry["kind"] == "scan" for entry in data["entries"])
    assert f"`scan/of-today` (on {scans} entries)" in generate.state("survey.json", data)
    # An entry without a run, and one that survey.toml does not list, are errors.
    first, *others = data["entries"]
    assert source.problems({**data, "entries": others}) == [f"missing: {first['name']}"]
    extra = {**data, "entries": [*data["entries"], {**first, "name": "extra"}]}
    assert source.problems(extra) == ["superfluous: extra"]


# Digests


def test_comments_docstrings_and_layout_are_no_code() -> None:
    source = '"""Text."""\ndef f(x):\n    """More."""\n    return x + 1\n'
    other = "# note\ndef f(\n    x,\n):\n    return (x + 1)  # one more\n"
    assert normalised(source) == normalised(other)
    for edit in ("x + 2", "x - 1", "1 + x"):
        assert normalised(source.replace("x + 1", edit)) != normalised(source)


def package(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_closure_follows_imports_in_functions_and_through_packages_but_not_those_of_types(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    root = tmp_path / "toyrooms"
    package(
        root,
        start="from typing import TYPE_CHECKING\n"
        "from toyrooms.room import late\n"
        "def run():\n    from .used import g\n    import numpy\n"
        "if TYPE_CHECKING:\n    from toyrooms import types_only\n",
        used="import dynprop.errors\ng = 1\n",
        types_only="",
        unused="",
        room__a="late = 1\n",
        room__b="",
    )
    (root / "__init__.py").write_text("")
    (root / "room" / "__init__.py").write_text("from .a import late\nfrom .b import other\n")
    modules = closure(["toyrooms.start"])
    assert modules == {"toyrooms.start", "toyrooms.used", "toyrooms.room.a", "dynprop.errors"}
    before = code_of(["toyrooms.start"])
    package(root, used="# a comment that is new\nimport dynprop.errors\ng = 1\n")
    assert code_of(["toyrooms.start"]) == before
    package(root, used="import dynprop.errors\ng = 22\n")
    after = code_of(["toyrooms.start"])
    assert [room for room in before if before[room] != after[room]] == ["toyrooms"]


def test_what_judges_a_kind_is_its_own_folder_and_no_other_kind_s() -> None:
    rooms = set(code_of_kind("scan"))
    assert rooms >= {"kinds.scan", "laws", "check", "subjects", "contracts"}
    others = {".".join(kind.adapter.split(".")[1:3]) for kind in all_kinds().values()} - {"kinds.scan"}
    assert rooms.isdisjoint(others)
    assert "dynprop.kinds.scan.faults" not in closure(all_kinds()["scan"].laws)
    assert code_of_planted(["scan"])["scan"]["kinds.scan"] != code_of_kind("scan")["kinds.scan"]


def test_lazy_packages_lead_to_the_modules_of_their_names() -> None:
    """`dynprop.training` loads its names by a stub."""
    rooms = experiments.today_code()
    assert {"training", "products", "gradients", "evidence"} <= set(rooms)
    assert "check" not in rooms


# Older states


TODAY = {"scan": {"laws": "a1", "linear": "b1"}, "layer": {"laws": "a1"}}


def test_a_record_of_today_s_code_is_of_today() -> None:
    assert changes(TODAY, TODAY) == {}
    assert state_text(TODAY, TODAY) == "The code that ran is today's.\n\n"
    assert not [line for line in digest_lines(TODAY, TODAY) if "changed" in line]


def test_what_changed_since_is_named_by_room_and_group() -> None:
    then = {"scan": {"laws": "a1", "linear": "b0"}, "layer": {"laws": "a1"}}
    assert changes(then, TODAY) == {"scan": ["linear"]}
    text = state_text(then, TODAY)
    assert text == "**Of an older state of the code:** for `scan` `linear` changed since.\n\n"
    (line,) = [line for line in digest_lines(then, TODAY) if line.endswith("changed")]
    assert line.split() == ["scan", "linear", "b0", "b1", "changed"]


def test_a_room_that_is_new_or_gone_has_changed() -> None:
    assert changes({"scan": {"laws": "a1"}}, TODAY) == {"scan": ["linear"]}
    assert changes({"gone": {"laws": "a1"}}, TODAY) == {"gone": ["laws"]}


def test_a_run_without_digests_is_of_an_older_state() -> None:
    assert "the run recorded no digests" in state_text({"scan": None}, TODAY)
    then = {"scan": None, "layer": {"laws": "a1"}}
    assert "for `scan` the run recorded no digests" in state_text(then, TODAY)


# Runs that resume


def job(name: str, calls: list[str], code: str = "now", fails: bool = False) -> Job:
    def work() -> dict[str, Any]:
        calls.append(name)
        if fails:
            raise KeyboardInterrupt
        return {"name": name}

    return Job(name, {"seed": 1, "code": {"laws": code}}, work)


Record = Callable[..., dict[str, Any] | None]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Run jobs with the options of a command line, in a folder of the test."""
    import argparse

    from dynprop.evidence.record.jobs import add_arguments, run_record

    def run(jobs: list[Job], *arguments: str) -> dict[str, Any] | None:
        parser = argparse.ArgumentParser()
        add_arguments(parser, "toy")
        paths = ["--parts", str(tmp_path / "parts"), "--out", str(tmp_path / "toy.json")]
        given = parser.parse_args([*paths, *arguments])
        return run_record(given, jobs, lambda parts: {"names": [p["result"]["name"] for p in parts]}, print)

    return run


def test_a_killed_run_goes_on_after_its_last_whole_entry(record: Record, tmp_path: Path) -> None:
    calls: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        record([job("a", calls), job("b", calls, fails=True), job("c", calls)], "--resume")
    assert not (tmp_path / "toy.json").exists()
    written = record([job(name, calls) for name in "abc"], "--resume")
    assert calls == ["a", "b", "b", "c"]
    assert written == {"names": ["a", "b", "c"]} == json.loads((tmp_path / "toy.json").read_text())


def test_results_of_other_code_are_computed_again(record: Record) -> None:
    calls: list[str] = []
    record([job("a", calls), job("b", calls)])
    assert record([job("a", calls, "then"), job("b", calls)], "--resume") is not None
    assert calls == ["a", "b", "a"]
    # Without --resume everything is.
    record([job("a", calls, "then"), job("b", calls)])
    assert calls == ["a", "b", "a", "a", "b"]


def test_shards_share_the_entries_and_the_last_one_writes_the_record(record: Record) -> None:
    calls: list[str] = []
    jobs = [job(name, calls) for name in "abcde"]
    assert record(jobs, "--shard", "2/2") is None
    assert calls == ["b", "d"]
    assert record(jobs, "--shard", "1/2") == {"names": list("abcde")}
    assert calls == ["b", "d", "a", "c", "e"]


def test_chosen_entries_are_run_and_the_others_awaited(
    record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[str] = []
    assert record([job("scan/a", calls), job("layer/b", calls)], "--only", "scan") is None
    assert calls == ["scan/a"]
    assert "not written; 1 of 2 entries" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "a/b", "1/2/3", "-1/2"])
def test_an_impossible_shard_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="expected i/n with 1 <= i <= n"):
        Shard.parse(text)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shards_cover_every_entry_once(count: int) -> None:
    parts = [Shard(i, count).of(range(5)) for i in range(1, count + 1)]
    assert sorted(n for part in parts for n in part) == list(range(5))


def test_a_half_written_result_is_none(tmp_path: Path) -> None:
    store, entry = Store(tmp_path), job("a", [])
    store.write(entry, {"x": 1})
    stored = store.read(entry)
    assert stored is not None
    assert stored["result"] == {"x": 1}
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text()[:20])
    assert store.read(entry) is None


def test_the_record_of_faults_carries_the_digests_that_its_run_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("associative-scan/suffixes", "control/associative-loop")
    monkeypatch.setattr(
        faults, "chosen_entries", lambda: [entry for entry in chosen_entries() if entry.name in names]
    )
    paths = ["--parts", str(tmp_path / "parts"), "--out", str(tmp_path / "faults.json")]
    assert faults.main(["--examples", "5", *paths]) == 0
    data = json.loads((tmp_path / "faults.json").read_text())
    assert [row["name"] for row in data["rows"]] == list(names)
    assert data["code"] == code_of_planted(["associative-scan"])
    assert records.undated(data) == []
    assert faults.SOURCE.described(data) == data["code"]
    # Another state of the code: the page says so, and the run judges again.
    monkeypatch.setattr(faults, "code_of_planted", lambda kinds: {"associative-scan": {"laws": "other"}})
    assert "`laws`" in state_text(faults.SOURCE.described(data), {"associative-scan": {"laws": "other"}})
    assert faults.main(["--examples", "5", "--resume", *paths]) == 0
    again = json.loads((tmp_path / "faults.json").read_text())
    assert again["code"] == {"associative-scan": {"laws": "other"}}


def test_the_record_of_controls_carries_seed_digests_and_every_law(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = [control for control in all_controls() if control.name == "control/associative-loop"]
    monkeypatch.setattr(controls, "all_controls", lambda: tuple(chosen))
    paths = ["--parts", str(tmp_path / "parts"), "--out", str(tmp_path / "controls.json")]
    assert controls.main(["--examples", "10", *paths]) == 0
    data = json.loads((tmp_path / "controls.json").read_text())
    assert records.undated(data) == []
    assert differences(controls.SOURCE.expected(), controls.SOURCE.recorded(data)) == []
    assert data["code"] == code_of_planted(["associative-scan"])


# Results recorded apart

LOOP = "control/associative-loop"


def of_some_entries(module: Any, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let only these faults and controls exist for a recorder."""
    if module is faults:
        chosen = [entry for entry in chosen_entries() if entry.name in names]
        monkeypatch.setattr(faults, "chosen_entries", lambda: chosen)
    else:
        controls_chosen = tuple(control for control in all_controls() if control.name in names)
        monkeypatch.setattr(controls, "all_controls", lambda: controls_chosen)


def test_a_fault_s_row_joins_the_record_and_replaces_itself_and_the_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, new = "associative-scan/suffixes", "associative-scan/operands-flipped"
    out = tmp_path / "faults.json"
    paths = ["--parts", str(tmp_path / "parts"), "--out", str(out)]
    of_some_entries(faults, (first, LOOP), monkeypatch)
    assert faults.main(["--examples", "5", *paths]) == 0
    before = json.loads(out.read_text())
    of_some_entries(faults, (first, new, LOOP), monkeypatch)
    assert faults.SOURCE.problems(before) == [f"missing: {new}"]
    then = {"associative-scan": {"laws": "then"}}
    monkeypatch.setattr(faults, "code_of_planted", lambda kinds: then)
    assert faults.main(["--examples", "6", "--seed", "1", "--only", new, *paths]) == 0
    joined = json.loads(out.read_text())
    assert faults.SOURCE.problems(joined) == []
    rows = {row["name"]: row for row in joined["rows"]}
    assert [rows[name] for name in (first, LOOP)] == before["rows"]
    assert {name: joined[name] for name in before if name not in ("rows", "idle")} == {
        name: before[name] for name in before if name not in ("rows", "idle")
    }
    assert rows[new]["code"] == {"laws": "then"}
    assert (rows[new]["seed"], rows[new]["examples"]) == (1, 6)
    assert {"date", "versions"} <= set(rows[new])
    assert rows[new]["caught_by"]
    # The page shows two states of the code, and what was recorded apart.
    described = faults.SOURCE.described(joined)
    assert described == {
        "associative-scan": before["code"]["associative-scan"],
        f"associative-scan: {new}": then["associative-scan"],
    }
    text = state_text(described, before["code"])
    assert f"for `associative-scan: {new}` " in text
    assert "`associative-scan`," not in text
    assert f"`{new}`: {rows[new]['date']}" in apart_text(faults.results(joined))
    assert apart_text(faults.results(before)) == ""
    # Once more: it replaces its own row.
    monkeypatch.setattr(faults, "code_of_planted", code_of_planted)
    assert faults.main(["--examples", "7", "--only", new, *paths]) == 0
    again = json.loads(out.read_text())
    assert [row["name"] for row in again["rows"]] == [row["name"] for row in joined["rows"]]
    (row,) = (row for row in again["rows"] if row["name"] == new)
    assert (row["examples"], row["code"]) == (7, before["code"]["associative-scan"])
    assert changes(faults.SOURCE.described(again), before["code"]) == {}


def test_a_joined_row_counts_in_the_summary_and_a_removed_fault_s_row_leaves() -> None:
    data = {**recorded_in_full(), "uncaught": [], "accused": [], "idle": []}
    fault = all_faults()[0]
    columns = {
        "summary": "",
        "source": "dynprop",
        "correct": False,
        "gross": False,
        "examples": 1,
        "cases": 1,
    }
    data["rows"] = [{**columns, **row} for row in [*data["rows"], {**data["rows"][0], "name": "scan/gone"}]]
    laws = {law.id: "pass" for law in laws_for(fault.kind)}
    result = {**columns, "name": fault.name, "kind": fault.kind, "verdicts": laws}
    key = {"seed": 0, "examples": 1, "versions": {}, "code": {}}
    found = faults.joined(data, [{"key": key, "date": "2026-01-01", "result": result}])
    assert fault.name in found["uncaught"]
    assert "scan/gone" not in {row["name"] for row in found["rows"]}
    assert faults.SOURCE.problems(found) == []


def test_a_law_joins_the_rows_of_its_controls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "controls.json"
    paths = ["--parts", str(tmp_path / "parts"), "--out", str(out)]
    of_some_entries(controls, (LOOP,), monkeypatch)
    *known, new = laws_for("associative-scan")
    monkeypatch.setattr(controls, "laws_for", lambda kind: tuple(known))
    assert controls.main(["--examples", "20", *paths]) == 0
    before = json.loads(out.read_text())
    monkeypatch.setattr(controls, "laws_for", laws_for)
    assert controls.SOURCE.problems(before) == [f"missing: law {new.id} on {LOOP}"]
    assert controls.main(["--examples", "30", "--law", new.id, *paths]) == 0
    joined = json.loads(out.read_text())
    assert controls.SOURCE.problems(joined) == []
    (old_row,), (row,) = before["controls"], joined["controls"]
    assert row["laws"][:-1] == old_row["laws"]
    law = row["laws"][-1]
    assert (law["law"], law["examples"]) == (new.id, 30)
    assert law["code"] == code_of_planted(["associative-scan"])["associative-scan"]
    assert {"date", "seed", "versions", "python"} <= set(law)
    assert law["cases"] > 0
    for name in ("cases", "decided", "failed"):
        assert row[name] == old_row[name] + law[name]
    assert {name: joined[name] for name in joined if name != "controls"} == {
        name: before[name] for name in before if name != "controls"
    }
    assert f"associative-scan: {new.id}" in controls.SOURCE.described(joined)
    assert f"`{new.id}`: {law['date']}" in apart_text(controls.results(joined))
    # Again: the law replaces itself.
    assert controls.main(["--examples", "40", "--law", new.id, *paths]) == 0
    (row,) = json.loads(out.read_text())["controls"]
    assert [(law["law"], law.get("examples")) for law in row["laws"]][-2:] == [
        (known[-1].id, None),
        (new.id, 40),
    ]
    # The whole run makes one state of it.
    assert controls.main(["--examples", "20", *paths]) == 0
    assert "code" not in json.loads(out.read_text())["controls"][0]["laws"][-1]


def test_a_law_of_a_control_without_a_row_cannot_join() -> None:
    part = {"key": {"law": "scan/adjoint", **dict.fromkeys(OWN)}, "date": "", "result": {"control": "c"}}
    with pytest.raises(ArgumentError, match="--only c records it"):
        controls.joined({"controls": []}, [part])


def test_a_law_needs_a_record_to_join(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for law, message in (("scan/adjoint", "there is no "), ("scan/adjoin", "`dynprop laws` lists")):
        with pytest.raises(SystemExit):
            controls.main(["--law", law, "--out", str(tmp_path / "controls.json")])
        assert message in capsys.readouterr().err


def test_a_name_chooses_its_entry_and_a_part_of_one_every_entry_with_it(record: Record) -> None:
    names, calls = ("scan/a", "associative-scan/a", "scan/ab", "layer/c"), list[str]()
    jobs = [job(name, calls) for name in names]
    record(jobs, "--only", "scan/a")
    assert calls == ["scan/a"]
    record(jobs, "--only", "an/ab", "layer", "--resume")
    assert calls == ["scan/a", "scan/ab", "layer/c"]
    with pytest.raises(SystemExit, match="got 'scam', expected an entry's name"):
        record(jobs, "--only", "layer", "scam")
    assert len(calls) == 3


def test_two_states_of_one_law_are_both_described() -> None:
    rows = [Recorded("scan", "scan/x", {"date": "d", "code": {"laws": digest}}) for digest in "ab"]
    found = described({}, [*rows, Recorded("scan", "control/c", {})])
    assert found == {"scan": None, "scan: scan/x": {"laws": "a"}, "scan: scan/x (state 2)": {"laws": "b"}}
    assert changes(found, {"scan": {"laws": "b"}}) == {"scan": None, "scan: scan/x": ["laws"]}


# Choice of faults


def test_faults_are_chosen_by_kind_and_by_name() -> None:
    assert len(chosen_entries()) == len(all_faults()) + len(all_controls())
    entries = chosen_entries(["product", "task"])
    assert {entry.kind for entry in entries} == {"product", "task"}
    assert any(not isinstance(entry, Fault) for entry in entries)
    names = ["scan/exclusive", "product/exclusive"]
    assert sorted(entry.name for entry in chosen_entries(names=names)) == sorted(names)
    assert [entry.name for entry in chosen_entries(["scan"], names[:1])] == names[:1]


@pytest.mark.parametrize(
    ("kinds", "names", "message"),
    [
        (["scam"], [], "kind: got 'scam', expected one of scan, "),
        ([], ["scan/exlusive"], "fault: got 'scan/exlusive'.*did you mean scan/exclusive"),
        (["product"], ["scan/exclusive"], "expected a fault of kind product.*did you mean product/exclusive"),
    ],
)
def test_an_unknown_fault_or_kind_is_one_clear_error(
    kinds: list[str], names: list[str], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        chosen_entries(kinds, names)
