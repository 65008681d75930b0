"""What has been seen of one claim: capital for every candidate, at every Γ, and the sums that the certificate prints.

In: a ``GatePlan`` and batches of judged rows. Out: ``ClaimEvidence``, additive over shards, which says who passes and
what lower bounds hold. The gate imports this module.

A piece of evidence is a decision, or, where decisions of a unit hang together, the mean of y over the places of a unit:
Y = Σ y_i/M over its first M decisions, which never falls below −bound either. Only units, not their decisions, need
then be drawn independently.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jumar.evaluate.capital import Capital, Floats, GateError
from jumar.evaluate.certificate import ClaimResult
from jumar.evaluate.claims import Claim, ClaimRows, good, per_unit, slack, variable
from jumar.evaluate.plan import GatePlan, pessimistic
from jumar.evaluate.robust import robust_variable
from jumar.evaluate.sequences.returns import capped_rewards
from jumar.evaluate.sequences.variables import episode_variable
from jumar.evaluate.star import aimed_at, combined, combined_lower_bound, default_star, passes
from jumar.evaluate.wagers import ClaimPlan

Fold = Callable[[Floats], Floats]


def fold_of(most_per_unit: int | None, unit: ArrayLike | None, rows: int) -> Fold:
    """How values of rows become values of pieces of evidence.

    Args:
        most_per_unit: decisions of a unit that count, where evidence is by unit; None where each decision is a piece.
        unit: [rows] codes; rows of one unit lie together and are all here.
        rows: how many rows.

    Returns:
        A function from [rows] or [rows, K] to [pieces] or [pieces, K].

    Raises:
        GateError: units are missing, torn apart, or hold more decisions than count.
    """
    if most_per_unit is None:
        return lambda values: values
    codes = None if unit is None else np.asarray(unit)
    if codes is None or codes.shape != (rows,):
        raise GateError("evidence by unit needs the unit of every row", remedy="Pass unit= with every batch.")
    starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]]) if rows else np.zeros(0, np.int64)
    sizes = np.diff(np.r_[starts, rows])
    if np.unique(codes[starts]).size != starts.size or (rows and int(sizes.max()) > most_per_unit):
        raise GateError(
            f"rows of one unit must lie together, {most_per_unit} of them at most",
            example=int(sizes.max()) if rows else 0,
            remedy="Sort the rows by unit, and keep the first ones of each.",
        )
    if rows == 0:
        return lambda values: values
    return lambda values: np.add.reduceat(values, starts, axis=0) / most_per_unit


@dataclass(frozen=True)
class Predicted:
    """What a doubly-robust variable needs besides.

    Attributes:
        q: [rows, actions] predicted rewards on [0, 1].
        production: [rows, actions] μ, logged or implied.
    """

    q: NDArray[np.floating] | None = None
    production: Floats | None = None


def robust_claim(
    claim: Claim, rows: ClaimRows, production: Floats | None, q: NDArray[np.floating] | None, kappa: Floats
) -> Floats:
    """[rows, K] the doubly-robust variable of a claim; q [rows, actions] or [actions] predicts what is good."""
    if rows.pmf is None or production is None or q is None:
        raise GateError(
            "a doubly-robust variable needs full probabilities of policies and production, and predicted rewards",
            remedy="Pass pmfs, production= and q= with every batch.",
        )
    brought = rows.brought(claim)
    y = robust_variable(
        pmf=rows.pmf,
        production=production,
        predicted=q,
        action=rows.action,
        reward=good(claim, brought),
        kappa=kappa,
    )
    return y + slack(claim, brought)[:, None] if claim.margin else y


@dataclass(frozen=True)
class Terms:
    """What holds for all claims of a plan.

    Attributes:
        alpha: error probability of each test.
        bound_alpha: [K] that of each candidate's lower bound.
        gammas: the grid of Γ, from 0 on.
        most_per_unit: see ``GatePlan``.
        boosted_rows: pieces of evidence that the booster is laid out for; None without it.
    """

    alpha: float
    bound_alpha: tuple[float, ...]
    gammas: tuple[float, ...] = (0.0,)
    most_per_unit: int = 1
    boosted_rows: int | None = None

    @classmethod
    def of(cls, plan: GatePlan) -> Terms:
        """The terms of a gate's plan."""
        rows = plan.rows_planned if plan.boost else None
        return cls(plan.alpha, tuple(plan.bound_alpha), tuple(plan.gammas), plan.most_per_unit, rows)


