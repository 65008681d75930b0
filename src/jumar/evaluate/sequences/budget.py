"""How far a policy may stray along an episode before its products of weights say nothing any more.

In: probabilities of policies and production over all actions, on rows that the gate does not hold. Out: χ² of each
row, the spread of an episode's product of weights, and which candidates keep within a budget. Whatever chooses
candidates for sequences imports this module; no verdict rests on it.

Given the past, E[w²] = 1 + χ² of the row. So E[Π w_t²/(1 + χ²_t)] = 1, and E[ρ²] = Π(1 + χ²_t) where the χ²_t do not
depend on the draws; where they do, Σ χ²_t ≤ B in every episode still gives E[ρ²] ≤ exp(B).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jumar.evaluate.capital import Floats, GateError
from jumar.evaluate.estimators.sums import checked_probabilities
from jumar.evaluate.sequences.episodes import Episodes, sums_by_episode

BUDGET = 2.0
SHARE = 0.95


def chi_square(pmf: ArrayLike, production: ArrayLike) -> Floats:
    """χ²(π‖μ) = Σ_a (π − μ)²/μ = E[w²] − 1 of every row.

    Args:
        pmf: [rows, actions] π, or [rows, K, actions] of K candidates.
        production: [rows, actions] μ.

    Returns:
        [rows] or [rows, K] ≥ 0; infinite where π takes an action that production could not take.

    Raises:
        GateError: other shapes, probabilities that are negative or do not sum to 1.
    """
    pi = np.asarray(pmf)
    if pi.ndim not in (2, 3):
        raise GateError(
            "a policy's probabilities must be [rows, actions] or [rows, K, actions]",
            example=pi.shape,
            remedy="Pass one axis for the actions, after one for the candidates if there are several.",
        )
    mu = checked_probabilities(production, pi.shape[0], "production's probabilities")
    if pi.shape[-1] != mu.shape[1]:
        raise GateError(
            "the policy and production must choose among the same actions",
            example=(pi.shape, mu.shape),
            remedy="Give an action that one of them never takes the probability 0.",
        )
    flat = pi.reshape(-1, pi.shape[-1])
    p = checked_probabilities(flat, flat.shape[0], "the policy's probabilities").reshape(pi.shape)
    possible = mu > 0
    inverse = np.divide(1.0, mu, out=np.zeros_like(mu), where=possible)
    square = np.einsum("n...a,n...a,na->n...", p, p, inverse)
    kept = np.einsum("n...a,na->n...", p, possible.astype(np.float64))
    total = mu.sum(axis=1).reshape(-1, *(1,) * (pi.ndim - 2))
    outside = np.einsum("n...a,na->n...", p, (~possible).astype(np.float64))
    return np.where(outside > 0, np.inf, np.maximum(square - 2.0 * kept + total, 0.0))


def chi_square_sums(chi: ArrayLike, starts: ArrayLike) -> Floats:
    """Σ_t χ²_t of every episode.

    Args:
        chi: [rows] or [rows, K] from ``chi_square``.
        starts: [units] index of each episode's first row.

    Returns:
        [units] or [units, K].

    Raises:
        GateError: values below 0, or none; starts that are none.
    """
    return _by_episode(_checked(chi), starts)


def product_second_moment(chi: ArrayLike, starts: ArrayLike) -> Floats:
    """Π_t (1 + χ²_t) of every episode: E[ρ²] of its whole product where the χ² do not depend on the draws.

    Args:
        chi: [rows] or [rows, K] from ``chi_square``.
        starts: [units] index of each episode's first row.

    Returns:
        [units] or [units, K], ≥ 1, infinite where it is too large for a number.

    Raises:
        GateError: values below 0, or none; starts that are none.
    """
    with np.errstate(over="ignore"):
        return np.exp(_by_episode(np.log1p(_checked(chi)), starts))


@dataclass(frozen=True, eq=False)
class WithinBudget:
    """Which candidates keep their products of weights in bounds.

    Attributes:
        within: [K] whether Σ χ² stays within the budget in as many episodes as asked.
        share: [K] in how many it does, as a share.
        mean: [K] mean Σ χ² of an episode.
        largest: [K] largest Σ χ² of an episode.
    """

    within: NDArray[np.bool_]
    share: Floats
    mean: Floats
    largest: Floats


def within_budget(chi: ArrayLike, starts: ArrayLike, *, budget: float = BUDGET, share: float = SHARE) -> WithinBudget:
    """Which of K candidates keep Σ_t χ²_t ≤ budget in at least this share of the episodes.

    Not the mean: one long episode with a Σ χ² of 40 leaves it small, and no weight of that episode says anything.

    Args:
        chi: [rows, K], or [rows] of one, from ``chi_square`` on validation rows.
        starts: [units] index of each episode's first row.
        budget: the largest Σ χ²; at 2, E[ρ²] is at most e² ≈ 7.4.
        share: of episodes that must keep to it, in (0, 1].

    Returns:
        ``WithinBudget``, each field [K].

    Raises:
        GateError: no episodes, values below 0, a budget below 0, a share outside (0, 1].
    """
    if not (budget >= 0 and math.isfinite(budget) and 0 < share <= 1):
        raise GateError(
            "a budget is a number of at least 0, and the share of episodes that keep to it lies in (0, 1]",
            example=(budget, share),
            remedy="Leave them at 2 and 0.95.",
        )
    sums = np.asarray(chi_square_sums(chi, starts))
    sums = sums[:, None] if sums.ndim == 1 else sums
    if not sums.shape[0]:
        raise GateError("a budget needs episodes to be held against", remedy="Pass validation rows.")
    kept = (sums <= budget).mean(axis=0)
    return WithinBudget(kept >= share - 1e-12, kept, sums.mean(axis=0), sums.max(axis=0))


def _checked(chi: ArrayLike) -> Floats:
    values = np.asarray(chi, dtype=np.float64)
    bad = ~(values >= 0)
    if values.ndim not in (1, 2) or bad.any():
        raise GateError(
            "χ² must be [rows] or [rows, K] numbers of at least 0",
            count=int(bad.sum()),
            example=float(values[bad][0]) if bad.any() else values.shape,
            remedy="Pass what chi_square returns.",
        )
    return values


def _by_episode(values: Floats, starts: ArrayLike) -> Floats:
    """[units] or [units, K] sums over episodes."""
    episodes = Episodes.of(starts, values.shape[0])
    if values.ndim == 1:
        return sums_by_episode(values, episodes)
    return np.stack([sums_by_episode(column, episodes) for column in values.T], axis=1)
