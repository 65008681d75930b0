"""Capital against hand-worked values, brute force, and the properties that the guarantee rests on."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from jumar.errors import JumarError
from jumar.evaluate.capital import Bets, Capital, GateError, default_bets
from jumar.evaluate.growth import log_growth


def one_bet(fraction: float) -> Bets:
    return Bets(np.array([fraction]), np.array([0.0]))


def seen(bets: Bets, d: np.ndarray) -> Capital:
    capital = Capital(bets)
    capital.update(d)
    return capital


def heavy(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Rows like those of a log: most zero or a loss, a few huge."""
    d = (rng.exponential(2.0, rows) - 1.0) * (rng.random(rows) < 0.6)
    d[rng.random(rows) < 0.05] = -1.0
    d[rng.random(rows) < 0.002] = 700.0
    return d


def test_one_bet_by_hand():
    capital = seen(one_bet(0.5), np.array([1.0, -1.0, 0.0, 2.0]))
    # 1.5 · 0.5 · 1 · 2 = 1.5
    assert_allclose(capital.log_value, math.log(1.5), rtol=1e-14)
    assert capital.count == 4


def test_mixture_by_hand():
    bets = Bets(np.array([0.5, 0.25]), np.log([0.5, 0.5]))
    # ½·(1.5·0.5) + ½·(1.25·0.75) = 0.84375
    assert_allclose(np.exp(seen(bets, np.array([1.0, -1.0])).log_value), 0.84375, rtol=1e-14)


def test_lower_bound_by_hand():
    # One bet: S − n·λ·m = ln(1/α)  ⇒  m = (10·ln 1.5 − ln 20) / (10·0.5).
    capital = seen(one_bet(0.5), np.ones(10))
    assert_allclose(capital.lower_bound(0.05), (10 * math.log(1.5) - math.log(20)) / 5, atol=1e-9)


def test_no_rows_say_nothing():
    capital = Capital(default_bets(0.1, 100, 0.001))
    assert capital.lower_bound(0.01) == -1.0
    assert_allclose(capital.log_value, 0.0, atol=1e-12)


def test_default_bets():
    bets = default_bets(0.1, 100_000, 0.001)
    best = math.sqrt(2 * math.log(1000) / 10_000)
    assert_allclose(bets.fractions[:3], [0.7 * best, best, 1.4 * best], rtol=1e-12)
    assert_allclose(np.exp(bets.log_prior[:3]), [0.15, 0.45, 0.15])
    assert_allclose(bets.fractions[[3, -1]], [2.0**-20, 0.9])
    assert bets.fractions.size == 43
    assert_allclose(np.exp(bets.log_prior).sum(), 1.0, rtol=1e-12)
    assert default_bets(0.0, 10, 0.001).fractions.max() == pytest.approx(0.95)
    assert default_bets(1.0, 10, 0.001, bound=4.0).fractions.max() <= 0.95 / 4 + 1e-12


@pytest.mark.parametrize("rows", [1, 7, 8, 127, 128, 129, 1_000, 40_000])
def test_fast_sums_equal_slow_sums(rows: int):
    d = heavy(np.random.default_rng(rows), rows)
    fractions = default_bets(0.3, rows, 0.001).fractions
    slow = np.array([math.fsum(np.log1p(bet * d)) for bet in fractions])
    assert_allclose(log_growth(d, fractions), slow, rtol=1e-11, atol=1e-10)
    assert_allclose(log_growth(3.0 * d, fractions / 3.0, 3.0), slow, rtol=1e-11, atol=1e-10)


def test_all_lost_neither_underflows_nor_cancels():
    assert_allclose(log_growth(np.full(1_280, -1.0), np.array([0.95]))[0], 1_280 * math.log(0.05), rtol=1e-13)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 3_000), cut=st.floats(0, 1))
