"""Targets are found as they are written, and every mistake is one line that says what would work."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dynprop.check import check
from dynprop.check.targets import load_subject, package_versions, resolve
from dynprop.errors import ArgumentError, TargetError
from dynprop.kinds.layer.target import Layer
from dynprop.kinds.scan.target import Scan

HERE = Path(__file__).parent
FAKES = HERE / "fake_targets.py"


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in an empty folder, and leave neither modules nor paths behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def mistake(target: str) -> str:
    with pytest.raises(TargetError) as caught:
        resolve(target)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_module_of_the_current_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "mykernels.py").write_text("def scan(a, x, h): return x\n")
    assert resolve("mykernels:scan").__name__ == "scan"


def test_an_installed_module_and_a_dotted_attribute_are_found() -> None:
    assert resolve("pathlib:Path.cwd") == Path.cwd


def test_a_submodule_that_nobody_imported_is_found(tmp_path: Path) -> None:
    (tmp_path / "mypackage").mkdir()
    (tmp_path / "mypackage/__init__.py").write_text("")
    (tmp_path / "mypackage/kernels.py").write_text("def scan(a, x, h): return x\n")
    assert resolve("mypackage:kernels.scan").__name__ == "scan"


def test_a_file_is_found_by_relative_and_absolute_path(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/kernel_a.py").write_text("from neighbour import scan\n")
    (tmp_path / "sub/neighbour.py").write_text("def scan(a, x, h): return x\n")
    relative = resolve("sub/kernel_a.py:scan")
    assert resolve(f"{tmp_path}/sub/kernel_a.py:scan") is relative


def test_a_neighbour_may_be_imported_at_the_call(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/lazy.py").write_text("def scan():\n    import later\n    return later.x\n")
    (tmp_path / "sub/later.py").write_text("x = 3\n")
    assert resolve("sub/lazy.py:scan")() == 3


def test_a_file_named_like_a_loaded_module_is_not_mistaken_for_it(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("mine = 1\n")
    assert resolve("./json.py:mine") == 1


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("torch.nn.GRU", ["no colon", "torch.nn:GRU"]),
        ("kernels.py", ["no attribute", "kernels.py:NAME"]),
        ("kernels:", ["no attribute"]),
        (":scan", ["package.module:attribute"]),
        ("scan", ["package.module:attribute"]),
        ("nowhere_at_all:scan", ["no module named 'nowhere_at_all'", "installed"]),
        ("hypotesis:given", ["no module named 'hypotesis'", "did you mean hypothesis"]),
        ("json.decoderr:x", ["json has no module 'decoderr'", "did you mean decoder"]),
        ("json:dumpz", ["json has no attribute 'dumpz'", "did you mean dump"]),
        ("json:JSONDecoder.decoed", ["json.JSONDecoder has no attribute 'decoed'", "decode"]),
        ("json:qqq", ["json has no attribute 'qqq'", "it has "]),
        ("nofolder/kernels.py:scan", ["no file nofolder/kernels.py", "no folder nofolder"]),
        ("kernel.py:scan", ["no file kernel.py", "has nothing public"]),
    ],
)
def test_a_target_that_is_not_there_is_explained(target: str, parts: list[str]) -> None:
    message = mistake(target)
    assert [part for part in parts if part not in message] == []


def test_a_file_that_is_nearly_there_is_proposed(tmp_path: Path) -> None:
    (tmp_path / "fast_scans.py").write_text("")
    assert "did you mean fast_scans.py" in mistake("fast_scan.py:scan")
    assert "did you mean fast_scans" in mistake("fast_scan:scan")


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("x = 1\nraise RuntimeError('no GPU\\nmore')\n", ["RuntimeError: no GPU", "broken.py:2"]),
        ("import nothere\n", ["ModuleNotFoundError", "nothere", "broken.py:1"]),
        ("def f(:\n", ["SyntaxError: invalid syntax", "broken.py:1"]),
        ("raise SystemExit('usage: broken')\n", ["SystemExit: usage: broken", "broken.py:1"]),
        ("raise KeyError\n", ["KeyError (broken.py:1)"]),
    ],
)
@pytest.mark.parametrize("target", ["broken:scan", "broken.py:scan"])
def test_an_import_that_raises_is_told_with_its_place(
    source: str, parts: list[str], target: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text(source)
    message = mistake(target)
    assert f"importing {target.removesuffix(':scan')} raised" in message
    assert [part for part in parts if part not in message] == []


def test_an_attribute_that_raises_is_told(tmp_path: Path) -> None:
    source = "def __getattr__(name):\n    raise ImportError('built without CUDA')\n"
    (tmp_path / "lazy_attribute.py").write_text(source)
    assert "raised ImportError: built without CUDA" in mistake("lazy_attribute:scan")


def test_a_subject_knows_where_it_comes_from_and_what_was_said() -> None:
    subject = load_subject(
        f"{FAKES}:right",
        "scan",
        framework="numpy",
        gates="any",
        max_length=16,
        reach=None,
        dtypes=["float64"],
    )
    assert isinstance(subject.subject, Scan)
    assert subject.origin == f"{FAKES}:right"
    assert subject.options == {"framework": "numpy", "max_length": 16, "dtypes": ("float64",)}
    assert subject.packages["numpy"]
    assert subject.domain.max_length == 16


def test_a_loaded_subject_has_the_attributes_of_its_adapter_and_survives_a_copy() -> None:
    subject = load_subject(f"{FAKES}:right", "scan", framework="numpy")
    assert subject.thread_counts == subject.subject.thread_counts == ()  # type: ignore[attr-defined]  # of scans
    twin = copy.copy(subject)
    assert (twin.origin, twin.name) == (subject.origin, "right")
    with pytest.raises(AttributeError, match="colour"):
        _ = subject.colour


def test_a_declared_adapter_keeps_what_it_declares() -> None:
    subject = load_subject(f"{FAKES}:declared", "scan", gates="unit")
    assert (subject.framework, subject.domain.max_length, subject.domain.gates) == ("numpy", 4, "unit")


def test_a_layer_is_built_with_the_sizes_and_the_seed_that_are_given() -> None:
    pytest.importorskip("torch")
    subject = load_subject("torch.nn:GRU", "layer", sizes={"input_size": 2, "hidden_size": 5}, seed=3)
    assert subject.kind == "layer"
    assert subject.origin == "torch.nn:GRU"
    assert subject.options == {"sizes": {"input_size": 2, "hidden_size": 5}, "seed": 3}
    assert {"dynprop", "torch"} & set(subject.packages) == {"torch"}


@pytest.mark.parametrize(
    ("kind", "options", "parts"),
    [
        ("scn", {}, ["kind", "'scn'", "scan, associative-scan, layer", "did you mean 'scan'?"]),
        ("scan", {"sizes": {"input_size": 3}}, ["sizes", "kind scan takes", "max_length"]),
        ("scan", {"colour": "red"}, ["colour", "kind scan takes"]),
        ("scan", {"framework": "numpy", "gates": "complex"}, ["gates", "'complex'", "unit"]),
        ("scan", {"framework": "tensorflow"}, ["framework", "numpy, torch, jax"]),
        ("layer", {"gates": "unit"}, ["gates", "kind layer takes"]),
    ],
)
def test_an_option_that_cannot_be_is_refused(kind: str, options: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(ArgumentError) as caught:
        load_subject(f"{FAKES}:right", kind, **options)
    assert [part for part in parts if part not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("takes_two", ["f(gates, inputs, initial)", "takes_two takes (gates"]),
        ("number", ["takes a function f(gates, inputs, initial)", "is of type int"]),
    ],
)
def test_a_signature_that_does_not_fit_is_shown(name: str, parts: list[str]) -> None:
    with pytest.raises(TargetError) as caught:
        load_subject(f"{FAKES}:{name}", "scan", framework="numpy")
    assert [part for part in parts if part not in str(caught.value)] == []


def test_a_result_that_does_not_fit_is_shown_by_the_preflight() -> None:
    subject = load_subject(f"{FAKES}:returns_none", "scan", framework="numpy")
    with pytest.raises(TargetError, match="returned NoneType None"):
        subject.preflight()


def test_an_adapter_of_another_kind_is_named(tmp_path: Path) -> None:
    source = "from dynprop.check import Layer\nlayer = Layer(forward=lambda x, state=None: (x, state))\n"
    (tmp_path / "an_adapter.py").write_text(source)
    with pytest.raises(ArgumentError, match=r"'layer': an_adapter\.py:layer is a Layer"):
        load_subject("an_adapter.py:layer", "scan")
    assert isinstance(resolve("an_adapter.py:layer"), Layer)


def test_versions_are_those_of_what_a_module_uses() -> None:
    import dynprop.check.show.render as module

    versions = package_versions(module)
    assert "rich" in versions
    assert "dynprop" not in versions
    assert set(versions) & {"sys", "math", "collections"} == set()


def anything(gates: object) -> None: ...


@pytest.mark.parametrize(
    ("subject", "parts"),
    [
        (
            anything,
            ["got function anything,", "a Scan, an AssociativeScan, a Layer", "wrap it, as in Scan(f)"],
        ),
        (object(), ["got an object of class object,", "load_subject('module:name', kind)"]),
        ("mykernels:scan", ["load_subject('mykernels:scan', kind)"]),
        (Scan, ["got class Scan,", "call it with the target, as in Scan(f)"]),
    ],
)
def test_an_object_that_is_no_subject_is_described_with_the_way_to_make_one(
    subject: object, parts: list[str]
) -> None:
    with pytest.raises(ArgumentError) as caught:
        check(subject)
    message = str(caught.value)
    assert [part for part in parts if part not in message] == []
    assert " at 0x" not in message


@pytest.mark.parametrize("name", ["a_scan", "a_layer", "a_module"])
def test_the_kind_of_an_object_that_states_it_need_not_be_given(name: str, tmp_path: Path) -> None:
    (tmp_path / "stating.py").write_text(
        "from torch import nn\n"
        "from dynprop.check import Layer, Scan\n"
        "a_scan = Scan(lambda a, x, h: x, framework='numpy')\n"
        "a_module = nn.GRU(2, 3)\n"
        "a_layer = Layer(a_module, forward=a_module.forward)\n"
    )
    subject = load_subject(f"stating:{name}")
    assert subject.kind == ("scan" if name == "a_scan" else "layer")
    assert subject.places == (str(tmp_path),)


def test_the_kind_of_a_function_is_asked_for() -> None:
    with pytest.raises(
        ArgumentError, match=r"kind: got none, and .*:right is function right, of which there"
    ):
        load_subject(f"{FAKES}:right")


def test_a_scan_of_numpy_arrays_is_told_to_say_so(tmp_path: Path) -> None:
    (tmp_path / "copies.py").write_text(
        "def scan(gates, inputs, initial):\n"
        "    states = inputs.copy()\n"
        "    return states\n"
        "def neither(gates, inputs, initial):\n"
        "    return inputs.no_such()\n"
    )
    with pytest.raises(TargetError, match="it takes numpy arrays: try --framework numpy"):
        load_subject("copies:scan", "scan").preflight()
    with pytest.raises(TargetError, match="no_such") as caught:
        load_subject("copies:neither", "scan").preflight()
    assert "try --framework" not in str(caught.value)
