"""What a log's spread means for a gain: rows at production's exploration and at others, and the curves between them.

In: a ``Tally``, how sure one wants to be. Out: ``Here``, ``Curve``, exploration rates. No log is read here;
``planning`` imports this module.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from jumar.errors import OptionError
from jumar.evaluate.capital import GateError
from jumar.evaluate.law import Law, Tally
from jumar.evaluate.planner import rows_for
from jumar.evaluate.trials import WORTH_IT
from jumar.logs.split import PARTS

GATE_SHARE = PARTS["gate"][1] - PARTS["gate"][0]
LEAST_EXPLORATION = 1e-3
_GAINS, _SMALLEST = 12, 1e-3  # how many gains draw a curve, and the smallest one relative to production's value
_NEARLY, _BISECTIONS = 0.98, 9  # the greatest gain itself has no law


@dataclass(frozen=True)
class Here:
    """The answer at production's own exploration; None where nothing was explored."""

    rows: int | None
    boosted: int | None
    second_moment: float | None
    saving: float
    variable: Literal["plain", "doubly robust"]


@dataclass(frozen=True)
class Curve:
    """Decisions to judge on, for gains relative to production's value: both [gains], the gains rising."""

    gains: list[float]
    rows: list[float]

    def rows_of(self, gain: float) -> int | None:
        """For a gain; None where it is beyond what rewards allow."""
        if not self.gains or gain > self.gains[-1]:
            return None
        if gain < self.gains[0]:
            return math.ceil(self.rows[0] * (self.gains[0] / gain) ** 2)
        return math.ceil(math.exp(np.interp(math.log(gain), np.log(self.gains), np.log(self.rows))))

    def gain_of(self, log_rows: int) -> float | None:
        """For a log of so many decisions; None where no gain is large enough."""
        judged = log_rows * GATE_SHARE
        if not self.gains or judged < self.rows[-1]:
            return None
        if judged > self.rows[0]:
            return rounded(self.gains[0] * math.sqrt(self.rows[0] / judged))
        return rounded(math.exp(np.interp(-math.log(judged), -np.log(self.rows), np.log(self.gains))))


@dataclass(frozen=True)
class Sight:
    """What the log shows and how sure one wants to be; rewards in [0, 1].

    Attributes:
        value: production's, such that a relative gain times it is a gain per decision.
        most: the greatest relative gain that the bounds of the reward allow.
    """

    log_rows: int
    tally: Tally
    changed: float
    value: float
    most: float
    alpha: float
    power: float

    def here(self, gain: float, robust: Callable[[Law, int], Law] | None) -> Here:
        """At production's own exploration, with the variable that the gate would choose.

        Raises:
            OptionError: no rewards within their bounds give the gain.
        """
        if self.tally.deterministic:
            return Here(None, None, None, 1.0, "plain")
        law = self.tally.law(self.changed)
        try:
            plain = law.with_gain(gain * self.value)
        except GateError as error:
            raise self._too_much(gain, law) from error
        rows = rows_for(plain, self.alpha, self.power)
        boosted = rows_for(plain, self.alpha, self.power, boosted=True)
        other = None if robust is None else robust(plain, rows)
        if other is None or other.second_moment > WORTH_IT * plain.second_moment:
            return Here(rows, boosted, plain.second_moment, 1.0, "plain")
        other = other.with_gain(gain * self.value)
        fewer = rows_for(other, self.alpha, self.power)
        saving = fewer / rows
        return Here(fewer, math.ceil(saving * boosted), other.second_moment, saving, "doubly robust")

    def _too_much(self, gain: float, law: Law) -> OptionError:
        most = min(law.greatest_gain / self.value, self.most)
        return OptionError(
            f"A policy that changes {self.changed:.0%} of the decisions cannot gain {gain:.4g} of production's value",
            example=gain,
            remedy=f"Hope for less than {max(most, 0.0):.3g}, or suppose more change with --changed.",
        )

    def curve(self, exploration: float, saving: float, gain: float) -> Curve:
        """Rows for a range of gains, the one hoped for among them, if production explored as given."""
        law = self._explored(exploration).law(self.changed)
        greatest = _NEARLY * min(law.greatest_gain / self.value, self.most)
        if greatest <= _SMALLEST:
            return Curve([], [])
        gains = np.geomspace(min(_SMALLEST, gain), greatest, _GAINS).tolist()
        gains = sorted({*gains, gain} if gain < greatest else gains)
        rows = [saving * self._rows(law, gain) for gain in gains]
        return Curve(gains, rows)

    def _explored(self, exploration: float) -> Tally:
        return self.tally if exploration == shown(self.tally.exploration) else self.tally.explored(exploration)

    def _rows(self, law: Law, gain: float) -> int:
        return rows_for(law.with_gain(gain * self.value), self.alpha, self.power)

    def exploration_needed(self, gain: float, saving: float) -> float | None:
        """Smallest exploration at which as many rows as the log has are enough, rounded up."""

        def enough(exploration: float) -> bool:
            law = self._explored(exploration).law(self.changed)
            if gain * self.value >= law.greatest_gain:
                return False
            return saving * self._rows(law, gain) <= GATE_SHARE * self.log_rows

        if not enough(1.0):
            return None
        low, high = LEAST_EXPLORATION, 1.0
        if enough(low):
            return low
        for _ in range(_BISECTIONS):
            middle = math.sqrt(low * high)
            low, high = (low, middle) if enough(middle) else (middle, high)
        return math.ceil(high * 1e3) / 1e3


def upwards(rows: float) -> int:
    """Three significant digits, upwards: the last ones would claim too much."""
    unit = 10 ** max(len(str(math.ceil(rows))) - 3, 0)
    return -int(-rows // unit) * unit


def rounded(value: float) -> float:
    """Four significant digits."""
    return float(f"{value:.4g}")


def shown(exploration: float) -> float:
    """Production's own exploration as it is shown."""
    return float(f"{exploration:.3g}")
