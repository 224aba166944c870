"""The gate: a ratio that is more than a tenth worse than the committed one fails the run.

Committed ratios hold for one kind of machine: CPU model, vectors, cores, threads and library versions. On
another, only the ceilings that are promised for every machine are gated. Absolute times are kept by
pytest-benchmark and gate nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.bench.pairs import Ratio

__all__ = ["TIMED", "WORSE", "Gate", "installed", "machine"]

RATIOS = Path(__file__).parent / "ratios"
TIMED = ("numpy", "scipy", "torch", "python-flint")
WORSE = 1.10


def installed(package: str) -> str | None:
    """Return the version of a package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.M) if info.exists() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _vectors() -> str:
    """Return the widest vector instructions: one model name may stand for several (seen)."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text().split() if info.exists() else []
    return next((name for name in ("avx512f", "avx2", "sse2", "asimd") if name in flags), "unknown")


def machine() -> dict[str, str]:
    """Return what a committed ratio depends on."""
    python = ".".join(platform.python_version_tuple()[:2])
    threads = os.environ.get("OMP_NUM_THREADS", str(os.cpu_count()))
    kind = {"cpu": _cpu(), "vectors": _vectors(), "cores": str(os.cpu_count()), "threads": threads}
    return kind | {"python": python} | {p: str(installed(p)) for p in TIMED}


def _newer(committed: float, measured: float) -> float:
    return measured


@dataclass
class Gate:
    """The committed ratios of this kind of machine, and what was measured in this run.

    Attributes:
        machine: CPU model, threads, versions.
        folder: where the files of committed ratios lie.
        updating: whether the measured ratios replace the committed ones at the end.
        replace: what is kept of a committed ratio and the measured one.
        seconds: time to spend on one pair of functions.
        alarm: whether a ratio fails against a limit.
    """

    machine: dict[str, str]
    folder: Path = RATIOS
    updating: bool = False
    replace: Callable[[float, float], float] = _newer
    seconds: float = 10.0
    alarm: Callable[[Ratio, float], bool] = Ratio.exceeds
    measured: dict[str, tuple[Ratio, float | None]] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The file of committed ratios for this kind of machine."""
        digest = hashlib.sha256(json.dumps(self.machine, sort_keys=True).encode()).hexdigest()[:8]
        name = re.sub(r"[^a-z0-9]+", "-", self.machine["cpu"].lower()).strip("-")
        return self.folder / f"{name}-{digest}.json"

    @property
    def committed(self) -> dict[str, float]:
        """The committed ratio of each benchmark; empty on a kind of machine that has none."""
        if not self.path.is_file():
            return {}
        found: dict[str, float] = json.loads(self.path.read_text())["ratios"]
        return found

    def limit(self, name: str, ceiling: float | None) -> float | None:
        """Return what a ratio may not exceed: the ceiling, and a tenth above the committed ratio."""
        known = None if self.updating else self.committed.get(name)
        limits = [x for x in (ceiling, None if known is None else WORSE * known) if x is not None]
        return min(limits, default=None)

    def verdict(self, name: str, ratio: Ratio, ceiling: float | None) -> str | None:
        """Record a ratio; say what it exceeds, or None."""
        self.measured[name] = (ratio, ceiling)
        known = None if self.updating else self.committed.get(name)
        if known is not None and self.alarm(ratio, WORSE * known):
            return f"{ratio} is more than {WORSE - 1.0:.0%} above the committed ratio {known:.3g}"
        if ceiling is not None and self.alarm(ratio, ceiling):
            return f"{ratio} is above the promised {ceiling:.3g}"
        return None

    def write(self) -> None:
        """Replace the committed ratios that were measured in this run, as ``replace`` says."""
        kept = self.committed
        for name, (ratio, _) in self.measured.items():
            found = float(f"{ratio.median:.4g}")
            kept[name] = self.replace(kept.get(name, found), found)
        self.folder.mkdir(exist_ok=True)
        record = {"machine": self.machine, "ratios": dict(sorted(kept.items()))}
        self.path.write_text(json.dumps(record, indent=1) + "\n")

    def lines(self) -> list[str]:
        """Return the table of this run."""
        committed = self.committed
        known = "of this kind" if committed else "of another kind: only ceilings are gated"
        rows = [f"{'function / reference':<66} {'ratio':<34} committed  ceiling"]
        for name, (ratio, ceiling) in self.measured.items():
            old = f"{committed[name]:.3g}" if name in committed else "-"
            top = "-" if ceiling is None else f"{ceiling:.3g}"
            rows.append(f"{name.removeprefix('tests/bench/'):<66} {ratio!s:<34} {old:<9}  {top}")
        return [f"machine {known}: {', '.join(f'{k} {v}' for k, v in self.machine.items())}", *rows]
