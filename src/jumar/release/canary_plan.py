"""The documents of a canary: what is frozen before its first day, what each day showed, how it stands.

In: nothing. Out: frozen records that become JSON, the error each test may spend, how many units an effect takes.
``canary`` fills them; whoever opens a canary makes a ``CanaryPlan``.
"""

from __future__ import annotations

import datetime
import math
from itertools import pairwise
from typing import Literal

import msgspec

from jumar.errors import OptionError
from jumar.evaluate.planning.rows import rows_needed
from jumar.evaluate.two_arms import Question
from jumar.records import Record

FORMAT = 1
RATIO_PART = 0.1  # of the error probability goes to the test of the arms' sizes
CanaryDecision = Literal["wait", "widen", "rollback", "done"]
Outcome = Literal["open", "rollback", "done"]


class Stage(Record, frozen=True, kw_only=True):
    """One share of units, and when it may grow.

    Attributes:
        share: of units that the challenger serves; those of earlier stages among them.
        looks: days of the stage, from 1 on, at whose end it is looked at; after the last it is decided.
        units: units new to the challenger that must have been seen before the share grows.
        days: days that must have passed before the share grows, at least 2: on the first the share may have changed at
            any hour, so nobody can tell which rows went astray.
    """

    share: float
    looks: list[int]
    units: int = 0
    days: int = 2


class CanaryMetric(Record, frozen=True, kw_only=True):
    """What a unit brings in a stage: the sum of one column over its decisions, cut at declared bounds.

    Attributes:
        name: of the column.
        low, high: where a unit's sum is cut, in the column's own units. What is tested is the cut sum.
        days: of a stage in which hardly a unit's sum is cut; at later looks the bounds grow in proportion. None: never.
        better: whether more or less of it is wanted.
        tolerance: how much worse than under production it may be without a rollback, as a share of what units bring
            under production.
        margin: the share by which it must be shown *not* to be worse before the last stage ends; None asks for no such
            proof.
    """

    name: str
    low: float = 0.0
    high: float = 1.0
    days: int | None = None
    better: Literal["higher", "lower"] = "higher"
    tolerance: float = 0.0
    margin: float | None = None

    def at_day(self, day: int) -> CanaryMetric:
        """The metric at a look: its bounds depend on nothing but the day of the stage, so no look has chosen them."""
        longer = 1.0 if self.days is None else max(day / self.days, 1.0)
        return msgspec.structs.replace(
            self,
            low=self.low * (longer if self.low < 0.0 else 1.0),
            high=self.high * (longer if self.high > 0.0 else 1.0),
        )

    @property
    def scale(self) -> float:
        """Width of the declared bounds."""
        return self.high - self.low

    @property
    def harm(self) -> Question:
        """Is the challenger worse by more than the tolerance? Its average is above 0 exactly then."""
        return Question(-self._sign, -self.tolerance, self._shift if self.tolerance else 0.0)

    @property
    def proof(self) -> Question:
        """Is the challenger not worse by more than the margin?"""
        return Question(self._sign, self.margin or 0.0, self._shift)

    @property
    def _sign(self) -> float:
        return 1.0 if self.better == "higher" else -1.0

    @property
    def _shift(self) -> float:
        return self.low / self.scale


STAGES = (
    Stage(share=0.01, looks=[1, 2, 3, 5, 7, 14, 28], units=100),
    Stage(share=0.05, looks=[1, 2, 3, 5, 7, 14, 28], units=300),
    Stage(share=0.25, looks=[1, 2, 3, 5, 7, 10, 14, 21, 28], units=1000, days=7),
)
WATCH = Stage(share=0.95, looks=[1, 2, 3, 5, 7, 14, 21, 28])


