"""Worlds in which a release is false, as tables of outcomes with exact probabilities.

In: the rows of the log. Out: ``Outcomes`` whose variables come from the same functions that the gate uses: claims and
the doubly-robust variable. ``cases`` puts each beside the mistake that is usually made there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from scipy.stats import binom

from gate.core import Floats, Outcomes
from gate.logged import BINARY, VALUE, Logged, coin, logged
from jumar.evaluate.claims import Claim
from jumar.evaluate.robust import kappa_for, robust_bound, robust_variable

LOOKS, DAYS = 8, 365
MARGIN = 0.05
RARE = 4e-4
RARE_GAIN = 0.5 * RARE * 0.5
USER_ROWS = 20


def explored(rate_favourite: float, rate_other: float, *, half: bool = False) -> Logged:
    """ε = 0.3: the policy takes the other action everywhere, or in half of the contexts."""
    pi = np.array([[[0.0, 1.0]], [[0.85, 0.15]]])
    share = np.array([0.5, 0.5]) if half else np.array([1.0, 0.0])
    return logged(share, [[0.85, 0.15]] * 2, pi, BINARY, coin([[rate_favourite, rate_other]] * 2))


def epsilon_greedy(rows: int) -> Outcomes:
    world = explored(0.05, 0.05, half=True)
    return Outcomes.of(np.tile(world.chance, (LOOKS, 1)), world.of(VALUE))


def peeking(rows: int) -> Outcomes:
    world = explored(0.05, 0.05)
    return Outcomes.of(np.tile(world.chance, (DAYS, 1)), world.of(VALUE))


def _rare(worth: float) -> Logged:
    """Not sending is worth a little each time; sending brings 1 in four of ten thousand cases."""
    marks = ((0.0,), (worth * RARE,), (1.0,))
    return logged([1.0], [[0.5, 0.5]], [[[0.0, 1.0]]], marks, [[[1 - RARE, 0, RARE], [0, 1, 0]]])


def rare_loss(rows: int) -> Outcomes:
    world = _rare(1.0)
    return Outcomes.of(world.chance, world.of(VALUE))


def rare_loss_with_gain(rows: int) -> Outcomes:
    """The same, but a little better by ``RARE_GAIN``: a lower bound above that is false."""
    world = _rare(1.5)
    return Outcomes.of(world.chance, world.of(VALUE))


def drift(order: str) -> Callable[[int], Outcomes]:
    """Days on which the policy is better and worse by the same amount."""
    worse, better = explored(0.05, 0.04), explored(0.05, 0.06)
    signs = {"bad first": [0] * 4 + [1] * 4, "good first": [1] * 4 + [0] * 4, "mixed": [0, 1, 1, 0, 0, 1, 1, 0]}[order]
    chance = np.stack([(worse, better)[sign].chance for sign in signs])
    return lambda rows: Outcomes.of(chance, worse.of(VALUE))


@cache
def untried() -> Logged:
    """A tenth of the policy goes to an action never tried that brings nothing; the rest gains exactly as much."""
    other = 0.05
    favourite = (0.9 - 0.15) * other / 0.85
    law = coin([[favourite, other, 0.0]])
    return logged([1.0], [[0.85, 0.15, 0.0]], [[[0.0, 0.9, 0.1]]], BINARY, law)


def unsupported(rows: int) -> Outcomes:
    return Outcomes.of(untried().chance, untried().of(VALUE))


@cache
def balanced() -> Logged:
    """Rewards in {−1, 0, 1}, read on [0, 1]; a policy that changes everything for nothing."""
    marks = ((0.0,), (0.5,), (1.0,))
    return logged([1.0], [[0.85, 0.15]], [[[0.0, 1.0]]], marks, [[[0.1, 0.8, 0.1]] * 2])


def negative_rewards(rows: int) -> Outcomes:
    claim = Claim(kind="value", metric="reward", low=-1.0, high=1.0)
    return Outcomes.of(balanced().chance, balanced().of(claim))


def guardrail(rows: int) -> Outcomes:
    """Twice the reward; a tenth more complaints than production, which is exactly what the margin allows."""
    marks, margin, now = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)), 0.1, 0.02
    then = 0.5 * (1 + margin) * now / (1 - 0.5 * (1 + margin))
    law = [[(1 - r) * (1 - c), (1 - r) * c, r * (1 - c), r * c] for r, c in ((0.1, now), (0.2, then))]
    world = logged([1.0], [[0.5, 0.5]], [[[0.0, 1.0]]], marks, [law])
    claims = (VALUE, Claim(kind="metric", metric="complaints", better="lower", margin=margin, column=0))
    return Outcomes.of(world.chance, world.of(*claims), np.array([claim.bound for claim in claims]))


def cost(rows: int) -> Outcomes:
    """A fifth fewer sends are asked: a little more is saved almost everywhere, and lost again in rare contexts."""
    rare = 2e-4
    saved = 0.6 * rare / (1 - rare)
    pi = [[[0.6 + saved, 0.4 - saved]], [[0.0, 1.0]]]
    world = logged([1 - rare, rare], [[0.5, 0.5]] * 2, pi, BINARY, coin([[0.05, 0.05]] * 2))
    claim = Claim(kind="spend", metric="send", better="lower", margin=-0.2, costs=[0.0, 1.0])
    return Outcomes.of(world.chance, world.of(claim), claim.bound)


@cache
def at_the_margin() -> Logged:
    """V(π) = 0.95·V(μ)."""
    other = 0.05
    return explored((other / (1 - MARGIN) - 0.15 * other) / 0.85, other)


def margin(rows: int) -> Outcomes:
    claim = Claim(kind="value", metric="reward", margin=MARGIN)
    return Outcomes.of(at_the_margin().chance, at_the_margin().of(claim), claim.bound)


def misled(base: float) -> tuple[Logged, Floats]:
    """Equally good actions, and predictions from TRAIN [outcomes, actions] that are off by a tenth in π's favour."""
    world = explored(base, base, half=True)
    return world, np.tile([0.9 * base, 1.1 * base], (len(world.chance), 1))


