"""What it takes to certify a gain in discounted return: units, decisions and days along timelines, or a canary.

In: a log, a timeline, a gain that is hoped for, perhaps a policy. Out: ``ReturnPlan``. ``plan_log`` hands over to this
module where a discount is given. Nothing here looks at the part of the log that judges, and nothing is certified by it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np

from jumar.errors import LogError, OptionError
from jumar.evaluate.asked import Asked, check_followed, claims_on
from jumar.evaluate.planning.ahead import AheadSight
from jumar.evaluate.planning.episode_law import EpisodeLaw, OneWeight
from jumar.evaluate.planning.outlook import GATE_SHARE, rates_of, rounded, shown, upwards
from jumar.evaluate.planning.tallies import TRAIN, measured, rows_per_day, tally_of
from jumar.evaluate.planning.unit_paths import UnitPaths
from jumar.evaluate.sequences.budget import BUDGET
from jumar.evaluate.sequences.returns import cap_of, returns_to_go
from jumar.logs import Log, Timeline, unit_starts
from jumar.logs.schema import DISCOUNT, HASH, REWARD, TIME
from jumar.policy import Policy
from jumar.records import Record

BUDGETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
CANARIES = (0.05, 0.25, 0.5)
MOST_ROWS, FEW_UNITS = 300_000, 1_000
_AT_ONCE, _COHORT = 0.9, 0.1  # so many units that began within such a part of the log are one cohort


class UnitsPoint(Record, frozen=True, kw_only=True):
    """What a gain takes, for one way to show it.

    Attributes:
        units_to_judge, units: to judge on, and of the whole log; None where no number is enough.
        decisions, days: that the whole log takes; None where units are, and days without times.
        detectable_gain: the smallest relative gain that the log as it is would certify; None where there is none.
    """

    units_to_judge: int | None
    units: int | None
    decisions: int | None
    days: float | None
    detectable_gain: float | None


class DeviationPoint(Record, frozen=True, kw_only=True):
    """What the gain takes by how far the policy strays from production.

    Attributes:
        exploration: share of the decisions that production spreads over all actions.
        deviation: Σ χ² over an episode, not exceeded in 95% of them.
        product_square: E[ρ²] = Π (1 + χ²), averaged over units.
        changed: share of the decisions that come out differently.
        whole: shown for the policy over whole episodes.
        single: shown for a single deviation from production, gains being those of the whole policy to first order.
    """

    exploration: float
    deviation: float
    product_square: float
    changed: float
    whole: UnitsPoint
    single: UnitsPoint


class CanaryPoint(Record, frozen=True, kw_only=True):
    """A comparison of units served by the policy with units served by production.

    Attributes:
        share: of the units that the policy serves.
        units: of both arms.
        days: until as many have come at the log's rate; None without times. Their episodes must then end, too.
    """

    share: float
    units: int
    days: float | None


class ReturnPlan(Record, frozen=True, kw_only=True):
    """What it takes to certify a gain in discounted return.

    Attributes:
        source: the log.
        log_rows, log_units: its decisions and units.
        log_days: its span; None where all times are the same.
        timeline: the discount, and what ends an episode.
        return_cap: the most that a unit counts, in units of the reward; kept_under_cap: share of the returns below it.
        decisions_per_unit: mean length of a unit's first episode; long_episode: length that 95% do not exceed.
        most_per_unit: decisions of a unit that count.
        gain: hoped for, relative to production's value; gain_per_unit: the same in units of the reward.
        production_value: mean capped, discounted return per unit of TRAIN; return_sd: its standard deviation.
        confidence: of the certificate.
        power: probability of getting it if the gain is real.
        policy: short name of the policy whose weights were measured; None where one was supposed.
        deviation_budget: Σ χ² over an episode that was asked for.
        exploration: of production, as the log shows it.
        actions: how many.
        now: at production's own exploration and the deviation that the budget allows; None without exploration.
        units_boosted: of the whole log, for whole episodes, if the gate's booster may bet; None where not enough.
        by_deviation: the same for policies that stray less and further, at production's own exploration.
        by_exploration: the same at other explorations, for a policy as far from production as ``now``.
        largest_deviation: largest Σ χ² at which the log as it is certifies the gain; None where none is small enough.
        exploration_needed: smallest exploration at which a log as long as this one would be enough; None where none is.
        decisions_enough: how many first decisions of an episode may deviate, if all of the gain came from them, so that
            the log as it is would be enough; None where not one may.
        units_uncapped: of the whole log, for whole episodes, without the cap; None where not enough.
        canary: what a comparison of units would take instead, by the share that the policy serves.
        notes: what was supposed, in plain sentences.
    """

    source: str
    log_rows: int
    log_units: int
    log_days: float | None
    timeline: Timeline
    return_cap: float
    kept_under_cap: float
    decisions_per_unit: float
    long_episode: int
    most_per_unit: int
    gain: float
    gain_per_unit: float
    production_value: float
    return_sd: float
    confidence: float
    power: float
    policy: str | None
    deviation_budget: float
    exploration: float
    actions: int
    now: DeviationPoint | None
    units_boosted: int | None
    by_deviation: list[DeviationPoint]
    by_exploration: list[DeviationPoint]
    largest_deviation: float | None
    exploration_needed: float | None
    decisions_enough: int | None
    units_uncapped: int | None
    canary: list[CanaryPoint]
    notes: list[str]


@dataclass(frozen=True)
class _Columns:
    """Rows of TRAIN's units in order."""

    reward: np.ndarray
    discount: np.ndarray
    starts: np.ndarray
    most: int

    @property
    def returns(self) -> np.ndarray:
        return returns_to_go(self.reward, self.discount, self.starts)[self.starts]

    def paths(self, cap: float) -> UnitPaths:
        return UnitPaths.of(self.reward, self.discount, self.starts, cap=cap, most_per_unit=self.most)