class CanaryPlan(Record, frozen=True, kw_only=True):
    """All that is frozen before a canary's first day.

    Attributes:
        salt: deals out the arms; new for every canary.
        production, challenger: versions, as the log's ``policy`` names them.
        metrics: the reward first, then guardrails.
        stages: shares that grow; to leave the last one takes the proof of every margin.
        watch: a last share with the rest of the units held out on production, for as many days as its last look says;
            None ends the canary with the last stage.
        alpha: probability that the whole canary, watch included, ends in a rollback without a cause.
        alpha_margin: probability that a challenger that is worse by more than a margin leaves the last stage upwards.
        most_astray: greatest share of a stage's rows that another policy than the arm's may have decided.
    """

    salt: str
    production: str
    challenger: str
    metrics: list[CanaryMetric]
    stages: list[Stage] = msgspec.field(default_factory=lambda: list(STAGES))
    watch: Stage | None = WATCH
    alpha: float = 0.05
    alpha_margin: float = 0.05
    most_astray: float = 0.01

    @property
    def all_stages(self) -> list[Stage]:
        """The stages and the watch."""
        return [*self.stages, *([self.watch] if self.watch else [])]

    @property
    def shares(self) -> list[float]:
        """What the challenger serves before the first stage, in each, and after the last."""
        return [0.0, *(stage.share for stage in self.all_stages), 1.0]

    def chance(self, stage: int) -> float:
        """q: with which chance a unit that production served until this stage is exposed in it."""
        before, now = self.shares[stage : stage + 2]
        return (now - before) / (1.0 - before)

    @property
    def harm_alpha(self) -> float:
        """What each test for harm may spend: the same for every planned look and metric."""
        tests = sum(len(stage.looks) for stage in self.all_stages) * len(self.metrics)
        return self.alpha * (1.0 - RATIO_PART) / tests

    @property
    def ratio_alpha(self) -> float:
        """What the test of the arms' sizes may spend in all stages together."""
        return self.alpha * RATIO_PART

    @property
    def proof_alpha(self) -> float:
        """What each test of a margin may spend; all margins must be shown, so metrics do not share."""
        return self.alpha_margin / len(self.stages[-1].looks)

    def exposed_needed(self, stage: int, change: float, spread: float, *, power: float = 0.8) -> int:
        """Exposed units with which a change for the worse is found at one look of a stage, about.

        Args:
            stage: 0 for the first.
            change: how much less a unit brings, in widths of the metric's range.
            spread: variance of what units bring around their centres, in squared widths.
            power: probability of finding it.
        """
        q = self.chance(stage)
        return math.ceil(q * rows_needed(change, spread / (q * (1.0 - q)), self.harm_alpha, power) / 0.9)


class MetricLook(Record, frozen=True, kw_only=True):
    """One metric at one look; averages and changes are per unit, in the metric's own units.

    Attributes:
        name: of the metric.
        production, challenger: plain averages of each arm's units.
        change: the challenger's less production's, with expected differences between units taken out.
        at_least, at_most: bounds of the change, each at the error that a test for harm may spend.
        cut: units whose sum lay outside the declared bounds.
        log_harm, harm_needs: evidence in nats that it is worse by more than the tolerance, and what rolls back.
        log_proof, proof_needs: evidence that it is within the margin, and what is enough; None where none is asked for.
    """

    name: str
    production: float
    challenger: float
    change: float
    at_least: float
    at_most: float
    cut: int
    log_harm: float
    harm_needs: float
    log_proof: float | None = None
    proof_needs: float | None = None


class CanaryDay(Record, frozen=True, kw_only=True):
    """What one day led to.

    Attributes:
        date: of the decisions.
        stage, day: position of the stage, and which of its days; day 0 lies before the stage.
        decision: "wait", "widen" or "done" (raise the share), "rollback".
        share: that the challenger should serve from now on.
        reasons: in plain sentences.
        exposed, others: units in the comparison so far in this stage, by arm.
        astray: share of the rows since the stage's second day that another policy decided than their arm's.
        log_ratio: evidence that the arms have not the sizes they should have, in nats, all stages together.
        metrics: at a look; else empty.
    """

    date: datetime.date
    stage: int
    day: int
    decision: CanaryDecision
    share: float
    reasons: list[str]
    exposed: int
    others: int
    astray: float
    log_ratio: float
    metrics: list[MetricLook] = []


