"""Double DQN with a dueling head: the best action's value by bootstrapping, one network picks and another one values.

In: rows with their next state, a fitted base. Out: ``Steered`` by the values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jax import Array

from jumar.features.spec import FeatureSpec
from jumar.learn import losses
from jumar.learn.loop import Batch, Chunks, Params, Progress
from jumar.learn.networks import dueling
from jumar.learn.one_step import OneStep
from jumar.learn.steered import Steered, preferences
from jumar.learn.steps import StepsConfig, fit_steps, init_values, next_state, signals, steer


@dataclass(frozen=True)
class DoubleDQNConfig(StepsConfig):
    """Double DQN.

    "Deep Reinforcement Learning with Double Q-learning" by van Hasselt et al. (https://arxiv.org/abs/1509.06461) and
    "Dueling Network Architectures for Deep Reinforcement Learning" by Wang et al. (https://arxiv.org/abs/1511.06581):
    huber(r + d·Q̄(x', argmax_b Q(x',b)) − Q(x,a)). Made for logs that hold every action often; nothing keeps it from
    believing in actions that the log hardly holds.

    Attributes:
        width: of the Huber loss, in reward units; inf: half the squared error. A narrow one looks away from rewards
            that are large and rare, and with them from the mean.
    """

    width: float = math.inf


def fit_double_dqn(
    spec: FeatureSpec,
    actions: int,
    chunks: Chunks,
    held_out: Batch,
    base: OneStep,
    config: DoubleDQNConfig,
    progress: Progress | None = None,
) -> Steered:
    """Fit the values of the best policy. Arguments as in ``learn.learners``."""
    del spec
    start = init_values(base, config, held_out, 1 + actions)
    result = fit_steps(double_dqn_loss, start, chunks, held_out, base, config, progress)
    return steer("double-dqn", base, result, result.params, dueling)


def double_dqn_loss(base: OneStep, config: DoubleDQNConfig, params: Params, target: Params, batch: Batch) -> Array:
    """Mean over rows of the Huber loss, summed over members."""
    reward, discount, weight = signals(base, config, batch)
    after = next_state(batch)
    q = dueling(preferences(base.spec, params, batch))
    picks, values = (dueling(preferences(base.spec, group, after)) for group in (params, target))
    wanted = losses.discounted_target(reward, discount, losses.double_q_value(picks, values))
    error = wanted - losses.chosen(q, batch["action"])
    return (weight * losses.huber(error, config.width)).sum(axis=0).mean()
