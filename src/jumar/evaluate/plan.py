"""The gate's plan: everything that is decided before the first gate row.

In: rows of TRAIN that fitted nothing, scored by every candidate. Out: a GatePlan, whose hash goes into the manifest.
The gate imports this module; ``gate`` is where others find its names.

Bets, and the order of the tests, do not depend on the confidence: the same log gives the same capitals at any
confidence, and a stricter α passes a subset of what a looser one passes. See ``sequence`` for what follows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from jumar.evaluate.capital import Floats, GateError
from jumar.evaluate.claims import Claim
from jumar.evaluate.sequence import bound_alpha, order_of_tests, primary_candidate
from jumar.evaluate.sequences.footing import Footing
from jumar.evaluate.wagers import ClaimPlan, Trial, Wager, checked_trial, claim_plan, promising, weakest
from jumar.logs import Timeline
from jumar.records import Record

# By how much estimated propensities may be too small, and how near π/μ̂ is to 1 where π and the clone agree.
GAMMAS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0)
AGREES = 0.05


class CandidatePlan(Record, frozen=True, kw_only=True):
    """One candidate, as frozen before the gate.

    Attributes:
        temperature: its place on the path; None for a policy that is not on it.
        policy_sha256: hash of the policy that will be scored.
        weight_bound: weights beyond it are cut off in the audit that looks for missing weight.
        expected_ess: effective rows expected in the gate, None when no weights were given.
        name: what to call it.
        price: what each unit of cost is held to be worth, in units of the reward on [0, 1].
    """

    temperature: float | None
    policy_sha256: str
    weight_bound: float
    expected_ess: float | None = None
    name: str = ""
    price: float = 0.0


class GatePlan(Record, frozen=True, kw_only=True):
    """All that the verdict depends on besides the gate's rows.

    Attributes:
        rows_planned: units of evidence that the gate is expected to hold.
        candidates: from least to most deviation.
        claims: what must be shown; the first is the paired gain, measured in any case.
        order: candidates in the order of their tests, each at the full alpha, up to the first failure.
        gammas: the grid of Γ that is tested; only 0 where propensities were logged.
        gamma_orders: the order of tests at each Γ; the first is ``order``.
        primary: the candidate that promises the best lower bound.
        bound_alpha: the error probability at which each candidate's lower bound is computed; sums to ≤ alpha.
        supported: [actions] whether TRAIN holds each action.
        propensity_floor: the smallest propensity of TRAIN.
        estimated_propensities: propensities come from the clone, and the verdict can only be conditional.
        evidence: what counts as one piece of evidence: a decision, or all decisions of a unit together.
        most_per_unit: decisions of a unit that count, where evidence is by unit.
        boost: most of the capital bets by the booster, see ``star``.
        split: how units were divided, such as the salt of the hash and the fractions.
        timeline: the discount of what follows, where returns are claimed; ``return_cap``: the most that a unit counts,
            in rewards on the footing, see ``sequences.footing``.
        value_low, value_high: predicted mean rewards that the audit of weights reads as 0 and as 1.
    """

    confidence: float
    alpha: float
    rows_planned: int
    seed: int
    candidates: list[CandidatePlan]
    claims: list[ClaimPlan]
    order: list[int]
    gammas: list[float]
    gamma_orders: list[list[int]]
    primary: int
    bound_alpha: list[float]
    supported: list[bool]
    propensity_floor: float
    estimated_propensities: bool
    validation_rows: int
    validation_pieces: int
    reward_low: float
    reward_high: float
    log_source: str
    split: dict[str, float | str]
    schema_sha256: str
    jumar_version: str
    evidence: Literal["decision", "unit"] = "decision"
    most_per_unit: int = 1
    boost: bool = False
    timeline: Timeline | None = None
    return_cap: float = 1.0
    value_low: float = 0.0
    value_high: float = 1.0

    @property
    def gain(self) -> list[Wager]:
        """[K] wagers on the paired gain."""
        return self.claims[0].wagers

    @property
    def counted(self) -> int | None:
        """Decisions of a unit that count, where evidence is by unit; None where each decision counts by itself."""
        return self.most_per_unit if self.evidence == "unit" else None

    @property
    def footing(self) -> Footing:
        """What rewards count from, where returns are claimed."""
        assert self.timeline is not None
        return Footing.of(self.reward_low, self.reward_high, self.timeline, self.most_per_unit)

    @property
    def per_decision(self) -> float:
        """What an average over the validation's pieces of evidence is multiplied by to be one as it is reported."""
        return 1.0 if self.timeline is not None else self.most_per_unit * self.validation_pieces / self.validation_rows

    def per_piece(self, decisions: float) -> float:
        """What a gain as it is reported comes to in a piece of evidence with so many decisions."""
        return 1.0 if self.timeline is not None else decisions / self.most_per_unit

    @property
    def gain_per(self) -> str:
        """What gains are counted by, in words."""
        return "decision" if self.timeline is None else "unit"

    def to_json(self) -> bytes:
        """Canonical, readable JSON: keys sorted, shortest decimals. The bytes of ``manifest.json``."""
        return msgspec.json.format(msgspec.json.encode(self, order="sorted"), indent=2) + b"\n"

    def sha256(self) -> str:
        """Hash of the plan's canonical JSON (keys sorted, shortest decimals)."""
        return hashlib.sha256(self.to_json()).hexdigest()


