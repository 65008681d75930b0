"""A plan in the terminal: what a certificate of a gain takes, and the gains that other logs could certify.

In: a ``GainPlan``. Out: rich renderables at any width. Only the command line imports this module.
"""

from __future__ import annotations

import math

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from jumar.evaluate.planning.plan_log import CurvePoint, GainPlan
from jumar.report import words

_BAR, _EIGHTHS = 16, " ▏▎▍▌▋▊▉"
_IMPOSSIBLE = "no gain as large as that is possible"


def plan_table(plan: GainPlan) -> Group:
    """The answer, the same at other explorations, the grid of gains, and what was supposed."""
    parts: list[RenderableType] = [Text(headline(plan), style="bold"), Text(), _facts(plan), Text()]
    parts += [Text(f"To certify {words.percent(plan.gain)}, by how much production explores", style="bold")]
    parts += [_by_exploration(plan), Text("The smallest gain that can be certified", style="bold"), _grid(plan)]
    notes = Table.grid(padding=(0, 1))
    for note in plan.notes:
        notes.add_row(Text("·", style="dim"), Text(words.clean(note, 600), style="dim"))
    return Group(*parts, notes)


def headline(plan: GainPlan) -> str:
    """The answer in a sentence."""
    sure, size = words.level(plan.confidence), words.percent(plan.gain)
    if plan.rows is None:
        return f"No log like this one certifies a gain of {size}: production does not explore."
    log = f"about {words.count(plan.rows)} decisions"
    if plan.rows <= plan.log_rows:
        return f"This log is long enough to certify a gain of {size} with {sure} confidence: it takes {log}."
    days = "" if plan.days is None else f" ({_days(plan.days)} at the present rate)"
    return f"To certify a gain of {size} with {sure} confidence takes {log}{days}, as production explores now."


def _facts(plan: GainPlan) -> Table:
    """The figures behind the headline."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    span = "" if plan.log_days is None else f" in {_days(plan.log_days)}"
    grid.add_row("the log", f"{words.count(plan.log_rows)} decisions{span}")
    grid.add_row(
        "production", f"{words.amount(plan.production_value)} per decision; explores {words.share(plan.exploration)}"
    )
    grid.add_row("gain", f"{words.amount(plan.gain_per_decision, signed=True)} per decision, hoped for")
    taken = "come out differently" if plan.policy else "another action, supposed"
    grid.add_row("policy", f"{plan.policy + ': ' if plan.policy else ''}{words.share(plan.changed)} {taken}")
    if plan.rows_to_judge is not None:
        grid.add_row(
            "to judge on", f"{words.count(plan.rows_to_judge)} decisions, {words.share(plan.power)} sure to pass"
        )
    if plan.rows_boosted is not None:
        fewer = "if nothing drifts: every unit decides once, so most of the capital can be bet by the booster"
        grid.add_row("or", f"{words.count(plan.rows_boosted)} decisions in all, {fewer}")
    if plan.detectable_gain is not None:
        grid.add_row("this log", f"can certify {words.percent(plan.detectable_gain)}")
    if plan.exploration_needed is not None:
        needed = f"{words.share(plan.exploration_needed)} exploration would be enough for a log as long as this one"
    else:
        needed = "no exploration would be enough for a log as long as this one"
    grid.add_row("exploration", needed)
    return grid


def _by_exploration(plan: GainPlan) -> Table:
    """Decisions by exploration, with a bar on the scale of their logarithm."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in ("explores", "decisions", "to judge on", "days"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    rows = [one.rows for one in plan.by_exploration if one.rows is not None]
    least, most = (min(rows), max(rows)) if rows else (1, 1)
    for one in plan.by_exploration:
        bar = Text(_IMPOSSIBLE, style="dim") if one.rows is None else Text(_bar(one.rows, least, most), style="cyan")
        table.add_row(
            _rate(one.exploration, plan),
            words.count(one.rows),
            words.count(one.rows_to_judge),
            _number(one.days),
            bar,
            style="bold" if one.exploration == plan.exploration else "",
        )
    return table


def _grid(plan: GainPlan) -> Table:
    """Detectable gains: lengths of the log downwards, exploration to the right."""
    rates = [one.exploration for one in plan.by_exploration]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("decisions", justify="right", no_wrap=True)
    if plan.log_days is not None:
        table.add_column("days", justify="right", no_wrap=True)
    for rate in rates:
        table.add_column(_rate(rate, plan), justify="right", no_wrap=True)
    found = {(one.rows, one.exploration): one for one in plan.curve}
    for rows in dict.fromkeys(one.rows for one in plan.curve):
        points = [found[rows, rate] for rate in rates]
        days = [] if plan.log_days is None else [_number(points[0].days)]
        table.add_row(
            words.count(rows),
            *days,
            *(_gain(one, plan) for one in points),
            style="bold" if rows == plan.log_rows else "",
        )
    return table


def _gain(point: CurvePoint, plan: GainPlan) -> Text:
    """A gain, in green where it is as small as the one that is hoped for."""
    enough = point.detectable_gain is not None and point.detectable_gain <= plan.gain
    return Text(words.percent(point.detectable_gain) + (" ✓" if enough else "  "), style="green" if enough else "")


def _rate(exploration: float, plan: GainPlan) -> str:
    return f"{words.share(exploration)}{' now' if exploration == plan.exploration else ''}"


def _bar(rows: int, least: int, most: int) -> str:
    """A bar from a tenth of its width to all of it, as the logarithm goes."""
    part = 1.0 if most == least else 0.1 + 0.9 * math.log(rows / least) / math.log(most / least)
    eighths = round(part * _BAR * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _days(days: float) -> str:
    return "1 day" if days == 1 else f"{_number(days)} days"


def _number(days: float | None) -> str:
    """Days to three figures, without zeros that say nothing."""
    return words.NOTHING if days is None else words.plain(float(f"{days:.3g}"))
