"""From what a gate has seen to its verdict: the walk, the claims of what is released, and the reasons.

In: a ``Gate``. Out: ``GateResult``. Only ``gate`` imports this module; others find the names there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from jumar.evaluate.capital import Capital
from jumar.evaluate.certificate import ClaimResult, Finding, WalkPoint
from jumar.evaluate.plan import GatePlan
from jumar.evaluate.reasons import Evidence, need, why
from jumar.evaluate.sequence import released_candidate, walk

if TYPE_CHECKING:
    from jumar.evaluate.gate import Gate


@dataclass(frozen=True)
class GateResult:
    """What the gate says.

    Attributes:
        verdict: "certified", "conditional" (propensities were estimated) or "refused".
        walk: one point per candidate, from least to most deviation, in units of the reward.
        claims: every claim for the released candidate (for the primary when refused), the paired gain first.
        released: index of the candidate to release, None when refused.
        estimate: its average gain per decision in units of the reward, or that of the primary when
            refused.
        lower_bound: the bound to print beside it.
        production_value: mean reward per decision, in units of the reward.
        gamma: the largest misjudgement of propensities that the verdict survives; None unless conditional.
        capital: the state of every candidate's bets on the paired gain.
        findings: the audits of the log, and those of the released candidate (of the primary when refused).
        reasons: why refused and what would be enough, or what to know about a release, in plain sentences.
        rows_needed: decisions to judge on that would be enough, see ``reasons.need``; None when unknown.
        rows: gate rows seen; ``pieces``: pieces of evidence, which are the rows or their units.
    """

    verdict: Literal["certified", "conditional", "refused"]
    walk: list[WalkPoint]
    claims: list[ClaimResult]
    released: int | None
    estimate: float
    lower_bound: float
    production_value: float
    gamma: float | None
    capital: Capital
    findings: list[Finding]
    reasons: list[str]
    rows_needed: int | None
    rows: int
    pieces: int


def verdict_of(gate: Gate) -> GateResult:
    """The verdict on the rows that a gate has seen so far."""
    plan = gate.plan
    passed = walk(gate.passing(), plan.order)
    log_findings = gate.audit.findings(gate.actions)
    blocked = any(one.verdict == "blocked" for one in log_findings)
    own = [_own_findings(gate, k) for k in range(len(plan.candidates))]
    sound = [not blocked and all(one.verdict != "blocked" for one in found) for found in own]
    released = released_candidate(passed, plan.primary, sound)
    points = _walk_points(gate, passed, released)
    shown = plan.primary if released is None else released
    gamma, verdict = None, "refused"
    if released is not None:
        verdict = "conditional" if plan.estimated_propensities else "certified"
        gamma = _gamma(gate, released) if plan.estimated_propensities else None
    place = 0 if gamma is None else plan.gammas.index(gamma)
    claims = [one.result(shown, place) for one in gate.claims]
    evidence = _evidence(gate, len(passed), released, claims)
    return GateResult(
        verdict=verdict,
        walk=points,
        claims=claims,
        released=released,
        estimate=points[shown].estimate,
        lower_bound=points[shown].lower_bound if gamma is None else _bound_at(gate, gamma, shown),
        production_value=gate.claims[0].production(),
        gamma=gamma,
        capital=gate.capital,
        findings=[*log_findings, *own[shown]],
        reasons=why(plan, evidence, log_findings, own[shown], gamma),
        rows_needed=wanted.rows if (wanted := need(plan, evidence)) else None,
        rows=gate.rows,
        pieces=gate.capital.count,
    )


def _own_findings(gate: Gate, k: int) -> list[Finding]:
    capital = gate.capital
    best = int(np.argmax(capital.log_prior[k] + capital.sums[k]))
    growth = float(capital.sums[k, best])
    return gate.audit.of_candidate(k, float(capital.fractions[k, best]), growth, gate.actions)


def _walk_points(gate: Gate, passed: Sequence[int], released: int | None) -> list[WalkPoint]:
    plan, points = gate.plan, []
    gain = gate.claims[0]
    log_capital, mean, least = gain.log_capital, gain.mean(), gain.lower_bounds()
    fails = [(one.claim, one.passing()) for one in gate.claims if one.claim.required]
    for k, candidate in enumerate(plan.candidates):
        place = plan.order.index(k)
        tested = "failed" if place == len(passed) else "not tested"
        points.append(
            WalkPoint(
                name=candidate.name,
                temperature=candidate.temperature,
                price=_scale(gate.plan) * candidate.price,
                deviation=gate.audit.deviation(k),
                validation_gain=_scale(gate.plan) * plan.gain[k].mean * plan.per_decision,
                validation_z=min(one.wagers[k].z for one in plan.claims if one.claim.required),
                test_order=place,
                estimate=_scale(gate.plan) * float(mean[k]),
                lower_bound=_scale(gate.plan) * float(least[k]),
                log_capital=float(log_capital[k]),
                verdict="passed" if k in passed else tested,
                released=k == released,
                not_shown=[claim.metric for claim, passing in fails if not passing[k]],
            )
        )
    return points


def _gamma(gate: Gate, released: int) -> float:
    """The largest Γ of the grid up to which every walk reaches the released candidate."""
    reached = 0.0
    for place, (gamma, order) in enumerate(zip(gate.plan.gammas, gate.plan.gamma_orders, strict=True)):
        if released not in walk(gate.passing(place), order):
            break
        reached = gamma
    return reached


def _bound_at(gate: Gate, gamma: float, k: int) -> float:
    """The lower bound that holds under the same supposition as the conditional verdict."""
    return _scale(gate.plan) * gate.claims[0].lower_bound(k, gate.plan.gammas.index(gamma))


def _evidence(gate: Gate, passed: int, released: int | None, claims: list[ClaimResult]) -> Evidence:
    """What the reasons are made of; figures of the first candidate tested are in [0, 1]."""
    rows, gain = max(gate.rows, 1), gate.claims[0]
    counted = max(gain.rows, 1)
    return Evidence(
        rows=gate.rows,
        per_piece=gate.rows / max(gate.capital.count, 1),
        gate_gain=float(gain.mean()[gate.plan.order[0]]),
        reward_mean=gain.brought / counted,
        reward_square=gate.reward_square / rows,
        deterministic=gate.rows > 0 and gate.audit.uncertain_rows == 0,
        passed=passed,
        released=released,
        failed=[one for one in claims if one.required and one.verdict == "failed"],
        single=next((one for one in claims if one.kind == "deviation"), None),
    )


def _scale(plan: GatePlan) -> float:
    return plan.claims[0].claim.scale
