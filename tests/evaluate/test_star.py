"""The booster against a walk in plain Python, its guarantees by simulation, and what breaks them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import binom, norm

from jumar.evaluate.capital import Capital, GateError, default_bets, log_sums_exp
from jumar.evaluate.growth import column_growth
from jumar.evaluate.star import (
    BLOCKS,
    LEVELS,
    SHARE,
    Star,
    combined,
    combined_lower_bound,
    default_star,
    passes,
    star_grid,
)

# Two actions, the other one tried in 15 of 100 decisions, base rate 5%; it is 12% better in half of the contexts.
VALUES = np.array([-1.0, 1 / 0.15 - 1.0, 0.0])
GAIN = np.array([0.5 * 0.85 * 0.05, 0.5 * 0.15 * 0.056, 0.0]) + np.array([0, 0, 1 - 0.5 * (0.85 * 0.05 + 0.15 * 0.056)])
NULL = np.array([0.5 * 0.85 * 0.05, 0.5 * 0.15 * 0.05, 1 - 0.5 * 0.05])


def slow_walk(star: Star, blocks: list[list[float]], alpha: float, mean: float = 0.0) -> float:
    """One variable, row by row, from the definition."""
    rows, target = sum(map(len, blocks)), math.log(1 / (SHARE * alpha))
    plan, grid = float(star.second_moment[0]), star.grid[0].tolist()
    log_value, seen, square = 0.0, 0, 0.0
    for block in blocks:
        if log_value < target and block:
            expected = (0.1 * rows * plan + square) / (0.1 * rows + seen)
            wanted = math.sqrt(2 * (target - log_value) / (expected * (rows - seen)))
            bet = max([one for one in grid if one <= wanted], default=grid[0])
            log_value += math.fsum(math.log1p(bet * d) for d in block) - len(block) * bet * mean
        seen += len(block)
        square += math.fsum(d * d for d in block)
    return log_value


def simulated(rng: np.random.Generator, chance: np.ndarray, rows: int, runs: int) -> tuple[Capital, Star]:
    """Many logs at once, one variable each, filled in from counts."""
    second_moment = float(NULL @ VALUES**2)
    bets, grid = default_bets(second_moment, rows, 0.001), star_grid(second_moment, rows)
    counts = rng.multinomial(rows // BLOCKS, chance, size=(BLOCKS, runs)).astype(np.float64)
    star = Star(np.tile(grid, (runs, 1)), second_moment=second_moment)
    star.table = counts @ np.log1p(np.multiply.outer(VALUES, grid))
    star.squares = counts @ VALUES**2
    star.rows = np.full(BLOCKS, rows // BLOCKS)
    capital = Capital([bets] * runs)
    capital.sums = counts.sum(axis=0) @ np.log1p(np.multiply.outer(VALUES, bets.fractions))
    capital.count = star.count
    return capital, star


def test_one_block_by_hand():
    # L = ln(1/(0.75·0.05)) = 3.283; with v = 1 and 4 rows sqrt(2·3.283/4) = 1.28 is wanted, and the largest, 0.8, bet.
    star = Star([0.2, 0.4, 0.8], blocks=1, second_moment=1.0)
    star.update(np.array([1.0, -0.5, 0.0, 2.0]), np.random.default_rng(0))
    assert star.log_value(0.05) == pytest.approx(math.log(1.8 * 0.6 * 2.6))
    # Against an average of 0.1 all four rows cost 0.8·0.1 each.
    assert star.log_value(0.05, mean=0.1) == pytest.approx(math.log(1.8 * 0.6 * 2.6) - 4 * 0.08)


def test_the_bet_follows_luck_and_stops_at_the_target():
    star = Star([0.05, 0.1, 0.2, 0.4, 0.8], blocks=3, second_moment=1.0)
    rng = np.random.default_rng(0)
    for b, d in enumerate((np.full(10, 1.0), np.full(10, 1.0), np.full(10, -1.0))):
        part = Star([0.05, 0.1, 0.2, 0.4, 0.8], blocks=1, second_moment=1.0).update(d, rng)
        star.table[b], star.squares[b], star.rows[b] = part.table[0], part.squares[0], 10
    # First bet: sqrt(2·3.283/30) = 0.468 → 0.4, and 10·ln 1.4 = 3.365 reaches the target: nothing more is staked.
    assert star.log_value(0.05) == pytest.approx(10 * math.log(1.4))
    # At α = 0.02 the target is 4.200; the first bet is 0.4 again, then 0.835 nats are missing: sqrt(2·0.835/20) → 0.2.
    assert star.log_value(0.02) == pytest.approx(10 * math.log(1.4) + 10 * math.log(1.2))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 900), alpha=st.sampled_from([0.1, 0.001]))
def test_walk_against_plain_python(seed: int, rows: int, alpha: float):
    rng = np.random.default_rng(seed)
    d = rng.choice([-1.0, 0.0, 0.3, 4.0], rows, p=[0.1, 0.5, 0.3, 0.1])
    moment = float(rng.choice([0.01, 1.5, 40.0]))
    star = Star(star_grid(moment, rows), blocks=7, second_moment=moment)
    order = np.random.default_rng(seed).permutation(rows)
    star.update(d, np.random.default_rng(seed))
    blocks = [d[order[b::7]].tolist() for b in range(7)]
    assert star.rows.tolist() == [len(one) for one in blocks]
    for mean in (0.0, -0.2, 0.15):
        assert star.log_value(alpha, mean=mean) == pytest.approx(slow_walk(star, blocks, alpha, mean), abs=1e-9)


@pytest.mark.parametrize(("rows", "columns"), [(1, 3), (8, 200), (41, 200), (300, 5), (9, 2_000)])
def test_column_sums_equal_slow_sums(rows: int, columns: int):
    rng = np.random.default_rng(rows)
    d = rng.exponential(2.0, (rows, columns)) - 1.0
    d[rng.random(d.shape) < 0.05] = -1.0
    d[rng.random(d.shape) < 0.01] = 900.0
    grid = star_grid(0.5, 1_000)
    slow = np.log1p(np.multiply.outer(d, grid)).sum(axis=0)
    assert_allclose(column_growth(d, grid), slow, rtol=1e-11, atol=1e-10)
    assert_allclose(column_growth(3.0 * d, grid / 3.0, 3.0), slow, rtol=1e-11, atol=1e-10)


@pytest.mark.parametrize("zeros", [0.0, 0.3, 0.97, 1.0])
def test_zeros_cost_nothing_and_every_row_is_dealt(zeros: float):
    rng = np.random.default_rng(1)
    d = (rng.random((5_003, 2)) * 3 - 1) * (rng.random((5_003, 2)) >= zeros)
    star = default_star([1.0, 0.5], 5_003).update(d[:4_000], rng).update(d[4_000:], rng)
    assert star.count == 5_003
    assert star.rows.max() - star.rows.min() <= 1
    for k in range(2):
        assert_allclose(star.table[:, k].sum(axis=0), np.log1p(np.outer(d[:, k], star.grid[k])).sum(axis=0), atol=1e-8)
        assert star.squares[:, k].sum() == pytest.approx(float((d[:, k] ** 2).sum()))


def test_shards_are_added_and_the_seed_decides():
    d = np.random.default_rng(2).random((3_000, 3)) - 0.4

    def fed(part: np.ndarray, seed: int) -> Star:
        return default_star([0.1, 0.1, 0.2], 3_000).update(part, np.random.default_rng(seed))

    both = fed(d[:1_000], 5) + fed(d[1_000:], 6)
    assert both.count == 3_000
    assert_allclose(both.table, fed(d[1_000:], 6).table + fed(d[:1_000], 5).table)
    assert np.array_equal(fed(d, 5).table, fed(d, 5).table)
    assert not np.array_equal(fed(d, 5).table, fed(d, 6).table)
    # Whoever dealt them, the same rows are in it.
    assert_allclose(both.table.sum(axis=0), fed(d, 7).table.sum(axis=0), rtol=1e-9)
    with pytest.raises(GateError, match="one plan"):
        _ = both + default_star([0.1, 0.1, 0.3], 3_000)


def test_single_and_several_variables():
    d = np.random.default_rng(3).random(2_000) - 0.4
    single = default_star(0.1, 2_000).update(d, np.random.default_rng(0))
    several = default_star([0.1, 0.1], 2_000).update(np.stack([d, -d / 2], axis=1), np.random.default_rng(0))
    assert isinstance(single.log_value(0.01), float)
    assert several.log_value(0.01).shape == (2,)
    assert several.log_value(0.01)[0] == pytest.approx(single.log_value(0.01))
    assert isinstance(passes(0.0, single, 0.01), bool)
    alone = Capital(default_bets(0.1, 2_000, 0.001)).update(d)
    assert isinstance(combined_lower_bound(alone, single, 0.01), float)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1.0 - 1e-9])
def test_impossible_rows_raise_and_add_nothing(bad: float):
    star = default_star(0.1, 100)
    with pytest.raises(GateError, match="1 row"):
        star.update(np.array([0.5, bad]), np.random.default_rng(0))
    assert star.count == 0
    assert not star.table.any()


def test_wrong_grids_are_refused():
    with pytest.raises(GateError, match=r"0\.95"):
        Star([0.5, 1.0], second_moment=1.0)
    with pytest.raises(GateError, match="geometric"):
        Star([0.1, 0.2, 0.3], second_moment=1.0)
    with pytest.raises(GateError, match="second moment"):
        Star([0.1, 0.2], second_moment=math.nan)
    with pytest.raises(GateError, match="planned row"):
        star_grid(0.1, 0)
    star = default_star(1.0, 10)
    for alpha in (0.0, -0.1, 1.1, math.nan):
        with pytest.raises(GateError, match="alpha"):
            star.log_value(alpha)
    with pytest.raises(GateError, match="same rows"):
        combined_lower_bound(Capital(default_bets(1.0, 10, 0.001)).update([0.5]), star, 0.05)


def test_grid_spans_the_bets_that_may_be_wanted():
    grid = star_grid(0.1, 100_000)
    assert grid[0] <= math.sqrt(2 * math.log(1000) / 10_000) / 8 <= grid[0] * 1.12
    assert grid[-1] == pytest.approx(0.9)
    assert_allclose(grid[1:] / grid[:-1], 1.12)
    assert star_grid([1.0, 0.01], 1_000, bound=[1.0, 4.0])[:, -1] == pytest.approx([0.9, 0.225])


def test_combined_by_hand():
    assert combined(math.log(2.0), math.log(4.0)) == pytest.approx(math.log(0.25 * 2 + 0.75 * 4))


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 2**32 - 1), alpha=st.sampled_from([0.05, 0.001]))
def test_combined_bound_against_a_grid(seed: int, alpha: float):
    """Every m of a fine grid, mixture and walk from their definitions, and the first that is not refuted."""
    rng = np.random.default_rng(seed)
    d = rng.choice([-1.0, 0.0, 0.4, 3.0], 400, p=[0.1, 0.4, 0.4, 0.1])
    bets = default_bets(1.0, 400, alpha)
    capital = Capital(bets).update(d)
    star = Star(star_grid(1.0, 400), blocks=10, second_moment=1.0).update(d, np.random.default_rng(seed))
    order = np.random.default_rng(seed).permutation(400)
    blocks = [d[order[b::10]].tolist() for b in range(10)]
    sums = [math.fsum(math.log1p(bet * one) for one in d) for bet in bets.fractions]
    step = 0.05 / 64  # the square root of 1/400, in 64 parts
    last = None
    for j in range(-400, 1_000):
        m = j * step
        terms = [p + s - 400 * bet * m for p, s, bet in zip(bets.log_prior, sums, bets.fractions, strict=True)]
        top = max(terms)
        mixture = top + math.log(sum(math.exp(one - top) for one in terms))
        log_star = slow_walk(star, blocks, alpha, m)
        if np.logaddexp(math.log(0.25) + mixture, math.log(0.75) + log_star) < math.log(1 / alpha):
            break
        last = m
    assert last is not None
    bound = combined_lower_bound(capital, star, alpha)
    assert bound == pytest.approx(last, abs=1e-9)
    if bound >= 0:
        assert combined(capital.log_value, star.log_value(alpha)) >= math.log(1 / alpha)


def test_no_rows_say_nothing():
    assert combined_lower_bound(Capital(default_bets(0.1, 100, 0.001)), default_star(0.1, 100), 0.05) == -1.0
    assert default_star(0.1, 100).log_value(0.05) == 0.0


def test_more_confidence_never_passes_what_less_refused():
    capital, star = simulated(np.random.default_rng(4), GAIN, 300_000, 400)
    by_level = np.array([passes(capital.log_value, star, alpha) for alpha in LEVELS])
    assert np.all(by_level[1:] <= by_level[:-1])
    assert 0 < by_level[6].sum() < 400
    # 1 − 0.999 is another float than 0.001, and the same test.
    assert np.array_equal(passes(capital.log_value, star, 1 - 0.999), by_level[6])
    bare = np.array([combined(capital.log_value, star.log_value(one)) >= math.log(1 / one) for one in LEVELS])
    assert np.all(by_level <= bare)


def test_false_releases_stay_below_alpha():
    rng, runs, alpha = np.random.default_rng(5), 2_400, 0.05
    capital, star = simulated(rng, NULL, 20_000, runs)
    limit = binom.ppf(0.9999, runs, alpha)
    log_star = star.log_value(alpha)
    for passed in (
        log_star >= math.log(1 / alpha),
        combined(capital.log_value, log_star) >= math.log(1 / alpha),
        passes(capital.log_value, star, alpha),
    ):
        assert passed.sum() <= limit
    # It could have failed: the power that makes it worth having is there, so it is not far below α either.
    assert (log_star >= math.log(1 / (SHARE * alpha))).sum() > 0.3 * alpha * runs
    # The negative control: whoever chooses the bet of a block after having seen it has no guarantee left.
    assert (star.table.max(axis=2).sum(axis=0) >= math.log(1 / alpha)).mean() > 0.9


def test_blocks_in_order_of_time_under_drift_break_it():
    """Good days first: the walk reaches its target and stops, although the average of all days is zero."""
    rng, alpha, rows, runs = np.random.default_rng(6), 0.05, 1_000_000, 400
    better, worse = NULL.copy(), NULL.copy()
    better[1], worse[1] = better[1] * 1.2, worse[1] * 0.8
    chance = np.stack([better] * 100 + [worse] * 100)
    chance[:, 2] = 1 - chance[:, :2].sum(axis=1)
    assert (chance @ VALUES).mean() == pytest.approx(0.0, abs=1e-12)
    second_moment = float(NULL @ VALUES**2)
    grid = star_grid(second_moment, rows)

    def walked(counts: np.ndarray) -> float:
        star = Star(np.tile(grid, (runs, 1)), second_moment=second_moment)
        star.table = counts @ np.log1p(np.multiply.outer(VALUES, grid))
        star.squares, star.rows = counts @ VALUES**2, np.full(BLOCKS, rows // BLOCKS)
        return float((star.log_value(alpha) >= math.log(1 / alpha)).mean())

    in_order = np.stack([rng.multinomial(rows // BLOCKS, one, size=runs) for one in chance]).astype(np.float64)
    assert walked(in_order) > 0.9
    # Dealt over the blocks, every block has its share of every day.
    dealt = rng.multinomial(rows // BLOCKS, chance.mean(axis=0), size=(BLOCKS, runs)).astype(np.float64)
    assert walked(dealt) <= binom.ppf(0.9999, runs, alpha) / runs


def test_bounds_lie_below_the_truth_often_enough():
    runs, alpha = 300, 0.05
    truth = float(GAIN @ VALUES)
    capital, star = simulated(np.random.default_rng(7), GAIN, 40_000, runs)
    bounds = combined_lower_bound(capital, star, alpha)
    assert (bounds > truth).sum() <= binom.ppf(0.9999, runs, alpha)
    # Nearer to the truth than the mixture's.
    assert np.median(bounds) > np.median(capital.lower_bound(alpha))


def test_power_is_near_that_of_a_t_test():
    """At 1.12 times the rows that give a t-test 80% power, the booster has 80%; the mixture at 1.6 times."""
    alpha, runs = 0.001, 1_000
    mean, square = float(GAIN @ VALUES), float(GAIN @ VALUES**2)
    rows = (norm.isf(alpha) + norm.ppf(0.8)) ** 2 * (square - mean**2) / mean**2
    capital, star = simulated(np.random.default_rng(8), GAIN, int(1.12 * rows), runs)
    assert passes(capital.log_value, star, alpha).mean() >= 0.78
    capital, _ = simulated(np.random.default_rng(9), GAIN, int(1.6 * rows), runs)
    assert (log_sums_exp(capital.log_prior + capital.sums) >= math.log(1 / alpha)).mean() >= 0.78
