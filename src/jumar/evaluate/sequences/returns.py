"""What sequences bring and weigh: discounts, products of weights, returns to go, rewards that still fit under a cap.

In: columns over the rows of whole episodes, and the index of each episode's first row. Out: one number for each row,
which depends on the past of its episode only; returns to go on its future. The variables of the gate and the estimators
of this room are made of these; anything above may import them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from jumar.evaluate.capital import Floats, GateError
from jumar.evaluate.estimators.sums import checked_vector
from jumar.evaluate.sequences.episodes import (
    Episodes,
    checked_discount,
    checked_rewards,
    checked_weights,
    sums_to_date,
    sums_to_go,
)

RETURNS_KEPT, BROUGHT_KEPT, LEAST_CAP = 0.995, 0.99, 1e-3
_EXPONENTS = 2_000  # far outside those of float64, far inside those of int32


def cumulative_discount(discount: ArrayLike, starts: ArrayLike) -> Floats:
    """γ_{0:t}, the discount from each episode's first row to every row of it.

    Args:
        discount: [rows] in [0, 1], from each row to the next of its episode: γ, or γ to the power of the time between
            them. What stands on last rows is not used. After a 0 nothing counts any more.
        starts: [units] index of each episode's first row.

    Returns:
        [rows], 1 on first rows.

    Raises:
        GateError: discounts outside [0, 1], starts that are none.
    """
    episodes = Episodes.of(starts, np.size(discount))
    return discount_to_date(checked_discount(discount, episodes), episodes)


def discount_to_date(gamma: Floats, episodes: Episodes) -> Floats:
    """``cumulative_discount`` of checked columns."""
    total = np.ones(episodes.rows)
    total[1:] = gamma[:-1]
    total[episodes.starts] = 1.0
    for step, at in episodes.before():
        total[at] *= total[at - step]
    return total


def running_products(weight: ArrayLike, starts: ArrayLike, *, most: float | None = None) -> Floats:
    """ρ_{0:t} = Π_{s≤t} w_s from each episode's first row on.

    Mantissas and exponents are multiplied apart, so no product on the way to a moderate one is too large or too small,
    and a weight of 0 is 0 from there on. Only what is below 1e-308 in the end becomes 0.

    Args:
        weight: [rows] or [rows, K] w = π(a|x)/μ(a|x) ≥ 0.
        starts: [units] index of each episode's first row.
        most: larger products are cut to this. Cutting only lowers the variables of this room, so it is safe there; it
            biases estimates, so it is not for them.

    Returns:
        [rows] or [rows, K], as the weights.

    Raises:
        GateError: weights that are negative or not finite; a product above 1.8e308 where ``most`` is not given.
    """
    w = checked_weights(weight, np.shape(weight)[0] if np.ndim(weight) else 0)
    if most is not None and not most >= 1.0:
        raise GateError("products of weights are cut at 1 or above", example=most, remedy="Leave it at its default.")
    episodes = Episodes.of(starts, w.shape[0])
    if w.ndim == 1:
        return products_to_date(w, episodes, most)
    found = np.empty(w.shape, order="F")
    for k in range(w.shape[1]):
        found[:, k] = products_to_date(w[:, k], episodes, most)
    return found


def products_to_date(weight: Floats, episodes: Episodes, most: float | None) -> Floats:
    """``running_products`` of one checked column."""
    mantissa, short = np.frexp(weight)
    exponent = short.astype(np.int64)
    for step, at in episodes.before():
        mantissa[at], shift = np.frexp(mantissa[at] * mantissa[at - step])
        exponent[at] += exponent[at - step] + shift
    with np.errstate(over="ignore", under="ignore"):
        product = np.ldexp(mantissa, np.clip(exponent, -_EXPONENTS, _EXPONENTS).astype(np.int32))
    if most is not None:
        return np.minimum(product, most)
    if (large := np.isinf(product)).any():
        at = int(np.flatnonzero(large)[0])
        raise GateError(
            "a product of weights along an episode is larger than any number",
            count=int(large.sum()),
            example=f"1e{int(exponent[at] * math.log10(2.0))} after {int(episodes.position[at]) + 1:,} decisions",
            remedy="Estimate shorter episodes, single deviations, or a policy that stays nearer to production.",
        )
    return product


def drawn_together(weight: Floats, tied: ArrayLike | None) -> Floats:
    """Weights of decisions that were made at one moment, all on the first of them: nobody knows which came first.

    Args:
        weight: [rows] or [rows, K].
        tied: [rows] whether a row was made at the same moment as the row before it, in the same episode; None: none.

    Returns:
        [rows] or [rows, K], 1 on tied rows.
    """
    if tied is None or not np.any(tied):
        return weight
    together = np.asarray(tied, dtype=bool)
    heads = np.flatnonzero(~together)
    found = np.ones_like(weight)
    with np.errstate(over="ignore"):  # a larger product would make 0 times it no number
        found[heads] = np.minimum(np.multiply.reduceat(weight, heads, axis=0), np.finfo(np.float64).max)
    return found


def returns_to_go(reward: ArrayLike, discount: ArrayLike, starts: ArrayLike) -> Floats:
    """G_t = r_t + γ_t·G_{t+1}, what each row and those after it bring, discounted to that row.

    Args:
        reward: [rows] in [0, 1].
        discount: [rows] as in ``cumulative_discount``.
        starts: [units] index of each episode's first row.

    Returns:
        [rows]; on first rows the return of the episode.

    Raises:
        GateError: values outside their bounds, starts that are none.
    """
    episodes = Episodes.of(starts, np.size(reward))
    r, gamma = checked_rewards(reward, episodes.rows), checked_discount(discount, episodes)
    return sums_to_go(r, gamma, episodes)


def capped_rewards(
    reward: ArrayLike, discount: ArrayLike, starts: ArrayLike, *, cap: float, closing: ArrayLike | None = None
) -> Floats:
    """c_t = C_t − C_{t−1} with C_t = min(cap, Σ_{s≤t} γ_{0:s}·r_s): the part of a reward that still fits under the cap.

    It depends on the past only, is never negative, and adds up to the capped return of the episode.

    Args:
        reward: [rows] in [0, 1].
        discount: [rows] as in ``cumulative_discount``.
        starts: [units] index of each episode's first row.
        cap: the declared most that an episode may bring, in rewards; fixed before any row is seen.
        closing: [units] paid behind each episode's last row, already discounted to its first, at least 0.

    Returns:
        [rows] in [0, min(1, cap)].

    Raises:
        GateError: values outside their bounds, starts that are none, a cap that is not above 0.
    """
    episodes = Episodes.of(starts, np.size(reward))
    r, gamma = checked_rewards(reward, episodes.rows), checked_discount(discount, episodes)
    return rewards_under(cap, r, gamma, episodes, closing)


def rewards_under(
    cap: float, reward: Floats, gamma: Floats, episodes: Episodes, closing: ArrayLike | None = None
) -> Floats:
    """``capped_rewards`` of checked columns."""
    most = checked_cap(cap)
    one = discount_to_date(gamma, episodes) * reward
    if closing is not None:
        one[episodes.last] += checked_vector(closing, episodes.units, "what is paid behind last rows", low=0.0)
    earlier = np.zeros(episodes.rows)
    total = sums_to_date(one, episodes)
    earlier[1:] = total[:-1]
    earlier[episodes.starts] = 0.0
    # Not C_t − C_{t−1}: two sums that are rounded apart may fall, and a product of weights would magnify that.
    return np.minimum(one, np.maximum(most - earlier, 0.0))


def cap_of(returns: ArrayLike, above: float = 0.0) -> float:
    """The most that a unit counts: few bring more, and what they bring beyond is little of what all bring.

    Where a few units bring much of the whole, a cap that is only seldom reached would leave them out, and a policy that
    loses them would pass.

    Args:
        returns: [units] of TRAIN.
        above: what a unit counts of which all rewards are 0.
    """
    rising = np.sort(np.asarray(returns, dtype=np.float64))
    if not rising.size:
        return LEAST_CAP
    # What lies beyond a cap at the i-th return: the sum of the later ones, less as many times the i-th.
    later = np.arange(rising.size - 1, -1, -1)
    beyond = rising[::-1].cumsum()[::-1] - rising * (later + 1)
    little = (1.0 - BROUGHT_KEPT) * np.abs(rising - above).sum()
    cap = max(float(np.quantile(rising, RETURNS_KEPT)), float(rising[int(np.argmax(beyond <= little + 1e-12))]))
    return _upwards(max(cap, above, LEAST_CAP))


def _upwards(value: float) -> float:
    """Three significant digits, upwards."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.3g}")


def checked_cap(cap: float) -> float:
    """The cap of a return, a number above 0.

    Raises:
        GateError: it is none.
    """
    if not (cap > 0 and math.isfinite(cap)):
        raise GateError(
            "the cap of an episode's return must be a number above 0",
            example=cap,
            remedy="Declare the most that an episode should count, such as the largest number of rewards in TRAIN.",
        )
    return float(cap)
