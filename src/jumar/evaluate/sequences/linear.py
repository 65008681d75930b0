"""Fitted Q evaluation that is linear in features × actions: cross-fitted, with a bootstrap by unit. An estimate only.

In: columns over the rows of whole episodes, feature vectors among them. Out: a ``FittedValue``, which says of itself
that it is an estimate and has no lower bound that a gate could take. Reports import this.

Each round is θ ← (Σφφᵀ + ridge)⁻¹·(Σφ·r + Σγ·φ·ψᵀ·θ), with φ the features of a row at its action and ψ those of the
next row averaged over the policy: what ``fitted.fitted_q`` does with ``fitted.ridge_regression``, without the rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jumar.evaluate.capital import Floats, GateError
from jumar.evaluate.estimators.sums import checked_codes, checked_probabilities, checked_vector
from jumar.evaluate.sequences.episodes import Episodes, checked_rewards, unit_of_episodes
from jumar.evaluate.sequences.fitted import ENDLESS, checked_features, penalty_of, without_end
from jumar.records import Record

_ROWS_AT_ONCE = 16_384


class FittedValue(Record, frozen=True, kw_only=True):
    """What a policy is worth according to fitted action values.

    Attributes:
        kind: always "estimate": the interval does not know how wrong the model is, and nothing is released on it.
        name: which estimator.
        value: mean over episodes of Σ_b π(b|x_0)·q̂(x_0, b), in discounted rewards.
        standard_error, low, high: of the bootstrap by unit, everything fitted anew; percentiles.
        confidence: of the interval.
        method: "bootstrap".
        rounds: how often action values were fitted.
        change: the largest change of a coefficient in the last round.
        residual: root mean square of r + γ·v̂(x') − q̂(x, a) on units that q̂ was not fitted on.
        rows: rows that were fitted; cut off ones are not.
        clusters: units.
    """

    kind: Literal["estimate"] = "estimate"
    name: str
    value: float
    standard_error: float
    low: float
    high: float
    confidence: float
    method: Literal["bootstrap"] = "bootstrap"
    rounds: int
    change: float
    residual: float
    rows: int
    clusters: int


def linear_fitted_q(
    features: ArrayLike,
    action: ArrayLike,
    reward: ArrayLike,
    discount: ArrayLike,
    pmf: ArrayLike,
    starts: ArrayLike,
    *,
    folds: int = 2,
    ridge: float = 1.0,
    rounds: int = 10_000,
    tolerance: float = 1e-8,
    resamples: int = 100,
    confidence: float = 0.95,
    unit: ArrayLike | None = None,
    seed: int = 0,
) -> FittedValue:
    """Fitted Q evaluation that is linear in features × actions, cross-fitted by unit, with a bootstrap by unit.

    A last row with a discount of 0 ended its episode and is fitted. One with another discount, or none, was cut off:
    nobody knows what follows, so it teaches nothing. One-hot features make the values those of a table.

    Args:
        features: [rows, p] finite; give a column of ones for an intercept.
        action: [rows] codes of the logged actions.
        reward: [rows] in [0, 1].
        discount: [rows] in [0, 1], to the next row; on last rows 0 where the episode ended, anything else where it was
            cut off.
        pmf: [rows, actions] π.
        starts: [units] index of each episode's first row.
        folds: parts of the units; each episode is valued by what was fitted on the other parts.
        ridge: as in ``ridge_regression``.
        rounds, tolerance: at most so many regressions; they stop when no coefficient moved further.
        resamples: of the bootstrap.
        confidence: of the interval.
        unit: [units] integer codes, where several episodes belong to one unit.
        seed: draws folds and resamples.

    Raises:
        GateError: other shapes, values outside their bounds, fewer units than folds, values that grow without end.
    """
    log = _Log.of(features, action, reward, discount, pmf, starts, ridge)
    units, count = unit_of_episodes(unit, log.episodes)
    if not (2 <= folds <= count and resamples >= 2 and 0 < confidence < 1 and rounds >= 1):
        raise GateError(
            "values need two folds, a unit for each of them, two resamples and a confidence between 0 and 1",
            example=(folds, resamples, confidence),
            count=count,
            remedy="Leave the defaults, and pass more units.",
        )
    rng = np.random.default_rng(seed)
    fold = (rng.permutation(count) % folds)[units]
    times = np.ones(log.episodes.units)
    thetas, done, change = log.fits(fold, times, folds, rounds, tolerance)
    value, residual = log.value(thetas, fold, times), log.residual(thetas, fold)
    drawn = np.empty(resamples)
    for b in range(resamples):
        times = np.bincount(rng.integers(0, count, count), minlength=count)[units].astype(np.float64)
        drawn[b] = log.value(log.fits(fold, times, folds, rounds, tolerance)[0], fold, times)
    low, high = np.quantile(drawn, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return FittedValue(
        name="linear_fitted_q",
        value=value,
        standard_error=float(drawn.std(ddof=1)),
        low=float(low),
        high=float(high),
        confidence=confidence,
        rounds=done,
        change=change,
        residual=residual,
        rows=int(log.kept.sum()),
        clusters=count,
    )


@dataclass(frozen=True, eq=False)
class _Log:
    """Checked rows of whole episodes, ready to be fitted.

    Attributes:
        x, action, reward, gamma, pmf: [rows, p], [rows], [rows], [rows], [rows, actions].
        episodes: where they lie.
        kept: [rows] whether it is known what follows.
        penalty: [p, p] of the ridge.
    """

    x: Floats
    action: NDArray[np.int64]
    reward: Floats
    gamma: Floats
    pmf: Floats
    episodes: Episodes
    kept: NDArray[np.bool_]
    penalty: Floats

    @classmethod
    def of(
        cls,
        features: ArrayLike,
        action: ArrayLike,
        reward: ArrayLike,
        discount: ArrayLike,
        pmf: ArrayLike,
        starts: ArrayLike,
        ridge: float,
    ) -> _Log:
        episodes = Episodes.of(starts, np.size(reward))
        given = np.array(discount, dtype=np.float64)
        kept = np.ones(episodes.rows, dtype=bool)
        if given.shape == (episodes.rows,):
            kept[episodes.last] = given[episodes.last] == 0.0
            given[episodes.last] = 0.0
        gamma = checked_vector(given, episodes.rows, "discounts", low=0.0)
        if (gamma > 1.0).any():
            raise GateError("discounts must lie in [0, 1]", example=float(gamma.max()), remedy="Pass γ.")
        r, x = checked_rewards(reward, episodes.rows), checked_features(features, episodes.rows)
        pi = checked_probabilities(pmf, episodes.rows, "the policy's probabilities")
        a = checked_codes(action, episodes.rows, pi.shape[1], "actions")
        return cls(x, a, r, gamma, pi, episodes, kept, penalty_of(x[kept], ridge))

    def fits(
        self, fold: NDArray[np.int64], times: Floats, folds: int, rounds: int, tolerance: float
    ) -> tuple[list[Floats], int, float]:
        """Coefficients [actions·p] of each fold's values, fitted on the other folds; each episode counts ``times``."""
        parts = [self._moments(np.where(fold == k, times, 0.0)) for k in range(folds)]
        whole = [sum(part[j] for part in parts) for j in range(3)]
        thetas, most, change = [], 0, 0.0
        for part in parts:
            gram, cross, brought = (all_ - one for all_, one in zip(whole, part, strict=True))
            theta, done, moved = _iterate(gram + self.penalty, cross, brought, rounds, tolerance)
            thetas.append(theta)
            most, change = max(most, done), max(change, moved)
        return thetas, most, change

    def _moments(self, times: Floats) -> tuple[Floats, Floats, Floats]:
        """Σφφᵀ [actions, p, p], Σγ·φ·ψᵀ [actions, p, actions·p] and Σφ·r [actions, p]; ψ = π ⊗ φ of the next row."""
        p, actions = self.x.shape[1], self.pmf.shape[1]
        gram, cross = np.zeros((actions, p, p)), np.zeros((actions, p, actions * p))
        brought = np.zeros((actions, p))
        weight = np.where(self.kept, np.repeat(times, self.episodes.lengths), 0.0)
        for begin in range(0, self.episodes.rows, _ROWS_AT_ONCE):
            at = begin + np.flatnonzero(weight[begin : begin + _ROWS_AT_ONCE])
            following = np.minimum(at + 1, self.episodes.rows - 1)
            psi = self.gamma[at, None, None] * self.pmf[following][:, :, None] * self.x[following][:, None, :]
            scaled, psi = self.x[at] * weight[at, None], psi.reshape(at.size, actions * p)
            for b in range(actions):
                one = self.action[at] == b
                gram[b] += scaled[one].T @ self.x[at[one]]
                cross[b] += scaled[one].T @ psi[one]
                brought[b] += scaled[one].T @ self.reward[at[one]]
        return gram, cross, brought

    def value(self, thetas: list[Floats], fold: NDArray[np.int64], times: Floats) -> float:
        """Mean over episodes, each by what was fitted without its fold."""
        first = self.episodes.starts
        found = np.zeros(first.size)
        for k, theta in enumerate(thetas):
            values = self.x[first] @ theta.reshape(self.pmf.shape[1], -1).T
            found = np.where(fold == k, (self.pmf[first] * values).sum(axis=1), found)
        return float(found @ times / times.sum())

    def residual(self, thetas: list[Floats], fold: NDArray[np.int64]) -> float:
        """Root mean square of r + γ·v̂(x') − q̂(x, a) over rows whose fold was not fitted."""
        mine, square = np.repeat(fold, self.episodes.lengths), 0.0
        for k, theta in enumerate(thetas):
            values = self.x @ theta.reshape(self.pmf.shape[1], -1).T
            following = np.append((self.pmf * values).sum(axis=1)[1:], 0.0)
            taken = np.take_along_axis(values, self.action[:, None], axis=1)[:, 0]
            error = self.reward + self.gamma * following - taken
            square += float(np.square(error[self.kept & (mine == k)]).sum())
        return math.sqrt(square / max(int(self.kept.sum()), 1))


def _iterate(gram: Floats, cross: Floats, brought: Floats, rounds: int, tolerance: float) -> tuple[Floats, int, float]:
    """θ ← (Σφφᵀ + ridge)⁻¹·(Σφ·r + Σγ·φ·ψᵀ·θ) from θ = 0 on: what ``fitted_q`` does with ``ridge_regression``."""
    inverse = np.linalg.pinv(gram, hermitian=True)
    step = (inverse @ cross).reshape(-1, cross.shape[2])
    start = np.einsum("apq,aq->ap", inverse, brought).ravel()
    theta, change, done = start, math.inf, 1
    for done in range(2, rounds + 1):
        moved = start + step @ theta
        change, theta = float(np.abs(moved - theta).max()), moved
        if not change < ENDLESS:
            raise without_end(done)
        if change <= tolerance:
            break
    return theta, done, change
