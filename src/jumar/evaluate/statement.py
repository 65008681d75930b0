"""The certificate: what a gate's result lets one say, and what a refusal before the gate says.

In: the log, the plan, the gate's result. Out: ``Certificate``.
"""

from __future__ import annotations

from collections.abc import Sequence

from jumar.evaluate.certificate import Certificate, Finding
from jumar.evaluate.claims import Claim
from jumar.evaluate.gate import GateResult
from jumar.evaluate.plan import GatePlan
from jumar.logs import Log, Metric
from jumar.policy.artifact import Policy
from jumar.version import VERSION

FRESH = "Every decision was randomised afresh, with the logged probability, given what was known at that moment."
ESTIMATED = (
    "No propensities were logged: the verdict supposes that the estimated ones are too low by no more than the factor "
    "1 + Γ that is stated where the candidates deviate from the clone, and not too low elsewhere."
)
AFRESH = "Every decision was randomised afresh, also within one unit."
BEFORE = "Every feature held, at the moment of the decision, the value that the log shows."
WHOLE = "The log holds every decision once, or which ones it holds did not depend on the draw or on the reward."
APART = (
    "What came of one unit's decisions did not depend on decisions about other units, and each reward came of its own "
    "decision; production did not learn from the very days of the log."
)
FUTURE = "Tomorrow is like the days of the log: the certificate speaks of the decisions that were logged."
BOUNDED = "The {metric} lies between {low:g} and {high:g}, as {known}{capped}."
BY_UNIT = (
    "Units were decided about independently of one another; the decisions of one unit may hang together, but how many "
    "they were, and in which contexts, did not depend on what was decided."
)
RETURNS = (
    "What is certified is what a unit's rewards add up to over the first {most:,} decisions that the log holds of it, "
    "up to the end of its first episode or of the log, each worth {discount} times as much one {each} later, and no "
    "more than {cap:.4g} in all. Later decisions and episodes, and what comes after the log, are not judged, although "
    "the policy would decide there as well. Units were decided about independently of one another."
)
ALSO = "Of what a unit's {metric} adds up to in the same way, no more than {cap:.4g} counts."
ENDED = (
    "When an episode ended, or went on, was known before the next decision was drawn, and its time does not depend on "
    "draws after it."
)
SIGNED = "Rewards may be negative; a unit whose episode has ended brings 0 from then on."
IMPLIED = "Each of the two actions was possible with the probability that the propensity of the other leaves it."
BOOSTED = (
    "Most of the capital was bet in random order (seed {seed}): for it, the decisions are independent draws from one "
    "population, and production did not learn from them."
)
ONCE = "The rows of the gate were used for this one attempt and chose nothing before it."


def certificate_of(
    log: Log, plan: GatePlan, result: GateResult, policy: Policy | None, notes: Sequence[str] = ()
) -> Certificate:
    """Put a gate's result into words and figures, in units of the reward.

    Args:
        log: what was judged on.
        plan: frozen before.
        result: what the gate says.
        policy: what is released.
        notes: what to know about how evidence was counted, and what was found on timelines.
    """
    released = None if result.released is None else result.walk[result.released]
    production = result.production_value
    relative = production > 0
    return Certificate(
        verdict=result.verdict,
        confidence=plan.confidence,
        metric=metric_of(log),
        claim=claimed([one.claim for one in result.claims if one.required]),
        estimate=result.estimate,
        lower_bound=result.lower_bound,
        relative_estimate=result.estimate / production if relative else None,
        relative_lower_bound=result.lower_bound / production if relative else None,
        production_value=production,
        rows=result.rows,
        units=_units_in_gate(log, result.rows),
        temperature=released.temperature if released else None,
        deviation=released.deviation if released else None,
        gamma=result.gamma,
        audits=result.findings,
        reasons=[*result.reasons, *notes],
        assumptions=assumptions_of(log, estimated=plan.estimated_propensities, plan=plan),
        evidence=plan.evidence,
        pieces=result.pieces,
        boosted=plan.boost,
        timeline=plan.timeline,
        return_cap=None if plan.timeline is None else plan.claims[0].claim.high,
        claims=result.claims,
        guardrails=[one for one in result.claims if one.kind in ("metric", "metric_return")],
        rows_needed=result.rows_needed,
        reward_low=log.schema.reward_low,
        reward_high=log.schema.reward_high,
        manifest_sha256=plan.sha256(),
        policy_sha256=policy and policy.card.model_sha256,
        card_sha256=policy and policy.card_file_sha256,
        jumar_version=VERSION,
    )


