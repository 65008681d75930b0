"""The reference policy of the sequential world: dynamic programming on the world's own laws.

In: situations and a discount. Out: what sending adds to their long-run value. Only ``reengagement`` imports this.
"""

from __future__ import annotations

import functools

import numpy as np

from jumar.worlds.base import Floats
from jumar.worlds.reengagement_people import (
    DECAY,
    HOUR_CHANCES,
    LEAST_USUAL,
    LONGEST_AWAY,
    MOST_USUAL,
    SEASON_DAYS,
    SEGMENTS,
    THIN_SKIN,
    Ints,
    Laws,
    Situation,
)

LAWS = Laws()
LOG_USUAL = np.linspace(np.log(LEAST_USUAL), np.log(MOST_USUAL), 5)
LOADS = np.linspace(0, 1, 11) ** 1.5 / (1 - DECAY)  # up to the load of a message a day; finest where decisions turn
HOURS = np.array([9, 14, 19])
TOLERANCE = 1e-2  # in undisturbed visits, of which a person brings several
MEAN_THIN_SKIN = float(np.exp(THIN_SKIN**2 / 2))


def gain_of_sending(x: Situation, discount: float) -> Floats:
    """Q(x, send) − Q(x, hold), [rows], in undisturbed visits, if everything later is decided by the same rule.

    Today is exact; tomorrow's value comes from a grid, linear between its points. The hidden trait counts with its
    mean: this is the optimum of a world in which everybody has the same skin.
    """
    q = _action_values(x, optimal_values(discount), discount)
    return q[..., 1] - q[..., 0]


@functools.lru_cache(maxsize=4)
def optimal_values(discount: float) -> Floats:
    """Optimal values of a morning, [day of the season, segment, usual, away, load], before its hour is known.

    Seasons only turn forwards: one sweep from their last day to their first carries values through all days, and the
    error shrinks by discount to the power of SEASON_DAYS.
    """
    found = np.zeros((SEASON_DAYS, len(SEGMENTS), len(LOG_USUAL), LONGEST_AWAY, len(LOADS)))
    nearest = np.abs(np.arange(len(HOUR_CHANCES))[:, None] - HOURS).argmin(axis=1)
    weights = np.bincount(nearest, HOUR_CHANCES, minlength=len(HOURS))
    segment = np.arange(len(SEGMENTS)).reshape(-1, 1, 1, 1, 1)
    usual = np.exp(LOG_USUAL).reshape(-1, 1, 1, 1)
    away = np.arange(1, LONGEST_AWAY + 1).reshape(-1, 1, 1)
    load = LOADS.reshape(-1, 1)
    change = np.inf
    while change > TOLERANCE:
        first = found[0].copy()
        for day in reversed(range(SEASON_DAYS)):
            x = Situation(segment, usual, away, load, np.full_like(segment, day), HOURS)
            found[day] = _action_values(x, found, discount).max(axis=-1) @ weights
        change = np.abs(found[0] - first).max()
    return found


def _action_values(x: Situation, values: Floats, discount: float) -> Floats:
    """Today's reward and tomorrow's discounted value, [..., 2]."""
    come, leave = LAWS.come(x), LAWS.leave(x, MEAN_THIN_SKIN)
    visited, absent = _tomorrow(values, x, np.ones_like(x.away)), _tomorrow(values, x, x.away + 1)
    later = come * visited + (1 - come) * absent
    return come * LAWS.worth(x) + discount * (1 - leave) * later


def _tomorrow(values: Floats, x: Situation, away: Ints) -> Floats:
    """The value of tomorrow morning after so many days away, [..., 2]: linear in the usual visits' log and the load."""
    load = DECAY * x.load[..., None] + np.array([0.0, 1.0])
    day = ((x.season_day + 1) % SEASON_DAYS)[..., None]
    segment, away = x.segment[..., None], np.minimum(away, LONGEST_AWAY)[..., None] - 1
    usual, usual_share = _between(LOG_USUAL, np.log(x.usual)[..., None])
    low, load_share = _between(LOADS, load)
    total = 0.0
    for more, weight in ((0, 1 - usual_share), (1, usual_share)):
        for further, share in ((0, 1 - load_share), (1, load_share)):
            total = total + weight * share * values[day, segment, usual + more, away, low + further]
    return np.asarray(total)


def _between(points: Floats, x: Floats) -> tuple[Ints, Floats]:
    """The point below x, and x's share of the way from it to the next; x beyond the ends counts as an end."""
    below = np.clip(np.searchsorted(points, x, side="right") - 1, 0, len(points) - 2)
    return below, np.clip((x - points[below]) / (points[below + 1] - points[below]), 0.0, 1.0)
