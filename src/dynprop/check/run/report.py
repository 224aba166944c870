"""The report of one check: every law's result, the overall verdict, the effective lag.

Its JSON form is part of the public contract: strict (no NaN, no infinity; they become null), with the
versions, the seed and the options that are needed to run the same check, or one saved counterexample, again.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynprop._version import __version__
from dynprop.check.run.coverage import Coverage
from dynprop.check.run.outcome import FAILURES, Counterexample, LawResult
from dynprop.errors import ArgumentError

__all__ = ["SCHEMA", "Report", "law_result_from_json", "law_result_to_json", "library_versions"]

SCHEMA = 1
EXPECTED = "the JSON object that check --json wrote"
REQUIRED = ("target", "kind", "verdict", "seed", "laws", "versions")
FURTHER = ("wrong", "inaccurate", "lags", "left", "defect")
COUNTS = ("cases", "decided", "undecidable", "refused", "errors", "wrong", "inaccurate")


@dataclass(frozen=True)
class Report:
    """The results of every law on one target.

    The effective lag comes from the laws whose evidence has a profile by lag.

    Attributes:
        target: the target string, or the name of an object that was checked in process.
        kind: its kind.
        seed: the seed of the check.
        laws: one result per law, in the order in which they ran.
        versions: of Python, dynprop, numpy, the framework and the packages that the target uses.
        options: those of the target (framework, domain, ...) and of the run (examples, ...) that were given.
        domain: the JSON form of the domain that the target promises, defaults included.
        coverage: the pairs of classes of the kind's plan that were decided; None where there is no plan.
    """

    target: str
    kind: str
    seed: int
    laws: tuple[LawResult, ...]
    versions: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    domain: Mapping[str, Any] = field(default_factory=dict)
    coverage: Coverage | None = None

    @property
    def verdict(self) -> str:
        """The gravest of wrong, error, inaccurate; else pass if any law passed, refused, undecidable."""
        verdicts = {result.verdict for result in self.laws}
        for verdict in (*FAILURES, "pass", "refused", "undecidable"):
            if verdict in verdicts:
                return verdict
        return "not-applicable" if verdicts else "undecidable"

    @property
    def failures(self) -> tuple[LawResult, ...]:
        """The results of the laws that failed."""
        return tuple(result for result in self.laws if result.failed)

    @property
    def max_decided_lag(self) -> int | None:
        """The largest lag that could be judged; None without a law that judges by lag."""
        return max((max_decided for _, max_decided in self._lags), default=None)

    @property
    def effective_lag(self) -> int | None:
        """The largest lag up to which no decided gradient is wrong; -1 if lag 0 is."""
        last_right = [first_wrong - 1 for first_wrong, _ in self._lags if first_wrong is not None]
        return min(last_right, default=self.max_decided_lag)

    @property
    def effective_lags(self) -> dict[str, int]:
        """The effective lag of each dtype."""
        lags: dict[str, int] = {}
        for result in self.laws:
            for dtype, lag in result.effective_lags.items():
                lags[dtype] = min(lag, lags.get(dtype, lag))
        return lags

    @property
    def gradient_left(self) -> float | None:
        """The size of the gradient at the effective lag, relative to that at lag 0; None if it is unknown."""
        known = [
            share for result in self.laws for lag, share in result.left.values() if lag == self.effective_lag
        ]
        return max(known, default=None)

    @property
    def _lags(self) -> list[tuple[int | None, int]]:
        return [pair for result in self.laws for pair in result.lags.values()]

    def exit_code(self, strict: bool = False) -> int:
        """Return the exit status that ``dynprop check`` reports.

        Args:
            strict: whether a law that could not be decided keeps a check from success.

        Returns:
            1 if some law is wrong, inaccurate or errs; else 4 if some law itself raised, which is a defect of
            dynprop; else 0 if at least one passed (with ``strict`` 3 if some law is undecidable); else 3.
        """
        verdicts = [result.verdict for result in self.laws]
        if any(not result.defect for result in self.failures):
            return 1
        if self.failures:
            return 4
        if "pass" not in verdicts or (strict and "undecidable" in verdicts):
            return 3
        return 0

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON values; non-finite numbers become None."""
        plain: dict[str, Any] = _plain(
            {
                "target": self.target,
                "kind": self.kind,
                "verdict": self.verdict,
                "seed": self.seed,
                "effective_lag": self.effective_lag,
                "max_decided_lag": self.max_decided_lag,
                "laws": [law_result_to_json(result) for result in self.laws],
                "versions": self.versions,
                "options": self.options,
                "domain": self.domain,
                "coverage": None if self.coverage is None else self.coverage.to_json(),
                "schema": SCHEMA,
            }
        )
        return plain

    def dumps(self) -> str:
        """Return the report as strict JSON text, which any file can hold: lone surrogates are escaped."""
        text = json.dumps(self.to_json(), indent=1, allow_nan=False, ensure_ascii=False)
        return text.encode("utf-8", "backslashreplace").decode("utf-8")

    @classmethod
    def from_json(cls, data: object) -> Report:
        """Build the report that ``to_json`` described.

        Raises:
            ArgumentError: the data is not the JSON form of a report.
        """
        if not isinstance(data, dict):
            raise ArgumentError("report", f"a JSON {type(data).__name__}", EXPECTED)
        missing = [name for name in REQUIRED if name not in data]
        if missing:
            raise ArgumentError("report", f"JSON without {', '.join(missing)}", EXPECTED)
        if data.get("schema", SCHEMA) != SCHEMA:
            raise ArgumentError("report", f"schema {data['schema']!r}", f"schema {SCHEMA}")
        try:
            laws = tuple(law_result_from_json(item) for item in data["laws"])
            saved = data.get("coverage")
            coverage = None if saved is None else Coverage.from_json(saved)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            got = f"a law without its results ({type(error).__name__}: {error})"
            raise ArgumentError("report", got, EXPECTED) from error
        return cls(
            data["target"],
            data["kind"],
            data["seed"],
            laws,
            data["versions"],
            data.get("options", {}),
            data.get("domain", {}),
            coverage,
        )


