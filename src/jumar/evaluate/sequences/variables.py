"""Variables of the gate for sequences: a policy over whole episodes, or one deviation from production.

In: importance weights, rewards and discounts over the rows of whole episodes, a declared cap on what an episode counts.
Out: D [units, K] ≥ −bound, whose mean is what a policy changes; one number for each episode, so shards are stacked or
added by whatever weighs them (``capital``). Whatever gates sequences imports this module.

With C = min(cap, Σ_t γ_{0:t}·r_t), ρ_{0:t} = Π_{s≤t} w_s and c_t = C_t − C_{t−1}:

    the whole policy   D = Σ_t (ρ_{0:t} − 1)·c_t/cap                   E[D] = (V(π) − V(μ))/cap with V = E[C]
    what it costs      D = (ρ_{0:T} − 1)·(1 − C/cap)                   E[D] = (V(μ) − V(π))/cap: less is better
    one deviation      D = (1/M)·Σ_{t<M} (w_t − 1)·(C − C_{t−1})/cap   the same for a policy that follows production
                                                                       but at one drawn of the first M decisions

All are sums of a weight times something ≥ 0, less the same without a weight: cutting a weight only lowers them, and at
weights of 0 they are −C/cap ≥ −1, or C/cap − 1, or an average of such. docs/statistics.md has the proofs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jumar.evaluate.capital import Floats, GateError
from jumar.evaluate.sequences.episodes import (
    Episodes,
    checked_discount,
    checked_rewards,
    checked_weights,
    sums_by_episode,
    sums_to_go,
)
from jumar.evaluate.sequences.returns import (
    checked_cap,
    discount_to_date,
    drawn_together,
    products_to_date,
    rewards_under,
)

LARGEST_PRODUCT = 2.0**40  # its square is still a number; nobody sees the 10^12 episodes that would need a larger one
_LEAST_BOUND = 1e-9


def variable_bound(margin: float = 0.0) -> float:
    """1 − m: neither variable falls below the negative of this.

    Args:
        margin: as given to the variable.

    Raises:
        GateError: a margin above 1 or not finite.
    """
    if not -math.inf < margin <= 1.0:
        raise GateError("a margin is a share of production's value, at most 1", example=margin, remedy="Try 0.02.")
    return max(1.0 - margin, _LEAST_BOUND)


def episode_variable(
    weight: ArrayLike,
    reward: ArrayLike,
    discount: ArrayLike,
    starts: ArrayLike,
    *,
    cap: float,
    margin: float = 0.0,
    most: float = LARGEST_PRODUCT,
    tied: ArrayLike | None = None,
    closing: ArrayLike | None = None,
) -> Floats:
    """D = Σ_t (ρ_{0:t} − 1 + m)·c_t/cap of whole episodes, for policies that decide at every step.

    See "Eligibility traces for off-policy policy evaluation" by Precup, Sutton & Singh (2000) for weights per decision.

    Args:
        weight: [rows] or [rows, K] w = π(a|x)/μ(a|x) ≥ 0 of the logged actions; π and μ may depend on the past.
        reward: [rows] in [0, 1], made by the actions up to this row only.
        discount: [rows] from each row to the next of its episode, 0 on rows after which it ended.
        starts: [units] index of each episode's first row.
        cap: the declared most that an episode counts, in discounted rewards. V is the mean of the capped return.
        margin: m, the share of production's value that may be lost; negative: that must be gained.
        most: larger products ρ are cut to this, which only lowers D.
        tied: [rows] whether a row was made at the same moment as the row before it, in the same episode: whatever one
            of them brings is weighed by the actions of all, as nobody knows which came first.
        closing: [units] paid behind each last row, already discounted to the first, at least 0.

    Returns:
        [units] or [units, K], at least −``variable_bound(margin)``; its mean is (V(π) − (1 − m)·V(μ))/cap, or less
        where π takes actions that production could not take.

    Raises:
        GateError: other shapes, weights that are negative or not finite, rewards or discounts outside [0, 1], starts
            that are none, a cap that is not above 0.
    """
    variable_bound(margin)
    if not 1.0 <= most < math.inf:
        raise GateError("products of weights are cut at 1 or above", example=most, remedy="Leave it at its default.")
    w, r, gamma, episodes = _rows(weight, reward, discount, starts)
    share = rewards_under(cap, r, gamma, episodes, closing) / cap
    w = drawn_together(w, checked_ties(tied, episodes))

    def of(one: Floats) -> Floats:
        return sums_by_episode((products_to_date(one, episodes, most) - (1.0 - margin)) * share, episodes)

    return of(w) if w.ndim == 1 else _columns(of, w, episodes.units)


def episode_cost_variable(
    weight: ArrayLike,
    cost: ArrayLike,
    discount: ArrayLike,
    starts: ArrayLike,
    *,
    cap: float,
    margin: float = 0.0,
    most: float = LARGEST_PRODUCT,
    tied: ArrayLike | None = None,
) -> Floats:
    """D = (ρ_{0:T} − 1)·(1 − C/cap) + m·C/cap of whole episodes, where less of what is counted is better.

    What an episode stayed below the cap is a reward that comes with its last decision, so its weight is that of all
    decisions. A cost that is weighted when it occurs would have less noise and no bound.

    Args:
        weight: as in ``episode_variable``.
        cost: [rows] in [0, 1], made by the actions up to this row only.
        discount, starts: as in ``episode_variable``.
        cap: the declared most that an episode counts, in discounted costs.
        margin: m ≥ −1, the share by which production's cost may be exceeded; negative: by which it must fall.
        most, tied: as in ``episode_variable``.

    Returns:
        [units] or [units, K], at least −max(1, −m); its mean is ((1 + m)·V(μ) − V(π))/cap, or less where π takes
        actions that production could not take.

    Raises:
        GateError: as ``episode_variable``.
    """
    if not -1.0 <= margin < math.inf:
        raise GateError("a margin on costs is at least −1", example=margin, remedy="Try 0.02.")
    w, c, gamma, episodes = _rows(weight, cost, discount, starts)
    w = drawn_together(w, checked_ties(tied, episodes))
    spent = sums_by_episode(rewards_under(cap, c, gamma, episodes) / cap, episodes)
    within = sums_by_episode((discount_to_date(gamma, episodes) > 0).astype(np.float64), episodes)
    last = episodes.starts + within.astype(np.int64) - 1  # decisions after an end change nothing that counts

    def of(one: Floats) -> Floats:
        return (products_to_date(one, episodes, most)[last] - 1.0) * (1.0 - spent) + margin * spent

    return of(w) if w.ndim == 1 else _columns(of, w, episodes.units)


def single_deviation_variable(
    weight: ArrayLike,
    reward: ArrayLike,
    discount: ArrayLike,
    starts: ArrayLike,
    *,
    cap: float,
    most_per_unit: int,
    counted_from: Literal["start", "decision"] = "start",
    margin: float = 0.0,
    tied: ArrayLike | None = None,
    closing: ArrayLike | None = None,
) -> Floats:
    """D of a policy that follows production but for one decision: one weight, however long the episode.

    The decision is drawn evenly among the first M of a unit; a unit with fewer decisions than the number drawn never
    deviates. D averages over that draw. It says nothing by itself about deviating at every decision: see
    ``mixture_gain``, and "Approximately optimal approximate reinforcement learning" by Kakade & Langford (2002).

    Args:
        weight: [rows] or [rows, K] as in ``episode_variable``; those from decision M on are not used.
        reward, discount, starts: as in ``episode_variable``, with all rows of the episode, also those from M on.
        cap: the declared most that counts, in discounted rewards.
        most_per_unit: M, fixed before these rows.
        counted_from: what V is. "start": the mean capped return of the episode, discounted to its first row.
            "decision": the mean over the drawn decision of the capped return from there on, discounted to it, 0 where
            it is not reached; for long units in which late decisions matter as much as early ones.
        margin: m, the share of production's V that may be lost; negative: that must be gained.
        tied, closing: as in ``episode_variable``; what was made at one moment counts for each decision of it.

    Returns:
        [units] or [units, K], at least −``variable_bound(margin)``; its mean is (V(π) − (1 − m)·V(μ))/cap, or less
        where π takes actions that production could not take.

    Raises:
        GateError: as ``episode_variable``; M below 1.
    """
    variable_bound(margin)
    if most_per_unit < 1:
        raise GateError(
            "a deviation needs at least one decision to be drawn from",
            example=most_per_unit,
            remedy="Pass how many decisions of a unit count, such as the most that 99% of TRAIN's units have.",
        )
    w, r, gamma, episodes = _rows(weight, reward, discount, starts)
    drawn = episodes.position < most_per_unit
    if counted_from == "start":
        share = rewards_under(cap, r, gamma, episodes, closing) / cap
        rest = np.where(drawn, sums_to_go(share, None, episodes)[since(checked_ties(tied, episodes), episodes)], 0.0)
        now = sums_by_episode(share, episodes)
    elif counted_from == "decision":
        if tied is not None or closing is not None:
            raise GateError("ties, and what is paid behind the end, count from the start", remedy="Use 'start'.")
        rest = np.where(drawn, np.minimum(sums_to_go(r, gamma, episodes) / checked_cap(cap), 1.0), 0.0)
        now = sums_by_episode(rest, episodes) / most_per_unit
    else:
        raise GateError("returns count from 'start' or 'decision'", example=counted_from, remedy="Use 'start'.")

    def of(one: Floats) -> Floats:
        return sums_by_episode((one - 1.0) * rest, episodes) / most_per_unit + margin * now

    return of(w) if w.ndim == 1 else _columns(of, w, episodes.units)


def checked_ties(tied: ArrayLike | None, episodes: Episodes) -> NDArray[np.bool_] | None:
    """[rows] bool, False on first rows.

    Raises:
        GateError: another shape, or an episode whose first row is tied to a row of another one.
    """
    if tied is None:
        return None
    found = np.asarray(tied, dtype=bool)
    if found.shape != (episodes.rows,) or found[episodes.starts].any():
        raise GateError(
            "ties must say of every row whether it was made at the moment of the row before, in the same episode",
            example=found.shape,
            remedy="Compare each row's time with that of the row before; first rows are never tied.",
        )
    return found


def since(tied: NDArray[np.bool_] | None, episodes: Episodes) -> NDArray[np.int64]:
    """[rows] index of the first row that was made at the same moment."""
    rows = np.arange(episodes.rows)
    return rows if tied is None else np.maximum.accumulate(np.where(tied, 0, rows))


def mixture_gain(gain: float, share: ArrayLike, *, most_per_unit: int, production: float) -> Floats:
    """The least that deviating with a small probability at each of the first M decisions gains over production.

    With v_j the value of deviating at j of the first M decisions, drawn evenly, v_0 is production's, v_1 − v_0 is what
    ``single_deviation_variable`` shows, and v_j ≥ 0. So at each decision following π with probability β and production
    otherwise gains at least

        M·β·(1 − β)^(M−1)·(v_1 − v_0) − P(J ≥ 2)·v_0,      J ~ Binomial(M, β).

    It is positive for β below about 2·(v_1 − v_0)/(M·v_0), and never says that β = 1 is good.

    Args:
        gain: v_1 − v_0, or a lower bound of it, counted from the start.
        share: [...] β in [0, 1].
        most_per_unit: M.
        production: v_0 ≥ 0, or an upper bound of it, in the units of the gain.

    Returns:
        [...] lower bounds, in the units of the gain.

    Raises:
        GateError: shares outside [0, 1], M below 1, a production value below 0.
    """
    beta = np.asarray(share, dtype=np.float64)
    if not (np.all((beta >= 0) & (beta <= 1)) and most_per_unit >= 1 and 0 <= production < math.inf):
        raise GateError(
            "a mixture needs shares in [0, 1], at least one decision, and a production value of at least 0",
            example=(beta.tolist(), most_per_unit, production),
            remedy="Pass the share of decisions that follow the policy.",
        )
    one = most_per_unit * beta * (1.0 - beta) ** (most_per_unit - 1)
    several = np.maximum(1.0 - (1.0 - beta) ** most_per_unit - one, 0.0)
    return one * gain - several * production


def _rows(
    weight: ArrayLike, reward: ArrayLike, discount: ArrayLike, starts: ArrayLike
) -> tuple[Floats, Floats, Floats, Episodes]:
    """Weights, rewards and discounts that have passed their checks, and where the episodes lie."""
    episodes = Episodes.of(starts, np.size(reward))
    w, r = checked_weights(weight, episodes.rows), checked_rewards(reward, episodes.rows)
    return w, r, checked_discount(discount, episodes), episodes


def _columns(of: Callable[[Floats], Floats], w: Floats, units: int) -> Floats:
    """[units, K] a function of every column; columns lie together in memory, as the capital reads them."""
    found = np.empty((units, w.shape[1]), order="F")
    for k in range(w.shape[1]):
        found[:, k] = of(w[:, k])
    return found
