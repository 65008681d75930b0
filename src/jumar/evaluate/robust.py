"""A doubly-robust variable for the gate: capped predictions take out noise where rewards are common.

In: probabilities of policies and production over all actions, predicted rewards from TRAIN. Out: y [rows, K], and the
bound below which it never falls. ``evidence`` and ``trials`` import this module.

With q' = min(q̂, κ·μ/π), and q' = q̂ where π = 0:

    y = (w − 1)·(r − q'(x, a)) + Σ_b (π − μ)(b|x)·q'(x, b).

Unbiased. q' does not depend on the draw, so E[y] = Σ_{μ>0} (π − μ)(q − q') + Σ_b (π − μ)·q' = Σ_{μ>0} (π − μ)·q, since
q' = 0 where μ = 0 < π: mass on actions that production never takes adds nothing, as in the plain variable.

Bounded. Σ (π − μ)·q' ≥ −Σ μ·q' ≥ −1. Where w ≥ 1, (w − 1)(r − q') ≥ −(w − 1)·q' ≥ −w·q' ≥ −κ; where w < 1 it is at
least −(1 − w)(1 − q') ≥ −1. So y ≥ −(max(1, κ) + 1), and no smaller bound holds for all logs: at r = 0, π(a) = 1,
μ(a) = m and q̂ = 1 throughout, y = −(1 − m)·(1 + κ·(1 − m)) for m ≤ 1/κ, which tends to −(1 + κ) as m goes to 0.

See "Doubly robust policy evaluation and learning" by Dudík et al. (https://arxiv.org/abs/1103.4601).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jumar.evaluate.capital import Floats, GateError

ROUNDING = 1e-5  # probabilities from single-precision policies sum to one that well; the bound allows for it
_NUMBERS_AT_ONCE = 1_000_000


def kappa_for(second_moment: float, rows_planned: int, alpha: float = 0.001) -> float:
    """κ = max(1, 1/(2·λ̂) − 1): under this cap the bet that suits n rows is half of the largest that the bound allows.

    Args:
        second_moment: E[d²] of the plain variable, on rows that the gate does not hold.
        rows_planned: n.
        alpha: the error probability that bets are laid for.
    """
    best = math.sqrt(2.0 * math.log(1.0 / alpha) / max(rows_planned * second_moment, 1e-300))
    return max(1.0, 1.0 / (2.0 * min(0.9, best)) - 1.0)


def robust_bound(kappa: float) -> float:
    """B: y never falls below −B = −(max(1, κ) + 1), and by the rounding that sums of probabilities are allowed."""
    return max(1.0, kappa) + 1.0 + ROUNDING


def robust_variable(
    *,
    pmf: NDArray[np.floating],
    production: NDArray[np.floating],
    predicted: NDArray[np.floating],
    action: NDArray[np.integer],
    reward: NDArray[np.floating],
    kappa: ArrayLike,
) -> Floats:
    """y, [rows, K].

    Args:
        pmf: [rows, K, actions] of the candidates.
        production: [rows, actions] μ.
        predicted: [rows, actions] or [actions] q̂ in [0, 1], made without these rows.
        action: [rows] indices of the actions taken.
        reward: [rows] in [0, 1].
        kappa: [K] caps ≥ 1.

    Raises:
        GateError: where shapes disagree, a pmf does not sum to one, production gives an action that was taken no
            probability, or a prediction or reward lies outside [0, 1]. Nothing is clamped.
    """
    caps = np.asarray(kappa, dtype=np.float64)
    _check(pmf, production, predicted, action, reward, caps)
    q = np.broadcast_to(predicted, production.shape)
    y = np.empty(pmf.shape[:2])
    step = max(_NUMBERS_AT_ONCE // max(pmf.shape[1] * pmf.shape[2], 1), 1)
    for start in range(0, len(pmf), step):
        part = slice(start, start + step)
        pi, mu = pmf[part].astype(np.float64), production[part].astype(np.float64)[:, None, :]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            cap = np.where(pi > 0, caps[:, None] * (mu / pi), np.inf)
        capped = np.minimum(q[part][:, None, :], cap)
        at = action[part][:, None, None].astype(np.int64)
        weight = np.take_along_axis(pi, at, axis=2)[..., 0] / np.take_along_axis(mu, at, axis=2)[..., 0]
        residual = reward[part][:, None] - np.take_along_axis(capped, at, axis=2)[..., 0]
        y[part] = (weight - 1.0) * residual + ((pi - mu) * capped).sum(axis=2)
    return y


def _check(
    pmf: NDArray, production: NDArray, predicted: NDArray, action: NDArray, reward: NDArray, caps: Floats
) -> None:
    shape = pmf.shape
    if (
        pmf.ndim != 3
        or production.shape != (shape[0], shape[2])
        or predicted.shape not in ((shape[2],), production.shape)
        or action.shape != (shape[0],)
        or reward.shape != (shape[0],)
        or caps.shape != (shape[1],)
        or not np.issubdtype(action.dtype, np.integer)
    ):
        raise GateError(
            "the shapes of policies, production, predictions, actions and rewards disagree",
            example=(shape, production.shape, predicted.shape, action.shape, reward.shape, caps.shape),
            remedy="Pass [rows, K, actions], [rows, actions], [rows, actions] or [actions], [rows], [rows] and [K].",
        )
    _demand(caps, (caps >= 1) & (caps < np.inf), "caps of predictions must be finite and at least 1")
    _demand(action, (action >= 0) & (action < shape[2]), f"actions must be indices below {shape[2]}")
    for name, values in (("a policy", pmf), ("production", production)):
        total = values.sum(axis=-1, dtype=np.float64)
        _demand(total, np.abs(total - 1.0) <= ROUNDING, f"the probabilities of {name} must sum to 1")
        _demand(values, values >= 0, f"the probabilities of {name} must not be negative")
    taken = np.take_along_axis(production, action[:, None].astype(np.int64), axis=1)
    _demand(taken, taken > 0, "production's pmf gives no probability to an action that was taken")
    _demand(predicted, (predicted >= 0) & (predicted <= 1), "predicted rewards must lie in [0, 1]")
    _demand(reward, (reward >= 0) & (reward <= 1 + 1e-12), "rewards must lie within their declared bounds")


def _demand(values: NDArray, good: NDArray[np.bool_], what: str) -> None:
    if not good.all():
        bad = values[~good]
        raise GateError(
            what, count=int(bad.size), example=bad.flat[0].item(), remedy="Mend the log or the predictions."
        )