def plan_ahead(
    log: Log,
    gain: float,
    timeline: Timeline,
    *,
    confidence: float,
    power: float,
    policy: Policy | None,
    changed: float,
    exploration: Sequence[float],
    deviation_budget: float | None,
) -> ReturnPlan:
    """Units, decisions and days that a certificate of a gain in discounted return takes. Arguments as ``plan``.

    Raises:
        OptionError: a budget that is not above 0, or rewards that do not begin at 0.
        LogError: the log has no units, times or propensities, or nothing ever came of its decisions.
    """
    if deviation_budget is not None and not (math.isfinite(deviation_budget) and deviation_budget > 0):
        raise OptionError(
            "The deviation budget is the Σ χ² of an episode, a number above 0",
            example=deviation_budget,
            remedy=f"Leave it at {BUDGET:g}.",
        )
    check_followed(log)
    columns = _columns(log, timeline)
    claims_on(log, Asked(gain=gain))  # refuses what could not be claimed
    if log.schema.reward_low:
        raise OptionError(
            "Plans along timelines need rewards that begin at 0",
            example=log.schema.reward_low,
            remedy="Move the column so that its range begins at 0.",
        )
    cap = cap_of(columns.returns)
    tally = tally_of(log)
    seen = measured(log, policy) if policy is not None and not tally.deterministic else None
    paths, width = columns.paths(cap), log.schema.reward_high - log.schema.reward_low
    if not paths.value:
        raise LogError("Nothing ever came of a unit, so a gain has no scale", remedy="Wait for rewards.")
    sight = AheadSight(
        paths, tally if seen is None else seen.tally, changed, log.units, round(1.0 - confidence, 15), power
    )
    budget = BUDGET if deviation_budget is None and seen is None else deviation_budget
    weight = sight.weight(None) if budget is None else sight.within(budget)
    per_day = rows_per_day(log)
    made = _Points(sight, gain, log.rows / log.units, None if per_day is None else per_day * log.units / log.rows)
    own = shown(tally.exploration)
    now = None if tally.deterministic else made.at(own, weight)
    boosted = None if now is None else made.whole_log(sight.units_for(gain, weight, "whole", boosted=True))
    return ReturnPlan(
        source=log.source,
        log_rows=log.rows,
        log_units=log.units,
        log_days=None if per_day is None else rounded(log.rows / per_day),
        timeline=timeline,
        return_cap=rounded(cap * width),
        kept_under_cap=rounded(paths.kept),
        decisions_per_unit=rounded(paths.share.size / paths.units),
        long_episode=paths.long,
        most_per_unit=columns.most,
        gain=gain,
        gain_per_unit=rounded(gain * paths.value * width),
        production_value=rounded(paths.value * width),
        return_sd=rounded(paths.deviation * width),
        confidence=confidence,
        power=power,
        policy=policy.name if policy is not None and seen is not None else None,
        deviation_budget=rounded(sight.spent(weight)) if budget is None else budget,
        exploration=own,
        actions=len(log.schema.actions),
        now=now,
        units_boosted=boosted,
        by_deviation=[] if now is None else _by_deviation(made, weight, now),
        by_exploration=[
            now if now is not None and rate == own else made.at(rate, sight.weight(rate, weight.step))
            for rate in rates_of(exploration, tally.exploration)
        ],
        largest_deviation=None if now is None else sight.largest_budget(gain),
        exploration_needed=sight.exploration_needed(gain, weight.step),
        decisions_enough=None if now is None else sight.decisions_enough(gain, weight),
        units_uncapped=None if now is None else _uncapped(made, columns, weight),
        canary=[made.canary(share) for share in CANARIES],
        notes=[*_notes(log, sight, timeline, now, policy if seen is not None else None, budget), *log.notes],
    )