def law_result_to_json(result: LawResult) -> dict[str, Any]:
    """Return a law's result as plain JSON values: the keys of the contract, then those that restore it."""
    plain: dict[str, Any] = _plain({**result.to_json(), **{name: getattr(result, name) for name in FURTHER}})
    return plain


def law_result_from_json(data: Mapping[str, Any]) -> LawResult:
    """Build the result that ``law_result_to_json`` described; the evidence of its cases is not kept."""
    ratio = data["worst_ratio"]
    if ratio is None:
        ratio = math.inf if data["decided"] else 0.0
    saved = data["counterexample"]
    example = None
    if saved is not None:
        digits = tuple((int(lag), float(d)) for lag, d in saved["correct_digits"])
        example = Counterexample(**{**saved, "correct_digits": digits})
    result = LawResult(
        data["id"],
        worst_ratio=float(ratio),
        counterexample=example,
        hypothesis=data["hypothesis"],
        note=data.get("note", ""),
        defect=data.get("defect", ""),
        not_applicable=data["verdict"] == "not-applicable",
        lags={
            dtype: (first_wrong, max_decided)
            for dtype, (first_wrong, max_decided) in data.get("lags", {}).items()
        },
        left={dtype: (int(lag), float(share)) for dtype, (lag, share) in data.get("left", {}).items()},
    )
    for name in COUNTS:
        setattr(result, name, int(data.get(name, 0)))
    return result


def _plain(value: object) -> Any:
    """Return any value as strict JSON: numpy unwrapped, tuples as lists, non-finite numbers as None."""
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value)


def library_versions(framework: str = "numpy") -> dict[str, str]:
    """Return the versions of Python, dynprop, numpy and the framework."""
    versions = {"python": platform.python_version(), "dynprop": __version__, "numpy": np.__version__}
    if framework != "numpy":
        try:
            versions[framework] = importlib.metadata.version(framework)
        except importlib.metadata.PackageNotFoundError:
            module = sys.modules.get(framework)
            versions[framework] = str(getattr(module, "__version__", "unknown"))
    return versions