def test_order_and_shards_do_not_matter(seed: int, rows: int, cut: float):
    rng = np.random.default_rng(seed)
    d, bets = heavy(rng, rows), default_bets(0.5, rows, 0.001)
    whole, at = seen(bets, d), int(cut * rows)
    shuffled = seen(bets, rng.permutation(d))
    merged = seen(bets, d[at:]) + seen(bets, d[:at])
    for other in (shuffled, merged):
        assert_allclose(other.sums, whole.sums, rtol=1e-12, atol=1e-9)
        assert other.count == whole.count


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), ceiling=st.floats(1.0, 20.0))
def test_clipping_weights_and_removing_support_never_helps(seed: int, ceiling: float):
    rng = np.random.default_rng(seed)
    w, r = rng.exponential(1.0, 500) * rng.choice([0.1, 1, 30], 500), rng.random(500)
    bets = default_bets(1.0, 500, 0.001)
    plain = seen(bets, (w - 1) * r).log_value
    assert seen(bets, (np.minimum(w, ceiling) - 1) * r).log_value <= plain + 1e-9
    # Mass moved to actions that are never logged leaves less weight on those that are.
    assert seen(bets, (w * rng.random(500) - 1) * r).log_value <= plain + 1e-9


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1.0 - 1e-9, -5.0])
@pytest.mark.parametrize("rows", [1, 300])
def test_impossible_rows_raise_and_add_nothing(bad: float, rows: int):
    capital = seen(default_bets(0.1, 100, 0.001), np.ones(3))
    before = capital.sums.copy()
    d = np.zeros(rows)
    d[-1] = bad
    with pytest.raises(JumarError, match=r"1 row"):
        capital.update(d)
    assert_allclose(capital.sums, before, rtol=0)
    assert capital.count == 3


def test_rounding_below_minus_one_is_tolerated():
    assert np.isfinite(seen(default_bets(0.1, 10, 0.001), np.array([-1.0 - 5e-13])).log_value)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), alpha=st.sampled_from([0.05, 0.001, 1e-6]))
def test_lower_bound_against_a_grid(seed: int, alpha: float):
    rng = np.random.default_rng(seed)
    d = rng.choice([-1.0, 0.0, 0.4, 3.0], 400, p=[0.1, 0.4, 0.4, 0.1])
    capital = seen(default_bets(1.0, 400, alpha), d)
    bound = capital.lower_bound(alpha)
    grid = np.linspace(-1.0, 1.0, 20_001)
    values = capital.log_prior[0] + capital.sums[0] - capital.count * np.outer(grid, capital.fractions[0])
    refuted = np.log(np.exp(values - values.max(1, keepdims=True)).sum(1)) + values.max(1) > math.log(1 / alpha)
    assert bound <= grid[np.argmin(refuted)] <= bound + 1.01e-4
    assert (bound >= 0) == (capital.log_value >= math.log(1 / alpha))


def test_several_variables_at_once():
    rng = np.random.default_rng(0)
    d = rng.random((1_000, 3)) - 0.4
    bets = [default_bets(0.1 * (k + 1), 1_000, 0.001) for k in range(3)]
    together = Capital(bets)
    together.update(d)
    for k in range(3):
        alone = seen(bets[k], d[:, k])
        assert_allclose(together.sums[k], alone.sums[0], rtol=1e-13)
        assert together.lower_bound(0.01, k) == pytest.approx(alone.lower_bound(0.01), abs=1e-12)


def test_json_gives_back_the_same_bits():
    capital = seen(default_bets(0.3, 1_000, 0.001), heavy(np.random.default_rng(3), 1_000))
    back = Capital.from_json(capital.to_json())
    assert np.array_equal(back.sums, capital.sums)
    assert back.to_json() == capital.to_json()
    assert np.array_equal((back + capital).sums, 2 * capital.sums)


def test_fractions_do_without_bets():
    """Arrays of fractions, priors even or given, in place of Bets."""
    d = np.array([1.0, -1.0, 0.0])
    # ½·(1.5·0.5) + ½·(1.25·0.75) = 0.84375, and with weights ¼, ¾: 0.890625.
    assert Capital([0.5, 0.25]).update(d).log_value == pytest.approx(math.log(0.84375))
    assert Capital([0.5, 0.25], np.log([0.25, 0.75])).update(d).log_value == pytest.approx(math.log(0.890625))
    several = Capital([[0.5, 0.25], [0.25, 0.125]], bound=[1.0, 2.0]).update(np.stack([d, 2 * d], axis=1))
    assert_allclose(several.log_value, math.log(0.84375), rtol=1e-12)
    assert_allclose(several.leading, [0.25, 0.125])
    assert_allclose(several.lower_bound(0.5) * [2.0, 1.0], several.lower_bound(0.5)[1], atol=1e-11)


