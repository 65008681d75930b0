"""Discrete BCQ: double DQN among the actions that production itself takes often enough.

In: rows with their next state, a fitted base. Out: ``Steered`` by the values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

from jumar.features.spec import FeatureSpec
from jumar.learn import losses
from jumar.learn.loop import Batch, Chunks, Params, Progress
from jumar.learn.one_step import OneStep, clone_logits
from jumar.learn.steered import Steered, preferences
from jumar.learn.steps import StepsConfig, fit_steps, init_values, next_state, signals, steer


@dataclass(frozen=True)
class BCQConfig(StepsConfig):
    """Batch-constrained Q-learning for discrete actions.

    "Benchmarking Batch Deep Reinforcement Learning Algorithms" by Fujimoto et al. (https://arxiv.org/abs/1910.01708):
    double DQN whose maximum is over {b: π₀(b|x) > τ·max π₀(·|x)}. There the policy obeys the same rule; here the values
    of ruled-out actions, which nothing else needs, are drawn below those of all others, so that the exported
    preferences obey it by themselves.

    Attributes:
        threshold: τ in [0, 1); 0: double DQN; towards 1: the clone's likeliest action.
        margin: how far below, in reward units.
        width: of the Huber loss, in reward units; inf: half the squared error. A narrow one looks away from rewards
            that are large and rare, and with them from the mean.
    """

    threshold: float = 0.3
    margin: float = 1.0
    width: float = math.inf


def fit_bcq(
    spec: FeatureSpec,
    actions: int,
    chunks: Chunks,
    held_out: Batch,
    base: OneStep,
    config: BCQConfig,
    progress: Progress | None = None,
) -> Steered:
    """Fit values of the best policy that stays with production's actions. Arguments as in ``learn.learners``."""
    del spec
    start = init_values(base, config, held_out, actions)
    result = fit_steps(bcq_loss, start, chunks, held_out, base, config, progress)
    return steer("bcq", base, result, result.params)


def bcq_loss(base: OneStep, config: BCQConfig, params: Params, target: Params, batch: Batch) -> Array:
    """Mean over rows of the Huber loss of allowed actions and the excess of the others, summed over members."""
    reward, discount, weight = signals(base, config, batch)
    after = next_state(batch)
    here, there = (
        losses.likely_enough(clone_logits(base.spec, base.clone, rows), config.threshold) for rows in (batch, after)
    )
    q = preferences(base.spec, params, batch)
    picks, values = (preferences(base.spec, group, after) for group in (params, target))
    best = losses.double_q_value(jnp.where(there, picks, -jnp.inf), values)
    error = losses.discounted_target(reward, discount, best) - losses.chosen(q, batch["action"])
    within = losses.chosen(here.astype(jnp.float32)[None], batch["action"])
    excess = losses.preferred_though_ruled_out(q, here, config.margin)
    return (weight * (within * losses.huber(error, config.width) + excess)).sum(axis=0).mean()
