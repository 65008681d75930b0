"""Cost against value as a picture: the frontier, other rules, production and the chosen policy.

In: a ``Frontier``. Out: an Altair specification that ``charts.svg`` draws; it holds no text that came from a log.
"""

from __future__ import annotations

from typing import Any

import altair as alt

from jumar.evaluate.certificate import Frontier, FrontierPoint
from jumar.report import words
from jumar.report.charts import CHOSEN, WIDE, Size, dressed, gain_axis, ticks


def frontier_chart(frontier: Frontier, scale: words.Scale, size: Size = WIDE) -> alt.LayerChart:
    """Average cost per decision on the horizontal axis, gain over production on the vertical one.

    Args:
        frontier: at least one point.
        scale: how gains are told.
        size: pixels of the whole drawing.
    """
    now = next(mark for mark in frontier.marks if mark.name == "production")
    rows = _rows(frontier.points, now, scale)
    others, marks = _rows(frontier.baselines, now, scale), _rows(frontier.marks, now, scale)
    every = [*rows, *others, *marks]
    y_ticks, y_step = ticks(min(r["low"] for r in [*rows, *marks]), max(r["high"] for r in every), 5)
    reach = [row["x"] for row in every]
    x_ticks, _ = ticks(min(reach), max(*reach, min(reach) + 1e-9), max(size.width // 130, 3))
    floor = y_ticks[0]
    axes = _axes(x_ticks, y_ticks, y_step, scale, size)

    def of(values: list[dict[str, Any]]) -> alt.Chart:
        shown = [
            row | {"y": max(row["y"], floor), "low": max(row["low"], floor)} for row in values if row["y"] >= floor
        ]
        return alt.Chart(alt.Data(values=shown))

    grey, accent = "var(--before)", "var(--accent)"
    layers: list[Any] = [
        of(rows).mark_area(fill=accent, fillOpacity=0.1).encode(axes["x"], y="low:Q", y2="high:Q"),
        alt.Chart(alt.Data(values=[{"y": 0}])).mark_rule(stroke="var(--ink)", strokeWidth=1.5).encode(y=axes["y"]),
        of(others)
        .mark_line(stroke=grey, strokeWidth=2, strokeDash=[6, 4])
        .encode(axes["x"], axes["y"], order="order:Q"),
        of(rows).mark_line(stroke=accent, strokeWidth=2).encode(axes["x"], axes["y"], order="order:Q"),
        of(rows).mark_point(size=26, filled=True, fill=accent, opacity=1).encode(axes["x"], axes["y"]),
        of([row for row in marks if row["name"] == "production"])
        .mark_point(size=120, shape="square", filled=True, fill="var(--ink)", opacity=1)
        .encode(axes["x"], axes["y"]),
        of([row for row in marks if row["name"] == "chosen"]).mark_point(**CHOSEN).encode(axes["x"], axes["y"]),
    ]
    return dressed(alt.LayerChart(layer=layers), size)


def _rows(points: list[FrontierPoint], now: FrontierPoint, scale: words.Scale) -> list[dict[str, Any]]:
    """Cost x, gain y and the gain one standard error lower and higher."""
    return [
        {
            "order": place,
            "name": point.name,
            "x": point.cost,
            "y": scale.of(point.value - now.value),
            "low": scale.of(point.value - now.value - point.error),
            "high": scale.of(point.value - now.value + point.error),
        }
        for place, point in enumerate(points)
    ]


def _axes(x_ticks: list[float], y_ticks: list[float], y_step: float, scale: words.Scale, size: Size) -> dict[str, Any]:
    """Both axes, with ticks of our own choice."""
    y_format = "+,.1%" if scale.relative and y_step < 0.01 else "+,.0%" if scale.relative else "+,.3~r"
    x = alt.X(
        "x:Q",
        scale=alt.Scale(domain=[x_ticks[0], x_ticks[-1]], nice=False, zero=False),
        axis=alt.Axis(values=x_ticks, format=".3~r", grid=False, labelFlush=False, title="cost per decision"),
    )
    return {"x": x, "y": gain_axis([y_ticks[0], y_ticks[-1]], y_ticks, y_format, size)}
