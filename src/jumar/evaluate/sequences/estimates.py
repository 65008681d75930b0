"""Estimates of what a policy is worth over whole episodes that another policy logged, with errors by unit.

In: weights, rewards and discounts over the rows of whole episodes, predicted action values where there are any. Out:
``Estimate`` records, in units of the discounted return. Reports import this; no verdict rests on it.

Each estimator is a sum over the steps of an episode of ratios (Σ_i a_is)/(Σ_i ω_is) of sums over episodes. Without
self-normalising every ω is 1. With it, ω_is is the product of weights up to that step; episodes that ended before keep
their last one, as if they stayed in a state without rewards: otherwise weights of 1 would not give the plain average.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from jumar.evaluate.capital import Floats, GateError
from jumar.evaluate.estimators.estimator import Estimate, estimate
from jumar.evaluate.estimators.sums import checked_codes, checked_probabilities
from jumar.evaluate.sequences.episodes import (
    Episodes,
    Indices,
    checked_discount,
    checked_rewards,
    checked_weights,
    sums_by_episode,
    unit_of_episodes,
)
from jumar.evaluate.sequences.returns import discount_to_date, products_to_date


def logged_return(
    reward: ArrayLike,
    discount: ArrayLike,
    starts: ArrayLike,
    *,
    unit: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """V(μ): the mean discounted return of an episode.

    Args:
        reward: [rows] in [0, 1].
        discount: [rows] from each row to the next of its episode; that of last rows is not used.
        starts: [units] index of each episode's first row.
        unit: [units] integer codes, where several episodes belong to one unit; errors are clustered by it.
        confidence: of the two-sided asymptotic interval.

    Raises:
        GateError: other shapes, values outside their bounds.
    """
    seen = _seen(np.ones(np.size(reward)), reward, discount, starts, unit, confidence)
    return seen.average("logged", sums_by_episode(seen.gamma * seen.reward, seen.episodes))


def per_decision(
    weight: ArrayLike,
    reward: ArrayLike,
    discount: ArrayLike,
    starts: ArrayLike,
    *,
    unit: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """Per-decision importance sampling, mean Σ_t γ_{0:t}·ρ_{0:t}·r_t: unbiased where propensities are right.

    See "Eligibility traces for off-policy policy evaluation" by Precup, Sutton & Singh (2000).

    Args:
        weight: [rows] π(a|x)/μ(a|x) ≥ 0.
        reward, discount, starts, unit, confidence: as in ``logged_return``.

    Raises:
        GateError: other shapes, values outside their bounds, a product of weights larger than any number.
    """
    seen = _seen(weight, reward, discount, starts, unit, confidence)
    return seen.average("per_decision", sums_by_episode(seen.gamma * seen.rho * seen.reward, seen.episodes))


def weighted_per_decision(
    weight: ArrayLike,
    reward: ArrayLike,
    discount: ArrayLike,
    starts: ArrayLike,
    *,
    unit: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """Self-normalised at every step, Σ_t (Σ_i γ·ρ_{0:t}·r_t)/(Σ_i ρ_{0:t}): less spread, a bias that vanishes with n.

    See Precup, Sutton & Singh (2000), here in the consistent form of "Safe reinforcement learning" by Thomas (2015).

    Args:
        weight, reward, discount, starts, unit, confidence: as in ``per_decision``.

    Returns:
        The estimate; nan where no episode has any weight left at some step.

    Raises:
        GateError: as ``per_decision``.
    """
    seen = _seen(weight, reward, discount, starts, unit, confidence)
    return seen.normalised("weighted_per_decision", seen.gamma * seen.rho * seen.reward, np.zeros(seen.rho.size))


def sequential_dr(
    weight: ArrayLike,
    reward: ArrayLike,
    discount: ArrayLike,
    starts: ArrayLike,
    *,
    action: ArrayLike,
    q: ArrayLike,
    pmf: ArrayLike,
    unit: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """Doubly robust along the episode: V_t = v̂(x_t) + w_t·(r_t + γ_t·V_{t+1} − q̂(x_t, a_t)), the mean of V_0.

    Unbiased where propensities are right, whatever q̂ is, as long as it was fitted on other units. See "Doubly robust
    off-policy value evaluation for reinforcement learning" by Jiang & Li (https://arxiv.org/abs/1511.03722).

    Args:
        weight, reward, discount, starts, unit, confidence: as in ``per_decision``.
        action: [rows] codes of the logged actions.
        q: [rows, actions] q̂, predicted discounted returns from the row on.
        pmf: [rows, actions] π.

    Raises:
        GateError: other shapes, values outside their bounds, a product of weights larger than any number.
    """
    seen = _seen(weight, reward, discount, starts, unit, confidence)
    residual, direct = seen.corrected(action, q, pmf)
    return seen.average("sequential_dr", sums_by_episode(seen.rho * residual + seen.rho_before * direct, seen.episodes))


def weighted_dr(
    weight: ArrayLike,
    reward: ArrayLike,
    discount: ArrayLike,
    starts: ArrayLike,
    *,
    action: ArrayLike,
    q: ArrayLike,
    pmf: ArrayLike,
    unit: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """``sequential_dr`` with products of weights that are divided by their sums at every step.

    See "Data-efficient off-policy policy evaluation for reinforcement learning" by Thomas & Brunskill
    (https://arxiv.org/abs/1604.00923).

    Args:
        weight, reward, discount, starts, action, q, pmf, unit, confidence: as in ``sequential_dr``.

    Returns:
        The estimate; nan where no episode has any weight left at some step.

    Raises:
        GateError: as ``sequential_dr``.
    """
    seen = _seen(weight, reward, discount, starts, unit, confidence)
    residual, direct = seen.corrected(action, q, pmf)
    return seen.normalised("weighted_dr", seen.rho * residual, seen.rho_before * direct)


def sequence_table(
    weight: ArrayLike,
    reward: ArrayLike,
    discount: ArrayLike,
    starts: ArrayLike,
    *,
    action: ArrayLike | None = None,
    q: ArrayLike | None = None,
    pmf: ArrayLike | None = None,
    unit: ArrayLike | None = None,
    confidence: float = 0.95,
) -> list[Estimate]:
    """Every estimator that the arguments allow: "logged", "per_decision", "weighted_per_decision", and with ``action``,
    ``q`` and ``pmf`` also "sequential_dr" and "weighted_dr".

    Args:
        weight, reward, discount, starts, action, q, pmf, unit, confidence: as in ``sequential_dr``.

    Raises:
        GateError: as ``sequential_dr``; some of ``action``, ``q`` and ``pmf`` without the others.
    """
    found = [
        logged_return(reward, discount, starts, unit=unit, confidence=confidence),
        per_decision(weight, reward, discount, starts, unit=unit, confidence=confidence),
        weighted_per_decision(weight, reward, discount, starts, unit=unit, confidence=confidence),
    ]
    if action is None and q is None and pmf is None:
        return found
    if action is None or q is None or pmf is None:
        raise GateError("action, q and pmf come together", remedy="Pass all three, or none of them.")
    for estimator in (sequential_dr, weighted_dr):
        found.append(
            estimator(
                weight, reward, discount, starts, action=action, q=q, pmf=pmf, unit=unit, confidence=confidence
            )
        )  # fmt: skip
    return found


@dataclass(frozen=True, eq=False)
class _Seen:
    """Rows that have passed their checks.

    Attributes:
        episodes: where they lie.
        reward, gamma: [rows] r_t, and the discount from the episode's first row.
        rho, rho_before: [rows] ρ_{0:t} and ρ_{0:t−1}.
        unit: [units] whose each episode is; with how many ``clusters``.
        confidence: of intervals.
    """

    episodes: Episodes
    reward: Floats
    gamma: Floats
    rho: Floats
    rho_before: Floats
    unit: Indices
    clusters: int
    confidence: float

    def corrected(self, action: ArrayLike, q: ArrayLike, pmf: ArrayLike) -> tuple[Floats, Floats]:
        """[rows] γ_{0:t}·(r_t − q̂(x_t, a_t)) and γ_{0:t}·v̂(x_t)."""
        rows = self.episodes.rows
        pi = checked_probabilities(pmf, rows, "the policy's probabilities")
        a = checked_codes(action, rows, pi.shape[1], "actions")
        values = np.asarray(q, dtype=np.float64)
        if values.shape != pi.shape or not np.isfinite(values).all():
            raise GateError(
                "predicted action values must be one finite number for each action of each row",
                example=(values.shape, pi.shape),
                remedy="Pass an array [rows, actions].",
            )
        taken = np.take_along_axis(values, a[:, None], axis=1)[:, 0]
        return self.gamma * (self.reward - taken), self.gamma * (pi * values).sum(axis=1)

    def average(self, name: str, values: Floats) -> Estimate:
        """The mean of values [units]."""
        mean = float(values.mean())
        return self._estimate(name, mean, (values - mean) / values.size)

    def normalised(self, name: str, here: Floats, before: Floats) -> Estimate:
        """Σ_s (Σ_i a_is)/(Σ_i ω_is) over steps s = 0, 1, …

        Step s is divided by the sum of products of s weights; at s = 0 that is the number of episodes. By the delta
        method the estimate moves with episode i like Σ_s (a_is − V_s·ω_is)/Ω_s.

        Args:
            name: of the estimator.
            here: [rows] what is divided by the sum of ρ_{0:t}.
            before: [rows] what is divided by the sum of ρ_{0:t−1}.
        """
        place, length = self.episodes.position, self.episodes.lengths
        steps = int(length.max()) + 1
        ended = np.bincount(length, self.rho[self.episodes.last], steps).cumsum()
        omega = np.bincount(place + 1, self.rho, steps) + np.append(0.0, ended[:-1])
        omega[0] = self.episodes.units
        if (omega <= 0).any():
            return self._estimate(name, math.nan, np.full(self.episodes.units, math.nan))
        value = (np.bincount(place + 1, here, steps) + np.bincount(place, before, steps)) / omega
        pull = value / omega
        later = pull[::-1].cumsum()[::-1] - pull  # Σ over later steps
        own = here / omega[place + 1] + before / omega[place] - self.rho * pull[place + 1]
        moved = sums_by_episode(own, self.episodes) - pull[0] - self.rho[self.episodes.last] * later[length]
        return self._estimate(name, float(value.sum()), moved)

    def _estimate(self, name: str, value: float, influence: Floats) -> Estimate:
        """An interval from what each episode [units] adds to the estimate."""
        square = float(np.square(np.bincount(self.unit, influence, self.clusters)).sum())
        error = math.sqrt(square * self.clusters / (self.clusters - 1)) if self.clusters > 1 else math.nan
        return estimate(name, value, error, self.confidence, self.episodes.rows, self.clusters)


def _seen(
    weight: ArrayLike,
    reward: ArrayLike,
    discount: ArrayLike,
    starts: ArrayLike,
    unit: ArrayLike | None,
    confidence: float,
) -> _Seen:
    if not 0 < confidence < 1:
        raise GateError("a confidence lies between 0 and 1", example=confidence, remedy="Try 0.95.")
    episodes = Episodes.of(starts, np.size(reward))
    if not episodes.units:
        raise GateError("nothing can be estimated without episodes", remedy="Pass the rows of at least one.")
    r, w = checked_rewards(reward, episodes.rows), checked_weights(weight, episodes.rows)
    if w.ndim != 1:
        raise GateError(
            "one policy is estimated at a time", example=w.shape, remedy="Pass a vector of weights for each of them."
        )
    rho = products_to_date(w, episodes, None)
    before = np.append(1.0, rho[:-1])
    before[episodes.starts] = 1.0
    codes, clusters = unit_of_episodes(unit, episodes)
    gamma = discount_to_date(checked_discount(discount, episodes), episodes)
    return _Seen(episodes, r, gamma, rho, before, codes, clusters, confidence)
