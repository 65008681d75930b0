"""Worlds of sequences in which a release is false: every path of a unit as one outcome, by the shipped variables.

In: the units of the log. Out: ``Outcomes``, and the same paths by the mistake that is usually made. ``cases`` has them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import comb

from gate.core import Floats, Outcomes
from jumar.evaluate.sequences import episode_variable, running_products, single_deviation_variable

Step = tuple[float, int]  # weight and reward of a decision
TILTED, EVEN = (0.7, 0.3), (0.3, 0.7)  # production, and a policy that prefers action 1


@dataclass(frozen=True)
class Paths:
    """All that one unit can be.

    Attributes:
        chance: [paths] probabilities under production.
        weight, reward: [rows] of the paths one after another.
        starts: [paths] first rows.
        cap: the most that a unit counts.
    """

    chance: Floats
    weight: Floats
    reward: Floats
    starts: np.ndarray
    cap: float

    @classmethod
    def of(cls, found: Iterator[tuple[float, list[Step]]], cap: float) -> Paths:
        """Paths laid out as rows; impossible ones are left out."""
        possible = [(chance, steps) for chance, steps in found if chance > 0]
        rows = np.array([step for _, steps in possible for step in steps], dtype=float)
        starts = np.cumsum([0, *(len(steps) for _, steps in possible[:-1])])
        return cls(np.array([chance for chance, _ in possible]), rows[:, 0], rows[:, 1], starts, cap)

    @property
    def columns(self) -> tuple[Any, ...]:
        """Weights, rewards, discounts of 1, starts."""
        return self.weight, self.reward, np.ones(self.reward.size), self.starts

    def whole(self) -> Floats:
        """[paths] the policy at every decision."""
        return episode_variable(*self.columns, cap=self.cap)

    def once(self) -> Floats:
        """[paths] one deviation."""
        most = int(np.diff([*self.starts, self.reward.size]).max())
        return single_deviation_variable(*self.columns, cap=self.cap, most_per_unit=most)

    def own_rewards(self) -> Floats:
        """[paths] every decision by its own weight and reward."""
        return np.add.reduceat((self.weight - 1.0) * self.reward, self.starts) / self.cap

    def last_weights(self) -> Floats:
        """[paths] what a unit brings by the weight of its last decision alone."""
        last = np.append(self.starts[1:], self.reward.size) - 1
        return (self.weight[last] - 1.0) * np.add.reduceat(self.reward, self.starts) / self.cap

    def shared_out(self) -> Floats:
        """[paths] rewards shared out under the cap by what the whole unit brought, later rewards included."""
        total = np.add.reduceat(self.reward, self.starts)
        lengths = np.diff([*self.starts, self.reward.size])
        part = self.reward * np.repeat(np.minimum(1.0, self.cap / np.maximum(total, self.cap)), lengths) / self.cap
        return np.add.reduceat((running_products(self.weight, self.starts) - 1.0) * part, self.starts)


def _both(rate: float) -> tuple[tuple[int, float], ...]:
    """A reward of 0 or 1 with their probabilities."""
    return (0, 1.0 - rate), (1, rate)


def tiring(later: float) -> Paths:
    """Three decisions; action 1 pays at once and costs ``later`` at every decision after it."""

    def found() -> Iterator[tuple[float, list[Step]]]:
        for path in product(product((0, 1), (0, 1)), repeat=3):
            likely, tired = 1.0, False
            for action, reward in path:
                likely *= TILTED[action] * dict(_both(0.3 + 0.1 * action - later * tired))[reward]
                tired = tired or bool(action)
            yield likely, [(EVEN[action] / TILTED[action], reward) for action, reward in path]

    return Paths.of(found(), 3.0)


def crowded(first: float) -> Paths:
    """Two decisions and a cap of one reward: the second always pays after action 1, the first less after action 1."""

    def found() -> Iterator[tuple[float, list[Step]]]:
        for action, then in product((0, 1), repeat=2):
            for (reward, likely), (more, likelier) in product(_both(0.9 - first * action), _both(float(then))):
                chance = (0.6, 0.4)[action] * (0.6, 0.4)[then] * likely * likelier
                yield chance, [((0.0, 2.5)[action], reward), ((0.4 / 0.6, 0.6 / 0.4)[then], more)]

    return Paths.of(found(), 1.0)


def exhausting(again: float) -> Paths:
    """Two decisions; action 1 brings 0.8 instead of 0.5 while fresh, a second time only ``again`` instead of 0.4."""
    rates = ((0.5, 0.8), (0.4, again))

    def found() -> Iterator[tuple[float, list[Step]]]:
        for action, then in product((0, 1), repeat=2):
            for (reward, likely), (more, likelier) in product(_both(rates[0][action]), _both(rates[action][then])):
                chance = (0.9, 0.1)[action] * (0.9, 0.1)[then] * likely * likelier
                yield chance, [((0.0, 10.0)[action], reward), ((0.0, 10.0)[then], more)]

    return Paths.of(found(), 2.0)


def long(cost: float) -> Paths:
    """Eight decisions of χ² = ½ each; the reward comes last, likelier after action 1 then, less so for each before."""
    tilt = math.sqrt(0.5)

    def found() -> Iterator[tuple[float, list[Step]]]:
        for ones, last in product(range(8), (0, 1)):  # paths with as many ones differ in nothing
            weights = [1.0 + tilt if t < ones else 1.0 - tilt for t in range(7)] + [1.0 + tilt * (2 * last - 1)]
            for reward, likely in _both(0.4 + 0.2 * last - cost * ones):
                yield float(comb(7, ones)) / 2.0**8 * likely, [*((w, 0) for w in weights[:-1]), (weights[-1], reward)]

    return Paths.of(found(), 1.0)


def _even(world: Callable[[float], Paths], variable: Callable[[Paths], Floats], high: float) -> Paths:
    """The world at which nothing is gained or lost, or ever so little lost."""

    def gain(at: float) -> float:
        paths = world(at)
        return float(paths.chance @ variable(paths))

    root: Any = brentq(gain, 0.0, high, xtol=1e-14)
    worse = 1e-13 if gain(root + 0.01) < 0 else -1e-13
    return world(float(root) + worse)


@cache
def tired_in_the_end() -> Paths:
    """The policy gains nothing."""
    return _even(tiring, Paths.whole, 0.29)


@cache
def tired_once() -> Paths:
    """One deviation gains nothing."""
    return _even(tiring, Paths.once, 0.29)


@cache
def full() -> Paths:
    """The policy gains nothing under the cap."""
    return _even(crowded, Paths.whole, 0.9)


@cache
def exhausted() -> Paths:
    """Always deviating gains nothing; each deviation alone gains."""
    found = _even(exhausting, Paths.whole, 0.8)
    assert found.chance @ found.once() > 0.01
    return found


@cache
def eight() -> Paths:
    """The policy gains nothing in eight decisions, with Σχ² = 4."""
    return _even(long, Paths.whole, 0.05)


def whole(world: Callable[[], Paths]) -> Callable[[int], Outcomes]:
    """The claim about whole episodes."""
    return lambda rows: Outcomes.of(world().chance, world().whole())


def once(world: Callable[[], Paths]) -> Callable[[int], Outcomes]:
    """The claim about one deviation."""
    return lambda rows: Outcomes.of(world().chance, world().once())
