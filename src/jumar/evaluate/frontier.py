"""Cost against value: what deciding by the gap between values would bring at every threshold, beside other rules.

In: scored rows that fitted nothing, and what each action costs. Out: a ``Frontier`` for the report. Nothing here is
part of a verdict: values are doubly-robust estimates with their errors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jumar.evaluate.certificate import Frontier, FrontierPoint
from jumar.evaluate.judging import Scored
from jumar.policy.path import greedy_at_price

POINTS = 21
Pmf = NDArray[np.floating]


def frontier_of(
    scored: Scored,
    *,
    name: str,
    costs: Sequence[float],
    minimum: Sequence[float],
    chosen: int | None,
    ranking: tuple[str, NDArray[np.float64]] | None = None,
    reward_low: float,
    reward_high: float,
) -> Frontier:
    """Draw the frontier on validation rows.

    Args:
        scored: the rows.
        name: whose cost it is.
        costs: [actions] cost of each action.
        minimum: [actions] exploration floor that every point keeps.
        chosen: which contestant to mark.
        ranking: name and [rows, actions] prediction of another outcome to sort by; by default the reward itself, as
            expected with the action and without asking what would come anyway.
        reward_low, reward_high: what 0 and 1 stand for.
    """
    cost = np.asarray(costs, np.float64)
    dear, cheap = int(cost.argmax()), int(cost.argmin())
    scale = reward_high - reward_low

    def point(label: str, pmf: Pmf, threshold: float | None = None) -> FrontierPoint:
        value, error = _value(scored, pmf)
        return FrontierPoint(
            name=label,
            cost=float((pmf @ cost).mean()),
            value=reward_low + scale * value,
            error=scale * error,
            threshold=threshold,
        )

    gap = (scored.advantage[:, dear] - scored.advantage[:, cheap]) / (cost[dear] - cost[cheap])
    thresholds = np.unique(np.quantile(gap, np.linspace(1.0, 0.0, POINTS)))[::-1]
    points = [
        point("value gap", greedy_at_price(scored.clone, scored.advantage, price, costs, minimum), scale * float(price))
        for price in thresholds
    ]
    baselines = []
    if len(cost) == 2:
        label, predicted = ranking or (f"the outcome expected with '{name}'", scored.q)
        expected = predicted[:, dear]
        for threshold in np.unique(np.quantile(expected, np.linspace(1.0, 0.0, POINTS)))[::-1]:
            preferred = np.zeros_like(scored.clone)
            preferred[:, dear] = expected - threshold
            baselines.append(point(f"sorted by {label}", greedy_at_price(scored.clone, preferred, 0.0, costs, minimum)))
    now = scored.clone if scored.production is None else scored.production
    marks = [point("production", now)]
    if chosen is not None:
        marks.append(point("chosen", scored.pmf[:, chosen].astype(np.float64)))
    return Frontier(cost=name, points=points, baselines=baselines, marks=marks, rows=len(scored.reward))


def _value(scored: Scored, pmf: Pmf) -> tuple[float, float]:
    """Mean reward of a policy on [0, 1] and the standard error of its difference from production's: doubly robust."""
    now = scored.clone if scored.production is None else scored.production
    taken = np.take_along_axis(pmf, scored.action[:, None], axis=1)[:, 0]
    residual = scored.reward - np.take_along_axis(scored.q, scored.action[:, None], axis=1)[:, 0]
    gain = (taken / scored.propensity - 1.0) * residual + ((pmf - now) * scored.q).sum(axis=1)
    return float(scored.reward.mean() + gain.mean()), float(gain.std() / np.sqrt(len(gain)))
