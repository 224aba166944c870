"""Run what tutorial.md, how-to.md, linear.md, products.md and gradients.md show.

    python docs/blocks.py    run their blocks and refresh the outputs shown

Blocks run in one empty folder per page, in their order. A block whose info string has ``file=NAME`` is
written to that file. Of a block with ``run`` every line that begins with ``$`` is a command and the lines
after it are its output, in which ``...`` on a line of its own stands for any lines. ``exit=N`` is the exit
status of the last command; ``needs=MODULE`` skips the block where that module is not installed. Numbers are
not compared: they may differ between machines.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["EXECUTED", "Block", "Run", "blocks", "fitted", "run_blocks"]

DOCS = Path(__file__).resolve().parent
EXECUTED = ("tutorial.md", "how-to.md", "linear.md", "products.md", "gradients.md")

COMMANDS = {
    "python": [],
    "dynprop": ["-m", "dynprop.cli"],
    "pytest": ["-m", "pytest", "-p", "no:cacheprovider"],
}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        line: number of its first line inside, from 1.
        text: its lines.
        words: flags of its info string, such as "run".
        settings: NAME=VALUE pairs of its info string.
    """

    line: int
    text: tuple[str, ...]
    words: frozenset[str]
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Run:
    """A block of commands, and what came of them.

    Attributes:
        block: the block.
        shown: its lines with the outputs of this run, elided as before.
        problem: why it does not hold any more; empty if it does.
    """

    block: Block
    shown: tuple[str, ...]
    problem: str


def blocks(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    inside: list[str] | None = None
    start, info = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if inside is None and line.startswith("```"):
            inside, start, info = [], number + 1, line[3:]
        elif inside is not None and line.startswith("```"):
            words = info.split()[1:]
            pairs = dict(w.split("=", 1) for w in words if "=" in w)
            yield Block(start, tuple(inside), frozenset(w for w in words if "=" not in w), pairs)
            inside = None
        elif inside is not None:
            inside.append(line)


def run_blocks(text: str, folder: Path) -> list[Run]:
    """Write the files of a page to a folder and run its commands there."""
    runs = []
    for block in blocks(text):
        needs = block.settings.get("needs")
        if needs and importlib.util.find_spec(needs) is None:
            continue
        if "file" in block.settings:
            path = folder / block.settings["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(block.text) + "\n", encoding="utf-8")
        elif "run" in block.words:
            runs.append(_run(block, folder))
    return runs


def _run(block: Block, folder: Path) -> Run:
    shown: list[str] = []
    problem = ""
    starts = [i for i, line in enumerate(block.text) if line.startswith("$ ")]
    for at, end in zip(starts, [*starts[1:], len(block.text)], strict=True):
        command, expected = block.text[at], list(block.text[at + 1 : end])
        status, output = _command(command[2:].partition(" #")[0], folder)
        wanted = int(block.settings.get("exit", 0)) if end == len(block.text) else 0
        now = fitted(expected, output)
        if status != wanted or now is None:
            what = f"exits with {status}, not {wanted}" if status != wanted else "prints something else"
            problem = problem or "\n".join([f"{command} {what}:", *output])
        if now is None:
            now = expected if "..." in expected else output
        shown += [command, *now]
    return Run(block, tuple(shown), problem)


def _command(line: str, folder: Path) -> tuple[int, list[str]]:
    """Run one command without a shell; return its exit status and what it prints, progress left out."""
    name, *rest = shlex.split(line)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "FORCE_COLOR"))}
    path = os.pathsep.join([str(DOCS.parent / "src"), str(folder)])
    plain = {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *COMMANDS[name], *rest],
        cwd=folder,
        env={**inherited, **plain, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if not re.match(r"dynprop: \d+ s ·", line)]
    lines = [line.rstrip() for line in [*done.stdout.splitlines(), *complaints]]
    while lines and not lines[-1]:
        lines.pop()
    return done.returncode, lines


def masked(line: str) -> str:
    """Return a line without its numbers, widths and rules."""
    line = re.sub(r"(?<![\w.])[-+]?\d[\d.,]*(e[-+]?\d+)?(\+cpu)?", "#", line)
    return re.sub(r"\s+", " ", re.sub(r"([─=.-])\1{3,}", r"\1", line)).strip()


def fitted(expected: Sequence[str], output: Sequence[str]) -> list[str] | None:
    """Return the output elided as expected is, or None if it does not fit."""
    parts: list[list[str]] = [[]]
    for line in expected:
        if line.strip() == "...":
            parts.append([])
        else:
            parts[-1].append(line)
    seen = [masked(line) for line in output]
    shown: list[str] = []
    at = 0
    for i, part in enumerate(parts):
        wanted = [masked(line) for line in part]
        last = len(output) - len(part)
        first = at if i < len(parts) - 1 else max(at, last)
        places = range(first, last + 1) if i else range(min(1, last + 1))
        fits = [p for p in places if seen[p : p + len(part)] == wanted]
        if not fits or (len(parts) == 1 and len(part) != len(output)):
            return None
        shown += (["..."] if i else []) + list(output[fits[0] : fits[0] + len(part)])
        at = fits[0] + len(part)
    return shown


def refresh(name: str) -> list[str]:
    """Rewrite the outputs on an executed page; return what does not hold."""
    path = DOCS / name
    lines = path.read_text(encoding="utf-8").splitlines()
    with tempfile.TemporaryDirectory() as folder:
        runs = run_blocks("\n".join(lines), Path(folder))
    for run in reversed(runs):
        start = run.block.line - 1
        lines[start : start + len(run.block.text)] = run.shown
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [f"{name}:{run.block.line}: {run.problem}" for run in runs if run.problem]


def main() -> int:
    """Refresh both pages; return 1 if something has changed that is not a number."""
    problems = [problem for name in EXECUTED for problem in refresh(name)]
    print("\n".join(problems) or "every block holds")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