def _columns(log: Log, timeline: Timeline) -> _Columns:
    """The first decisions of TRAIN's units, of a fair sample of them where there are very many."""
    sizes = log.rows_per_unit(*TRAIN)
    if not sizes.count:
        raise LogError(
            "No decision is left to plan from: all belong to units that are kept for judging",
            count=log.rows,
            remedy="Plan from a longer log.",
        )
    most = sizes.counted_ahead
    rewards, discounts, starts, seen = [], [], [], 0
    for batch in log.batches(
        *TRAIN,
        columns=[HASH, REWARD, DISCOUNT],
        by_unit=True,
        timeline=timeline,
        most_per_unit=most,
        share=min(1.0, MOST_ROWS / sizes.rows),
    ):
        rewards.append(np.asarray(batch.column(REWARD)))
        discounts.append(np.nan_to_num(batch.column(DISCOUNT).to_numpy(zero_copy_only=False).astype(np.float64)))
        starts.append(unit_starts(batch.column(HASH)) + seen)
        seen += batch.num_rows
    return _Columns(np.concatenate(rewards), np.concatenate(discounts), np.concatenate(starts), most)


@dataclass(frozen=True)
class _Points:
    """Figures as they are shown: units upwards, with the decisions and days that they take."""

    sight: AheadSight
    gain: float
    rows_per_unit: float
    units_per_day: float | None

    def whole_log(self, judged: float | None) -> int | None:
        """Units of a whole log with so many to judge on."""
        return None if judged is None else upwards(judged / GATE_SHARE)

    def days(self, units: int | None) -> float | None:
        return None if units is None or self.units_per_day is None else rounded(units / self.units_per_day)

    def at(self, exploration: float, weight: OneWeight) -> DeviationPoint:
        return DeviationPoint(
            exploration=exploration,
            deviation=rounded(self.sight.spent(weight)),
            product_square=rounded(self.sight.paths.product_square(weight.chi_square)),
            changed=rounded(weight.changed),
            whole=self._units(self.sight.law(weight, "whole")),
            single=self._units(self.sight.law(weight, "single")),
        )

    def _units(self, law: EpisodeLaw) -> UnitsPoint:
        judged = self.sight.needed(law, self.gain)
        units = self.whole_log(judged)
        return UnitsPoint(
            units_to_judge=None if judged is None else upwards(judged),
            units=units,
            decisions=None if units is None else upwards(units * self.rows_per_unit),
            days=self.days(units),
            detectable_gain=self.sight.detectable(law),
        )

    def canary(self, share: float) -> CanaryPoint:
        units = upwards(self.sight.canary(self.gain, share))
        return CanaryPoint(share=share, units=units, days=self.days(units))


