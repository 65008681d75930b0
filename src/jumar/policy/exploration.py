"""Exploring on purpose: ways to decide less surely than the policy would, with exact propensities.

In: what the graph says about some rows. Out: the probabilities with which actions are then drawn. Pure functions over
arrays; the service logs what comes out of them. Nothing here is certified: a certificate speaks of the policy's own
probabilities, and whoever explores more pays for better evidence tomorrow.

Every mode is a function of what is known before the draw, so that the logged probability is the one that was used:
policy, floor and softmax change the pmf; thompson and top-two play what members of the ensemble hold for best, and the
chance of that is counted out over the members instead of drawing one; budget mixes by the odds that this is the unit's
one random decision of the day.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from jumar.errors import OptionError
from jumar.policy.graph import MEMBERS
from jumar.policy.sampling import hash_key, uniforms
from jumar.records import Record

Mode = Literal["policy", "floor", "softmax", "top-two", "thompson", "budget"]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
RULED_OUT = 1e-6  # of the clone: actions that production all but never takes are not tried
MOST_TURNS = 1_000
_DEFAULTS: dict[Mode, float | None] = {"policy": 0.0, "floor": None, "softmax": None, "top-two": 0.5,
                                       "thompson": 0.0, "budget": 1.0}  # fmt: skip


@dataclass(frozen=True)
class Scores:
    """What the graph says about some rows.

    Attributes:
        pmf, clone: [rows, actions].
        members: [rows, members, actions] advantages less what actions cost; None where no mode asked for them.
        minimum: [actions] the policy's own exploration floor.
    """

    pmf: Floats
    clone: Floats
    members: Floats | None
    minimum: Floats


class Exploration(Record, frozen=True, kw_only=True):
    """One mode and its strength.

    Attributes:
        mode: policy: as certified. floor: no action below ``strength``. softmax: the pmf to the power 1/``strength``.
            top-two: the best action with chance ``strength``, else its rival. thompson: each action as often as
            members hold it for best, above a floor of ``strength``. budget: the likeliest action, but for one decision
            per unit and day that is drawn from the pmf, which may be any of the first ``strength``.
        strength: in the units just said.
    """

    mode: Mode = "policy"
    strength: float = 0.0

    def __str__(self) -> str:
        return self.mode if self.mode == "policy" else f"{self.mode}:{self.strength:g}"

    @property
    def outputs(self) -> tuple[str, ...]:
        """What the graph has to say."""
        return ("pmf", "clone", MEMBERS) if self.mode in ("top-two", "thompson") else ("pmf", "clone")

    @property
    def turns(self) -> int:
        """Of how many decisions of a unit and day one is random; 0 where decisions are not counted."""
        return int(self.strength) if self.mode == "budget" else 0

    def check(self, actions: int) -> None:
        """Refuse a floor that so many actions cannot all have.

        Raises:
            OptionError: it is above 1/actions.
        """
        if self.mode in ("floor", "thompson") and self.strength * actions > 1.0:
            raise OptionError(
                f"{actions} actions cannot all have a probability of at least {self.strength:g}",
                remedy=f"The floor is each action's own: at most {1.0 / actions:.3g} here.",
            )

    def pmf(self, scores: Scores, allowed: Mask | None = None, odds: Floats | None = None) -> Floats:
        """Probabilities to draw from and to log.

        Args:
            scores: of the rows.
            allowed: [rows, actions] candidates; None: all actions.
            odds: [rows] chance that this decision is the unit's random one, for budget; see ``odds``.

        Returns:
            [rows, actions] float64, each row summing to one; a row of zeros where the policy gives all candidates none.
        """
        own = restricted(scores.pmf, allowed)
        if self.mode == "policy":
            return own
        if self.mode == "softmax":
            return softened(own, self.strength)
        if self.mode == "budget":
            chance = np.zeros(len(own)) if odds is None else odds
            return np.where(chance[:, None] < 1.0, (1.0 - chance)[:, None] * greedy(own) + chance[:, None] * own, own)
        may = np.ones(own.shape, np.bool_) if allowed is None else allowed
        tried = may & (scores.clone >= RULED_OUT)
        tried |= may & ~tried.any(axis=1, keepdims=True)
        least = np.where(may, np.minimum(scores.clone, scores.minimum), 0.0)
        if self.mode in ("floor", "thompson"):
            least = np.maximum(least, self.strength * tried)
        least = least / np.maximum(least.sum(axis=1, keepdims=True), 1.0)
        if self.mode == "floor":
            return lifted(own, least)
        assert scores.members is not None
        worth = np.where(tried[:, None, :], scores.members, -np.inf)
        best = shares(worth)
        if self.mode == "top-two":
            best = top_two(best, worth.mean(axis=1), self.strength)
        return least + (1.0 - least.sum(axis=1, keepdims=True)) * best


def parse_exploration(text: str) -> Exploration:
    """``floor:0.05``, ``softmax:2``, ``top-two:0.5``, ``thompson``, ``budget:5`` or ``policy``.

    Raises:
        OptionError: no such mode, or a strength outside its range.
    """
    name, _, given = text.partition(":")
    if name not in get_args(Mode):
        raise OptionError(f"'{text}' is no way to explore", remedy=f"The modes are {', '.join(get_args(Mode))}.")
    mode = cast(Mode, name)
    try:
        strength = float(given) if given else _DEFAULTS[mode]
    except ValueError:
        strength = None
    ranges = {
        "policy": (strength == 0.0 and not given, "it takes no number"),
        "floor": (strength is not None and 0.0 < strength <= 0.5, "floor:0.05 gives every action at least 5%"),
        "softmax": (strength is not None and 0.0 < strength <= 100.0, "softmax:2 takes the square root of the pmf"),
        "top-two": (strength is not None and 0.0 < strength <= 1.0, "top-two:0.5 gives half to the rival"),
        "thompson": (strength is not None and 0.0 <= strength <= 0.5, "thompson:0.01 gives every action at least 1%"),
        "budget": (
            strength is not None and strength in range(1, MOST_TURNS + 1),
            "budget:5 draws one of the first five decisions of a unit and day",
        ),
    }
    fits, example = ranges[mode]
    if not fits or strength is None:
        raise OptionError(f"'{text}' is no way to explore", remedy=f"For example: {example}.")
    return Exploration(mode=mode, strength=strength)


def restricted(pmf: Floats, allowed: Mask | None) -> Floats:
    """The pmf among the candidates; zeros where none of them has a chance."""
    if allowed is None:
        return pmf
    kept = np.where(allowed, pmf, 0.0)
    total = kept.sum(axis=1, keepdims=True)
    return np.divide(kept, total, out=np.zeros_like(kept), where=total > 0.0)


def lifted(pmf: Floats, floor: Floats) -> Floats:
    """f + (1 − Σf)·(π − f)⁺/Σ(π − f)⁺: at least the floor [rows, actions], and the rest as it was, shrunk.

    Where nothing of π lies above the floor, it is the floor over its sum.
    """
    above = np.maximum(pmf - floor, 0.0)
    total, base = above.sum(axis=1, keepdims=True), floor.sum(axis=1, keepdims=True)
    share = np.divide(above, total, out=np.zeros_like(above), where=total > 0.0)
    alone = np.divide(floor, base, out=np.zeros_like(floor), where=base > 0.0)
    return np.where(total > 0.0, floor + (1.0 - base) * share, alone)


def softened(pmf: Floats, temperature: float) -> Floats:
    """π^(1/T) over its sum: T = 1 changes nothing, T → ∞ evens out, T → 0 is greedy. What is ruled out stays out."""
    with np.errstate(divide="ignore"):
        logarithm = np.log(pmf)
    top = logarithm.max(axis=1, keepdims=True)
    powers = np.exp((logarithm - np.where(np.isfinite(top), top, 0.0)) / temperature)
    total = powers.sum(axis=1, keepdims=True)
    return np.divide(powers, total, out=np.zeros_like(powers), where=total > 0.0)


def greedy(pmf: Floats) -> Floats:
    """All on the likeliest action, the first of several; a row of zeros stays one."""
    surest = np.zeros_like(pmf)
    np.put_along_axis(surest, pmf.argmax(axis=1)[:, None], 1.0, axis=1)
    return surest * pmf.any(axis=1, keepdims=True)


def shares(worth: Floats) -> Floats:
    """The share of members [rows, members, actions] for which each action is best, ties to the first: [rows, actions].

    It is the chance of each action under Thompson sampling from the ensemble, exactly.
    """
    best = worth.argmax(axis=2)
    return (best[:, :, None] == np.arange(worth.shape[2])).mean(axis=1)


def top_two(best: Floats, mean: Floats, leader: float) -> Floats:
    """Top-two Thompson sampling, counted out.

    A member is drawn and its best action I played with chance β; else members are drawn until one holds another
    action for best, and that one is played: ψ_a = α_a·(β + (1 − β)·Σ_{b≠a} α_b/(1 − α_b)). Where all members agree,
    the rival is the runner-up by the ensemble's mean.

    See "Simple Bayesian Algorithms for Best Arm Identification" by Russo (2016).

    Args:
        best: α [rows, actions] from ``shares``.
        mean: [rows, actions] worth on average; −∞ for actions that must not be played.
        leader: β.
    """
    agreed = best.max(axis=1, keepdims=True) >= 1.0
    ratio = np.divide(best, 1.0 - best, out=np.zeros_like(best), where=best < 1.0)
    mixed = best * (leader + (1.0 - leader) * (ratio.sum(axis=1, keepdims=True) - ratio))
    others = np.where(best > 0.0, -np.inf, mean)
    rival = np.zeros_like(best)
    np.put_along_axis(rival, others.argmax(axis=1)[:, None], 1.0, axis=1)
    alone = ~np.isfinite(others).any(axis=1, keepdims=True)  # no rival is allowed
    return np.where(agreed, np.where(alone, best, leader * best + (1.0 - leader) * rival), mixed)


def random_turns(salt: str, day: datetime.date, units: Iterable[str], turns: int) -> NDArray[np.int64]:
    """Which decision of the day, 1 … ``turns``, is each unit's random one: settled before the first is asked for."""
    return 1 + (uniforms(hash_key("turn", salt, day.isoformat()), units) * turns).astype(np.int64)


def odds(counts: Sequence[int] | NDArray[np.int64], drawn: NDArray[np.int64], turns: int) -> Floats:
    """The chance that a unit's n-th decision of the day is its random one, given that no earlier one was.

    T is uniform on 1 … M and independent of all else. Before decision n it is known whether T < n: then the chance is
    0. Otherwise P(T = n | T ≥ n) = 1/(M − n + 1), since each of the M − n + 1 values left is as likely. The action is
    drawn from π if T = n and is the likeliest one if not, so given all that was known before the draw its law is
    (1 − h)·greedy + h·π: that is what is logged. At most one n equals T, so at most one decision is random.

    Args:
        counts: [rows] n, from 1; 0 where the decision must not be random.
        drawn: [rows] T.
        turns: M.

    Returns:
        h [rows].
    """
    n = np.asarray(counts, np.int64)
    open_still = (n >= 1) & (n <= drawn)
    return np.where(open_still, 1.0 / np.maximum(turns - n + 1, 1), 0.0)
