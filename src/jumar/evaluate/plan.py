"""The gate's plan: everything that is decided before the first gate row.

In: rows of TRAIN that fitted nothing, scored by every candidate. Out: a GatePlan, whose hash goes into
the manifest. The gate imports this module; ``gate`` is where others find its names.

Why the plan is laid out as it is. Bets and the order of tests do not depend on the confidence, so the
same log gives the same capitals at any confidence, and a stricter α passes a subset of what a looser one
passes. The primary is the argmax over k of mean_k − c·s_k, where c grows with the confidence and s_k
never falls along the path: if c' > c, an argmax at c' has no larger index than one at c (add the two
inequalities of optimality). The gate releases the most deviating candidate that passed and lies not
beyond the primary. Both sets shrink as α shrinks, hence so does what is released: more confidence never
means more deviation.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from jumar.evaluate.capital import Bets, Floats, GateError, default_bets
from jumar.evaluate.certificate import Record

# Bets are laid for this α whatever the plan's own is; their spread covers the others at little cost.
BETTING_ALPHA = 0.001
PRIMARY_SHARE = 0.9
# No certificate on fewer effective rows than this: see weights.
LEAST_ESS = 50.0
# By how much estimated propensities may be too small, and how near π/μ̂ is to 1 where π and the clone agree.
GAMMAS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0)
AGREES = 0.05


class CandidatePlan(Record, frozen=True, kw_only=True):
    """One candidate on the path, as frozen before the gate.

    Attributes:
        temperature: its place on the path.
        policy_sha256: hash of the policy that will be scored.
        fractions, log_prior: its 43 bets, see ``capital.Bets``.
        validation_gain, validation_sd, validation_z: of d on TRAIN rows that fitted nothing, rewards in
            [0, 1].
        second_moment: E[d²] there, shrunk towards 1 by one imaginary row.
        weight_bound: weights beyond it are cut off in the audit that looks for missing weight.
        expected_ess: effective rows expected in the gate, None when no weights were given.
    """

    temperature: float
    policy_sha256: str
    fractions: list[float]
    log_prior: list[float]
    validation_gain: float
    validation_sd: float
    validation_z: float
    second_moment: float
    weight_bound: float
    expected_ess: float | None = None

    def bets(self) -> Bets:
        """The bets as arrays."""
        return Bets(np.array(self.fractions), np.array(self.log_prior))


class GatePlan(Record, frozen=True, kw_only=True):
    """All that the verdict depends on besides the gate's rows.

    Attributes:
        order: candidates in the order of their tests, each at the full alpha, up to the first failure.
        gammas: the grid of Γ that is tested; only 0 where propensities were logged.
        gamma_orders: the order of tests at each Γ; the first is ``order``.
        primary: the candidate that promises the best lower bound.
        bound_alpha: the error probability at which each candidate's lower bound is computed; sums to ≤
            alpha.
        supported: [actions] whether TRAIN holds each action.
        propensity_floor: the smallest propensity of TRAIN.
        estimated_propensities: propensities come from the clone, and the verdict can only be conditional.
        split: how units were divided, such as the salt of the hash and the fractions.
        value_low, value_high: predicted mean rewards that the audit of weights reads as 0 and as 1.
    """

    confidence: float
    alpha: float
    rows_planned: int
    seed: int
    candidates: list[CandidatePlan]
    order: list[int]
    gammas: list[float]
    gamma_orders: list[list[int]]
    primary: int
    bound_alpha: list[float]
    supported: list[bool]
    propensity_floor: float
    estimated_propensities: bool
    validation_rows: int
    reward_low: float
    reward_high: float
    log_source: str
    split: dict[str, float | str]
    schema_sha256: str
    jumar_version: str
    value_low: float = 0.0
    value_high: float = 1.0

    def to_json(self) -> bytes:
        """Canonical, readable JSON: keys sorted, shortest decimals. The bytes of ``manifest.json``."""
        return msgspec.json.format(msgspec.json.encode(self, order="sorted"), indent=2) + b"\n"

    def sha256(self) -> str:
        """Hash of the plan's canonical JSON (keys sorted, shortest decimals)."""
        return hashlib.sha256(self.to_json()).hexdigest()


