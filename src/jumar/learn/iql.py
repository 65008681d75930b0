"""IQL: nearly the best value among the actions that the log holds, without ever asking about another one.

In: rows with their next state, a fitted base. Out: ``Steered`` by the values.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
from jax import Array

from jumar.features.spec import FeatureSpec
from jumar.learn import losses
from jumar.learn.loop import Batch, Chunks, Params, Progress
from jumar.learn.one_step import OneStep
from jumar.learn.steered import Steered, preferences
from jumar.learn.steps import StepsConfig, fit_steps, init_values, next_state, signals, steer


@dataclass(frozen=True)
class IQLConfig(StepsConfig):
    """Implicit Q-learning.

    "Offline Reinforcement Learning with Implicit Q-Learning" by Kostrikov, Nair and Levine
    (https://arxiv.org/abs/2110.06169): V is the τ-expectile of Q̄(x,a) over logged actions, Q is drawn to r + d·V(x').
    V and Q are heads of one network. The paper extracts its policy by advantage-weighted regression, whose solution is
    π₀·exp((Q − V)/β): the path by itself, with Q as the preference.

    Attributes:
        expectile: τ; ½: production's value; towards 1: the best action's.
    """

    expectile: float = 0.8


def fit_iql(
    spec: FeatureSpec,
    actions: int,
    chunks: Chunks,
    held_out: Batch,
    base: OneStep,
    config: IQLConfig,
    progress: Progress | None = None,
) -> Steered:
    """Fit V and Q on logged actions alone. Arguments as in ``learn.learners``."""
    del spec
    start = init_values(base, config, held_out, 1 + actions)
    result = fit_steps(iql_loss, start, chunks, held_out, base, config, progress)
    return steer("iql", base, result, result.params, lambda out: out[..., 1:])


def iql_loss(base: OneStep, config: IQLConfig, params: Params, target: Params, batch: Batch) -> Array:
    """Mean over rows of V's expectile loss and Q's squared error, summed over members."""
    reward, discount, weight = signals(base, config, batch)
    action = batch["action"]
    own, slow = (preferences(base.spec, group, batch) for group in (params, target))
    following = preferences(base.spec, params, next_state(batch))[..., 0]
    gap = jax.lax.stop_gradient(losses.chosen(slow[..., 1:], action)) - own[..., 0]
    error = losses.discounted_target(reward, discount, following) - losses.chosen(own[..., 1:], action)
    return (weight * (losses.expectile_loss(gap, config.expectile) + error**2)).sum(axis=0).mean()
