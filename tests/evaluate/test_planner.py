"""The planner against values by hand, brute force, itself, and simulated logs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jumar.evaluate import GateError, default_bets, detectable_gain, exploration_second_moment, rows_needed
from jumar.evaluate.planning import Law, Tally, predicted, rows_for, rows_to_explore, supposed


def greedy_law(base: float, relative: float, explored: float) -> tuple[np.ndarray, np.ndarray]:
    """Values of d and their probabilities: always the other of two actions, tried with probability ``explored``."""
    lose, win = (1 - explored) * base, explored * base * (1 + relative)
    return np.array([-1.0, 1 / explored - 1, 0.0]), np.array([lose, win, 1 - lose - win])


def share_that_passes(values: np.ndarray, p: np.ndarray, rows: int, alpha: float) -> float:
    bets = default_bets(float(p @ values**2), rows, 0.001)
    counts = np.random.default_rng(0).multinomial(rows, p, size=4_000)
    growth = counts @ np.log1p(np.outer(values, bets.fractions)) + bets.log_prior
    top = growth.max(axis=1)
    return float((top + np.log(np.exp(growth - top[:, None]).sum(axis=1)) >= math.log(1 / alpha)).mean())


def test_rows_by_hand():
    # (sqrt(2·(ln 1000 + ½)) + 0.8416)² · 0.1 / 0.01² = 22,003
    assert rows_needed(0.01, 0.1, 0.001) == pytest.approx(22_003, abs=5)


def test_detectable_gain_inverts_rows_needed():
    rows = rows_needed(0.003, 0.2, 0.01, power=0.9)
    assert detectable_gain(rows, 0.2, 0.01, power=0.9) == pytest.approx(0.003, rel=1e-4)


CELLS = [(0.05, 0.2, 0.15, 0.001), (0.3, 0.1, 0.05, 0.01), (0.05, 0.1, 0.05, 1e-4), (0.02, 0.2, 0.025, 0.05)]


@pytest.mark.parametrize(("base", "relative", "explored", "alpha"), CELLS)
def test_planned_power_is_reached(base: float, relative: float, explored: float, alpha: float):
    values, p = greedy_law(base, relative, explored)
    rows = rows_needed(float(p @ values), float(p @ values**2), alpha)
    assert 0.74 <= share_that_passes(values, p, rows, alpha) <= 0.9


@pytest.mark.parametrize(("base", "relative", "explored", "alpha"), CELLS)
@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
def test_power_planned_from_the_law_is_the_power(
    base: float, relative: float, explored: float, alpha: float, power: float
):
    values, p = greedy_law(base, relative, explored)
    rows = rows_for(Law.of(values + 1, 1.0, p), alpha, power)
    assert share_that_passes(values, p, rows, alpha) == pytest.approx(power, abs=0.03)


def test_large_rare_weights_need_fewer_rows_than_their_second_moment_says():
    # +67% where 30% of the decisions change: the bets of the small gate grow by the rare large weights.
    values, p = greedy_law(0.1, 0.67, 0.025)
    rows = rows_for(Law.of(values + 1, 1.0, p), 0.05)
    assert rows < 0.8 * rows_needed(float(p @ values), float(p @ values**2), 0.05)
    assert share_that_passes(values, p, rows, 0.05) == pytest.approx(0.8, abs=0.03)


def test_the_booster_needs_a_little_more_than_a_test_that_knows_the_spread():
    values, p = greedy_law(0.05, 0.05, 0.15)
    law, gain, square = Law.of(values + 1, 1.0, p), float(p @ values), float(p @ values**2)
    t_test = square * ((3.0902 + 0.8416) / gain) ** 2  # α = 0.001
    boosted = rows_for(law, 0.001, boosted=True)
    assert t_test < boosted < 1.25 * t_test < rows_for(law, 0.001)


def test_second_moment_of_exploration_against_enumeration():
    # ε = 0.4, four actions: favourite 0.7, others 0.1. Elsewhere: 0.9·1 + 0.1·81 = 9. Same: 0.3 + 0.7·(3/7)².
    assert exploration_second_moment(0.4, 4, 1.0, 1.0) == pytest.approx(9.0)
    assert exploration_second_moment(0.4, 4, 0.0, 1.0) == pytest.approx(0.3 + 0.7 * (3 / 7) ** 2)


def test_more_exploration_needs_fewer_rows():
    rows = [rows_to_explore(0.0025, 0.001, exploration=e, actions=3, reward_square=0.05) for e in (0.05, 0.1, 0.3)]
    assert rows[0] > rows[1] > rows[2] > 0


def test_nonsense_is_refused():
    for arguments in ((0.0, 0.1, 0.001), (0.1, 0.0, 0.001), (0.1, 0.1, 1.0)):
        with pytest.raises(GateError):
            rows_needed(*arguments)
    with pytest.raises(GateError):
        detectable_gain(0, 0.1, 0.001)
    with pytest.raises(GateError):
        rows_to_explore(0.1, 0.001, exploration=0.0, actions=3, reward_square=0.1)
    with pytest.raises(GateError, match="above zero"):
        rows_for(Law.of([0.0, 2.0], [1.0, 0.0], 0.5), 0.001)
    with pytest.raises(GateError, match="at least one row"):
        Law.of([], [], [])


# The law of d


def test_a_law_by_hand():
    law = Law.of(weight=[0.0, 4.0, 4.0], reward=[1.0, 0.5, 0.0], count=[6, 2, 2])
    assert law.gain == pytest.approx(-0.6 + 0.2 * 1.5)
    assert law.second_moment == pytest.approx(0.6 + 0.2 * 2.25)
    assert law.greatest_gain == pytest.approx(-0.6 + 0.4 * 1.5)


@given(st.integers(1, 300), st.integers(0, 10_000), st.booleans())
def test_putting_alike_rows_together_keeps_the_gain(rows: int, seed: int, robust: bool):
    rng = np.random.default_rng(seed)
    w, r = rng.lognormal(0.0, 2.0, rows) * (rng.random(rows) < 0.8), rng.random(rows) * (rng.random(rows) < 0.5)
    offset = -(w - 1) * 0.3 if robust else 0.0
    y = (w - 1) * r + offset
    law = Law.of(w, r, 1.0, offset)
    values, probability = law.points()
    assert law.probability.sum() == pytest.approx(1.0)
    assert law.gain == pytest.approx(float(y.mean()), rel=1e-9, abs=1e-9)
    assert law.second_moment == pytest.approx(float((y**2).mean()), rel=2e-3, abs=1e-12)
    assert probability @ values == pytest.approx(law.gain, rel=1e-9, abs=1e-9)


def test_a_tilt_of_zeros_and_ones_only_changes_how_often():
    # w = 9 with probability 0.1 and w = 0 with 0.9; every second reward is 1. The tilt of the mean to 0.02 by hand:
    # P(r = 1 | w = 9) = s(8θ), P(r = 1 | w = 0) = s(−θ), s the logistic function, and 0.8·s(8θ) − 0.9·s(−θ) = 0.02.
    law = Law.of([9.0, 9.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0], [0.05, 0.05, 0.45, 0.45]).with_gain(0.02)
    theta = np.linspace(0, 0.2, 2_000_001)
    theta = theta[np.argmin(np.abs(0.8 / (1 + np.exp(-8 * theta)) - 0.9 / (1 + np.exp(theta)) - 0.02))]
    by_hand = {(9.0, 1.0): 0.1 / (1 + math.exp(-8 * theta)), (0.0, 1.0): 0.9 / (1 + math.exp(theta))}
    found = {(w, r): p for w, r, p in zip(law.weight, law.reward, law.probability, strict=True) if r}
    assert found == pytest.approx(by_hand, abs=1e-6)
    assert law.gain == pytest.approx(0.02, abs=1e-12)


@given(st.integers(0, 10_000), st.floats(-0.95, 0.95))
def test_a_tilt_reaches_any_gain_that_there_can_be_and_leaves_the_weights(seed: int, place: float):
    rng = np.random.default_rng(seed)
    weight, reward = np.repeat([0.0, 0.5, 3.0, 40.0], 50), rng.random(200) ** 3
    law = Law.of(weight, reward, np.repeat([0.7, 0.2, 0.08, 0.02], 50))
    gain = place * (law.greatest_gain if place > 0 else 0.1)
    tilted = law.with_gain(gain)
    assert tilted.gain == pytest.approx(gain, abs=1e-9)
    for one in (0.0, 0.5, 3.0, 40.0):
        alike = np.isclose(law.weight, one)
        assert tilted.probability[alike].sum() == pytest.approx(law.probability[alike].sum())


def test_no_tilt_goes_beyond_the_greatest_gain():
    law = Law.of([0.0, 5.0, 5.0], [0.5, 1.0, 0.0], [0.8, 0.1, 0.1])
    with pytest.raises(GateError, match="that gain"):
        law.with_gain(law.greatest_gain * 1.001)


# Policies that are only supposed


def two_actions(rate: float, base: float = 0.2) -> Tally:
    """An ε-greedy production whose rewards are 1 with probability ``base`` whatever it does."""
    mu = np.array([1 - rate / 2, rate / 2])
    return Tally(
        propensity=np.tile(mu, 2),
        favourite=np.array([True, False] * 2),
        reward=np.repeat([1.0, 0.0], 2),
        count=1e6 * np.concatenate([mu * base, mu * (1 - base)]),
        actions=2,
    )


def test_a_supposed_policy_by_hand():
    tally = two_actions(0.3)
    assert (tally.exploration, tally.led, tally.floor) == pytest.approx((0.3, 1.0, 0.05))
    # Elsewhere w = 0.95/0.15 and 0.05/0.85; where both agree 0.95/0.85 and 0.05/0.15. Rewards: E[r²] = 0.2.
    elsewhere = 0.15 * (0.95 / 0.15 - 1) ** 2 + 0.85 * (0.05 / 0.85 - 1) ** 2
    same = 0.85 * (0.95 / 0.85 - 1) ** 2 + 0.15 * (0.05 / 0.15 - 1) ** 2
    law = supposed(tally, 0.3)
    assert law.second_moment == pytest.approx(0.2 * (0.3 * elsewhere + 0.7 * same))
    assert law.gain == pytest.approx(0.0, abs=1e-12)
    assert law.probability @ law.weight == pytest.approx(1.0)


def test_evenly_drawn_actions_leave_nothing_unchanged():
    # Three actions at a third each: w = 0.9333·3 with probability a third, else 0.0333·3.
    tally = Tally(np.full(2, 1 / 3), np.zeros(2, bool), np.array([1.0, 0.0]), np.array([3e5, 7e5]), 3)
    law = supposed(tally, 0.3)
    assert law.second_moment == pytest.approx(0.3 * ((2.8 - 1) ** 2 / 3 + (0.1 - 1) ** 2 * 2 / 3))
    assert tally.exploration == 1.0


def test_decisions_that_were_certain_cannot_change():
    half = two_actions(0.3)
    tally = Tally(
        np.append(half.propensity, 1.0),
        np.append(half.favourite, True),
        np.append(half.reward, 0.2),
        np.append(half.count, half.count.sum() * 3),
        2,
    )
    whole, open_ = supposed(tally, 1.0), supposed(half, 1.0)
    assert whole.second_moment == pytest.approx(open_.second_moment / 4)
    assert tally.exploration == pytest.approx(0.3 / 4)


def test_many_actions_against_brute_force():
    """Softmax production over five actions, favourites known: draw contexts, policies and actions one by one."""
    rng = np.random.default_rng(5)
    rows, actions, changed = 400_000, 5, 0.4
    logits = 1.2 * rng.normal(size=(rows, actions))
    mu = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    mu = 0.8 * mu + 0.2 / actions
    every = np.arange(rows)
    action = (rng.random((rows, 1)) > np.cumsum(mu, axis=1)).sum(axis=1)
    best = mu.argmax(axis=1)
    reward = (rng.random(rows) < 0.1 + 0.05 * action).astype(float)
    tally = Tally(mu[every, action], action == best, reward, np.ones(rows), actions)
    other = (best + rng.integers(1, actions, rows)) % actions
    taken = np.where(rng.random(rows) < changed, other, best)
    pi = np.minimum(tally.floor, mu)
    pi[every, taken] += 1 - pi.sum(axis=1)
    d = (pi[every, action] / mu[every, action] - 1) * reward
    law = supposed(tally, changed)
    assert law.second_moment == pytest.approx(float((d**2).mean()), rel=0.03)
    assert law.gain == pytest.approx(0.0, abs=4 * float(d.std()) / math.sqrt(rows) + 0.02)


def test_nothing_explored_is_refused_and_can_be_supposed():
    tally = Tally(np.ones(2), np.ones(2, bool), np.array([1.0, 0.0]), np.array([2e5, 8e5]), 2)
    assert tally.deterministic
    assert tally.exploration == 0.0
    with pytest.raises(GateError, match="nothing was explored"):
        supposed(tally, 0.3)
    assert supposed(tally.explored(0.3), 0.3).second_moment == pytest.approx(
        supposed(two_actions(0.3), 0.3).second_moment
    )


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3, 0.7])
def test_other_exploration_is_what_a_log_would_have_shown(rate: float):
    other, real = two_actions(0.3).explored(rate), two_actions(rate)
    for name in ("propensity", "count", "favourite", "reward"):
        assert getattr(other, name) == pytest.approx(getattr(real, name))
    assert other.exploration == pytest.approx(rate)


def test_other_exploration_of_even_draws_supposes_a_favourite():
    tally = Tally(np.full(2, 0.5), np.zeros(2, bool), np.array([1.0, 0.0]), np.array([2e5, 8e5]), 2)
    assert tally.explored(0.3).exploration == pytest.approx(0.3)
    assert tally.explored(0.3).law(0.3).second_moment == pytest.approx(two_actions(0.3).law(0.3).second_moment)


def test_predicting_the_mean_takes_out_what_rewards_share():
    law = supposed(two_actions(0.3, base=0.5), 0.3)
    y = predicted(law, 0.5, math.inf, 10.0)
    assert y.gain == pytest.approx(0.0, abs=1e-9)
    assert y.second_moment == pytest.approx(law.second_moment / 2)  # E[(r − ½)²] is half of E[r²]
