"""What it takes to certify a gain: rows, days and exploration, for a log and a gain that is hoped for.

In: a log, perhaps a policy. Out: ``GainPlan``. The command line and Python users call ``plan``. Nothing here looks at
the part of the log that judges, and nothing is certified by it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal, overload

from jumar.errors import LogError, OptionError
from jumar.evaluate.planning.law import Law, Tally, predicted
from jumar.evaluate.planning.outlook import (
    GATE_SHARE,
    Here,
    Robust,
    Sight,
    check_hopes,
    rates_of,
    rounded,
    shown,
    upwards,
)
from jumar.evaluate.planning.plan_ahead import ReturnPlan, plan_ahead
from jumar.evaluate.planning.tallies import TRAIN, Measured, measured, rows_per_day, tally_of
from jumar.evaluate.robust import kappa_for, robust_bound
from jumar.evaluate.trials import LEAST_BASE_RATE
from jumar.logs import Log, asked_timeline, read_for, read_log
from jumar.policy import Policy, load_policy
from jumar.records import Record

EXPLORATIONS = (0.05, 0.1, 0.2, 0.3, 0.5)
LENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
FEW_ROWS = 1_000


class ExplorationPoint(Record, frozen=True, kw_only=True):
    """What the gain takes at one exploration.

    Attributes:
        exploration: share of the decisions that production spreads over all actions.
        rows_to_judge, rows: decisions to judge on, and of the whole log; None where nothing would be enough.
        days: that the whole log takes; None without times.
        detectable_gain: the smallest relative gain that a log as long as this one would certify; None where no gain
            that rewards allow is large enough.
    """

    exploration: float
    rows_to_judge: int | None
    rows: int | None
    days: float | None
    detectable_gain: float | None


class CurvePoint(Record, frozen=True, kw_only=True):
    """The smallest gain that can be certified from a log of some length.

    Attributes:
        exploration: share of the decisions that production spreads over all actions.
        rows: decisions of the whole log.
        days: that it takes; None without times.
        detectable_gain: relative to production's value; None where no gain that rewards allow is large enough.
    """

    exploration: float
    rows: int
    days: float | None
    detectable_gain: float | None


class GainPlan(Record, frozen=True, kw_only=True):
    """What it takes to certify a gain.

    Attributes:
        source: the log.
        log_rows: its decisions.
        log_days: its span; None without times.
        gain: hoped for, relative to production's value.
        gain_per_decision: the same in units of the reward.
        production_value: mean reward per decision of TRAIN.
        confidence: of the certificate.
        power: probability of getting it if the gain is real.
        policy: short name of the policy whose spread was measured; None where one was supposed.
        changed: share of the decisions in which a policy was supposed to take another action, or, of one at hand, how
            many come out differently.
        exploration: of production, as the log shows it.
        actions: how many.
        variable: what the gate would weigh, see the statistics.
        second_moment: E[y²] of it at the hoped-for gain, rewards in [0, 1]; None without exploration.
        rows_to_judge, rows: decisions to judge on, and of the whole log; None without exploration.
        days: that the whole log takes at its present rate; None without times.
        rows_boosted: decisions of the whole log if the gate's booster may bet; None where it may not.
        exploration_needed: smallest exploration at which a log as long as this one would be enough; None where none is.
        detectable_gain: smallest relative gain that this log certifies; None where there is none.
        by_exploration: the same at other explorations.
        curve: smallest gains by length of the log and exploration.
        notes: what was supposed, in plain sentences.
    """

    source: str
    log_rows: int
    log_days: float | None
    gain: float
    gain_per_decision: float
    production_value: float
    confidence: float
    power: float
    policy: str | None
    changed: float
    exploration: float
    actions: int
    variable: Literal["plain", "doubly robust"]
    second_moment: float | None
    rows_to_judge: int | None
    rows: int | None
    days: float | None
    rows_boosted: int | None
    exploration_needed: float | None
    detectable_gain: float | None
    by_exploration: list[ExplorationPoint]
    curve: list[CurvePoint]
    notes: list[str]


@overload
def plan(
    log: Log | Any,
    gain: float,
    *,
    confidence: float = ...,
    power: float = ...,
    policy: Policy | str | os.PathLike[str] | None = ...,
    changed: float = ...,
    exploration: Sequence[float] = ...,
    discount: None = ...,
    per: str | float | None = ...,
    gap: str | float | None = ...,
    deviation_budget: None = ...,
) -> GainPlan: ...


@overload
def plan(
    log: Log | Any,
    gain: float,
    *,
    confidence: float = ...,
    power: float = ...,
    policy: Policy | str | os.PathLike[str] | None = ...,
    changed: float = ...,
    exploration: Sequence[float] = ...,
    discount: float,
    per: str | float | None = ...,
    gap: str | float | None = ...,
    deviation_budget: float | None = ...,
) -> ReturnPlan: ...


@overload
def plan(
    log: Log | Any,
    gain: float,
    *,
    confidence: float = ...,
    power: float = ...,
    policy: Policy | str | os.PathLike[str] | None = ...,
    changed: float = ...,
    exploration: Sequence[float] = ...,
    discount: float | None,
    per: str | float | None = ...,
    gap: str | float | None = ...,
    deviation_budget: float | None = ...,
) -> GainPlan | ReturnPlan: ...


def plan(
    log: Log | Any,
    gain: float,
    *,
    confidence: float = 0.999,
    power: float = 0.8,
    policy: Policy | str | os.PathLike[str] | None = None,
    changed: float = 0.3,
    exploration: Sequence[float] = EXPLORATIONS,
    discount: float | None = None,
    per: str | float | None = None,
    gap: str | float | None = None,
    deviation_budget: float | None = None,
) -> GainPlan | ReturnPlan:
    """How many decisions, for how many days, at which exploration, a certificate of a gain takes.

    Args:
        log: a ``Log`` or anything ``read_log`` reads.
        gain: that a better policy is hoped to have, relative to production's value: 0.02 is 2%.
        confidence: of the certificate.
        power: probability that the certificate is given if the gain is real.
        policy: a policy or its folder, whose spread is measured on the validation part of the log.
        changed: without a policy, the share of decisions in which one is supposed to take another action.
        exploration: shares of the decisions to suppose that production spreads over all actions.
        discount: γ in [0, 1): the gain is one in what the reward adds up to for a unit, and evidence is units, as in
            ``improve``; by default each decision counts by its own reward.
        per, gap: see ``improve``.
        deviation_budget: with a discount, Σ χ² over an episode that a policy may spend on straying from production, in
            95% of the episodes; by default 2, or what the policy at hand spends.

    Returns:
        ``GainPlan``; with a discount ``ReturnPlan``.

    Raises:
        OptionError: an argument outside its range, or a gain that no rewards within their bounds give.
        LogError: the log cannot be read, or has no decision or reward to plan from.
        PolicyError: the folder holds no sound policy.
    """
    check_hopes(gain, confidence, power, changed, exploration)
    timeline = asked_timeline(discount, per, gap)
    if timeline is None and deviation_budget is not None:
        raise OptionError(
            "Only policies over whole episodes have a deviation budget",
            example=deviation_budget,
            remedy="Add for example --discount 0.95, or leave it out.",
        )
    chosen = load_policy(policy) if policy is not None and not isinstance(policy, Policy) else policy
    if chosen is not None:
        opened = read_for(chosen.card.log_schema, log, need="decisions")
    else:
        opened = log if isinstance(log, Log) else read_log(log)
    if timeline is not None:
        return plan_ahead(
            opened,
            gain,
            timeline,
            confidence=confidence,
            power=power,
            policy=chosen if isinstance(chosen, Policy) else None,
            changed=changed,
            exploration=exploration,
            deviation_budget=deviation_budget,
        )
    tally = tally_of(opened)
    seen = measured(opened, chosen) if isinstance(chosen, Policy) and not tally.deterministic else None
    schema = opened.schema
    width = schema.reward_high - schema.reward_low
    mean = float(tally.count @ tally.reward / tally.count.sum())
    value = schema.reward_low + width * mean
    _check_gain(gain, value, schema.reward_high, mean)
    sight = Sight(
        log_rows=opened.rows,
        tally=tally if seen is None else seen.tally,
        changed=changed,
        value=mean + schema.reward_low / width,
        most=(schema.reward_high - value) / value,
        alpha=round(1.0 - confidence, 15),
        power=power,
    )
    robust = _robust(opened, seen, mean)
    here, savings = sight.here(gain, robust), sight.savings(robust)
    now, per_day, repeats = shown(tally.exploration), rows_per_day(opened), opened.units_repeat(*TRAIN)
    curves = {rate: sight.curve(rate, savings, gain) for rate in rates_of(exploration, tally.exploration)}
    needed = {rate: here.rows if rate == now else curve.rows_of(gain) for rate, curve in curves.items()}
    return GainPlan(
        source=opened.source,
        log_rows=opened.rows,
        log_days=None if per_day is None else rounded(opened.rows / per_day),
        gain=gain,
        gain_per_decision=rounded(gain * value),
        production_value=rounded(value),
        confidence=confidence,
        power=power,
        policy=chosen.name if isinstance(chosen, Policy) and seen is not None else None,
        changed=changed if seen is None else rounded(seen.changed),
        exploration=now,
        actions=len(schema.actions),
        variable=here.variable,
        second_moment=None if here.second_moment is None else rounded(here.second_moment),
        rows_to_judge=None if here.rows is None else upwards(here.rows),
        rows=_whole(here.rows),
        days=_days(_whole(here.rows), per_day),
        rows_boosted=_whole(here.boosted) if schema.has_propensities and not repeats else None,
        exploration_needed=sight.exploration_needed(gain, savings),
        detectable_gain=curves[now].gain_of(opened.rows) if now in curves else None,
        by_exploration=[_at(rate, needed[rate], per_day, curve.gain_of(opened.rows)) for rate, curve in curves.items()],
        curve=[
            CurvePoint(
                exploration=rate, rows=length, days=_days(length, per_day), detectable_gain=curve.gain_of(length)
            )
            for length in (max(round(opened.rows * times), 1) for times in LENGTHS)
            for rate, curve in curves.items()
        ],
        notes=[*_notes(opened, tally, seen, changed, here, repeats), *opened.notes],
    )


def _at(exploration: float, judged: int | None, per_day: float | None, detectable: float | None) -> ExplorationPoint:
    rows = _whole(judged)
    return ExplorationPoint(
        exploration=exploration,
        rows_to_judge=None if judged is None else upwards(judged),
        rows=rows,
        days=_days(rows, per_day),
        detectable_gain=detectable,
    )


def _robust(log: Log, seen: Measured | None, mean: float) -> Robust | None:
    """The doubly-robust variable where a gate might take it: its law from the plain one's and the gate's rows."""
    schema = log.schema
    known = schema.has_propensities and (schema.roles.pmf is not None or len(schema.actions) == 2)
    if not known or mean < LEAST_BASE_RATE:
        return None
    if seen is not None:
        return lambda plain, rows: seen.robust(plain.second_moment, rows)

    def supposed(plain: Law, rows: int) -> Law:
        kappa = kappa_for(plain.second_moment, rows)
        return predicted(plain, mean, kappa, robust_bound(kappa))

    return supposed


def _notes(log: Log, tally: Tally, seen: Measured | None, changed: float, here: Here, repeats: bool) -> list[str]:
    """What was supposed, most important first."""
    said = []
    if tally.deterministic:
        said.append(
            "Every decision of this log was certain, so no number of them is enough: let production take a random "
            "action in a share of its decisions, and log how likely each action was. How long that takes is supposed "
            "from the rewards of this log, as if other actions brought about the same."
        )
    if not log.schema.has_propensities:
        said.append(
            "No propensities were logged: "
            + ("the policy's clone of production stands in" if seen else "how often each action was taken stands in")
            + ", so these figures are rough, and a certificate would be conditional."
        )
    if seen is None:
        said.append(
            f"Supposed is a policy that prefers another action than production's favourite in {changed:.0%} of the "
            "decisions and keeps exploring in a tenth of them; name one with --policy to measure it instead."
        )
    else:
        said.append(
            f"The policy's spread was measured on {len(seen.action):,} decisions that neither fitted it nor will judge "
            "it; its gain was not measured but is as hoped for."
        )
    if here.variable == "doubly robust":
        said.append(
            "Rewards are common here, so the gate takes out what can be predicted, which saves "
            f"{1.0 - here.saving:.0%} of the decisions."
        )
    if repeats:
        said.append(
            "Every decision counts by itself here. If the audit finds that decisions of a unit hang together, evidence "
            "is counted by unit, and more is needed."
        )
    if log.schema.roles.time is None:
        said.append("Days are not known, because the log has no time.")
    rows = int(tally.count.sum())
    if rows < FEW_ROWS:
        said.append(f"All of this was measured on {rows:,} decisions and is rough.")
    return said


def _check_gain(gain: float, value: float, most: float, mean: float) -> None:
    """Refuse gains that mean nothing, or that no reward allows."""
    if mean <= 0:
        raise LogError("Every reward is as low as it can be, so a gain has no scale", remedy="Wait for rewards.")
    if value <= 0:
        raise OptionError(
            "A gain relative to production's value means nothing where that is not positive",
            example=value,
            remedy="Shift the reward so that doing nothing of use is worth 0.",
        )
    if value * (1.0 + gain) >= most:
        raise OptionError(
            f"Production earns {value:.4g} per decision and {most:.4g} is the most there can be",
            example=gain,
            remedy=f"Hope for less than {most / value - 1.0:.3g}.",
        )


def _whole(judged: int | None) -> int | None:
    """Decisions of the whole log, three significant digits upwards."""
    return None if judged is None else upwards(judged / GATE_SHARE)


def _days(rows: int | None, per_day: float | None) -> float | None:
    return None if rows is None or per_day is None else rounded(rows / per_day)