def refusal_before_gate(
    log: Log, claims: Sequence[Claim], findings: list[Finding], reasons: list[str], confidence: float
) -> Certificate:
    """A refusal that needed no gate: the log itself is not fit to learn from or to judge on."""
    low, high = log.schema.reward_low, log.schema.reward_high
    mean = low + (high - low) * log.reward_moments[0]
    return Certificate(
        verdict="refused",
        confidence=confidence,
        metric=metric_of(log),
        claim=claimed([one.sentence for one in claims if one.required]),
        estimate=None,
        lower_bound=None,
        relative_estimate=None,
        relative_lower_bound=None,
        production_value=mean,
        rows=log.rows_in("gate"),
        units=_units_in_gate(log, log.rows_in("gate")),
        temperature=None,
        deviation=None,
        audits=[finding for finding in findings if finding.verdict == "blocked"],
        reasons=reasons,
        assumptions=assumptions_of(log, estimated=not log.schema.has_propensities),
        reward_low=log.schema.reward_low,
        reward_high=log.schema.reward_high,
        jumar_version=VERSION,
    )


def metric_of(log: Log) -> str:
    """What is certified, by the name of its column."""
    return f"capped {log.schema.roles.reward}" if log.schema.cap_reward else str(log.schema.roles.reward)


def claimed(sentences: Sequence[str]) -> str:
    """All that is claimed, as one text."""
    return " ".join(sentences)


def assumptions_of(log: Log, *, estimated: bool, plan: GatePlan | None = None) -> list[str]:
    """What the certificate takes for granted, in plain sentences."""
    capped = "; what lies beyond counts as the bound" if log.schema.cap_reward else ""
    bounded = BOUNDED.format(
        metric=metric_of(log),
        low=log.schema.reward_low,
        high=log.schema.reward_high,
        known="declared" if log.schema.bounds_declared else "assumed, because all logged ones do",
        capped=capped,
    )
    drawn = [ESTIMATED, AFRESH] if estimated else [FRESH]
    if plan is not None and plan.evidence == "unit":
        drawn = [ESTIMATED, BY_UNIT] if estimated else [BY_UNIT]
    if plan is not None and plan.boost:
        drawn.append(BOOSTED.format(seed=plan.seed))
    if plan is not None and log.schema.roles.pmf is None and any(w.kappa for one in plan.claims for w in one.wagers):
        drawn.append(IMPLIED)
    if plan is not None and plan.timeline is not None:
        counted = {"most": plan.most_per_unit, "discount": plan.timeline.discount, "each": plan.timeline.horizon}
        drawn = [FRESH, RETURNS.format(**counted, cap=plan.claims[0].claim.high), ENDED]
        beside = [one.claim for one in plan.claims if one.claim.kind == "metric_return"]
        drawn += [ALSO.format(metric=one.metric, cap=one.high) for one in beside]
        drawn += [BOOSTED.format(seed=plan.seed)] * plan.boost
        drawn += [SIGNED] if log.schema.reward_low < 0 else []
    named = {one.claim.column for one in plan.claims} if plan is not None else set()
    ranges = [_range_of(metric) for place, metric in enumerate(log.metrics) if place in named]
    return [*drawn, BEFORE, WHOLE, APART, bounded, *ranges, ONCE, FUTURE]


def _range_of(metric: Metric) -> str:
    known = "declared" if metric.bounds_declared else "assumed, because all logged ones do"
    return BOUNDED.format(metric=metric.name, low=metric.low, high=metric.high, known=known, capped="")


def _units_in_gate(log: Log, rows: int) -> int:
    """Distinct units among the gate's rows."""
    return rows if log.schema.roles.unit is None else log.units_in("gate")
