"""Small decision processes with a known truth: every path with its probability, logs, values by linear equations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jumar.evaluate.capital import Capital, default_bets

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Process:
    """States, actions, rewards of 0 or 1, and a last decision.

    Attributes:
        start: [states] probabilities of the first state.
        move: [states, actions, states + 1] of the next one; the last column ends the episode.
        pays: [states, actions] probability of a reward.
        decisions: most that an episode has.
        gamma: discount from one row to the next.
    """

    start: Floats
    move: Floats
    pays: Floats
    decisions: int
    gamma: float = 1.0

    def with_pays(self, pays: Floats) -> Process:
        return replace(self, pays=pays)

    def values(self, policy: Floats) -> Floats:
        """[states, actions] action values of a policy that goes on for ever, by solving the linear system."""
        states, actions = self.pays.shape
        size = states * actions
        step = np.einsum("sat,tb->satb", self.move[:, :, :states], policy).reshape(size, size)
        return np.linalg.solve(np.eye(size) - self.gamma * step, self.pays.ravel()).reshape(states, actions)

    def log(self, units: int, policy: Floats, rng: np.random.Generator) -> Log:
        """Episodes drawn from it, under a policy [states, actions]."""
        states = self.start.size
        state = (rng.random(units)[:, None] > self.start.cumsum()).sum(axis=1).clip(max=states - 1)
        unit, columns = np.arange(units), []
        for _ in range(self.decisions):
            action = (rng.random(unit.size)[:, None] > policy[state].cumsum(axis=1)).sum(axis=1)
            action = action.clip(max=policy.shape[1] - 1)
            reward = (rng.random(unit.size) < self.pays[state, action]).astype(np.float64)
            following = (rng.random(unit.size)[:, None] > self.move[state, action].cumsum(axis=1)).sum(axis=1)
            columns.append((unit, state, action, reward, following))
            going = following < states
            unit, state = unit[going], following[going]
        unit, state, action, reward, following = (np.concatenate(column) for column in zip(*columns, strict=True))
        order = np.argsort(unit, kind="stable")
        starts = np.flatnonzero(np.diff(unit[order], prepend=-1))
        discount = np.where(following == states, 0.0, self.gamma)
        return Log(state[order], action[order], reward[order], discount[order], starts)


@dataclass(frozen=True)
class Log:
    """Columns over the rows of whole episodes."""

    state: Indices
    action: Indices
    reward: Floats
    discount: Floats
    starts: Indices

    def weight(self, policy: Floats, production: Floats) -> Floats:
        return policy[self.state, self.action] / production[self.state, self.action]


@dataclass(frozen=True)
class Paths(Log):
    """All episodes that a process can bring forth, one after another.

    Attributes:
        nature: [paths] the part of each one's probability that is not the policy's.
        position: [rows] decisions before.
    """

    nature: Floats
    position: Indices

    def chance(self, policy: Floats) -> Floats:
        """[paths] probabilities under a policy [states, actions]."""
        return self.nature * np.multiply.reduceat(policy[self.state, self.action], self.starts)

    def chance_of_one(self, policy: Floats, production: Floats, most: int) -> Floats:
        """[paths] probabilities under one deviation, drawn evenly among the first ``most`` decisions."""
        other, usual = policy[self.state, self.action], production[self.state, self.action]
        each = [np.where(self.position == n, other, usual) for n in range(most)]
        return self.nature * np.mean([np.multiply.reduceat(one, self.starts) for one in each], axis=0)

    def returns(self) -> Floats:
        """[paths] Σ γ^t·r, by a loop."""
        found = np.zeros(self.starts.size)
        for i, (begin, end) in enumerate(zip(self.starts, [*self.starts[1:], self.state.size], strict=True)):
            reach = 1.0
            for row in range(begin, end):
                found[i] += reach * self.reward[row]
                reach *= self.discount[row]
        return found


def paths(process: Process) -> Paths:
    """Every path of a process."""
    states, actions = process.pays.shape
    found: list[tuple[float, list[tuple[int, int, int, bool]]]] = []

    def follow(state: int, chance: float, past: list[tuple[int, int, int, bool]]) -> None:
        for action in range(actions):
            for reward in (0, 1):
                pays = process.pays[state, action]
                here = chance * (pays if reward else 1.0 - pays)
                if here == 0.0:
                    continue
                if len(past) + 1 == process.decisions:
                    found.append((here, [*past, (state, action, reward, True)]))
                    continue
                for following in range(states + 1):
                    then = here * process.move[state, action, following]
                    if then == 0.0:
                        continue
                    if following == states:
                        found.append((then, [*past, (state, action, reward, True)]))
                    else:
                        follow(following, then, [*past, (state, action, reward, False)])

    for state in range(states):
        if process.start[state] > 0:
            follow(state, float(process.start[state]), [])
    rows = np.array([row for _, path in found for row in path], dtype=np.int64)
    lengths = np.array([len(path) for _, path in found])
    starts = np.append(0, lengths.cumsum()[:-1])
    return Paths(
        rows[:, 0],
        rows[:, 1],
        rows[:, 2].astype(np.float64),
        np.where(rows[:, 3], 0.0, process.gamma),
        starts,
        np.array([chance for chance, _ in found]),
        np.arange(rows.shape[0]) - np.repeat(starts, lengths),
    )


def random_process(rng: np.random.Generator, *, decisions: int = 3, states: int = 2, actions: int = 2) -> Process:
    return Process(
        rng.dirichlet(np.ones(states)),
        rng.dirichlet(np.ones(states + 1), size=(states, actions)),
        rng.random((states, actions)),
        decisions,
        float(rng.choice([1.0, 0.7])),
    )


def random_policy(rng: np.random.Generator, states: int = 2, actions: int = 2) -> Floats:
    return rng.dirichlet(np.ones(actions), size=states)


def tiring(later: float) -> Process:
    """Three decisions; action 1 pays at once, and from then on every decision pays less by ``later``."""
    move = np.zeros((2, 2, 3))
    move[0, 0, 0] = move[0, 1, 1] = move[1, :, 1] = 1.0
    pays = np.array([[0.3, 0.4], [0.3 - later, 0.4 - later]])
    return Process(np.array([1.0, 0.0]), move, pays, decisions=3)


def where_zero(gain: Callable[[float], float], low: float, high: float) -> float:
    """A place between low, where the gain is positive, and high, where it is negative; rounded to where it is not."""
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if gain(middle) > 0 else (low, middle)
    return high


def release_rate(d: Floats, chance: Floats, *, alpha: float, episodes: int, runs: int, seed: int) -> float:
    """How often so many episodes release at α, by drawing how often each path happens."""
    bets = default_bets(float(chance @ np.square(d)), episodes, alpha)
    counts = np.random.default_rng(seed).multinomial(episodes, chance / chance.sum(), size=runs).astype(np.float64)
    capital = Capital([bets] * runs)
    capital.sums, capital.count = counts @ np.log1p(np.multiply.outer(d, bets.fractions)), episodes
    return float((np.asarray(capital.log_value) >= -np.log(alpha)).mean())
