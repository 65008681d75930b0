"""What the board shows, as one frozen value: figures and plain words, no markup.

In: nothing. Out: records that become ``state.json`` and feed the page. ``gathered`` fills them; the whole floor imports
this module.
"""

from __future__ import annotations

import datetime
from typing import Literal

from jumar.evaluate.certificate import ClaimResult, Deviation
from jumar.loop.documents import Step
from jumar.records import Record
from jumar.release.canary_plan import MetricLook
from jumar.release.documents import Attempt, Outcome
from jumar.release.registry.documents import RegistryRecord
from jumar.release.watch import WatchDay

Role = Literal["production", "challenger", "previous", "replaced", "rolled back", "taken back"]


class Notice(Record, frozen=True, kw_only=True):
    """Something that asks for a person.

    Attributes:
        level: "bad" where something failed or was taken back, "warn" where it may.
        at: the day it belongs to, None for now.
        what: in a few words.
        said: in sentences.
    """

    level: Literal["bad", "warn"]
    at: datetime.date | None
    what: str
    said: list[str]


class Gain(Record, frozen=True, kw_only=True):
    """A gain over what was in production, per decision (per unit with a discount), in units of the reward.

    Attributes:
        estimate, lower_bound, production: of the gain, of it at ``confidence``, and what production brings.
        confidence: of the lower bound.
        rows: decisions behind it.
        source: the last look of the "gate", or a "certificate".
        passed: whether it was enough for a release.
    """

    estimate: float
    lower_bound: float
    production: float
    confidence: float
    rows: int
    source: Literal["gate", "certificate"]
    passed: bool


class CanaryGain(Record, frozen=True, kw_only=True):
    """What a canary's units brought beside production's at its last look: per unit, in units of the reward."""

    date: datetime.date
    production: float
    change: float
    at_least: float
    at_most: float


class BeforeAfter(Record, frozen=True, kw_only=True):
    """Mean reward of the days on both sides of a change; no test, and whatever else changed is in it.

    Attributes:
        before, after: mean reward per decision.
        days_before, days_after: with a mean reward, at most 14 of each.
    """

    before: float
    after: float
    days_before: int
    days_after: int


class PolicyView(Record, frozen=True, kw_only=True):
    """A version that was let in.

    Attributes:
        number: its place in the order of release, from 1.
        version, role: what it is called, and what it is now.
        at, who, why, record: of the record that let it in.
        forced, attempt, alpha: on what grounds.
        certified, canary, served, deviation: None where it is not known.
        days: on which it was in production and judged.
    """

    number: int
    version: str
    role: Role
    at: datetime.datetime
    who: str
    why: str
    record: int
    forced: bool
    attempt: str
    alpha: float | None
    certified: Gain | None
    canary: CanaryGain | None
    served: BeforeAfter | None
    deviation: Deviation | None
    days: int


class WalkLook(Record, frozen=True, kw_only=True):
    """One look of the gate: the day it goes up to, and what was seen."""

    date: datetime.date
    rows: int
    log_capital: float
    estimate: float
    lower_bound: float


class ChallengerView(Record, frozen=True, kw_only=True):
    """A challenger of the gates.

    Attributes:
        name, outcome, why: of its row in the ledger; ``opened_at``, ``decided_at`` likewise.
        against: what it is judged against, empty where nobody wrote it down.
        alpha, needs: what it spent, and ln(1/alpha): the evidence it needs.
        rows, rows_planned, rows_most: decisions seen, those bets were laid for, those after which it is retired.
        promise, deviation: of the run that it was learned in, where that is there.
        gain: after the last look; None before the first.
        walk: all looks.
        claims: at the last look.
        reasons: why not yet.
        closest: share of the evidence it has, of the claim that has least; between 0 and 1.
    """

    name: str
    outcome: Outcome
    why: str
    opened_at: datetime.datetime
    decided_at: datetime.datetime | None
    against: str
    alpha: float
    needs: float
    rows: int
    rows_planned: int | None
    rows_most: int | None
    promise: Gain | None
    deviation: Deviation | None
    gain: Gain | None
    walk: list[WalkLook]
    claims: list[ClaimResult]
    reasons: list[str]
    closest: float


