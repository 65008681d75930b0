"""``jumar plan``: words to a function that says what a certificate of a gain would take.

In: arguments. Out: the plan in the terminal or as JSON, and an exit code: 0 planned, 2 bad input. Only ``cli`` imports
this module.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from jumar.cli_flags import LOG_FLAGS, TIMELINE_FLAGS, LogFlags, TimelineFlags
from jumar.cli_json import print_json

PLANNED = 0
screen = Console(highlight=False, soft_wrap=False)


def plan(
    log: str,
    *,
    gain: float,
    confidence: float = 0.999,
    power: float = 0.8,
    policy: Path | None = None,
    changed: float = 0.3,
    exploration: Annotated[tuple[float, ...], Parameter(consume_multiple=True, negative="")] = (),
    deviation_budget: float | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
    ahead: TimelineFlags = TIMELINE_FLAGS,
    flags: LogFlags = LOG_FLAGS,
) -> int:
    """Say how many decisions, for how many days, at which exploration, it takes to certify a gain.

    Parameters
    ----------
    log
        Parquet, CSV or Arrow file, glob or folder; or file.duckdb::table.
    gain
        That a better policy is hoped to have, as a share of production's value: 0.02 for 2%.
    confidence
        Of the certificate.
    power
        Probability that the certificate is given if the gain is real.
    policy
        The folder of a policy whose spread is measured on the log, instead of supposing one.
    changed
        Share of the decisions in which a supposed policy takes another action than production's favourite.
    exploration
        Shares of the decisions to suppose that production spreads over all actions (default: 0.05 to 0.5).
    deviation_budget
        With a discount, how far a policy may stray along an episode, as Σ χ² of its weights (default: 2).
    json
        Print the plan as JSON instead.
    """
    from jumar.evaluate.planning.plan_log import EXPLORATIONS
    from jumar.evaluate.planning.plan_log import plan as make_plan

    made = make_plan(
        log if policy is not None and flags == LOG_FLAGS else flags.open(log),
        gain,
        confidence=confidence,
        power=power,
        policy=policy,
        changed=changed,
        exploration=exploration or EXPLORATIONS,
        discount=ahead.discount,
        per=ahead.per,
        gap=ahead.gap,
        deviation_budget=deviation_budget,
    )
    if json:
        print_json(made)
    else:
        from jumar.evaluate.planning.plan_log import GainPlan
        from jumar.report.ahead_table import ahead_table
        from jumar.report.plan_table import plan_table

        screen.print(plan_table(made) if isinstance(made, GainPlan) else ahead_table(made))
    return PLANNED
