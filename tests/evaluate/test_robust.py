"""The doubly-robust variable: values and bound by hand and brute force, what it saves, and its fail-safes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from jumar.evaluate import robust
from jumar.evaluate.capital import Capital, GateError, default_bets
from jumar.evaluate.robust import kappa_for, robust_bound, robust_variable


def variable(pmf: object, production: object, predicted: object, action: object, reward: object, kappa: object):
    return robust_variable(
        pmf=np.asarray(pmf, dtype=np.float64),
        production=np.asarray(production, dtype=np.float64),
        predicted=np.asarray(predicted, dtype=np.float64),
        action=np.asarray(action),
        reward=np.asarray(reward, dtype=np.float64),
        kappa=np.asarray(kappa, dtype=np.float64),
    )


def one_action(pi: list[float], mu: list[float], q: list[float], action: int, reward: float, kappa: float) -> float:
    """From the definition, in plain Python."""
    capped = [min(b, kappa * m / p) if p > 0 else b for p, m, b in zip(pi, mu, q, strict=True)]
    direct = sum((p - m) * c for p, m, c in zip(pi, mu, capped, strict=True))
    return (pi[action] / mu[action] - 1) * (reward - capped[action]) + direct


def dirichlet(rng: np.random.Generator, shape: tuple[int, ...], actions: int) -> np.ndarray:
    """Probabilities from even to nearly all on one action."""
    return rng.dirichlet(np.full(actions, rng.choice([0.05, 0.5, 5.0])), size=shape)


def test_values_by_hand():
    # w = 0.6/0.2 = 3; caps κ·μ/π: 2·0.2/0.6 = ⅔ and 2·0.8/0.4 = 4: q' = (0.5, 0.3).
    # y = 2·(1 − 0.5) + 0.4·0.5 − 0.4·0.3 = 1.08; second action: w = ½, −½·(0 − 0.3) + 0.08 = 0.23.
    y = variable([[[0.6, 0.4]]] * 2, [[0.2, 0.8]] * 2, [0.5, 0.3], [0, 1], [1.0, 0.0], [2.0])
    assert_allclose(y[:, 0], [1.08, 0.23], rtol=1e-14)
    # The cap bites: κ = 1, π = 0.6, μ = 0.2, so q' = ⅓: y = 2·(1 − ⅓) + 0.4·⅓ − 0.4·0.3.
    y = variable([[[0.6, 0.4]]], [[0.2, 0.8]], [0.5, 0.3], [0], [1.0], [1.0])
    assert_allclose(y, [[4 / 3 + 0.4 / 3 - 0.12]], rtol=1e-14)


def test_without_predictions_it_is_the_plain_variable():
    rng = np.random.default_rng(0)
    pi, mu = dirichlet(rng, (200, 3), 4), dirichlet(rng, (200,), 4) * 0.9 + 0.025
    action, reward = rng.integers(0, 4, 200), rng.random(200)
    at = np.arange(200)
    w = pi[at, :, action] / mu[at, action][:, None]
    assert_allclose(variable(pi, mu, np.zeros(4), action, reward, np.full(3, 5.0)), (w - 1) * reward[:, None])


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), actions=st.integers(2, 5), kappa=st.floats(1.0, 50.0))
def test_against_plain_python_and_never_below_its_bound(seed: int, actions: int, kappa: float):
    rng = np.random.default_rng(seed)
    pi, mu = dirichlet(rng, (60, 2), actions), dirichlet(rng, (60,), actions)
    pi[:20, 0] = np.eye(actions)[rng.integers(0, actions, 20)]
    mu = (1 - (tiny := 10.0 ** -rng.integers(1, 9))) * mu + tiny / actions
    q = np.where(rng.random((60, actions)) < 0.5, rng.random((60, actions)), rng.integers(0, 2, (60, actions)))
    action, reward = rng.integers(0, actions, 60), rng.choice([0.0, 0.4, 1.0], 60)
    y = variable(pi, mu, q, action, reward, [kappa, 2 * kappa])
    for i in range(60):
        for k in range(2):
            by_hand = one_action(
                pi[i, k].tolist(), mu[i].tolist(), q[i].tolist(), int(action[i]), float(reward[i]), kappa * (k + 1)
            )
            assert y[i, k] == pytest.approx(by_hand, rel=1e-9, abs=1e-9)
            assert y[i, k] >= -robust_bound(kappa * (k + 1))


@pytest.mark.parametrize("kappa", [1.0, 3.0, 40.0])
def test_no_smaller_bound_would_do(kappa: float):
    m = 1e-4 / kappa
    y = variable([[[1.0, 0.0]]], [[m, 1 - m]], [1.0, 1.0], [0], [0.0], [kappa])
    assert y[0, 0] == pytest.approx(-(1 - m) * (1 + kappa * (1 - m)))
    assert -robust_bound(kappa) <= y[0, 0] <= -robust_bound(kappa) + 1e-3
    assert robust_bound(kappa) == pytest.approx(kappa + 1, abs=2e-5)
    # Where the plain variable's bound were kept, such a row would be refused.
    with pytest.raises(GateError, match="below"):
        Capital(default_bets(1.0, 10, 0.001)).update(y[:, 0])


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), kappa=st.floats(1.0, 20.0))
def test_unbiased_and_mass_without_support_adds_nothing(seed: int, kappa: float):
    """Σ_a μ·y(a) over all draws is the gain, whatever is predicted; less what π puts where production never goes."""
    rng = np.random.default_rng(seed)
    pi, mu, q, wrong = (dirichlet(rng, (1,), 4)[0] for _ in range(4))
    mu = 0.9 * mu + 0.025
    y = variable([[pi]] * 4, [mu] * 4, wrong, np.arange(4), q, [kappa])[:, 0]
    assert mu @ y == pytest.approx((pi - mu) @ q, abs=1e-9)
    mu[3] = 0.0
    mu /= mu.sum()
    y = variable([[pi]] * 3, [mu] * 3, wrong, np.arange(3), q[:3], [kappa])[:, 0]
    assert mu[:3] @ y == pytest.approx((pi - mu)[:3] @ q[:3], abs=1e-9)
    # However good the model thinks an action that was never tried, that changes nothing.
    flattered = wrong.copy()
    flattered[3] = 1.0
    assert_allclose(variable([[pi]] * 3, [mu] * 3, flattered, np.arange(3), q[:3], [kappa])[:, 0], y, rtol=1e-12)


def test_kappa_by_hand():
    # λ̂ = sqrt(2·ln 1000/(100000·0.1)) = 0.03717; κ + 1 = 1/(2·λ̂), so λ̂ is half of what 1/B allows.
    kappa = kappa_for(0.1, 100_000)
    assert kappa == pytest.approx(1 / (2 * math.sqrt(2 * math.log(1000) / 10_000)) - 1)
    assert kappa_for(0.0, 10) == 1.0
    assert kappa_for(1.0, 10) == 1.0


def test_saves_rows_where_rewards_are_common():
    """The second moment, to which the rows needed are proportional, with the true means as predictions, at base 50%."""
    mu, pi, q = np.array([0.85, 0.15]), np.array([0.0, 1.0]), np.array([0.5, 0.525])
    action, reward = np.array([0, 0, 1, 1]), np.array([0.0, 1.0, 0.0, 1.0])
    chance = mu[action] * np.where(reward == 1, q[action], 1 - q[action])
    plain = (pi[action] / mu[action] - 1) * reward
    kappa = kappa_for(float(chance @ plain**2), 50_000)
    y = variable([[pi]] * 4, [mu] * 4, q, action, reward, [kappa])[:, 0]
    assert chance @ y == pytest.approx(chance @ plain)
    assert chance @ y**2 <= 0.6 * (chance @ plain**2)


def test_false_releases_stay_below_alpha_with_misleading_predictions():
    rng, runs, rows, alpha = np.random.default_rng(3), 20_000, 5_000, 0.01
    mu, pi, q = np.array([0.85, 0.15]), np.array([0.0, 1.0]), np.array([0.5, 0.5])
    action, reward = np.array([0, 0, 1, 1]), np.array([0.0, 1.0, 0.0, 1.0])
    chance = mu[action] * np.where(reward == 1, q[action], 1 - q[action])
    predicted = np.array([0.1, 1.0])
    kappa = kappa_for(0.5, rows)
    y = variable([[pi]] * 4, [mu] * 4, predicted, action, reward, [kappa])[:, 0]
    bets = default_bets(float(chance @ y**2), rows, alpha, bound=robust_bound(kappa))
    counts = rng.multinomial(rows, chance, size=runs).astype(np.float64)
    capital = Capital([bets] * runs)
    capital.sums, capital.count = counts @ np.log1p(np.multiply.outer(y, bets.fractions)), rows
    assert (capital.log_value >= math.log(1 / alpha)).mean() <= alpha
    # The negative control: whoever leaves out the residual believes the model, every time.
    direct = float((pi - mu) @ predicted)
    assert Capital(default_bets(direct**2, rows, alpha)).update(np.full(rows, direct)).log_value >= math.log(1 / alpha)


def test_batches_do_not_depend_on_how_they_are_cut(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(1)
    pi, mu = dirichlet(rng, (500, 3), 4), dirichlet(rng, (500,), 4) * 0.9 + 0.025
    arguments = pi, mu, rng.random((500, 4)), rng.integers(0, 4, 500), rng.random(500), [1.0, 2.0, 3.0]
    whole = variable(*arguments)
    monkeypatch.setattr(robust, "_NUMBERS_AT_ONCE", 100)
    assert np.array_equal(variable(*arguments), whole)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pmf": [[[0.6, 0.6]]]}, "sum to 1"),
        ({"pmf": [[[1.2, -0.2]]]}, "negative"),
        ({"pmf": [[[math.nan, 0.4]]]}, "sum to 1"),
        ({"production": [[0.2, 0.7]]}, "production must sum"),
        ({"production": [[0.0, 1.0]]}, "no probability"),
        ({"predicted": [0.5, 1.1]}, "predicted"),
        ({"predicted": [0.5, math.nan]}, "predicted"),
        ({"reward": [1.5]}, "bounds"),
        ({"reward": [math.nan]}, "bounds"),
        ({"action": [2]}, "indices"),
        ({"action": [0.0]}, "shapes"),
        ({"kappa": [0.5]}, "caps"),
        ({"kappa": [1.0, 2.0]}, "shapes"),
        ({"predicted": [0.5, 0.5, 0.5]}, "shapes"),
    ],
)
def test_bad_input_is_refused(change: dict[str, list], words: str):
    good = {
        "pmf": [[[0.6, 0.4]]],
        "production": [[0.2, 0.8]],
        "predicted": [0.5, 0.3],
        "action": [0],
        "reward": [1.0],
        "kappa": [2.0],
    }
    assert variable(**good).shape == (1, 1)
    with pytest.raises(GateError, match=words):
        variable(**{**good, **change})
