"""A diagnosis as text for a terminal, as JSON, as one self-contained page, and as a PNG."""

from __future__ import annotations

import json
import math
import platform
from importlib.metadata import version
from importlib.resources import files
from io import BytesIO
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from dynprop.arrays import FloatArray, NumericArray
from dynprop.gradients.diagnosis.diagnose import Diagnosis
from dynprop.gradients.diagnosis.pictures import Picture, circle_picture, line_picture

__all__ = ["diagnosis_json", "diagnosis_page", "diagnosis_png", "pictures_of", "print_diagnosis"]

TEMPLATE = "diagnosis.html.j2"
STYLES = {"vanishes": "bold red", "explodes": "bold red", "stays": "green"}
# Columns of the labels.
LABEL = 17
# Lags of the table in a terminal.
TABLE = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
DPI = 150


def _left(log: float) -> str:
    """Return e^log as a short number, beyond floats too."""
    if math.isnan(log):
        return "NaN"
    if math.isinf(log):
        return "0" if log < 0.0 else "inf"
    exponent = math.floor(log / math.log(10.0))
    if -3 <= exponent <= 3:
        return f"{math.exp(log):.3g}"
    return f"{math.exp(log - exponent * math.log(10.0)):.1f}e{exponent:+d}"


def print_diagnosis(found: Diagnosis, target: str, console: Console) -> None:
    """Print the sentence, a table by lag, what was measured, and what helps."""
    out = console
    out.print(Text.assemble((target, "bold"), "  ", (found.verdict, STYLES[found.verdict])), soft_wrap=True)
    out.print(Text(f"{found.sentence[0].upper()}{found.sentence[1:]}."))
    for remark in found.remarks:
        out.print(Text(remark, "dim"))
    lags = [k for k in TABLE if k < len(found.profile.lags)]
    lags = sorted({*lags, found.lag, len(found.profile.lags) - 1})
    out.print()
    out.print(Text(f"{'lag':>8} {'gradient':>10} {'memory':>10}", "dim"))
    for lag in lags:
        memory = found.memory
        kept = "" if memory is None or lag >= len(memory.lags) else _left(float(memory.median[lag]))
        out.print(Text(f"{lag:>8} {_left(float(found.profile.median[lag])):>10} {kept:>10}"))
    out.print()
    for label, text in rows(found):
        out.print(Text.assemble((f"{label:<{LABEL}}", "dim"), text), soft_wrap=True)
    for index, advice in enumerate(found.advice):
        before, after = (", ".join(map(_left, v)) for v in (advice.before, advice.after))
        label = "helps" if index == 0 else ""
        out.print(
            Text.assemble((f"{label:<{LABEL}}", "dim"), (advice.text, "bold" if index == 0 else "")),
            soft_wrap=True,
        )
        out.print(Text(f"{'':<{LABEL}}held out: before {before}; after {after}", "dim"), soft_wrap=True)


def rows(found: Diagnosis) -> list[tuple[str, str]]:
    """Return what was measured, as labels and texts."""
    rows: list[tuple[str, str]] = []
    slope = found.profile.slope
    if math.isfinite(slope):
        rows.append(("per step", f"factor {math.exp(slope):.4g} (ln {slope:+.4g})"))
    for name, value in found.predictions.items():
        short, _, how = name.partition(": ")
        rows.append((short, f"ln {value:+.4g}, {how}"))
    if found.exponents is not None:
        first = ", ".join(f"{x:+.3g}" for x in found.exponents.mean[:4])
        rows.append(("Lyapunov", f"{first}, ... per step"))
    for name, gate in found.activity.items():
        closed, opened = f"{gate.closed:.0%} below 0.05", f"{gate.opened:.0%} above 0.95"
        rows.append(
            (
                f"{name} gate" if name != "slope" else "slope of units",
                f"mean {gate.mean:.3g}; {closed}, {opened}",
            )
        )
    lags = [f"{factor:g} from lag {lag}" for factor, lag in found.horizons.items() if lag is not None]
    if lags:
        rows.append(("below", "; ".join(lags)))
    if found.hiding is not None:
        shares = np.cumsum(found.hiding.shares)
        count = int(np.argmax(shares >= 0.99)) if (shares >= 0.99).any() else len(shares) - 1
        rows.append(("weights", f"lags 0 to {count} are 99 % of the weight gradient"))
        low, high = (float(f(found.hiding.norms)) for f in (np.median, np.max))
        rows.append(
            ("clipping", f"weight gradient per unit of output error: median {low:.3g}, largest {high:.3g}")
        )
    if found.frequencies is not None:
        parts = [
            f"{name} {count} of {found.frequencies.seeds} [{low:.2f}, {high:.2f}]"
            for name, count in found.frequencies.counts.items()
            for low, high in (found.frequencies.intervals[name],)
        ]
        rows.append(("starts", "; ".join(parts)))
    return rows


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _numbers(values: NumericArray) -> list[float | None]:
    return [_plain(float(value)) for value in values]


def band_of(found: Diagnosis) -> tuple[FloatArray, FloatArray]:
    """Return the smallest and the largest ln of what is left by lag, over sequences."""
    with np.errstate(invalid="ignore"):
        logs = found.profile.log_norms - found.profile.log_norms[:, :1]
    filled = np.where(np.isnan(logs), found.profile.median, logs)
    return np.asarray(filled.min(axis=0)), np.asarray(filled.max(axis=0))


