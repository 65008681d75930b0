"""The losses, one pure function per equation, written for a batch.

In: predictions and what was logged. Out: a loss per row. Nothing here holds state.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

TINY = 1e-7


def action_cross_entropy(logits: Array, action: Array) -> Array:
    """Negative log-likelihood of the logged action under the clone.

    Args:
        logits: [rows, actions] of the clone.
        action: [rows] int, the action taken.

    Returns:
        [rows] in nats.
    """
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], axis=1)[:, 0]


def propensity_cross_entropy(logits: Array, action: Array, propensity: Array) -> Array:
    """Cross-entropy of "the logged action against all others" with the logged propensity as a soft label.

    The label carries no sampling noise, and over actions drawn from μ the minimum is at π₀ = μ: every term is
    smallest where π₀(a|x) = μ(a|x). For two actions it is the cross-entropy with the full pmf.

    Args:
        logits: [rows, actions] of the clone.
        action: [rows] int.
        propensity: [rows] μ(a|x) in (0, 1].

    Returns:
        [rows] in nats.
    """
    log_p = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], axis=1)[:, 0]
    log_rest = jnp.log(-jnp.expm1(jnp.minimum(log_p, -TINY)))
    return -(propensity * log_p + (1.0 - propensity) * log_rest)


def pmf_cross_entropy(logits: Array, pmf: Array) -> Array:
    """Cross-entropy of the clone with the full logged pmf [rows, actions], in nats per row."""
    return -(pmf * jax.nn.log_softmax(logits)).sum(axis=1)


def centred_action_value(level: Array, preference: Array, pmf: Array) -> Array:
    """Action values from a level and preferences whose average under production is zero.

    Q(x,a) = m(x) + τ(x,a) − Σ_b μ(b|x)·τ(x,b), so that m is production's value and the rest its advantage:
    the orthogonal parametrisation of "Quasi-Oracle Estimation of Heterogeneous Treatment Effects" by Nie and
    Wager (https://arxiv.org/abs/1712.04912), here for any number of actions.

    Args:
        level: [members, rows] m.
        preference: [members, rows, actions] τ.
        pmf: [rows, actions] of production, or of its clone.

    Returns:
        [members, rows, actions].
    """
    return level[..., None] + preference - average_over_actions(preference, pmf)


def average_over_actions(values: Array, pmf: Array) -> Array:
    """Σ_b π(b|x)·v(x,b) of every member: values [members, rows, actions] and pmf [rows, actions] to [members, rows, 1].

    As one product: the compiled "multiply, sum over actions, subtract from the same values" comes out wrong on
    CPUs from some thousands of rows on (XLA in JAX 0.10.2), by more than the values themselves.
    """
    return jnp.einsum("na,ena->en", pmf, values)[..., None]


def squared_error(q: Array, action: Array, reward: Array, weight: Array) -> Array:
    """Weighted squared error of the logged action's value, summed over members.

    Args:
        q: [members, rows, actions].
        action: [rows] int.
        reward: [rows], standardised.
        weight: [members, rows] bootstrap weights.

    Returns:
        [rows].
    """
    taken = jnp.take_along_axis(q, action[None, :, None], axis=2)[..., 0]
    return (weight * (taken - reward) ** 2).sum(axis=0)


def bet_loss(gain: Array, fraction: Array, evidence: float) -> Array:
    """What a bet on the gain leaves of it, with the sign of a loss: ln(1/α)/(n·λ) − log(1 + λ·d)/λ.

    Averaged over rows and at the best λ it is the negative lower bound that a gate of n rows can be expected to
    prove: the mean of d, less λ/2 of its second moment, less the evidence that a release takes, shared by the rows.
    The bet is that of "Estimating Means of Bounded Random Variables by Betting" by Waudby-Smith and Ramdas
    (https://arxiv.org/abs/2010.09686).

    Args:
        gain: [members, rows] d = (π/μ − 1)·r ≥ −1.
        fraction: [members] λ in (0, 1).
        evidence: ln(1/α)/n.

    Returns:
        [members, rows], in rewards.
    """
    bet = fraction[:, None]
    return evidence / bet - jnp.log1p(bet * gain) / bet


def control_variate(ratio: Array, pmf: Array, q: Array, action: Array) -> Array:
    """w·q(x,a) − Σ_b π(b|x)·q(x,b): zero on average over logged actions whatever q is, and with what w·r scatters.

    See "Doubly Robust Policy Evaluation and Learning" by Dudík, Langford and Li (https://arxiv.org/abs/1103.4601).

    Args:
        ratio: [members, rows] w = π/μ of the logged action.
        pmf: [members, rows, actions] π.
        q: [rows, actions].
        action: [rows] int.

    Returns:
        [members, rows].
    """
    taken = jnp.take_along_axis(q, action[:, None], axis=1)[:, 0]
    return ratio * taken - jnp.einsum("ena,na->en", pmf, q)


def bootstrap_weights(unit: Array, members: int, seed: int) -> Array:
    """Poisson(1) weights that all rows of a unit share, computed from its hash without any state.

    "Online bagging" by Oza and Russell (2001), by unit instead of by row.

    Args:
        unit: [rows] uint32 hash of the unit.
        members: number of ensemble members.
        seed: changes all weights.

    Returns:
        [members, rows] float32.
    """
    salt = jnp.arange(1, members + 1, dtype=jnp.uint32) * jnp.uint32(0x9E3779B9) + jnp.uint32(seed & 0xFFFFFFFF)
    h = unit[None, :] ^ salt[:, None]
    for multiplier in (0x85EBCA6B, 0xC2B2AE35):
        h = (h ^ (h >> 16)) * jnp.uint32(multiplier)
    h = h ^ (h >> 16)
    uniform = (h >> 8).astype(jnp.float32) * jnp.float32(2.0**-24)
    cumulative = jnp.array([0.36787944, 0.73575888, 0.91969860, 0.98101184, 0.99634015, 0.99940582])
    return (uniform[..., None] >= cumulative).sum(axis=-1).astype(jnp.float32)
