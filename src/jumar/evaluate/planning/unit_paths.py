"""What units of a log brought, decision by decision: all that the planner needs of timelines.

In: rewards and discounts over the rows of units in order. Out: ``UnitPaths``: capped rewards, what still fits under the
cap, lengths, and exact second moments of the gate's variables for weights that do not depend on the draws. Pure
functions; ``episode_law`` and whatever plans along timelines import this module.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jumar.evaluate.capital import Floats, GateError
from jumar.evaluate.sequences.budget import SHARE
from jumar.evaluate.sequences.episodes import Episodes, checked_discount, checked_rewards, sums_by_episode, sums_to_go
from jumar.evaluate.sequences.returns import discount_to_date, rewards_under

_MOST_NATS = 300.0  # of a product of second moments; whatever is larger needs more units than there can be


@dataclass(frozen=True, eq=False)
class UnitPaths:
    """The first episode of each unit, as its rewards count.

    Attributes:
        share: [rows] c_t/cap, what each decision brought of the capped, discounted return.
        rest: [rows] U_t, the same for it and all after it.
        starts: [units] first row of each unit.
        cap: the most that a unit counts, in rewards on [0, 1].
        most_per_unit: M, decisions of a unit that count.
        uncapped: mean return per unit without the cap, in rewards on [0, 1].
    """

    share: Floats
    rest: Floats
    starts: NDArray[np.int64]
    cap: float
    most_per_unit: int
    uncapped: float

    @classmethod
    def of(
        cls, reward: ArrayLike, discount: ArrayLike, starts: ArrayLike, *, cap: float, most_per_unit: int
    ) -> UnitPaths:
        """Rows of whole units, in order.

        Args:
            reward: [rows] in [0, 1].
            discount: [rows] from each row to the unit's next, 0 after an end; on last rows anything in [0, 1].
            starts: [units] first row of each unit.
            cap, most_per_unit: see ``UnitPaths``.

        Raises:
            GateError: no rows, values outside their bounds, starts that are none, a cap that is not above 0.
        """
        episodes = Episodes.of(starts, np.size(reward))
        if not episodes.units:
            raise GateError("a plan needs units", remedy="Use a log that holds decisions to plan from.")
        r, gamma = checked_rewards(reward, episodes.rows), checked_discount(discount, episodes)
        reach = discount_to_date(gamma, episodes)
        counts = reach > 0  # first rows always do
        share = rewards_under(cap, r, gamma, episodes)[counts] / cap
        lengths = np.add.reduceat(counts.astype(np.int64), episodes.starts)
        first = np.append(0, lengths.cumsum()[:-1])
        rest = sums_to_go(share, None, Episodes.of(first, share.size))
        return cls(share, rest, first, cap, most_per_unit, float((reach * r).sum() / episodes.units))

    @cached_property
    def episodes(self) -> Episodes:
        """Where units lie among the rows."""
        return Episodes.of(self.starts, self.share.size)

    @property
    def units(self) -> int:
        """How many."""
        return self.starts.size

    @cached_property
    def returns(self) -> Floats:
        """[units] C/cap in [0, 1]."""
        return sums_by_episode(self.share, self.episodes)

    @property
    def value(self) -> float:
        """Production's mean capped return, in rewards on [0, 1]."""
        return float(self.returns.mean()) * self.cap

    @property
    def deviation(self) -> float:
        """Standard deviation of a unit's capped return, in rewards on [0, 1]."""
        return float(self.returns.std()) * self.cap

    @property
    def kept(self) -> float:
        """Share of the returns that fits under the cap."""
        return self.value / self.uncapped if self.uncapped > 0 else 1.0

    @property
    def long(self) -> int:
        """Decisions of an episode that 95% of the episodes do not exceed."""
        return math.ceil(float(np.quantile(self.episodes.lengths, SHARE, method="inverted_cdf")))

    @cached_property
    def squares(self) -> Floats:
        """[decisions] mean U_t² over all units at their first, second, … decision; 0 where a unit has none."""
        return np.bincount(self.episodes.position, np.square(self.rest)) / self.units

    def whole_square(self, chi_square: float, most: int | None = None) -> float:
        """E[D²] of a policy over whole episodes whose weights scatter by χ² at each decision, whatever came before.

        Written as Σ_t ρ_{0:t−1}·(w_t − 1)·U_t, D is a sum of uncorrelated terms: E[D²] = Σ_t (1 + χ²)^t·χ²·E[U_t²].

        Args:
            chi_square: χ² of one decision.
            most: only so many first decisions of an episode deviate.
        """
        squares = self.squares[:most]
        nats = np.arange(squares.size) * math.log1p(chi_square)
        return chi_square * float(np.exp(np.minimum(nats, _MOST_NATS)) @ squares)

    def single_square(self, chi_square: float) -> float:
        """E[D²] of one deviation among the first M decisions: Σ_t χ²·E[U_t²]/M²."""
        return chi_square * float(self.squares[: self.most_per_unit].sum()) / self.most_per_unit**2

    def product_square(self, chi_square: float, most: int | None = None) -> float:
        """Mean over units of E[ρ²] = (1 + χ²)^length, at most e³⁰⁰; only so many first decisions deviate."""
        lengths = self.episodes.lengths if most is None else np.minimum(self.episodes.lengths, most)
        return float(np.exp(np.minimum(lengths * math.log1p(chi_square), _MOST_NATS)).mean())
