"""Small decision processes whose values are known, their logs as transitions and as timelines, and an exact clone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jumar.features import FeatureSpec
from jumar.features.spec import CategoryColumn
from jumar.learn import CONFIGS, LEARNERS, FitConfig, FitResult, OneStep, Steered, Target
from jumar.learn.data import Columns, MemoryChunks

END = -1
FIRST_CODE = 2  # 0 is missing, 1 unknown
TINY = 1e-9
LONGEST = 400


@dataclass(frozen=True)
class SmallMDP:
    """States and an end, production, and rewards that may scatter.

    Attributes:
        moves: [states, actions, states + 1] probabilities of what comes next, the end last; ``certain`` makes them of
            [states, actions] next states, or ``END``.
        reward: [states, actions] mean.
        production: [states, actions] probabilities.
        discount: γ.
        scatter: rewards are the mean plus or minus this.
    """

    moves: np.ndarray
    reward: np.ndarray
    production: np.ndarray
    discount: float
    scatter: float | np.ndarray = 0.0

    @property
    def states(self) -> int:
        return len(self.reward)

    @property
    def actions(self) -> int:
        return self.reward.shape[1]

    def values(self, policy: np.ndarray | None = None) -> np.ndarray:
        """Q [states, actions] of a policy [states, actions]; of the best one by default."""
        q = np.zeros_like(self.reward, dtype=float)
        for _ in range(2_000):
            v = q.max(axis=1) if policy is None else (policy * q).sum(axis=1)
            q = self.reward + self.discount * self.moves[..., :-1] @ v
        return q

    def rows(self, count: int, seed: int) -> Columns:
        """Transitions from states that are all alike likely."""
        rng = np.random.default_rng(seed)
        state = rng.integers(0, self.states, count)
        action = self._draw(rng, state)
        following = self._step(state, action, np.random.default_rng([seed, 1]).random(count))
        after = np.where(following == self.states, 0, following)
        sign = rng.choice([-1.0, 1.0], count)
        scatter = np.broadcast_to(self.scatter, self.reward.shape)[state, action]
        return {
            **state_columns(state),
            **{f"next:{name}": values for name, values in state_columns(after).items()},
            "action": action,
            "next:action": self._draw(rng, after),
            "reward": (self.reward[state, action] + sign * scatter).astype(np.float32),
            "discount": np.where(following == self.states, 0.0, self.discount).astype(np.float32),
            "observed": np.ones(count, np.float32),
            "unit": rng.integers(0, 2**32, count, dtype=np.uint32),
        }

    def timelines(self, units: int, seed: int, *, open_share: float = 0.0, start: int | None = None) -> Columns:
        """Whole units in order, as ``learn.data`` makes them, drawn evenly: as often as probable, up to one row.

        From every state and action of a step, actions, next states and breaks are strata of one uniform draw each. So a
        value that is fitted to the log misses the true one by its own error and hardly by the log's.

        Args:
            units: how many.
            seed: of the walks.
            open_share: probability that the log breaks off behind a row.
            start: the state that every unit begins in; all states in turn by default.
        """
        rng = np.random.default_rng(seed)
        state = np.arange(units) % self.states if start is None else np.full(units, start)
        who, found = np.arange(units), list[tuple[np.ndarray, ...]]()
        for step in range(LONGEST):
            now = state[who]
            action = (_even(rng, now)[:, None] > self.production[now].cumsum(axis=1)[:, :-1]).sum(axis=1)
            taken = now * self.actions + action
            then = self._step(now, action, _even(rng, taken))
            cut = _even(rng, taken * (self.states + 1) + then) < open_share
            gamma = np.where(cut, np.nan, np.where(then == self.states, 0.0, self.discount))
            found.append((who, np.full(len(who), step), now, action, gamma))
            goes_on = (then < self.states) & ~cut
            state[who] = then
            who = who[goes_on]
            if not len(who):
                break
        unit, step, now, action, gamma = (np.concatenate(column) for column in zip(*found, strict=True))
        order = np.lexsort((step, unit))
        unit, now, action, gamma = (column[order] for column in (unit, now, action, gamma))
        gamma[np.r_[unit[1:] != unit[:-1], True] & (gamma > 0)] = np.nan  # a walk that was too long
        sign, scatter = rng.choice([-1.0, 1.0], len(now)), np.broadcast_to(self.scatter, self.reward.shape)
        return {
            **state_columns(now),
            "action": action.astype(np.int32),
            "reward": (self.reward[now, action] + sign * scatter[now, action]).astype(np.float32),
            "unit": (unit.astype(np.uint64) * 2_654_435_761 % 2**32).astype(np.uint32),
            "pmf": self.production[now].astype(np.float32),
            "gamma": gamma.astype(np.float32),
        }

    def _draw(self, rng: np.random.Generator, state: np.ndarray) -> np.ndarray:
        chosen = (rng.random(len(state))[:, None] > self.production[state].cumsum(axis=1)).sum(axis=1)
        return np.minimum(chosen, self.actions - 1).astype(np.int32)

    def _step(self, state: np.ndarray, action: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """The next state, ``states`` for the end."""
        return (uniform[:, None] > self.moves[state, action].cumsum(axis=1)[:, :-1]).sum(axis=1)

    @property
    def spec(self) -> FeatureSpec:
        states = CategoryColumn(name="state", vocabulary=tuple(f"s{k}" for k in range(self.states)))
        return FeatureSpec(numbers=(), categories=(states,), ids=())

    def base(self, columns: Columns) -> OneStep:
        """Production's pmf as a network, and values that nobody asks for."""
        width = FIRST_CODE + self.states
        logits = np.zeros((1, width, self.actions), np.float32)
        logits[0, FIRST_CODE:] = np.log(self.production + TINY)
        nothing = {"weight": jnp.zeros((1, width, 1 + self.actions)), "bias": jnp.zeros((1, 1, 1 + self.actions))}
        same = {"weight": jnp.eye(width)[None], "bias": jnp.zeros((1, 1, width))}
        last = {"weight": jnp.asarray(logits), "bias": jnp.zeros((1, 1, self.actions))}
        clone, value = {"tables": [], "net": [same, last]}, {"tables": [], "net": [same, nothing]}
        mean, deviation = float(columns["reward"].mean()), float(columns["reward"].std())
        return OneStep(self.spec, self.actions, clone, value, mean, deviation, FitResult({}), FitResult({}))

    @property
    def all_states(self) -> Columns:
        return state_columns(np.arange(self.states))


