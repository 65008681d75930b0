"""The path and the draw: properties that any logits, values and floors must have."""

from __future__ import annotations

import hashlib
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax

from jumar.learn.learned import pessimistic_advantage
from jumar.learn.tilt import keep_exploring, tilt
from jumar.policy.path import (
    advantage_scale,
    deviation,
    exploration_floor,
    greedy_at_price,
    prices_along,
    temperatures_along,
)
from jumar.policy.sampling import draw

SEEDS = st.integers(0, 10_000)
RATES = (0.0, 0.01, 0.1, 0.5, 1.0, 3.0, 10.0, 100.0)


def random_rows(seed: int, actions: int = 4, rows: int = 16) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return (2 * rng.normal(size=(rows, actions))).astype(np.float32), rng.normal(size=(rows, actions)).astype(
        np.float32
    )


def test_the_advantage_by_hand() -> None:
    logits = jnp.log(jnp.array([[0.25, 0.75]]))
    q = jnp.array([[[0.0, 1.0]], [[0.0, 3.0]]])
    # Member by member: (−¾, ¼) and (−9/4, ¾); means (−1.5, 0.5), deviations (0.75, 0.25).
    assert_allclose(pessimistic_advantage(logits, q, 0.0), [[-1.5, 0.5]], atol=1e-6)
    assert_allclose(pessimistic_advantage(logits, q, 2.0), [[-3.0, 0.0]], atol=1e-6)


def test_the_tilt_by_hand() -> None:
    logits = jnp.log(jnp.array([[0.5, 0.5]]))
    advantage = jnp.array([[0.0, float(np.log(3.0))]])
    none, floor = jnp.zeros(2), jnp.array([0.3, 0.3])
    assert_allclose(tilt(logits, advantage, 1.0, none), [[0.25, 0.75]], atol=1e-6)
    assert_allclose(tilt(logits, advantage, 2.0, none), [[0.1, 0.9]], atol=1e-6)
    # b = (0.3, 0.3); 0.25 is below it, so all that is free goes to the other.
    assert_allclose(tilt(logits, advantage, 1.0, floor), [[0.3, 0.7]], atol=1e-6)


@given(SEEDS, st.just(0.0) | st.floats(0.001, 0.1))
@settings(max_examples=40, deadline=None)
def test_the_path_leads_from_the_clone_to_greedy_without_turning_back(seed: int, minimum: float) -> None:
    logits, advantage = random_rows(seed)
    floor = jnp.full(4, minimum)
    clone = softmax(logits, axis=1)
    path = np.stack([np.asarray(tilt(logits, advantage, rate, floor), np.float64) for rate in RATES])
    assert_allclose(path.sum(axis=2), 1.0, atol=2e-6)
    assert_allclose(path[0], clone, atol=1e-6)
    assert (path >= np.minimum(clone, minimum) - 1e-6).all()
    moved = 0.5 * np.abs(path - clone).sum(axis=2)
    # Above a floor a single row may turn back by a hair; what is gated and shown is the average.
    assert (np.diff(moved, axis=0) >= (-2e-6 if minimum == 0 else -1e-2)).all()
    assert (np.diff(moved.mean(axis=1)) >= (-2e-6 if minimum == 0 else -5e-4)).all()
    kl = np.where(path > 0, path * np.log(np.maximum(path, 1e-30) / clone), 0.0).sum(axis=2)
    if minimum == 0:
        assert (np.diff(kl, axis=0) >= -1e-4).all()
    gain = (path * advantage).sum(axis=2)
    assert (np.diff(gain, axis=0) >= (-1e-4 if minimum == 0 else -1e-3)).all()
    assert (np.diff(gain.mean(axis=1)) >= -1e-4).all()


