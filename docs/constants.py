"""The empirical constants of the bounds: where they stand, and the worst ratio that the records hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

__all__ = ["CONSTANTS", "Constant", "constant_rows"]


@dataclass(frozen=True)
class Constant:
    """A number in a bound that no theorem gives.

    Attributes:
        module: where it stands, below `dynprop.kinds`.
        name: its name there.
        meaning: what it multiplies, or is.
        laws: beginnings of the ids of the laws that use it.
    """

    module: str
    name: str
    meaning: str
    laws: tuple[str, ...]

    @property
    def value(self) -> float:
        """The number that the code has."""
        return float(getattr(import_module(f"dynprop.kinds.{self.module}"), self.name))

    @property
    def file(self) -> str:
        """The file, from docs/."""
        return f"../src/dynprop/kinds/{self.module.replace('.', '/')}.py"


CONSTANTS = (
    Constant(
        "scan.bounds",
        "LARGEST_TERM_FACTOR",
        "of an evaluation accurate relative to the largest term; decides between wrong and inaccurate only",
        (),
    ),
    Constant(
        "layer.judging",
        "CONSTANT",
        "C of outputs: change under perturbed inputs, to error",
        (
            "layer/row-alone",
            "layer/padding",
            "layer/own-steps",
            "layer/split-resume",
            "layer/forms-agree",
            "layer/hand-over",
        ),
    ),
    Constant("layer.judging", "SAMPLES", "K, the number of perturbed calls", ()),
    Constant(
        "layer.chain",
        "CONSTANT",
        "C of gradients by lag",
        ("layer/gradient-by-lag", "layer/gradient-initial-state"),
    ),
    Constant("layer.chain", "NUDGES", "perturbed states at which a Jacobian is taken again", ()),
    Constant("layer.step_gradient", "ROUNDING", "of a central difference", ("layer/step-gradient",)),
    Constant("power.bounds", "SPECTRAL", "of n u in Schur and eigenvector routes", ("closed-form/",)),
    Constant("initializer.spectra", "GRAM", "of n u in a Gram matrix", ("initializer/orthogonal",)),
    Constant("initializer.spectra", "EIGENVALUE", "of n u in eigenvalues", ("initializer/spectral-radius",)),
    Constant(
        "linear_attention.bounds",
        "C",
        "c of local errors carried by products of transition matrices",
        (
            "linear-attention/outputs",
            "linear-attention/final-state",
            "linear-attention/gradient",
            "linear-attention/resume",
        ),
    ),
    Constant(
        "agreement.norms",
        "BAUER_FIKE",
        "of n u κ in LAPACK's eigenvalues",
        ("agreement/radius-and-condition", "agreement/eigenvalues"),
    ),
    Constant(
        "agreement.success",
        "REORDERED",
        "of a float32 loss, summed in another order",
        ("agreement/trial-alone",),
    ),
)


def constant_rows(records: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Yield constant, value, meaning, worst ratio and where; ``records`` are those of controls and layers."""
    rows = [*_ratios(records)]
    for constant in CONSTANTS:
        found = [row for row in rows if row[0].startswith(constant.laws)] if constant.laws else []
        ratio, place = max(((row[1], row[2]) for row in found), default=(0.0, ""))
        worst = f"{ratio:.2g} (`{place}`)" if place else "not recorded" if constant.laws else ""
        link = f"[`{constant.module}.{constant.name}`]({constant.file})"
        yield link, f"{constant.value:.4g}", constant.meaning, worst


def _ratios(records: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, float, str]]:
    """Yield law, worst ratio and target of every record of a correct implementation."""
    for record in records:
        for row in record.get("controls", ()):
            yield from ((law["law"], law["worst_ratio"] or 0.0, row["control"]) for law in row["laws"])
        for row in record.get("layers", ()):
            target = row["target"].rpartition(":")[2]
            yield from ((law["id"], law["worst_ratio"] or 0.0, target) for law in row["laws"])