def diagnosis_json(found: Diagnosis, target: str, settings: dict[str, Any]) -> str:
    """Return the diagnosis as strict JSON: numbers that are not finite are null."""
    low, high = band_of(found)
    hidden, counted = found.hiding, found.frequencies
    data = {
        "target": target,
        "verdict": found.verdict,
        "sentence": found.sentence,
        "cause": found.cause,
        "part": found.profile.name,
        "state_size": found.profile.size,
        "lag": found.lag,
        "left": _plain(found.left),
        "slope": _plain(found.profile.slope),
        "half_life": _plain(found.profile.half_life),
        "horizons": {f"{factor:g}": lag for factor, lag in found.horizons.items()},
        "gradient_log": {
            "median": _numbers(found.profile.median),
            "low": _numbers(low),
            "high": _numbers(high),
        },
        "memory_log": None if found.memory is None else _numbers(found.memory.median),
        "lyapunov": None if found.exponents is None else _numbers(found.exponents.mean),
        "eigenvalues": {
            name: [[float(z.real), float(z.imag)] for z in values]
            for name, values in found.eigenvalues.items()
        },
        "predictions": {name: _plain(value) for name, value in found.predictions.items()},
        "activity": {name: dict(each.__dict__) for name, each in found.activity.items()},
        "weight_gradient": None
        if hidden is None
        else {
            "sizes": _numbers(hidden.sizes),
            "shares": _numbers(hidden.shares),
            "fluctuation": _plain(hidden.fluctuation),
            "norms": _numbers(hidden.norms),
            "hidden_from": hidden.hidden_from,
        },
        "starts": None
        if counted is None
        else {
            "seeds": counted.seeds,
            "counts": counted.counts,
            "intervals": {name: list(ends) for name, ends in counted.intervals.items()},
            "left_log": [_plain(value) for value in counted.log_left],
        },
        "advice": [
            {
                "name": each.name,
                "text": each.text,
                "before_log": [_plain(value) for value in each.before],
                "after_log": [_plain(value) for value in each.after],
            }
            for each in found.advice
        ],
        "remarks": list(found.remarks),
        "settings": settings,
        "versions": versions(),
    }
    return json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False)


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in ("dynprop", "torch", "numpy")},
    }


def pictures_of(found: Diagnosis) -> list[Picture]:
    """Return the pictures of a diagnosis, the gradient by lag first."""
    low, high = band_of(found)
    curves = [("gradient, median", "one", found.profile.median)]
    if found.memory is not None:
        curves.append(("memory", "two", found.memory.median))
    pictures = [
        line_picture("What is left of the gradient", "lag", "norm", curves, [("one", low, high)]),
    ]
    if found.advice:
        best = found.advice[0]
        pair = [
            ("before", "one", np.array(best.median_before)),
            ("after", "three", np.array(best.median_after)),
        ]
        pictures.append(line_picture(f"With advice: {best.name}", "lag", "norm", pair))
    if found.hiding is not None:
        with np.errstate(divide="ignore"):
            sizes = np.log(found.hiding.sizes)
        floor = np.full(len(sizes), math.log(max(found.hiding.fluctuation, 1e-300) / 100.0))
        pair = [("contribution", "one", sizes), ("fluctuation / 100", "two dashed", floor)]
        pictures.append(line_picture("Weight gradient by lag", "lag", "norm", pair))
    clouds = [(name, f"cloud{i}", v) for i, (name, v) in enumerate(sorted(found.eigenvalues.items()))]
    pictures.append(circle_picture("Eigenvalues", clouds))
    if found.exponents is not None:
        spectrum = [("", "one", found.exponents.mean)]
        pictures.append(line_picture("Lyapunov exponents", "index", "per step", spectrum, decades=False))
    if found.frequencies is not None:
        logs = np.sort(np.array(found.frequencies.log_left))
        pictures.append(
            line_picture(f"Starts: left at lag {found.lag}", "start, sorted", "norm", [("", "one", logs)])
        )
    return [picture for picture in pictures if picture is not None]


def diagnosis_page(found: Diagnosis, target: str, settings: dict[str, Any]) -> str:
    """Return one self-contained HTML page: it loads nothing, and embeds the JSON."""
    from jinja2 import Environment
    from markupsafe import Markup

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8"))
    embedded = diagnosis_json(found, target, settings).replace("<", "\\u003c")
    advice = [
        {
            "text": each.text,
            "before": ", ".join(map(_left, each.before)),
            "after": ", ".join(map(_left, each.after)),
        }
        for each in found.advice
    ]
    sentence = f"{found.sentence[0].upper()}{found.sentence[1:]}."
    return template.render(
        found=found,
        target=target,
        sentence=sentence,
        rows=rows(found),
        pictures=pictures_of(found),
        advice=advice,
        versions=versions(),
        data=Markup(embedded),
    )


def diagnosis_png(found: Diagnosis, target: str) -> bytes:
    """Return the picture of the gradient by lag as a PNG.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    scale = math.log(10.0)
    low, high = (np.clip(ends / scale, -300.0, 300.0) for ends in band_of(found))
    lags, median = found.profile.lags, found.profile.median
    axes.fill_between(lags, low, high, alpha=0.25, linewidth=0.0, color="#0072b2")
    axes.plot(lags, np.where(np.isfinite(median), median / scale, np.nan), color="#0072b2", label="gradient")
    if found.memory is not None:
        kept = np.where(np.isfinite(found.memory.median), found.memory.median / scale, np.nan)
        axes.plot(found.memory.lags, kept, color="#d55e00", linestyle="--", label="memory")
    if found.advice:
        after = np.array(found.advice[0].median_after) / scale
        axes.plot(np.arange(len(after)), after, color="#009e73", linestyle=":", label=found.advice[0].name)
    axes.set_xlabel("lag (steps)")
    axes.set_ylabel("log10 of what is left")
    axes.set_title(f"{target}: {found.verdict}", fontsize=10)
    axes.legend(frameon=False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