@given(SEEDS, st.floats(0.001, 0.12))
@settings(max_examples=40, deadline=None)
def test_a_greedy_policy_keeps_exactly_the_floor(seed: int, minimum: float) -> None:
    logits, advantage = random_rows(seed)
    greedy = np.asarray(tilt(logits, advantage, 1e5, jnp.full(4, minimum)))
    clone = softmax(logits, axis=1)
    best = advantage.argmax(axis=1)[:, None] == np.arange(4)
    expected = np.minimum(clone, np.float32(minimum))
    gaps = np.sort(advantage, axis=1)
    clear = gaps[:, -1] - gaps[:, -2] > 1e-2
    assert_allclose(greedy[clear][~best[clear]], expected[clear][~best[clear]], atol=1e-6)


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_what_production_never_does_stays_undone(seed: int) -> None:
    logits, advantage = random_rows(seed)
    logits[:, 2], advantage[:, 2] = -30.0, 3.0  # e⁻³⁰: the clone all but rules it out, the value would love it
    for rate in RATES[:-2]:
        pmf = np.asarray(tilt(logits, advantage, rate, jnp.full(4, 0.05)))
        assert (pmf[:, 2] < 1e-6).all()
        assert_allclose(pmf.sum(axis=1), 1.0, atol=2e-6)


def test_the_floor_maps_the_clone_to_itself() -> None:
    clone = jnp.array([[0.6, 0.39, 0.01], [0.1, 0.1, 0.8]])
    assert_allclose(keep_exploring(clone, clone, jnp.full(3, 0.05)), clone, atol=1e-7)


def test_scale_and_deviation_by_hand() -> None:
    logits = jnp.log(jnp.array([[0.25, 0.75], [0.5, 0.5]]))
    assert advantage_scale(logits, jnp.array([[2.0, 0.0], [1.0, -1.0]])) == pytest.approx(1.0)
    assert_allclose(deviation(jnp.array([[1.0, 0.0]]), jnp.array([[0.7, 0.3]])), [0.3], atol=1e-7)


def test_temperatures_divide_the_deviation_evenly() -> None:
    logits, advantage = random_rows(1, rows=2_000)
    floor = jnp.full(4, 0.02)
    temperatures = temperatures_along(jnp.asarray(logits), jnp.asarray(advantage), floor, 5)
    assert list(temperatures) == sorted(temperatures, reverse=True)
    clone = softmax(logits, axis=1)
    moved = [float(deviation(tilt(logits, advantage, 1 / t, floor), clone).mean()) for t in temperatures]
    assert_allclose(np.array(moved) / moved[-1], [0.2, 0.4, 0.6, 0.8, 1.0], atol=2e-3)


def test_no_advantage_no_deviation_and_no_failure() -> None:
    logits, _ = random_rows(2)
    temperatures = temperatures_along(jnp.asarray(logits), jnp.zeros_like(logits), jnp.full(4, 0.02), 3)
    assert all(np.isfinite(temperatures))


def average_cost(logits: Any, advantage: Any, temperature: float, price: float, costs: Any, floor: Any) -> float:
    pmf = tilt(logits, advantage - price * np.asarray(costs, np.float32), 1 / temperature, floor)
    return float((np.asarray(pmf, np.float64) @ np.asarray(costs)).mean())


def test_the_price_by_hand() -> None:
    logits, even = jnp.log(jnp.array([[0.5, 0.5]])), jnp.zeros((1, 2))
    # 0.5·e^−x / (0.5 + 0.5·e^−x) = 0.2 at x = ln 4, and x = ν/β.
    prices, met = prices_along(logits, even, jnp.zeros(2), (1.0, 3.0), (0.0, 1.0), 0.2)
    assert_allclose(prices, [np.log(4.0), 3 * np.log(4.0)], rtol=1e-5)
    # With a floor of 0.1 and (e^−x/(1 + e^−x) − 0.1)·0.8/0.8 above it, nothing else changes; a cost of 10 is cheaper.
    prices, met = prices_along(logits, even, jnp.full(2, 0.1), (1.0,), (0.0, 10.0), 2.0)
    assert_allclose(prices, [np.log(4.0) / 10], rtol=1e-5)
    assert met.all()