class CanaryView(Record, frozen=True, kw_only=True):
    """The latest canary.

    Attributes:
        production, challenger, outcome: which versions, and how it stands.
        running: the registry says that it is in progress.
        shares: of its stages. stage, day: which one it is at, and which of its days.
        share: that the challenger serves.
        next_look: day of the stage, None after the last.
        exposed, others: units in the comparison. astray, most_astray: rows of another policy than their arm's.
        log_ratio, ratio_needs: evidence that an arm has lost decisions, in nats, and what rolls back.
        looked: the day of ``metrics``, None before the first look.
        metrics: at the last look.
        reasons: of the last day.
        days: counted.
    """

    production: str
    challenger: str
    outcome: Literal["open", "rollback", "done"]
    running: bool
    shares: list[float]
    stage: int
    day: int
    share: float
    next_look: int | None
    exposed: int
    others: int
    astray: float
    most_astray: float
    log_ratio: float
    ratio_needs: float
    looked: datetime.date | None
    metrics: list[MetricLook]
    reasons: list[str]
    days: int


class WatchView(Record, frozen=True, kw_only=True):
    """The latest watch: is ``current`` worse than ``previous``?"""

    current: str
    previous: str
    outcome: Literal["open", "rollback", "done"]
    metrics: list[str]
    days_planned: int
    days: list[WatchDay]


class Guardrail(Record, frozen=True, kw_only=True):
    """A metric other than the reward, where it was looked at last.

    Attributes:
        metric, better: which, and which way is good.
        where: who looked.
        production, change: per decision (gate) or per unit (canary); None where the watch compares alone.
        bound: the worst that the change can be by what was seen; None where nothing says so.
        log_harm, harm_needs: evidence of harm in nats, and what takes back; None for the gate.
        state: "shown" (what was asked for is proven), "no harm" (none was found), "open" (not shown yet), "harm".
    """

    metric: str
    better: Literal["higher", "lower"]
    where: str
    production: float | None
    change: float | None
    bound: float | None
    log_harm: float | None
    harm_needs: float | None
    state: Literal["shown", "no harm", "open", "harm"]


class LedgerView(Record, frozen=True, kw_only=True):
    """The budget of error.

    Attributes:
        confidence, attempts: of a year, and into how many attempts it is divided.
        spent, left: attempts of the last 365 days.
        alpha, alpha_spent, alpha_left: the same as error probability.
        next_free: when the oldest of them is a year old; None where none is spent.
        rows: all attempts ever, the first first.
    """

    confidence: float
    attempts: int
    spent: int
    left: int
    alpha: float
    alpha_spent: float
    alpha_left: float
    next_free: datetime.datetime | None
    rows: list[Attempt]


class DayView(Record, frozen=True, kw_only=True):
    """A day of the loop.

    Attributes:
        date, production, challenger, opened: as ``day.json`` says.
        complete, attention: whether it is done, and whether a person should look.
        counted: decisions of production. reward: their mean. shares: of actions. None and empty where not recorded.
        steps: that are done.
    """

    date: datetime.date
    production: str
    challenger: str | None
    opened: str
    complete: bool
    attention: bool
    counted: int | None
    reward: float | None
    shares: dict[str, float]
    steps: list[Step]


class Board(Record, frozen=True, kw_only=True):
    """All that the page shows.

    Attributes:
        at: when it was gathered, UTC.
        registry, folder: where it was read; ``folder`` is empty where no loop is known.
        unread: parts that are there and could not be read, see ``reading.Documents``.
        incumbent: what decides as long as the registry has no production.
        state: the last record, None where it could not be read.
        notices: what asks for a person, the worst first.
        policies: in order of release, the latest first.
        challengers: of the gates, the latest first.
        canary, watch, ledger: None where there is none.
        guardrails: metrics beside the reward.
        days: of the loop, the earliest first.
        trail: all records, the latest first.
    """

    at: datetime.datetime
    registry: str
    folder: str
    unread: list[str]
    incumbent: str
    state: RegistryRecord | None
    notices: list[Notice]
    policies: list[PolicyView]
    challengers: list[ChallengerView]
    canary: CanaryView | None
    watch: WatchView | None
    guardrails: list[Guardrail]
    ledger: LedgerView | None
    days: list[DayView]
    trail: list[RegistryRecord]

    @property
    def production(self) -> PolicyView | None:
        """The version in production, if one is and it was read."""
        return next((one for one in self.policies if one.role == "production"), None)
