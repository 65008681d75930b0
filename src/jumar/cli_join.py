"""``jumar join``: words to a function that puts the decisions of a date and their rewards together.

In: arguments. Out: what became of every row, in the terminal or as JSON, and an exit code: 0 joined, 2 bad input. Only
``cli`` imports this module.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich import box
from rich.console import Console
from rich.table import Table

from jumar.cli_json import print_json

if TYPE_CHECKING:
    from jumar.serve.join_report import JoinReport

JOINED = 0
screen = Console(highlight=False, soft_wrap=False)


def join(
    folder: Path,
    *,
    date: str,
    out: Path,
    wait: str = "24h",
    reward: Literal["sum", "first", "last", "max"] = "sum",
    default: float = 0.0,
    watermark: str | None = None,
    no_fallbacks: Annotated[bool, Parameter(negative="")] = False,
    activation: Literal["reported", "required"] = "reported",
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Put the decisions of a date and their rewards together: a log that improve, audit and gate read as it is.

    Parameters
    ----------
    folder
        Of the decision log; it may be written to meanwhile.
    date
        Of the decisions, in UTC: 2026-01-31.
    out
        Folder of joined logs. What it holds of this date is replaced as a whole.
    wait
        How long after its decision a reward still counts, such as 30m, 24h or 7d.
    reward
        What several rewards of one decision become; metrics likewise.
    default
        The reward of a decision that had none when its window closed.
    watermark
        Up to this moment everything has reached the log (default: now); decisions with a later window are held back.
    no_fallbacks
        Leave out decisions of the fallback; otherwise they stay, with their true propensity.
    activation
        reported: leave out what a reward reports as not activated; required: whatever none reports as activated.
    json
        Print the counts as JSON instead.
    """
    from jumar.serve.join import LOG, moment
    from jumar.serve.join import join as join_log

    report = join_log(
        folder,
        date,
        out=out,
        wait=wait,
        reward=reward,
        default=default,
        watermark=None if watermark is None else moment(watermark),
        fallbacks=not no_fallbacks,
        activation=activation,
    )
    if json:
        print_json(report)
    else:
        screen.print(_table(report))
        for note in _notes(report):
            screen.print(f"· {note}", style="dim", markup=False)
        screen.print(f"{report.written:,} decisions → {out / f'date={report.date}' / LOG}", markup=False)
    return JOINED


def _table(report: JoinReport) -> Table:
    """What became of every decision, and of every reward."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("decisions", "rewards"):
        table.add_column(name)
        table.add_column("", justify="right")
    decisions = {
        "in the log of the date": report.decisions,
        "  duplicate": report.duplicate,
        "    conflicting": report.conflicting,
        "  window still open": report.held_back,
        "  fallback, left out": report.fallback_excluded,
        "  never activated": report.never_activated,
        "  written": report.written,
        "    with a reward": report.rewarded,
        "    with the default": report.defaulted,
        "    by the fallback": report.fallback,
        "    without a unit": report.without_unit,
    }
    rewards = {
        "used": report.rewards_used,
        "  before their decision": report.rewards_early,
        "  without a finite value": report.rewards_unusable,
        "delivered again": report.rewards_repeated,
        "late, kept aside": report.rewards_late,
        "unknown decision, kept aside": report.rewards_unknown,
        "after the watermark": report.rewards_ahead,
    }
    left = [(name, f"{n:,}") for name, n in decisions.items()]
    right = [(name, f"{n:,}") for name, n in rewards.items()]
    for place, one in enumerate(left):
        table.add_row(*one, *(right[place] if place < len(right) else ("", "")))
    return table


def _notes(report: JoinReport) -> list[str]:
    """What a reader must not overlook."""
    said = [f"{n:,} rows of '{writer}' are missing: their numbers are." for writer, n in report.gaps.items()]
    if not report.final:
        said.append(f"Not final: the watermark is {report.watermark:%Y-%m-%d %H:%M:%S} UTC; run it again later.")
    if report.written and not report.rewarded:
        said.append("No decision of the date has a reward: all have the default.")
    if report.open_segments:
        said.append(f"{report.open_segments:,} segments were read before they were sealed.")
    if report.written and not report.pmf:
        said.append("The pmf is kept but not read: not every action was taken that it lists.")
    renamed = {name: column for name, column in report.metrics.items() if name != column}
    said += [f"The metric '{name}' is in column '{column}'." for name, column in renamed.items()]
    return said