@given(SEEDS, st.sampled_from([0.0, 0.02, 0.1]), st.floats(0.3, 1.2))
@settings(max_examples=30, deadline=None)
def test_prices_meet_the_cost_and_no_lower_ones_do(seed: int, minimum: float, share: float) -> None:
    logits, advantage = random_rows(seed, rows=64)
    floor, costs = jnp.full(4, minimum), (0.0, 1.0, 0.5, 2.0)
    temperatures = (3.0, 0.5, 0.1, 0.02)
    most = share * average_cost(logits, advantage, 1e4, 0.0, costs, floor)
    prices, met = prices_along(jnp.asarray(logits), jnp.asarray(advantage), floor, temperatures, costs, most)
    for temperature, price, good in zip(temperatures, prices, met, strict=True):
        cost = average_cost(logits, advantage, temperature, float(price), costs, floor)
        assert (cost <= most + 1e-4) == good
        if good and price > 0:
            less = average_cost(logits, advantage, temperature, 0.98 * float(price), costs, floor)
            assert most - 1e-2 < cost
            assert less > most - 1e-5
        elif good:
            assert price == 0.0


@given(SEEDS, st.sampled_from([0.0, 0.02, 0.1]))
@settings(max_examples=30, deadline=None)
def test_a_higher_price_never_costs_more(seed: int, minimum: float) -> None:
    logits, advantage = random_rows(seed, rows=64)
    floor, costs = jnp.full(4, minimum), (0.0, 1.0, 0.5, 2.0)
    for temperature in (3.0, 0.3, 0.03):
        found = [average_cost(logits, advantage, temperature, nu, costs, floor) for nu in np.linspace(0.0, 4.0, 30)]
        assert (np.diff(found) <= (2e-6 if minimum == 0 else 1e-3)).all()
        assert found[-1] < found[0] - 0.05


def test_less_cost_takes_a_higher_price() -> None:
    logits, advantage = random_rows(3, rows=500)
    floor, costs = jnp.full(4, 0.01), (0.0, 1.0, 1.0, 1.0)
    prices = [
        prices_along(jnp.asarray(logits), jnp.asarray(advantage), floor, (0.5,), costs, most)[0][0]
        for most in (0.9, 0.7, 0.5, 0.3, 0.1)
    ]
    assert prices[0] == 0.0
    assert (np.diff(prices) > 0).all()


def test_a_cost_below_the_floor_s_cannot_be_met() -> None:
    logits, advantage = random_rows(4, rows=200)
    floor, costs = jnp.full(4, 0.05), (0.0, 1.0, 1.0, 1.0)
    least = float((np.minimum(softmax(logits, axis=1), 0.05) @ np.asarray(costs)).mean())
    for most, possible in ((least - 1e-3, False), (least + 1e-3, True)):
        prices, met = prices_along(jnp.asarray(logits), jnp.asarray(advantage), floor, (1.0, 0.01), costs, most)
        assert (met == possible).all()
        for temperature, price in zip((1.0, 0.01), prices, strict=True):
            assert average_cost(logits, advantage, temperature, price, costs, floor) == pytest.approx(least, abs=2e-3)


@pytest.mark.parametrize(("most", "possible"), [(1.0, True), (0.9, False)])
def test_where_all_actions_cost_the_same_no_price_helps(most: float, possible: bool) -> None:
    logits, advantage = random_rows(5)
    prices, met = prices_along(jnp.asarray(logits), jnp.asarray(advantage), jnp.zeros(4), (1.0,), (1.0,) * 4, most)
    assert prices[0] == 0.0
    assert met[0] == possible


