"""What the learners of sequences share: the state after a row, what a row counts, the first guess, the result.

In: rows that carry the next state under names that begin with ``next:``. Out: arrays as ``losses`` takes them.
Learners import it.

Beside the columns of every learner these rows have ``reward`` [rows], the discounted sum up to the next state, or
``step_reward`` where ``reward`` is only the row's own; ``discount`` [rows] from the row to its next state, 0 where the
episode ended, which is the only place where γ enters; ``next:action`` [rows]; and ``observed`` [rows], 0 where it is
unknown what followed, so that a row carries no loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import jax.numpy as jnp
import numpy as np
from jax import Array

from jumar.learn import losses
from jumar.learn.loop import Batch, Chunks, FitConfig, FitResult, Loss, Params, Progress, Target, fit
from jumar.learn.networks import with_last_layer
from jumar.learn.one_step import OneStep, init_group
from jumar.learn.steered import Steered
from jumar.learn.transitions import NEXT

LONGEST = 1000.0  # rewards that a first guess adds up to, where hardly any episode is seen to end


@dataclass(frozen=True)
class StepsConfig:
    """What every learner of sequences can be told. Reward units are those of ``reward_unit``.

    Attributes:
        members: size of the ensemble; with more than one, each weighs units differently.
        hidden: widths of the hidden layers of every member.
        fit: how long and how fast.
        target: how the target networks follow.
        seed: initial parameters and bootstrap.
    """

    members: int = 5
    hidden: tuple[int, ...] = (64, 64)
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            batch_rows=256, learning_rate=1e-3, weight_decay=0.0, updates=10_000, evaluations=10
        )
    )
    target: Target = field(default_factory=Target)
    seed: int = 0


def next_state(batch: Batch) -> Batch:
    """The state after each row, and the action taken there, under the names that a state has."""
    return {name.removeprefix(NEXT): values for name, values in batch.items() if name.startswith(NEXT)}


def reward_unit(base: OneStep) -> float:
    """The standard deviation that the base works in: dividing rewards by it frees a fit of their scale.

    Nothing is subtracted: with a discount, that would change which actions are best. Where rewards are all but alike
    a hundredth of their mean takes its place.
    """
    return max(base.reward_scale, 0.01 * abs(base.reward_mean), 1e-9)


def signals(base: OneStep, config: StepsConfig, batch: Batch) -> tuple[Array, Array, Array]:
    """Rewards in reward units and discounts [rows], and what a row counts for each member [members, rows].

    Rows of which it is unknown what followed count nothing, and no number of theirs gets through.
    """
    known = batch["observed"] > 0
    reward = batch["step_reward"] if "step_reward" in batch else batch["reward"]
    reward = jnp.where(known, reward / reward_unit(base), 0.0)
    discount = jnp.where(known, batch["discount"], 0.0)
    weight = known.astype(jnp.float32)[None]
    if config.members > 1:
        weight = weight * losses.bootstrap_weights(batch["unit"], config.members, config.seed)
    return reward, discount, weight


def init_values(base: OneStep, config: StepsConfig, held_out: Batch, outputs: int) -> Params:
    """An ensemble of networks that all begin at about production's average value, in reward units."""
    group = init_group(base.spec, np.random.default_rng(config.seed), config.members, config.hidden, outputs)
    reward, discount, weight = signals(base, config, held_out)
    ending = jnp.maximum(weight @ (1.0 - discount), weight.sum(axis=1) / LONGEST)
    first = (weight @ reward) / jnp.maximum(ending, 1e-9)  # V = r + d·V on average
    *hidden, last = group["net"]
    return group | {"net": [*hidden, last | {"bias": last["bias"] + first.mean()}]}


def fit_steps(
    loss: Loss,
    start: Params,
    chunks: Chunks,
    held_out: Batch,
    base: OneStep,
    config: StepsConfig,
    progress: Progress | None,
) -> FitResult:
    """Fit a loss (base, config, params, target, batch) with a target network in the shared loop."""
    return fit(partial(loss, base, config), start, chunks, held_out, config.fit, progress, config.target)


def steer(
    name: str,
    base: OneStep,
    result: FitResult,
    group: Params,
    linear: Callable[[Array], Array] | None = None,
    unit: float = 1.0,
) -> Steered:
    """What a learner hands over, its preferences being a linear map of the outputs of ``group``.

    Args:
        name: of the learner.
        base: the clone and production's values.
        result: of the fit.
        group: parameters of an ensemble, {"tables", "net"}.
        linear: outputs to preferences along the last axis; None where they are the same.
        unit: of preferences, in reward units.
    """
    net = with_last_layer(group["net"], linear) if linear else group["net"]
    plain = {"tables": group["tables"], "net": net}
    return Steered(**vars(base), name=name, group=plain, unit=unit * reward_unit(base), result=result)
