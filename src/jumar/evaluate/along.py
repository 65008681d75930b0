"""Audit of the weights along timelines: are the draws of one unit as fresh as their propensities say?

In: weights of whole units, and predicted values. Out: ``AlongAudit``, additive over shards, with a finding for each
candidate. ``weights`` imports this module.

Every weight may average to 1 and their products not: where a unit's draws hang together, a little in each pair, the
product of many is far too large, and any reward looks like a gain. If each action was drawn with the logged propensity
given the unit's past, ρ_{0:t} has increments of mean ≤ 0, and so has

    Y = Σ_t β_t·(ρ_{0:t} − ρ_{0:t−1}),     ρ_{0:−1} = 1,

for every β_t ≥ 0 that is known before the draw. Where β never rises along a unit and begins at 1 or less, Y is an
average of ρ − 1, so Y ≥ −1, and capital bets on it. Three β are tried: the discount to date, which is what rewards
count, and the same times the least predicted value so far, or the least of 1 − it, for products that are wrong where
rewards are high or low. An average of three capitals is a capital: it reaches 100 with probability at most 1/100.
"""

from __future__ import annotations

import numpy as np

from jumar.evaluate.capital import Bets, Capital, Floats, log_sum_exp
from jumar.evaluate.certificate import Finding
from jumar.evaluate.claims import UnitRows
from jumar.evaluate.sequences.episodes import Episodes, sums_by_episode
from jumar.evaluate.sequences.returns import discount_to_date, drawn_together, products_to_date
from jumar.evaluate.sequences.variables import LARGEST_PRODUCT

ALONG = "weights along timelines"
_SIDES = 3


class AlongAudit:
    """Additive sums over units; the state does not grow with them.

    Args:
        bets: for each candidate.
    """

    def __init__(self, bets: list[Bets]) -> None:
        self.capitals = [Capital(bets) for _ in range(_SIDES)]
        self.moments = np.zeros((2, len(bets)))  # Σ and Σ² of what a unit's rewards are weighed by, on average

    def update(self, weight: Floats, units: UnitRows, value: Floats) -> None:
        """Adds the rows of whole units.

        Args:
            weight: [rows, K].
            units: how they follow each other.
            value: [rows] predicted value of each context in [0, 1].
        """
        episodes = Episodes.of(units.starts, len(value))
        counts = discount_to_date(units.discount, episodes)
        w = drawn_together(weight, units.tied)
        products = np.stack([products_to_date(column, episodes, LARGEST_PRODUCT) for column in w.T], axis=1)
        for side, guide in enumerate((None, value, 1.0 - value)):
            beta = counts if guide is None else counts * _least_to_date(guide, episodes)
            drop = beta - np.append(beta[1:], 0.0)
            drop[episodes.last] = beta[episodes.last]
            total = np.stack([sums_by_episode(column, episodes) for column in (products * drop[:, None]).T], axis=1)
            self.capitals[side].update(np.maximum(total - beta[episodes.starts, None], -1.0))
            if guide is None:
                self.moments += [total.sum(axis=0), np.square(total).sum(axis=0)]

    def __add__(self, other: AlongAudit) -> AlongAudit:
        """Both shards."""
        total = AlongAudit(list(self.capitals[0].bets))
        total.capitals = [a + b for a, b in zip(self.capitals, other.capitals, strict=True)]
        total.moments = self.moments + other.moments
        return total

    def ess(self, k: int) -> float:
        """(ΣW)²/ΣW² of the weights W of whole units."""
        first, second = self.moments[:, k]
        return float(first**2 / second) if second > 0 else 0.0

    def log_capital(self, k: int) -> float:
        """In nats, that the products of candidate k are too large."""
        return log_sum_exp(np.array([float(one.log_value[k]) for one in self.capitals])) - float(np.log(_SIDES))

    def finding(self, k: int, alarm: float) -> Finding:
        """What may be said of candidate k; ``alarm`` in nats blocks it."""
        value, mean = self.log_capital(k), float(self.moments[0, k]) / max(self.capitals[0].count, 1)
        figures = {"candidate": k, "log_capital": value, "alarm_at": alarm, "mean_product": mean}
        if value < alarm:
            sentence = f"The products of weights along timelines average {mean:.3f}; no sign that they are too large."
            return Finding(name=ALONG, verdict="ok", sentence=sentence, figures=figures)
        sentence = (
            f"The products of weights along timelines average {mean:.3f}, which cannot be where every decision was "
            "drawn afresh with the logged probability, given the unit's past: a unit's draws hang together, and this "
            "policy looks better than it is."
        )
        return Finding(name=ALONG, verdict="blocked", sentence=sentence, figures=figures)


def _least_to_date(values: Floats, episodes: Episodes) -> Floats:
    """[rows] the smallest value [rows] since the episode began."""
    least = np.array(values, dtype=np.float64)
    for step, at in episodes.before():
        least[at] = np.minimum(least[at], least[at - step])
    return least
