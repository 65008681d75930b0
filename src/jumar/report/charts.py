"""The walk along the path as a picture: Altair specifications, drawn to SVG while the page is made.

In: the points of the walk and the scale on which gains are told. Out: SVG without script, style sheet,
link or any text that came from a log; its colours are the page's CSS variables, so it follows light and dark.
Drawn here rather than in the browser: the page stays small, prints, and needs no JavaScript.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Any

import altair as alt

from jumar.evaluate.certificate import WalkPoint
from jumar.report import words

FONT = "sans-serif"  # what the drawing says; the page's style sheet overrules it
FULL: dict[str, Any] = {"filled": True, "fill": "var(--accent)", "stroke": "var(--paper)", "opacity": 1}
CHOSEN: dict[str, Any] = {"size": 190, "strokeWidth": 2.5, **FULL}  # the released policy's mark in every drawing


@dataclass(frozen=True)
class Size:
    """Pixels of a drawing; the gutters hold the axis labels, whatever font they are set in."""

    width: int
    height: int
    left: int = 76
    right: int = 14
    top: int = 10
    bottom: int = 50
    font: int = 13


WIDE = Size(width=880, height=400)
NARROW = Size(width=332, height=330, left=74, right=10, font=12)


@dataclass(frozen=True)
class Frame:
    """Where the drawing begins and ends on both axes, in data units, and where its ticks are."""

    x_max: float
    x_ticks: list[float]
    y_min: float
    y_max: float
    y_ticks: list[float]
    y_step: float
    head: float  # the top of the plot: above the last tick there is room for the label of the chosen point


def ticks(low: float, high: float, about: int) -> tuple[list[float], float]:
    """Round numbers from below ``low`` to above ``high``, roughly ``about`` of them, and their step."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)], step


