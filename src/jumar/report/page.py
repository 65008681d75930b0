"""The report: everything a run found, as one HTML page that opens offline and needs no script.

In: a :class:`~jumar.evaluate.certificate.RunSummary`. Out: the page as a string, or written so that a reader
finds either the old page or the whole new one. The same summary gives the same bytes.
Names that came from a log are cleaned here and escaped by the template; the page forbids every request.
"""

from __future__ import annotations

import contextlib
import os
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from jumar.errors import OutputError
from jumar.evaluate.certificate import ChangeSummary, CloneCheck, Finding, RunSummary, WalkPoint
from jumar.report import charts, words
from jumar.report.claims import claim_rows, several
from jumar.report.frontier import frontier_chart

MOST_ACTIONS = 12
MOST_SEGMENTS = 10


def render(summary: RunSummary) -> str:
    """The whole page.

    Args:
        summary: a run; ``walk`` may be empty, ``clone`` and ``change`` may be None.

    Returns:
        A complete HTML document, without any reference to anything outside itself.
    """
    c = summary.certificate
    scale = words.Scale(c.production_value)
    logged = summary.log_findings
    context = {
        "w": words,
        "c": c,
        "log": summary.log,
        "scale": scale,
        "headline": words.headline(c),
        "figures": _key_figures(summary, scale),
        "one": words.odds(c.confidence)[0],
        "of": words.odds(c.confidence)[1],
        "walk": _walk(summary.walk, scale),
        "drawings": _drawings(summary, scale),
        "cut": _any_cut(summary.walk, scale),
        "clone": _clone(summary.clone, scale),
        "change": _change(summary.change),
        "audits": [("Before the verdict: the gate", _findings(c.audits)), ("The log", _findings(logged))],
        "claims": claim_rows(c.claims) if several(c.claims) else [],
        "frontier": _frontier(summary, scale),
        "seconds": [(words.clean(k, 60), words.duration(v)) for k, v in summary.seconds.items()],
        "total": words.duration(sum(summary.seconds.values())) if summary.seconds else None,
    }
    return _template().render(context)


