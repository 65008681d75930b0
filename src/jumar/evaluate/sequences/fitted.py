"""Fitted Q evaluation: action values of a policy, regressed on a log again and again, whatever regresses.

In: transitions, and something that regresses. Out: predictions of action values. They are estimates: they know neither
how wrong the model is nor what lies outside the log, so they may rank candidates and serve as q̂ of a doubly-robust
variable, and no gate takes them. ``linear`` and learners import this module.

See "Batch policy learning under constraints" by Le, Voloshin & Yue (https://arxiv.org/abs/1903.08738).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from jumar.evaluate.capital import Floats, GateError
from jumar.evaluate.estimators.sums import checked_codes, checked_probabilities, checked_vector
from jumar.evaluate.sequences.episodes import checked_rewards

Predict = Callable[[Any], Floats]  # features of n rows to action values [n, actions]
Regress = Callable[[Floats], Predict]  # targets [rows] of the logged actions to predictions

ENDLESS = 1e12


@dataclass(frozen=True)
class FittedQ:
    """Action values and how they came about.

    Attributes:
        predict: features of n rows to action values [n, actions].
        rounds: how often they were fitted.
        change: how far the largest target would move in another round, in rewards.
        kind: always "estimate".
    """

    predict: Predict
    rounds: int
    change: float
    kind: Literal["estimate"] = "estimate"


def fitted_q(
    regress: Regress,
    next_features: Any,
    next_pmf: ArrayLike,
    reward: ArrayLike,
    discount: ArrayLike,
    *,
    rounds: int = 1_000,
    tolerance: float = 1e-6,
) -> FittedQ:
    """Regresses r + γ·Σ_b π(b|x')·q̂(x', b) on rows and actions, again and again, whatever regresses.

    Args:
        regress: from targets [rows] for the logged actions to a function from features to action values.
        next_features: what that function takes, for the row that follows each row; anything where none follows.
        next_pmf: [rows, actions] π there.
        reward: [rows] in [0, 1].
        discount: [rows] in [0, 1] to the next row; 0 where the episode ended.
        rounds: at most so many regressions.
        tolerance: stops when no target moved further.

    Returns:
        ``FittedQ``; its ``change`` is above the tolerance if the rounds did not suffice.

    Raises:
        GateError: other shapes, values outside their bounds, predictions that are not [rows, actions] numbers, or that
            grow without end.
    """
    r = checked_rewards(reward, np.size(reward))
    gamma = checked_vector(discount, r.size, "discounts", low=0.0)
    pi = checked_probabilities(next_pmf, r.size, "the policy's probabilities")
    if (gamma > 1.0).any() or rounds < 1:
        raise GateError(
            "discounts lie in [0, 1], and values are fitted at least once",
            example=(float(gamma.max(initial=0.0)), rounds),
            remedy="Pass γ, or γ to the power of the time between the rows.",
        )
    targets, done = r, 0
    while True:
        predict, done = regress(targets), done + 1
        values = np.asarray(predict(next_features), dtype=np.float64)
        if values.shape != pi.shape:
            raise GateError(
                "predictions must be one number for each action of each row",
                example=(values.shape, pi.shape),
                remedy="Let the function that regress returns give [rows, actions].",
            )
        moved = r + np.where(gamma > 0, gamma * (pi * values).sum(axis=1), 0.0)
        if not (np.abs(moved) < ENDLESS).all():
            raise without_end(done)
        change, targets = float(np.abs(moved - targets).max(initial=0.0)), moved
        if change <= tolerance or done == rounds:
            return FittedQ(predict, done, change)


def ridge_regression(features: ArrayLike, action: ArrayLike, *, actions: int, ridge: float = 1.0) -> Regress:
    """Least squares for each action by itself, in closed form: a ``regress`` for ``fitted_q``.

    Args:
        features: [rows, p] of the rows that are fitted; give a column of ones for an intercept.
        action: [rows] codes of the logged actions.
        actions: how many there are.
        ridge: imaginary rows, of each column's mean square, that pull its coefficients to 0.

    Returns:
        From targets [rows] to a function from features [n, p] to action values [n, actions].

    Raises:
        GateError: other shapes, features that are not finite, a negative ridge.
    """
    x = checked_features(features, np.shape(action)[0])
    a = checked_codes(action, x.shape[0], actions, "actions")
    penalty = penalty_of(x, ridge)
    rows = [np.flatnonzero(a == b) for b in range(actions)]
    inverse = [np.linalg.pinv(x[at].T @ x[at] + penalty, hermitian=True) for at in rows]

    def regress(targets: Floats) -> Predict:
        beta = np.stack([inv @ (x[at].T @ targets[at]) for inv, at in zip(inverse, rows, strict=True)])
        return lambda given: np.asarray(given, dtype=np.float64) @ beta.T

    return regress


def checked_features(features: ArrayLike, rows: int) -> Floats:
    """[rows, p] float64.

    Raises:
        GateError: another shape, or numbers that are not finite.
    """
    x = np.asarray(features, dtype=np.float64)
    if x.ndim != 2 or x.shape[0] != rows or x.shape[1] == 0 or not np.isfinite(x).all():
        raise GateError(
            f"features must be finite numbers [rows, features] with {rows:,} rows",
            example=x.shape,
            remedy="Encode words as numbers first.",
        )
    return x


def penalty_of(x: Floats, ridge: float) -> Floats:
    """[p, p] of imaginary rows, as many as ``ridge``."""
    if not (ridge >= 0 and math.isfinite(ridge)):
        raise GateError("ridge is a number of imaginary rows", example=ridge, remedy="Try 1.")
    return np.diag(ridge * np.square(x).mean(axis=0) if x.shape[0] else np.zeros(x.shape[1]))


def without_end(rounds: int) -> GateError:
    """What is said where values do not settle."""
    return GateError(
        f"fitted action values grow without end, after {rounds:,} rounds",
        remedy="Use fewer features, a larger ridge or a smaller discount; the policy strays too far from the log.",
    )
