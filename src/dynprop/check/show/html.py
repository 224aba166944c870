"""A report as one self-contained HTML page, which loads nothing and embeds the JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment
from markupsafe import Markup

from dynprop.check.run.outcome import LawResult
from dynprop.check.run.report import Report
from dynprop.check.show.render import (
    VERDICT_WORDS,
    domain_text,
    is_hypothesis,
    lag_text,
    likeliest,
    ratio_text,
    sentence,
)
from dynprop.kinds import laws_for
from dynprop.laws.law import Law

__all__ = ["LagPicture", "lag_picture", "render_html"]

TEMPLATE = "report.html.j2"
WIDTH, HEIGHT = 660, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 34
MOST_DIGITS = 17
# Pixels between the labels of two lags.
ROOM = 28
# Below this number of correct digits a gradient is drawn as wrong.
LEAST_DIGITS = 2


@dataclass(frozen=True)
class LagPicture:
    """Correct digits per lag on a canvas: lags logarithmically from the left, digits upwards.

    Attributes:
        width, height: size of the canvas.
        points: (x, y, lag, digits, whether wrong) per lag.
        lags: (x, label) of the ticks below.
        digits: (y, label) of the ticks at the left.
    """

    width: int
    height: int
    points: tuple[tuple[float, float, int, float, bool], ...]
    lags: tuple[tuple[float, str], ...]
    digits: tuple[tuple[float, str], ...]

    @property
    def line(self) -> str:
        """The points as an SVG polyline."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y, *_ in self.points)

    @property
    def left(self) -> float:
        """Left edge of the plot."""
        return LEFT

    @property
    def right(self) -> float:
        """Right edge of the plot."""
        return self.width - RIGHT

    @property
    def bottom(self) -> float:
        """Lower edge of the plot."""
        return self.height - BOTTOM


def lag_picture(pairs: Sequence[tuple[int, float]]) -> LagPicture | None:
    """Lay out (lag, correct digits) pairs; None if there are fewer than two."""
    if len(pairs) < 2:
        return None
    span = math.log2(1 + max(lag for lag, _ in pairs)) or 1.0

    def across(lag: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log2(1 + lag) / span

    def up(digits: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(digits, MOST_DIGITS) / MOST_DIGITS

    # The ends and the first wrong lag get their labels first; the others where there is room.
    first_wrong = [lag for lag, digits in pairs if digits < LEAST_DIGITS][:1]
    ticks: list[int] = []
    for lag in (*first_wrong, pairs[0][0], pairs[-1][0], *(lag for lag, _ in pairs)):
        if all(abs(across(lag) - across(other)) >= ROOM for other in ticks):
            ticks.append(lag)
    return LagPicture(
        WIDTH,
        HEIGHT,
        tuple((across(lag), up(d), lag, d, d < LEAST_DIGITS) for lag, d in pairs),
        tuple((across(lag), str(lag)) for lag in sorted(ticks)),
        tuple((up(d), str(d)) for d in (0, 4, 8, 12, 16)),
    )


def render_html(report: Report) -> str:
    """Return the page of a report."""
    laws = {law.id: law for law in laws_for(report.kind)}
    likely, count = likeliest(report)
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    template = environment.from_string(page)
    # Escaped, "<" cannot close the script element.
    embedded = report.dumps().replace("<", "\\u003c")
    return template.render(
        report=report,
        rows=[_row(result, laws) for result in report.laws],
        likely=likely if count > 1 else "",
        likely_count=count,
        likely_label="Most likely" if is_hypothesis(likely, report) else "In common",
        sentence=sentence(report),
        domain=domain_text(report),
        lags=lag_text(report),
        words=VERDICT_WORDS,
        data=Markup(embedded),
    )


def _row(result: LawResult, laws: Mapping[str, Law]) -> dict[str, object]:
    """Return the template values of one law; a report may name laws that this version does not have."""
    law, example = laws.get(result.law), result.counterexample
    return {
        "result": result,
        "ratio": ratio_text(result),
        "statement": "" if law is None else law.statement,
        "source": "" if law is None else law.source,
        "found": example,
        "detail": {} if example is None else {k: v for k, v in example.detail.items() if k != "checked"},
        "picture": None if example is None else lag_picture(example.correct_digits),
    }
