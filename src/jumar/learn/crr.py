"""CRR, also known as AWAC: a critic of the policy itself, and a policy that imitates the actions the critic likes.

In: rows with their next state, a fitted base. Out: ``Steered`` by the actor.
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
from jumar.learn.one_step import OneStep, clone_logits, init_group
from jumar.learn.steered import Steered, preferences
from jumar.learn.steps import StepsConfig, fit_steps, init_values, next_state, signals, steer


@dataclass(frozen=True)
class CRRConfig(StepsConfig):
    """Critic-regularised regression.

    "Critic Regularized Regression" by Wang et al. (https://arxiv.org/abs/2006.15134) and "AWAC" by Nair et al.
    (https://arxiv.org/abs/2006.09359): the critic is drawn to r + d·Σ_b π̄(b|x')·Q̄(x',b), the actor π ∝ π₀·exp(g)
    maximises min(exp(A(x,a)/β), most)·log π(a|x) over logged actions, A = Q − Σ_b π(b|x)·Q(x,b). Because it imitates
    logged actions only, it never does what the log does not hold. g is the preference.

    Attributes:
        temperature: β in reward units: the higher, the closer to production.
        most: the largest weight of a row.
    """

    temperature: float = 0.1
    most: float = 20.0


def fit_crr(
    spec: FeatureSpec,
    actions: int,
    chunks: Chunks,
    held_out: Batch,
    base: OneStep,
    config: CRRConfig,
    progress: Progress | None = None,
) -> Steered:
    """Fit critics and actors, a pair per member. Arguments as in ``learn.learners``."""
    critic = init_values(base, config, held_out, actions)
    rng = np.random.default_rng(config.seed + 1)
    start = {"critic": critic, "actor": init_group(spec, rng, config.members, config.hidden, actions)}
    result = fit_steps(crr_loss, start, chunks, held_out, base, config, progress)
    return steer("crr", base, result, result.params["actor"], unit=config.temperature)


def crr_loss(base: OneStep, config: CRRConfig, params: Params, target: Params, batch: Batch) -> Array:
    """Mean over rows of the critic's squared error and the actor's weighted cross-entropy, summed over members."""
    reward, discount, weight = signals(base, config, batch)
    after, action = next_state(batch), batch["action"]
    q = preferences(base.spec, params["critic"], batch)
    log_pmf = log_policy(base, params, batch)
    slow = preferences(base.spec, target["critic"], after)
    following = losses.expected_value(jnp.exp(log_policy(base, target, after)), slow)
    error = losses.discounted_target(reward, discount, following) - losses.chosen(q, action)
    advantage = losses.chosen(q, action) - losses.expected_value(jnp.exp(log_pmf), q)
    worth = losses.exponential_weight(advantage, config.temperature, config.most)
    return (weight * (error**2 - worth * losses.chosen(log_pmf, action))).sum(axis=0).mean()


def log_policy(base: OneStep, params: Params, batch: Batch) -> Array:
    """log π [members, rows, actions] of the actors, π ∝ π₀·exp(g)."""
    clone = jax.lax.stop_gradient(clone_logits(base.spec, base.clone, batch))
    return jax.nn.log_softmax(clone + preferences(base.spec, params["actor"], batch))