def test_greedy_at_a_price_by_hand() -> None:
    clone = np.array([[0.5, 0.5, 0.0], [0.97, 0.03, 0.0]])
    advantage = np.array([[0.0, 0.2, 9.0], [0.0, 0.3, 9.0]])
    floor, costs = (0.1, 0.1, 0.1), (0.0, 1.0, 1.0)
    # The floor is (0.1, 0.1, 0) and (0.1, 0.03, 0); the third action is never taken by production.
    assert_allclose(greedy_at_price(clone, advantage, 0.0, costs, floor), [[0.1, 0.9, 0.0], [0.1, 0.9, 0.0]])
    assert_allclose(greedy_at_price(clone, advantage, 0.25, costs, floor), [[0.9, 0.1, 0.0], [0.1, 0.9, 0.0]])
    assert_allclose(greedy_at_price(clone, advantage, 0.5, costs, floor), [[0.9, 0.1, 0.0], [0.97, 0.03, 0.0]])


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_no_policy_above_the_floor_gains_more_at_the_cost_of_greedy(seed: int) -> None:
    logits, advantage = random_rows(seed)
    rng = np.random.default_rng(seed)
    clone, costs, floor = softmax(logits, axis=1), np.array([0.0, 1.0, 0.3, 2.0]), np.full(4, 0.03)
    greedy = greedy_at_price(clone, advantage, 0.4, list(costs), list(floor))
    gain, cost = (greedy * advantage).sum(), (greedy @ costs).sum()
    least = np.minimum(clone, floor)
    free = 1 - least.sum(axis=1, keepdims=True)
    for sharpness in (0.3, 1.0, 10.0):
        other = least + free * softmax(sharpness * (advantage + rng.normal(size=clone.shape)), axis=1)
        # No λ ≥ 0 lets another policy gain more than the price of what it costs more.
        assert (other * advantage).sum() - gain <= 0.4 * ((other @ costs).sum() - cost) + 1e-5
    near = np.asarray(tilt(logits, advantage - 0.4 * costs.astype(np.float32), 1e3, jnp.asarray(floor, jnp.float32)))
    best = np.sort(advantage - 0.4 * costs, axis=1)
    clear = best[:, -1] - best[:, -2] > 0.05
    assert_allclose(near[clear], greedy[clear], atol=1e-5)


def test_the_default_floor_explores_no_more_than_production() -> None:
    assert exploration_floor(4, None, None) == 0.025
    assert exploration_floor(4, None, 0.2) == 0.05
    assert exploration_floor(4, np.full(1_000, 0.01), None) == 0.01
    assert exploration_floor(4, np.full(1_000, 0.01), 0.2) == 0.05
    assert exploration_floor(2, np.full(1_000, 0.5), 0.0) == 0.0


def test_draws_invert_the_distribution_function() -> None:
    pmf = np.tile([0.2, 0.0, 0.5, 0.3], (7, 1))
    uniform = np.array([0.0, 0.1999, 0.2, 0.6999, 0.7, 0.95, 1 - 2.0**-53])
    action, propensity = draw(pmf, uniform)
    assert_array_equal(action, [0, 0, 2, 2, 3, 3, 3])
    assert_array_equal(propensity, [0.2, 0.2, 0.5, 0.5, 0.3, 0.3, 0.3])


@given(SEEDS, st.integers(2, 30))
def test_an_action_without_probability_is_never_drawn(seed: int, actions: int) -> None:
    rng = np.random.default_rng(seed)
    pmf = rng.random((50, actions)) * (rng.random((50, actions)) < 0.5) + np.eye(actions)[0] * 1e-3
    pmf /= pmf.sum(axis=1, keepdims=True)
    uniform = np.concatenate([np.zeros(15), rng.random(20), np.full(15, 1 - 2.0**-53)])
    action, propensity = draw(pmf, uniform)
    assert (propensity > 0).all()
    assert_array_equal(propensity, pmf[np.arange(50), action])


def test_frequencies_are_the_probabilities() -> None:
    rows, pmf = 200_000, np.array([0.5, 0.3, 0.15, 0.05])
    digests = (hashlib.md5(f"salt:{i}".encode()).digest() for i in range(rows))
    uniform = np.array([(int.from_bytes(digest, "little") >> 75) / 2**53 for digest in digests])
    action, _ = draw(np.tile(pmf, (rows, 1)), uniform)
    error = 4 * np.sqrt(pmf * (1 - pmf) / rows)
    assert (np.abs(np.bincount(action) / rows - pmf) < error).all()