def frame(walk: list[WalkPoint], scale: words.Scale, size: Size) -> Frame:
    """Choose the axes so that every estimate and every lower bound of reasonable size is inside.

    Far out the weights explode and a lower bound may lie tens of times below everything else; drawn to
    scale it would flatten the rest, so it is cut off at the frame (and the legend says so).
    """
    gains = [g for g in (scale.of(p.estimate) for p in walk) if math.isfinite(g)] + [0.0]
    bounds = [b for b in (scale.of(p.lower_bound) for p in walk) if math.isfinite(b)]
    top, bottom = max(gains), min(gains)
    reach = 3 * max(top - bottom, -max(bounds, default=0.0))
    low = min([bottom, *(b for b in bounds if b >= bottom - reach)])
    if top - low <= 0:
        top, low = 0.01, -0.01
    y_ticks, step = ticks(low, top, 5)
    changed = max((p.deviation.changed for p in walk if math.isfinite(p.deviation.changed)), default=0.0)
    x_max = min(max(1.06 * changed, 1e-3), max(1.0, changed))
    x_ticks, _ = ticks(0.0, x_max, max(size.width // 130, 3))
    y_min, y_max = y_ticks[0], y_ticks[-1]
    room = 0.22 if words.released(walk) else 0.05
    return Frame(
        x_max,
        [t for t in x_ticks if t <= x_max * 1.0001],
        y_min,
        y_max,
        y_ticks,
        step,
        y_max + room * (y_max - y_min),
    )


def _rows(walk: list[WalkPoint], scale: words.Scale, box: Frame) -> list[dict[str, Any]]:
    """The points as data: x, estimate y, lower bound l (cut at the frame), and how each came out."""
    rows = []
    for point in walk:
        gain, bound = scale.of(point.estimate), scale.of(point.lower_bound)
        if not (math.isfinite(gain) and math.isfinite(point.deviation.changed)):
            continue
        cut = not bound >= box.y_min
        rows.append(
            {
                "x": point.deviation.changed,
                "y": gain,
                "l": box.y_min if cut else bound,
                "cut": cut,
                "verdict": "chosen" if point.released else point.verdict,
            }
        )
    return rows


def _refused(rows: list[dict[str, Any]], x_max: float) -> list[dict[str, float]]:
    """Stretches of the path around points that did not pass, from midpoint to midpoint, neighbours joined."""
    stretches: list[dict[str, float]] = []
    for i, row in enumerate(rows):
        if row["verdict"] in {"passed", "chosen"}:
            continue
        start = (rows[i - 1]["x"] + row["x"]) / 2 if i else 0.0
        end = (row["x"] + rows[i + 1]["x"]) / 2 if i + 1 < len(rows) else x_max
        if stretches and stretches[-1]["b"] >= start:
            stretches[-1]["b"] = end
        else:
            stretches.append({"a": start, "b": end})
    return stretches


def _tick_decimals(step: float) -> int:
    """How many decimals tell multiples of ``step`` apart: 5 → 0, 0.5 → 1, 2.5 → 1."""
    return next((d for d in range(9) if abs(round(step, d) - step) < 1e-6 * step), 9)


def _axes(box: Frame, scale: words.Scale, size: Size) -> dict[str, Any]:
    """The two shared position channels, with every tick chosen by us: nothing depends on installed fonts."""
    # d3 formats: enough decimals to tell one tick from the next.
    step = box.y_step * (100 if scale.relative else 1)
    decimals = _tick_decimals(step)
    y_format = f"+,.{decimals}%" if scale.relative else f"+,.{decimals}f"
    x_step = 100 * (box.x_ticks[1] - box.x_ticks[0]) if len(box.x_ticks) > 1 else 1.0
    x_decimals = _tick_decimals(x_step)
    x = alt.X(
        "x:Q",
        scale=alt.Scale(domain=[0, box.x_max], nice=False, zero=True),
        axis=alt.Axis(
            values=box.x_ticks,
            format=f".{x_decimals}%",
            grid=False,
            labelFlush=False,
            title="share of decisions changed",
            titlePadding=8,
        ),
    )
    return {"x": x, "y": gain_axis([box.y_min, box.head], box.y_ticks, y_format, size)}


def gain_axis(domain: list[float], values: list[float], labels: str, size: Size) -> alt.Y:
    """The vertical channel: gain over production, whose own line is named instead of numbered.

    Args:
        domain: lowest and highest gain of the plot.
        values: where the ticks are.
        labels: d3 format of their gains.
        size: pixels; the left gutter is filled whatever font the labels are set in.
    """
    return alt.Y(
        "y:Q",
        scale=alt.Scale(domain=domain, nice=False, zero=False),
        axis=alt.Axis(
            values=values,
            format=labels,
            labelExpr="datum.value == 0 ? 'production' : datum.label",
            title=None,
            domain=False,
            ticks=False,
            minExtent=size.left - 6,
            maxExtent=size.left - 6,
        ),
    )


def _label(chosen: dict[str, Any], box: Frame, size: Size) -> list[alt.Chart]:
    """The chosen point's leader line and its two lines of text, in the empty head of the plot."""
    plot = size.width - size.left - size.right
    lines = ["chosen", chosen["text"]]
    half = 0.5 * 0.62 * size.font * max(map(len, lines)) + 2
    at = chosen["x"] / box.x_max * plot
    centre = min(max(at, half), plot - half)
    data = alt.Data(values=[chosen | {"top": box.y_max + 0.02 * (box.y_max - box.y_min)}])
    leader = alt.Chart(data).mark_rule(stroke="var(--accent)", strokeWidth=1)
    leader = leader.encode(x="x:Q", y="top:Q", y2="y:Q")
    texts = [
        alt.Chart(alt.Data(values=[{}]))
        .mark_text(
            text=line, x=centre, y=size.font * (1.0 + 1.35 * i), fontSize=size.font,
            fontWeight=600 if i == 0 else 400, fill="var(--ink)",
        )
        for i, line in enumerate(lines)
    ]  # fmt: skip
    return [leader, *texts]


def walk_chart(walk: list[WalkPoint], scale: words.Scale, size: Size = WIDE) -> alt.LayerChart:
    """Gain over production, with its lower bound, against the share of decisions changed.

    Args:
        walk: the candidates from least to most deviation, at least one.
        scale: how gains are told.
        size: pixels of the whole drawing.
    """
    box = frame(walk, scale, size)
    rows = _rows(walk, scale, box)
    layers = _path(rows, _axes(box, scale, size), box) + _points(rows)
    point = words.released(walk)
    for row in rows:
        if row["verdict"] == "chosen" and point is not None:
            least = scale.show(point.lower_bound, down=True)
            layers += _label(row | {"text": f"{scale.show(point.estimate)}, at least {least}"}, box, size)
    return dressed(alt.LayerChart(layer=layers), size)


def _path(rows: list[dict[str, Any]], axes: dict[str, Any], box: Frame) -> list[Any]:
    """The band between estimate and lower bound, the refused stretches, the zero line, and both lines."""
    refused = alt.Data(values=_refused(rows, box.x_max))
    # A path on which nothing passed is drawn in grey from end to end.
    tone = "var(--accent)" if any(r["verdict"] in {"passed", "chosen"} for r in rows) else "var(--muted)"
    base = alt.Chart(alt.Data(values=rows)).encode(**axes)
    zero = alt.Chart(alt.Data(values=[{"y": 0}]))
    return [
        base.mark_area(fill=tone, fillOpacity=0.1).encode(y2="l:Q"),
        alt.Chart(refused).mark_rect(fill="url(#hatch)").encode(x="a:Q", x2="b:Q"),
        zero.mark_rule(stroke="var(--ink)", strokeWidth=1.5).encode(y="y:Q"),
        base.mark_rule(stroke=tone, strokeWidth=1, strokeOpacity=0.45).encode(y2="l:Q"),
        base.mark_line(stroke=tone, strokeWidth=1.25, strokeDash=[4, 3]).encode(y="l:Q"),
        base.mark_line(stroke=tone, strokeWidth=2),
        alt.Chart(alt.Data(values=[row for row in rows if not row["cut"]]))
        .mark_tick(orient="horizontal", size=10, thickness=2, color=tone)
        .encode(x="x:Q", y="l:Q"),
        alt.Chart(alt.Data(values=[row for row in rows if row["cut"]]))
        .mark_point(shape="triangle-down", size=36, yOffset=-4, fill="var(--muted)", stroke="var(--muted)")
        .encode(x="x:Q", y="l:Q"),
    ]


def _points(rows: list[dict[str, Any]]) -> list[Any]:
    """The estimates, told apart by shape as well as by colour: full, hollow, hollow with a cross, large."""

    def of(*verdicts: str) -> alt.Chart:
        values = [row for row in rows if row["verdict"] in verdicts]
        return alt.Chart(alt.Data(values=values)).encode(x="x:Q", y="y:Q")

    grey = {"stroke": "var(--muted)", "strokeWidth": 1.75, "opacity": 1}
    return [
        of("passed").mark_point(size=64, **FULL),
        of("failed", "not tested").mark_point(size=64, fill="var(--paper)", **grey),
        of("failed").mark_point(size=30, shape="M-1,-1L1,1M-1,1L1,-1", **grey),
        of("chosen").mark_point(**CHOSEN),
    ]


def dressed(chart: alt.LayerChart, size: Size) -> alt.LayerChart:
    """Fixed gutters, the page's font and colours, and silence towards screen readers (the table speaks)."""
    axis = alt.AxisConfig(
        labelFont=FONT, titleFont=FONT, labelFontSize=size.font, titleFontSize=size.font, titleFontWeight=400,
        labelColor="var(--muted)", titleColor="var(--muted)", gridColor="var(--line)",
        tickColor="var(--line)", domainColor="var(--line)", labelOverlap=False, labelLimit=0, labelPadding=7,
        labelBound=False,
    )  # fmt: skip
    return chart.properties(
        width=size.width - size.left - size.right,
        height=size.height - size.top - size.bottom,
        padding={"left": size.left, "right": size.right, "top": size.top, "bottom": size.bottom},
        background="transparent",
        autosize=alt.AutoSizeParams(type="none"),
    ).configure(aria=False, font=FONT, axis=axis, view=alt.ViewConfig(stroke=None))


def svg(chart: alt.LayerChart) -> str:
    """Draw a chart as an ``<svg>`` element to be set inline in a page."""
    drawn = io.StringIO()
    chart.save(drawn, format="svg")
    head = drawn.getvalue().index(">")
    # Inline in HTML the namespaces go without saying, and the page then names no address at all.
    tag = drawn.getvalue()[:head]
    for name in ('xmlns="http://www.w3.org/2000/svg"', 'xmlns:xlink="http://www.w3.org/1999/xlink"'):
        tag = tag.replace(f" {name}", "")
    return tag.replace("<svg", '<svg aria-hidden="true" focusable="false"', 1) + drawn.getvalue()[head:]