class ClaimEvidence:
    """Additive state of one claim; it does not grow with the rows.

    Args:
        planned: the claim and the bets on it.
        terms: what holds for all claims.
    """

    def __init__(self, planned: ClaimPlan, terms: Terms) -> None:
        self.planned, self.claim, self.terms = planned, planned.claim, terms
        wagers = planned.wagers
        bets = [one.bets() for one in wagers]
        self.gammas = terms.gammas if self.claim.weighted else terms.gammas[:1]
        self.capitals = [Capital(bets) for _ in self.gammas]  # the first is at Γ = 0
        self.star = None
        if terms.boosted_rows is not None:
            moments = [one.second_moment for one in wagers]
            self.star = default_star(moments, terms.boosted_rows, bound=[one.bound for one in wagers])
        self.sums = np.zeros(len(bets))  # Σy over decisions
        self.moved = np.zeros(len(bets))  # Σ of what the candidates change in the metric, or spend, on [0, 1]
        self.brought = 0.0  # Σc under production, on [0, 1]
        self.rows = 0  # decisions; units where the claim is about what follows

    def update(self, rows: ClaimRows, fold: Fold, predicted: Predicted, rng: np.random.Generator) -> Floats:
        """Adds rows; returns [pieces, K] the variable at Γ = 0."""
        if self.claim.sequential:
            return self._update_units(rows, rng)
        y = self._variable(rows, predicted)
        pieces = fold(y)
        self.capitals[0].update(pieces)
        for gamma, capital in zip(self.gammas[1:], self.capitals[1:], strict=True):
            capital.update(fold(variable(self.claim, rows, pessimistic(rows.weight, gamma))))
        if self.star is not None:
            self.star.update(pieces, rng)
        self.sums += y.sum(axis=0)
        now, moved = self._now_and_moved(rows, y)
        self.brought += float(now.sum())
        self.moved += moved
        self.rows += y.shape[0]
        return pieces

    def _update_units(self, rows: ClaimRows, rng: np.random.Generator) -> Floats:
        """The same for a claim about what follows, whose variable is one for each unit."""
        y = per_unit(self.claim, rows)
        self.capitals[0].update(y)
        if self.star is not None:
            self.star.update(y, rng)
        units = rows.units
        assert units is not None
        claim, counted = self.claim, (rows.brought(self.claim), units.discount, units.starts)
        metric = claim.kind == "metric_return"
        brought = (
            float(capped_rewards(*counted, cap=claim.cap).sum()) / claim.cap if metric else units.brought(rows.reward)
        )
        self.brought += brought
        self.sums += y.sum(axis=0)
        if claim.better == "higher":
            self.moved += y.sum(axis=0) - claim.margin * brought
        else:  # costs weighted when they occur have the same mean change and less noise
            self.moved += episode_variable(rows.weight, *counted, cap=claim.cap, tied=units.tied).sum(axis=0)
        self.rows += y.shape[0]
        return y

    def _now_and_moved(self, rows: ClaimRows, y: Floats) -> tuple[Floats, Floats]:
        """[rows] production's metric or cost, and [K] the sum of what each candidate changes in it."""
        if not self.claim.weighted:
            now, spent = rows.cost(self.claim)
            return now, spent.sum(axis=0) - now.sum()
        now = rows.brought(self.claim)
        if self.planned.wagers[0].kappa is None:  # 1 − c has the same mean change and far more noise where c is rare
            return now, now @ rows.weight - now.sum()
        gained = y.sum(axis=0) - slack(self.claim, now).sum()
        return now, gained if self.claim.better == "higher" else -gained

    def _variable(self, rows: ClaimRows, predicted: Predicted) -> Floats:
        kappas = [one.kappa for one in self.planned.wagers]
        if kappas[0] is None:
            return variable(self.claim, rows)
        q = np.asarray(self.planned.baseline) if self.planned.baseline else predicted.q
        return robust_claim(self.claim, rows, predicted.production, q, np.asarray(kappas, dtype=np.float64))

    def __add__(self, other: ClaimEvidence) -> ClaimEvidence:
        """Both shards."""
        total = ClaimEvidence(self.planned, self.terms)
        total.capitals = [a + b for a, b in zip(self.capitals, other.capitals, strict=True)]
        if self.star is not None and other.star is not None:
            total.star = self.star + other.star
        total.sums = self.sums + other.sums
        total.moved = self.moved + other.moved
        total.brought = self.brought + other.brought
        total.rows = self.rows + other.rows
        return total

    @property
    def log_capital(self) -> Floats:
        """[K] in nats at Γ = 0, of the mixture and, where there is one, the booster."""
        mixture = np.asarray(self.capitals[0].log_value)
        return mixture if self.star is None else combined(mixture, self.star.log_value(aimed_at(self.terms.alpha)))

    def passing(self, gamma: int = 0) -> NDArray[np.bool_]:
        """[K] who passes at the full α, at one Γ of the grid."""
        mixture = np.asarray(self.capitals[min(gamma, len(self.capitals) - 1)].log_value)
        if self.star is None or gamma > 0:
            return mixture >= math.log(1.0 / self.terms.alpha)
        return passes(mixture, self.star, self.terms.alpha)

    def lower_bound(self, k: int, gamma: int = 0) -> float:
        """Lower bound on candidate k's average y per decision, on [0, 1], at its own share of α."""
        return float(self.lower_bounds(gamma)[k])

    def lower_bounds(self, gamma: int = 0) -> Floats:
        """[K] lower bounds on every candidate's average y per decision, on [0, 1], each at its own share of α."""
        alpha, capital = self.terms.bound_alpha, self.capitals[min(gamma, len(self.capitals) - 1)]
        if self.star is None or gamma > 0:
            bounds = capital.lower_bound(alpha)
        else:
            bounds = combined_lower_bound(capital, self.star, alpha)
        return bounds * self.per_decision

    @property
    def per_decision(self) -> float:
        """What an average over pieces of evidence is multiplied by to be one over decisions."""
        if self.claim.sequential or not self.rows:
            return 1.0
        return self.capitals[0].count * self.terms.most_per_unit / self.rows

    def mean(self) -> Floats:
        """[K] average y per decision, on [0, 1]."""
        return self.sums / max(self.rows, 1)

    def production(self) -> float:
        """Production's average of the metric, or of its cost, in its own units."""
        return self.claim.low + self.claim.scale * self.brought / max(self.rows, 1)

    def change(self, k: int) -> float:
        """Candidate k's average of the metric, or of the cost, less production's, in its own units."""
        return self.claim.scale * float(self.moved[k]) / max(self.rows, 1)

    def result(self, k: int, gamma: int = 0) -> ClaimResult:
        """The claim for candidate k as the certificate prints it, in the metric's own units, at one Γ of the grid."""
        claim = self.claim
        return ClaimResult(
            kind=claim.kind,
            metric=claim.metric,
            better=claim.better,
            margin=claim.margin,
            most=claim.most,
            required=claim.required,
            claim=claim.sentence,
            production=self.production(),
            change=self.change(k),
            estimate=claim.scale * float(self.mean()[k]),
            lower_bound=claim.scale * self.lower_bound(k, gamma),
            log_capital=float(self.log_capital[k]),
            verdict="passed" if self.passing(gamma)[k] else "failed",
            robust=self.planned.wagers[k].kappa is not None,
        )