def test_one_variable_gives_floats_and_a_list_gives_arrays():
    d, bets = np.array([0.5, -0.25]), one_bet(0.5)
    single, listed = Capital(bets).update(d), Capital([bets]).update(d[:, None])
    for value in (single.log_value, single.leading, single.lower_bound(0.1), listed.lower_bound(0.1, 0)):
        assert isinstance(value, float)
    for value in (listed.log_value, listed.leading, listed.lower_bound(0.1), listed.lower_bound([0.1])):
        assert value.shape == (1,)
    assert listed.log_value[0] == single.log_value
    assert Capital(bets).update(d[:, None]) == single


def test_a_value_is_compared_by_what_it_holds():
    d, bets = np.array([0.5, -0.25, 0.0]), default_bets(0.1, 100, 0.001)
    capital = Capital(bets).update(d)
    assert capital == Capital(bets).update(d)
    assert capital != Capital(bets).update(d[:2])
    assert capital != Capital([bets]).update(d)
    assert capital != Capital(default_bets(0.2, 100, 0.001)).update(d)
    assert capital != 3
    before = capital.sums.copy()
    assert (capital + capital).count == 6
    assert np.array_equal(capital.sums, before)
    with pytest.raises(TypeError):
        hash(capital)


def changed(capital: Capital, **parts: object) -> bytes:
    return msgspec.json.encode({**msgspec.json.decode(capital.to_json()), **parts})


@pytest.mark.parametrize(
    "parts",
    [
        {"count": -1},
        {"count": 0},
        {"count": 2.5},
        {"sums": [[0.1]]},
        {"sums": [[0.1, 0.1], [0.1, 0.1]]},
        {"sums": [[0.1, None]]},
        {"sums": [[0.1, -1e9]]},
        {"bound": []},
        {"bound": [-1.0]},
        {"bound": [1.0, 1.0]},
        {"fractions": [[0.5, 1.5]]},
        {"log_prior": [[0.0, 0.0]]},
        {"more": 1},
    ],
)
def test_broken_states_are_refused(parts: dict[str, object]):
    capital = Capital([0.5, 0.25]).update([0.5, 0.25])
    assert Capital.from_json(changed(capital)) == capital
    with pytest.raises(GateError):
        Capital.from_json(changed(capital, **parts))


@pytest.mark.parametrize("data", [b"", b"null", b"{", b"[]", b"\xff", '{"sums": NaN}'])
def test_what_is_not_a_state_is_refused(data: bytes | str):
    with pytest.raises(GateError, match="not a saved capital"):
        Capital.from_json(data)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(0, 50), variables=st.integers(1, 3))
def test_json_round_trip_of_any_state(seed: int, rows: int, variables: int):
    rng = np.random.default_rng(seed)
    bound = rng.choice([0.5, 1.0, 7.0], variables)
    capital = Capital([default_bets(0.1, 100, 0.001, bound=float(one)) for one in bound])
    capital.update((rng.exponential(1.0, (rows, variables)) - 1.0) * bound)
    back = Capital.from_json(capital.to_json())
    assert back == capital
    assert back.to_json() == capital.to_json()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), alpha=st.sampled_from([1.0, 0.05, 0.001]))
def test_bounds_of_many_variables_are_those_of_each(seed: int, alpha: float):
    """And each is at most the smallest average not refuted, by 1e-12 or less, and ≥ 0 exactly where capital is 1/α."""
    rng = np.random.default_rng(seed)
    d = rng.choice([-1.0, 0.0, 0.4, 3.0], (200, 4), p=[0.1, 0.4, 0.4, 0.1]) * rng.choice([0.0, 0.3, 1.0], 4)
    bets = [default_bets(0.5 * (k + 1), 200, 0.001) for k in range(4)]
    capital = Capital(bets).update(d)
    bounds = capital.lower_bound(alpha)
    assert np.array_equal(bounds >= 0, capital.log_value >= math.log(1 / alpha))
    for k in range(4):
        assert capital.lower_bound(alpha, k) == bounds[k] == seen(bets[k], d[:, k]).lower_bound(alpha)
        gained = [
            math.fsum(np.log1p(bet * d[:, k])) - 200 * bet * (bounds[k] + 2e-12)
            for bet in capital.fractions[k].tolist()
        ]
        assert np.logaddexp.reduce(capital.log_prior[k] + gained) <= math.log(1 / alpha) + 1e-9
    mixed = capital.lower_bound([0.5, 0.1, alpha, 0.001])
    assert mixed[2] == bounds[2]
    assert mixed[0] == capital.lower_bound(0.5, 0)


