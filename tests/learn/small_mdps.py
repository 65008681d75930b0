"""Small decision processes whose values are known, as rows and as a base with production's exact clone."""

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


@dataclass(frozen=True)
class SmallMDP:
    """Steps that are certain, production, and rewards that may scatter.

    Attributes:
        following: [states, actions] the state that comes next, or ``END``.
        reward: [states, actions] mean.
        production: [states, actions] probabilities.
        discount: γ.
        scatter: rewards are the mean plus or minus this.
    """

    following: np.ndarray
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
            q = self.reward + self.discount * np.where(self.following == END, 0.0, v[self.following])
        return q

    def rows(self, count: int, seed: int) -> Columns:
        """Transitions from states that are all alike likely."""
        rng = np.random.default_rng(seed)
        state = rng.integers(0, self.states, count)
        action = self._draw(rng, state)
        following = self.following[state, action]
        after = np.maximum(following, 0)
        sign = rng.choice([-1.0, 1.0], count)
        scatter = np.broadcast_to(self.scatter, self.reward.shape)[state, action]
        return {
            **state_columns(state),
            **{f"next:{name}": values for name, values in state_columns(after).items()},
            "action": action,
            "next:action": self._draw(rng, after),
            "reward": (self.reward[state, action] + sign * scatter).astype(np.float32),
            "discount": np.where(following == END, 0.0, self.discount).astype(np.float32),
            "observed": np.ones(count, np.float32),
            "unit": rng.integers(0, 2**32, count, dtype=np.uint32),
        }

    def _draw(self, rng: np.random.Generator, state: np.ndarray) -> np.ndarray:
        chosen = (rng.random(len(state))[:, None] > self.production[state].cumsum(axis=1)).sum(axis=1)
        return np.minimum(chosen, self.actions - 1).astype(np.int32)

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


def state_columns(state: np.ndarray) -> Columns:
    """Features of some states."""
    return {"numbers": np.zeros((len(state), 0), np.float32), "codes": (state + FIRST_CODE)[:, None].astype(np.int32)}


def side_by_side(one: SmallMDP, other: SmallMDP) -> SmallMDP:
    """Two processes with the same discount as one, between which no step leads."""
    moved = np.where(other.following == END, END, other.following + one.states)
    return SmallMDP(
        np.concatenate([one.following, moved]),
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


STAY, GO = 0, 1
TWO_STATES = SmallMDP(
    following=np.array([[0, 1], [1, 0]]),
    reward=np.array([[0.2, 0.0], [1.0, 0.0]]),
    production=np.array([[0.8, 0.2], [0.2, 0.8]]),
    discount=0.9,
)
LEFT, RIGHT = 0, 1
CHAIN = SmallMDP(
    following=np.array([[0, 1], [0, 2], [1, 3], [2, END]]),
    reward=np.array([[0.02, 0.0], [0.02, 0.0], [0.02, 0.0], [0.02, 1.0]]),
    production=np.full((4, 2), [0.7, 0.3]),
    discount=0.9,
)
