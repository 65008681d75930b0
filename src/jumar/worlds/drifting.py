"""The founding world for a year in which it does not stay as it is.

In: a day and a seed. Out: that day's decisions to be made, exact values, and outcomes of actions. Weekends are quieter,
seasons come and go, notifications slowly wear out, and on one day half of the pages' owners turn: what helped annoys
them, while the others listen. Benchmarks and tests import it, through ``jumar.worlds``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jumar.worlds import base
from jumar.worlds.notifications import (
    WORTH_CONCENTRATION,
    Notifications,
    _Columns,
    annoyance,
    come_unasked,
    persuasion,
    worth_of_visit,
)

YEAR, WEEKS_BACK = 365, 60  # the first day is Monday 6 January 2025
SEASON, WEEKEND = 0.3, -0.35  # logits of a visit unasked
WORN = 0.35  # share of their persuasion that notifications lose in a year
TURNED = (0, 1, 3)  # shop, restaurant, services
DEAF, ANNOYED, LISTENING = 0.1, 0.15, 0.25


@dataclass(frozen=True)
class DriftingNotifications(Notifications):
    """One day of the founding world in a year of drift.

    Attributes:
        day: which one, from 0.
        turn: the day on which the owners of shops, restaurants and services turn.
    """

    day: int = 0
    turn: int = 180

    def moments(self, rows: int, seed: int) -> pa.Table:
        """The decisions of a week, in the order of time; the week is the one that the day lies in.

        Args:
            rows: of the week, about: whole units are drawn.
            seed: of a year; another week is other people.
        """
        number = seed * 1_000 + self.day // 7
        blocks = -(-rows // base.BLOCK_ROWS)  # each of them spans the week
        drawn = Notifications(week=self.day // 7 - WEEKS_BACK).contexts(blocks * base.BLOCK_ROWS, number)
        unit = drawn["unit"].combine_chunks().dictionary_encode()
        kept = base.block_rng(number, 0, stream=3).random(len(unit.dictionary)) < rows / drawn.num_rows
        return drawn.filter(pa.array(kept[unit.indices.to_numpy()])).sort_by([("time", "ascending")])

    def today(self, week: pa.Table) -> pa.Table:
        """Those of a week's decisions that fall on the day."""
        return week.filter(pa.array(week["weekday"].to_numpy() == self.day % 7)).combine_chunks()

    def outcomes(self, contexts: pa.Table, action: NDArray[np.int64], rng: np.random.Generator) -> base.Floats:
        """Draw rewards of actions, [rows], as the founding world draws them."""
        come, worth = self._truth(_Columns(contexts))
        taken = np.arange(len(action)), action
        mean = worth[taken]
        visit = rng.beta(WORTH_CONCENTRATION * mean, WORTH_CONCENTRATION * (1 - mean))
        return np.where(rng.random(len(action)) < come[taken], visit, 0.0)

    def _truth(self, x: _Columns) -> tuple[base.Floats, base.Floats]:
        """Chance to come and mean worth of a visit, both [rows, 2], on this day."""
        come = _moved(come_unasked(x), SEASON * np.sin(2 * np.pi * self.day / YEAR) + WEEKEND * x.weekend)
        reached = persuasion(x) * (1 - WORN * self.day / YEAR)
        cost = annoyance(x)
        if self.day >= self.turn:
            turned = np.isin(x.category, TURNED)
            reached = np.where(turned, DEAF * reached, reached + LISTENING * (1 - reached))
            cost = np.where(turned, cost + ANNOYED, cost)
        worth = worth_of_visit(x)
        return np.stack([come, come + (1 - come) * reached], axis=1), np.stack([worth, worth * (1 - cost)], axis=1)


def _moved(chance: base.Floats, logits: base.Floats | float) -> base.Floats:
    odds = chance / (1 - chance) * np.exp(logits)
    return odds / (1 + odds)
