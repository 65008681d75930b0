"""Why the gate refused, and what would be enough: sentences for people who own a product.

In: the plan, a few figures of the gate's rows, its findings. Out: plain sentences. The gate imports this
module.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jumar.evaluate.certificate import ClaimResult, Finding
from jumar.evaluate.plan import GatePlan
from jumar.evaluate.planning.rows import detectable_gain, rows_needed, rows_to_explore
from jumar.evaluate.wagers import Wager

_HOPED_FOR = 0.05  # the relative gain that is supposed where none could be measured
_GAINS = ("value", "return")
_LEAST_Z = 1.0  # a measured gain within its own error is no basis for a plan


@dataclass(frozen=True)
class Evidence:
    """Figures of the gate's rows, rewards in [0, 1].

    Attributes:
        rows: how many.
        per_piece: rows for each piece of evidence; 1 unless evidence is by unit.
        gate_gain: mean gain per decision of the candidate that is tested first.
        reward_mean: mean reward.
        reward_square: mean squared reward.
        deterministic: no decision could have been another.
        passed: how many candidates passed their tests.
        released: index of the candidate to release, None when refused.
        failed: required claims that the primary did not pass.
        single: of the primary, where returns are claimed: that a single deviation gains.
    """

    rows: int
    per_piece: float
    gate_gain: float
    reward_mean: float
    reward_square: float
    deterministic: bool
    passed: int
    released: int | None
    failed: Sequence[ClaimResult] = ()
    single: ClaimResult | None = None


@dataclass(frozen=True)
class Need:
    """What would be enough: ``rows`` to judge on, for a ``gain`` on [0, 1] that was measured or is only supposed."""

    rows: int
    gain: float
    measured: bool


def need(plan: GatePlan, evidence: Evidence) -> Need | None:
    """Rows to judge on for a power of 80%, at the gain that the gate measured for the candidate tested first.

    The gate's rows chose nothing, so what they measured is not flattered, as the validation gain is. Where they
    measured no gain beyond its own error, five per cent are supposed instead. None where more rows are no remedy.
    """
    if evidence.released is not None or evidence.deterministic or evidence.rows == 0:
        return None
    supposed = _HOPED_FOR * evidence.reward_mean
    first = plan.gain[plan.order[0]]
    measured = evidence.gate_gain > _LEAST_Z * _error(plan, first, evidence)
    gain = evidence.gate_gain if measured else supposed
    # A candidate near production could never gain five per cent; those that could deviate, and weigh, more.
    moment = first.second_moment if measured else max(one.second_moment for one in plan.gain)
    if gain <= 0:
        return None
    pieces = rows_needed(gain * plan.per_piece(evidence.per_piece), moment, plan.alpha)
    rows = _rounded(pieces * evidence.per_piece)
    return Need(rows, gain, measured) if rows > evidence.rows else None


def why(
    plan: GatePlan,
    evidence: Evidence,
    log_findings: Sequence[Finding],
    own_findings: Sequence[Finding],
    gamma: float | None,
) -> list[str]:
    """Reasons of a refusal with what would be enough, or what to know about a release.

    Args:
        plan: the gate's plan.
        evidence: figures of the gate's rows.
        log_findings: audits of the log.
        own_findings: audits of the released candidate, of the primary when refused.
        gamma: the largest misjudgement of propensities survived, None where they were logged.
    """
    if evidence.released is not None:
        said = [] if gamma is None else [_conditional(gamma)]
        if evidence.released != plan.primary:
            said.append(
                "The policy that promised most was not released; one that deviates less was. The bound printed for a "
                "second choice is drawn more widely; the verdict does not rest on it."
            )
        return said
    if evidence.rows == 0:
        return ["No decision was left to judge on."]
    if evidence.deterministic:
        advice = explore(plan.alpha, len(plan.supported), evidence.reward_mean, evidence.reward_square)
        return [one.sentence for one in log_findings if one.verdict == "blocked"] + [advice]
    blocked = [one.sentence for one in log_findings if one.verdict == "blocked"]
    if blocked:
        return blocked
    own = [one.sentence for one in own_findings if one.verdict == "blocked"]
    if evidence.passed == 0:
        others = [one for one in evidence.failed if one.kind not in _GAINS or one.margin]
        value = any(one.kind in _GAINS for one in evidence.failed) or not evidence.failed
        weak = [_weak(plan, evidence)] if value else []
        return [*weak, *(_unshown(plan, one) for one in others), *own, *_canary(plan, evidence)]
    return own or ["Only policies passed that deviate more than the one that promised most; none is released."]


def _weak(plan: GatePlan, evidence: Evidence) -> str:
    """The evidence did not suffice: no gain, a gain that vanished, or too few rows for what was measured."""
    scale = plan.claims[0].claim.scale
    first = plan.gain[plan.order[0]]
    promised = first.mean * plan.per_decision
    hoped, measured = (f"{scale * gain:+.4g} per {plan.gain_per}" for gain in (promised, evidence.gate_gain))
    error = _error(plan, first, evidence)
    if promised <= 0:
        said = (
            "No policy looked better than production on the training decisions kept for checking "
            f"(best: {hoped}), so there is nothing to certify."
        )
    elif evidence.gate_gain <= 0:
        said = (
            f"On the {evidence.rows:,} decisions kept for judging the policy was no better than production "
            f"({measured}), although it had looked better before ({hoped})."
        )
    elif evidence.gate_gain <= _LEAST_Z * error:
        said = (
            f"On the {evidence.rows:,} decisions kept for judging no gain could be told from chance: they measured "
            f"{measured}, with an error of {scale * error:.4g}."
        )
    else:
        pieces = max(round(evidence.rows / evidence.per_piece), 1)
        least = scale * detectable_gain(pieces, first.second_moment, plan.alpha) / plan.per_piece(evidence.per_piece)
        said = (
            f"Too few decisions for {plan.confidence * 100:.6g}% confidence: the {evidence.rows:,} kept for judging "
            f"can vouch for a gain of about {least:.4g} per {plan.gain_per}; they measured {measured}."
        )
    return f"{said} {_enough(plan, evidence)}"


def _canary(plan: GatePlan, evidence: Evidence) -> list[str]:
    """What is left to do where a policy cannot be judged along whole timelines."""
    if plan.timeline is None:
        return []
    said = "Unverified: canary required. Along whole timelines this log cannot vouch for the policy"
    if evidence.single is not None and evidence.single.verdict == "passed":
        least = f"at least {evidence.single.lower_bound:.4g} per unit"
        said = (
            f"{said}; that a single deviation from production gains, {least}, it does show, which is no promise about "
            "deviating in every decision."
        )
    else:
        said = f"{said}, nor that a single deviation from production gains."
    return [f"{said} {_ahead(plan, evidence)}"]


def _ahead(plan: GatePlan, evidence: Evidence) -> str:
    """Who tells what would be enough along timelines: the planner, at the gain that was measured or is supposed."""
    assert plan.timeline is not None
    measured = evidence.gate_gain > _LEAST_Z * _error(plan, plan.gain[plan.order[0]], evidence)
    gain = evidence.gate_gain / evidence.reward_mean if measured and evidence.reward_mean > 0 else _HOPED_FOR
    return (
        f"What would change that, and how many units a canary takes: jumar plan LOG --gain {gain:.2g} "
        f"--confidence {plan.confidence:.10g} {plan.timeline.flags}"
    )


def _unshown(plan: GatePlan, claim: ClaimResult) -> str:
    """A claim on something else than the gain, or with a margin, that was not shown."""
    said = f"Not shown with {plan.confidence * 100:.6g}% confidence: {claim.claim}"
    how = "exceeded" if claim.estimate >= 0 else "missed"
    missed = f"It was {how} by about {abs(claim.estimate):.4g} per {plan.gain_per}"
    return f"{said} {missed}, and could be missed by {max(-claim.lower_bound, 0.0):.4g}."


def _error(plan: GatePlan, wager: Wager, evidence: Evidence) -> float:
    """Standard error of the gain per decision that the gate measured, on [0, 1]."""
    pieces = max(evidence.rows / evidence.per_piece, 1.0)
    return math.sqrt(wager.second_moment / pieces) / plan.per_piece(evidence.per_piece)


def _enough(plan: GatePlan, evidence: Evidence) -> str:
    """What would be enough, in decisions to judge on and in decisions of the whole log."""
    wanted = need(plan, evidence)
    if wanted is None:
        return "A new attempt needs new decisions."
    share = 1.0 - float(plan.split.get("gate", 0.5))
    log = f"{_rounded(wanted.rows / share):,}"
    judged = f"about {wanted.rows:,} decisions to judge on would be enough, a log of some {log}"
    if wanted.measured:
        return f"If the gain is as large as measured, {judged}."
    return f"To certify a gain of {_HOPED_FOR:.0%}, {judged}."


def _rounded(rows: float) -> int:
    """Two significant digits, upwards."""
    unit = 10 ** max(len(str(int(rows))) - 2, 0)
    return -int(-rows // unit) * unit


def explore(alpha: float, actions: int, reward_mean: float, reward_square: float) -> str:
    """How much exploration for how long would be enough, for a gain of five per cent.

    Args:
        alpha: error probability of the certificate.
        actions: number of actions.
        reward_mean, reward_square: mean and mean square of the rewards on [0, 1].
    """
    advice = "Let production take a random action in a small share of its decisions, and log how likely each was."
    gain = _HOPED_FOR * reward_mean
    if gain <= 0 or actions < 2:
        return advice
    few, many = (
        rows_to_explore(gain, alpha, exploration=share, actions=actions, reward_square=reward_square)
        for share in (0.05, 0.2)
    )
    return (
        f"{advice} To certify a gain of {_HOPED_FOR:.0%}, about {few:,} decisions to judge on would do at 5% "
        f"exploration, or {many:,} at 20%."
    )


def _conditional(gamma: float) -> str:
    if gamma == 0.0:
        return (
            "Propensities were estimated, not logged. The verdict holds only if production's true "
            "probabilities are nowhere above the estimates."
        )
    return (
        "Propensities were estimated, not logged. The verdict holds if production's true probabilities are "
        f"at most {gamma:.0%} above the estimates where the candidates deviate, and not above them elsewhere."
    )