def plan_gate(
    *,
    validation_d: ArrayLike,
    temperatures: Sequence[float],
    policy_sha256: Sequence[str],
    rows_planned: int,
    supported: ArrayLike,
    confidence: float | None = None,
    alpha: float | None = None,
    seed: int = 0,
    validation_w: ArrayLike | None = None,
    propensity_floor: float = 1e-3,
    estimated_propensities: bool = False,
    reward_low: float = 0.0,
    reward_high: float = 1.0,
    log_source: str = "",
    split: Mapping[str, float | str] | None = None,
    schema_sha256: str = "",
    jumar_version: str = "",
    value_range: tuple[float, float] = (0.0, 1.0),
) -> GatePlan:
    """Freezes candidates, bets, order and error probabilities.

    Args:
        validation_d: [rows, K] d = (w − 1)·r of every candidate on TRAIN rows that fitted nothing, r in
            [0, 1]. Candidates are indexed from least to most deviation.
        temperatures: [K].
        policy_sha256: [K].
        rows_planned: rows that the gate is expected to hold.
        supported: [actions] whether TRAIN holds each action.
        confidence: 1 − α, for example 0.999; or give ``alpha``.
        alpha: the error probability of the verdict.
        seed: recorded; nothing here is random.
        validation_w: [rows, K] importance weights of the same rows, if at hand: they bound the audits'
            weights and move candidates with too few effective rows to the end of the order.
        propensity_floor: the smallest propensity of TRAIN.
        estimated_propensities: see ``GatePlan``.
        reward_low: what the rescaled reward 0 stands for.
        reward_high: what 1 stands for.
        log_source: where the rows come from.
        split: how units were divided.
        schema_sha256: hash of the log's schema.
        jumar_version: version of the package.
        value_range: predicted values that the audit of weights reads as 0 and as 1.

    Raises:
        GateError: where the arrays disagree, d is impossible or α lies outside (0, 1).
    """
    alpha = _alpha(confidence, alpha)
    d = _validation(validation_d, len(temperatures), len(policy_sha256))
    w = None if validation_w is None else np.asarray(validation_w, dtype=np.float64)
    if w is not None and (w.shape != d.shape or not np.all((w >= 0) & np.isfinite(w))):
        raise GateError(
            "validation weights must be finite, not negative, and as many as the validation rows",
            example=w.shape,
            remedy="Pass π(a|x)/μ(a|x) for the same rows.",
        )
    if not (rows_planned > 0 and 0 < propensity_floor <= 1 and reward_high > reward_low):
        raise GateError(
            "the gate needs planned rows, a propensity floor in (0, 1] and a reward range that is not empty",
            example=(rows_planned, propensity_floor, reward_low, reward_high),
            remedy="Check the split of the log and the declared range of the reward.",
        )
    candidates = [
        _candidate(d[:, k], None if w is None else w[:, k], place, rows_planned, float(propensity_floor))
        for k, place in enumerate(zip(temperatures, policy_sha256, strict=True))
    ]
    primary = primary_candidate(
        np.array([one.validation_gain for one in candidates]),
        np.array([one.second_moment for one in candidates]),
        rows_planned,
        alpha,
    )
    order = order_of_tests(candidates)
    gammas = GAMMAS if estimated_propensities else GAMMAS[:1]
    return GatePlan(
        confidence=1.0 - alpha if confidence is None else confidence,
        alpha=alpha,
        rows_planned=int(rows_planned),
        seed=seed,
        candidates=candidates,
        order=order,
        gammas=list(gammas),
        gamma_orders=[order, *(_order_at(gamma, d, w, order) for gamma in gammas[1:])],
        primary=primary,
        bound_alpha=bound_alpha(alpha, primary, len(candidates)),
        supported=[bool(one) for one in np.asarray(supported, dtype=bool)],
        propensity_floor=float(propensity_floor),
        estimated_propensities=estimated_propensities,
        validation_rows=d.shape[0],
        reward_low=float(reward_low),
        reward_high=float(reward_high),
        log_source=log_source,
        split=dict(split or {}),
        schema_sha256=schema_sha256,
        jumar_version=jumar_version,
        value_low=value_range[0],
        value_high=value_range[1],
    )


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


def _validation(validation_d: ArrayLike, temperatures: int, hashes: int) -> Floats:
    d = np.asarray(validation_d, dtype=np.float64)
    if d.ndim != 2 or d.shape[1] == 0 or d.shape[1] != temperatures or temperatures != hashes:
        raise GateError(
            "expected validation rows with one column, one temperature and one hash for each candidate",
            example=(d.shape, temperatures, hashes),
            remedy="Score all candidates on the same validation rows.",
        )
    if d.shape[0] == 0 or not np.all((d >= -1.0 - 1e-12) & (d < np.inf)):
        raise GateError(
            "validation rows are missing, or hold contributions below −1 or not finite",
            count=int(d.shape[0]),
            remedy="Rewards must lie in [0, 1] after rescaling and propensities in (0, 1].",
        )
    return d