def plan_gate(
    *,
    temperatures: Sequence[float | None],
    policy_sha256: Sequence[str],
    rows_planned: int,
    supported: ArrayLike,
    validation_d: ArrayLike | None = None,
    trials: Sequence[Trial] | None = None,
    confidence: float | None = None,
    alpha: float | None = None,
    seed: int = 0,
    validation_w: ArrayLike | None = None,
    decisions_planned: int | None = None,
    validation_rows: int | None = None,
    propensity_floor: float = 1e-3,
    estimated_propensities: bool = False,
    reward_low: float = 0.0,
    reward_high: float = 1.0,
    log_source: str = "",
    split: Mapping[str, float | str] | None = None,
    schema_sha256: str = "",
    jumar_version: str = "",
    value_range: tuple[float, float] = (0.0, 1.0),
    names: Sequence[str] | None = None,
    prices: Sequence[float] | None = None,
    evidence: Literal["decision", "unit"] = "decision",
    most_per_unit: int = 1,
    boost: bool = False,
    timeline: Timeline | None = None,
    return_cap: float = 1.0,
) -> GatePlan:
    """Freezes candidates, claims, bets, order and error probabilities.

    Args:
        temperatures: [K]; None for a policy that is not on the path.
        policy_sha256: [K].
        rows_planned: units of evidence that the gate is expected to hold.
        supported: [actions] whether TRAIN holds each action.
        validation_d: [rows, K] d = (w − 1)·r of every candidate on TRAIN rows that fitted nothing, r in [0, 1].
            Candidates are indexed from least to most deviation. Instead of ``trials`` where "not worse" is all.
        trials: the claims with their variables on such rows; the first is the paired gain.
        confidence: 1 − α, for example 0.999; or give ``alpha``.
        alpha: the error probability of the verdict.
        seed: of the booster's shuffle.
        validation_w: [rows, K] importance weights, if at hand: they bound the audits' weights and move candidates with
            too few effective rows to the end of the order.
        decisions_planned: decisions that the gate is expected to hold, where they are not the units of evidence.
        validation_rows: decisions behind the trials, where they are not the units of evidence.
        propensity_floor: the smallest propensity of TRAIN.
        estimated_propensities, evidence, most_per_unit, boost, timeline, return_cap: see ``GatePlan``.
        reward_low: what the rescaled reward 0 stands for.
        reward_high: what 1 stands for.
        log_source: where the rows come from.
        split: how units were divided.
        schema_sha256: hash of the log's schema.
        jumar_version: version of the package.
        value_range: predicted values that the audit of weights reads as 0 and as 1.
        names: [K] what to call the candidates.
        prices: [K] see ``CandidatePlan``.

    Raises:
        GateError: where the arrays disagree, a variable is impossible or α lies outside (0, 1).
    """
    alpha = _alpha(confidence, alpha)
    count = len(temperatures)
    if not (rows_planned > 0 and 0 < propensity_floor <= 1 and reward_high > reward_low):
        raise GateError(
            "the gate needs planned rows, a propensity floor in (0, 1] and a reward range that is not empty",
            example=(rows_planned, propensity_floor, reward_low, reward_high),
            remedy="Check the split of the log and the declared range of the reward.",
        )
    if trials is None:
        not_worse = Claim(kind="value", metric="reward", low=float(reward_low), high=float(reward_high))
        trials = [Trial(not_worse, np.asarray(validation_d, dtype=np.float64))]
    tried = [checked_trial(trial, count, len(policy_sha256)) for trial in trials]
    w = None if validation_w is None else np.asarray(validation_w, dtype=np.float64)
    if w is not None and (w.ndim != 2 or w.shape[1] != count or not np.all((w >= 0) & np.isfinite(w))):
        raise GateError(
            "validation weights must be finite, not negative, and as many as the candidates",
            example=w.shape,
            remedy="Pass π(a|x)/μ(a|x) for the validation rows.",
        )
    claims = [claim_plan(trial, rows_planned) for trial in tried]
    candidates = [
        CandidatePlan(
            temperature=None if temperature is None else float(temperature),
            policy_sha256=digest,
            name=names[k] if names else "",
            price=float(prices[k]) if prices else 0.0,
            **_weights(None if w is None else w[:, k], decisions_planned or rows_planned, float(propensity_floor)),
        )
        for k, (temperature, digest) in enumerate(zip(temperatures, policy_sha256, strict=True))
    ]
    primary = primary_candidate(
        np.array([one.mean for one in claims[0].wagers]),
        np.array([one.second_moment for one in claims[0].wagers]),
        rows_planned,
        alpha,
        promising(claims),
    )
    order = order_of_tests([weakest(claims, k) for k in range(count)], [one.expected_ess for one in candidates])
    gammas = GAMMAS if estimated_propensities else GAMMAS[:1]
    same_rows = w is not None and w.shape == tried[0].y.shape
    return GatePlan(
        confidence=1.0 - alpha if confidence is None else confidence,
        alpha=alpha,
        rows_planned=int(rows_planned),
        seed=seed,
        candidates=candidates,
        claims=claims,
        order=order,
        gammas=list(gammas),
        gamma_orders=[
            order,
            *(_order_at(gamma, tried[0].y, w if same_rows else None, order) for gamma in gammas[1:]),
        ],
        primary=primary,
        bound_alpha=bound_alpha(alpha, primary, count),
        supported=[bool(one) for one in np.asarray(supported, dtype=bool)],
        propensity_floor=float(propensity_floor),
        estimated_propensities=estimated_propensities,
        validation_rows=validation_rows or tried[0].y.shape[0],
        validation_pieces=tried[0].y.shape[0],
        reward_low=float(reward_low),
        reward_high=float(reward_high),
        log_source=log_source,
        split=dict(split or {}),
        schema_sha256=schema_sha256,
        jumar_version=jumar_version,
        evidence=evidence,
        most_per_unit=most_per_unit,
        boost=boost,
        timeline=timeline,
        return_cap=return_cap,
        value_low=value_range[0],
        value_high=value_range[1],
    )


