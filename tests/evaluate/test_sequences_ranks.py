"""Rank intervals: by hand, how often they hold the true ranks with and without ties, and what breaks them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from jumar.evaluate import GateError
from jumar.evaluate.sequences import RankIntervals, rank_intervals
from jumar.evaluate.sequences.ranks import student_tail


def test_by_hand():
    """The first two are equal, the third is far behind, the fourth differs wildly from unit to unit."""
    rng = np.random.default_rng(0)
    base = rng.random(200)
    wild = np.where(np.arange(200) % 2 == 0, 30.0, -30.0)
    y = np.stack([base, base + rng.normal(0, 0.1, 200), base - 1.0 + rng.normal(0, 0.1, 200), wild], axis=1)
    found = rank_intervals(y)
    assert found.best == [1, 1, 3, 1]
    assert found.worst == [3, 3, 4, 4]
    assert found.may_lead == [0, 1, 3]
    assert_allclose(found.value, y.mean(axis=0))
    assert (found.units, found.confidence) == (200, 0.95)
    clear = rank_intervals(y[:, [2, 0]], confidence=0.999)
    assert (clear.best, clear.worst) == ([2, 1], [2, 1])
    alone = rank_intervals(y[:, :1])
    assert (alone.best, alone.worst) == ([1], [1])


def test_pairs_are_compared_on_the_same_units():
    """What units share does not count: a difference of 0.01 beside a spread of 10."""
    rng = np.random.default_rng(1)
    shared = rng.normal(0.0, 10.0, 400)
    y = np.stack([shared, shared + 0.01 + rng.normal(0.0, 0.01, 400)], axis=1)
    assert rank_intervals(y).worst == [2, 1]
    apart = np.stack([shared, rng.permutation(y[:, 1])], axis=1)
    assert (rank_intervals(apart).best, rank_intervals(apart).worst) == ([1, 1], [2, 2])


def test_policies_that_never_differ_share_their_ranks():
    y = np.repeat(np.random.default_rng(2).random((50, 1)), 3, axis=1)
    found = rank_intervals(y)
    assert (found.best, found.worst) == ([1, 1, 1], [3, 3, 3])
    constant = rank_intervals(np.stack([y[:, 0], y[:, 0] + 0.25], axis=1))
    assert (constant.best, constant.worst) == ([2, 1], [2, 1])


def true_ranks(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best and worst rank that ties allow."""
    best = 1 + (value[None, :] > value[:, None]).sum(axis=1)
    return best, value.size - (value[None, :] < value[:, None]).sum(axis=1)


def hold(found: RankIntervals, value: np.ndarray) -> bool:
    best, worst = true_ranks(value)
    return bool(np.all(np.array(found.best) <= best) and np.all(np.array(found.worst) >= worst))


@pytest.mark.parametrize(
    "value",
    [np.zeros(6), np.array([0.0, 0.0, 0.3, 0.3, 0.3, 1.0]), np.linspace(0.0, 0.5, 6), np.zeros(2)],
    ids=["all tie", "some tie", "none tie", "two"],
)
def test_all_intervals_hold_the_true_ranks_often_enough(value: np.ndarray):
    """600 draws of 100 correlated and skewed units; intervals from unpaired ranks of means do not hold."""
    rng, held, naive, wide = np.random.default_rng(3), 0, 0, 0
    for _ in range(600):
        shared = rng.exponential(1.0, (100, 1))
        y = value + 0.5 * shared + rng.exponential(1.0, (100, value.size))
        found = rank_intervals(y, confidence=0.9)
        held += hold(found, value)
        order = 1 + (y.mean(axis=0)[None, :] > y.mean(axis=0)[:, None]).sum(axis=1)
        naive += hold(RankIntervals(value=[], best=order, worst=order, confidence=0.9, units=100), value)  # pyright: ignore[reportArgumentType]
        wide += sum(found.worst) - sum(found.best)
    assert held >= 0.9 * 600
    assert naive <= 0.7 * 600
    if value[-1] == 1.0:
        assert wide / 600 < 18  # of 30 if nothing were told apart, and 8 that ties leave
    elif value[-1] == 0.0:
        assert held < 600  # the confidence is used, not given away


def test_each_pair_by_itself_breaks_it():
    """Fifteen comparisons of equals, each at the full error, tell some apart in every second draw."""
    rng, wrong = np.random.default_rng(4), 0
    for _ in range(300):
        y = rng.exponential(1.0, (100, 6))
        pairs = [rank_intervals(y[:, [j, k]], confidence=0.9) for j in range(6) for k in range(j)]
        wrong += any(one.best != [1, 1] for one in pairs)
    assert wrong > 0.3 * 300


@pytest.mark.parametrize("freedom", [29, 60, 1_000, 10**6])
def test_the_tail_is_that_of_student(freedom: int):
    for t in (-3.0, -0.1, 0.0, 0.5, 2.0, 4.5, 9.0, 30.0):
        rel = 1e-6 if t < 9 else 1e-3
        assert student_tail(t, freedom) == pytest.approx(stats.t.sf(t, freedom), rel=rel, abs=1e-200)
    assert student_tail(math.inf, freedom) == 0.0


def test_holm_by_brute_force():
    """Against Holm's procedure from its definition: the smallest p first, each against what is left."""
    rng = np.random.default_rng(5)
    y = rng.normal(0.0, 1.0, (80, 5)) + np.array([0.0, 0.1, 0.3, 0.5, 0.9])
    p = {
        (j, k): float(stats.ttest_rel(y[:, j], y[:, k], alternative="greater").pvalue)  # pyright: ignore[reportAttributeAccessIssue]
        for j in range(5)
        for k in range(5)
        if j != k
    }
    better: set[tuple[int, int]] = set()
    while (left := {pair: value for pair, value in p.items() if pair not in better}) and min(
        left.values()
    ) <= 0.1 / len(left):
        better.add(min(left, key=left.__getitem__))
    found = rank_intervals(y, confidence=0.9)
    assert found.best == [1 + sum((j, k) in better for j in range(5)) for k in range(5)]
    assert found.worst == [5 - sum((j, k) in better for k in range(5)) for j in range(5)]
    assert 0 < len(better) < 10


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: rank_intervals(np.zeros((29, 2))), "at least 30 units"),
        (lambda: rank_intervals(np.zeros(40)), "finite values"),
        (lambda: rank_intervals(np.zeros((40, 0))), "finite values"),
        (lambda: rank_intervals(np.full((40, 2), math.nan)), "finite values"),
        (lambda: rank_intervals(np.zeros((40, 2)), confidence=1.0), "confidence"),
    ],
)
def test_what_cannot_be_is_refused(call: Any, words: str):
    with pytest.raises(GateError, match=words):
        call()
