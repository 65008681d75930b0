"""Small logs with a known truth, for the tests of this folder: ε-greedy production over discrete contexts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jumar.evaluate import GatePlan, plan_gate


@dataclass(frozen=True)
class Rows:
    """A log: pmf of candidates [rows, K, actions], propensity, reward, action, all [rows]."""

    pmf: NDArray[np.float64]
    propensity: NDArray[np.float64]
    reward: NDArray[np.float64]
    action: NDArray[np.int64]

    @property
    def taken(self) -> NDArray[np.float64]:
        return np.take_along_axis(self.pmf, self.action[:, None, None], axis=2)[:, :, 0]

    @property
    def w(self) -> NDArray[np.float64]:
        return self.taken / self.propensity[:, None]

    @property
    def d(self) -> NDArray[np.float64]:
        return (self.w - 1.0) * self.reward[:, None]

    def part(self, rows: slice | NDArray[np.int64]) -> Rows:
        return Rows(self.pmf[rows], self.propensity[rows], self.reward[rows], self.action[rows])


def make_rows(
    rows: int,
    seed: int,
    *,
    gain: float = 0.05,
    base: float = 0.1,
    explored: float = 0.3,
    path: tuple[float, ...] = (0.5, 1.0, 2.0, 3.0),
    actions: int = 3,
) -> Rows:
    """In each context one action, not the favourite, brings ``gain`` more; candidates lean towards it."""
    rng = np.random.default_rng(seed)
    context = rng.integers(0, actions, rows)
    everything = np.arange(actions)
    mu = np.where(everything == context[:, None], 1.0 - explored, 0.0) + explored / actions
    action = (rng.random(rows)[:, None] > mu.cumsum(axis=1)).sum(axis=1).clip(max=actions - 1)
    better = everything == ((context + 1) % actions)[:, None]
    reward = (rng.random(rows) < base + gain * better[np.arange(rows), action]).astype(np.float64)
    tilted = mu[:, None, :] * np.exp(np.array(path)[None, :, None] * better[:, None, :])
    pmf = tilted / tilted.sum(axis=2, keepdims=True)
    return Rows(pmf, mu[np.arange(rows), action], reward, action)


def make_plan(validation: Rows, rows_planned: int, **changes: object) -> GatePlan:
    candidates, actions = validation.pmf.shape[1:]
    arguments = {
        "validation_d": validation.d,
        "validation_w": validation.w,
        "temperatures": [1.0 / (k + 1) for k in range(candidates)],
        "policy_sha256": [f"hash {k}" for k in range(candidates)],
        "rows_planned": rows_planned,
        "supported": [True] * actions,
        "confidence": 0.999,
        "propensity_floor": float(validation.propensity.min()),
    }
    return plan_gate(**(arguments | changes))  # pyright: ignore[reportArgumentType]
