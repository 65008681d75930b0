"""The law of the gate's variable along timelines, for a policy that is supposed to gain something.

In: what units of a log brought, and the law of one weight. Out: the ``Law`` of D over whole episodes or of one
deviation, from which ``rows`` tells how many units a gain takes. Pure functions with a fixed seed; whatever plans along
timelines imports this module.

Weights are drawn independently of one another and of what units brought. Then returns are tilted by
exp(θ·Σ_t (w_t − 1)·U_t) within each path of weights until E[D] is the gain: how often each path of weights comes about
is production's doing and stays, and what a decision adds grows with how much more likely the policy makes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from jumar.evaluate.capital import Floats, GateError
from jumar.evaluate.planning.law import Law, cells_of
from jumar.evaluate.planning.unit_paths import UnitPaths
from jumar.evaluate.sequences.variables import LARGEST_PRODUCT

Kind = Literal["whole", "single"]
BLOCKS, PATHS, RETURNS = 16, 96, 32  # blocks of units of like length; in each, so many paths of weights, of returns
MOST_NUMBERS = 8_000_000  # of drawn weights
_SETTLED, _STEPS, _STEEPEST = 1e-7, 60, 1e6


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
        kind: "whole" episodes, or a "single" deviation.
        values: [blocks, paths, returns] D.
        lean: [blocks, paths, returns] Σ_t (w_t − 1)·U_t, by which returns are tilted.
        path: [blocks, paths] how likely each path of weights is; sums to 1.
        brought: [blocks, returns] how likely each path of returns is within its block; sums to 1 in each.
        square: E[D²] of weights that returns do not depend on, exactly, from all units.
    """

    kind: Kind
    values: Floats
    lean: Floats
    path: Floats
    brought: Floats
    square: float

    def _tilted(self, theta: float) -> tuple[Floats, float, float]:
        """[blocks, paths, returns] probabilities; E[D]; and its slope in θ, the covariance of D and ``lean``."""
        power = theta * self.lean
        inner = np.exp(power - power.max(axis=2, keepdims=True)) * self.brought[:, None, :]
        inner *= (self.path / inner.sum(axis=2))[..., None]
        mean, lean = (np.einsum("bji,bji->bj", inner, one) / self.path for one in (self.values, self.lean))
        both = float(np.einsum("bji,bji,bji->", inner, self.values, self.lean))
        return inner, float((self.path * mean).sum()), both - float((self.path * mean * lean).sum())

    def with_mean(self, gain: float) -> Floats:
        """[blocks, paths, returns] probabilities under which E[D] is ``gain``.

        Raises:
            GateError: no returns like those of the log give that gain.
        """
        theta, low, high = 0.0, -math.inf, math.inf
        for _ in range(_STEPS):
            found, mean, slope = self._tilted(theta)
            if abs(mean - gain) <= _SETTLED * max(abs(gain), 1e-9):
                return found
            low, high = (theta, high) if mean < gain else (low, theta)
            newton = theta + (gain - mean) / slope if slope > 0 else math.nan
            if not low < newton < high:  # outside of what is known, or nowhere
                newton = 0.5 * (low + high)
            if not math.isfinite(newton) or abs(newton) * self._widest > _STEEPEST:
                break
            theta = newton
        raise GateError(
            "no returns like those of the log give this policy that gain",
            example=gain,
            remedy="Hope for less, or let the policy deviate further.",
        )

    @cached_property
    def _widest(self) -> float:
        return float(np.abs(self.lean).max())

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
        cell, probability = self._cells, self.with_mean(gain).ravel()
        total, moment = np.bincount(cell, probability), np.bincount(cell, probability * self.values.ravel())
        some = total > 0
        values = moment[some] / total[some]
        law = Law(values + 1.0, np.ones(values.size), total[some] / total.sum(), np.zeros(values.size))
        return law, self.square / self._untilted_square

    @cached_property
    def _cells(self) -> NDArray[np.int64]:
        """[blocks·paths·returns] cells of values that are nearly the same."""
        cell = cells_of(self.values.ravel())
        return cell - cell.min()


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
    longest, chi_square = int(paths.episodes.lengths.max()), weight.chi_square
    count = int(np.clip(MOST_NUMBERS // (len(blocks) * longest), 24, PATHS)) // 3 * 3
    shape = (len(blocks), count, RETURNS)
    values, lean, path, brought = np.zeros(shape), np.zeros(shape), np.zeros(shape[:2]), np.zeros(shape[::2])
    limit = min(longest if most is None else most, paths.most_per_unit)
    for number, units in enumerate(blocks):
        chosen, brought[number] = _returns_of(paths, units, rng)
        decisions = int(paths.episodes.lengths[units].max())
        deviating = min(decisions, limit)
        drawn = _draw(weight, count, deviating, (0,) if kind == "single" else (0, 1, 2), rng)
        lean[number] = (drawn - 1.0) @ _columns(paths, paths.rest, chosen, deviating).T
        likely = np.ones(count)
        if kind == "whole":
            products = np.cumprod(drawn, axis=1)
            end = products[:, -1]
            likely = 3.0 / (1.0 + end + np.square(end) / (1.0 + chi_square) ** deviating)
            held = np.minimum(products, LARGEST_PRODUCT)[:, np.minimum(np.arange(decisions), deviating - 1)]
            values[number] = (held - 1.0) @ _columns(paths, paths.share, chosen, decisions).T
        path[number] = likely / likely.sum() * units.size / paths.units
    if kind == "single":
        return EpisodeLaw(kind, lean / paths.most_per_unit, lean, path, brought, paths.single_square(chi_square))
    return EpisodeLaw(kind, values, lean, path, brought, paths.whole_square(chi_square, most))


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


def _draw(weight: OneWeight, count: int, decisions: int, powers: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """[count, decisions] weights, an equal part of the paths drawn in proportion to p·w to each of the powers.

    At each decision draws are spread evenly over their distribution, so that few of them stand for it.
    """
    values, each = weight.values, count // len(powers)
    strata = np.tile(np.arange(each)[:, None], decisions)
    found = []
    for power in powers:
        steps = np.cumsum(weight.probability * values**power)
        place = (rng.permuted(strata, axis=0) + rng.random(strata.shape)) / each
        found.append(values[np.searchsorted(steps / steps[-1], place).clip(max=values.size - 1)])
    return np.concatenate(found)
