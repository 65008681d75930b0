"""The planner: how many rows, or how much exploration, a certificate will take.

In: a gain, the law of d = (w − 1)·r or its second moment, an error probability. Out: rows, gains, exploration rates.
Pure functions over numbers. Anything may import them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from jumar.evaluate.capital import Floats, GateError, default_bets, log_sum_exp
from jumar.evaluate.planning.law import Law
from jumar.evaluate.star import SHARE
from jumar.evaluate.wagers import BETTING_ALPHA

# The mixture does not know its best bet. In simulated ε-greedy logs (base rates 1 to 50%, α 0.05 to 1e-4) its
# rows for 80% power are those of a bet known beforehand and about half a nat more.
_MIXTURE_COST = 0.5
_MOST_ROWS = 10**15
_STRIDE = 1.5
_SETTLED = 4


def rows_needed(gain: float, second_moment: float, alpha: float, power: float = 0.8) -> int:
    """Gate rows after which a true gain is certified with probability ``power``, from a second moment alone.

    After n rows the leading bet has grown by about n·λ·Δ − n·λ²·E[d²]/2. At its best λ this reaches ln(1/α)
    once Δ·sqrt(n/E[d²]) = sqrt(2·ln(1/α)). The mixture costs a nat on top, and the normal quantile of the
    power is added for luck. ``rows_for`` is closer where the law of d is at hand.

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


def rows_for(law: Law, alpha: float, power: float = 0.8, *, boosted: bool = False) -> int:
    """Gate rows after which the law's own gain is certified with probability ``power``.

    The mixture is played out at the quantile 1 − power of its luck. Let S_j be the growth of the bet j that leads then,
    a sum of n alike terms: its quantile follows from mean, variance, skewness and kurtosis by Cornish and Fisher's
    expansion. The other bets are put where they are expected, given S_j. Rows are those at which the mixture of
    these growths reaches 1/α. Bets are laid for ``BETTING_ALPHA`` and n, as a plan lays them.

    With ``boosted``, those of a quarter mixture and three quarters booster in one shuffled batch. The booster follows
    its luck, as strong as a t-test at ¾·α: n·max_λ E[log(1 + λ·d)] = ½·(z_{¾α} + z_power)², where z is a normal
    quantile and the left side is n·Δ²/(2·E[d²]) but for skewness. What it does not have is the price of the mixture.

    Args:
        law: of d, with a gain > 0.
        alpha: error probability, 1 − confidence.
        power: probability of a certificate, in (0, 1).
        boosted: the gate holds one batch of independent units, see ``star``.

    Returns:
        Rows; at most 10¹⁵.
    """
    if not (law.gain > 0 and 0 < alpha < 1 and 0 < power < 1):
        raise GateError(
            "the planner needs a gain above zero, and probabilities between 0 and 1",
            example=(law.gain, alpha, power),
            remedy="Name the gain that is hoped for.",
        )
    values, probability = law.points()
    target, square = math.log(1.0 / ((1.0 - SHARE) * alpha if boosted else alpha)), law.second_moment

    def enough(rows: float) -> bool:
        return _unlucky_capital(values, probability, square, law.bound, rows, 1.0 - power) >= target

    mixture = _least(enough, max(square * (_deviations(alpha, power) / law.gain) ** 2, 1.0))
    return math.ceil(min(mixture, _boosted_rows(values, probability, law.bound, alpha, power)) if boosted else mixture)


def _least(enough: Callable[[float], bool], near: float) -> float:
    """The smallest number of rows that is enough, to a thousandth, looked for around a first guess."""
    low, high = near / _STRIDE, near
    while low > 1.0 and enough(low):
        low, high = low / _STRIDE, low
    while high < _MOST_ROWS and not enough(high):
        low, high = high, high * _STRIDE
    while high > low * (1.0 + 1e-3):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return min(high, float(_MOST_ROWS))


def _unlucky_capital(
    values: Floats, probability: Floats, square: float, bound: float, rows: float, quantile: float
) -> float:
    """Log capital of the mixture after ``rows`` rows, at a quantile of its luck.

    Rows with d = 0 are not among the values: their growth is zero.
    """
    bets = default_bets(square, max(math.ceil(rows), 1), BETTING_ALPHA, bound=bound)
    growth = np.log1p(np.multiply.outer(bets.fractions, values))
    mean = growth @ probability
    rest = max(1.0 - float(probability.sum()), 0.0)
    lead = int(np.argmax(bets.log_prior + rows * mean))
    at = bets.log_prior + rows * mean
    for _ in range(_SETTLED):
        centred = growth[lead] - mean[lead]
        covariance = (growth - mean[:, None]) * probability @ centred + rest * mean * mean[lead]
        deviation = math.sqrt(max(float(covariance[lead]), 1e-300))
        third, fourth = (float(probability @ centred**k + rest * (-mean[lead]) ** k) / deviation**k for k in (3, 4))
        luck = _cornish_fisher(quantile, third / math.sqrt(rows), (fourth - 3.0) / rows)
        at = bets.log_prior + rows * mean + covariance / deviation * math.sqrt(rows) * luck
        if lead == (lead := int(np.argmax(at))):
            break
    return log_sum_exp(at)


def _cornish_fisher(quantile: float, skewness: float, kurtosis: float) -> float:
    """Quantile of a standardised sum with small skewness and excess kurtosis."""
    z = NormalDist().inv_cdf(quantile)
    return (
        z
        + (z * z - 1.0) * skewness / 6.0
        + (z**3 - 3.0 * z) * kurtosis / 24.0
        - (2.0 * z**3 - 5.0 * z) * skewness**2 / 36.0
    )


def _boosted_rows(values: Floats, probability: Floats, bound: float, alpha: float, power: float) -> float:
    """Rows of the booster."""
    bets = np.geomspace(1e-6, 0.9, 400) / bound
    fastest = float((np.log1p(np.multiply.outer(bets, values)) @ probability).max())
    normal = NormalDist()
    deviations = normal.inv_cdf(power) - normal.inv_cdf(SHARE * alpha)
    return min(0.5 * deviations**2 / fastest, float(_MOST_ROWS)) if fastest > 0 else float(_MOST_ROWS)


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
