"""Training on what will be tested: a tilt of the clone that maximises the lower bound which the gate can prove.

π_θ ∝ π₀·exp(g_θ) above the floor maximises mean log(1 + λ·d)/λ with d = (π_θ(a|x)/μ(a|x) − 1)·r, where λ is the bet
that suits the second moment of d, the rows planned and α. A smaller α makes for a larger bet, a larger bet weighs the
spread of d more, and less deviation remains: more confidence, less change, as a property of the objective.

In: training rows, held-out rows. Out: ``Steered``, whose advantage is g.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from jumar.features.spec import FeatureSpec
from jumar.learn import losses
from jumar.learn.loop import Batch, Chunks, FitConfig, FitResult, Params, Progress, fit, part_of
from jumar.learn.networks import with_last_layer
from jumar.learn.one_step import OneStep, OneStepConfig, fit_one_step
from jumar.learn.steered import Steered, preferences
from jumar.learn.tilt import tilt

LARGEST_BET = 0.9
STARTS = (1.0, 3.0, 10.0)  # sharper ones are so nearly greedy that no gradient is left
LEAST_PROPENSITY, LEAST_MOMENT = 1e-6, 1e-12


@dataclass(frozen=True)
class DirectConfig:
    """The direct learner.

    Attributes:
        alpha: error probability of the gate.
        rows_planned: rows that the gate is expected to have.
        minimum: exploration floor of every action.
        one_step: the clone and the values; g has as many members, and its rows are weighted alike.
        fit: how long and how fast g is fitted: slowly, and without decay, from where the values leave it.
    """

    alpha: float
    rows_planned: int
    minimum: float = 0.0
    one_step: OneStepConfig = field(default_factory=OneStepConfig)
    fit: FitConfig = field(default_factory=lambda: FitConfig(learning_rate=1e-3, weight_decay=0.0))


def fit_direct(
    spec: FeatureSpec,
    actions: int,
    chunks: Chunks,
    held_out: Batch,
    reward_moments: tuple[float, float],
    config: DirectConfig,
    progress: Progress | None = None,
) -> Steered:
    """Fit clone and values as one-step does, then go on from the values to what the gate can prove.

    g begins as the values' preferences, at the temperature that does best on held-out rows. From a start without an
    opinion it would learn noise: the objective is the same, but rows say much less about it than about values.

    Args:
        spec: fitted features.
        actions: number of actions.
        chunks, held_out: rows as ``learn.data`` makes them; without propensities the clone's stand in for them.
        reward_moments: mean and standard deviation of the TRAIN rewards.
        config: what the gate will ask, sizes, length, seed.
        progress: told how far the fit is, over all parts.
    """
    base = fit_one_step(spec, actions, chunks, held_out, reward_moments, config.one_step, part_of(progress, 0.0, 0.6))
    loss = partial(direct_loss, base, config)
    measure = jax.jit(loss)
    starts = [sharpened(base.value, sharpness) for sharpness in STARTS]
    found = [float(measure(start, held_out)) for start in starts]
    best = found.index(min(found))
    result = fit(loss, starts[best], chunks, held_out, config.fit, part_of(progress, 0.6, 1.0))
    if found[best] <= result.loss:
        result = FitResult(starts[best], found[best], result.history, result.updates)
    unit = base.reward_scale / STARTS[best]  # g began as values
    return Steered(**vars(base), name="direct", group=result.params, unit=unit, result=result)


def direct_loss(base: OneStep, config: DirectConfig, group: Params, batch: Batch) -> Array:
    """The negative bound, averaged over members and rows, in standard deviations of the reward."""
    logits, q = jax.lax.stop_gradient(base.outputs(batch))
    pmf = tilt(logits, preferences(base.spec, group, batch), 1.0, jnp.full(base.actions, config.minimum))
    action = batch["action"][:, None]
    if "propensity" in batch:
        propensity = batch["propensity"]
    else:
        propensity = jnp.take_along_axis(jax.nn.softmax(logits), action, axis=1)[:, 0]
    ratio = jnp.take_along_axis(pmf, action[None], axis=2)[..., 0] / jnp.maximum(propensity, LEAST_PROPENSITY)
    d = (ratio - 1.0) * batch["reward"]
    weight = losses.bootstrap_weights(batch["unit"], config.one_step.members, config.one_step.seed)
    bet = fraction(jnp.average(d**2, axis=1, weights=weight), config.alpha, config.rows_planned)
    bound = losses.bet_loss(d, bet, math.log(1 / config.alpha) / config.rows_planned)
    control = losses.control_variate(ratio, pmf, q.mean(axis=0), batch["action"])
    return (weight * (bound + control)).mean() / base.reward_scale


def fraction(second_moment: Array, alpha: float, rows: int) -> Array:
    """The bet λ that a gate of so many rows will place: min(0.9, sqrt(2·ln(1/α)/(n·E[d²]))), without a gradient."""
    moment = jax.lax.stop_gradient(second_moment) + LEAST_MOMENT
    return jnp.minimum(LARGEST_BET, jnp.sqrt(2.0 * math.log(1.0 / alpha) / (rows * moment)))


def sharpened(value: Params, sharpness: float) -> Params:
    """The networks of the values without their levels, their preferences so many times as sharp: a start for g."""
    return {"tables": value["tables"], "net": with_last_layer(value["net"], lambda array: sharpness * array[..., 1:])}
