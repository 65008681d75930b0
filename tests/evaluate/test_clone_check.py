"""The clone check: yes for production itself, no for a different policy, and no for want of data."""

from __future__ import annotations

import numpy as np
import pytest

from jumar.evaluate import GateError, check_clone


def logged(rows: int, seed: int = 0, *, spoil: float = 0.0):
    """Production's pmf, a clone of it (exact, or tilted by ``spoil``), actions, propensities, rewards."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1, (rows, 3))
    mu = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    action = (rng.random(rows)[:, None] > mu.cumsum(axis=1)).sum(axis=1).clip(max=2)
    reward = (rng.random(rows) < 0.1 + 0.2 * (action == 1)).astype(float)
    clone = mu * np.exp(spoil * np.array([0.0, 1.0, 0.0]))
    return clone / clone.sum(axis=1, keepdims=True), action, mu[np.arange(rows), action], reward


@pytest.mark.parametrize("with_propensities", [True, False])
def test_production_is_equivalent_to_itself(with_propensities: bool):
    clone, action, mu, reward = logged(100_000)
    check = check_clone(pmf=clone, action=action, propensity=mu if with_propensities else None, reward=reward)
    assert check.equivalent
    assert check.sentence.startswith("equivalent to production: yes")
    assert -check.tolerance <= check.value_lower <= check.value_difference <= check.value_upper <= check.tolerance
    assert (check.entropy is None) == (not with_propensities)
    if with_propensities:
        assert (check.value_difference, check.calibration) == pytest.approx((0.0, 0.0), abs=1e-12)
        assert check.log_loss == pytest.approx(check.entropy)
    else:
        assert "without logged propensities" in check.sentence


@pytest.mark.parametrize("with_propensities", [True, False])
def test_another_policy_is_not(with_propensities: bool):
    clone, action, mu, reward = logged(100_000, spoil=0.5)
    check = check_clone(pmf=clone, action=action, propensity=mu if with_propensities else None, reward=reward)
    assert not check.equivalent
    assert "its value" in check.sentence
    assert check.value_lower > 0
    truth = 0.2 * (clone[:, 1] - logged(100_000)[0][:, 1]).mean()
    assert check.value_difference == pytest.approx(truth, abs=0.006)


def test_little_data_means_no():
    clone, action, mu, reward = logged(150)
    assert not check_clone(pmf=clone, action=action, propensity=None, reward=reward).equivalent
    assert not check_clone(pmf=clone, action=action, propensity=mu, reward=reward).equivalent


def test_figures_by_hand():
    check = check_clone(
        pmf=[[0.8, 0.2], [0.4, 0.6]], action=np.array([0, 0]), propensity=[0.5, 0.5], reward=[1.0, 0.5],
        reward_low=10.0, reward_high=20.0,
    )  # fmt: skip
    assert check.log_loss == pytest.approx(-(np.log(0.8) + np.log(0.4)) / 2)
    assert check.entropy == pytest.approx(np.log(2))
    assert (check.agreement, check.expected_agreement, check.calibration) == pytest.approx((0.5, 0.7, 0.2))
    # ((0.8/0.5 − 1)·1 + (0.4/0.5 − 1)·0.5)/2 = 0.25 of a range of 10
    assert check.value_difference == pytest.approx(2.5)
    # 1% of the production value 17.5 is more than 1% of the spread 2.5.
    assert check.tolerance == pytest.approx(0.175)


def test_rewards_without_spread_or_mean():
    clone, action, mu, _ = logged(5_000)
    check = check_clone(pmf=clone, action=action, propensity=mu, reward=np.zeros(5_000))
    assert "per decision" in check.sentence


def test_bad_rows_raise():
    clone, action, mu, reward = logged(10)
    for changes in (
        {"pmf": clone * 2},
        {"propensity": mu * 0},
        {"reward": reward + 2},
        {"action": action[:3]},
    ):
        arguments = {"pmf": clone, "action": action, "propensity": mu, "reward": reward} | changes
        with pytest.raises(GateError):
            check_clone(**arguments)
