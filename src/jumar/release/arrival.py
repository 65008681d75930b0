"""Rows that arrive for a challenger: are they what it may be judged on, and have they not been counted before?

In: a ``Log`` and what is known of the challenger. Out: ``Arrival``, or a refusal with the count and an example. Only
``challenger`` imports this module.
"""

# Ibis' annotations know columns only as bare values.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportArgumentType=false

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jumar.errors import LogError
from jumar.logs import Log, read_for
from jumar.logs.schema import HASH, TIME, UNIT
from jumar.logs.split import hex_bound
from jumar.policy import Policy
from jumar.release.documents import Attempt, Look, Manifest, NothingLeftError, ReleaseError, utc
from jumar.release.freeze import no_time, refuse_far_future
from jumar.release.ledger import moment

Rows = Literal["all", "unseen"]


@dataclass(frozen=True)
class Arrival:
    """Rows that may be counted.

    Attributes:
        log: in the policy's own schema.
        rows, learned: how many decisions, and how many of them belong to units that may have been learned from.
        first, last: the earliest and the latest decision.
    """

    log: Log
    rows: int
    learned: int
    first: datetime.datetime
    last: datetime.datetime


def receive(
    policy: Policy, source: Any, manifest: Manifest, attempt: Attempt, looks: Sequence[Look], rows: Rows
) -> Arrival:
    """Read new rows and refuse those that come in a wrong order of events.

    Raises:
        LogError: the log does not fit the policy.
        ReleaseError: rows from before the challenger, counted already, or of units it may have learned from.
    """
    _check_bounds(source, manifest)
    log = read_for(policy.card.log_schema, source, need="decisions", metrics=manifest.metrics)
    roles = log.schema.roles
    if roles.time is None:
        raise no_time()
    if not log.schema.has_propensities:
        raise LogError(
            "A challenger is judged by logged propensities, and these rows have none",
            remedy=f"Add the column '{policy.card.log_schema.roles.propensity or policy.card.log_schema.roles.pmf}'.",
        )
    if manifest.unit is not None and roles.unit is None:
        raise LogError(
            f"The challenger was learned by unit, and these rows have no column '{manifest.unit}'",
            remedy="Add it: without it nobody knows which of them it may have learned from.",
        )
    found = _order_of_events(log, manifest, attempt)
    _refuse_order(found, log, manifest, attempt, looks)
    refuse_far_future(utc(found["last"]))
    if found["learned"] and rows == "all":
        raise ReleaseError(
            f"'{manifest.name}' may have learned from these units: they belong to the training half",
            column=roles.unit,
            count=int(found["learned"]),
            example=found["example"],
            remedy="Leave their decisions out with --rows unseen.",
        )
    if log.rows == found["learned"]:
        raise NothingLeftError(
            f"No decision is left to count: '{manifest.name}' may have learned from all of these units",
            column=roles.unit,
            count=log.rows,
            example=found["example"],
            remedy="Wait for more rows.",
        )
    return Arrival(log, log.rows, int(found["learned"]), utc(found["first"]), utc(found["last"]))


def _order_of_events(log: Log, manifest: Manifest, attempt: Attempt) -> dict[str, Any]:
    """First and last decision; how many came before the challenger, were counted, or are of units learned from."""
    table = log.part()
    when, learned = table[TIME], table[HASH] < hex_bound(manifest.train_units_below)
    ask = {
        "first": when.min(),
        "last": when.max(),
        "early": (when <= _naive(manifest.counts_after)).sum(),
        "again": (when <= _naive(attempt.counted_until or manifest.counts_after)).sum(),
    }
    if manifest.unit is not None:
        ask |= {"learned": learned.sum(), "example": table[UNIT].min(where=learned)}
    return {"learned": 0, "example": None} | log.origin.one(table.aggregate(**ask))


def _refuse_order(found: dict[str, Any], log: Log, manifest: Manifest, attempt: Attempt, looks: Sequence[Look]) -> None:
    """Refuses rows from before the challenger, and rows that were counted already."""
    if found["early"]:
        raise ReleaseError(
            f"Only decisions made after {moment(manifest.counts_after)} can judge '{manifest.name}': what came before "
            "may have influenced it",
            column=log.schema.roles.time,
            count=int(found["early"]),
            example=moment(found["first"]),
            remedy="Pass the later rows only.",
        )
    if found["again"]:
        assert attempt.counted_until is not None
        span = utc(found["first"]), utc(found["last"])
        same = next((look for look in looks if (look.first, look.last) == span), None)
        raise ReleaseError(
            f"Decisions up to {moment(attempt.counted_until)} have been counted already"
            + (f", from '{same.source}' at look {same.number}" if same else ""),
            column=log.schema.roles.time,
            count=int(found["again"]),
            example=moment(found["first"]),
            remedy="Pass the later rows only; each decision counts once.",
        )


def refuse_repeated(content: str, looks: Sequence[Look]) -> None:
    """Refuses rows whose content was counted before, whatever their dates say.

    Raises:
        ReleaseError: they were.
    """
    for look in looks:
        if look.content_sha256 == content:
            raise ReleaseError(
                f"These decisions have been counted already, from '{look.source}' at look {look.number}; only their "
                "dates are others",
                count=look.rows,
                remedy="Pass new rows only; each decision counts once.",
            )


def _check_bounds(source: Any, manifest: Manifest) -> None:
    """Refuses an opened log whose reward was declared in another way than the challenger's."""
    if not isinstance(source, Log):
        return
    here = (source.schema.roles.reward, source.schema.reward_low, source.schema.reward_high)
    frozen = (manifest.metric, manifest.plan.reward_low, manifest.plan.reward_high)
    if here != frozen:
        raise ReleaseError(
            "The reward of these rows has another column or other bounds than the challenger's, which are "
            f"'{frozen[0]}' from {frozen[1]:g} to {frozen[2]:g}",
            example=f"'{here[0]}' from {here[1]:g} to {here[2]:g}",
            remedy="Read the log as the policy's own was read.",
        )


def _naive(when: datetime.datetime) -> datetime.datetime:
    """UTC without saying so, as canonical times are."""
    return when.astimezone(datetime.UTC).replace(tzinfo=None)
