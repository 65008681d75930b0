"""The losses, one pure function per equation, written for a batch.

In: predictions and what was logged. Out: a loss per row. Nothing here holds state.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
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


def chi_square(pmf: Array, production: Array) -> Array:
    """χ²(π‖μ) = Σ_b π²/μ − 1 of every row: how far one weight scatters, E[w²] − 1.

    Args:
        pmf: [members, rows, actions] π.
        production: [rows, actions] μ; what is below 10⁻⁷ counts as that.

    Returns:
        [members, rows].
    """
    return jnp.einsum("enk,enk,nk->en", pmf, pmf, 1.0 / jnp.maximum(production, TINY)) - 1.0


def chosen(values: Array, action: Array) -> Array:
    """The entry of one action per row: values [members, rows, actions], action [rows] or [members, rows] → both.

    A product with ones and zeros, because the gradient of an index is slow on CPUs.

    Returns:
        [members, rows]; without members [rows].
    """
    picked = jax.nn.one_hot(action, values.shape[-1])
    if values.ndim == 2:
        return jnp.einsum("nk,nk->n", values, picked)
    return jnp.einsum("enk,nk->en" if action.ndim == 1 else "enk,enk->en", values, picked)


def huber(error: Array, width: float = 1.0) -> Array:
    """½·u² within ±width and width·(|u| − width/2) beyond it, for every entry of ``error``; width ≤ ∞."""
    size = jnp.abs(error)
    near = jnp.minimum(size, width)
    return near * (size - 0.5 * near)


def discounted_target(reward: Array, discount: Array, value: Array) -> Array:
    """r + d·v of the next state, without a gradient.

    Args:
        reward: [rows] discounted sum up to the next state.
        discount: [rows] of the next state; 0 where the episode ended.
        value: [members, rows] of the next state.

    Returns:
        [members, rows]. With one more axis at the end of all three: [members, rows, samples].
    """
    return jax.lax.stop_gradient(reward + discount * value)


def double_q_value(picks: Array, values: Array) -> Array:
    """The value of the action that other networks pick: values(x, argmax_b picks(x,b)).

    See "Deep Reinforcement Learning with Double Q-learning" by van Hasselt, Guez and Silver
    (https://arxiv.org/abs/1509.06461).

    Args:
        picks: [members, rows, actions] of the online networks.
        values: [members, rows, actions] of the target networks.

    Returns:
        [members, rows].
    """
    return chosen(values, picks.argmax(axis=-1))


def expected_value(pmf: Array, q: Array) -> Array:
    """Σ_b π(b|x)·Q(x,b), where every member has a policy of its own.

    See "A Theoretical and Empirical Analysis of Expected Sarsa" by van Seijen et al. (2009).

    Args:
        pmf: [members, rows, actions] π.
        q: [members, rows, actions].

    Returns:
        [members, rows].
    """
    return jnp.einsum("enk,enk->en", pmf, q)


def conservative_gap(q: Array, action: Array) -> Array:
    """log Σ_b exp Q(x,b) − Q(x,a): small where no action is worth more than the logged one.

    The regulariser of "Conservative Q-Learning for Offline Reinforcement Learning" by Kumar et al.
    (https://arxiv.org/abs/2006.04779), equation 4, for discrete actions.

    Args:
        q: [members, rows, actions].
        action: [rows] int.

    Returns:
        [members, rows].
    """
    return jax.nn.logsumexp(q, axis=-1) - chosen(q, action)


def expectile_loss(error: Array, expectile: float) -> Array:
    """|τ − 1{u < 0}|·u² for every entry u: its minimum over shifts is the τ-expectile, the mean for τ = ½.

    See "Offline Reinforcement Learning with Implicit Q-Learning" by Kostrikov, Nair and Levine
    (https://arxiv.org/abs/2110.06169), equation 5.
    """
    return jnp.where(error < 0, 1.0 - expectile, expectile) * error**2


def quantile_huber(quantiles: Array, wanted: Array, width: float) -> Array:
    """|τ_i − 1{u_ij < 0}|·huber(u_ij)/width with u_ij = wanted_j − θ_i, summed over i and averaged over j.

    See "Distributional Reinforcement Learning with Quantile Regression" by Dabney et al.
    (https://arxiv.org/abs/1710.10044), equation 10.

    Args:
        quantiles: [members, rows, quantiles] θ at the levels τ_i = (i + ½)/quantiles.
        wanted: [members, rows, samples], without a gradient.
        width: κ > 0; the smaller, the closer to quantiles, and the larger, the closer to expectiles.

    Returns:
        [members, rows].
    """
    count = quantiles.shape[-1]
    level = ((np.arange(count) + 0.5) / count).astype(np.float32)[:, None]
    error = wanted[..., None, :] - quantiles[..., :, None]
    weight = jnp.where(error < 0, 1.0 - level, level)
    return (weight * huber(error, width)).mean(axis=-1).sum(axis=-1) / width


def likely_enough(logits: Array, threshold: float) -> Array:
    """Whether π₀(a|x) > threshold·max_b π₀(b|x), [rows, actions]; the likeliest action always is, threshold < 1.

    Equation 5 of "Benchmarking Batch Deep Reinforcement Learning Algorithms" by Fujimoto et al.
    (https://arxiv.org/abs/1910.01708).
    """
    return jnp.exp(logits - logits.max(axis=-1, keepdims=True)) > threshold


def preferred_though_ruled_out(q: Array, allowed: Array, margin: float) -> Array:
    """Σ (Q(x,b) + margin − min Q(x,·) of the allowed actions)⁺² over the ruled-out actions b.

    Zero where every ruled-out action lies below all allowed ones. Only the ruled-out ones are moved by it.

    Args:
        q: [members, rows, actions].
        allowed: [rows, actions] bool.
        margin: how far below.

    Returns:
        [members, rows].
    """
    least = jax.lax.stop_gradient(jnp.where(allowed, q, jnp.inf).min(axis=-1, keepdims=True))
    above = jnp.where(allowed, 0.0, jnp.maximum(q + margin - least, 0.0))
    return (above**2).sum(axis=-1)


def exponential_weight(advantage: Array, temperature: float, most: float) -> Array:
    """min(exp(A/β), most), without a gradient: how much a logged action is to be imitated.

    See "Critic Regularized Regression" by Wang et al. (https://arxiv.org/abs/2006.15134) and "AWAC" by Nair et al.
    (https://arxiv.org/abs/2006.09359).
    """
    return jax.lax.stop_gradient(jnp.exp(jnp.minimum(advantage / temperature, jnp.log(most))))


def soft_value(q: Array, temperature: Array | float) -> Array:
    """α·log Σ_b exp(Q(x,b)/α) over the last axis: the value of the policy ∝ exp(Q/α), with α times its entropy.

    See "Soft Actor-Critic for Discrete Action Settings" by Christodoulou (https://arxiv.org/abs/1910.07207), whose
    actor has this form in closed form.
    """
    return temperature * jax.nn.logsumexp(q / temperature, axis=-1)


def soft_entropy(q: Array, temperature: Array | float) -> Array:
    """Entropy in nats of the policy ∝ exp(Q/α) over the last axis."""
    log_pmf = jax.nn.log_softmax(q / temperature)
    return -jnp.einsum("...k,...k->...", jnp.exp(log_pmf), log_pmf)


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