class CanaryRecord(Record, frozen=True, kw_only=True):
    """How a canary stands.

    Attributes:
        format: version of this layout.
        plan: as frozen.
        outcome: "open", or for good "rollback" or "done".
        stage: position of the stage that runs or comes next.
        day: days of it that were counted.
        rows, astray: rows since the stage's second day, and those that another policy decided than their arm's.
        log_ratio_before: evidence about the arms' sizes from earlier stages.
        days: all days, from the first.
    """

    format: int
    plan: CanaryPlan
    outcome: Outcome = "open"
    stage: int = 0
    day: int = 0
    rows: int = 0
    astray: int = 0
    log_ratio_before: float = 0.0
    days: list[CanaryDay] = []


def checked(plan: CanaryPlan) -> CanaryPlan:
    """The plan, if it is one.

    Raises:
        OptionError: what is wrong with it.
    """
    if not plan.salt or plan.production == plan.challenger:
        raise OptionError(
            "A canary needs two versions, and a salt",
            example=(plan.salt, plan.production, plan.challenger),
            remedy="Name both versions, and a salt that was never used before.",
        )
    if not plan.metrics or len({one.name for one in plan.metrics}) < len(plan.metrics):
        raise OptionError(
            "A canary needs metrics, each named once",
            example=[one.name for one in plan.metrics],
            remedy="Name the reward first, then guardrails.",
        )
    if not plan.stages or any(low >= high for low, high in pairwise(plan.shares)):
        raise OptionError(
            "A canary needs stages whose shares rise, above 0 and below 1",
            example=plan.shares,
            remedy="Say for example 0.01, 0.05, 0.25.",
        )
    if not (0.0 < plan.alpha < 1.0 and 0.0 < plan.alpha_margin < 1.0 and 0.0 <= plan.most_astray <= 1.0):
        raise OptionError(
            "Error probabilities lie between 0 and 1, and so does the share of rows that may go astray",
            example=(plan.alpha, plan.alpha_margin, plan.most_astray),
            remedy="Say 0.05, 0.05 and 0.01.",
        )
    for stage in plan.all_stages:
        _check_stage(stage)
    for metric in plan.metrics:
        _check_metric(metric)
    return plan


def _check_stage(stage: Stage) -> None:
    looks = stage.looks
    if not looks or looks[0] < 1 or sorted(set(looks)) != looks:
        raise OptionError(
            "Looks are days that rise, from 1 on", example=looks, remedy="Say for example [1, 2, 3, 7, 14]."
        )
    if stage.units < 0 or not 2 <= stage.days <= looks[-1]:
        raise OptionError(
            "A stage takes at least two days, and ends no sooner than the share may grow",
            example=(stage.days, looks[-1]),
            remedy="Look later, or ask for fewer days.",
        )


def _check_metric(metric: CanaryMetric) -> None:
    if not (math.isfinite(metric.scale) and metric.scale > 0):
        raise OptionError(
            f"The bounds of '{metric.name}' are not a range",
            example=(metric.low, metric.high),
            remedy="Give two finite numbers, the lower one first.",
        )
    if metric.days is not None and metric.days < 1:
        raise OptionError(
            f"The bounds of '{metric.name}' are those of at least one day", example=metric.days, remedy="Say 7."
        )
    margin = metric.tolerance if metric.margin is None else metric.margin
    if not 0.0 <= metric.tolerance <= margin < 1.0:
        raise OptionError(
            f"'{metric.name}' needs 0 ≤ tolerance ≤ margin < 1",
            example=(metric.tolerance, metric.margin),
            remedy="What is tolerated must lie within the margin.",
        )
    if metric.low < 0.0 < margin:
        raise OptionError(
            f"A tolerance or a margin is a share of what units bring, which may be negative for '{metric.name}'",
            example=metric.low,
            remedy="Ask for none, or move the column so that its range begins at 0 or above.",
        )
