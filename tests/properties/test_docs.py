"""The documentation is true: pages are what they are made from, names exist, links lead on, blocks run."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from docs import blocks, fill, generate
from dynprop.kinds import all_kinds, all_laws

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples/README.md"]
)
ROOMS = ("linear", "products", "gradients", "training")
THEORY = (DOCS / "theory.md").read_text(encoding="utf-8")
LAW = re.compile(rf"`((?:{'|'.join(all_kinds())})/[\w-]+)`")


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def resolved(dotted: str) -> Any:
    """Return what a dotted name stands for."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for name in parts[end:]:
            found = getattr(found, name)
        return found
    raise ModuleNotFoundError(dotted)


# Generated pages


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_generated_page_is_what_its_evidence_makes(name: str) -> None:
    made = generate.page(name)
    if made is None:
        pytest.skip(f"docs/evidence/{generate.PAGES[name][0]} is not recorded")
    assert (DOCS / name).read_text(encoding="utf-8") == made, "run python docs/generate.py"


def test_a_page_without_evidence_is_not_there() -> None:
    for name, (evidence, _) in generate.PAGES.items():
        if name != "bounds.md" and generate.page(name) is None:
            assert not (DOCS / name).exists(), f"{name} has no docs/evidence/{evidence}"


def test_missing_evidence_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "EVIDENCE", tmp_path / "evidence")
    monkeypatch.setattr(generate, "DOCS", tmp_path)
    assert generate.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "laws.md: written"
    assert len(lines) == len(generate.PAGES)
    for name, line in zip(list(generate.PAGES)[1:], lines[1:], strict=True):
        assert line.startswith(f"{name}: ")
        assert "record it by:" in line
    assert [path.name for path in tmp_path.iterdir()] == ["laws.md"]


def survey(**changes: Any) -> dict[str, Any]:
    law = {"id": "layer/hand-over", "verdict": "wrong", "hypothesis": "scaled by √8", "note": ""}
    entry = {
        "name": "xlstm-mlstm",
        "target": "examples/adapters/xlstm_mlstm.py:layer",
        "kind": "layer",
        "verdict": "wrong",
        "expected": ["wrong"],
        "story": "a | b",
        "effective_lag": 3,
        "max_decided_lag": 9,
        "versions": {"python": "3.11.7", "xlstm": "2.0.6"},
        "options": {"dtypes": ["float64"]},
        "laws": [{**law, "counterexample": {"message": "off"}}],
    }
    return {"date": "2026-01-01", "python": "3.11.7", "entries": [{**entry, **changes}]}


def test_a_failing_package_is_shown_with_its_law_hypothesis_and_script() -> None:
    text = generate.judged_page(survey())
    assert "| [xlstm-mlstm](#xlstm-mlstm) | xlstm 2.0.6 | **wrong** | 3 | 9 | `hand-over` | a \\| b |" in text
    assert "- `hand-over` **wrong**: off. Likely: scaled by √8." in text
    assert "(../examples/standalone/xlstm_chunk_to_step.py)" in text
    assert "not as expected" not in text


def test_an_unexpected_verdict_is_said() -> None:
    assert "not as expected: `xlstm-mlstm`" in generate.judged_page(survey(expected=["pass"]))


def test_a_blind_spot_is_said() -> None:
    row = {
        "name": "scan/f",
        "kind": "scan",
        "summary": "s",
        "source": "dynprop",
        "correct": False,
        "cases": 1,
    }
    row |= {"verdicts": {"scan/forward": "wrong"}, "caught_by": ["scan/forward"]}
    data = {"uncaught": [], "accused": [], "idle": ["scan/threads"], "rows": [row]}
    text = generate.faults_page(data)
    assert "what these laws are for: `scan/threads`" in text
    assert "| `f` | s |  | `forward` |" in text
    assert "**1 of 1 faults are caught, 0 of 0 controls are accused.**" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0.0, "0"),
        (float("inf"), "∞"),
        (0.25, "0.25"),
        (12.0, "12"),
        (3e-5, "3.0e-5"),
        (8e15, "8.0e15"),
    ],
)
def test_a_ratio_is_short(value: float | None, text: str) -> None:
    assert generate.ratio(value) == text


def test_every_standalone_script_is_linked_and_exists() -> None:
    there = {path.name for path in (ROOT / "examples/standalone").glob("*.py")}
    assert set(generate.STANDALONE.values()) == there


def test_evidence_is_strict_json() -> None:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    for path in generate.EVIDENCE.glob("*.json"):
        json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


# The theory map


def test_every_law_is_in_the_theory_map_under_its_claim() -> None:
    sections = dict(re.findall(r"^## (C\d)\n(.*?)(?=^## |\Z)", THEORY, re.S | re.M))
    assert list(sections) == [f"C{i}" for i in range(8)]
    found = {claim: set(LAW.findall(text)) for claim, text in sections.items()}
    assert found == {claim: {law.id for law in all_laws() if law.claim == claim} for claim in sections}


def test_a_claim_without_a_public_function_says_so() -> None:
    for claim, functions in re.findall(r"^\| \[(C\d)\]\S+ \|.*\| (.*) \|$", THEORY, re.M):
        section = THEORY.split(f"## {claim}\n")[1].split("\n## ")[0]
        assert ("none yet" in functions) == ("No public function" in section)