def _by_deviation(made: _Points, weight: OneWeight, now: DeviationPoint) -> list[DeviationPoint]:
    """Policies in the same direction, from near to far; those next to the one asked for are left out."""
    furthest = made.sight.spent(made.sight.weight(None))
    budgets = [one for one in BUDGETS if one <= furthest and abs(one / now.deviation - 1.0) > 0.1]
    points = [made.at(now.exploration, made.sight.within(one)) for one in budgets]
    return sorted([*points, now], key=lambda one: one.deviation)


def _uncapped(made: _Points, columns: _Columns, weight: OneWeight) -> int | None:
    """Units of the whole log if no return were cut."""
    sight = made.sight
    free = AheadSight(
        columns.paths(float(columns.returns.max())), sight.tally, sight.changed, sight.units, sight.alpha, sight.power
    )
    return made.whole_log(free.units_for(made.gain, weight, "whole"))


def _notes(
    log: Log,
    sight: AheadSight,
    timeline: Timeline,
    now: DeviationPoint | None,
    policy: Policy | None,
    budget: float | None,
) -> list[str]:
    """What was supposed, most important first."""
    said = [
        "All of this is an estimate and certifies nothing. Returns and lengths are those of the log's units; weights "
        "are supposed to be drawn alike and independently at every decision."
    ]
    if now is None:
        said.append(
            "Every decision of this log was certain, so no number of units is enough: let production take a random "
            "action in a share of its decisions, and log how likely each action was."
        )
    if policy is not None:
        said.append("The policy's weights were measured on the log; its gain was not, but is as hoped for.")
    else:
        said.append(
            f"Supposed is a policy that goes from production a part of the way to one that prefers another action than "
            f"production's favourite in {sight.changed:.0%} of the decisions; name one with --policy to measure it."
        )
    if budget is not None and now is not None and now.deviation < 0.99 * budget:
        said.append(
            f"That policy spends {now.deviation:.3g} of the deviation budget of {budget:g} and no more"
            + ("." if policy is not None else "; suppose more change with --changed.")
        )
    said.append(
        "One deviation is weighed by what it would show of the same policy: an M-th of its gain, as long as deviations "
        "just add up, so about a small step in its direction only."
    )
    if sight.paths.kept < 0.98:
        said.append(f"The cap leaves {sight.paths.kept:.1%} of the returns; gains beyond it are not seen.")
    if _at_once(log):
        said.append(
            "Nearly all units were there from the first, so days are those of as many logs like this one: time alone "
            "makes timelines longer, not units more."
        )
    if sight.paths.units < FEW_UNITS:
        said.append(f"All of this was measured on {sight.paths.units:,} units and is rough.")
    return [*said, *log.timeline_counts(timeline).sentences]


def _at_once(log: Log) -> bool:
    """Whether nearly all units had their first decision in the first part of the log."""
    time: Any = log.canonical[TIME]
    begun = log.canonical.group_by(HASH).aggregate(first=time.min())
    earliest = log.origin.one(begun.aggregate(first=begun["first"].min()))["first"]
    early: Any = begun["first"] <= ibis.literal(earliest + _COHORT * (log.last - earliest), "timestamp(6)")
    return float(log.origin.one(begun.aggregate(share=early.mean()))["share"]) >= _AT_ONCE
