"""``jumar gate``: words to functions for challengers over time.

In: arguments. Out: what a ledger says, shown in the terminal, and an exit code: 0 opened, passed or closed, 3 not (yet)
passed, 2 bad input. Only ``cli`` imports this module.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jumar.cli_flags import CLAIM_FLAGS, ClaimFlags
from jumar.cli_json import print_json

if TYPE_CHECKING:
    from jumar.release import Ledger, Look, Standing

PASSED, NOT_PASSED = 0, 3
STYLES = {"open": "yellow", "passed": "green", "retired": "red", "closed": "dim"}
SAID = {
    "open": "not yet",
    "passed": "passed: it may be released",
    "retired": "retired: it did not pass on the decisions that it was given",
    "closed": "closed by hand",
}
Folder = Annotated[Path, Parameter(name="--gates")]
AsJson = Annotated[bool, Parameter(name="--json", negative="")]

app = App(
    name="gate",
    help="Judge a frozen policy on decisions to come, day by day, out of one budget of error a year.",
    help_format="markdown",
    result_action="return_value",
)
screen = Console(highlight=False, soft_wrap=False)


@app.command
def open(
    policy: Path,
    log: str,
    *,
    rows_planned: int,
    rows_most: int,
    gates: Folder = Path("gates"),
    confidence: float | None = None,
    attempts: int | None = None,
    name: str | None = None,
    after: str = "clock",
    json: AsJson = False,
    claims: ClaimFlags = CLAIM_FLAGS,
) -> int:
    """Freeze a policy as a challenger and spend one attempt; from then on later decisions may judge it.

    Parameters
    ----------
    policy
        The policy folder, or the result folder that holds it.
    log
        The log that it was learned from, or another that lies behind it.
    rows_planned
        Decisions that it will probably see; its bets are laid for them.
    rows_most
        Decisions after which it is retired if it has not passed.
    gates
        Folder of all challengers and their ledger.
    confidence
        That no attempt of a year releases a policy that is worse (default: the ledger's, or 0.999).
    attempts
        How many attempts a year share what is left of 1 (default: the ledger's, or 52).
    name
        Of the challenger (default: the short name of the policy).
    after
        From when on decisions count. clock: from now on; log: from the end of LOG on; or a moment. The last two are
        your word that nothing later influenced the policy.
    json
        Print the challenger as JSON instead.
    """
    from jumar.release import Gates

    standing = Gates(gates).open(
        policy,
        log,
        rows_planned=rows_planned,
        rows_most=rows_most,
        confidence=confidence,
        attempts=attempts,
        name=name,
        after=after,
        **claims.asked(),
    )
    if json:
        print_json(standing)
    else:
        screen.print(_panel(standing))
        screen.print(f"Frozen in {gates / standing.attempt.name}", markup=False)
    return PASSED


@app.command
def update(
    name: str,
    log: str,
    *,
    gates: Folder = Path("gates"),
    rows: Literal["all", "unseen"] = "all",
    json: AsJson = False,
) -> int:
    """Count decisions that came after all that was counted so far, and look whether the challenger passes.

    Parameters
    ----------
    name
        The challenger.
    log
        The new decisions, with the columns of the policy's own log.
    gates
        Folder of all challengers and their ledger.
    rows
        all: every row, and an error if the policy may have learned from its unit; unseen: leave such units out.
    json
        Print the challenger as JSON instead.
    """
    from jumar.release import Gates

    standing = Gates(gates).update(name, log, rows=rows)
    return _show(standing, json)


@app.command
def status(name: str | None = None, *, gates: Folder = Path("gates"), json: AsJson = False) -> int:
    """Say how one challenger stands (exit code 0 once it has passed, else 3), or list them all.

    Parameters
    ----------
    name
        The challenger.
    gates
        Folder of all challengers and their ledger.
    json
        Print it as JSON instead.
    """
    from jumar.release import Gates

    if name is not None:
        return _show(Gates(gates).status(name), json)
    ledger = Gates(gates).ledger()
    if json:
        print_json(ledger)
    else:
        screen.print(_ledger_table(ledger))
        screen.print(_budget(ledger))
    return PASSED


@app.command
def close(name: str, *, why: str, gates: Folder = Path("gates")) -> int:
    """Give up a challenger that is open; what it spent stays spent.

    Parameters
    ----------
    name
        The challenger.
    why
        For those who will ask.
    gates
        Folder of all challengers and their ledger.
    """
    from jumar.release import Gates

    row = Gates(gates).close(name, why=why)
    screen.print(f"{row.name} is closed: {row.why}", markup=False)
    return PASSED


def _show(standing: Standing, json: bool) -> int:
    """One challenger, and whether it passed."""
    if json:
        print_json(standing)
    else:
        screen.print(_panel(standing))
    return PASSED if standing.attempt.outcome == "passed" else NOT_PASSED


def _panel(standing: Standing) -> Table:
    """A challenger in a dozen lines: what was frozen, what was seen, what that says."""
    import math

    attempt, manifest, looks = standing.attempt, standing.manifest, standing.looks
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()

    def row(label: str, value: str | Text) -> None:
        grid.add_row(label, value if isinstance(value, Text) else Text(value))

    row("challenger", Text(attempt.name, style="bold"))
    row("verdict", Text(SAID[attempt.outcome], style=STYLES[attempt.outcome]))
    if attempt.why:
        row("because", attempt.why)
    row("opened", f"{_day(attempt.opened_at)} by {attempt.opened_by}")
    counts = _day(manifest.counts_after)
    row("counts after", counts if manifest.after == "clock" else f"{counts}, on the word of whoever opened it")
    row("decisions", f"{attempt.rows:,} of {manifest.rows_most:,} at most, {manifest.plan.rows_planned:,} planned")
    needed = math.log(1.0 / attempt.alpha)
    if looks:
        last = looks[-1]
        row("looks", f"{last.number}, the last up to {_day(last.last)}")
        row("gain", _gain(last, attempt.alpha))
        for claim in last.claims:
            if claim.required:
                row("claim", f"{claim.claim} Evidence: {claim.log_capital:.2f} of {needed:.2f} nats.")
        if left_out := sum(look.left_out for look in looks):
            row("left out", f"{left_out:,} decisions of units that the policy may have learned from")
        for reason in last.reasons:
            row("not yet", reason)
    else:
        for planned in manifest.plan.claims:
            if planned.claim.required:
                row("claim", f"{planned.claim.sentence} Evidence: none yet of {needed:.2f} nats.")
    return grid


def _gain(look: Look, alpha: float) -> str:
    """What was measured, and what it is at least."""
    now = look.production_value
    level = f"{100 * (1 - alpha):.8g}%"
    return f"{_signed(look.estimate, now)} measured; at least {_signed(look.lower_bound, now)} at {level}"


def _ledger_table(ledger: Ledger) -> Table:
    """All attempts, one in a line."""
    table = Table("challenger", "opened", "by", "α", "decisions", "up to", "verdict", box=None, pad_edge=False)
    for row in ledger.rows:
        verdict = Text(row.outcome, style=STYLES[row.outcome])
        until = "" if row.counted_until is None else _day(row.counted_until)
        cells = [row.name, _day(row.opened_at), row.opened_by, f"{row.alpha:.3g}", f"{row.rows:,}", until]
        table.add_row(*(Text(cell) for cell in cells), verdict)
    return table


def _budget(ledger: Ledger) -> str:
    """What is left of the year."""
    import datetime

    from jumar.release.ledger import spent

    used = len(spent(ledger, datetime.datetime.now(datetime.UTC)))
    return (
        f"{used} of {ledger.attempts} attempts spent in the last 365 days; together they release a worse policy with "
        f"probability at most {1 - ledger.confidence:.6g}."
    )


def _signed(gain: float, production: float) -> str:
    """A gain in its own units, and as a share of production's value where that is positive."""
    share = f" ({gain / production:+.2%})" if production > 0 else ""
    return f"{gain:+.5g}{share}".replace("-", "−")


def _day(when: object) -> str:
    """A moment to the minute, UTC."""
    import datetime

    assert isinstance(when, datetime.datetime)
    return f"{when.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC"