@pytest.mark.parametrize("alpha", [0.0, -0.1, 1.1, math.nan])
def test_wrong_alphas_are_refused(alpha: float):
    with pytest.raises(GateError, match="alpha"):
        seen(one_bet(0.5), np.ones(3)).lower_bound(alpha)


def test_wrong_bets_are_refused():
    for bets, prior in (([0.96], None), ([0.0], None), ([-0.1], None), ([math.nan], None), ([0.5, 0.1], [0.0, 0.0])):
        with pytest.raises(GateError):
            Capital(bets, prior)
    with pytest.raises(GateError, match=r"0\.95"):
        Capital([0.5], bound=2.0)
    with pytest.raises(GateError, match="one prior weight"):
        Capital([0.5, 0.1], np.log([0.2, 0.2, 0.6]))
    with pytest.raises(GateError, match="positive"):
        Capital([0.5, 0.1], [0.0, -math.inf])
    with pytest.raises(GateError, match="know their prior"):
        Capital(one_bet(0.5), [0.0])
    with pytest.raises(GateError, match="same number"):
        Capital([one_bet(0.5), default_bets(0.1, 10, 0.001)])
    for nothing in ([], [[]], 0.5):
        with pytest.raises(GateError, match="expected bets"):
            Capital(nothing)
    with pytest.raises(GateError, match=r"0\.95"):
        one_bet(0.96)
    with pytest.raises(GateError, match="sum to one"):
        Bets(np.array([0.5, 0.1]), np.array([0.0, 0.0]))
    with pytest.raises(GateError, match="same bets"):
        _ = Capital(one_bet(0.5)) + Capital(one_bet(0.4))
    with pytest.raises(GateError, match="rows, 1"):
        Capital(one_bet(0.5)).update(np.zeros((3, 2)))


def test_coverage_of_the_bound_and_a_t_test_that_fails():
    """A rare loss costs what a small sure gain brings. The t-test sees few losses and believes the gain."""
    rng = np.random.default_rng(7)
    rate, rows, runs, alpha = 4e-4, 20_000, 20_000, 0.001
    values = np.array([-1.0, rate, 0.0])
    p = np.array([0.5 * rate, 0.5, 0.5 - 0.5 * rate])
    counts = rng.multinomial(rows, p, size=runs)
    mean = counts @ values / rows
    error = np.sqrt((counts @ values**2 / rows - mean**2) / rows)
    t_releases = (mean / error >= 3.0902).mean()
    bets = default_bets(float(p @ values**2), rows, alpha)
    growth = counts @ np.log1p(np.outer(values, bets.fractions)) + bets.log_prior
    gate_releases = (np.log(np.exp(growth).sum(axis=1)) >= math.log(1 / alpha)).mean()
    assert t_releases >= 0.01
    assert gate_releases <= alpha


def test_bound_lies_below_the_truth_often_enough():
    rng = np.random.default_rng(11)
    values, p = np.array([-1.0, 5.0, 0.0]), np.array([0.04, 0.01, 0.95])
    bets, truth, alpha = default_bets(float(p @ values**2), 2_000, 0.05), float(p @ values), 0.05
    capital = Capital([bets] * 1_000)
    counts = rng.multinomial(2_000, p, size=1_000).astype(np.float64)
    capital.sums = counts @ np.log1p(np.multiply.outer(values, bets.fractions))
    capital.count = 2_000
    # 50 would be expected at exactly α; 73 is its 99.9% quantile.
    assert (capital.lower_bound(alpha) > truth).sum() <= 73