def write(summary: RunSummary, path: str | Path) -> Path:
    """Render the page into a file: beside it under a temporary name, flushed to the disk, then renamed.

    Args:
        summary: a run.
        path: the file to write; its folder must exist.

    Returns:
        The path written.

    Raises:
        OutputError: the file cannot be written there; whatever was there before is untouched.
    """
    target = Path(path)
    page = render(summary).encode("utf-8")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise OutputError(
            f"the report cannot be written to '{target}': {error.strerror or error}",
            remedy="Name a file in a folder that exists, that you may write to and that has room (--out).",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return target


@cache
def _template() -> jinja2.Template:
    """The packaged template, compiled once."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["clean"] = words.clean
    return environment.from_string(resources.files("jumar.report").joinpath("template.html").read_text("utf-8"))


def _key_figures(summary: RunSummary, scale: words.Scale) -> list[tuple[str, str, str]]:
    """The figures under the headline: label, figure, and what it is measured in."""
    c = summary.certificate
    metric = words.clean(c.metric, 60)
    against = f"{metric}, against production" if scale.relative else f"{metric} {words.counted_by(c)}"
    figures = []
    if c.estimate is not None:
        figures.append(("Gain, estimated", scale.show(c.estimate), against))
    if c.lower_bound is not None:
        label = "Gain, at least" if c.lower_bound > 0 else "Could be as low as"
        least = scale.show(c.lower_bound, down=True)
        figures.append((label, least, f"with {words.level(c.confidence)} confidence"))
    if c.deviation is not None:
        figures.append(("Decisions changed", words.share(c.deviation.changed), "the others stay as they are"))
    figures.append(("Production today", words.amount(c.production_value), f"{metric} {words.counted_by(c)}"))
    if c.deviation is None:
        figures.append(("Judged on", words.count(c.rows), "decisions kept aside for it"))
    return figures


def _walk(walk: list[WalkPoint], scale: words.Scale) -> list[dict[str, Any]]:
    """The candidates as text, for the table under the chart."""
    # Told as first, second, …, whether the orders count from nought or from one.
    first = min((p.test_order for p in walk if p.verdict != "not tested"), default=0)
    return [
        {
            "released": point.released,
            "verdict": point.verdict,
            "changed": words.share(point.deviation.changed),
            "gain": scale.show(point.estimate),
            "least": scale.show(point.lower_bound, down=True),
            "more": [
                *([("From", words.clean(point.name, 80))] if point.name else []),
                ("Temperature", words.amount(point.temperature)),
                *([("Price of a unit of cost", words.amount(point.price))] if point.price else []),
                *([("Not shown", ", ".join(words.clean(one, 40) for one in point.not_shown))] * bool(point.not_shown)),
                ("Tested", f"no. {point.test_order - first + 1}" if point.verdict != "not tested" else "no"),
                ("Gain in validation", scale.show(point.validation_gain)),
                ("z in validation", words.amount(point.validation_z, signed=True)),
                ("Log capital", words.amount(point.log_capital, signed=True)),
                ("Divergence, nats", words.amount(point.deviation.kl)),
                ("Effective rows", words.count(point.deviation.ess)),
                ("Largest weight", words.amount(point.deviation.max_weight)),
            ],
        }
        for point in walk
    ]


def _drawings(summary: RunSummary, scale: words.Scale) -> list[tuple[str, Markup]]:
    """The walk drawn for wide and for narrow screens; empty without candidates."""
    if not summary.walk:
        return []
    # Markup: the drawing holds our own words and numbers only, and Vega escapes those.
    return [
        (name, Markup(charts.svg(charts.walk_chart(summary.walk, scale, size))))
        for name, size in (("wide", charts.WIDE), ("narrow", charts.NARROW))
    ]


def _frontier(summary: RunSummary, scale: words.Scale) -> dict[str, Any] | None:
    """Cost against value: the drawing, and its single policies as text."""
    frontier = summary.frontier
    if frontier is None:
        return None
    now = next(mark for mark in frontier.marks if mark.name == "production")
    rows = [
        {
            "name": {"production": "production", "chosen": "the chosen policy"}.get(mark.name, mark.name),
            "cost": words.amount(mark.cost),
            "less": words.percent(mark.cost / now.cost - 1) if now.cost > 0 else words.NOTHING,
            "gain": scale.show(mark.value - now.value),
        }
        for mark in frontier.marks
    ]
    best = max(frontier.points, key=lambda point: point.value)
    rows.append(
        {
            "name": "the best threshold",
            "cost": words.amount(best.cost),
            "less": words.percent(best.cost / now.cost - 1) if now.cost > 0 else words.NOTHING,
            "gain": scale.show(best.value - now.value),
        }
    )
    return {
        "cost": words.clean(frontier.cost, 80),
        "baseline": words.clean(frontier.baselines[0].name, 120) if frontier.baselines else None,
        "rows": rows,
        "judged": words.plural(frontier.rows, "decision"),
        "drawings": [
            (name, Markup(charts.svg(frontier_chart(frontier, scale, size))))
            for name, size in (("wide", charts.WIDE), ("narrow", charts.NARROW))
        ],
    }


def _any_cut(walk: list[WalkPoint], scale: words.Scale) -> bool:
    """Whether some lower bound lies below the drawing."""
    if not walk:
        return False
    floor = charts.frame(walk, scale, charts.WIDE).y_min
    return any(not scale.of(point.lower_bound) >= floor for point in walk)


def _clone(check: CloneCheck | None, scale: words.Scale) -> dict[str, Any] | None:
    """The clone's check as an answer and its figures."""
    if check is None:
        return None
    agreed, expected = words.share(check.agreement), words.share(check.expected_agreement)
    low, high = scale.show(check.value_lower, down=True), scale.show(check.value_upper)
    figures = [
        ("Value against production", f"{scale.show(check.value_difference)} (between {low} and {high})"),
        ("Allowed difference", f"±{scale.show(check.tolerance).lstrip('+')}"),
        ("Same decision as logged", f"{agreed} (expected {expected})"),
        ("Surprise per decision", f"{words.amount(check.log_loss)} nats"),
    ]
    if check.entropy is not None:
        figures[-1] = (figures[-1][0], f"{figures[-1][1]} (production's own {words.amount(check.entropy)})")
    if check.calibration is not None:
        figures.append(("Probabilities off by, on average", words.share(check.calibration)))
    rows = words.plural(check.rows, "decision")
    figures.append(("Checked on", f"{rows}, at {words.level(check.confidence)} confidence"))
    return {"equivalent": check.equivalent, "sentence": words.clean(check.sentence, 600), "figures": figures}


def _change(change: ChangeSummary | None) -> dict[str, Any] | None:
    """Action rates before and after, the largest first, and the segments that change most."""
    if change is None:
        return None
    rates = list(zip(change.actions, change.rates_before, change.rates_after, strict=True))
    rates.sort(key=lambda r: (-max(r[1], r[2]), r[0]))
    cut = len(rates) if len(rates) <= MOST_ACTIONS + 1 else MOST_ACTIONS
    longest = max((max(before, after) for _, before, after in rates), default=0.0) or 1.0
    actions: list[dict[str, Any]] = [
        {
            "name": words.clean(name, 80),
            "before": words.share(before),
            "after": words.share(after),
            "bars": (_width(before / longest), _width(after / longest)),
        }
        for name, before, after in rates[:cut]
    ]
    if rest := rates[cut:]:
        # Figures without bars: a hundred small actions together would dwarf every single one.
        before, after = sum(r[1] for r in rest), sum(r[2] for r in rest)
        actions.append(
            {
                "name": f"{len(rest)} others together",
                "before": words.share(before),
                "after": words.share(after),
                "bars": None,
            }
        )
    segments = sorted(change.segments, key=lambda s: (-s.changed, -s.share, s.feature, s.label))
    most = max((s.changed for s in segments), default=0.0) or 1.0
    rows = []
    for s in segments[:MOST_SEGMENTS]:
        moved = max(range(len(change.actions)), key=lambda i: abs(s.rates_after[i] - s.rates_before[i]), default=None)
        rows.append(
            {
                "feature": words.clean(s.feature, 80),
                "label": words.clean(s.label, 80),
                "share": words.share(s.share),
                "changed": words.share(s.changed),
                "bar": _width(s.changed / most),
                "action": None if moved is None else words.clean(change.actions[moved], 60),
                "before": None if moved is None else words.share(s.rates_before[moved]),
                "after": None if moved is None else words.share(s.rates_after[moved]),
            }
        )
    return {
        "changed": words.share(change.changed),
        "actions": actions,
        "segments": rows,
        "unseen": max(len(segments) - MOST_SEGMENTS, 0),
    }


def _width(part: float) -> str:
    """A bar's length for CSS, from 0 to 1."""
    return f"{min(max(part, 0.0), 1.0):.4f}"


def _findings(findings: list[Finding]) -> list[dict[str, Any]]:
    """Audits as text, what stands in the way first."""
    order = {"blocked": 0, "warning": 1, "ok": 2}
    return [
        {
            "verdict": f.verdict,
            "name": words.clean(f.name, 80),
            "sentence": words.clean(f.sentence, 600),
            "figures": [(words.clean(k, 60), _figure(v)) for k, v in f.figures.items()],
        }
        for f in sorted(findings, key=lambda f: order[f.verdict])
    ]


def _figure(value: object) -> str:
    """One figure of an audit as text; long lists are cut."""
    if value is None:
        return words.NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return words.count(value)
    if isinstance(value, float):
        whole = value.is_integer() and abs(value) >= 1000
        return words.count(value) if whole else words.amount(value, figures=4)
    if isinstance(value, dict):
        value = [f"{words.clean(k, 40)} {_figure(v)}" for k, v in value.items()]
    if isinstance(value, list):
        head = ", ".join(item if isinstance(item, str) else _figure(item) for item in value[:8])
        return f"{head}, and {len(value) - 8} more" if len(value) > 8 else head
    return words.clean(value, 200)