def certain(following: np.ndarray) -> np.ndarray:
    """``moves`` of steps to [states, actions] next states, or ``END``."""
    return np.eye(len(following) + 1)[following]


def state_columns(state: np.ndarray) -> Columns:
    """Features of some states."""
    return {"numbers": np.zeros((len(state), 0), np.float32), "codes": (state + FIRST_CODE)[:, None].astype(np.int32)}


def side_by_side(one: SmallMDP, other: SmallMDP) -> SmallMDP:
    """Two processes with the same discount as one, between which no step leads."""
    size, actions = one.states + other.states, one.actions
    moves = np.zeros((size, actions, size + 1))
    moves[: one.states, :, : one.states], moves[: one.states, :, -1] = one.moves[..., :-1], one.moves[..., -1]
    moves[one.states :, :, one.states :] = other.moves
    return SmallMDP(
        moves,
        np.concatenate([one.reward, other.reward]),
        np.concatenate([one.production, other.production]),
        one.discount,
    )


def learn(name: str, mdp: SmallMDP, count: int = 8_000, updates: int = 2_000, seed: int = 0, **given: Any) -> Steered:
    """Fit one learner on rows of a small process."""
    columns, stop = mdp.rows(count, seed), mdp.rows(500, seed + 1)
    quick = FitConfig(batch_rows=256, updates=updates, learning_rate=5e-3, weight_decay=0.0, evaluations=4)
    plain = CONFIGS[name](members=2, hidden=(32,), fit=quick, target=Target(rate=0.05), seed=seed)
    held_out = {key: jax.device_put(values) for key, values in stop.items()}
    base, chunks = mdp.base(columns), MemoryChunks.of(columns, seed)
    return LEARNERS[name](mdp.spec, mdp.actions, chunks, held_out, base, replace(plain, **given))


def _even(rng: np.random.Generator, group: np.ndarray) -> np.ndarray:
    """Uniform numbers, one out of each of n equal strata of (0, 1) for the n rows of a group."""
    order = np.lexsort((rng.random(len(group)), group))
    starts = np.flatnonzero(np.r_[True, np.diff(group[order]) != 0])
    sizes = np.diff(starts, append=len(group))
    place = np.arange(len(group)) - np.repeat(starts, sizes)
    found = np.empty(len(group))
    found[order] = (place + rng.random(len(group))) / np.repeat(sizes, sizes)
    return found


STAY, GO = 0, 1
TWO_STATES = SmallMDP(
    moves=certain(np.array([[0, 1], [1, 0]])),
    reward=np.array([[0.2, 0.0], [1.0, 0.0]]),
    production=np.array([[0.8, 0.2], [0.2, 0.8]]),
    discount=0.9,
)
LEFT, RIGHT = 0, 1
CHAIN = SmallMDP(
    moves=certain(np.array([[0, 1], [0, 2], [1, 3], [2, END]])),
    reward=np.array([[0.02, 0.0], [0.02, 0.0], [0.02, 0.0], [0.02, 1.0]]),
    production=np.full((4, 2), [0.7, 0.3]),
    discount=0.9,
)
FADING = SmallMDP(  # action 1 pays at once and leads to where little is to be had; action 0 keeps the first state going
    moves=np.array([[[0.9, 0.0, 0.1], [0.1, 0.8, 0.1]], [[0.2, 0.7, 0.1], [0.0, 0.9, 0.1]]]),
    reward=np.array([[0.5, 0.8], [0.0, 0.2]]),
    production=np.array([[0.5, 0.5], [0.3, 0.7]]),
    discount=0.9,
)
WALK = SmallMDP(  # action 0 goes on towards the only reward, at the far end; action 1 takes a crumb and stops
    moves=certain(np.array([[1, END], [2, END], [3, END], [4, END], [END, END]])),
    reward=np.array([[0.0, 0.1], [0.0, 0.1], [0.0, 0.1], [0.0, 0.1], [1.0, 0.1]]),
    production=np.tile([0.6, 0.4], (5, 1)),
    discount=0.9,
)
