"""The documents of challengers over time: what was frozen, what was spent, what was seen.

In: nothing. Out: frozen records that become JSON, and ``ReleaseError``. The whole floor imports this module; the
command line shows its records.
"""

from __future__ import annotations

import datetime
import getpass
import hashlib
import os
from typing import Any, Literal, TypeVar

import msgspec

from jumar.errors import JumarError
from jumar.evaluate.certificate import ClaimResult
from jumar.evaluate.plan import GatePlan
from jumar.logs.schema import Metric
from jumar.records import Record

FORMAT = 1
YEAR = datetime.timedelta(days=365)
Outcome = Literal["open", "passed", "retired", "closed"]
Document = TypeVar("Document", bound=Record)


def utc(when: Any) -> datetime.datetime:
    """A moment in UTC; one without a zone is taken as UTC."""
    return when.astimezone(datetime.UTC) if when.tzinfo else when.replace(tzinfo=datetime.UTC)


class ReleaseError(JumarError):
    """A challenger cannot be opened, or rows cannot be counted for it, without breaking what was promised."""


class BusyError(ReleaseError):
    """Another process holds the lock; the same works later."""


class NothingLeftError(ReleaseError):
    """All rows are of units that the challenger may have learned from."""


class Manifest(Record, frozen=True, kw_only=True):
    """``manifest.json``: all that is frozen before a challenger's first row.

    Attributes:
        format: version of this layout.
        name: of the challenger; the name of its folder.
        policy_sha256, card_sha256: hashes of ``policy.onnx`` and of ``policy.json``.
        metric: column of the reward; its bounds, the claims, bets, α and the seed stand in ``plan``.
        metrics: other columns that claims speak of, with their bounds.
        actions: in the order of every pmf.
        unit: column of the unit, None where decisions have none.
        train_units_below: units whose hash lies below this share of the range may have been learned from.
        confidence, attempts: of the ledger; the plan's ``alpha`` is (1 − confidence)/attempts.
        rows_most: retired at the first look at this many rows that does not pass.
        opened_at: by the clock of the machine, UTC.
        influence_until: the latest decision in the log that the challenger was opened with.
        counts_after: only decisions later than this count. Never before ``influence_until``, nor before what earlier
            challengers of the same ledger had counted when this one was opened.
        after: who says that nothing later influenced the policy: the "clock" (it is the time of opening), or a person,
            who named the end of the "log" or a moment of their own ("declared").
        audits: what blocks a release whatever the capital is, in words.
        plan: of the gate.
    """

    format: int
    name: str
    policy_sha256: str
    card_sha256: str
    metric: str
    metrics: list[Metric]
    actions: list[str | int | bool]
    unit: str | None
    train_units_below: float
    confidence: float
    attempts: int
    rows_most: int
    opened_at: datetime.datetime
    influence_until: datetime.datetime
    counts_after: datetime.datetime
    after: Literal["clock", "log", "declared"]
    audits: list[str]
    plan: GatePlan
    jumar_version: str


class Attempt(Record, frozen=True, kw_only=True):
    """One row of the ledger.

    Attributes:
        name: of the challenger.
        alpha: what it spent when it was opened; nothing is ever given back.
        opened_at, opened_by: when, and by which user of the machine.
        manifest_sha256, policy_sha256: what it was opened with.
        outcome: "open", or for good: "passed" (released), "retired" (enough rows, not passed), "closed" (by hand).
        decided_at, why: when and why it is no longer open; in UTC, and in words.
        looks, rows: how often it was looked at, and decisions counted.
        counted_until: the latest decision counted.
        state_sha256: hash of the state after the last look; empty before the first.
    """

    name: str
    alpha: float
    opened_at: datetime.datetime
    opened_by: str
    manifest_sha256: str
    policy_sha256: str
    outcome: Outcome = "open"
    decided_at: datetime.datetime | None = None
    why: str = ""
    looks: int = 0
    rows: int = 0
    counted_until: datetime.datetime | None = None
    state_sha256: str = ""


class Ledger(Record, frozen=True, kw_only=True):
    """``ledger.json``: one budget, and every attempt that drew on it, in the order of opening.

    Attributes:
        format: version of this layout.
        confidence: 1 − the probability that any attempt opened within 365 days releases a policy that is worse.
        attempts: into how many equal shares that probability is divided.
        rows: one for each attempt.
        ledger_sha256: hash of the document with this field empty; only on disk.
    """

    format: int
    confidence: float
    attempts: int
    rows: list[Attempt]
    ledger_sha256: str = ""


class Look(Record, frozen=True, kw_only=True):
    """What one update added, and what was seen after it. Gains are per decision, in units of the reward.

    Attributes:
        number: 1 for the first.
        at: when, UTC.
        source: what the log was called.
        rows, left_out: decisions counted, and those of units that may have been learned from.
        first, last: the earliest and the latest decision.
        content_sha256: hash of what was counted, whatever its order and its times.
        rows_so_far: decisions counted by all looks.
        log_capital: of the claim that has least of it, in nats; a release needs ``log(1/α)`` for each.
        estimate, lower_bound, production_value: of the gain, of the gain at the attempt's own α, of production.
        claims: all that must be shown, and the gain in any case.
        verdict: of the gate.
        reasons: why not yet, in plain sentences.
    """

    number: int
    at: datetime.datetime
    source: str
    rows: int
    left_out: int
    first: datetime.datetime
    last: datetime.datetime
    content_sha256: str
    rows_so_far: int
    log_capital: float
    estimate: float
    lower_bound: float
    production_value: float
    claims: list[ClaimResult]
    verdict: Literal["certified", "conditional", "refused"]
    reasons: list[str]


class State(Record, frozen=True, kw_only=True):
    """``state-N.json``: the gate's sums after look N, and all looks.

    Attributes:
        format: version of this layout.
        manifest_sha256: whose state it is.
        looks: from the first.
        gate: see ``release.state``.
    """

    format: int
    manifest_sha256: str
    looks: list[Look]
    gate: dict[str, Any]


class Standing(Record, frozen=True, kw_only=True):
    """How a challenger stands: its row of the ledger, what was frozen, what was seen."""

    attempt: Attempt
    manifest: Manifest
    looks: list[Look]


def encoded(document: Record) -> bytes:
    """Canonical, readable JSON: keys sorted, shortest decimals."""
    return msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=2) + b"\n"


def decoded(data: bytes, kind: type[Document], what: str) -> Document:
    """A document from its JSON.

    Raises:
        ReleaseError: it is not JSON, of another layout, or of another version.
    """
    try:
        found = msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReleaseError(
            f"'{what}' cannot be read ({error})", remedy="Restore it from a copy; it must not be edited."
        ) from error
    if getattr(found, "format", FORMAT) != FORMAT:
        raise ReleaseError(
            f"'{what}' has another format than the {FORMAT} that this version reads",
            remedy="Use the version of Jumar that wrote it.",
        )
    return found


def sha256(data: bytes) -> str:
    """Hex digest of some bytes."""
    return hashlib.sha256(data).hexdigest()


def user_name() -> str:
    """Who runs this, as the machine knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"user {os.getuid()}"
