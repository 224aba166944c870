"""Record docs/evidence/layers.json: correct layers, judged at the default number of examples (minutes).

    python docs/layers.py

The table of docs/bounds.md is made from it.
"""

from __future__ import annotations

import inspect
import os
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dynprop.evidence.code import code_of_kind, digest_of_file
from dynprop.evidence.compare import Code, Names, Source, differences
from dynprop.evidence.record.jobs import environment, today, write_json
from dynprop.kinds import all_controls, kind_named, laws_for

__all__ = ["SOURCE", "layer_targets", "main"]

ROOT = Path(__file__).resolve().parents[1]
ADAPTERS = "examples/adapters/torch_layers.py"
GROUPS = {"torch.nn.RNN": "rnn", "torch.nn.GRU": "gru", "torch.nn.LSTM": "lstm"}
KIND = "layer"


def layer_targets() -> dict[str, list[str]]:
    """Return the targets of the table: torch.nn with its options, and controls that declare nothing."""
    names = [n for n, v in runpy.run_path(str(ROOT / ADAPTERS)).items() if inspect.isfunction(v)]
    found = {g: [f"{ADAPTERS}:{n}" for n in names if n.startswith(start)] for g, start in GROUPS.items()}
    own = [c.build() for c in all_controls() if c.kind == KIND and not c.domain]
    classes = [c for c in own if inspect.isclass(c) and c.__module__.startswith("dynprop.")]
    return {**found, "other controls": [f"{c.__module__}:{c.__qualname__}" for c in classes]}


def today_code() -> dict[str, str]:
    """Return the digests of what judges a layer, of the controls, and of the adapters of torch.nn."""
    return {
        **code_of_kind(KIND, *kind_named(KIND).controls),
        "examples.torch_layers": digest_of_file(ROOT / ADAPTERS),
    }


def _expected() -> Names:
    laws = frozenset(law.id for law in laws_for(KIND))
    return {target: laws for targets in layer_targets().values() for target in targets}


def _recorded(data: Mapping[str, Any]) -> Names:
    return {row["target"]: frozenset(law["id"] for law in row["laws"]) for row in data["layers"]}


def _described(data: Mapping[str, Any]) -> Code:
    return {KIND: data.get("code")}


SOURCE = Source(
    "python docs/layers.py", _expected, _recorded, lambda: {KIND: today_code()}, _described, differences
)


def main() -> int:
    """Judge every layer of the table and write the record; return 1 if one is accused."""
    from dynprop.check.process.isolate import check_isolated

    os.chdir(ROOT)
    code, rows = today_code(), []
    for group, targets in layer_targets().items():
        for target in targets:
            report = check_isolated(target, KIND)
            print(f"{target}: {report.verdict}", flush=True)
            keys = ("id", "verdict", "cases", "decided", "undecidable", "worst_ratio")
            laws = [{k: r[k] for k in keys} for r in report.to_json()["laws"]]
            rows.append({"group": group, "target": target, "verdict": report.verdict, "laws": laws})
    head = {
        "date": today(),
        **environment("dynprop", "numpy", "torch", "hypothesis"),
        "seed": 0,
        "code": code,
    }
    write_json(ROOT / "docs/evidence/layers.json", {**head, "layers": rows})
    return int(any(row["verdict"] in ("wrong", "error", "inaccurate") for row in rows))


if __name__ == "__main__":
    sys.exit(main())
