"""What a log's spread means for a gain: rows at production's exploration and at others, and the curves between them.

In: a ``Tally``, how sure one wants to be. Out: ``Here``, ``Curve``, exploration rates. No log is read here;
``plan_log`` imports this module.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from jumar.errors import OptionError
from jumar.evaluate.capital import GateError
from jumar.evaluate.planning.law import Law, Tally
from jumar.evaluate.planning.rows import rows_for
from jumar.evaluate.trials import WORTH_IT
from jumar.logs.split import PARTS

GATE_SHARE = PARTS["gate"][1] - PARTS["gate"][0]
LEAST_EXPLORATION = 1e-3
MOST_CONFIDENCE = 1.0 - 1e-9
_GAINS, _SMALLEST = 8, 1e-3  # how many gains draw a curve, and the smallest one relative to production's value
_REFERENCE = 0.1  # an exploration to suppose where there is none
_NEARLY, _BISECTIONS = 0.98, 9  # the greatest gain itself has no law


Robust = Callable[[Law, int], Law]  # the doubly-robust variable's law from the plain one's and the gate's rows


@dataclass(frozen=True)
class Here:
    """The answer at production's own exploration; rows and second moment are None where nothing was explored."""

    rows: int | None
    boosted: int | None
    second_moment: float | None
    saving: float
    variable: Literal["plain", "doubly robust"]


@dataclass(frozen=True)
class Savings:
    """What the doubly-robust variable leaves of the plain one's rows: both [sizes], the rows rising."""

    rows: list[float]
    left: list[float]

    def of(self, rows: float) -> float:
        """At some number of the plain variable's rows."""
        return float(np.interp(math.log(rows), np.log(self.rows), self.left)) if self.rows else 1.0


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

    @property
    def _seen(self) -> Law:
        """At production's own exploration or, where there is none, at one that is supposed."""
        return (self.tally.explored(_REFERENCE) if self.tally.deterministic else self.tally).law(self.changed)

    def here(self, gain: float, robust: Robust | None) -> Here:
        """At production's own exploration, with the variable that the gate would choose.

        Raises:
            OptionError: no rewards within their bounds give the gain.
        """
        law = self._seen
        try:
            plain = law.with_gain(gain * self.value)
        except GateError as error:
            raise self._too_much(gain, law) from error
        rows, moment, left = self._with_predictions(plain, robust)
        variable = "plain" if left == 1.0 else "doubly robust"
        if self.tally.deterministic:
            return Here(None, None, None, left, variable)
        boosted = math.ceil(left * rows_for(plain, self.alpha, self.power, boosted=True))
        return Here(rows, boosted, moment, left, variable)

    def savings(self, robust: Robust | None) -> Savings:
        """The same for logs of all lengths, at production's own exploration; exploration makes little difference."""
        law = self._seen
        gains = self._gains(law)
        if robust is None or not gains:
            return Savings([], [])
        plain = [law.with_gain(gain * self.value) for gain in reversed(gains)]
        left = [self._with_predictions(one, robust)[2] for one in plain]
        return Savings([float(rows_for(one, self.alpha, self.power)) for one in plain], left)

    def _with_predictions(self, plain: Law, robust: Robust | None) -> tuple[int, float, float]:
        """Rows, second moment, and what is left of the plain variable's rows, with the variable worth taking."""
        rows = rows_for(plain, self.alpha, self.power)
        other = plain if robust is None else robust(plain, rows)
        if robust is None or other.second_moment > WORTH_IT * plain.second_moment:
            return rows, plain.second_moment, 1.0
        # The cap of the predictions follows from the rows, and the rows from the cap.
        fewer = rows_for(other.with_gain(plain.gain), self.alpha, self.power)
        other = robust(plain, fewer).with_gain(plain.gain)
        fewer = rows_for(other, self.alpha, self.power)
        return fewer, other.second_moment, fewer / rows

    def _too_much(self, gain: float, law: Law) -> OptionError:
        most = min(law.greatest_gain / self.value, self.most)
        return OptionError(
            f"A policy that changes {self.changed:.0%} of the decisions cannot gain {gain:.4g} of production's value",
            example=gain,
            remedy=f"Hope for less than {max(most, 0.0):.3g}, or suppose more change with --changed.",
        )

    def _gains(self, law: Law) -> list[float]:
        """Relative gains from a small one to the greatest that rewards allow."""
        greatest = _NEARLY * min(law.greatest_gain / self.value, self.most)
        return np.geomspace(_SMALLEST, greatest, _GAINS).tolist() if greatest > _SMALLEST else []

    def curve(self, exploration: float, savings: Savings, gain: float) -> Curve:
        """Rows for a range of gains, the one hoped for among them, if production explored as given."""
        law = self._explored(exploration).law(self.changed)
        gains = self._gains(law)
        if gains and gain < gains[-1]:
            gains = sorted({*gains, gain})
        return Curve(gains, [self._rows(law, one, savings) for one in gains])

    def _explored(self, exploration: float) -> Tally:
        return self.tally if exploration == shown(self.tally.exploration) else self.tally.explored(exploration)

    def _rows(self, law: Law, gain: float, savings: Savings) -> float:
        rows = rows_for(law.with_gain(gain * self.value), self.alpha, self.power)
        return rows * savings.of(rows)

    def exploration_needed(self, gain: float, savings: Savings) -> float | None:
        """Smallest exploration at which as many rows as the log has are enough, rounded up."""

        def enough(exploration: float) -> bool:
            law = self._explored(exploration).law(self.changed)
            if gain * self.value >= law.greatest_gain:
                return False
            return self._rows(law, gain, savings) <= GATE_SHARE * self.log_rows

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


def rates_of(exploration: Sequence[float], own: float) -> list[float]:
    """Rates in order, production's own among them; those next to it are left out."""
    rates = sorted({float(one) for one in exploration if not own or abs(one / own - 1.0) > 0.02})
    return sorted([*rates, shown(own)]) if own >= LEAST_EXPLORATION else rates


def check_hopes(gain: float, confidence: float, power: float, changed: float, exploration: Sequence[float]) -> None:
    """Refuse hopes that no plan could be made for.

    Raises:
        OptionError: an argument outside its range.
    """

    def demand(good: bool, what: str, example: object, remedy: str) -> None:
        if not good:
            raise OptionError(what, example=example, remedy=remedy)

    demand(math.isfinite(gain) and gain > 0, "The gain must be above 0", gain, "Try --gain 0.02 for 2%.")
    demand(
        0.5 <= confidence <= MOST_CONFIDENCE,
        "The confidence must be at least 0.5, and below 1 by at least a billionth",
        confidence,
        "Try --confidence 0.999.",
    )
    demand(0.01 <= power <= 0.999, "The power must lie between 0.01 and 0.999", power, "Try --power 0.8.")
    demand(0 < changed <= 1, "The changed share must lie in (0, 1]", changed, "Try --changed 0.3.")
    bad = [one for one in exploration if not LEAST_EXPLORATION <= one <= 1]
    demand(
        not bad and len(exploration) > 0,
        f"Exploration rates must lie between {LEAST_EXPLORATION} and 1",
        bad[0] if bad else None,
        "Try --exploration 0.05 0.1 0.2.",
    )
