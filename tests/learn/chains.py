"""Small problems whose values are known exactly, and logs of them as training columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jumar.features.spec import FeatureSpec, NumberColumn
from jumar.learn.data import Columns

GAMMA = 0.9


@dataclass(frozen=True)
class Problem:
    """States 0…S−1 and an end; two actions.

    Attributes:
        moves: [S, 2, S + 1] probabilities of the next state, the last one being the end.
        reward: [S, 2] in [0, 1].
        behaviour: [S, 2] production.
    """

    moves: np.ndarray
    reward: np.ndarray
    behaviour: np.ndarray

    @property
    def states(self) -> int:
        return len(self.reward)


def two_states() -> Problem:
    """Action 1 pays at once and ends in state 1, where little is to be had; action 0 keeps state 0 going."""
    moves = np.array([[[0.9, 0.0, 0.1], [0.1, 0.8, 0.1]], [[0.2, 0.7, 0.1], [0.0, 0.9, 0.1]]])
    return Problem(moves, np.array([[0.5, 0.8], [0.0, 0.2]]), np.array([[0.5, 0.5], [0.3, 0.7]]))


def chain(states: int = 5) -> Problem:
    """Action 0 goes on towards the only reward, at the far end; action 1 takes a crumb and stops. Production stops."""
    moves = np.zeros((states, 2, states + 1))
    moves[np.arange(states), 0, np.arange(1, states + 1)] = 1.0
    moves[:, 1, states] = 1.0
    reward = np.zeros((states, 2))
    reward[-1, 0], reward[:, 1] = 1.0, 0.1
    return Problem(moves, reward, np.tile([0.6, 0.4], (states, 1)))


def exact_values(problem: Problem, policy: np.ndarray | None = None) -> np.ndarray:
    """[S, 2] Q of a policy, production's by default: Q = r + γ·P·Σπ·Q."""
    pi, size = problem.behaviour if policy is None else policy, problem.states
    onward = problem.moves[:, :, :size]
    system = np.eye(2 * size) - GAMMA * np.einsum("sat,tb->satb", onward, pi).reshape(2 * size, 2 * size)
    return np.linalg.solve(system, problem.reward.ravel()).reshape(size, 2)


def best_values(problem: Problem) -> np.ndarray:
    """[S, 2] Q*, by iteration."""
    q = np.zeros_like(problem.reward)
    for _ in range(2_000):
        q = problem.reward + GAMMA * problem.moves[:, :, : problem.states] @ q.max(axis=1)
    return q


def chain_spec(states: int) -> FeatureSpec:
    """One number for each state."""
    numbers = [
        NumberColumn(name=f"s{i}", part="", centre=0.0, width=1.0, mean=0.0, scale=1.0, missing=False, levels=())
        for i in range(states)
    ]
    return FeatureSpec(numbers=tuple(numbers), categories=(), ids=())


def chain_rows(problem: Problem, rows: int, seed: int, open_share: float = 0.0) -> Columns:
    """Whole units in order, as ``learn.data`` makes them; every unit begins in a random state.

    Args:
        rows: about how many.
        seed: of the walks.
        open_share: probability that the log breaks off behind a row.
    """
    rng = np.random.default_rng(seed)
    units, size = max(rows // 4, 1), problem.states
    state, alive = rng.integers(0, size, units), np.ones(units, bool)
    found: list[tuple[np.ndarray, ...]] = []
    for step in range(400):
        who = np.flatnonzero(alive)
        if not len(who):
            break
        now = state[who]
        action = (rng.random(len(who)) < problem.behaviour[now, 1]).astype(np.int32)
        cumulative = problem.moves[now, action].cumsum(axis=1)
        then = (rng.random(len(who))[:, None] > cumulative).sum(axis=1)
        gamma = np.where(then == size, 0.0, GAMMA)
        cut = rng.random(len(who)) < open_share
        gamma[cut] = np.nan
        found.append((who, np.full(len(who), step), now, action, problem.reward[now, action], gamma))
        alive[who] = (then < size) & ~cut
        state[who] = np.minimum(then, size - 1)
    unit, step, now, action, reward, gamma = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((step, unit))
    unit, now, action, reward, gamma = (column[order] for column in (unit, now, action, reward, gamma))
    gamma[-1] = np.nan
    return {
        "numbers": np.eye(size, dtype=np.float32)[now],
        "codes": np.zeros((len(now), 0), np.int32),
        "action": action.astype(np.int32),
        "reward": reward.astype(np.float32),
        "unit": (unit.astype(np.uint64) * 2_654_435_761 % 2**32).astype(np.uint32),
        "pmf": problem.behaviour[now].astype(np.float32),
        "gamma": gamma.astype(np.float32),
    }
