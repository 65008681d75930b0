"""χ² of rows and episodes: by hand, the exact spread of products over every path, and who keeps within a budget."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from jumar.evaluate import GateError
from jumar.evaluate.sequences import (
    chi_square,
    chi_square_sums,
    product_second_moment,
    running_products,
    within_budget,
)

from .paths import paths, random_policy, random_process

STARTS = np.array([0, 2])


def test_chi_square_by_hand():
    # 0.6²/0.2 + 0.4²/0.8 − 1 = 1.8 + 0.2 − 1.
    assert chi_square([[0.6, 0.4]], [[0.2, 0.8]])[0] == pytest.approx(1.0)
    several = chi_square([[[0.6, 0.4], [0.2, 0.8], [0.0, 1.0]]], [[0.2, 0.8]])
    assert_allclose(several, [[1.0, 0.0, 0.25]], atol=1e-15)
    # What production never takes: nothing, or too much.
    assert_allclose(chi_square([[0.5, 0.5, 0.0], [0.5, 0.4, 0.1]], [[0.5, 0.5, 0.0]] * 2), [0.0, math.inf])


def test_sums_and_second_moments_by_hand():
    chi = np.array([[0.5, 0.0], [1.0, 0.0], [3.0, math.inf]])
    assert chi_square_sums(chi, STARTS).tolist() == [[1.5, 0.0], [3.0, math.inf]]
    assert_allclose(product_second_moment(chi, STARTS), [[3.0, 1.0], [4.0, math.inf]])
    assert_allclose(product_second_moment(chi[:, 0], STARTS), [3.0, 4.0])
    assert product_second_moment(np.full(10_000, 1.0), [0])[0] == math.inf  # 2^10,000


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_spread_of_weights_over_every_path(seed: int):
    """E[w²] = 1 + χ² of each row; E[Π w²/(1 + χ²)] = 1; and so E[ρ²] ≤ exp of the largest Σ χ²."""
    rng = np.random.default_rng(seed)
    path = paths(random_process(rng))
    production, policy = 0.9 * random_policy(rng) + 0.05, random_policy(rng)
    chi = chi_square(policy, production)
    assert_allclose(chi, (policy**2 / production).sum(axis=1) - 1.0, atol=1e-12)
    chance = path.chance(production)
    rho = running_products(path.weight(policy, production), path.starts)[
        np.append(path.starts[1:], path.state.size) - 1
    ]
    rows = chi[path.state]
    moment = product_second_moment(rows, path.starts)
    assert chance @ (rho**2 / moment) == pytest.approx(1.0)
    assert chance @ rho**2 <= math.exp(chi_square_sums(rows, path.starts).max()) * (1 + 1e-12)


def test_independent_steps_multiply():
    """Where both policies are the same in all states, E[ρ²] is the product itself."""
    rng = np.random.default_rng(0)
    path = paths(random_process(rng))
    production, policy = np.tile([0.7, 0.3], (2, 1)), np.tile([0.4, 0.6], (2, 1))
    rho = running_products(path.weight(policy, production), path.starts)[
        np.append(path.starts[1:], path.state.size) - 1
    ]
    chance = path.chance(production)
    moment = product_second_moment(chi_square(policy, production)[path.state], path.starts)
    lengths = np.diff([*path.starts, path.state.size])
    for length in np.unique(lengths):  # how long an episode gets may depend on its draws, so each length by itself
        assert moment[lengths == length] == pytest.approx((1 + 0.4**2 / 0.7 + 0.36 / 0.3 - 1) ** length)
    assert chance @ (rho**2 / moment) == pytest.approx(1.0)


def test_an_average_within_the_budget_is_no_bound():
    """Half of the episodes end at once, half have forty rows with a χ² of 0.2: Σ χ² is 4 on average, E[ρ²] > exp(4)."""
    chi, starts = np.append(0.0, np.full(40, 0.2)), [0, 1]
    assert chi_square_sums(chi, starts).mean() == pytest.approx(4.0)
    assert product_second_moment(chi, starts).mean() > 10 * math.exp(4.0)


def test_who_keeps_within_the_budget():
    # Twenty episodes of two rows; the third candidate strays in one of them, the fourth in two.
    chi = np.tile([0.2, 1.0, 0.9, 0.9], (40, 1))
    chi[0, 2], chi[[0, 2], 3] = 40.0, 40.0
    found = within_budget(chi, np.arange(0, 40, 2))
    assert found.within.tolist() == [True, True, True, False]
    assert_allclose(found.share, [1.0, 1.0, 0.95, 0.9])
    assert_allclose(found.mean, [0.4, 2.0, 1.8 + 39.1 / 20, 1.8 + 2 * 39.1 / 20])
    assert_allclose(found.largest, [0.4, 2.0, 40.9, 40.9])
    assert within_budget(chi, np.arange(0, 40, 2), share=1.0).within.tolist() == [True, True, False, False]
    assert within_budget(chi, np.arange(0, 40, 2), budget=1.0).within.tolist() == [True, False, False, False]
    assert within_budget(chi[:, 0], np.arange(0, 40, 2)).within.tolist() == [True]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: chi_square([0.5, 0.5], [[0.5, 0.5]]), r"\[rows, K, actions\]"),
        (lambda: chi_square([[0.5, 0.5]], [[0.5, 0.2, 0.3]]), "same actions"),
        (lambda: chi_square([[0.5, 0.6]], [[0.5, 0.5]]), "sum to 1"),
        (lambda: chi_square([[[1.2, -0.2]]], [[0.5, 0.5]]), "at least 0"),
        (lambda: chi_square([[0.5, 0.5]], [[0.5, 0.4]]), "production"),
        (lambda: chi_square_sums([-1.0], [0]), "at least 0"),
        (lambda: chi_square_sums([math.nan], [0]), "at least 0"),
        (lambda: product_second_moment(np.zeros((2, 2, 2)), [0]), r"\[rows\]"),
        (lambda: within_budget([1.0], [0], budget=-1.0), "budget"),
        (lambda: within_budget([1.0], [0], share=0.0), "budget"),
        (lambda: within_budget(np.zeros((0, 2)), np.zeros(0, np.int64)), "needs episodes"),
    ],
)
def test_what_cannot_be_is_refused(call: Any, words: str):
    with pytest.raises(GateError, match=words):
        call()
