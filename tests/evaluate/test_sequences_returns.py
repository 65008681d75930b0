"""Scans along episodes against values by hand and plain loops, long and short, and at the ends of float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from jumar.evaluate import GateError
from jumar.evaluate.sequences import capped_rewards, cumulative_discount, returns_to_go, running_products
from jumar.evaluate.sequences.episodes import Episodes, sums_by_episode

# Two episodes, of three rows and of two.
STARTS = np.array([0, 3])
WEIGHT = np.array([2.0, 0.5, 3.0, 0.0, 4.0])
REWARD = np.array([1.0, 0.5, 1.0, 0.25, 1.0])
DISCOUNT = np.array([0.5, 0.25, 0.0, 0.5, math.nan])  # nobody knows what follows the last row


def test_values_by_hand():
    assert cumulative_discount(DISCOUNT, STARTS).tolist() == [1.0, 0.5, 0.125, 1.0, 0.5]
    assert running_products(WEIGHT, STARTS).tolist() == [2.0, 1.0, 3.0, 0.0, 0.0]
    # 1 + ½·(0.5 + ¼·1) = 1.375; 0.25 + ½·1 = 0.75.
    assert returns_to_go(REWARD, DISCOUNT, STARTS).tolist() == [1.375, 0.75, 1.0, 0.75, 1.0]
    # Discounted rewards 1, 0.25, 0.125 | 0.25, 0.5. A cap of 1.125 leaves 0.125 of the second and nothing of the third.
    assert capped_rewards(REWARD, DISCOUNT, STARTS, cap=1.125).tolist() == [1.0, 0.125, 0.0, 0.25, 0.5]
    assert capped_rewards(REWARD, DISCOUNT, STARTS, cap=0.5).tolist() == [0.5, 0.0, 0.0, 0.25, 0.25]


def by_loops(weight: Any, reward: Any, discount: Any, starts: Any, cap: float) -> tuple[list[float], ...]:
    ends = [*starts[1:], len(reward)]
    products, reaches, capped, to_go = [], [], [], [0.0] * len(reward)
    for begin, end in zip(starts, ends, strict=True):
        product, reach, total = 1.0, 1.0, 0.0
        for row in range(begin, end):
            product *= weight[row]
            products.append(product)
            reaches.append(reach)
            before = min(cap, total)
            total += reach * reward[row]
            capped.append(min(cap, total) - before)
            reach *= discount[row]
        following = 0.0
        for row in reversed(range(begin, end)):
            following = reward[row] + (discount[row] * following if row + 1 < end else 0.0)
            to_go[row] = following
    return products, reaches, capped, to_go


@settings(deadline=None, max_examples=80)
@given(seed=st.integers(0, 2**32 - 1), longest=st.sampled_from([1, 2, 3, 9, 200]))
def test_against_loops(seed: int, longest: int):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest + 1, rng.integers(1, 12))
    starts, rows = np.append(0, lengths.cumsum()[:-1]), int(lengths.sum())
    weight = rng.exponential(1.0, (rows, 3)) * (rng.random((rows, 3)) < 0.95)
    reward = rng.choice([0.0, 0.3, 1.0], rows)
    discount = rng.choice([0.0, 0.5, 0.9, 1.0], rows, p=[0.02, 0.18, 0.4, 0.4])
    cap = float(rng.choice([0.4, 2.0, 1e6]))
    products, reaches, capped, to_go = by_loops(weight[:, 1], reward, discount, starts, cap)
    assert_allclose(running_products(weight, starts)[:, 1], products, rtol=1e-11)
    assert_allclose(running_products(weight[:, 1], starts), products, rtol=1e-11)
    assert_allclose(cumulative_discount(discount, starts), reaches, rtol=1e-11)
    assert_allclose(returns_to_go(reward, discount, starts), to_go, rtol=1e-11)
    assert_allclose(capped_rewards(reward, discount, starts, cap=cap), capped, rtol=1e-9, atol=1e-12)


def test_a_million_rows_beside_short_episodes():
    """Twenty passes, closed forms, and no pass over what is done."""
    rows = 1_000_000
    starts = np.append(np.arange(0, 1_000, 2), 1_000)
    episodes = Episodes.of(starts, 1_000 + rows)
    passes = list(episodes.before())
    assert len(passes) == math.ceil(math.log2(rows))
    assert [step for step, _ in passes] == [2**j for j in range(20)]
    assert passes[-1][1].size < rows // 2
    place = np.arange(rows)
    gamma = np.full(1_000 + rows, 0.9999)
    assert_allclose(cumulative_discount(gamma, starts)[1_000:], 0.9999**place, rtol=1e-9)
    to_go = returns_to_go(np.ones(1_000 + rows), gamma, starts)
    assert_allclose(to_go[1_000:], (1.0 - 0.9999 ** (rows - place)) / (1.0 - 0.9999), rtol=1e-9)
    assert_allclose(to_go[:4], [1.9999, 1.0, 1.9999, 1.0])
    weight = np.where(np.arange(1_000 + rows) % 2 == 0, 1.1, 1.0 / 1.1)
    assert_allclose(running_products(weight, starts)[-2:], [1.1, 1.0], rtol=1e-9)
    capped = capped_rewards(np.ones(1_000 + rows), np.ones(1_000 + rows), starts, cap=1.5)
    assert capped[:4].tolist() == [1.0, 0.5, 1.0, 0.5]
    assert capped[1_000:1_003].tolist() == [1.0, 0.5, 0.0]


def test_products_pass_through_what_no_number_holds():
    up, down = np.full(1_000, 1e300), np.full(1_000, 1e-300)
    assert_allclose(running_products(np.concatenate([down, up]), [0])[-1], 1.0, rtol=1e-9)
    # Half of it is larger than any number, but the running product never is.
    assert_allclose(running_products(np.concatenate([down, up, [7.0]]), [0])[-1], 7.0, rtol=1e-9)
    with pytest.raises(GateError, match="larger than any number") as error:
        running_products(np.concatenate([[3.0], up]), [0, 1])
    assert error.value.count == 999
    assert error.value.example == "1e600 after 2 decisions"
    cut = running_products(np.concatenate([up, down, [0.0], up]), [0], most=1e12)
    assert cut[:1_000].tolist() == [1e12] * 1_000
    assert_allclose(cut[1_999], 1.0, rtol=1e-9)  # what was cut was the answer, not the way to it
    assert cut[2_000:].tolist() == [0.0] * 1_001


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_capped_rewards_know_the_past_only_and_fit_under_the_cap(seed: int):
    rng = np.random.default_rng(seed)
    rows, cap = 300, float(rng.choice([0.1, 3.0, 40.0]))
    reward, discount = rng.random(rows), np.full(rows, float(rng.choice([0.9, 1.0])))
    capped = capped_rewards(reward, discount, [0], cap=cap)
    assert capped.min() >= 0.0
    discounted = float((cumulative_discount(discount, [0]) * reward).sum())
    assert capped.sum() == pytest.approx(min(cap, discounted), rel=1e-12)
    changed = reward.copy()
    changed[150:] = rng.random(150)
    assert np.array_equal(capped_rewards(changed, discount, [0], cap=cap)[:150], capped[:150])


def test_sums_of_long_episodes_do_not_gather_roundings():
    values = np.full(2_000_001, 0.1)
    values[-1] = 5.0
    total = sums_by_episode(values, Episodes.of([0, 2_000_000], 2_000_001))
    assert abs(total[0] - 200_000.0) <= 1e-12 * 200_000.0
    assert total[1] == 5.0
    assert sums_by_episode(np.zeros(0), Episodes.of(np.zeros(0, np.int64), 0)).size == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: running_products(WEIGHT, [0, 7]), "begin at row 0"),
        (lambda: running_products(WEIGHT, [1, 3]), "begin at row 0"),
        (lambda: running_products(WEIGHT, [0, 3, 3]), "begin at row 0"),
        (lambda: running_products(WEIGHT, [0.0, 3.0]), "whole numbers"),
        (lambda: running_products(-WEIGHT, STARTS), "not negative"),
        (lambda: running_products([1.0, math.nan], [0]), "not negative"),
        (lambda: running_products(WEIGHT, STARTS, most=0.5), "1 or above"),
        (lambda: running_products(np.zeros((5, 1, 1)), STARTS), r"\[rows, candidates\]"),
        (lambda: cumulative_discount(DISCOUNT + 1.0, STARTS), r"\[0, 1\]"),
        (lambda: cumulative_discount([math.nan, 0.5], [0]), "finite"),
        (lambda: returns_to_go(2 * REWARD, DISCOUNT, STARTS), "declared bounds"),
        (lambda: returns_to_go(-REWARD, DISCOUNT, STARTS), "at least 0"),
        (lambda: returns_to_go(REWARD, DISCOUNT[:4], STARTS), "one number for each"),
        (lambda: capped_rewards(REWARD, DISCOUNT, STARTS, cap=0.0), "cap"),
        (lambda: capped_rewards(REWARD, DISCOUNT, STARTS, cap=math.inf), "cap"),
    ],
)
def test_what_cannot_be_is_refused(call: Any, words: str):
    with pytest.raises(GateError, match=words):
        call()