def robust(base: float) -> Callable[[int], Outcomes]:
    """The doubly-robust variable with predictions that mislead."""

    def outcomes(rows: int) -> Outcomes:
        world, predicted = misled(base)
        kappa = kappa_for(float(world.chance @ np.square(world.of(VALUE)[:, 0])), rows)
        return Outcomes.of(world.chance, doubly_robust(world, predicted, kappa), robust_bound(kappa))

    return outcomes


def doubly_robust(world: Logged, predicted: Floats, kappa: float) -> Floats:
    """[outcomes, K] the capped doubly-robust variable."""
    rows = world.rows
    assert rows.pmf is not None
    assert rows.production is not None
    return robust_variable(
        pmf=rows.pmf,
        production=rows.production,
        predicted=predicted,
        action=rows.action,
        reward=rows.reward,
        kappa=[kappa],
    )


def users(rows: int) -> Outcomes:
    """An arm for good, 20 decisions each: a tenth of the users clicks in half of the cases, others in one of 100."""
    clicks = np.arange(USER_ROWS + 1)
    law = 0.1 * binom.pmf(clicks, USER_ROWS, 0.5) + 0.9 * binom.pmf(clicks, USER_ROWS, 0.01)
    deviation = np.array([-1.0, 1.0])  # w − 1 of the arm that the policy never takes, and of the one it always takes
    return Outcomes.of(np.concatenate([0.5 * law] * 2), np.multiply.outer(deviation, clicks / USER_ROWS).ravel())


def family(better: int) -> Callable[[int], Outcomes]:
    """Ten contexts; candidate k deviates in the k-th. The first ``better`` are better, the others exactly as good."""
    pi = np.full((10, 10, 2), (0.85, 0.15))
    pi[np.arange(10), np.arange(10)] = (0.0, 1.0)
    rates = np.full((10, 2), 0.2)
    rates[:better, 1] = 0.4
    world = logged(np.full(10, 0.1), np.full((10, 2), (0.85, 0.15)), pi, BINARY, coin(rates))
    return lambda rows: Outcomes.of(world.chance, world.of(VALUE), sequence=True)
