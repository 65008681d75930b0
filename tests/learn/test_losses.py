"""The losses against arrays worked out by hand, compiled and not; the bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from jumar.learn import losses
from jumar.learn.learned import pessimistic_advantage
from jumar.learn.networks import apply_stack, dueling, init_stack, mean_of_quantiles, with_last_layer

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


# Of sequences

MANY = jnp.array([[[1.0, 5.0, 2.0], [2.0, 0.0, -1.0]], [[3.0, 1.0, 0.0], [0.0, 1.0, 4.0]]])  # members, rows, actions


def test_chosen(wrap: Wrap) -> None:
    assert_allclose(wrap(losses.chosen)(MANY, jnp.array([1, 0])), [[5.0, 2.0], [1.0, 0.0]])
    assert_allclose(wrap(losses.chosen)(MANY, jnp.array([[0, 2], [1, 1]])), [[1.0, -1.0], [1.0, 1.0]])


def test_huber(wrap: Wrap) -> None:
    error = jnp.array([0.5, -1.0, 3.0, -0.2])
    assert_allclose(wrap(losses.huber)(error), [0.125, 0.5, 2.5, 0.02], rtol=1e-6)
    assert_allclose(wrap(losses.huber)(error, 0.2), [0.08, 0.18, 0.58, 0.02], rtol=1e-5)
    assert_allclose(wrap(losses.huber)(error, np.inf), 0.5 * error**2)
    slopes = wrap(jax.vmap(jax.grad(losses.huber)))(jnp.array([0.5, -0.25, 3.0, -4.0, 0.0]))
    assert_allclose(slopes, [0.5, -0.25, 1.0, -1.0, 0.0], atol=1e-6)
    plain = wrap(jax.grad(lambda u: losses.huber(u, np.inf).sum()))(error)
    assert_allclose(plain, error)


def test_discounted_target(wrap: Wrap) -> None:
    found = wrap(losses.discounted_target)(jnp.array([1.0, 2.0]), jnp.array([0.5, 0.0]), jnp.array([[4.0, 9.0]]))
    assert_allclose(found, [[3.0, 2.0]])
    slope = wrap(jax.grad(lambda v: losses.discounted_target(jnp.ones(1), jnp.ones(1), v).sum()))(jnp.ones((1, 1)))
    assert_array_equal(slope, 0.0)


def test_double_q_value(wrap: Wrap) -> None:
    """What one network likes best (5 → place 1, 2 → place 0; 3 → place 0, 4 → place 2) is worth what another says."""
    values = jnp.array([[[9.0, 0.5, 9.0], [0.25, 9.0, 9.0]], [[0.75, 9.0, 9.0], [9.0, 9.0, 0.125]]])
    assert_allclose(wrap(losses.double_q_value)(MANY, values), [[0.5, 0.25], [0.75, 0.125]])


def test_expected_value(wrap: Wrap) -> None:
    pmf = jnp.array([[[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]], [[0.25, 0.25, 0.5], [0.1, 0.8, 0.1]]])
    assert_allclose(wrap(losses.expected_value)(pmf, MANY), [[3.0, -1.0], [1.0, 1.2]], rtol=1e-6)


def test_conservative_gap(wrap: Wrap) -> None:
    q = jnp.log(jnp.array([[[1.0, 2.0, 5.0], [4.0, 4.0, 4.0]]]))
    assert_allclose(wrap(losses.conservative_gap)(q, jnp.array([1, 0])), [[np.log(4.0), np.log(3.0)]], rtol=1e-6)


def test_expectile_loss(wrap: Wrap) -> None:
    error = jnp.array([2.0, -2.0, 0.0])
    assert_allclose(wrap(losses.expectile_loss)(error, 0.9), [3.6, 0.4, 0.0], rtol=1e-6)
    assert_allclose(wrap(losses.expectile_loss)(error, 0.5), 0.5 * error**2)


def test_the_minimum_of_the_expectile_loss_is_the_expectile(wrap: Wrap) -> None:
    """Of 0 and 1 alike often, τ = 0.8: 0.8·(1 − v) = 0.2·v."""
    slope = wrap(jax.grad(lambda v: losses.expectile_loss(jnp.array([0.0, 1.0]) - v, 0.8).sum()))(0.8)
    assert_allclose(slope, 0.0, atol=1e-6)


def test_quantile_huber(wrap: Wrap) -> None:
    """Levels ¼ and ¾ at 0 and 1, wanted −2 and 0.5; κ = 1.

    u = −2, 0.5 of the first, −3, −0.5 of the second; huber 1.5, 0.125, 2.5, 0.125;
    weighted ¾·1.5 + ¼·0.125 and ¼·2.5 + ¼·0.125, each halved, and added up.
    """
    found = wrap(losses.quantile_huber)(jnp.array([[[0.0, 1.0]]]), jnp.array([[[-2.0, 0.5]]]), 1.0)
    assert_allclose(found, [[(1.125 + 0.03125) / 2 + (0.625 + 0.03125) / 2]], rtol=1e-6)
    narrow = wrap(losses.quantile_huber)(jnp.array([[[0.0]]]), jnp.array([[[3.0]]]), 1e-3)
    assert_allclose(narrow, [[0.5 * 3.0]], rtol=1e-3)  # the plain quantile loss


def test_likely_enough(wrap: Wrap) -> None:
    found = wrap(losses.likely_enough)(LOGITS, 0.3)
    assert_array_equal(found, [[True, True, True], [False, False, True]])
    assert_array_equal(wrap(losses.likely_enough)(LOGITS, 0.6), [[True, False, False], [False, False, True]])


def test_preferred_though_ruled_out(wrap: Wrap) -> None:
    """Least allowed: 1 and 0 in the first rows, -1 in the others; above it with half a unit of margin, squared."""
    allowed = jnp.array([[True, True, False], [False, True, True]])
    found = wrap(losses.preferred_though_ruled_out)(MANY, allowed, 0.5)
    assert_allclose(found, [[1.5**2, 3.5**2], [0.0, 0.0]])
    slope = wrap(jax.grad(lambda q: losses.preferred_though_ruled_out(q, allowed, 0.5).sum()))(MANY)
    assert_array_equal(slope[:, allowed], 0.0)


def test_exponential_weight(wrap: Wrap) -> None:
    found = wrap(losses.exponential_weight)(jnp.array([0.0, 1.0, -1.0, 1e6]), 0.5, 20.0)
    assert_allclose(found, [1.0, np.exp(2.0), np.exp(-2.0), 20.0], rtol=1e-5)
    slope = wrap(jax.grad(lambda a: losses.exponential_weight(a, 1.0, 20.0).sum()))(jnp.ones(2))
    assert_array_equal(slope, 0.0)


def test_soft_value_and_entropy(wrap: Wrap) -> None:
    q = 0.5 * jnp.log(jnp.array([[1.0, 3.0], [2.0, 2.0]]))
    assert_allclose(wrap(losses.soft_value)(q, 0.5), [0.5 * np.log(4.0)] * 2, rtol=1e-6)
    expected = [0.25 * np.log(4.0) + 0.75 * np.log(4.0 / 3.0), np.log(2.0)]
    assert_allclose(wrap(losses.soft_entropy)(q, 0.5), expected, rtol=1e-5)
    assert_allclose(wrap(losses.soft_value)(jnp.array([1.0, 2.0]), 1e-3), 2.0)


def test_a_dueling_head_by_hand(wrap: Wrap) -> None:
    """V = 1, advantages 3, 0, 0 less their average 1."""
    assert_allclose(wrap(dueling)(jnp.array([[[1.0, 3.0, 0.0, 0.0]]])), [[[3.0, 0.0, 0.0]]], atol=1e-6)


@pytest.mark.parametrize(
    ("outputs", "linear"),
    [(4, dueling), (6, partial(mean_of_quantiles, 3)), (4, lambda out: out[..., 1:])],
    ids=["dueling", "quantiles", "without the level"],
)
def test_what_is_worked_into_the_last_layer_is_what_was_done_behind_it(outputs: int, linear: Any) -> None:
    rng = np.random.default_rng(0)
    net = init_stack(rng, 2, (4, 8, outputs))
    net[-1]["bias"] = jnp.asarray(rng.normal(size=net[-1]["bias"].shape), jnp.float32)
    x = jnp.asarray(rng.normal(size=(5, 4)), jnp.float32)
    assert_allclose(apply_stack(with_last_layer(net, linear), x), linear(apply_stack(net, x)), atol=1e-5)


def test_a_mean_of_quantiles_is_that_of_each_action(wrap: Wrap) -> None:
    found = wrap(partial(mean_of_quantiles, 2))(jnp.array([[1.0, 2.0, 6.0, -1.0, 0.0, 4.0]]))
    assert_allclose(found, [[3.0, 1.0]])


@pytest.mark.parametrize("shape", [(4, 20_000, 3), (5, 2_048, 10), (5, 60_000, 2)])
def test_compiled_losses_of_many_rows_are_those_of_numpy(shape: tuple[int, int, int]) -> None:
    """Compiled averages over actions have been wrong from some thousands of rows on."""
    rng = np.random.default_rng(1)
    q, action = rng.normal(size=shape), rng.integers(0, shape[2], shape[1])
    pmf = rng.dirichlet(np.ones(shape[2]), shape[:2])

    def advantage(q: jax.Array, pmf: jax.Array, action: jax.Array) -> jax.Array:
        return losses.chosen(q, action) - losses.expected_value(pmf, q)

    arrays = jnp.asarray(q, jnp.float32), jnp.asarray(pmf, jnp.float32), jnp.asarray(action)
    taken = q[:, np.arange(shape[1]), action]
    assert_allclose(jax.jit(advantage)(*arrays), taken - (pmf * q).sum(axis=-1), atol=1e-5)
    powers = np.exp(q - q.max(axis=-1, keepdims=True))
    gap = np.log(powers.sum(axis=-1)) + q.max(axis=-1) - taken
    assert_allclose(jax.jit(losses.conservative_gap)(arrays[0], arrays[2]), gap, atol=1e-5)
    head = np.concatenate([taken[..., None], q], axis=-1)
    expected = head[..., :1] + q - q.mean(axis=-1, keepdims=True)
    assert_allclose(jax.jit(dueling)(jnp.asarray(head, jnp.float32)), expected, atol=1e-5)
    entropy = -(powers / powers.sum(-1, keepdims=True) * np.log(powers / powers.sum(-1, keepdims=True))).sum(-1)
    assert_allclose(jax.jit(losses.soft_entropy)(arrays[0], 1.0), entropy, atol=1e-5)