@pytest.mark.parametrize("page", fill.PAGES, ids=named)
def test_the_made_parts_of_a_page_are_what_the_registry_says(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert fill.PART.search(text), "a page of this list has a part that is made"
    assert fill.filled(text) == text, "run make docs"


def test_a_made_part_that_is_stale_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- made: laws C0 -->\nold\n<!-- end -->\nafter\n", encoding="utf-8")
    monkeypatch.setattr(fill, "ROOT", tmp_path)
    monkeypatch.setattr(fill, "PAGES", (page,))
    assert fill.main(["--check"]) == 1
    assert capsys.readouterr().out == "page.md: differs; run python docs/fill.py\n"
    assert fill.main([]) == 0
    assert "`agreement/gradient-at-start`" in page.read_text(encoding="utf-8")
    assert page.read_text(encoding="utf-8").endswith("<!-- end -->\nafter\n")
    assert fill.main(["--check"]) == 0


def test_every_public_numerical_function_is_in_the_theory_map() -> None:
    for room in ROOMS:
        try:
            module = importlib.import_module(f"dynprop.{room}")
        except ModuleNotFoundError:
            continue
        for name in module.__all__:
            assert f"`dynprop.{room}.{name}`" in THEORY


# Names, links and options, on every page


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_name_of_dynprop_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for dotted in re.findall(r"`(dynprop(?:\.\w+)+)", text):
        resolved(dotted)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_law_that_is_named_exists(page: Path) -> None:
    found = set(LAW.findall(page.read_text(encoding="utf-8")))
    assert found <= {law.id for law in all_laws()} | {fault for fault in found if "fault" in page.name}


def anchors(text: str) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def links(text: str) -> Iterator[str]:
    bare = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    yield from (to for to in re.findall(r"\]\(([^)\s]+)\)", bare) if "://" not in to)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page.read_text(encoding="utf-8")):
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        if target.name in generate.PAGES and generate.page(target.name) is None:
            continue
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_nothing_private_is_on_a_page(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"/(?:home|root|tmp|work|Users)/|TODO|localhost", text)


def test_every_option_and_default_of_the_command_line_is_in_the_reference() -> None:
    from dynprop.cli_check import check_signature

    text = (DOCS / "reference.md").read_text(encoding="utf-8")
    names = {"only": "--only", "json_file": "--json", "html_file": "--html"}
    for parameter in check_signature().parameters:
        if parameter != "target":
            option = names.get(parameter, "--" + parameter.replace("_", "-"))
            assert re.search(rf"^\| `{option}\b", text, re.M), option


def test_every_field_of_a_layer_is_in_the_reference() -> None:
    from dataclasses import fields

    from dynprop.check import Layer

    section = (DOCS / "reference.md").read_text(encoding="utf-8").split("\n## `Layer`")[1].split("\n## ")[0]
    for field in fields(Layer):
        assert f"`{field.name}`" in section


def test_every_key_of_the_json_is_in_the_reference() -> None:
    from dynprop.check.run.outcome import Counterexample, LawResult
    from dynprop.check.run.report import Report, law_result_to_json

    example = Counterexample({}, "", "", {}, "")
    result = LawResult("scan/forward", counterexample=example)
    keys = [*Report("t", "scan", 0, ()).to_json(), *law_result_to_json(result), *example.to_json()]
    section = (DOCS / "reference.md").read_text(encoding="utf-8").split("\n## JSON")[1].split("\n## ")[0]
    assert [key for key in keys if f"`{key}`" not in section] == []


# Blocks that are run


@pytest.mark.slow
@pytest.mark.parametrize("name", blocks.EXECUTED)
def test_what_a_page_shows_is_what_happens(name: str, tmp_path: Path) -> None:
    runs = blocks.run_blocks((DOCS / name).read_text(encoding="utf-8"), tmp_path)
    assert runs
    problems = [f"{name}:{run.block.line}: {run.problem}" for run in runs if run.problem]
    assert problems == [], "run python docs/blocks.py and look at what it changes"


@pytest.mark.parametrize(
    ("expected", "output", "shown"),
    [
        (["a 1.5"], ["a 2e-7"], ["a 2e-7"]),
        (["a"], ["b"], None),
        (["a"], ["a", "b"], None),
        (["...", "b 1"], ["x", "b 2"], ["...", "b 2"]),
        (["a", "..."], ["a", "x", "y"], ["a", "..."]),
        (["a", "...", "d"], ["a", "b", "d", "d"], ["a", "...", "d"]),
        (["a", "...", "c"], ["a", "b"], None),
        (["..."], ["a"], ["..."]),
    ],
)
def test_outputs_fit_up_to_numbers_and_what_is_left_out(
    expected: list[str], output: list[str], shown: list[str] | None
) -> None:
    assert blocks.fitted(expected, output) == shown


def test_a_command_that_ends_otherwise_is_a_problem(tmp_path: Path) -> None:
    text = "```python file=a.py\nimport sys; print(3); sys.exit(2)\n```\n"
    text += "```console run exit=1\n$ python a.py\n3\n```"
    (run,) = blocks.run_blocks(text, tmp_path)
    assert run.problem.startswith("$ python a.py exits with 2, not 1:")
