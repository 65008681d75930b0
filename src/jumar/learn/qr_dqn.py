"""QR-DQN: the distribution of the return of every action, as quantiles; the policy goes by their mean.

In: rows with their next state, a fitted base. Out: ``Steered`` by the quantiles' mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax.numpy as jnp
from jax import Array

from jumar.features.spec import FeatureSpec
from jumar.learn import losses
from jumar.learn.loop import Batch, Chunks, Params, Progress
from jumar.learn.networks import mean_of_quantiles
from jumar.learn.one_step import OneStep
from jumar.learn.steered import Steered, preferences
from jumar.learn.steps import StepsConfig, fit_steps, init_values, next_state, signals, steer


@dataclass(frozen=True)
class QRDQNConfig(StepsConfig):
    """QR-DQN.

    "Distributional Reinforcement Learning with Quantile Regression" by Dabney et al.
    (https://arxiv.org/abs/1710.10044): every quantile of Q(x,a) is drawn towards r + d·θ̄_j(x', argmax_b Q̄(x',b)) by
    the asymmetric Huber loss. It learns more from a row where returns scatter, and shows how they do.

    Attributes:
        quantiles: of every action. Returns so rare that fewer than one row in ``quantiles`` has them are hardly seen.
        width: of the Huber loss, in reward units; far below 1, because a wide one finds expectiles instead.
    """

    quantiles: int = 16
    width: float = 0.1


def fit_qr_dqn(
    spec: FeatureSpec,
    actions: int,
    chunks: Chunks,
    held_out: Batch,
    base: OneStep,
    config: QRDQNConfig,
    progress: Progress | None = None,
) -> Steered:
    """Fit the quantiles of the best policy's returns. Arguments as in ``learn.learners``."""
    del spec
    start = init_values(base, config, held_out, actions * config.quantiles)
    result = fit_steps(qr_dqn_loss, start, chunks, held_out, base, config, progress)
    return steer("qr-dqn", base, result, result.params, partial(mean_of_quantiles, actions))


def qr_dqn_loss(base: OneStep, config: QRDQNConfig, params: Params, target: Params, batch: Batch) -> Array:
    """Mean over rows of the quantile loss, summed over members."""
    reward, discount, weight = signals(base, config, batch)
    after = next_state(batch)
    own = quantiles(base, config, params, batch, batch["action"])
    best = mean_of_quantiles(base.actions, preferences(base.spec, target, after)).argmax(axis=-1)
    following = quantiles(base, config, target, after, best)
    wanted = losses.discounted_target(reward[:, None], discount[:, None], following)
    return (weight * losses.quantile_huber(own, wanted, config.width)).sum(axis=0).mean()


def quantiles(base: OneStep, config: QRDQNConfig, group: Params, batch: Batch, action: Array) -> Array:
    """Quantiles [members, rows, quantiles] of one action per row, in reward units.

    Args:
        base, config: of the fit.
        group: parameters as they were fitted.
        batch: rows.
        action: [rows], or [members, rows].
    """
    out = preferences(base.spec, group, batch)
    each = out.reshape(*out.shape[:2], base.actions, config.quantiles)
    picked = jnp.broadcast_to(action, out.shape[:2])[..., None] == jnp.arange(base.actions)
    return jnp.einsum("enkq,enk->enq", each, picked.astype(jnp.float32))
