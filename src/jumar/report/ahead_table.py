"""A plan along timelines in the terminal: units for whole episodes and for one deviation, and what would change it.

In: a ``ReturnPlan``. Out: rich renderables at any width. Only the command line imports this module.
"""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from jumar.evaluate.planning.plan_ahead import DeviationPoint, ReturnPlan, UnitsPoint
from jumar.report import words


def ahead_table(plan: ReturnPlan) -> Group:
    """The answer, the same for other deviations and explorations, what would change it, and what was supposed."""
    parts: list[RenderableType] = [Text(headline(plan), style="bold"), Text(), _facts(plan), Text()]
    if plan.by_deviation:
        parts += [Text(f"To certify {words.percent(plan.gain)}, by how far the policy strays", style="bold")]
        parts += [_table(plan, plan.by_deviation, by_exploration=False)]
    parts += [Text("The same policy, by how much production explores", style="bold")]
    parts += [_table(plan, plan.by_exploration, by_exploration=True)]
    parts += [Text("What would change that", style="bold"), _remedies(plan), Text()]
    notes = Table.grid(padding=(0, 1))
    for note in plan.notes:
        notes.add_row(Text("·", style="dim"), Text(words.clean(note, 600), style="dim"))
    return Group(*parts, notes)


def headline(plan: ReturnPlan) -> str:
    """The answer in a sentence."""
    sure, size = words.level(plan.confidence), f"{words.percent(plan.gain)} in discounted return"
    if plan.now is None:
        return f"No log like this one certifies a gain of {size}: production does not explore."
    if plan.now.whole.units is None:
        return (
            f"No number of units certifies a gain of {size} over whole episodes for a policy that strays by "
            f"{plan.now.deviation:.3g}; that much is not to be gained so, or weights scatter too far."
        )
    units = f"about {words.count(plan.now.whole.units)} units"
    if plan.now.whole.units <= plan.log_units:
        return f"This log is long enough to certify a gain of {size} with {sure} confidence: it takes {units}."
    days = "" if plan.now.whole.days is None else f", {words.amount(plan.now.whole.days)} days at the present rate"
    decisions = f"{words.count(plan.now.whole.decisions)} decisions"
    return f"To certify a gain of {size} with {sure} confidence takes {units} ({decisions}{days})."


def _facts(plan: ReturnPlan) -> Table:
    """The figures behind the headline."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    span = "" if plan.log_days is None else f" in {words.amount(plan.log_days)} days"
    grid.add_row("the log", f"{words.count(plan.log_units)} units, {words.count(plan.log_rows)} decisions{span}")
    grid.add_row(
        "production",
        f"{words.amount(plan.production_value)} per unit, discounted {plan.timeline.words}"
        f", ± {words.amount(plan.return_sd)} from unit to unit; explores "
        f"{words.share(plan.exploration)}",
    )
    grid.add_row(
        "episodes",
        f"{words.amount(plan.decisions_per_unit)} decisions, {words.count(plan.long_episode)} or fewer in 95% of them; "
        f"a unit counts {words.amount(plan.return_cap)} at the most",
    )
    grid.add_row("gain", f"{words.amount(plan.gain_per_unit, signed=True)} per unit, hoped for")
    if plan.now is not None:
        kind = f"{plan.policy}:" if plan.policy else "supposed:"
        grid.add_row(
            "policy",
            f"{kind} {words.share(plan.now.changed)} of the decisions come out differently; strays by "
            f"{plan.now.deviation:.3g}, so that E[ρ²] = {plan.now.product_square:.3g}",
        )
        if plan.now.whole.units_to_judge is not None:
            grid.add_row(
                "to judge on",
                f"{words.count(plan.now.whole.units_to_judge)} units, {words.share(plan.power)} sure to pass",
            )
        if plan.units_boosted is not None:
            grid.add_row("or", f"{words.count(plan.units_boosted)} units in all, if nothing drifts: the booster bets")
        able = words.percent(plan.now.whole.detectable_gain), words.percent(plan.now.single.detectable_gain)
        grid.add_row("this log", f"can certify {able[0]} over whole episodes, {able[1]} by one deviation")
    return grid


def _table(plan: ReturnPlan, points: list[DeviationPoint], *, by_exploration: bool) -> Table:
    """One row for each point: how far it strays, and what it takes to show the gain in either way."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    first = ("explores", "strays") if by_exploration else ("strays", "changes")
    for name in (*first, "E[ρ²]", "units", "days", "this log", "one deviation", "days", "this log"):
        table.add_column(name, justify="right")
    for one in points:
        strays = f"{one.deviation:.3g}"
        rate = f"{words.share(one.exploration)}{' now' if one.exploration == plan.exploration else ''}"
        table.add_row(
            *((rate, strays) if by_exploration else (strays, words.share(one.changed))),
            f"{one.product_square:.3g}",
            *_cells(one.whole, plan),
            *_cells(one.single, plan),
            style="bold" if one == plan.now else "",
        )
    return table


def _cells(point: UnitsPoint, plan: ReturnPlan) -> tuple[str, str, Text]:
    gain = point.detectable_gain
    enough = point.units is not None and point.units <= plan.log_units
    shown = Text(words.percent(gain) + (" ✓" if enough else "  "), style="green" if enough else "")
    return words.count(point.units), words.amount(point.days), shown


def _remedies(plan: ReturnPlan) -> Table:
    """What would make a log as long as this one enough, and what would do without it."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    none = "not by itself"
    if plan.now is not None:
        largest = plan.largest_deviation
        near = none if largest is None else f"a policy that gains as much and strays by {largest:.3g} at the most"
        grid.add_row("stray less", near)
    needed = plan.exploration_needed
    grid.add_row("explore more", none if needed is None else f"{words.share(needed)}, for the same policy")
    if plan.now is not None:
        first = plan.decisions_enough
        fewer = f"only in the first {words.plural(first or 0, 'decision')} of an episode, if the gain came from there"
        grid.add_row("deviate less often", none if first is None else fewer)
        uncapped = "" if plan.units_uncapped is None else f", and {words.count(plan.units_uncapped)} units"
        grid.add_row("a higher cap", f"{words.share(1 - plan.kept_under_cap)} of the returns more{uncapped}")
        single = plan.now.single.units
        step = none if single is None else f"{words.count(single)} units, for a small step in the policy's direction"
        grid.add_row("one deviation", step)
    for one in plan.canary:
        days = "" if one.days is None else f", {words.amount(one.days)} days, until as many have come and are over"
        grid.add_row(f"a canary of {words.share(one.share)}", f"{words.count(one.units)} units in both arms{days}")
    return grid