def pessimistic(w: Floats, gamma: float) -> Floats:
    """w/(1 + Γ·[|w − 1| > 0.05]): the least true weights that estimated ones stand for under Γ."""
    return np.where(np.abs(w - 1.0) > AGREES, w / (1.0 + gamma), w)


def _alpha(confidence: float | None, alpha: float | None) -> float:
    if alpha is None and confidence is not None:
        alpha = round(1.0 - confidence, 15)
    if alpha is None or not 0 < alpha < 1:
        raise GateError(
            "the gate needs a confidence between 0 and 1",
            example=confidence if alpha is None else alpha,
            remedy="Pass for example --confidence 0.999.",
        )
    return alpha


def _weights(w: Floats | None, decisions_planned: int, floor: float) -> dict[str, Any]:
    """What the validation weights of one candidate say: how large they get, and how many effective rows to expect."""
    # A rare action may not have met the policy on these rows: the largest weight seen is given much room.
    ceiling = 2.0 / floor if w is None else min(2.0 / floor, 4.0 * max(1.0, float(w.max())))
    squares = 0.0 if w is None else float(np.square(w).sum())
    ess = None if w is None else (float(w.sum()) ** 2 / squares / w.size * decisions_planned if squares > 0 else 0.0)
    return {"weight_bound": max(ceiling, 2.0), "expected_ess": ess}


def _order_at(gamma: float, d: Floats, w: Floats | None, order: list[int]) -> list[int]:
    """By falling z-score of d_Γ: small deviations are the first to fail as Γ grows."""
    if w is None:
        return order
    factor = np.divide(pessimistic(w, gamma) - 1.0, w - 1.0, out=np.ones_like(w), where=np.abs(w - 1.0) > AGREES)
    lowered = d * factor
    spread = lowered.std(axis=0)
    z = np.divide(lowered.mean(axis=0), spread, out=np.zeros_like(spread), where=spread > 0)
    return sorted(order, key=lambda k: -float(z[k]))
