"""What one attempt puts to the gate: the claims, the cost that candidates aim at, what counts as evidence, the plan.

In: a ``Log``, what the user asks, learned candidates. Out: claims, an ``Aim``, ``Counting``, a ``GatePlan``. The main
job orders these steps; nothing here sees a row of the gate.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from jumar.errors import OptionError
from jumar.evaluate import Finding, Frontier, GatePlan, plan_gate
from jumar.evaluate.asked import Asked, check_followed, claims_on, sequence_claims
from jumar.evaluate.claims import Claim
from jumar.evaluate.contestants import Contestants
from jumar.evaluate.frontier import frontier_of
from jumar.evaluate.judging import Scored
from jumar.evaluate.sequences.footing import Footing
from jumar.evaluate.sequences.returns import cap_of, cumulative_discount, returns_to_go
from jumar.evaluate.trials import trials_of
from jumar.evaluate.wagers import BETTING_ALPHA
from jumar.learn.prepare import Prepared
from jumar.logs import Log, Timeline, TimelineCounts, evidence_by_unit, unit_starts
from jumar.logs.schema import PLACE
from jumar.logs.split import PARTS, SPLIT_SALT
from jumar.logs.timelines import check_timeline
from jumar.logs.units import KEPT_SHARE
from jumar.policy.candidates import Aim, Candidates
from jumar.version import VERSION

EvidenceChoice = Literal["auto", "decision", "unit"]
PRICE_ERRORS = 2.0  # standard errors by which the rows that prices are chosen on may mislead
TRAIN = ("fit", "stop", "validate")


@dataclass(frozen=True)
class Counting:
    """What counts as one piece of evidence.

    Attributes:
        most_per_unit: decisions of a unit that count together; None where every decision counts by itself.
        pieces: as many are expected in the gate as TRAIN holds.
        decisions: the same for decisions.
        boost: most of the capital may be bet by the booster: the pieces are independent and alike.
        note: why, in a sentence; empty where decisions count by themselves, as usual.
    """

    most_per_unit: int | None
    pieces: int
    decisions: int
    boost: bool
    note: str = ""


def counting_of(log: Log, findings: Sequence[Finding], choice: EvidenceChoice) -> Counting:
    """Decide what counts as evidence, by the audit's findings unless the user says.

    Raises:
        OptionError: evidence by unit is asked of a log that has no units, or the choice is none.
    """
    if choice not in ("auto", "decision", "unit"):
        raise OptionError("Evidence is counted by decision or by unit", example=choice, remedy="Leave it at auto.")
    has_units = log.schema.roles.unit is not None
    if choice == "unit" and not has_units:
        raise OptionError("The log has no units to count evidence by", remedy="Name their column with --unit.")
    found = [finding for finding in findings if finding.figures.get("by_unit")]
    drifts = any(finding.name == "drift" and finding.verdict != "ok" for finding in findings)
    told = log.schema.has_propensities
    looked = log.schema.roles.time is not None and has_units  # or nobody knows whether units return, or things drift
    by_unit = choice == "unit" or (choice == "auto" and has_units and evidence_by_unit(findings))
    if not by_unit:
        rows = log.rows_in(*TRAIN)
        repeats = has_units and log.units_repeat(*TRAIN)
        note = ""
        if found:
            note = "Evidence is counted by decision, as asked, although the audit says that decisions hang together."
        return Counting(None, rows, rows, told and looked and not repeats and not drifts and not found, note)
    sizes = log.rows_per_unit(*TRAIN)
    most = sizes.cap(KEPT_SHARE)
    kept = round(sizes.rows * sizes.kept(most))
    why = "as asked" if choice == "unit" else f"because of {found[0].name}"
    note = f"Evidence is counted by unit, {why}: the first {most:,} decisions of each count, together as one piece."
    return Counting(most, sizes.count, kept, told and looked and not drifts, note)


@dataclass(frozen=True)
class Horizon:
    """How far a decision is followed, and how much of what follows counts.

    Attributes:
        timeline: the discount, and what ends an episode.
        footing: what rewards count from.
        cap: the most that a unit counts, in rewards on the footing: more than that is rare on TRAIN, and worth little.
        metric_caps: the same for each metric of the log, in metrics on [0, 1].
        beyond: share of what units of TRAIN brought that lies beyond the cap.
        later: share of their decisions that do not count: after the first episode, or after a unit's first so many.
        counts: ends, open decisions and disorder on the timelines.
    """

    timeline: Timeline
    footing: Footing
    cap: float
    metric_caps: tuple[float, ...]
    beyond: float
    later: float
    counts: TimelineCounts

    @property
    def sentences(self) -> list[str]:
        """What a reader should know about the timelines, in words."""
        said = f"Of what units of the training rows brought, {self.beyond:.1%} lies beyond the cap and does not count."
        later = (
            f"{self.later:.1%} of the training rows' decisions come after their unit's first episode, or after the "
            "first decisions that count: what the policy does there was not judged."
        )
        return [*([said] if self.beyond else []), *([later] if self.later else []), *self.counts.sentences]


def horizon_of(log: Log, timeline: Timeline, most_per_unit: int) -> Horizon:
    """The caps on what a unit counts, from units of TRAIN.

    Raises:
        LogError: the log has no units, no time, or no propensities.
    """
    check_followed(log)
    footing = Footing.of(log.schema.reward_low, log.schema.reward_high, timeline, most_per_unit)
    metrics = log.metric_columns
    found, beside, rows, counted = [np.zeros(0)], [np.zeros((0, len(metrics)))], 0, 0
    columns = ["__hash", "__reward", "__discount", PLACE, *metrics]
    for batch in log.batches("validate", columns=columns, by_unit=True, timeline=timeline):
        rows += batch.num_rows
        kept = np.flatnonzero(np.asarray(batch.column(PLACE)) < most_per_unit)
        starts = unit_starts(batch.column("__hash").take(kept))
        reward, discount = (
            np.nan_to_num(batch.column(name).to_numpy(zero_copy_only=False).astype(np.float64))[kept]
            for name in ("__reward", "__discount")
        )
        brought = returns_to_go(footing.rewards(reward), discount, starts)[starts]
        closing = footing.closing(discount, starts)
        found.append(brought if closing is None else brought + closing)
        if metrics:
            values = (np.asarray(batch.column(name))[kept] for name in metrics)
            beside.append(np.stack([returns_to_go(one, discount, starts)[starts] for one in values], axis=1))
        counted += int(np.count_nonzero(cumulative_discount(discount, starts) > 0))
    returns = np.concatenate(found)
    cap = cap_of(returns, footing.above)
    beyond = np.maximum(returns - cap, 0.0).sum() / max(np.abs(returns - footing.above).sum(), 1e-300)
    later = 1.0 - counted / max(rows, 1)
    others = tuple(cap_of(one) for one in np.concatenate(beside).T)
    return Horizon(timeline, footing, cap, others, float(beyond), later, log.timeline_counts(timeline))


def counting_units(log: Log, findings: Sequence[Finding]) -> Counting:
    """Counting where returns are claimed: all that follows a unit's decisions is one piece of evidence.

    Raises:
        LogError: the log has no units or no time.
    """
    check_timeline(log.schema)
    sizes = log.rows_per_unit(*TRAIN)
    most = sizes.counted_ahead
    kept = round(sizes.rows * sizes.kept(most))
    drifts = any(finding.name == "drift" and finding.verdict != "ok" for finding in findings)
    note = f"With a discount, evidence is counted by unit: what its first {most:,} decisions bring is one piece."
    return Counting(most, sizes.count, kept, not drifts, note)


def not_along_timelines(findings: Sequence[Finding], counts: TimelineCounts) -> list[str]:
    """Why a log cannot be learned from, or judged, along timelines.

    Products of weights need fresh draws, and rewards that are over; and something must be known of what follows.

    Args:
        findings: of the audit. Where an arm is kept, its second draw was none, and its weight must not count twice;
            where a reward is helped by the next decision, the weights before it do not reach far enough.
        counts: of the timelines.
    """
    tied = [
        f"{finding.sentence} With a discount that is not enough: along a timeline every decision must have been drawn "
        "afresh, and every reward be over before the next draw."
        for finding in findings
        if finding.figures.get("by_unit")
    ]
    if counts.open < counts.rows:
        return tied
    return [
        *tied,
        "The log does not say what followed any decision: each is its unit's only one, and no end is known. Log for "
        "longer, name the column that flags ends with --end or a silence with --gap, or leave the discount out.",
    ]


def judged_on(
    log: Log, findings: Sequence[Finding], choice: EvidenceChoice, asked: Asked, timeline: Timeline | None
) -> tuple[Counting, Horizon | None, list[Claim]]:
    """What counts as evidence, how far decisions are followed, and what is claimed.

    Args:
        log: the log; ``findings``: of its audit.
        choice: what counts as one piece of evidence, where every decision counts by itself.
        asked: the user's words.
        timeline: the discount; None where every decision counts by itself.
    """
    if timeline is None:
        return counting_of(log, findings, choice), None, claims_on(log, asked)
    counting = counting_units(log, findings)
    assert counting.most_per_unit is not None
    horizon = horizon_of(log, timeline, counting.most_per_unit)
    return counting, horizon, sequence_claims(log, asked, horizon.footing, horizon.cap, horizon.metric_caps)


def aim_of(claims: Sequence[Claim], counts: np.ndarray, pieces: int, priced_on: int) -> Aim | None:
    """The cost that every candidate must keep to: what the claims allow, less what the gate needs to be sure.

    Args:
        claims: of the attempt; the first one about costs of actions is aimed at, the gate tests them all.
        counts: [actions] how often TRAIN holds each action.
        pieces: of evidence that the gate is expected to hold.
        priced_on: rows that prices are chosen on.
    """
    asked = [claim for claim in claims if claim.kind in ("spend", "budget")]
    if not asked:
        return None
    first = asked[0]
    limits = [_allowed(claim, counts, pieces, priced_on) for claim in asked if claim.costs == first.costs]
    return Aim(costs=tuple(cost * first.scale for cost in first.costs), most=min(limits))


def _allowed(claim: Claim, counts: np.ndarray, pieces: int, priced_on: int) -> float:
    """Greatest average cost, in its own units, that the claim's test will probably pass.

    Laid for one error probability whatever the confidence, as bets are, so that candidates do not depend on it.
    """
    shares, costs = counts / max(counts.sum(), 1), np.asarray(claim.costs) * claim.scale
    now = float(shares @ costs)
    spread = math.sqrt(max(float(shares @ costs**2) - now**2, 0.0))
    sure = (math.sqrt(2.0 * (math.log(1.0 / BETTING_ALPHA) + 1.0)) + 1.0) / math.sqrt(max(pieces, 1))
    sure += PRICE_ERRORS / math.sqrt(max(priced_on, 1))
    limit = float(claim.most or 0.0) if claim.kind == "budget" else (1.0 + claim.margin) * now
    return max(limit - sure * spread, 0.0)


def plan_of(
    log: Log,
    prepared: Prepared,
    field: Contestants,
    scored: Scored,
    claims: Sequence[Claim],
    counting: Counting,
    confidence: float,
    seed: int,
    horizon: Horizon | None = None,
) -> GatePlan:
    """Freeze candidates, claims, order, bets and error probabilities."""
    fold = scored.fold(counting.most_per_unit)
    told = log.schema.has_propensities
    most = counting.most_per_unit or 1
    units = None if horizon is None else scored.units(horizon.cap, most, horizon.footing)
    return plan_gate(
        trials=trials_of(claims, scored, fold, counting.pieces, robust=told, units=units),
        validation_w=scored.weight,
        validation_rows=len(scored.reward),
        temperatures=field.temperatures,
        policy_sha256=field.hashes,
        names=field.names,
        prices=field.prices,
        confidence=confidence,
        rows_planned=counting.pieces,  # as many are expected as TRAIN holds; the gate's own count stays unseen
        decisions_planned=counting.decisions,
        supported=prepared.counts > 0,
        value_range=scored.value_range,
        propensity_floor=min(prepared.least_propensity, float(scored.propensity.min())),
        estimated_propensities=not told,
        evidence="decision" if counting.most_per_unit is None else "unit",
        most_per_unit=most,
        boost=counting.boost,
        timeline=None if horizon is None else horizon.timeline,
        return_cap=1.0 if horizon is None else horizon.cap,
        seed=seed,
        reward_low=log.schema.reward_low,
        reward_high=log.schema.reward_high,
        log_source=log.source,
        split={"salt": SPLIT_SALT, **{name: low for name, (low, _) in PARTS.items()}},
        schema_sha256=hashlib.sha256(msgspec.json.encode(log.schema)).hexdigest(),
        jumar_version=VERSION,
    )


def frontier_on(
    log: Log,
    claims: Sequence[Claim],
    scored: Scored,
    path: Candidates,
    plan: GatePlan,
    released: int | None,
    ranking: tuple[str, np.ndarray] | None,
) -> Frontier | None:
    """Cost against value, for the cost that is asked about, or for the second of two actions."""
    costly = [claim for claim in claims if claim.kind in ("spend", "budget")]
    actions = log.schema.actions
    if costly:
        name, costs = costly[0].metric, [cost * costly[0].scale for cost in costly[0].costs]
    elif len(actions) == 2:
        name, costs = str(actions[1]), [0.0, 1.0]
    else:
        return None
    if len(set(costs)) == 1:
        return None
    return frontier_of(
        scored,
        name=name,
        costs=costs,
        minimum=path.minimum,
        chosen=plan.primary if released is None else released,
        ranking=ranking,
        reward_low=log.schema.reward_low,
        reward_high=log.schema.reward_high,
    )
