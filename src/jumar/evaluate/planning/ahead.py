"""What the spread of a log's returns means for a gain: units for whole episodes and for one deviation, and canaries.

In: ``UnitPaths``, a ``Tally``, how sure one wants to be. Out: units, gains, budgets. No log is read here;
``plan_ahead`` imports this module.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from jumar.evaluate.capital import GateError
from jumar.evaluate.planning.episode_law import EpisodeLaw, Kind, OneWeight, episode_law
from jumar.evaluate.planning.law import Tally
from jumar.evaluate.planning.outlook import GATE_SHARE, LEAST_EXPLORATION, rounded
from jumar.evaluate.planning.rows import detectable_gain, rows_for, rows_needed
from jumar.evaluate.planning.unit_paths import UnitPaths

MOST_UNITS = 1e12  # whatever takes more is as good as impossible
REFERENCE = 0.1  # an exploration to suppose where there is none
_SMALLEST_STEP = 1e-3
_ROUNDS, _BISECTIONS, _NEAR = 4, 8, 0.02


@dataclass(frozen=True)
class AheadSight:
    """What a log shows of its units, and how sure one wants to be.

    Attributes:
        paths: what units brought.
        tally: the log's decisions, with a policy or without.
        changed: without a policy, the share of decisions in which the supposed one prefers another action.
        units: of the whole log, judged and not.
        alpha, power: error probability of the certificate, and probability of getting it if the gain is real.
    """

    paths: UnitPaths
    tally: Tally
    changed: float
    units: int
    alpha: float
    power: float

    @property
    def judged(self) -> float:
        """Units that the log as it is has for judging."""
        return GATE_SHARE * self.units

    def weight(self, exploration: float | None, step: float = 1.0) -> OneWeight:
        """The law of one weight if production explored as given; None: as the log shows it, if at all."""
        tally = self.tally
        if exploration is not None or tally.deterministic:
            tally = tally.explored(REFERENCE if exploration is None else exploration)
        return OneWeight.of(tally.law(self.changed), step)

    def spent(self, weight: OneWeight) -> float:
        """Σ χ² over an episode, exceeded by one in twenty."""
        return self.paths.long * weight.chi_square

    def within(self, budget: float) -> OneWeight:
        """The longest step at production's own exploration that keeps to a budget of Σ χ² in 95% of the episodes."""
        return self.weight(None).within(budget / self.paths.long)

    def _mean(self, gain: float, kind: Kind) -> float:
        """E[D] at a relative gain. One deviation brings an M-th of what M of them bring, to first order."""
        share = gain * self.paths.value / self.paths.cap
        return share if kind == "whole" else share / self.paths.most_per_unit

    def law(self, weight: OneWeight, kind: Kind, most: int | None = None) -> EpisodeLaw:
        """Of the gate's variable, whatever is gained; see ``episode_law``."""
        return episode_law(self.paths, weight, kind, most)

    def needed(self, law: EpisodeLaw, gain: float, *, boosted: bool = False) -> float | None:
        """Units to judge on; None where no number that there can be is enough.

        Args:
            law: of how far the policy strays, and of what is shown: that the whole policy gains, or that a single
                deviation does.
            gain: relative to production's value per unit, of the policy that deviates at every decision.
            boosted: most of the capital is bet by the booster.
        """
        if not 0 < law.square < MOST_UNITS:
            return None
        try:
            found, factor = law.law(self._mean(gain, law.kind))
        except GateError:
            return None
        units = factor * rows_for(found, self.alpha, self.power, boosted=boosted)
        return units if units < MOST_UNITS else None

    def units_for(
        self, gain: float, weight: OneWeight, kind: Kind, *, most: int | None = None, boosted: bool = False
    ) -> float | None:
        """The same for a law that is needed only once; only ``most`` first decisions of an episode deviate."""
        return self.needed(self.law(weight, kind, most), gain, boosted=boosted)

    def detectable(self, law: EpisodeLaw) -> float | None:
        """The smallest relative gain that the log as it is certifies; None where none that returns allow is enough."""
        if not 0 < law.square < MOST_UNITS:
            return None
        judged = max(int(self.judged), 1)
        gain = detectable_gain(judged, law.square, self.alpha, self.power) / self._mean(1.0, law.kind)
        for _ in range(_ROUNDS):
            units = self.needed(law, gain)
            if units is None:
                return None
            gain *= math.sqrt(units / judged)
            if abs(units / judged - 1.0) < _NEAR:
                break
        return rounded(gain)

    def largest_budget(self, gain: float) -> float | None:
        """The largest Σ χ² at which the log as it is certifies the gain of a whole policy; None where none is."""
        weight = self.weight(None)

        def enough(step: float) -> bool:
            units = self.units_for(gain, OneWeight(weight.weight, weight.probability, step), "whole")
            return units is not None and units <= self.judged

        if enough(1.0):
            return rounded(self.spent(weight))
        # Too short a step cannot gain that much, too long a one scatters too far: look from the middle.
        low = 0.5
        while not enough(low):
            if (low := 0.5 * low) < _SMALLEST_STEP:
                return None
        step = _edge(enough, low, 2.0 * low)[0]
        return rounded(self.spent(OneWeight(weight.weight, weight.probability, step)))

    def exploration_needed(self, gain: float, step: float) -> float | None:
        """Smallest exploration at which as many units as the log has certify the gain of a policy as far away."""

        def enough(exploration: float) -> bool:
            units = self.units_for(gain, self.weight(exploration, step), "whole")
            return units is not None and units <= self.judged

        if not enough(1.0):
            return None
        if enough(LEAST_EXPLORATION):
            return LEAST_EXPLORATION
        return math.ceil(_edge(lambda one: not enough(one), LEAST_EXPLORATION, 1.0)[1] * 1e3) / 1e3

    def decisions_enough(self, gain: float, weight: OneWeight) -> int | None:
        """How many first decisions of an episode may deviate so that the log as it is certifies the gain."""

        def enough(most: int) -> bool:
            units = self.units_for(gain, weight, "whole", most=most)
            return units is not None and units <= self.judged

        high = int(self.paths.episodes.lengths.max())
        if enough(high):
            return high
        # Too few cannot gain that much, too many scatter too far: look from the middle.
        low = high // 2
        while low and not enough(low):
            low, high = low // 2, low
        while low and high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if enough(middle) else (low, middle)
        return low or None

    def canary(self, gain: float, share: float) -> int:
        """Units of both arms of a canary that shows the gain, by comparing what units bring.

        With A the arm, s the canary's share and C̄ production's mean, (A/s − (1 − A)/(1 − s))·(C − C̄) has the gain as
        its mean and about Var(C)/(s·(1 − s)) as its second moment; no weight multiplies.

        Args:
            gain: relative to production's value per unit.
            share: of the units that the canary serves, in (0, 1).
        """
        scatter = (self.paths.deviation / self.paths.cap) ** 2 / (share * (1.0 - share))
        return rows_needed(self._mean(gain, "whole"), max(scatter, 1e-12), self.alpha, self.power)


def _edge(holds: Callable[[float], bool], low: float, high: float) -> tuple[float, float]:
    """Two near places: at one something still holds, at the other no more; as it is at ``low`` and at ``high``."""
    for _ in range(_BISECTIONS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low, high
