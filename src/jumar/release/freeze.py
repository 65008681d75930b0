"""Freezing a challenger: bets measured on rows that will never judge it, and everything that is decided beforehand.

In: a policy and a log of decisions that lie behind it. Out: ``Manifest``. Only ``challenger`` imports this module.
"""

# Ibis' annotations know columns only as bare values.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportArgumentType=false

from __future__ import annotations

import datetime
import hashlib
import math
from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from jumar.errors import LogError, OptionError, PolicyError
from jumar.evaluate.claims import Claim
from jumar.evaluate.judging import score_validation
from jumar.evaluate.plan import GatePlan, plan_gate
from jumar.evaluate.sequence import LEAST_ESS
from jumar.evaluate.trials import trials_of
from jumar.evaluate.weights import ALARM, MATERIAL_DEFICIT, UNTRIED_MASS
from jumar.logs import Log, audit
from jumar.logs.schema import ACTION, PROPENSITY, TIME
from jumar.logs.split import PARTS, SPLIT_SALT
from jumar.policy import Policy
from jumar.release.documents import ReleaseError, utc
from jumar.release.judging import alone
from jumar.version import VERSION

LEAST_VALIDATION_ROWS = 40
FAR_FUTURE = datetime.timedelta(days=3_660)
TRAIN = ("fit", "stop", "validate")
AUDITS = [
    f"Logged propensities that are too small: capital against them of {math.exp(ALARM):.0f}.",
    f"Fewer than {LEAST_ESS:.0f} effective rows, or decisions of which none could have been another.",
    f"More than {UNTRIED_MASS:.0%} of its decisions on actions that the training rows do not hold.",
    f"At least {MATERIAL_DEFICIT:.0%} of its weight missing for certain.",
]


def checked_log(policy: Policy, log: Log) -> datetime.datetime:
    """The latest decision of the log that a challenger is opened with.

    Raises:
        LogError: no times, no propensities, or too few rows to lay bets on.
        PolicyError: the policy was fitted under another split of the units.
        ReleaseError: an audit of the log blocks.
    """
    if policy.card.timeline is not None:
        raise PolicyError(
            "The policy was learned with a discount, and a challenger is judged by each decision's own reward",
            example=policy.card.timeline.words,
            remedy="Let 'jumar improve' judge it along timelines, and release it to a small share of units first.",
        )
    if policy.card.train_units_below != PARTS["gate"][0]:
        raise PolicyError(
            "The policy was fitted under another split of the units than this version knows",
            remedy="Open it with the version of its card, or improve again.",
        )
    if not log.schema.has_propensities:
        raise LogError(
            "A challenger is judged by logged propensities, and this log has none",
            remedy="Log the probability of each decision, and name its column when the policy is learned.",
        )
    if log.schema.roles.time is None:
        raise no_time()
    if log.rows_in("validate") < LEAST_VALIDATION_ROWS:
        raise LogError(
            f"At least {LEAST_VALIDATION_ROWS} decisions that fitted nothing are needed to lay bets on",
            count=log.rows_in("validate"),
            remedy="Open the challenger with the whole log that its policy was learned from.",
        )
    findings = audit(log)
    together = [one.sentence for one in findings if one.figures.get("by_unit")]
    blocked = [one.sentence for one in findings if one.verdict == "blocked" and one.sentence not in together]
    if blocked:
        raise ReleaseError(
            "An audit of the log blocks, and no evidence from such logs would count",
            example=blocked[0],
            remedy="See 'jumar audit' for all findings.",
        )
    if together:
        raise ReleaseError(
            "Decisions of one unit hang together in this log, and a challenger counts decision by decision",
            example=together[0],
            remedy="Draw afresh for every decision; within one log, 'jumar improve' counts by unit.",
        )
    table = log.part()
    last = utc(log.origin.one(table.aggregate(last=table[TIME].max()))["last"])
    refuse_far_future(last)
    return last


def refuse_far_future(last: datetime.datetime) -> None:
    """One decision dated centuries ahead would leave no later ones to judge by.

    Raises:
        ReleaseError: the moment lies more than ten years ahead.
    """
    if last > datetime.datetime.now(datetime.UTC) + FAR_FUTURE:
        raise ReleaseError(
            "A decision is dated more than ten years ahead",
            example=last.isoformat(),
            remedy="Check the column of times and its unit.",
        )


def no_time() -> LogError:
    """Without times nobody knows what came before what."""
    return LogError(
        "A challenger counts only decisions made after it was frozen, and this log has no time",
        remedy="Add the column of times that the policy's own log has, or name one with --time when it is learned.",
    )


def plan_of(
    policy: Policy, log: Log, claims: Sequence[Claim], *, alpha: float, rows_planned: int, seed: int
) -> GatePlan:
    """The gate's plan for one challenger.

    Args:
        policy: what is to be released.
        log: whose part "validate" the bets are measured on.
        claims: what must be shown; the first is the paired gain.
        alpha: the attempt's share of the ledger's error.
        rows_planned: decisions that the gate is expected to see.
        seed: recorded; without the booster nothing is random.
    """
    field = alone(policy)
    scored, held = score_validation(log, field), _held(log)
    return plan_gate(
        trials=trials_of(claims, scored, scored.fold(None), rows_planned, robust=True),
        validation_w=scored.weight,
        validation_rows=len(scored.reward),
        temperatures=field.temperatures,
        policy_sha256=field.hashes,
        names=[policy.name],
        prices=field.prices,
        alpha=alpha,
        rows_planned=rows_planned,
        supported=np.isin(np.arange(len(policy.actions)), list(held)),
        value_range=scored.value_range,
        propensity_floor=min([float(scored.propensity.min()), *held.values()]),
        boost=False,  # its rows would have to come in a random order, and days do not
        seed=seed,
        reward_low=log.schema.reward_low,
        reward_high=log.schema.reward_high,
        log_source=log.source,
        split={"salt": SPLIT_SALT, **{name: low for name, (low, _) in PARTS.items()}},
        schema_sha256=hashlib.sha256(msgspec.json.encode(policy.card.log_schema)).hexdigest(),
        jumar_version=VERSION,
    )


def _held(log: Log) -> dict[int, float]:
    """The smallest propensity of every action that TRAIN holds, by the action's place."""
    table = log.part(*TRAIN)
    rows = log.origin.ask(table.group_by(ACTION).aggregate(least=table[PROPENSITY].min()))
    return {int(row[ACTION]): float(row["least"]) for row in rows}


def counting_from(
    after: str, opened_at: datetime.datetime, floor: datetime.datetime
) -> tuple[datetime.datetime, Literal["clock", "log", "declared"]]:
    """From when on decisions count, and who says so.

    Args:
        after: "clock", "log", or a moment as ISO 8601, UTC if it names no zone.
        opened_at: now.
        floor: nothing earlier can count whatever anybody says.

    Raises:
        OptionError: ``after`` is no moment.
        ReleaseError: it lies before ``floor``.
    """
    if after == "clock":
        return max(opened_at, floor), "clock"
    if after == "log":
        return floor, "log"
    try:
        declared = utc(datetime.datetime.fromisoformat(after))
    except (ValueError, OverflowError):
        raise OptionError(
            "--after is 'clock', 'log' or a moment",
            example=after,
            remedy="Say for example --after 2026-03-09T00:00:00.",
        ) from None
    refuse_far_future(declared)
    if declared < floor:
        raise ReleaseError(
            "Decisions that influenced the challenger, or were seen by an earlier one of this ledger, cannot judge it",
            example=after,
            remedy=f"Say --after log, or a moment from {floor.isoformat()} on.",
        )
    return declared, "declared"