def _candidate(d: Floats, w: Floats | None, path: tuple[float, str], rows_planned: int, floor: float) -> CandidatePlan:
    rows = d.size
    gain, sd = float(d.mean()), float(d.std(ddof=1)) if rows > 1 else 0.0
    # One imaginary row with d² = 1 keeps the first bets small where few rows have been seen, and off zero.
    second_moment = (float(np.square(d).sum()) + 1.0) / (rows + 1.0)
    bets = default_bets(second_moment, rows_planned, BETTING_ALPHA)
    # A rare action may not have met the policy on these rows: the largest weight seen is given much room.
    ceiling = 2.0 / floor if w is None else min(2.0 / floor, 4.0 * max(1.0, float(w.max())))
    squares = 0.0 if w is None else float(np.square(w).sum())
    ess = None if w is None else (float(w.sum()) ** 2 / squares / rows * rows_planned if squares > 0 else 0.0)
    return CandidatePlan(
        temperature=float(path[0]),
        policy_sha256=path[1],
        fractions=bets.fractions.tolist(),
        log_prior=bets.log_prior.tolist(),
        validation_gain=gain,
        validation_sd=sd,
        validation_z=gain / (sd / math.sqrt(rows)) if sd > 0 else 0.0,
        second_moment=second_moment,
        weight_bound=max(ceiling, 2.0),
        expected_ess=ess,
    )


def order_of_tests(candidates: Sequence[CandidatePlan]) -> list[int]:
    """By falling validation z-score; candidates that expect too few effective rows come last."""

    def key(k: int) -> tuple[bool, float, int]:
        ess = candidates[k].expected_ess
        return (ess is not None and ess < 2.0 * LEAST_ESS, -candidates[k].validation_z, k)

    return sorted(range(len(candidates)), key=key)


def pessimistic(d: Floats, w: Floats, gamma: float) -> Floats:
    """d_Γ = (w/(1 + Γ·[|w − 1| > 0.05]) − 1)·r from d = (w − 1)·r; arrays of one shape."""
    deviates = np.abs(w - 1.0) > AGREES
    factor = np.divide(w / (1.0 + gamma) - 1.0, w - 1.0, out=np.ones_like(w), where=deviates)
    return d * factor


def _order_at(gamma: float, d: Floats, w: Floats | None, order: list[int]) -> list[int]:
    """By falling z-score of d_Γ: small deviations are the first to fail as Γ grows."""
    if w is None:
        return order
    lowered = pessimistic(d, w, gamma)
    spread = lowered.std(axis=0)
    z = np.divide(lowered.mean(axis=0), spread, out=np.zeros_like(spread), where=spread > 0)
    return sorted(order, key=lambda k: -float(z[k]))


def primary_candidate(gain: Floats, second_moment: Floats, rows: int, alpha: float) -> int:
    """The index with the best expected lower bound, gain − sqrt(2·ln(1/α)/rows)·s.

    s is the largest root mean square of d up to that index. Where no expected bound is positive, the best
    ratio gain/s takes over; at the α where the last bound turns negative both name the same candidate.

    Args:
        gain: [K] validation gains, indexed from least to most deviation.
        second_moment: [K] E[d²] > 0.
        rows: rows of the gate.
        alpha: error probability.
    """
    spread = np.sqrt(np.maximum.accumulate(second_moment))
    cost = math.sqrt(2.0 * math.log(1.0 / alpha) / rows)
    ratio = gain / spread
    if float(ratio.max()) <= cost:
        return int(np.argmax(ratio))
    return int(np.argmax(gain - cost * spread))


def bound_alpha(alpha: float, primary: int, candidates: int) -> list[float]:
    """How α is divided among the lower bounds that might be printed.

    The primary has 0.9·α, the others share 0.1·α evenly. Bound k is false with probability at most α_k
    (``Capital.lower_bound``). Whichever k is printed, and however it was chosen, a false printed bound
    means that some bound is false; by the union bound that has probability at most Σ α_k = α.
    """
    if candidates == 1:
        return [alpha]
    others = (1.0 - PRIMARY_SHARE) * alpha / (candidates - 1)
    return [PRIMARY_SHARE * alpha if k == primary else others for k in range(candidates)]
