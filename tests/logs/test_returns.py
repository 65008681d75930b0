"""Returns by hand, against plain loops, and never across units."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from jumar.errors import LogError
from jumar.logs.returns import discounted_sums, lambda_returns, n_steps, returns

NAN = np.nan
# Two units: three decisions up to an end, then two that stay open.
REWARD = np.array([1.0, 0.0, 2.0, 4.0, 8.0])
DISCOUNT = np.array([0.5, 0.5, 0.0, 0.25, NAN])


def slow(reward: np.ndarray, discount: np.ndarray, value: np.ndarray, mix: float) -> np.ndarray:
    found = np.zeros(len(reward))
    for i in reversed(range(len(reward))):
        if np.isnan(discount[i]):
            found[i] = value[i]
        elif discount[i] == 0:
            found[i] = reward[i]
        else:
            found[i] = reward[i] + discount[i] * ((1 - mix) * value[i + 1] + mix * found[i + 1])
    return found


def timelines(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    discount = rng.random(rows)
    discount[rng.random(rows) < 0.1] = 0.0
    discount[rng.random(rows) < 0.1] = NAN
    discount[-1] = rng.choice([0.0, NAN])
    return rng.random(rows), discount, rng.normal(size=rows)


def test_returns_by_hand():
    # 1 + ½·(0 + ½·2) = 1.5; 0 + ½·2 = 1; 2; 4 + ¼·16 = 8; open: what is believed.
    assert_allclose(returns(REWARD, DISCOUNT, 16.0), [1.5, 1.0, 2.0, 8.0, 16.0])
    assert_allclose(returns(REWARD, DISCOUNT), [1.5, 1.0, 2.0, 4.0, 0.0])


def test_lambda_returns_by_hand():
    value = np.array([9.0, 10.0, 20.0, 40.0, 16.0])
    # λ = 0: one step on, then what is believed.
    assert_allclose(lambda_returns(REWARD, DISCOUNT, value, 0.0), [1 + 5, 0 + 10, 2, 4 + 4, 16])
    # λ = ½: 2; 0 + ½(½·20 + ½·2) = 5.5; 1 + ½(½·10 + ½·5.5) = 4.875; 4 + ¼(½·16 + ½·16) = 8.
    assert_allclose(lambda_returns(REWARD, DISCOUNT, value, 0.5), [4.875, 5.5, 2, 8, 16])


def test_n_steps_by_hand():
    total, worth, at = n_steps(REWARD, DISCOUNT, 1)
    assert_allclose(total, [1, 0, 2, 4, 0])
    assert_allclose(worth, [0.5, 0.5, 0, 0.25, NAN])
    assert at[:4].tolist() == [1, 2, 3, 4]
    total, worth, at = n_steps(REWARD, DISCOUNT, 2)
    assert_allclose(total, [1, 1, 2, 4, 0])  # 1 + ½·0; 0 + ½·2; an end; before an open row it stops
    assert_allclose(worth, [0.25, 0, 0, 0.25, NAN])
    assert at[0] == 2
    assert at[3] == 4
    total, worth, _ = n_steps(REWARD, DISCOUNT, 10)
    assert_allclose(total[:3], [1.5, 1, 2])
    assert_allclose(worth[:3], 0)


def test_elapsed_time_compounds():
    gamma, per, times = 0.9, 86_400.0, np.array([0.0, 3_600.0, 200_000.0, 900_000.0])
    discount = np.append(gamma ** (np.diff(times) / per), 0.0)
    reward = np.array([1.0, 2.0, 3.0, 4.0])
    whole = sum(r * gamma ** (t / per) for r, t in zip(reward, times, strict=True))
    assert_allclose(returns(reward, discount)[0], whole, rtol=1e-13)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 400), mix=st.floats(0, 1))
def test_fast_returns_equal_slow_ones(seed: int, rows: int, mix: float):
    reward, discount, value = timelines(np.random.default_rng(seed), rows)
    assert_allclose(lambda_returns(reward, discount, value, mix), slow(reward, discount, value, mix), rtol=1e-11)
    both = lambda_returns(reward, discount, np.stack([value, -value], axis=1), mix)
    assert_allclose(both[:, 0], slow(reward, discount, value, mix), rtol=1e-11)
    assert_allclose(both[:, 1], slow(reward, discount, -value, mix), rtol=1e-11)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(2, 60), steps=st.integers(1, 70))
def test_n_steps_and_the_value_behind_them_are_a_return(seed: int, rows: int, steps: int):
    reward, discount, value = timelines(np.random.default_rng(seed), rows)
    value = slow(reward, discount, value, 1.0)  # of the log itself: any number of steps gives the same return
    total, worth, at = n_steps(reward, discount, steps)
    known = ~np.isnan(discount)
    assert_allclose((total + worth * value[at])[known], value[known], rtol=1e-10)
    assert np.isnan(worth[~known]).all()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(2, 60), steps=st.integers(1, 9))
def test_nothing_runs_across_ends(seed: int, rows: int, steps: int):
    rng = np.random.default_rng(seed)
    reward, discount, value = timelines(rng, rows)
    cut = int(rng.integers(1, rows))
    discount[cut - 1] = rng.choice([0.0, NAN])
    after_r, after_v = reward.copy(), value.copy()
    after_r[cut:], after_v[cut:] = 1e9, -1e9
    for function in (
        lambda r, v: lambda_returns(r, discount, v, 0.7)[:cut],
        lambda r, v: n_steps(r, discount, steps)[0][:cut],
    ):
        assert_allclose(function(reward, value), function(after_r, after_v), rtol=1e-12)


def test_a_million_rows_of_one_unit():
    rows = 1_000_000
    discount = np.full(rows, 0.999)
    discount[-1] = 0.0
    found = returns(np.ones(rows), discount)
    assert_allclose(found[0], 1_000.0, rtol=1e-9)
    assert found[-1] == 1.0


@pytest.mark.parametrize("factor", [[0.5, 0.5], [NAN, 0.0]])
def test_chains_that_run_over_the_end_are_refused(factor: list[float]):
    with pytest.raises(LogError, match="runs on"):
        discounted_sums(np.ones(2), np.array(factor))
