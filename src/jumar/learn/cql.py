"""CQL: double DQN with a term that keeps actions which the log does not hold from looking good.

In: rows with their next state, a fitted base. Out: ``Steered`` by the values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jax import Array

from jumar.features.spec import FeatureSpec
from jumar.learn import losses
from jumar.learn.loop import Batch, Chunks, Params, Progress
from jumar.learn.one_step import OneStep
from jumar.learn.steered import Steered, preferences
from jumar.learn.steps import StepsConfig, fit_steps, init_values, next_state, signals, steer


@dataclass(frozen=True)
class CQLConfig(StepsConfig):
    """Conservative Q-learning.

    "Conservative Q-Learning for Offline Reinforcement Learning" by Kumar et al. (https://arxiv.org/abs/2006.04779):
    the loss of double DQN, and α·(log Σ_b exp Q(x,b) − Q(x,a)).

    Attributes:
        alpha: weight of the conservative term; 0: double DQN.
        width: of the Huber loss, in reward units; inf: half the squared error. A narrow one looks away from rewards
            that are large and rare, and with them from the mean.
    """

    alpha: float = 0.05
    width: float = math.inf


def fit_cql(
    spec: FeatureSpec,
    actions: int,
    chunks: Chunks,
    held_out: Batch,
    base: OneStep,
    config: CQLConfig,
    progress: Progress | None = None,
) -> Steered:
    """Fit values that are low where the log is thin. Arguments as in ``learn.learners``."""
    del spec
    start = init_values(base, config, held_out, actions)
    result = fit_steps(cql_loss, start, chunks, held_out, base, config, progress)
    return steer("cql", base, result, result.params)


def cql_loss(base: OneStep, config: CQLConfig, params: Params, target: Params, batch: Batch) -> Array:
    """Mean over rows of the Huber loss and the conservative term, summed over members."""
    reward, discount, weight = signals(base, config, batch)
    after = next_state(batch)
    q = preferences(base.spec, params, batch)
    picks, values = (preferences(base.spec, group, after) for group in (params, target))
    wanted = losses.discounted_target(reward, discount, losses.double_q_value(picks, values))
    error = losses.huber(wanted - losses.chosen(q, batch["action"]), config.width)
    return (weight * (error + config.alpha * losses.conservative_gap(q, batch["action"]))).sum(axis=0).mean()
