"""docs/bounds.md has a section for every kind, links its files, and names every empirical constant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.constants import CONSTANTS, Constant, constant_rows
from dynprop.evidence.code import is_own
from dynprop.kinds import all_kinds, all_laws

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "bounds.md").read_text(encoding="utf-8")
KINDS = ROOT / "src" / "dynprop" / "kinds"
SECTIONS = dict(re.findall(r"^## Kind `([\w-]+)`\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M))


def test_every_kind_has_a_section_and_no_other() -> None:
    assert set(SECTIONS) == {kind for kind in all_kinds() if is_own(kind)}


@pytest.mark.parametrize("kind", SECTIONS)
def test_a_section_links_files_of_its_kind(kind: str) -> None:
    folder = all_kinds()[kind].adapter.partition(":")[0].removeprefix("dynprop.").split(".")[:2]
    links = re.findall(r"\]\(\.\./(src/\S+\.py)\)", SECTIONS[kind])
    assert any(link.startswith(f"src/dynprop/{'/'.join(folder)}/") for link in links)
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_every_file_of_bounds_is_linked() -> None:
    files = [path.relative_to(ROOT).as_posix() for path in KINDS.glob("**/bounds.py")]
    assert [file for file in files if f"(../{file})" not in PAGE] == []
    assert len(files) >= 4


@pytest.mark.parametrize("constant", CONSTANTS, ids=lambda constant: f"{constant.module}.{constant.name}")
def test_an_empirical_constant_exists_and_its_laws_too(constant: Constant) -> None:
    assert constant.value > 0.0
    assert f"[`{constant.module}.{constant.name}`]({constant.file})" in PAGE
    known = [law.id for law in all_laws()]
    assert [start for start in constant.laws if not any(i.startswith(start) for i in known)] == []


def test_every_module_that_calls_a_number_empirical_has_it_in_the_table() -> None:
    named = {constant.module for constant in CONSTANTS}
    empirical = {
        path.relative_to(KINDS).with_suffix("").as_posix().replace("/", ".")
        for path in KINDS.rglob("*.py")
        if re.search(r"\b[Ee]mpirical(:|;|\)|,| factor| constant| \()", path.read_text(encoding="utf-8"))
    }
    assert empirical <= named
    assert {"power.bounds", "layer.chain", "agreement.norms", "initializer.spectra"} <= empirical


def test_the_worst_ratio_is_the_largest_of_the_laws_that_use_a_constant() -> None:
    laws = [{"law": "closed-form/forward", "worst_ratio": 0.25}, {"law": "scan/forward", "worst_ratio": 0.5}]
    other = {"control": "b", "laws": [{"law": "closed-form/forward", "worst_ratio": 0.75}]}
    layer = {"target": "p:rnn", "laws": [{"id": "layer/gradient-by-lag", "worst_ratio": 0.0321}]}
    records = [{"controls": [{"control": "a", "laws": laws}, other]}, {"layers": [layer]}]
    worst = {row[0].split("`")[1]: row[3] for row in constant_rows(records)}
    assert worst["power.bounds.SPECTRAL"] == "0.75 (`b`)"
    assert worst["layer.chain.CONSTANT"] == "0.032 (`rnn`)"
    assert worst["initializer.spectra.GRAM"] == "not recorded"
    assert worst["layer.judging.SAMPLES"] == ""
