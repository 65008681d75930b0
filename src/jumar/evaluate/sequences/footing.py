"""Where a reward of 0 lies in what units are counted by, so that a decision that is not made counts as nothing.

In: the declared range of the reward, the timeline, how many decisions of a unit count. Out: ``Footing``, which turns
rewards on [0, 1] of their range into rewards above a floor that is 0 or less, and says what an ended unit is still paid
for the decisions that it no longer has. Claims about what follows are made of it.

Variables need rewards ≥ 0. Read from a floor L < 0 up, every decision would bring −L by being made, and a policy that
only makes episodes longer would gain. So whoever has ended goes on as one who is paid 0, hence −L above the floor, as
long as the longest unit: then Σ γ_{0:t}·(r_t − L) and Σ γ_{0:t}·r_t differ by −L·longest, whoever decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jumar.evaluate.capital import Floats
from jumar.evaluate.sequences.episodes import Episodes, sums_by_episode
from jumar.evaluate.sequences.returns import discount_to_date
from jumar.logs import Timeline


@dataclass(frozen=True)
class Footing:
    """Rewards on a range that holds 0.

    Attributes:
        offset, slope: a reward c on [0, 1] of its declared range is offset + slope·c on [0, 1] of the range that also
            holds 0.
        width: of that range, in the reward's own units.
        nothing: what a reward of 0 is on it.
        longest: the most that the discounts from a unit's first decision to all of its decisions may add up to.
    """

    offset: float = 0.0
    slope: float = 1.0
    width: float = 1.0
    nothing: float = 0.0
    longest: float = 1.0

    @classmethod
    def of(cls, low: float, high: float, timeline: Timeline, most_per_unit: int) -> Footing:
        """The footing of rewards between ``low`` and ``high``, where so many decisions of a unit count."""
        floor, top = min(low, 0.0), max(high, 0.0)
        width, gamma = top - floor, timeline.discount
        even = timeline.per is None
        longest = (1.0 - gamma**most_per_unit) / (1.0 - gamma) if even else float(most_per_unit)
        return cls((low - floor) / width, (high - low) / width, width, -floor / width, longest)

    @property
    def above(self) -> float:
        """What a unit of which all rewards are 0 is counted as."""
        return self.nothing * self.longest

    def rewards(self, reward: Floats) -> Floats:
        """[rows] on the range that holds 0."""
        return reward if (self.offset, self.slope) == (0.0, 1.0) else self.offset + self.slope * reward

    def closing(self, discount: Floats, starts: NDArray[np.int64]) -> Floats | None:
        """[units] what each is paid behind its last row; None where a reward of 0 counts nothing.

        Args:
            discount: [rows] in [0, 1], 0 after the end of an episode; what stands on last rows is not used.
            starts: [units] first row of each.
        """
        if self.nothing == 0.0:
            return None
        episodes = Episodes.of(starts, discount.size)
        made = sums_by_episode(discount_to_date(discount, episodes), episodes)
        return self.nothing * np.maximum(self.longest - made, 0.0)
