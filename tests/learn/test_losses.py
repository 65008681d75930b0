"""The losses against arrays worked out by hand, compiled and not; the bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from jumar.learn import losses
from jumar.learn.learned import pessimistic_advantage

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


@pytest.fixture(params=[lambda f: f, jax.jit], ids=["plain", "jit"])
def wrap(request: pytest.FixtureRequest) -> Wrap:
    return request.param


LOGITS = jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]))
ACTION = jnp.array([0, 2])


def test_action_cross_entropy(wrap: Wrap) -> None:
    assert_allclose(wrap(losses.action_cross_entropy)(LOGITS, ACTION), [np.log(2), -np.log(0.7)], rtol=1e-5)


def test_propensity_cross_entropy(wrap: Wrap) -> None:
    expected = [-(0.8 * np.log(0.5) + 0.2 * np.log(0.5)), -(0.6 * np.log(0.7) + 0.4 * np.log(0.3))]
    found = wrap(losses.propensity_cross_entropy)(LOGITS, ACTION, jnp.array([0.8, 0.6]))
    assert_allclose(found, expected, rtol=1e-5)


def test_propensity_cross_entropy_is_finite_and_has_a_gradient_where_the_clone_is_certain() -> None:
    def loss(logits: jax.Array) -> jax.Array:
        return losses.propensity_cross_entropy(logits, jnp.array([0]), jnp.array([0.9])).sum()

    value, slope = jax.value_and_grad(loss)(jnp.array([[80.0, 0.0]]))
    assert np.isfinite(value)
    assert np.isfinite(slope).all()


def test_pmf_cross_entropy(wrap: Wrap) -> None:
    pmf = jnp.array([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
    expected = [np.log(4), -0.5 * np.log(0.1) - 0.5 * np.log(0.2)]
    assert_allclose(wrap(losses.pmf_cross_entropy)(LOGITS, pmf), expected, rtol=1e-5)


def test_centred_action_value(wrap: Wrap) -> None:
    level, preference = jnp.array([[1.0], [2.0]]), jnp.array([[[0.0, 4.0]], [[1.0, 1.0]]])
    found = wrap(losses.centred_action_value)(level, preference, jnp.array([[0.75, 0.25]]))
    assert_allclose(found, [[[0.0, 4.0]], [[2.0, 2.0]]], atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 20_000, 3), (5, 2_048, 10), (5, 60_000, 2)])
def test_what_is_compiled_for_many_rows_is_what_it_says(shape: tuple[int, int, int]) -> None:
    """One release of the compiler (0.10.2) adds up wrongly from some 30,000 numbers on, without a word."""
    rng = np.random.default_rng(0)
    preference = rng.normal(size=shape)
    pmf = rng.dirichlet(np.ones(shape[2]), shape[1])
    level = rng.normal(size=shape[:2])
    expected = level[..., None] + preference - (pmf * preference).sum(axis=-1, keepdims=True)
    found = jax.jit(losses.centred_action_value)(*(jnp.asarray(x, jnp.float32) for x in (level, preference, pmf)))
    assert_allclose(found, expected, atol=1e-5)


def test_squared_error(wrap: Wrap) -> None:
    q = jnp.array([[[1.0, 5.0], [2.0, 0.0]], [[3.0, 1.0], [0.0, 1.0]]])
    weight = jnp.array([[1.0, 2.0], [0.0, 3.0]])
    found = wrap(losses.squared_error)(q, jnp.array([1, 0]), jnp.array([3.0, 1.0]), weight)
    assert_allclose(found, [1 * 2.0**2 + 0, 2 * 1.0**2 + 3 * 1.0**2])


def test_bootstrap_weights_are_poisson_and_shared_by_a_unit() -> None:
    units = np.random.default_rng(0).integers(0, 2**32, 100_000, dtype=np.uint32)
    units[50_000:] = units[:50_000]
    weights = np.asarray(losses.bootstrap_weights(jnp.asarray(units), 4, seed=7))
    assert_array_equal(weights[:, :50_000], weights[:, 50_000:])
    distinct = weights[:, :50_000]
    assert_allclose(distinct.mean(axis=1), 1.0, atol=0.02)
    assert_allclose(distinct.var(axis=1), 1.0, atol=0.04)
    assert_allclose((distinct == 0).mean(axis=1), np.exp(-1), atol=0.01)
    between = np.corrcoef(distinct)[np.triu_indices(4, 1)]
    assert np.abs(between).max() < 0.02
    again = np.asarray(losses.bootstrap_weights(jnp.asarray(units), 4, seed=7))
    other = np.asarray(losses.bootstrap_weights(jnp.asarray(units), 4, seed=8))
    assert_array_equal(weights, again)
    assert np.abs(np.corrcoef(weights[0], other[0])[0, 1]) < 0.02


@pytest.mark.parametrize("seed", range(6))
def test_no_two_members_of_any_seeds_share_their_weights(seed: int) -> None:
    units = np.arange(4_000, dtype=np.uint32)
    weights = np.asarray(losses.bootstrap_weights(jnp.asarray(units), 16, seed=seed))
    assert len(np.unique(weights, axis=0)) == 16


@pytest.mark.parametrize("rows", [64, 4_096, 20_000])
@pytest.mark.parametrize("actions", [2, 3, 10])
def test_compiled_values_and_advantages_are_those_of_numpy(rows: int, actions: int):
    """Compiled code has been wrong here, from some thousands of rows on."""
    rng = np.random.default_rng(rows + actions)
    logits = rng.normal(size=(rows, actions)).astype(np.float32)
    tau, level = (rng.normal(size=shape).astype(np.float32) for shape in ((3, rows, actions), (3, rows)))
    pmf = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    average = (pmf * tau).sum(axis=-1, keepdims=True)
    assert_allclose(jax.jit(losses.centred_action_value)(level, tau, pmf), level[..., None] + tau - average, atol=1e-4)
    each = tau - average
    cautious = each.mean(axis=0) - each.std(axis=0)
    assert_allclose(jax.jit(pessimistic_advantage)(logits, tau, 1.0), cautious, atol=1e-4)
