"""Returns along timelines: what followed each decision, summed up at its discount.

In: rows of whole units in order, with rewards and discounts. Out: returns, λ-returns, n-step transitions. Pure NumPy in
float64, without a loop over rows: a unit may have one row or a million.

Rows are concatenated timelines. ``discount`` [rows] says what the row behind is worth: 0 after the end of an episode,
NaN where it is open, and for the last row of each unit one of the two, so that nothing ever runs across units.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jumar.errors import LogError

Floats = NDArray[np.float64]


def discounted_sums(first: Floats, factor: Floats) -> Floats:
    """G_i = b_i + a_i·G_{i+1} for all i at once, by doubling: as many passes as the longest chain has binary digits.

    Args:
        first: [rows] or [rows, K] b.
        factor: [rows] a; 0 cuts the chain. The last row's must be 0.

    Raises:
        LogError: a chain runs over the end of the rows, or a factor is not finite.
    """
    a, total = np.array(factor, np.float64), np.array(first, np.float64)
    if not np.isfinite(a).all() or (a.size and a[-1] != 0):
        raise LogError(
            "A timeline runs on behind its last row",
            example=float(a[-1]) if a.size else None,
            remedy="Pass whole units, with a discount of 0 or none behind the last row of each.",
        )
    reach = 1
    while reach < len(a) and a.any():
        ahead = a[:-reach] if total.ndim == 1 else a[:-reach, None]
        total[:-reach] += ahead * total[reach:].copy()
        # Beyond here nothing is left of a: what a chain multiplies in later lies behind its end.
        a[:-reach] *= a[reach:].copy()
        a[-reach:] = 0.0
        reach *= 2
    return total


def returns(reward: Floats, discount: Floats, at_open: Floats | float = 0.0) -> Floats:
    """G_t = r_t + γ_t·G_{t+1}; an episode that is open goes on with ``at_open`` in place of its last row's own return.

    Args:
        reward: [rows].
        discount: [rows], 0 at ends, NaN where open.
        at_open: [rows], or one number for all: an estimate of the return from an open row on; only read there.

    Returns:
        [rows]; at open rows ``at_open`` itself.
    """
    return lambda_returns(reward, discount, np.broadcast_to(np.asarray(at_open, np.float64), reward.shape), 1.0)


def lambda_returns(reward: Floats, discount: Floats, value: Floats, mix: float) -> Floats:
    """G_t = r_t + γ_t·((1 − λ)·V_{t+1} + λ·G_{t+1}): what follows, partly from what is believed, partly as it came.

    "Reinforcement Learning: An Introduction" by Sutton and Barto, section 12.1
    (http://incompleteideas.net/book/the-book-2nd.html). On the log's own timelines the return is one of the policy that
    wrote the log, so nothing needs to be weighted.

    Args:
        reward: [rows].
        discount: [rows], 0 at ends, NaN where open.
        value: [rows] or [rows, K] V of each row's state under the policy that wrote the log.
        mix: λ in [0, 1].

    Returns:
        [rows] or [rows, K]; at open rows their own value, which says nothing new.
    """
    opened = np.isnan(discount)
    gamma = np.where(opened, 0.0, discount)
    ahead = np.zeros_like(value, dtype=np.float64)
    ahead[:-1] = value[1:]
    wide = (slice(None), None) if value.ndim == 2 else slice(None)
    first = reward[wide] + (1.0 - mix) * gamma[wide] * ahead
    first = np.where(opened[wide], value, first)
    return discounted_sums(first, mix * gamma)


def n_steps(reward: Floats, discount: Floats, steps: int) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Transitions over up to n decisions: the rewards between, what the state behind them is worth, which row it is.

    Args:
        reward: [rows].
        discount: [rows], 0 at ends, NaN where open.
        steps: n ≥ 1.

    Returns:
        [rows] Σ_{k<m} γ_{t:t+k}·r_{t+k}, [rows] γ_{t:t+m} and [rows] t + m, where m is n, or less at an end (the
        discount is 0 then) or before an open row, whose state is the last one known. At open rows the discount is NaN:
        nothing is known of what followed.
    """
    rows = np.arange(len(reward))
    opened = np.isnan(discount)
    total, worth, at = np.zeros(len(reward)), np.ones(len(reward)), rows.copy()
    going = ~opened
    for _ in range(steps):
        total[going] += worth[going] * reward[at[going]]
        worth[going] *= discount[at[going]]
        at[going] += 1
        going &= worth > 0
        going[going] &= ~opened[at[going]]
        if not going.any():
            break
    worth[opened] = np.nan
    return total, worth, np.minimum(at, len(reward) - 1)
