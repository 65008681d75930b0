"""Why the gate refused, and what would be enough: sentences for people who own a product.

In: the plan, a few figures of the gate's rows, its findings. Out: plain sentences. The gate imports this
module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jumar.evaluate.certificate import Finding
from jumar.evaluate.plan import GatePlan
from jumar.evaluate.planner import detectable_gain, rows_needed, rows_to_explore

_HOPED_FOR = 0.05  # the relative gain for which exploration is suggested, where none could be measured


@dataclass(frozen=True)
class Evidence:
    """Figures of the gate's rows, rewards in [0, 1].

    Attributes:
        rows: how many.
        gate_gain: mean d of the candidate that is tested first.
        reward_mean: mean reward.
        reward_square: mean squared reward.
        deterministic: no decision could have been another.
        passed: how many candidates passed their tests.
        released: index of the candidate to release, None when refused.
    """

    rows: int
    gate_gain: float
    reward_mean: float
    reward_square: float
    deterministic: bool
    passed: int
    released: int | None


def enough_rows(plan: GatePlan, evidence: Evidence) -> int | None:
    """Gate rows for a power of 80% if the validation gain of the candidate tested first is true."""
    first = plan.candidates[plan.order[0]]
    if evidence.released is not None or first.validation_gain <= 0 or evidence.deterministic:
        return None
    return rows_needed(first.validation_gain, first.second_moment, plan.alpha)


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
    findings = [*log_findings, *own_findings]
    if evidence.released is not None:
        said = [one.sentence for one in findings if one.verdict == "warning"]
        if evidence.released != plan.primary:
            said.insert(0, "The policy that promised most was not released; one that deviates less was.")
        return said if gamma is None else [_conditional(gamma), *said]
    if evidence.rows == 0:
        return ["The gate has seen no rows."]
    if evidence.deterministic:
        return [one.sentence for one in log_findings if one.verdict == "blocked"] + [_explore(plan, evidence)]
    blocked = [one.sentence for one in log_findings if one.verdict == "blocked"]
    if blocked:
        return blocked
    own = [one.sentence for one in own_findings if one.verdict == "blocked"]
    if evidence.passed == 0:
        return [_weak(plan, evidence), *own]
    return own or ["Only policies passed that deviate more than the one that promised most; none is released."]


def _weak(plan: GatePlan, evidence: Evidence) -> str:
    """The evidence did not suffice: no gain, a gain that vanished, an uncertain gain, or too few rows."""
    scale = plan.reward_high - plan.reward_low
    first = plan.candidates[plan.order[0]]
    hoped = f"{scale * first.validation_gain:+.4g} per decision"
    if first.validation_gain <= 0:
        return (
            "No policy looked better than production on the training rows kept for checking "
            f"(best: {hoped}), so there is nothing to certify."
        )
    if evidence.gate_gain <= 0:
        return (
            f"On the gate's rows the policy was no better than production ({scale * evidence.gate_gain:+.4g} "
            f"per decision), although it had looked better before ({hoped})."
        )
    needed = enough_rows(plan, evidence)
    enough = "A new attempt needs new rows."
    if needed is not None and needed > evidence.rows:
        enough = f"If it is real, about {needed:,} gate rows would be enough; there were {evidence.rows:,}."
    if first.validation_z < 2.0:
        return (
            f"The gain that was hoped for ({hoped}) cannot be told apart from zero on the training rows "
            f"kept for checking. {enough}"
        )
    least = scale * detectable_gain(evidence.rows, first.second_moment, plan.alpha)
    return (
        f"Too few rows for {plan.confidence * 100:.6g}% confidence: {evidence.rows:,} gate rows can certify "
        f"a gain of about {least:.4g} per decision; {hoped} was expected. {enough}"
    )


def _explore(plan: GatePlan, evidence: Evidence) -> str:
    """How much exploration for how long would be enough, for a gain of five per cent."""
    advice = "Let production take a random action in a small share of its decisions, and log how likely each was."
    actions, gain = len(plan.supported), _HOPED_FOR * evidence.reward_mean
    if gain <= 0 or actions < 2:
        return advice
    few, many = (
        rows_to_explore(gain, plan.alpha, exploration=share, actions=actions, reward_square=evidence.reward_square)
        for share in (0.05, 0.2)
    )
    return (
        f"{advice} To certify a gain of {_HOPED_FOR:.0%}, about {few:,} gate rows would do at 5% "
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
