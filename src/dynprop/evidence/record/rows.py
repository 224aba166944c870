"""Rows of a record that were recorded apart from the others, and the code that ran for them.

The head of a record states date, seed, versions and digests of the code for each row without values of its
own. A row that was recorded apart has its own, so that no record mixes states without showing it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynprop.evidence.code import Rooms
from dynprop.evidence.compare import Code

__all__ = ["OWN", "Recorded", "apart_text", "described"]

# What determines a result, besides the date: a row that was recorded apart has its own.
OWN = ("seed", "examples", "python", "versions", "code")


@dataclass(frozen=True)
class Recorded:
    """One result of a record.

    Attributes:
        kind: its kind.
        name: name of the entry, or of the law on it.
        row: its values; "code" and "date" are among them if it was recorded apart.
    """

    kind: str
    name: str
    row: Mapping[str, Any]


def described(data: Mapping[str, Any], results: Sequence[Recorded]) -> Code:
    """Return the digests that the runs in a record wrote.

    Results recorded by the run of the head stand under their kind. Those recorded apart stand under
    "kind: names", one group for each state of the code.
    """
    head: dict[str, Rooms | None] = data.get("code", {})
    found: dict[str, Rooms | None] = {r.kind: head.get(r.kind) for r in results if "code" not in r.row}
    states: dict[tuple[str, str], list[Recorded]] = {}
    for result in results:
        if "code" in result.row:
            states.setdefault((result.kind, json.dumps(result.row["code"], sort_keys=True)), []).append(
                result
            )
    for (kind, _), group in states.items():
        label = f"{kind}: {', '.join(dict.fromkeys(r.name for r in group))}"
        # One law on two controls may have two states.
        others = sum(name.partition(" (state ")[0] == label for name in found)
        found[f"{label} (state {others + 1})" if others else label] = group[0].row["code"]
    return found


def apart_text(results: Iterable[Recorded]) -> str:
    """Return one paragraph with the results recorded apart and their dates, versions and seeds, if any."""
    runs: dict[str, list[str]] = {}
    for result in results:
        if "date" in result.row:
            row = result.row
            parts = [row["date"], *([f"Python {row['python']}"] if "python" in row else [])]
            parts += [f"{name} {version}" for name, version in row["versions"].items()]
            parts += [f"{name} {row[name]}" for name in ("seed", "examples") if row.get(name) is not None]
            runs.setdefault(", ".join(parts), []).append(result.name)
    lines = [
        f"{', '.join(f'`{name}`' for name in dict.fromkeys(names))}: {run}" for run, names in runs.items()
    ]
    return f"**Recorded apart:** {'; '.join(lines)}.\n\n" if lines else ""
