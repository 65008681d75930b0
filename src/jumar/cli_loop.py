"""``jumar loop``: words to a function that runs days of the second loop.

In: arguments. Out: what each step did, in the terminal or as JSON, and an exit code that schedulers understand: 0
complete, 3 complete but a person should look, 75 not yet (try again later), 2 bad input. Only ``cli`` imports this
module.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jumar.cli_json import print_json

if TYPE_CHECKING:
    from jumar.loop import Day, Loop

COMPLETE, LOOK, NOT_YET = 0, 3, 75
LAST, YESTERDAY = "last", "yesterday"
screen = Console(highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False)


def loop(
    registry: Path,
    *,
    log: Path,
    date: str = LAST,
    config: Path | None = None,
    folder: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Run a day: join, audit, gates, canary, watch, release, learn. Days that were missed before it are run first.

    A day that is complete is shown and not touched; one that was cut off goes on where it stopped.

    Parameters
    ----------
    registry
        Its folder, on this machine.
    log
        Folder of the decision log.
    date
        Of the decisions, in UTC: 2026-01-31; last, the last day whose rewards are complete; or yesterday, which is
        complete only where the wait is shorter than a day.
    config
        A TOML file with a [loop] table, and a [log] table where columns need one (default: jumar.toml here).
    folder
        Of the loop (default: loop in the registry's folder).
    json
        Print the days as JSON instead.
    """
    from jumar.loop import Loop, NotYetError, loop_config
    from jumar.release import BusyError, OvertakenError

    days: list[Day] = []
    code = COMPLETE
    try:
        runner = Loop(registry, log, folder=folder, config=loop_config(config), config_path=config)
        for one in runner.pending(_date(date, runner)):
            days.append(runner.run(one))
            if not json:
                screen.print(_shown(days[-1]))
    except (NotYetError, BusyError, OvertakenError) as error:
        err.print(str(error), style="yellow", markup=False)
        code = NOT_YET
    if json:
        print_json(days)
    return code or (LOOK if any(day.attention for day in days) else COMPLETE)


def _date(word: str, runner: Loop) -> datetime.date | str:
    if word == LAST:
        return runner.last_complete()
    if word == YESTERDAY:
        return (datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)).date()
    return word


def _shown(day: Day) -> Table:
    """A day, one line for each sentence."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    table.add_row(Text("day"), Text(f"{day.date}, decided by {day.production}", style="bold"))
    for step in day.steps:
        for number, said in enumerate(step.said):
            table.add_row("" if number else step.name, Text(said, style="red" if step.attention else ""))
    return table
