"""The gate: what may be released, tested on rows that chose nothing.

In: a GatePlan, then logged rows in one pass with the probabilities that every candidate gives them. Out: a GateResult
with the walk along the path, every claim, findings and plain reasons. Commands and loops import this.

The verdict. Candidates are tested in the planned order, each at the full α, up to the first failure; a candidate passes
where all claims do. Take the first candidate in that order for which some claim is false: to release it or any later
one, the capital of that very claim must have reached 1/α, which happens with probability ≤ α. Whatever else is demanded
of those that passed (other claims, audits, the primary, effective rows) can only release less.

Estimated propensities. With the clone's μ̂ in place of μ the claim is conditional. Suppose μ ≤ (1 + Γ)·μ̂ where
a candidate's probability differs from the clone's by more than 5%, and μ ≤ μ̂ elsewhere. Then the true weight is at
least ŵ/(1 + Γ·[|ŵ − 1| > 0.05]), and every variable rises with the weight, so a walk over capitals at the lower weight
vouches for the claims. Each Γ of a fixed grid has its own walk; reported is the largest Γ up to which all walks reach
the released candidate. Were a claim false, the walk at the smallest Γ of the grid whose supposition is true would have
released it as well: that has probability ≤ α.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jumar.evaluate.capital import Capital, Floats, GateError
from jumar.evaluate.claims import ClaimRows, UnitRows
from jumar.evaluate.evidence import ClaimEvidence, Fold, Predicted, Terms, fold_of
from jumar.evaluate.plan import CandidatePlan, GatePlan, plan_gate
from jumar.evaluate.verdict import GateResult, verdict_of
from jumar.evaluate.weights import WeightAudit

__all__ = ["CandidatePlan", "Gate", "GatePlan", "GateResult", "plan_gate"]

_ROUNDING = 1e-6  # probabilities from single-precision policies
_ROWS_AT_ONCE = 32_768
_NUMBERS_AT_ONCE = 4_000_000


class Gate:
    """Additive state of the one pass over gate rows; it does not grow with the rows.

    Args:
        plan: frozen before the first row.
        actions: names of the actions for sentences; indices otherwise.
    """

    def __init__(self, plan: GatePlan, actions: Sequence[object] | None = None) -> None:
        self.plan = plan
        self.actions = None if actions is None else [str(one) for one in actions]
        terms = Terms.of(plan)
        self.claims = [ClaimEvidence(one, terms) for one in plan.claims]
        self.audit = WeightAudit(plan)
        self.reward_square = 0.0  # Σr²

    @property
    def rows(self) -> int:
        """Rows seen so far."""
        return self.audit.rows

    @property
    def capital(self) -> Capital:
        """The bets on the paired gain."""
        return self.claims[0].capitals[0]

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
        metrics: ArrayLike | None = None,
        production: ArrayLike | None = None,
        implied: bool = False,
        q: ArrayLike | None = None,
        unit: ArrayLike | None = None,
        discount: ArrayLike | None = None,
        tied: ArrayLike | None = None,
        shuffle: int = 0,
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
            metrics: [rows, metrics] the log's other metrics, rescaled to [0, 1], where claims name them.
            production: [rows, actions] μ, where the log tells it.
            implied: it was not logged but follows from the propensities; costs then count by the actions taken.
            q: [rows, actions] predicted rewards on [0, 1], where the plan holds doubly-robust variables.
            unit: [rows] codes, where evidence is by unit; rows of one unit together, none in two batches.
            discount: [rows] of what the unit's next decision brings, 0 after an end, NaN where that is not known; where
                returns are claimed.
            tied: [rows] whether a row was made at the moment of the row before, in the same unit; None: none was.
            shuffle: number of the batch, which seeds the booster's shuffle.

        Raises:
            GateError: where shapes disagree or a value lies outside its range.
        """
        mu = np.asarray(propensity, dtype=np.float64)
        r = np.asarray(reward, dtype=np.float64)
        a = np.asarray(action)
        self._check(mu, r, a, n_actions)
        pmf = np.asarray(policy)
        taken, mass = self._taken(pmf, a, untried)
        if pmf.ndim == 3:  # a sum above one, by rounding, would be a gain from nothing
            total = np.maximum(pmf.sum(axis=2, dtype=np.float64), 1.0)
            pmf, taken = pmf / total[..., None], taken / total
        w = taken / mu[:, None]
        if not np.all(w < np.inf):
            raise GateError(
                "a propensity is so small that the weight of its row is infinite",
                example=float(mu.min()),
                remedy="Log propensities above 1e-300.",
            )
        low, high = self.plan.value_low, self.plan.value_high
        v = None if value is None else np.clip((np.asarray(value, dtype=np.float64) - low) / (high - low), 0.0, 1.0)
        measured = self._metrics(metrics, r.size)
        fresh = Gate(self.plan)  # takes the rows first, so that an error in a later slice leaves this gate as it was
        rng = np.random.default_rng([self.plan.seed, shuffle])
        full = pmf if pmf.ndim == 3 else None
        mu_all = None if production is None else np.asarray(production, dtype=np.float64)
        predicted = None if q is None else np.clip(np.asarray(q), 0.0, 1.0)
        gamma = self._discounts(discount, r.size)
        ties = None if tied is None else np.asarray(tied, dtype=bool)
        for part in self._slices(r.size, 1 if full is None else full[0].size if r.size else 1, unit):
            codes = None if unit is None else np.asarray(unit)[part]
            rows = ClaimRows(
                weight=np.asfortranarray(w[part]),  # reductions over rows are several times faster
                reward=r[part],
                action=a[part],
                metrics=None if measured is None else measured[part],
                pmf=None if full is None else full[part],
                production=None if mu_all is None or implied else mu_all[part],
                units=None if gamma is None else self._units(codes, gamma[part], ties if ties is None else ties[part]),
            )
            known = [None if one is None else one[part] for one in (mass, v)]
            model = Predicted(*(None if one is None else one[part] for one in (predicted, mu_all)))
            fold = fold_of(self.plan.counted, codes, rows.reward.size)
            fresh._add(rows, mu[part], fold, known[0], known[1], model, rng)
        self._take(fresh)

    def _discounts(self, discount: ArrayLike | None, rows: int) -> Floats | None:
        """[rows] discounts where returns are claimed; behind an open row nothing more is known."""
        if self.plan.timeline is None:
            return None
        gamma = np.zeros(0) if discount is None else np.nan_to_num(np.asarray(discount, dtype=np.float64))
        if gamma.shape != (rows,):
            raise GateError("returns need the discount of every row", remedy="Pass discount= with every batch.")
        return gamma

    def _units(self, codes: NDArray[np.integer] | None, gamma: Floats, tied: NDArray[np.bool_] | None) -> UnitRows:
        """How the rows of a slice follow each other."""
        if codes is None:
            raise GateError("returns need the unit of every row", remedy="Pass unit= with every batch.")
        starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
        return UnitRows(starts, gamma, self.plan.return_cap, self.plan.most_per_unit, tied, self.plan.footing)

    def _slices(self, rows: int, width: int, unit: ArrayLike | None) -> list[slice]:
        """Slices of bounded size; where evidence is by unit, none cuts a unit."""
        size = max(min(_ROWS_AT_ONCE, _NUMBERS_AT_ONCE // max(width, 1)), 1)
        ends = np.arange(size, rows, size)
        if self.plan.evidence == "unit" and unit is not None and rows:
            codes = np.asarray(unit)
            starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
            ends = np.unique(starts[np.searchsorted(starts, ends, side="right") - 1])
            ends = ends[ends > 0]
        edges = [0, *(int(end) for end in ends), rows]
        return [slice(start, stop) for start, stop in pairwise(edges) if stop > start]

    def _add(
        self,
        rows: ClaimRows,
        mu: Floats,
        fold: Fold,
        mass: Floats | None,
        value: Floats | None,
        predicted: Predicted,
        rng: np.random.Generator,
    ) -> None:
        d = self.claims[0].update(rows, fold, predicted, rng)
        for claim in self.claims[1:]:
            claim.update(rows, fold, predicted, rng)
        self.audit.update(rows.weight, d, mu, rows.action, mass, value, fold, rows.units)
        self.reward_square += float(np.square(rows.reward).sum())

    def _take(self, other: Gate) -> None:
        """Adds what another gate of the same plan has seen."""
        self.claims = [a + b for a, b in zip(self.claims, other.claims, strict=True)]
        self.audit = self.audit + other.audit
        self.reward_square += other.reward_square

    def _metrics(self, metrics: ArrayLike | None, rows: int) -> Floats | None:
        """[rows, metrics], checked where a claim needs them."""
        needed = 1 + max((one.claim.column for one in self.plan.claims), default=-1)
        if not needed:
            return None
        found = np.zeros((rows, 0)) if metrics is None else np.asarray(metrics, dtype=np.float64)
        if found.ndim != 2 or found.shape[0] != rows or found.shape[1] < needed:
            raise GateError(
                f"the claims need {needed} metrics of every row",
                example=found.shape,
                remedy="Pass metrics= with one column for each metric of the log.",
            )
        _demand(found, (found >= 0) & (found <= 1 + 1e-12), "metrics", "metrics must lie within their declared bounds")
        return found

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
        for one in (self, other):
            total._take(one)
        return total

    def passing(self, gamma: int = 0) -> NDArray[np.bool_]:
        """[K] candidates for which every claim passes at the full α, at one Γ of the grid."""
        return np.logical_and.reduce([one.passing(gamma) for one in self.claims if one.claim.required])

    def result(self) -> GateResult:
        """The verdict on the rows so far; it may be asked for at any time and any number of times."""
        return verdict_of(self)


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
