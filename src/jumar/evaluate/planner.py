"""The planner: how many rows, or how much exploration, a certificate will take.

In: a gain, the spread of d = (w − 1)·r, an error probability. Out: rows, gains and exploration rates.
Pure functions over numbers. Anything may import them.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from jumar.evaluate.capital import GateError

# The mixture does not know its best bet. In simulated ε-greedy logs (base rates 1 to 30%, α 0.05 to 1e-6) its
# rows for 80% power are those of a bet known beforehand and about one nat more.
_MIXTURE_COST = 1.0


def rows_needed(gain: float, second_moment: float, alpha: float, power: float = 0.8) -> int:
    """Gate rows after which a true gain is certified with probability ``power``.

    After n rows the leading bet has grown by about n·λ·Δ − n·λ²·E[d²]/2. At its best λ this reaches ln(1/α)
    once Δ·sqrt(n/E[d²]) = sqrt(2·ln(1/α)). The mixture costs a nat on top, and the normal quantile of the
    power is added for luck.

    Args:
        gain: Δ = E[d] > 0, per decision, for rewards in [0, 1].
        second_moment: E[d²].
        alpha: error probability, 1 − confidence.
        power: probability of a certificate, in (0, 1).
    """
    if not (gain > 0 and second_moment > 0 and 0 < alpha < 1 and 0 < power < 1):
        raise GateError(
            "the planner needs a gain and a spread above zero, and probabilities between 0 and 1",
            example=(gain, second_moment, alpha, power),
            remedy="Name the gain that is hoped for.",
        )
    return math.ceil(second_moment * (_deviations(alpha, power) / gain) ** 2)


def detectable_gain(rows: int, second_moment: float, alpha: float, power: float = 0.8) -> float:
    """The gain that ``rows`` gate rows certify with probability ``power``; the inverse of
    ``rows_needed``."""
    if not (rows > 0 and second_moment >= 0 and 0 < alpha < 1 and 0 < power < 1):
        raise GateError(
            "the planner needs at least one row and probabilities between 0 and 1",
            example=(rows, second_moment, alpha, power),
            remedy="Name the number of rows that the gate will have.",
        )
    return _deviations(alpha, power) * math.sqrt(second_moment / rows)


def exploration_second_moment(exploration: float, actions: int, changed: float, reward_square: float) -> float:
    """E[d²] of a policy that always takes one action, tested on logs that explore evenly.

    Production takes its favourite with probability 1 − ε + ε/A and each other action with ε/A. Where the
    policy takes another action, w − 1 is −1 on the favourite and A/ε − 1 on the policy's own; where both
    agree, w is 1/(1 − ε + ε/A) or 0. Rewards are taken to be about equally large everywhere.

    Args:
        exploration: ε in (0, 1].
        actions: A ≥ 2.
        changed: share of decisions in which the policy's action is not the favourite.
        reward_square: E[r²] for rewards in [0, 1].
    """
    explored = exploration / actions
    favourite = 1.0 - exploration + explored
    where_changed = (1.0 - explored) + explored * (1.0 / explored - 1.0) ** 2
    where_same = (1.0 - favourite) + favourite * (1.0 / favourite - 1.0) ** 2
    return reward_square * (changed * where_changed + (1.0 - changed) * where_same)


def rows_to_explore(
    gain: float,
    alpha: float,
    *,
    exploration: float,
    actions: int,
    changed: float = 0.3,
    reward_square: float,
    power: float = 0.8,
) -> int:
    """Gate rows to certify ``gain`` if production took a random action in a share ε of its decisions."""
    if not (0 < exploration <= 1 and actions >= 2 and 0 < changed <= 1 and reward_square > 0):
        raise GateError(
            "exploration and the changed share must lie in (0, 1], with at least two actions",
            example=(exploration, actions, changed, reward_square),
            remedy="Try an exploration of 0.05 to 0.3.",
        )
    spread = exploration_second_moment(exploration, actions, changed, reward_square)
    return rows_needed(gain, spread, alpha, power)


def _deviations(alpha: float, power: float) -> float:
    nats = math.log(1.0 / alpha) + _MIXTURE_COST
    return math.sqrt(2.0 * nats) + NormalDist().inv_cdf(power)
