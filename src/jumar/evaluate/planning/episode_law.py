"""The law of the gate's variable along timelines, for a policy that is supposed to gain something.

In: what units of a log brought, and the law of one weight. Out: the ``Law`` of D over whole episodes or of one
deviation, from which ``rows`` tells how many units a gain takes. Pure functions with a fixed seed; whatever plans along
timelines imports this module.

Weights are drawn independently of one another and of what units brought. Then returns are tilted by exp(θ·D) within
each path of weights until E[D] is the gain: how often each path of weights comes about is production's doing and stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from jumar.evaluate.capital import Floats, GateError
from jumar.evaluate.planning.law import Law
from jumar.evaluate.planning.unit_paths import UnitPaths
from jumar.evaluate.sequences.variables import LARGEST_PRODUCT

Kind = Literal["whole", "single"]
BLOCKS, PATHS, RETURNS = 16, 192, 48  # blocks of units of like length; in each, so many paths of weights, of returns
MOST_NUMBERS = 8_000_000  # of drawn weights
_SETTLED, _STEPS = 1e-9, 60


@dataclass(frozen=True, eq=False)
class OneWeight:
    """The law of w at one decision under a policy that is a step of some size from production towards another.

    Attributes:
        weight, probability: [cells] of the other policy; its mean is 1.
        step: β in [0, 1]: π = (1 − β)·μ + β·other, so that w = 1 + β·(w_other − 1).
    """

    weight: Floats
    probability: Floats
    step: float = 1.0

    @classmethod
    def of(cls, law: Law, step: float = 1.0) -> OneWeight:
        """The weights in the law of d of a policy, or of one that is supposed."""
        w, p = law.weights
        return cls(w / float(w @ p), p, step)

    @property
    def values(self) -> Floats:
        """[cells] w."""
        return 1.0 + self.step * (self.weight - 1.0)

    @property
    def chi_square(self) -> float:
        """χ² = E[w²] − 1 of one decision."""
        return self.step**2 * float(self.probability @ np.square(self.weight - 1.0))

    @property
    def changed(self) -> float:
        """Share of the decisions that come out differently: total variation distance from production."""
        return self.step * float(self.probability @ np.maximum(1.0 - self.weight, 0.0))

    def within(self, chi_square: float) -> OneWeight:
        """The longest step, at most 1, whose χ² is no larger."""
        most = replace(self, step=1.0).chi_square
        return replace(self, step=min(1.0, math.sqrt(chi_square / most)) if most > 0 else 1.0)


@dataclass(frozen=True, eq=False)
class EpisodeLaw:
    """Pairs of a path of weights and a path of returns, with the variable that they give.

    Attributes:
        values: [blocks, paths, returns] D.
        path: [blocks, paths] how likely each path of weights is; sums to 1.
        brought: [blocks, returns] how likely each path of returns is within its block; sums to 1 in each.
        square: E[D²] of independent weights, exactly, from all units.
    """

    values: Floats
    path: Floats
    brought: Floats
    square: float

    @property
    def greatest_gain(self) -> float:
        """E[D] if every path of weights met the returns that suit it best."""
        return float((self.path * self.values.max(axis=2)).sum())

    def _tilted(self, theta: float) -> tuple[Floats, float, float]:
        """[blocks, paths, returns] probabilities; E[D]; and its slope in θ, the mean variance within paths."""
        power = theta * self.values
        power -= power.max(axis=2, keepdims=True)
        inner = np.exp(power) * self.brought[:, None, :]
        inner /= inner.sum(axis=2, keepdims=True)
        mean = np.einsum("bji,bji->bj", inner, self.values)
        square = np.einsum("bji,bji,bji->bj", inner, self.values, self.values)
        return (
            inner * self.path[..., None],
            float((self.path * mean).sum()),
            float((self.path * (square - mean**2)).sum()),
        )

    def with_mean(self, gain: float) -> Floats:
        """[blocks, paths, returns] probabilities under which E[D] is ``gain``.

        Raises:
            GateError: no returns like those of the log give that gain.
        """
        if not gain < self.greatest_gain:
            raise GateError(
                "no returns like those of the log give this policy that gain",
                example=gain,
                remedy="Hope for less, or let the policy deviate further.",
            )
        theta, low, high = 0.0, -math.inf, math.inf
        found, mean, slope = self._tilted(theta)
        for _ in range(_STEPS):
            if abs(mean - gain) <= _SETTLED * max(abs(gain), 1e-12):
                break
            low, high = (theta, high) if mean < gain else (low, theta)
            newton = theta + (gain - mean) / slope if slope > 0 else math.nan
            if not low < newton < high:
                newton = (
                    0.5 * (low + high) if math.isfinite(low + high) else 2.0 * theta + math.copysign(1.0, gain - mean)
                )
            theta = newton
            found, mean, slope = self._tilted(theta)
        return found

    @cached_property
    def _untilted_square(self) -> float:
        """E[D²] of these pairs where nothing is gained; the draws leave some mean, which is tilted away."""
        return float((self.with_mean(0.0) * np.square(self.values)).sum())

    def law(self, gain: float) -> tuple[Law, float]:
        """The law of D with a gain, and the exact over the drawn second moment, by which rows are to be multiplied.

        Args:
            gain: E[D].

        Raises:
            GateError: no returns like those of the log give that gain.
        """
        probability = self.with_mean(gain)
        return Law.of(self.values + 1.0, 1.0, probability), self.square / self._untilted_square


def episode_law(paths: UnitPaths, weight: OneWeight, kind: Kind, most: int | None = None) -> EpisodeLaw:
    """Draw paths of weights beside paths of returns.

    For whole episodes a third of the paths is drawn with production's probabilities, a third with the policy's and a
    third with those that make up E[ρ²], and each counts by its probability over that of its draw: products of
    weights that are rare and large are then drawn often enough.

    Args:
        paths: what units brought.
        weight: of one decision.
        kind: "whole" episodes, or a "single" deviation among the first M decisions.
        most: only so many first decisions of an episode deviate.
    """
    rng = np.random.default_rng(0)
    blocks = _blocks(paths)
    longest = paths.episodes.lengths.max()
    count = int(np.clip(MOST_NUMBERS // (len(blocks) * longest), 24, PATHS))
    values, path = np.zeros((len(blocks), count, RETURNS)), np.zeros((len(blocks), count))
    brought = np.zeros((len(blocks), RETURNS))
    for number, units in enumerate(blocks):
        chosen, brought[number] = _returns_of(paths, units, rng)
        decisions = int(paths.episodes.lengths[units].max())
        deviating = decisions if most is None else min(decisions, most)
        if kind == "single":
            drawn = _draw(weight, np.zeros((count, min(deviating, paths.most_per_unit)), np.int64), rng)
            rest = _columns(paths, paths.rest, chosen, drawn.shape[1])
            values[number] = (drawn - 1.0) @ rest.T / paths.most_per_unit
            likely = np.ones(count)
        else:
            law = np.repeat(np.arange(count) % 3, deviating).reshape(count, deviating)
            products = np.cumprod(_draw(weight, law, rng), axis=1)
            end = products[:, -1]
            likely = 3.0 / (1.0 + end + np.square(end) / (1.0 + weight.chi_square) ** deviating)
            held = np.minimum(products, LARGEST_PRODUCT)[:, np.minimum(np.arange(decisions), deviating - 1)]
            values[number] = (held - 1.0) @ _columns(paths, paths.share, chosen, decisions).T
        path[number] = likely / likely.sum() * units.size / paths.units
    square = paths.single_square(weight.chi_square) if kind == "single" else paths.whole_square(weight.chi_square, most)
    return EpisodeLaw(values, path, brought, square)


def _blocks(paths: UnitPaths) -> list[np.ndarray]:
    """Units of about the same length together."""
    order = np.argsort(paths.episodes.lengths, kind="stable")
    return [block for block in np.array_split(order, BLOCKS) if block.size]


def _returns_of(paths: UnitPaths, units: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, Floats]:
    """[RETURNS] units to stand for a block, and how likely each is; those that brought nothing are one, if any."""
    some, none = units[paths.returns[units] > 0], units[paths.returns[units] <= 0]
    slots = RETURNS - min(none.size, 1) if some.size else 0
    chosen, likely = np.full(RETURNS, units[0]), np.full(RETURNS, 1.0 / RETURNS)
    if some.size:
        place = np.arange(slots) % min(some.size, slots)
        chosen[:slots] = rng.permutation(some)[place]
        likely[:slots] = some.size / units.size / min(some.size, slots) / np.bincount(place)[place]
        chosen[slots:], likely[slots:] = none[:1], none.size / units.size
    return chosen, likely


def _columns(paths: UnitPaths, values: Floats, units: np.ndarray, decisions: int) -> Floats:
    """[units, decisions] values [rows] of some units, 0 beyond their last decision."""
    place = np.arange(decisions)
    inside = place < paths.episodes.lengths[units][:, None]
    return np.where(inside, values[np.minimum(paths.starts[units][:, None] + place, values.size - 1)], 0.0)


def _draw(weight: OneWeight, power: np.ndarray, rng: np.random.Generator) -> Floats:
    """Weights of the shape of ``power``, each drawn with probabilities in proportion to p·w to that power."""
    values = weight.values
    found = np.empty(power.shape)
    for one in np.unique(power):
        steps = np.cumsum(weight.probability * values**one)
        at = power == one
        found[at] = values[np.searchsorted(steps / steps[-1], rng.random(int(at.sum()))).clip(max=values.size - 1)]
    return found
