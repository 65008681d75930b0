"""SAC-N for discrete actions: many critics, and targets that believe the most pessimistic of them.

In: rows with their next state, a fitted base. Out: ``Steered`` by the critics.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jumar.features.spec import FeatureSpec
from jumar.learn import losses
from jumar.learn.loop import Batch, Chunks, Params, Progress
from jumar.learn.one_step import OneStep
from jumar.learn.steered import Steered, preferences
from jumar.learn.steps import StepsConfig, fit_steps, init_values, next_state, signals, steer


@dataclass(frozen=True)
class SACNConfig(StepsConfig):
    """SAC-N.

    "Uncertainty-Based Offline Reinforcement Learning with Diversified Q-Ensemble" by An et al.
    (https://arxiv.org/abs/2110.01548): every critic is drawn to r + d·V(x'), V being the soft value of the smallest of
    all target critics. With discrete actions the actor is ∝ exp(min_i Q_i/α) and needs no network of its own. The
    members are the preferences; where one policy is made of them, its pessimism κ takes the place of the minimum.

    Attributes:
        members: number of critics, N: the more, the more pessimistic.
        temperature: α in reward units, or what it begins with.
        entropy: entropy that the actor is to keep on average, as a share of ln(actions), for which α is learned;
            None: α stays.
    """

    members: int = 10
    temperature: float = 0.02
    entropy: float | None = None


def fit_sac_n(
    spec: FeatureSpec,
    actions: int,
    chunks: Chunks,
    held_out: Batch,
    base: OneStep,
    config: SACNConfig,
    progress: Progress | None = None,
) -> Steered:
    """Fit the critics, and the temperature if asked. Arguments as in ``learn.learners``."""
    del spec
    start = init_values(base, config, held_out, actions)
    if config.entropy is not None:
        start |= {"log_temperature": jnp.log(config.temperature)}
    result = fit_steps(sac_n_loss, start, chunks, held_out, base, config, progress)
    return steer("sac-n", base, result, result.params)


def sac_n_loss(base: OneStep, config: SACNConfig, params: Params, target: Params, batch: Batch) -> Array:
    """Mean over rows of the critics' squared errors, summed over members, and of the temperature's loss."""
    reward, discount, weight = signals(base, config, batch)
    q = preferences(base.spec, params, batch)
    temperature = jnp.exp(params["log_temperature"]) if config.entropy is not None else config.temperature
    least = preferences(base.spec, target, next_state(batch)).min(axis=0, keepdims=True)
    wanted = losses.discounted_target(reward, discount, losses.soft_value(least, temperature))
    error = wanted - losses.chosen(q, batch["action"])
    loss = (weight * error**2).sum(axis=0).mean()
    if config.entropy is None:
        return loss
    surplus = losses.soft_entropy(q.min(axis=0), temperature) - config.entropy * np.log(base.actions)
    known = (batch["observed"] > 0).astype(jnp.float32)
    return loss + params["log_temperature"] * (known * jax.lax.stop_gradient(surplus)).mean()
