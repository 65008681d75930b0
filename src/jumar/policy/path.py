"""The path from the clone: π_β(a|x) ∝ π₀(a|x)·exp(A(x,a)/β), above an exploration floor.

In: clone logits and the ensemble's action values. Out: pmfs along the path, and the temperatures worth testing.
Pure functions in JAX; ``policy.graph`` spells the same ones in ONNX.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

LOWEST = 1e-3
HIGHEST = 1e4
BISECTIONS = 30


def pessimistic_advantage(logits: Array, q: Array, pessimism: float) -> Array:
    """A(x,a) = Q(x,a) − Σ_b π₀(b|x)·Q(x,b), as the ensemble's mean less ``pessimism`` standard deviations.

    Args:
        logits: [rows, actions] of the clone.
        q: [members, rows, actions].
        pessimism: κ ≥ 0.

    Returns:
        [rows, actions], in units of q.
    """
    each = q - (jax.nn.softmax(logits) * q).sum(axis=-1, keepdims=True)
    mean = each.mean(axis=0)
    return mean - pessimism * jnp.sqrt(((each - mean) ** 2).mean(axis=0))


def tilt(logits: Array, advantage: Array, inverse_temperature: float | Array, minimum: Array) -> Array:
    """One point of the path: production's clone, tilted by the advantage, kept above the floor.

    Args:
        logits: [rows, actions] of the clone.
        advantage: [rows, actions], standardised.
        inverse_temperature: 1/β; 0 gives the clone itself.
        minimum: [actions] least probability of each action, where the clone gives it that much.

    Returns:
        [rows, actions] pmf.
    """
    clone = jax.nn.softmax(logits)
    tilted = jax.nn.softmax(jax.nn.log_softmax(logits) + advantage * inverse_temperature)
    return keep_exploring(tilted, clone, minimum)


def keep_exploring(pmf: Array, clone: Array, minimum: Array) -> Array:
    """Lift a pmf so that no action falls below ``minimum``, or below the clone where that is lower still.

    With b = min(π₀, minimum): π ↦ b + (1 − Σb)·(π − b)⁺/Σ(π − b)⁺. The clone is mapped to itself, a greedy policy
    to one that keeps exactly the floor, and actions that production never takes get nothing from it.
    """
    floor = jnp.minimum(clone, minimum)
    excess = jnp.maximum(pmf - floor, 0.0)
    return floor + (1.0 - floor.sum(-1, keepdims=True)) * excess / excess.sum(-1, keepdims=True)


def advantage_scale(logits: Array, advantage: Array) -> float:
    """Root mean square of the advantage under the clone: the unit in which temperatures are counted."""
    square = (jax.nn.softmax(logits) * advantage**2).sum(-1).mean()
    return float(f"{float(jnp.sqrt(square)):.6g}")


def deviation(pmf: Array, other: Array) -> Array:
    """Total variation distance per row, [rows]: the share of decisions that must come out differently."""
    return 0.5 * jnp.abs(pmf - other).sum(-1)


def temperatures_along(logits: Array, advantage: Array, minimum: Array, count: int) -> tuple[float, ...]:
    """Temperatures at which the deviation from the clone is 1/count, 2/count, … of what greedy would deviate.

    The deviation falls as the temperature rises (it is the tail of an exponential family), so bisection finds each.

    Args:
        logits, advantage: [rows, actions] on TRAIN rows, the advantage standardised.
        minimum: [actions] floor.
        count: how many temperatures.

    Returns:
        Temperatures from the highest (near the clone) to the lowest (greedy within the floor).
    """
    shares = jnp.arange(1, count) / count
    logarithms = _bisect(logits, advantage, minimum, shares)
    return (*(float(f"{np.exp(float(x)):.4g}") for x in logarithms), LOWEST)


@jax.jit
def _bisect(logits: Array, advantage: Array, minimum: Array, shares: Array) -> Array:
    """Log temperatures [shares] at which the deviation is that share of the greediest."""
    clone = jax.nn.softmax(logits)

    def moved(log_temperature: Array) -> Array:
        return deviation(tilt(logits, advantage, jnp.exp(-log_temperature), minimum), clone).mean()

    wanted = shares * moved(jnp.log(LOWEST))

    def halve(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = 0.5 * (low + high)
        enough = jax.lax.map(moved, middle) >= wanted
        return jnp.where(enough, middle, low), jnp.where(enough, high, middle)

    start = jnp.full_like(shares, np.log(LOWEST)), jnp.full_like(shares, np.log(HIGHEST))
    return jax.lax.fori_loop(0, BISECTIONS, halve, start)[0]


def exploration_floor(actions: int, propensity: NDArray[np.float64] | None, exploration: float | None) -> float:
    """Least probability of an action, the same for all.

    Args:
        actions: number of actions.
        propensity: [rows] logged on TRAIN, or None.
        exploration: the share of decisions that the user wants spread evenly; by default a tenth, but no more
            than production itself explores.
    """
    share = 0.1 if exploration is None else exploration
    floor = share / actions
    if exploration is None and propensity is not None:
        floor = min(floor, float(np.quantile(propensity, 0.01)))
    return float(f"{floor:.6g}")
