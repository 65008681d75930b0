"""The law of d: which values a policy's contributions take and how often, and what other exploration would make of it.

In: counts of logged decisions by propensity and reward, as they are or under a policy that is only supposed.
Out: ``Law``, from which ``rows`` tells how many a gain takes. Pure functions; the rest of this room imports them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jumar.evaluate.capital import Floats, GateError

KEPT_EXPLORING = 0.1  # what a policy learned here explores unless told otherwise, if production explores as much
CERTAIN = 0.999  # from this probability on a decision counts as one that could not have been another
_FLOOR_QUANTILE = 0.01
_FINE = 0.05  # values within five per cent of each other share a cell: E[d²] loses less than a thousandth
_TINY = 1e-12
_STEPS = 60
_LED = 0.5  # below this share of decisions with a favourite, favourites are no way to describe production
_STEEPEST = 1e12
_MANY = 2**16  # more than there are steps, see below


@dataclass(frozen=True, eq=False)
class Law:
    """A discrete law of y = (w − 1)·r + offset.

    Attributes:
        weight, reward, probability: [cells] w ≥ 0, r in [0, 1], and how likely; probabilities sum to one.
        offset: [cells] what predictions add in the doubly-robust variable; 0 in the plain one.
        bound: y never falls below −bound.
    """

    weight: Floats
    reward: Floats
    probability: Floats
    offset: Floats
    bound: float = 1.0

    @classmethod
    def of(
        cls, weight: ArrayLike, reward: ArrayLike, count: ArrayLike, offset: ArrayLike = 0.0, *, bound: float = 1.0
    ) -> Law:
        """The law of rows, or of cells that stand for ``count`` rows each; alike ones are put together.

        Args:
            weight, reward, offset: [rows] or floats.
            count: [rows] or a float: how many, in any unit.
            bound: see ``Law``.
        """
        arrays = np.broadcast_arrays(*(np.asarray(one, np.float64) for one in (weight, reward, count, offset)))
        w, r, n, extra = (one.ravel() for one in arrays)
        if not (w.size and np.all(n >= 0) and n.sum() > 0):
            raise GateError("a law needs at least one row", remedy="Use a log that holds decisions to plan from.")
        y = (w - 1.0) * r + extra
        sided = cells_of(y)
        _, cell = np.unique((_steps(w) * _MANY + _steps(r)) * _MANY + sided, return_inverse=True)
        total = np.bincount(cell, n)
        kept = total > 0
        mean = (np.bincount(cell, n * one)[kept] / total[kept] for one in (w, r, y))
        w, r, y = mean
        return cls(w, r, total[kept] / total.sum(), y - (w - 1.0) * r, bound)

    @property
    def values(self) -> Floats:
        """[cells] y."""
        return (self.weight - 1.0) * self.reward + self.offset

    @property
    def gain(self) -> float:
        """E[y]."""
        return float(self.probability @ self.values)

    @property
    def second_moment(self) -> float:
        """E[y²]."""
        return float(self.probability @ np.square(self.values))

    @property
    def greatest_gain(self) -> float:
        """E[y] if every weight met the reward that suits it best, of those that were seen with it."""
        group, whole = self._weights
        return float(whole @ _largest(group, self.values, whole.size))

    @cached_property
    def _weights(self) -> tuple[NDArray[np.intp], Floats]:
        """[cells] which weight each has, and [weights] how likely each weight is."""
        _, group = np.unique(_steps(self.weight), return_inverse=True)
        return group, np.bincount(group, self.probability).astype(np.float64)

    @property
    def weights(self) -> tuple[Floats, Floats]:
        """[weights] the values of w, those within five per cent of each other together, and how likely each is."""
        group, whole = self._weights
        return np.bincount(group, self.probability * self.weight) / whole, whole

    def with_gain(self, gain: float) -> Law:
        """The same policy with another gain: rewards are tilted by exp(θ·y) until E[y] is that gain.

        How often each weight comes about is production's doing and stays. Of all laws of the rewards that give the
        gain, the tilted one is nearest to what was seen (in Kullback–Leibler divergence).

        Raises:
            GateError: no tilt reaches the gain.
        """
        (group, whole), y = self._weights, self.values
        best, worst = _largest(group, y, whole.size), -_largest(group, -y, whole.size)
        if not whole @ worst < gain < whole @ best:
            raise GateError(
                "no rewards like those of the log give this policy that gain",
                example=gain,
                remedy="Hope for less, or suppose a policy that changes more.",
            )

        def tilted(theta: float) -> Floats:
            # Less the largest of each weight's exponents, so that none overflows.
            factor = self.probability * np.exp(theta * (y - (best if theta > 0 else worst)[group]))
            return factor * (whole / np.bincount(group, factor))[group]

        sign = 1.0 if gain >= self.gain else -1.0
        near, far = 0.0, sign / float(np.abs(y).max())
        while sign * (float(tilted(far) @ y) - gain) < 0 and abs(far) < _STEEPEST:
            near, far = far, 2.0 * far
        for _ in range(_STEPS):
            middle = 0.5 * (near + far)
            reached = sign * (float(tilted(middle) @ y) - gain) >= 0
            near, far = (near, middle) if reached else (middle, far)
        return replace(self, probability=tilted(far))

    def points(self) -> tuple[Floats, Floats]:
        """Values and their probabilities, cells of nearly the same value put together, those of zero left out."""
        y = self.values
        _, cell = np.unique(cells_of(y), return_inverse=True)
        total, moment = (np.bincount(cell, one).astype(np.float64) for one in (self.probability, self.probability * y))
        kept = (total > 0) & (moment != 0.0)
        return moment[kept] / total[kept], total[kept]


@dataclass(frozen=True, eq=False)
class Tally:
    """Logged decisions in cells.

    Attributes:
        propensity: [cells] μ(a|x) of the action taken.
        favourite: [cells] whether it was the action that production takes most often there.
        reward: [cells] in [0, 1].
        count: [cells] how many decisions.
        actions: how many there are.
        policy: [cells] π(a|x) of a policy at hand; None where one is only supposed.
    """

    propensity: Floats
    favourite: NDArray[np.bool_]
    reward: Floats
    count: Floats
    actions: int
    policy: Floats | None = None

    @property
    def certain(self) -> NDArray[np.bool_]:
        """[cells] decisions that could hardly have been others."""
        return self.favourite & (self.propensity >= CERTAIN)

    @property
    def deterministic(self) -> bool:
        """Whether no decision could have been another."""
        return bool(self.certain.all())

    @property
    def exploration(self) -> float:
        """ε of a production that takes its favourite but for a share ε of decisions, spread over all actions."""
        if self.deterministic:
            return 0.0
        # Of a favourite's rows, (1 − μ)/μ counts the draws of other actions with less noise than those draws do.
        mu, rows = self.propensity[self.favourite], self.count[self.favourite]
        others = float((rows * (1.0 - mu) / mu).sum() / self.count.sum()) + 1.0 - self.led
        return min(1.0, others * self.actions / (self.actions - 1.0))

    @property
    def led(self) -> float:
        """Share of the decisions in which production is known to have a favourite."""
        leading = float((self.count[self.favourite] / self.propensity[self.favourite]).sum() / self.count.sum())
        return min(leading, 1.0)

    @property
    def floor(self) -> float:
        """Least probability that a policy learned here gives an action, wherever production gives it as much."""
        order = np.argsort(self.propensity)
        below = np.cumsum(self.count[order]) / self.count.sum()
        least = float(self.propensity[order][np.searchsorted(below, _FLOOR_QUANTILE)])
        return min(KEPT_EXPLORING / self.actions, least)

    def explored(self, exploration: float) -> Tally:
        """What production would have logged at another exploration.

        Less exploration shrinks the probabilities of all actions but the favourite in proportion; more mixes in an
        even draw over all actions. Both keep which action is the favourite. Where nothing was explored or production
        has no favourites, one action is supposed to be the favourite and all to bring the rewards of the log.

        Args:
            exploration: ε' in (0, 1].
        """
        now = self.exploration
        if now == 0.0 or (self.policy is None and self.led < _LED):
            rare = exploration / self.actions
            share = np.repeat([1.0 - (self.actions - 1) * rare, (self.actions - 1) * rare], self.count.size)
            return Tally(
                propensity=np.repeat([1.0 - (self.actions - 1) * rare, rare], self.count.size),
                favourite=np.repeat([True, False], self.count.size),
                reward=np.tile(self.reward, 2),
                count=np.tile(self.count, 2) * share,
                actions=self.actions,
            )
        if exploration <= now:
            shrink = exploration / now
            other = np.where(self.favourite, 1.0 - shrink * (1.0 - self.propensity), shrink * self.propensity)
        else:
            even = (exploration - now) / (1.0 - now)
            other = (1.0 - even) * self.propensity + even / self.actions
        return replace(self, propensity=other, count=self.count * other / self.propensity)

    def law(self, changed: float) -> Law:
        """The law of d under the policy at hand or, without one, under one that is supposed: see ``supposed``."""
        if self.policy is None:
            return supposed(self, changed)
        return Law.of(self.policy / self.propensity, self.reward, self.count)


def supposed(tally: Tally, changed: float) -> Law:
    """The law of d under a policy that takes another action than production's favourite in some decisions.

    There it takes one that production explores, any of them alike, and keeps production's exploration up to a tenth
    everywhere. Summed over a log of draws a ~ μ, 1{a explored}/μ(a|x) counts pairs of a decision and an action b
    explored in it. So a row whose action was explored stands for 1/μ such pairs; in a share μ of them the draw is b
    itself, with w = π(b)/μ(b), that is once. The draws that are not b have w = floor/μ: the favourite's rows once for
    each other action, the explored rows once for each of the remaining ones.

    Rewards are those of the log: explored actions are supposed to bring what they brought where they were explored.

    Args:
        tally: of the log; at least one decision could have been another.
        changed: share of the decisions.

    Raises:
        GateError: nothing was explored.
    """
    rows, mu = tally.count, tally.propensity
    explored = ~tally.favourite
    pairs = float((rows[explored] / mu[explored]).sum())
    open_ = rows[~tally.certain].sum()
    if not pairs:
        raise GateError("nothing was explored", remedy="Let production explore, and log how likely each action was.")
    each = max(pairs / open_, 1.0)  # explored actions per decision that could have been another
    floor = np.minimum(tally.floor, mu)
    most = 1.0 - (tally.actions - 1.0) * tally.floor
    # Decisions without a favourite, so none of whose actions was told to be one, are changed by whatever is taken.
    free = float(open_ / rows.sum())
    share = min(changed * tally.led + (1.0 - tally.led), free)
    taken = np.where(explored, 1.0, 0.0) * rows
    passed = np.where(explored, each - 1.0, each) * np.where(tally.certain, 0.0, rows)
    total = float(taken.sum() + passed.sum())
    kept = np.where(tally.certain, 1.0, 1.0 - share / free) * rows / rows.sum()
    same = np.where(tally.favourite, np.maximum(most, mu), floor) / mu
    return Law.of(
        weight=np.concatenate([most / mu, floor / mu, np.where(tally.certain, 1.0, same)]),
        reward=np.tile(tally.reward, 3),
        count=np.concatenate([share * taken / total, share * passed / total, kept]),
    )


def predicted(law: Law, mean: float, kappa: float, bound: float) -> Law:
    """The law of the doubly-robust variable if one mean is predicted for every action: y = (w − 1)·(r − q').

    Args:
        law: of the plain variable.
        mean: q̂, predicted for all.
        kappa: cap, see ``robust.kappa_for``.
        bound: of the variable.
    """
    known = np.minimum(mean, kappa / np.maximum(law.weight, _TINY))
    return replace(law, offset=-(law.weight - 1.0) * known, bound=bound)


def cells_of(values: Floats) -> NDArray[np.int64]:
    """Cells of values of either sign within five per cent of each other; 0 is that of zero."""
    return _steps(values) * np.where(values < 0, -1, 1)


def _steps(values: Floats) -> NDArray[np.int64]:
    """Cells of about equal ratio; zero has one of its own."""
    size = np.abs(values)
    return np.where(size < _TINY, 0, np.floor(np.log(np.maximum(size, _TINY) / _TINY) / _FINE).astype(np.int64) + 1)


def _largest(group: NDArray[np.intp], values: Floats, groups: int) -> Floats:
    """[groups] the largest value of each."""
    found = np.full(groups, -np.inf)
    np.maximum.at(found, group, values)
    return found
