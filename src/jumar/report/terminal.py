"""The verdict, the walk and the audits as rich renderables, for the command line.

In: the records of a run. Out: things that ``rich.console.Console.print`` draws at any width.
Names out of a log are set as plain text: neither rich's markup nor terminal escapes in them take effect.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from jumar.evaluate.certificate import Certificate, ClaimResult, Finding, WalkPoint
from jumar.evaluate.estimators.estimator import Estimate
from jumar.evaluate.policies import Evaluation
from jumar.report import words
from jumar.report.claims import claim_rows

STYLES = {
    "certified": "green", "conditional": "yellow", "refused": "red",
    "ok": "green", "warning": "yellow", "blocked": "red",
    "passed": "green", "failed": "red", "not tested": "dim",
}  # fmt: skip


def _mark(verdict: str, word: str | None = None) -> Text:
    """Icon and word of a verdict, coloured; never the colour alone."""
    return Text(f"{words.ICONS[verdict]} {word or verdict}", style=STYLES[verdict])


def verdict_panel(certificate: Certificate) -> Panel:
    """The verdict in one sentence, the figures behind it, and for a refusal why and what would be enough."""
    c = certificate
    scale = words.Scale(c.production_value)
    figures = Table.grid(padding=(0, 2))
    figures.add_column(style="dim", no_wrap=True)
    figures.add_column()
    if c.estimate is not None:
        figures.add_row("gain, estimated", scale.show(c.estimate))
    if c.lower_bound is not None:
        least = f"{scale.show(c.lower_bound, down=True)} at {words.level(c.confidence)}"
        figures.add_row("gain, at least" if c.lower_bound > 0 else "could be as low as", least)
    if c.deviation is not None:
        figures.add_row("decisions changed", words.share(c.deviation.changed))
    metric = words.clean(c.metric, 60)
    figures.add_row("production", Text(f"{words.amount(c.production_value)} {metric} {words.counted_by(c)}"))
    judged, units = words.plural(c.rows, "decision"), words.plural(c.units, "unit")
    figures.add_row("judged on", judged if c.units == c.rows else f"{judged} of {units}")
    parts: list[RenderableType] = [Text(words.headline(c), style="bold"), Text(), figures]
    notes = Table.grid(padding=(0, 1))
    for bullet, note in [
        ("·", words.condition(c)),
        *(("·", words.clean(reason, 600)) for reason in c.reasons),
        ("→", words.enough(c)),
    ]:
        if note:
            notes.add_row(bullet, Text(note))
    if notes.row_count:
        parts += [Text(), notes]
    title = _mark(c.verdict, c.verdict.upper())
    title.stylize("bold")
    return Panel(
        Padding(Group(*parts), (1, 1)),
        title=title,
        title_align="left",
        border_style=STYLES[c.verdict],
        box=box.ROUNDED,
    )


def walk_table(walk: Sequence[WalkPoint], production_value: float | None = None) -> Table:
    """The candidates from least to most deviation.

    Args:
        walk: the candidates, in the order in which they are to be shown.
        production_value: production's value per decision; if given and positive, gains are percentages of it,
            otherwise they are in units of the reward.
    """
    scale = words.Scale(production_value or 0.0)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in ("changed", "gain", "at least", "temperature", "ESS", "max weight"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for point in walk:
        mark = _mark("passed", "chosen") if point.released else _mark(point.verdict)
        table.add_row(
            words.share(point.deviation.changed),
            scale.show(point.estimate),
            scale.show(point.lower_bound, down=True),
            words.NOTHING if point.temperature is None else f"{point.temperature:.3g}",
            words.count(point.deviation.ess),
            words.amount(point.deviation.max_weight),
            mark,
            style="bold" if point.released else "dim" if point.verdict == "not tested" else "",
        )
    return table


def claims_table(claims: Sequence[ClaimResult]) -> Table:
    """What a release had to fulfil: the claim, production, the policy's change, by how much it is exceeded at least."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("claim", ratio=1, overflow="fold")
    for name in ("production", "change", "exceeded by", "at least"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for row in claim_rows(claims):
        figures = (row["production"], row["change"], row["estimate"], row["least"])
        table.add_row(Text(row["claim"]), *figures, _mark(row["verdict"]))
    return table


def findings_table(findings: Sequence[Finding]) -> Table:
    """The audits: verdict, name and sentence, in the order given."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(style="bold", max_width=28, overflow="fold")
    table.add_column(ratio=1, overflow="fold")
    for finding in findings:
        name, sentence = words.clean(finding.name, 60), words.clean(finding.sentence, 400)
        table.add_row(_mark(finding.verdict), Text(name), Text(sentence))
    return table


def evaluation_table(evaluation: Evaluation) -> Group:
    """A policy's value by every estimator, and its gain over production with the guaranteed bound."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, justify in (("estimator", "left"), ("value", "right"), ("interval", "left"), ("kind", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    e = evaluation
    rows = (
        ("production", e.production),
        ("IPS", e.ips),
        ("SNIPS", e.snips),
        ("DM", e.dm),
        ("DR", e.dr),
        ("SNDR", e.sndr),
        ("Switch-DR", e.switch_dr),
        ("DRos", e.dros),
    )
    for name, estimate in rows:
        table.add_row(name, f"{estimate.value:.5g}", _interval(estimate), estimate.method)
    table.add_section()
    table.add_row("gain, paired", f"{e.gain.value:+.5g}", _interval(e.gain), e.gain.method)
    table.add_row("", "", f"at least {e.gain_bound.low:+.5g}", e.gain_bound.method)
    facts = (
        f"{e.rows:,} decisions at {e.confidence:.5g}; {e.deviation.changed:.1%} of them come out differently; "
        f"largest weight {e.deviation.max_weight:.4g}, {e.deviation.ess:,.0f} effective rows."
    )
    return Group(table, Text(facts))


def _interval(estimate: Estimate) -> str:
    """Low to high."""
    return f"{estimate.low:.5g} to {estimate.high:.5g}" if estimate.high is not None else f"≥ {estimate.low:.5g}"
