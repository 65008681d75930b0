"""The planner against the formula, itself, and simulated logs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jumar.evaluate import GateError, default_bets, detectable_gain, exploration_second_moment, rows_needed
from jumar.evaluate.planner import rows_to_explore


def test_rows_by_hand():
    # (sqrt(2·(ln 1000 + 1)) + 0.8416)² · 0.1 / 0.01² = 23,213
    assert rows_needed(0.01, 0.1, 0.001) == pytest.approx(23_213, abs=5)


def test_detectable_gain_inverts_rows_needed():
    rows = rows_needed(0.003, 0.2, 0.01, power=0.9)
    assert detectable_gain(rows, 0.2, 0.01, power=0.9) == pytest.approx(0.003, rel=1e-4)


@pytest.mark.parametrize(("base", "relative", "explored", "alpha"), [
    (0.05, 0.2, 0.15, 0.001), (0.3, 0.1, 0.05, 0.01), (0.05, 0.1, 0.05, 1e-4),
])  # fmt: skip
def test_planned_power_is_reached(base: float, relative: float, explored: float, alpha: float):
    values = np.array([-1.0, 1 / explored - 1, 0.0])
    lose, win = (1 - explored) * base, explored * base * (1 + relative)
    p = np.array([lose, win, 1 - lose - win])
    rows = rows_needed(float(p @ values), float(p @ values**2), alpha)
    bets = default_bets(float(p @ values**2), rows, 0.001)
    counts = np.random.default_rng(0).multinomial(rows, p, size=4_000)
    growth = counts @ np.log1p(np.outer(values, bets.fractions)) + bets.log_prior
    top = growth.max(axis=1)
    passed = top + np.log(np.exp(growth - top[:, None]).sum(axis=1)) >= math.log(1 / alpha)
    assert 0.74 <= passed.mean() <= 0.9


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
