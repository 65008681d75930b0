"""What followed each training row: returns to regress values on, and next states for those that bootstrap.

In: columns of whole units in order, with ``gamma``. Out: further columns for ``Chunks.extend``. Learners import it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from jumar.learn.data import Columns
from jumar.learn.loop import Batch, Chunks
from jumar.logs.returns import lambda_returns, n_steps

STATE = ("numbers", "codes", "ids:", "pmf")
NEXT = "next:"


def observed(gamma: NDArray[np.floating]) -> NDArray[np.float32]:
    """[rows] 1 where it is known what followed, 0 where the log ends before."""
    return np.where(np.isnan(gamma), 0.0, 1.0).astype(np.float32)


def return_targets(columns: Columns, value: NDArray[np.floating], mix: float) -> Columns:
    """λ-returns of every row under production.

    Args:
        columns: ``reward`` and ``gamma`` [rows].
        value: [rows, members] production's value of each state, in rewards.
        mix: λ.

    Returns:
        ``target`` [rows, members] in rewards, and ``observed`` [rows].
    """
    reward, gamma = columns["reward"].astype(np.float64), columns["gamma"].astype(np.float64)
    found = lambda_returns(reward, gamma, value.astype(np.float64), mix)
    return {"target": found.astype(np.float32), "observed": observed(gamma)}


def standardised(columns: Columns, mean: float, scale: float) -> Columns:
    """The columns with ``target`` in units of the fit."""
    return {**columns, "target": ((columns["target"] - mean) / scale).astype(np.float32)}


def average_return(columns: Columns) -> float:
    """Production's value of an average state, from averages alone: r̄/(1 − γ̄) where it is known what followed."""
    known = ~np.isnan(columns["gamma"])
    if not known.any():
        return 0.0
    reward, gamma = float(columns["reward"][known].mean()), float(columns["gamma"][known].mean())
    return reward / max(1.0 - gamma, 1e-3)


class ReturnTally:
    """Mean and standard deviation of returns that are known, while they pass by."""

    def __init__(self) -> None:
        self.rows, self.total, self.squares = 0, 0.0, 0.0

    def see(self, columns: Columns) -> Columns:
        """Count ``target`` where ``observed``, and pass all on."""
        known = columns["target"][columns["observed"] > 0, 0].astype(np.float64)
        self.rows += len(known)
        self.total += float(known.sum())
        self.squares += float(np.square(known).sum())
        return columns

    @property
    def mean(self) -> float:
        """Six significant digits of it."""
        return float(f"{self.total / max(self.rows, 1):.6g}")

    @property
    def deviation(self) -> float:
        """Six significant digits of it."""
        return float(f"{max(self.squares / max(self.rows, 1) - (self.total / max(self.rows, 1)) ** 2, 0.0) ** 0.5:.6g}")


def look_ahead(chunks: Chunks, held_out: Batch, steps: int = 1) -> Batch:
    """Give rows of timelines their next states: the chunks in place, the held-out rows as they come back.

    Args:
        chunks, held_out: as ``learn.data`` makes them, with ``gamma``.
        steps: n ≥ 1, see ``transitions``.
    """
    follow = transitions(steps)
    chunks.extend(follow)
    return {**held_out, **follow({name: np.asarray(values) for name, values in held_out.items()})}


def transitions(steps: int) -> Callable[[Columns], Columns]:
    """Columns of n-step transitions: (state, action, reward, next state, discount).

    Args:
        steps: n ≥ 1.

    Returns:
        From columns of whole units to ``step_reward`` [rows], the discounted rewards of up to n decisions; ``discount``
        [rows] of the state behind them, 0 where the episode ended on the way; ``observed`` [rows]; the features and the
        pmf of that state and its ``action`` under ``next:``, which mean nothing where the discount is 0.
    """

    def follow(columns: Columns) -> Columns:
        reward, gamma = columns["reward"].astype(np.float64), columns["gamma"].astype(np.float64)
        total, worth, at = n_steps(reward, gamma, steps)
        ahead = {
            f"{NEXT}{name}": values[at]
            for name, values in columns.items()
            if name == "action" or name.startswith(STATE)
        }
        known = {"observed": observed(gamma), "discount": np.nan_to_num(worth).astype(np.float32)}
        return {"step_reward": total.astype(np.float32)} | known | ahead

    return follow
