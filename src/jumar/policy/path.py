"""The path from the clone: π_β(a|x) ∝ π₀(a|x)·exp(A(x,a)/β), above an exploration floor.

In: clone logits and an advantage. Out: pmfs along the path, the temperatures worth testing, and the prices at which
actions that cost something are taken no more often than may be. Pure functions in JAX; ``policy.graph`` spells the
same ones in ONNX.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from jumar.learn.tilt import tilt
from jumar.policy.exploration import RULED_OUT

LOWEST = 1e-3
HIGHEST = 1e4
BISECTIONS, PRICE_BISECTIONS = 30, 44
CERTAIN = 30.0
ROUNDING = 1e-6


@jax.jit
def deviations(logits: Array, advantage: Array, minimum: Array, rates: Array, offsets: Array, costs: Array) -> Array:
    """Average deviation from the clone [K] of the tilts by rates·A − offsets·c, for [K] rates and offsets."""
    clone = jax.nn.softmax(logits)

    def moved(pair: tuple[Array, Array]) -> Array:
        return deviation(tilt(logits, advantage * pair[0] - pair[1] * costs, 1.0, minimum), clone).mean()

    return jax.lax.map(moved, (rates, offsets))


def greedy_at_price(
    clone: NDArray[np.float64],
    advantage: NDArray[np.float64],
    price: float,
    costs: Sequence[float],
    minimum: Sequence[float],
) -> NDArray[np.float64]:
    """The end of the path at a price: greedy on A(x,a) − ν·c(a), with exactly the floor left for the rest.

    Among all policies above the floor none has a larger Σ π·A at its average cost, so that a sweep of prices draws
    the frontier of value against cost. Actions that the clone all but rules out are not chosen.

    Args:
        clone: [rows, actions] pmf.
        advantage: [rows, actions].
        price: ν, in units of the advantage per unit of cost.
        costs: [actions].
        minimum: [actions] exploration floor.

    Returns:
        [rows, actions] pmf in float64.
    """
    floor = np.minimum(clone, np.asarray(minimum, np.float64))
    worth = np.where(clone >= RULED_OUT, advantage - price * np.asarray(costs, np.float64), -np.inf)
    pmf, best = floor.copy(), worth.argmax(axis=1)[:, None]
    free = 1.0 - floor.sum(axis=1, keepdims=True)
    np.put_along_axis(pmf, best, np.take_along_axis(pmf, best, axis=1) + free, axis=1)
    return pmf


def advantage_scale(logits: Array, advantage: Array) -> float:
    """Root mean square of the advantage under the clone: the unit in which temperatures are counted."""
    square = (jax.nn.softmax(logits) * advantage**2).sum(-1).mean()
    return float(f"{float(jnp.sqrt(square)):.6g}")


def deviation(pmf: Array, other: Array) -> Array:
    """Total variation distance per row, [rows]: the share of decisions that must come out differently."""
    return 0.5 * jnp.abs(pmf - other).sum(-1)


def temperatures_along(
    logits: Array, advantage: Array, minimum: Array, count: int, *, near: bool = False
) -> tuple[float, ...]:
    """Temperatures at which the deviation from the clone is 1/count, 2/count, … of what greedy would deviate.

    The deviation falls as the temperature rises (it is the tail of an exponential family), so bisection finds each.

    Args:
        logits, advantage: [rows, actions] on TRAIN rows, the advantage standardised.
        minimum: [actions] floor.
        count: how many temperatures.
        near: …, 1/4, 1/2 of it instead.

    Returns:
        Temperatures from the highest (near the clone) to the lowest (greedy within the floor).
    """
    shares = 0.5 ** jnp.arange(count - 1, 0, -1) if near else jnp.arange(1, count) / count
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


def prices_along(
    logits: Array,
    advantage: Array,
    minimum: Array,
    temperatures: Sequence[float],
    costs: Sequence[float],
    most: float,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """For each temperature the smallest price ν at which the average of Σ_a π(a|x)·c(a) is no more than ``most``.

    π is the tilt by A − ν·c. The cost falls as the price rises (again the tail of an exponential family), so
    bisection finds it; above a floor it may turn back by a hair, and of a bracket the end that meets the cost is kept.

    Args:
        logits, advantage: [rows, actions] on TRAIN rows, the advantage standardised.
        minimum: [actions] floor.
        temperatures: [K].
        costs: [actions] ≥ 0.
        most: greatest average cost per decision.

    Returns:
        Prices [K] in units of the advantage, and [K] whether they meet the cost: where none does, the price is one
        at which the cheapest action gets all that is free.
    """
    cost = np.asarray(costs, np.float64)
    dearer = cost[cost > cost.min()]
    if dearer.size == 0:  # no price changes what is chosen
        return np.zeros(len(temperatures)), np.full(len(temperatures), bool(cost.min() <= most * (1 + ROUNDING)))
    rates = jnp.asarray([1 / t for t in temperatures], jnp.float32)
    gap, slack = float(dearer.min() - cost.min()), ROUNDING * float(cost.max())
    found, least = _bisect_prices(logits, advantage, minimum, rates, jnp.asarray(cost, jnp.float32), gap, most)
    return np.asarray(found, np.float64) * np.asarray(temperatures), np.asarray(least) <= most + slack


@jax.jit
def _bisect_prices(
    logits: Array, advantage: Array, minimum: Array, rates: Array, costs: Array, gap: float, most: float
) -> tuple[Array, Array]:
    """Offsets ν/β [K] of the logits per unit of cost, and the least cost [K] that any of them reaches."""
    log_clone = jax.nn.log_softmax(logits)

    def cost(pair: tuple[Array, Array]) -> Array:
        rate, offset = pair
        return (tilt(logits, advantage * rate - offset * costs, 1.0, minimum) * costs).sum(-1).mean()

    def reach(rate: Array) -> Array:  # beyond this, the next cheapest action has less than e^−CERTAIN of the cheapest
        moved = log_clone + advantage * rate
        return ((moved.max(-1) - moved.min(-1)).max() + CERTAIN) / gap

    def halve(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = 0.5 * (low + high)
        meets = jax.lax.map(cost, (rates, middle)) <= most
        return jnp.where(meets, low, middle), jnp.where(meets, middle, high)

    none, highest = jnp.zeros_like(rates), jax.lax.map(reach, rates)
    found = jax.lax.fori_loop(0, PRICE_BISECTIONS, halve, (none, highest))[1]
    free = jax.lax.map(cost, (rates, none)) <= most
    return jnp.where(free, none, found), jax.lax.map(cost, (rates, highest))


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
