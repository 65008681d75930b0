"""The gate's variables for sequences: by hand, exact means over every path, and bounds."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from jumar.evaluate import Capital, GateError, default_bets
from jumar.evaluate.sequences import (
    LARGEST_PRODUCT,
    capped_rewards,
    chi_square,
    cumulative_discount,
    episode_cost_variable,
    episode_variable,
    mixture_gain,
    single_deviation_variable,
    variable_bound,
)

from .paths import Floats, Paths, paths, random_policy, random_process

STARTS = np.array([0, 3])
WEIGHT = np.array([2.0, 0.5, 3.0, 0.0, 4.0])
REWARD = np.array([1.0, 0.5, 1.0, 0.25, 1.0])
DISCOUNT = np.array([0.5, 0.25, 0.0, 0.5, 0.0])
seeds = given(seed=st.integers(0, 2**32 - 1))


def test_episodes_by_hand():
    # ρ = 2, 1, 3 | 0, 0 and discounted rewards 1, 0.25, 0.125 | 0.25, 0.5, so under a cap of 1.25: 1, 0.25, 0 | …
    d = episode_variable(WEIGHT, REWARD, DISCOUNT, STARTS, cap=1.25)
    assert_allclose(d, [(1 * 1 + 0 * 0.25) / 1.25, -0.75 / 1.25], rtol=1e-15)
    # A margin of 0.2 adds 0.2·(1 + 0.25) and 0.2·0.75.
    d = episode_variable(WEIGHT, REWARD, DISCOUNT, STARTS, cap=1.25, margin=0.2)
    assert_allclose(d, [(1 + 0.25) / 1.25, (-0.75 + 0.15) / 1.25], rtol=1e-15)
    # Products cut at 2: ρ = 2, 1, 2, which changes nothing under this cap and −1/8 under none.
    assert episode_variable(WEIGHT, REWARD, DISCOUNT, STARTS, cap=2.0)[0] == pytest.approx((1 + 2 * 0.125) / 2)
    assert episode_variable(WEIGHT, REWARD, DISCOUNT, STARTS, cap=2.0, most=2.0)[0] == pytest.approx(1.125 / 2)


def test_one_deviation_by_hand():
    # What is left under a cap of 1.25 from each row on: 1.25, 0.25, 0 | 0.75, 0.5. M = 2.
    d = single_deviation_variable(WEIGHT, REWARD, DISCOUNT, STARTS, cap=1.25, most_per_unit=2)
    assert_allclose(d, [(1 * 1.25 - 0.5 * 0.25) / 2 / 1.25, (-1 * 0.75 + 3 * 0.5) / 2 / 1.25], rtol=1e-15)
    # Counted from the decision: 1.375, 0.75, 1 | 0.75, 1, cut at 1.25.
    d = single_deviation_variable(
        WEIGHT, REWARD, DISCOUNT, STARTS, cap=1.25, most_per_unit=2, counted_from="decision"
    )  # fmt: skip
    assert_allclose(d, [(1 * 1.25 - 0.5 * 0.75) / 2 / 1.25, (-1 * 0.75 + 3 * 1.0) / 2 / 1.25], rtol=1e-15)
    # Margins add 0.2 of the capped return, or of the mean over the first two decisions.
    d = single_deviation_variable(WEIGHT, REWARD, DISCOUNT, STARTS, cap=1.25, most_per_unit=2, margin=0.2)
    assert_allclose(d, [1.125 / 2.5 + 0.2 * 1.0, 0.75 / 2.5 + 0.2 * 0.6], rtol=1e-15)
    d = single_deviation_variable(
        WEIGHT, REWARD, DISCOUNT, STARTS, cap=1.25, most_per_unit=2, counted_from="decision", margin=0.2
    )
    assert_allclose(d, [0.875 / 2.5 + 0.2 * 2.0 / 2.5, 2.25 / 2.5 + 0.2 * 1.75 / 2.5], rtol=1e-15)


def test_costs_by_hand():
    # ρ up to the end = 3 | 0; under a cap of 2 episodes cost 1.375/2 and 0.75/2.
    d = episode_cost_variable(WEIGHT, REWARD, DISCOUNT, STARTS, cap=2.0)
    assert_allclose(d, [2.0 * (1 - 0.6875), -(1 - 0.375)], rtol=1e-15)
    d = episode_cost_variable(WEIGHT, REWARD, DISCOUNT, STARTS, cap=2.0, margin=0.2)
    assert_allclose(d, [2.0 * (1 - 0.6875) + 0.2 * 0.6875, -0.625 + 0.2 * 0.375], rtol=1e-15)
    # What is decided after the end of an episode has no weight in it: here it ended with the first row.
    d = episode_cost_variable(WEIGHT, REWARD, [0.0, 0.25, 0.0, 0.5, 0.0], STARTS, cap=2.0)
    assert d[0] == pytest.approx((2.0 - 1.0) * (1 - 0.5))
    assert episode_cost_variable(WEIGHT, REWARD, DISCOUNT, STARTS, cap=2.0, most=2.0)[0] == pytest.approx(0.3125)


def test_one_row_is_the_bandit():
    rng = np.random.default_rng(0)
    w, r, starts = rng.exponential(1.0, (50, 3)), rng.random(50), np.arange(50)
    for d in (
        episode_variable(w, r, np.zeros(50), starts, cap=1.0),
        single_deviation_variable(w, r, np.zeros(50), starts, cap=1.0, most_per_unit=1),
        single_deviation_variable(w, r, np.zeros(50), starts, cap=1.0, most_per_unit=1, counted_from="decision"),
    ):
        assert np.array_equal(d, (w - 1.0) * r[:, None])


def test_shards_stack_and_their_capitals_add():
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 30, 400)
    starts, rows = np.append(0, lengths.cumsum()[:-1]), int(lengths.sum())
    w, r, gamma = rng.exponential(1.0, (rows, 2)), rng.random(rows), rng.choice([0.8, 1.0], rows)
    cut, head = 150, int(starts[150])
    for variable in (
        lambda *given: episode_variable(*given, cap=5.0),
        lambda *given: single_deviation_variable(*given, cap=5.0, most_per_unit=10),
    ):
        whole = variable(w, r, gamma, starts)
        parts = (
            variable(w[:head], r[:head], gamma[:head], starts[:cut]),
            variable(w[head:], r[head:], gamma[head:], starts[cut:] - head),
        )
        assert np.array_equal(np.concatenate(parts), whole)
        assert_allclose(variable(w[:, 1], r, gamma, starts), whole[:, 1], rtol=1e-15)
        bets = [default_bets(0.5, 400, 0.001)] * 2
        both = Capital(bets).update(parts[0]) + Capital(bets).update(parts[1])
        assert_allclose(both.log_value, Capital(bets).update(whole).log_value, rtol=1e-9)


@settings(deadline=None, max_examples=40)
@seeds
def test_bounds_hold_and_smaller_weights_never_help(seed: int):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 60, 40)
    starts, rows = np.append(0, lengths.cumsum()[:-1]), int(lengths.sum())
    w = np.exp(rng.normal(0.0, 2.0, (rows, 2))) * (rng.random((rows, 2)) < 0.7)
    w[rng.random(rows) < 0.3] = 0.0
    r = rng.choice([0.0, 1.0, 0.37], rows)
    gamma, cap = rng.choice([0.5, 0.95, 1.0], rows), float(rng.choice([0.01, 0.7, 3.0, 1e3]))
    smaller = w * rng.random((rows, 2))
    for margin in (-0.3, 0.0, 0.05, 1.0):
        for variable in (
            lambda w, m=margin: episode_variable(w, r, gamma, starts, cap=cap, margin=m),
            lambda w, m=margin: single_deviation_variable(w, r, gamma, starts, cap=cap, most_per_unit=7, margin=m),
            lambda w, m=margin: single_deviation_variable(
                w, r, gamma, starts, cap=cap, most_per_unit=7, margin=m, counted_from="decision"
            ),
        ):
            d = variable(w)
            assert d.min() >= -variable_bound(margin) - 1e-12
            assert (variable(smaller) <= d + 1e-12 * (1 + np.abs(d))).all()
    cut = episode_variable(w, r, gamma, starts, cap=cap, most=1.5)
    assert (cut <= episode_variable(w, r, gamma, starts, cap=cap) + 1e-12).all()


def test_no_smaller_bound_would_do():
    nothing, all_, starts = np.zeros(4), np.ones(4), [0]
    assert episode_variable(nothing, all_, all_, starts, cap=4.0).tolist() == [-1.0]
    assert single_deviation_variable(nothing, all_, all_, starts, cap=1.0, most_per_unit=1).tolist() == [-1.0]
    assert variable_bound(-0.2) == 1.2
    assert episode_variable(nothing, all_, all_, starts, cap=4.0, margin=-0.2).tolist() == [-1.2]


def test_a_long_episode_that_loses_everything_is_still_within_the_bound():
    rows = 1_000_000
    r = np.random.default_rng(0).random(rows)
    d = episode_variable(np.zeros(rows), r, np.ones(rows), [0], cap=1_000.0)
    Capital(default_bets(0.1, 100, 0.001)).update(d)
    assert d[0] == pytest.approx(-1.0, abs=1e-12)
    w = np.full(rows, 1.01)  # 1.01^1,000,000 has 4,300 digits
    d = episode_variable(w, r, np.ones(rows), [0], cap=1e6)
    assert 0.0 < d[0] <= LARGEST_PRODUCT
    assert np.isfinite(Capital(default_bets(0.1, 100, 0.001)).update(d).log_value)


# Exact means, over every path of a process


def capped(path: Paths, cap: float) -> Floats:
    return np.minimum(path.returns(), cap)


@settings(deadline=None, max_examples=25)
@seeds
def test_means_of_whole_policies_are_exact(seed: int):
    rng = np.random.default_rng(seed)
    process = random_process(rng)
    production, policy = 0.9 * random_policy(rng) + 0.05, random_policy(rng)
    path = paths(process)
    cap, margin = float(rng.choice([0.6, 1.3, 3.0])), float(rng.choice([0.0, 0.1, -0.2]))
    d = episode_variable(
        path.weight(policy, production), path.reward, path.discount, path.starts, cap=cap, margin=margin
    )  # fmt: skip
    brought = capped(path, cap)
    gain = path.chance(policy) @ brought - (1.0 - margin) * (path.chance(production) @ brought)
    assert path.chance(production).sum() == pytest.approx(1.0)
    assert path.chance(production) @ d == pytest.approx(gain / cap, abs=1e-12)


@settings(deadline=None, max_examples=25)
@seeds
def test_means_of_one_deviation_are_exact(seed: int):
    rng = np.random.default_rng(seed)
    process = random_process(rng)
    production, policy = 0.9 * random_policy(rng) + 0.05, random_policy(rng)
    path = paths(process)
    cap, margin = float(rng.choice([0.6, 1.3, 3.0])), float(rng.choice([0.0, 0.1, -0.2]))
    columns = path.weight(policy, production), path.reward, path.discount, path.starts
    chance, brought = path.chance(production), capped(path, cap)
    for most in (1, 2, 3, 5):  # episodes have three decisions at most: numbers 3 and 4 are never reached
        d = single_deviation_variable(*columns, cap=cap, most_per_unit=most, margin=margin)
        gain = path.chance_of_one(policy, production, most) @ brought - (1.0 - margin) * (chance @ brought)
        assert chance @ d == pytest.approx(gain / cap, abs=1e-12)
        d = single_deviation_variable(*columns, cap=cap, most_per_unit=most, margin=margin, counted_from="decision")
        assert chance @ d == pytest.approx(
            from_the_decision(path, policy, production, cap, most, margin) / cap, abs=1e-12
        )  # fmt: skip


def from_the_decision(path: Paths, policy: Floats, production: Floats, cap: float, most: int, margin: float) -> float:
    """What it gains in the return from the drawn decision on, by loops."""
    ends = [*path.starts[1:], path.state.size]
    total = 0.0
    for n in range(most):
        other, usual = policy[path.state, path.action], production[path.state, path.action]
        there = np.where(path.position == n, other, usual)
        for i, (begin, end) in enumerate(zip(path.starts, ends, strict=True)):
            if begin + n >= end:
                continue
            rest, reach = 0.0, 1.0
            for row in range(begin + n, end):
                rest += reach * path.reward[row]
                reach *= path.discount[row]
            chances = np.prod(there[begin:end]) - (1.0 - margin) * np.prod(usual[begin:end])
            total += path.nature[i] * chances * min(cap, rest) / most
    return total


@settings(deadline=None, max_examples=25)
@seeds
def test_actions_that_production_never_takes_only_hide_gains(seed: int):
    rng = np.random.default_rng(seed)
    process = random_process(rng, actions=3)
    production, policy = random_policy(rng, actions=3), random_policy(rng, actions=3)
    production[rng.integers(0, 2), rng.integers(0, 3)] = 0.0
    production /= production.sum(axis=1, keepdims=True)
    path, cap = paths(process), 1.4
    seen = path.chance(production) > 0
    w = np.divide(
        policy[path.state, path.action],
        production[path.state, path.action],
        out=np.full(path.state.size, 7.0),  # such rows are in no log
        where=production[path.state, path.action] > 0,
    )
    chance, brought = path.chance(production), capped(path, cap)
    columns = w, path.reward, path.discount, path.starts
    d = episode_variable(*columns, cap=cap)
    assert chance[seen] @ d[seen] <= (path.chance(policy) - chance) @ brought / cap + 1e-12
    d = single_deviation_variable(*columns, cap=cap, most_per_unit=3)
    gain = (path.chance_of_one(policy, production, 3) - chance) @ brought
    assert chance[seen] @ d[seen] <= gain / cap + 1e-12


@settings(deadline=None, max_examples=25)
@seeds
def test_one_deviation_scatters_like_single_weights(seed: int):
    """E[D²] ≤ E[Σ χ²]/M, however long the episode; D of the whole policy may scatter far more."""
    rng = np.random.default_rng(seed)
    production, policy = 0.9 * random_policy(rng) + 0.05, random_policy(rng)
    path = paths(random_process(rng, decisions=4))
    chance, chi = path.chance(production), chi_square(policy, production)[path.state]
    columns = path.weight(policy, production), path.reward, path.discount, path.starts
    for most in (1, 4, 6):
        d = single_deviation_variable(*columns, cap=1.5, most_per_unit=most)
        single = np.add.reduceat(np.where(path.position < most, chi, 0.0), path.starts) / most
        assert chance @ d**2 <= chance @ single + 1e-12


def test_where_less_is_wanted():
    """1 − C/cap as the only reward of the last row: the mean is what the policy saves."""
    rng = np.random.default_rng(4)
    path = paths(random_process(rng))
    production, policy = np.array([[0.6, 0.4], [0.3, 0.7]]), random_policy(rng)
    spent, good = capped(path, 1.5), np.zeros(path.state.size)
    good[np.append(path.starts[1:], path.state.size) - 1] = 1.0 - spent / 1.5
    d = episode_variable(path.weight(policy, production), good, np.ones(good.size), path.starts, cap=1.0)
    assert d.min() >= -1.0
    saved = (path.chance(production) - path.chance(policy)) @ spent / 1.5
    assert path.chance(production) @ d == pytest.approx(saved, abs=1e-12)
    columns = path.weight(policy, production), path.reward, path.discount, path.starts
    for margin in (-1.0, -0.4, 0.0, 0.3):
        d = episode_cost_variable(*columns, cap=1.5, margin=margin)
        assert d.min() >= -max(1.0, -margin)
        expected = saved + margin * (path.chance(production) @ spent) / 1.5
        assert path.chance(production) @ d == pytest.approx(expected, abs=1e-12)
    smaller = (0.5 * columns[0], *columns[1:])
    assert (episode_cost_variable(*smaller, cap=1.5) <= episode_cost_variable(*columns, cap=1.5)).all()


# What cannot be


def test_production_itself_gives_nothing():
    rng = np.random.default_rng(2)
    r, gamma, starts = rng.random(100), np.full(100, 0.9), np.arange(0, 100, 5)
    for d in (
        episode_variable(np.ones(100), r, gamma, starts, cap=2.0),
        single_deviation_variable(np.ones(100), r, gamma, starts, cap=2.0, most_per_unit=5),
    ):
        assert not d.any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cap": 0.0}, "cap"),
        ({"cap": math.nan}, "cap"),
        ({"margin": 1.5}, "margin"),
        ({"margin": math.nan}, "margin"),
        ({"weight": WEIGHT[:4]}, "rows"),
        ({"weight": np.full(5, math.inf)}, "not negative"),
        ({"reward": REWARD + 1.0}, "declared bounds"),
        ({"discount": DISCOUNT - 1.0}, "at least 0"),
        ({"starts": [3, 0]}, "begin at row 0"),
    ],
)
def test_bad_input_is_refused(change: dict[str, Any], words: str):
    good: dict[str, Any] = {
        "weight": WEIGHT,
        "reward": REWARD,
        "discount": DISCOUNT,
        "starts": STARTS,
        "cap": 1.0,
        "margin": 0.0,
    }
    assert episode_variable(**good).shape == (2,)
    with pytest.raises(GateError, match=words):
        episode_variable(**good | change)
    costs = {("cost" if name == "reward" else name): value for name, value in (good | change).items()}
    if change.get("margin") != 1.5:  # a cost may be allowed to grow by more than all of itself
        with pytest.raises(GateError, match=words):
            episode_cost_variable(**costs)
    for since in ("start", "decision"):
        with pytest.raises(GateError, match=words):
            single_deviation_variable(**good | change, most_per_unit=2, counted_from=since)


def test_bad_settings_are_refused():
    columns = WEIGHT, REWARD, DISCOUNT, STARTS
    with pytest.raises(GateError, match="at least one decision"):
        single_deviation_variable(*columns, cap=1.0, most_per_unit=0)
    with pytest.raises(GateError, match="'start' or 'decision'"):
        single_deviation_variable(*columns, cap=1.0, most_per_unit=1, counted_from="end")  # pyright: ignore[reportArgumentType]
    for most in (0.5, math.inf, math.nan):
        with pytest.raises(GateError, match="1 or above"):
            episode_variable(*columns, cap=1.0, most=most)
    for share, most, production in ((1.5, 2, 1.0), (0.5, 0, 1.0), (0.5, 2, -1.0)):
        with pytest.raises(GateError, match="mixture"):
            mixture_gain(0.1, share, most_per_unit=most, production=production)


def test_no_episodes_give_no_rows():
    nothing, starts = np.zeros(0), np.zeros(0, dtype=np.int64)
    assert episode_variable(np.zeros((0, 3)), nothing, nothing, starts, cap=1.0).shape == (0, 3)
    assert single_deviation_variable(nothing, nothing, nothing, starts, cap=1.0, most_per_unit=1).shape == (0,)
    assert cumulative_discount(nothing, starts).shape == (0,)
    assert capped_rewards(nothing, nothing, starts, cap=1.0).shape == (0,)


def test_first_decisions_of_a_unit_are_those_that_count():
    """Rows beyond M carry no weight of their own, but what they bring belongs to the decisions before them."""
    rng = np.random.default_rng(3)
    w, r = rng.exponential(1.0, 10), rng.random(10)
    other = np.where(np.arange(10) < 4, w, rng.exponential(1.0, 10))
    both = [single_deviation_variable(x, r, np.ones(10), [0], cap=10.0, most_per_unit=4)[0] for x in (w, other)]
    assert both[0] == both[1]
    rest = [r[t:].sum() for t in range(4)]
    assert both[0] == pytest.approx(sum((w[t] - 1) * rest[t] for t in range(4)) / 40)
    assert all(a > b for a, b in pairwise(rest))
