"""Linear action values that are fitted to make the doubly robust estimate vary little, and are cross-fitted.

In: feature vectors, logged actions, rewards and propensities, the policy's probabilities. Out: predictions of
every action for every row, made from other rows, and the estimates that follow. The table of estimators
imports this.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from jumar.evaluate.capital import Floats, GateError
from jumar.evaluate.estimators.estimator import Estimate, Estimator, estimate
from jumar.evaluate.estimators.sums import (
    ClusteredSums,
    checked_codes,
    checked_probabilities,
    checked_propensities,
    checked_units,
    checked_vector,
)


@dataclass(frozen=True)
class MoreRobust:
    """Cross-fitted predictions of rewards.

    Attributes:
        predictions: [rows, actions] q̂(x, b), none of them fitted on its own row.
        direct: [rows] Σ_b π(b|x)·q̂(x, b).
        influence: [rows] what each row adds to the mean of ``direct``: its own value, and its pull on q̂.
    """

    predictions: Floats
    direct: Floats
    influence: Floats


def more_robust(
    features: ArrayLike,
    action: ArrayLike,
    reward: ArrayLike,
    propensity: ArrayLike,
    pmf: ArrayLike,
    *,
    folds: int = 2,
    ridge: float = 1.0,
    unit: ArrayLike | None = None,
    seed: int = 0,
) -> MoreRobust:
    """Fits q̂(x, a) = x·β_a by least squares with weights w²·(1 − μ), and predicts the rows left out.

    Given x, the variance of DR is Σ_a π²·(1/μ − 1)·e² − Σ_{a≠b} π_a·π_b·e_a·e_b plus what no q̂ changes,
    where e = q − q̂. A row of action a comes with probability μ, so the weight π²·(1 − μ)/μ² = w²·(1 − μ)
    minimises the first sum; for a policy that takes one action in each context it is all there is, and the
    weight is that of "More robust doubly robust off-policy evaluation" by Farajtabar et al.
    (https://arxiv.org/abs/1802.03493). Where π is spread over actions, the products are left out.

    Args:
        features: [rows, p] finite; an intercept is added.
        action: [rows] codes of the logged actions.
        reward: [rows] in [0, 1].
        propensity: [rows] μ of the logged actions.
        pmf: [rows, actions] π.
        folds: parts that are predicted from the other parts; whole units go together.
        ridge: imaginary rows, of average weight and spread, that pull each slope of each action to 0.
        unit: [rows] integer codes, where units repeat.
        seed: draws the folds.

    Raises:
        GateError: arrays that do not fit together, values that cannot be, fewer rows or units than folds.
    """
    r = checked_vector(reward, np.size(reward), "rewards")
    x = np.asarray(features, dtype=np.float64)
    if x.ndim != 2 or x.shape[0] != r.size or not np.isfinite(x).all():
        raise GateError(
            "features must be finite numbers [rows, features]", example=x.shape, remedy="Encode words as numbers first."
        )
    pi = checked_probabilities(pmf, r.size, "the policy's probabilities")
    a = checked_codes(action, r.size, pi.shape[1], "actions")
    mu = checked_propensities(propensity, r.size)
    if not (ridge >= 0 and np.isfinite(ridge)):
        raise GateError("ridge is a number of imaginary rows", example=ridge, remedy="Try 1.")
    fold = _folds(r.size, unit, folds, seed)
    spread = x.std(axis=0)
    x = np.concatenate([np.ones((r.size, 1)), (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)], axis=1)
    weight = np.square(pi[np.arange(r.size), a] / mu) * np.maximum(1.0 - mu, 0.0)
    fits = [_fit(x[fold != k], a[fold != k], r[fold != k], weight[fold != k], pi.shape[1], ridge) for k in range(folds)]
    predictions, influence = np.empty_like(pi), np.zeros_like(r)
    for k, (beta, _, center) in enumerate(fits):
        predictions[fold == k] = center + x[fold == k] @ beta.T
    # Errors of rows that were left out: those of rows that were fitted are too small, most of all within units.
    error = weight * (r - predictions[np.arange(r.size), a])
    for k, (_, inverse, _) in enumerate(fits):
        # The sum of ``direct`` over this fold moves with β_a by the sum of π_a·x there.
        pull = np.einsum("apq,aq->ap", inverse, pi[fold == k].T @ x[fold == k])
        influence += np.where(fold == k, 0.0, error * (x * pull[a]).sum(axis=1))
    direct = (pi * predictions).sum(axis=1)
    return MoreRobust(predictions, direct, direct + influence)


def mrdr(
    features: ArrayLike,
    action: ArrayLike,
    reward: ArrayLike,
    propensity: ArrayLike,
    pmf: ArrayLike,
    *,
    folds: int = 2,
    ridge: float = 1.0,
    unit: ArrayLike | None = None,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[Estimate, Estimate]:
    """DM and DR, named "mrdr_dm" and "mrdr", with the predictions of ``more_robust``, whose arguments these are.

    The interval of DM counts the sampling error of q̂, which one that takes q̂ as given leaves out. It does
    not know how wrong a linear q̂ is; the interval of DR need not.
    """
    fitted = more_robust(
        features, action, reward, propensity, pmf, folds=folds, ridge=ridge, unit=unit, seed=seed
    )  # fmt: skip
    rows = np.arange(fitted.direct.size)
    a, pi = np.asarray(action), np.asarray(pmf, dtype=np.float64)
    dr = Estimator(clustered=unit is not None, confidence=confidence, guaranteed=False)
    dr.update(
        pi[rows, a] / np.asarray(propensity, dtype=np.float64),
        reward,
        prediction=fitted.predictions[rows, a],
        direct=fitted.direct,
        unit=unit,
    )
    sums = ClusteredSums(2, clustered=unit is not None)
    sums.update(np.stack([np.ones(rows.size), fitted.influence], axis=1), unit)
    # The ridge leaves the mean of the influence a little beside the estimate; the error is about that mean.
    _, error = sums.ratio([0.0, 1.0], [1.0, 0.0])
    direct = estimate("mrdr_dm", dr.dm().value, error, confidence, sums.rows, sums.clusters)
    return direct, msgspec.structs.replace(dr.dr(), name="mrdr")


def _folds(rows: int, unit: ArrayLike | None, folds: int, seed: int) -> NDArray[np.int64]:
    """[rows] a part for each row: parts of one size, up to one row or unit."""
    if unit is None:
        groups, index = rows, np.arange(rows)
    else:
        names, index = np.unique(checked_units(unit, rows), return_inverse=True)
        groups = names.size
    if not 2 <= folds <= groups:
        raise GateError(
            "cross-fitting needs at least two folds, and a row or unit for each",
            example=folds,
            count=groups,
            remedy="Use 2 folds.",
        )
    return (np.random.default_rng(seed).permutation(groups) % folds)[index]


def _fit(
    x: Floats, action: NDArray[np.int64], reward: Floats, weight: Floats, actions: int, ridge: float
) -> tuple[Floats, Floats, float]:
    """β [actions, p] about the mean reward, the inverses [actions, p, p], and that mean.

    The ridge leaves the intercept alone and does not depend on the units or the origin of the features; their
    spread is that of all actions' rows, because the few rows of a rare action may lie close together. An action
    without weight keeps β = 0: its rewards do not matter to the policy, or were never seen.
    """
    center = float(reward.mean())
    width = x.shape[1]
    inverse, beta = np.zeros((actions, width, width)), np.zeros((actions, width))
    spread = x.var(axis=0)
    order = np.argsort(action, kind="stable")
    ends = np.searchsorted(action[order], np.arange(actions + 1))
    for a in range(actions):
        rows = order[ends[a] : ends[a + 1]]
        if not weight[rows].any():
            continue
        scaled = x[rows] * weight[rows, None]
        gram = x[rows].T @ scaled
        gram += np.diag(ridge * weight[rows].mean() * spread)
        inverse[a] = np.linalg.pinv(gram, hermitian=True)
        beta[a] = inverse[a] @ (scaled.T @ (reward[rows] - center))
    return beta, inverse, center
