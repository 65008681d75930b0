"""The gate: what may be released, tested on rows that chose nothing.

In: a GatePlan, then logged rows in one pass with the probabilities that every candidate gives the logged
action. Out: a GateResult with the walk along the path, findings and plain reasons. Commands and loops
import this.

The verdict. Candidates are tested in the planned order, each at the full α, up to the first failure. Take
the first candidate in that order that is truly no better than production: to release it or any later one,
its own capital must have reached 1/α, which happens with probability ≤ α. Whatever else is demanded of
those that passed (audits, the primary, effective rows) can only release less.

Estimated propensities. With the clone's μ̂ in place of μ the claim is conditional. Suppose μ ≤ (1 + Γ)·μ̂ where
a candidate's probability differs from the clone's by more than 5%, and μ ≤ μ̂ elsewhere. With ŵ = π/μ̂ then
d ≥ d_Γ = (ŵ/(1 + Γ·[|ŵ − 1| > 0.05]) − 1)·r ≥ −1 row by row, so a walk over capitals on d_Γ vouches for
V(π) ≥ V(μ). Each Γ of a fixed grid has its own walk; reported is the largest Γ up to which all walks reach
the released candidate. Were its claim false, the walk at the smallest Γ of the grid whose supposition is true
would have released it as well: that has probability ≤ α.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jumar.evaluate.capital import Capital, Floats, GateError
from jumar.evaluate.certificate import Finding, WalkPoint
from jumar.evaluate.plan import CandidatePlan, GatePlan, pessimistic, plan_gate
from jumar.evaluate.reasons import Evidence, need, why
from jumar.evaluate.weights import WeightAudit

__all__ = [
    "CandidatePlan",
    "Gate",
    "GatePlan",
    "GateResult",
    "plan_gate",
    "released_candidate",
    "walk",
]

_ROUNDING = 1e-6  # probabilities from single-precision policies
_ROWS_AT_ONCE = 32_768


@dataclass(frozen=True)
class GateResult:
    """What the gate says.

    Attributes:
        verdict: "certified", "conditional" (propensities were estimated) or "refused".
        walk: one point per candidate, from least to most deviation, in units of the reward.
        released: index of the candidate to release, None when refused.
        estimate: its average gain per decision in units of the reward, or that of the primary when
            refused.
        lower_bound: the bound to print beside it.
        production_value: mean reward per decision, in units of the reward.
        gamma: the largest misjudgement of propensities that the verdict survives; None unless conditional.
        capital: the state of every candidate's bets.
        findings: the audits of the log, and those of the released candidate (of the primary when refused).
        reasons: why refused and what would be enough, or what to know about a release, in plain sentences.
        rows_needed: decisions to judge on that would be enough, see ``reasons.need``; None when unknown.
        rows: gate rows seen.
    """

    verdict: Literal["certified", "conditional", "refused"]
    walk: list[WalkPoint]
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


def walk(log_capital: Floats, order: Sequence[int], alpha: float) -> list[int]:
    """Candidates that pass, in the order of their tests, up to the first that fails.

    Args:
        log_capital: [K] in nats.
        order: a permutation of the candidates.
        alpha: each is tested at this error probability.
    """
    passed: list[int] = []
    for k in order:
        if log_capital[k] < math.log(1.0 / alpha):
            break
        passed.append(k)
    return passed


def released_candidate(passed: Sequence[int], primary: int, sound: Sequence[bool]) -> int | None:
    """The passed and sound candidate nearest to the primary from the side of less deviation.

    With bets and order that ignore α, fewer candidates pass and the primary moves back as α shrinks. A
    maximum over a smaller set is no larger: a stricter confidence never releases a larger deviation.
    """
    return max((k for k in passed if k <= primary and sound[k]), default=None)


class Gate:
    """Additive state of the one pass over gate rows; it does not grow with the rows.

    Args:
        plan: frozen before the first row.
        actions: names of the actions for sentences; indices otherwise.
    """

    def __init__(self, plan: GatePlan, actions: Sequence[object] | None = None) -> None:
        self.plan = plan
        self.actions = None if actions is None else [str(one) for one in actions]
        bets = [one.bets() for one in plan.candidates]
        self.capitals = [Capital(bets) for _ in plan.gammas]  # the first is the plain d
        self.audit = WeightAudit(plan)
        self.gain = np.zeros((2, len(bets)))  # Σd, Σd²
        self.reward = np.zeros(2)  # Σr, Σr²

    @property
    def rows(self) -> int:
        """Rows seen so far."""
        return self.audit.rows

    def update(
        self,
        policy: ArrayLike,
        *,
        propensity: ArrayLike,
        reward: ArrayLike,
        action: ArrayLike,
        n_actions: int | None = None,
        untried: ArrayLike | None = None,
        value: ArrayLike | None = None,
    ) -> None:
        """Adds logged rows. Either all are added or, on an error, none.

        Args:
            policy: [rows, K, actions] probabilities of every candidate, or [rows, K] those of the logged
                action.
            propensity: [rows] μ of the logged action, in (0, 1].
            reward: [rows], rescaled to [0, 1].
            action: [rows] indices of the logged actions.
            n_actions: checked against the plan when given.
            untried: [rows, K] mass on actions that TRAIN does not hold; taken from a full pmf by itself.
            value: [rows] predicted mean reward of each context on [0, 1], for the audit of weights only.

        Raises:
            GateError: where shapes disagree or a value lies outside its range.
        """
        mu = np.asarray(propensity, dtype=np.float64)
        r = np.asarray(reward, dtype=np.float64)
        a = np.asarray(action)
        self._check(mu, r, a, n_actions)
        taken, mass = self._taken(np.asarray(policy), a, untried)
        w = taken / mu[:, None]
        if not np.all(w < np.inf):
            raise GateError(
                "a propensity is so small that the weight of its row is infinite",
                example=float(mu.min()),
                remedy="Log propensities above 1e-300.",
            )
        low, high = self.plan.value_low, self.plan.value_high
        v = None if value is None else np.clip((np.asarray(value, dtype=np.float64) - low) / (high - low), 0.0, 1.0)
        for start in range(0, r.size, _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            columns = np.asfortranarray(w[part])  # reductions over rows are several times faster
            known = [None if one is None else one[part] for one in (mass, v)]
            self._add(columns, r[part], mu[part], a[part], *known)

    def _add(
        self,
        w: Floats,
        r: Floats,
        mu: Floats,
        action: NDArray[np.integer],
        mass: Floats | None,
        value: Floats | None,
    ) -> None:
        d = (w - 1.0) * r[:, None]
        for gamma, capital in zip(self.plan.gammas, self.capitals, strict=True):
            capital.update(d if gamma == 0.0 else pessimistic(d, w, gamma))
        self.audit.update(w, d, mu, action, mass, value)
        self.gain += [d.sum(axis=0), np.square(d).sum(axis=0)]
        self.reward += [r.sum(), np.square(r).sum()]

    def _check(self, mu: Floats, r: Floats, action: NDArray[np.integer], n_actions: int | None) -> None:
        known = len(self.plan.supported)
        if n_actions is not None and n_actions != known:
            raise GateError(
                "the number of actions differs from the plan's",
                example=(n_actions, known),
                remedy="Score the gate with the policies of the plan.",
            )
        if mu.ndim != 1 or mu.shape != r.shape or mu.shape != action.shape:
            raise GateError(
                "propensities, rewards and actions must be vectors of one length",
                example=(mu.shape, r.shape, action.shape),
                remedy="Pass the same rows for all three.",
            )
        _demand(mu, (mu > 0) & (mu <= 1 + _ROUNDING), "propensity", "propensities must lie in (0, 1]")
        _demand(r, (r >= 0) & (r <= 1 + 1e-12), "reward", "rewards must lie within their declared bounds")
        if not np.issubdtype(action.dtype, np.integer):
            raise GateError("actions must be indices", example=str(action.dtype), remedy="Pass whole numbers.")
        _demand(action, (action >= 0) & (action < known), "action", f"actions must be indices below {known}")

    def _taken(
        self, policy: NDArray, action: NDArray[np.integer], untried: ArrayLike | None
    ) -> tuple[Floats, Floats | None]:
        """[rows, K] probability of the logged action, and mass on untried actions where it is known."""
        rows, candidates, known = action.size, len(self.plan.candidates), len(self.plan.supported)
        hole = ~np.array(self.plan.supported, dtype=bool)
        mass = None if untried is None else np.asarray(untried, dtype=np.float64)
        if policy.shape == (rows, candidates, known):
            total = policy.sum(axis=2, dtype=np.float64)
            _demand(total, np.abs(total - 1.0) <= 1e-5, "pmf", "the probabilities of a policy must sum to 1")
            _demand(policy, policy >= 0, "pmf", "the probabilities of a policy must not be negative")
            if mass is None and hole.any():
                mass = policy[:, :, hole].sum(axis=2, dtype=np.float64)
            policy = np.take_along_axis(policy, action[:, None, None].astype(np.int64), axis=2)[:, :, 0]
        elif policy.shape != (rows, candidates):
            raise GateError(
                f"expected [rows, {candidates}, {known}] or [rows, {candidates}] probabilities",
                example=policy.shape,
                remedy="Score the gate's rows with all candidates of the plan.",
            )
        taken = policy.astype(np.float64)
        _demand(taken, (taken >= 0) & (taken <= 1 + _ROUNDING), "pmf", "probabilities must lie in [0, 1]")
        if mass is None and not hole.any():
            mass = np.zeros((rows, candidates))
        if mass is not None and mass.shape != (rows, candidates):
            raise GateError(
                "the mass on untried actions needs a value for each row and candidate",
                example=mass.shape,
                remedy="Pass full probabilities, or sum those of untried actions.",
            )
        return taken, mass

    def merge(self, other: Gate) -> Gate:
        """The gate that has seen the rows of both; both must follow one plan."""
        if self.plan != other.plan:
            raise GateError("only gates of the same plan can be merged", remedy="Use one plan for all shards.")
        total = Gate(self.plan, self.actions)
        total.capitals = [a + b for a, b in zip(self.capitals, other.capitals, strict=True)]
        total.audit = self.audit + other.audit
        total.gain = self.gain + other.gain
        total.reward = self.reward + other.reward
        return total

    def result(self) -> GateResult:
        """The verdict on the rows so far; it may be asked for at any time and any number of times."""
        plan, capital = self.plan, self.capitals[0]
        log_capital = capital.log_value
        passed = walk(log_capital, plan.order, plan.alpha)
        log_findings = self.audit.findings(self.actions)
        blocked = any(one.verdict == "blocked" for one in log_findings)
        own = [self._own_findings(k) for k in range(len(plan.candidates))]
        sound = [not blocked and all(one.verdict != "blocked" for one in found) for found in own]
        released = released_candidate(passed, plan.primary, sound)
        points = self._walk_points(log_capital, passed, released)
        shown = plan.primary if released is None else released
        evidence = self._evidence(len(passed), released)
        gamma, verdict = None, "refused"
        if released is not None:
            verdict = "conditional" if plan.estimated_propensities else "certified"
            gamma = self._gamma(released) if plan.estimated_propensities else None
        return GateResult(
            verdict=verdict,
            walk=points,
            released=released,
            estimate=points[shown].estimate,
            lower_bound=points[shown].lower_bound if gamma is None else self._bound_at(gamma, shown),
            production_value=plan.reward_low + self._scale * float(self.reward[0]) / max(self.rows, 1),
            gamma=gamma,
            capital=capital,
            findings=[*log_findings, *own[shown]],
            reasons=why(plan, evidence, log_findings, own[shown], gamma),
            rows_needed=wanted.rows if (wanted := need(plan, evidence)) else None,
            rows=self.rows,
        )

    @property
    def _scale(self) -> float:
        return self.plan.reward_high - self.plan.reward_low

    def _own_findings(self, k: int) -> list[Finding]:
        capital = self.capitals[0]
        best = int(np.argmax(capital.log_prior[k] + capital.sums[k]))
        growth = float(capital.sums[k, best])
        return self.audit.of_candidate(k, float(capital.fractions[k, best]), growth, self.actions)

    def _walk_points(self, log_capital: Floats, passed: Sequence[int], released: int | None) -> list[WalkPoint]:
        plan, points = self.plan, []
        for k, candidate in enumerate(plan.candidates):
            place = plan.order.index(k)
            tested = "failed" if place == len(passed) else "not tested"
            points.append(
                WalkPoint(
                    temperature=candidate.temperature,
                    deviation=self.audit.deviation(k),
                    validation_gain=self._scale * candidate.validation_gain,
                    validation_z=candidate.validation_z,
                    test_order=place,
                    estimate=self._scale * float(self.gain[0, k]) / max(self.rows, 1),
                    lower_bound=self._scale * self.capitals[0].lower_bound(plan.bound_alpha[k], k),
                    log_capital=float(log_capital[k]),
                    verdict="passed" if k in passed else tested,
                    released=k == released,
                )
            )
        return points

    def _gamma(self, released: int) -> float:
        """The largest Γ of the grid up to which every walk reaches the released candidate."""
        plan, reached = self.plan, 0.0
        for gamma, order, capital in zip(plan.gammas, plan.gamma_orders, self.capitals, strict=True):
            if released not in walk(capital.log_value, order, plan.alpha):
                break
            reached = gamma
        return reached

    def _bound_at(self, gamma: float, k: int) -> float:
        """The lower bound that holds under the same supposition as the conditional verdict."""
        capital = self.capitals[self.plan.gammas.index(gamma)]
        return self._scale * capital.lower_bound(self.plan.bound_alpha[k], k)

    def _evidence(self, passed: int, released: int | None) -> Evidence:
        """What the reasons are made of; figures of the first candidate tested are in [0, 1]."""
        rows = max(self.rows, 1)
        return Evidence(
            rows=self.rows,
            gate_gain=float(self.gain[0, self.plan.order[0]]) / rows,
            reward_mean=float(self.reward[0]) / rows,
            reward_square=float(self.reward[1]) / rows,
            deterministic=self.rows > 0 and self.audit.uncertain_rows == 0,
            passed=passed,
            released=released,
        )


def _demand(values: NDArray, good: NDArray[np.bool_], column: str, what: str) -> None:
    if not good.all():
        bad = values[~good]
        raise GateError(
            what,
            column=column,
            count=int(bad.size),
            example=bad.flat[0].item(),
            remedy="Mend the log; the gate never repairs rows.",
        )
