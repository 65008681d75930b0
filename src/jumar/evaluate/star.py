"""Star: the booster for one batch of independent units; nearly as strong as a t-test, and exact.

In: rows of a variable d that cannot fall below a known bound, and a generator that shuffles them.
Out: log capital of bets that aim at a target at the end of the batch, and what it says together with ``Capital``.
The gate imports this module for batches; what comes day by day is weighed by ``Capital`` alone.

Rows are dealt at random over 200 blocks. In each block the bet is the one that would bring what is missing to the
target with the rows that are left: it follows the luck so far, where constant bets cannot. A block keeps Σ log(1 + λ·d)
for a fixed grid of bets, so the walk over the blocks is done afterwards, for any target, and shards are added.

Why it is sound, and for whom. Let the rows be independent and alike, with E[d] ≤ m. Which row goes to which block does
not depend on its value, and the bet λ_b of a block follows from earlier blocks. Given those, the expectation of
Π (1 + λ_b·d)·exp(−λ_b·m) over the n_b rows of the block is (1 + λ_b·E[d])^n_b·exp(−n_b·λ_b·m) ≤ 1. So is that of the
product W(m) over all blocks, and by Markov's inequality P(W(m) ≥ 1/α) ≤ α at the end of the batch; not before it.
Nothing of this holds for rows that depend on one another (units that come again), for averages that drift, or where
production learned from these rows: there the mixture alone counts. See "STaR-Bets: Sequential target-recalculating
bets for tighter confidence intervals" by Voráček & Orabona (https://arxiv.org/abs/2505.22422).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jumar.evaluate.capital import Capital, GateError, checked_rows, log_sums_exp
from jumar.evaluate.growth import Floats, column_growth

RATIO = 1.12  # of neighbouring bets: rounding down costs 0.4% of the growth on average
BLOCKS = 200
# Of the capital, the booster's. With half, even a most powerful test would need (z_{α/2} + z)²/(z_α + z)² = 1.104 times
# the rows of a t-test at α = 0.001 and 80% power; with three quarters, 1.044.
SHARE = 0.75
LEVELS = (0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 5e-4, 2e-4, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
_TOP = 0.9
_LEVEL_OF_GRID = 0.001
_PLAN_COUNTS = 0.1  # the planned second moment weighs as much as this share of the batch
_ROWS_AT_ONCE = 65_536
_STEPS = 64  # lattice points of a lower bound per planned standard error
_POINTS_AT_ONCE, _POINTS_AT_MOST = 128, 16_384


class Star:
    """Bets that aim at a target at the end of one batch, for one variable d or for K over the same rows.

    Args:
        grid: [bets] or [K, bets] bets in a rising geometric row, each in (0, 0.95/bound]; fixed before the first row.
        bound: no variable falls below −bound; a float or [K].
        blocks: into how many the batch is cut.
        second_moment: E[d²] expected of a row, from rows that this batch does not hold; a float or [K].

    Attributes:
        table: [blocks, K, bets] Σ log(1 + λ·d).
        squares: [blocks, K] Σ d².
        rows: [blocks] rows dealt to each block, those with d = 0 included.
    """

    def __init__(
        self, grid: ArrayLike, bound: ArrayLike = 1.0, blocks: int = BLOCKS, *, second_moment: ArrayLike
    ) -> None:
        bets = np.array(grid, dtype=np.float64)
        self.single = bets.ndim == 1
        self.grid = bets[None, :] if self.single else bets
        if self.grid.ndim != 2 or self.grid.shape[1] < 2 or blocks < 1:
            raise GateError(
                "the booster needs at least two bets and one block",
                example=(bets.shape, blocks),
                remedy="Use default_star.",
            )
        variables = self.grid.shape[0]
        self.bounds = np.broadcast_to(np.asarray(bound, dtype=np.float64), (variables,)).copy()
        self.second_moment = np.broadcast_to(np.asarray(second_moment, dtype=np.float64), (variables,)).copy()
        stakes, steps = self.grid * self.bounds[:, None], self.grid[:, 1:] / self.grid[:, :-1]
        if not (np.all(stakes > 0) and np.all(stakes <= 0.95 * (1 + 1e-12)) and np.all(self.bounds > 0)):
            raise GateError(
                "every bet must be above 0 and at most 0.95 / bound",
                example=(float(self.grid.min()), float(self.grid.max())),
                remedy="Use default_star.",
            )
        if not (np.all(steps > 1) and np.allclose(steps, steps[:, :1], rtol=1e-9)):
            raise GateError(
                "the bets of the booster must be a rising geometric row",
                example=(float(steps.min()), float(steps.max())),
                remedy="Use default_star.",
            )
        if not np.all((self.second_moment >= 0) & (self.second_moment < np.inf)):
            raise GateError(
                "a second moment must be finite and not negative",
                example=self.second_moment.tolist(),
                remedy="Measure it on rows that the gate does not hold.",
            )
        self.table = np.zeros((blocks, *self.grid.shape))
        self.squares = np.zeros((blocks, variables))
        self.rows = np.zeros(blocks, dtype=np.int64)

    @property
    def count(self) -> int:
        """Rows seen."""
        return int(self.rows.sum())

    def update(self, d: ArrayLike, rng: np.random.Generator) -> Star:
        """Shuffles rows, deals them over the blocks, and returns this state.

        Args:
            d: [rows] for a single variable, or [rows, K].
            rng: draws the order, which all variables share.

        Raises:
            GateError: where d is NaN, infinite or below −bound. Nothing is clamped and nothing was added.
        """
        values = checked_rows(d, self.bounds)
        order = rng.permutation(values.shape[0])
        for start in range(0, order.size, _ROWS_AT_ONCE):
            self._deal(values, order[start : start + _ROWS_AT_ONCE])
        return self

    def _deal(self, values: Floats, order: NDArray[np.integer]) -> None:
        """Adds rows in random order, one to each block in turn, those that have fewest rows first."""
        blocks = self.rows.size
        turn = np.argsort(self.rows, kind="stable")
        for k in range(values.shape[1]):
            dealt = _in_columns(values[:, k][order], blocks)
            self.table[turn, k] += column_growth(dealt, self.grid[k], float(self.bounds[k]))
            self.squares[turn, k] += np.square(dealt).sum(axis=0)
        self.rows[turn] += order.size // blocks + (np.arange(blocks) < order.size % blocks)

    def __add__(self, other: Star) -> Star:
        """The state that has seen the rows of both shards; each was shuffled by itself."""
        if not isinstance(other, Star):
            return NotImplemented
        if not (
            self.single == other.single
            and self.table.shape == other.table.shape
            and np.array_equal(self.grid, other.grid)
            and np.array_equal(self.bounds, other.bounds)
            and np.array_equal(self.second_moment, other.second_moment)
        ):
            raise GateError("only boosters of one plan can be added", remedy="Use the same grid for all shards.")
        total = Star(
            self.grid[0] if self.single else self.grid,
            self.bounds,
            self.rows.size,
            second_moment=self.second_moment,
        )
        total.table = self.table + other.table
        total.squares = self.squares + other.squares
        total.rows = self.rows + other.rows
        return total

    def log_value(self, alpha: ArrayLike, *, mean: ArrayLike = 0.0) -> Any:
        """log W: the capital, in nats, of a walk over the blocks that aims at log(1/(SHARE·α)), against "E[d] ≤ mean".

        Args:
            alpha: error probability in (0, 1] that the target belongs to.
            mean: the average bet against. Both broadcast to [..., K].

        Returns:
            A float for a single variable, else [..., K].
        """
        level = _levels(alpha)
        shape = np.broadcast_shapes(level.shape, np.shape(mean), (self.grid.shape[0],))
        target = np.broadcast_to(np.log(1.0 / (SHARE * level)), shape)
        value = self._walk(target, np.broadcast_to(np.asarray(mean, dtype=np.float64), shape))
        return float(value[0]) if self.single and value.ndim == 1 else value

    def _walk(self, target: Floats, mean: Floats) -> Floats:
        """[..., K] log W. The bet of a block is rounded down to the grid, and is zero once the target is reached."""
        log_value = np.zeros(target.shape)
        variable = np.arange(self.grid.shape[0])
        first, step = np.log(self.grid[:, 0]), np.log(self.grid[:, 1] / self.grid[:, 0])
        total, trust = self.count, _PLAN_COUNTS * self.count
        seen, square = 0, np.zeros(self.grid.shape[0])
        for b in np.flatnonzero(self.rows):
            expected = (trust * self.second_moment + square) / (trust + seen) * (total - seen)
            missing = np.maximum(target - log_value, 0.0)
            with np.errstate(divide="ignore", invalid="ignore"):
                place = (0.5 * np.log(2.0 * missing / expected) - first) / step
            place = np.where(expected > 0, place, np.inf)
            at = np.clip(np.floor(place), 0, self.grid.shape[1] - 1).astype(np.int64)
            bet = self.grid[variable, at]
            gained = self.table[b][variable, at] - self.rows[b] * bet * mean
            log_value += np.where(missing > 0, gained, 0.0)
            seen, square = seen + int(self.rows[b]), square + self.squares[b]
        return log_value


def star_grid(second_moment: ArrayLike, rows_planned: int, *, bound: ArrayLike = 1.0) -> Floats:
    """[bets] or [K, bets]: from an eighth of the bet that suits a just detectable average up to 0.9/bound.

    Args:
        second_moment: E[d²] from rows that the batch does not hold; a float for a single variable, or [K].
        rows_planned: rows that the batch is expected to have.
        bound: the variable never falls below −bound; a float or [K].
    """
    moment, bounds = np.broadcast_arrays(np.asarray(second_moment, np.float64), np.asarray(bound, np.float64))
    if not (np.all((moment >= 0) & (moment < np.inf) & (bounds > 0)) and rows_planned > 0):
        raise GateError(
            "the booster needs second moments ≥ 0 and at least one planned row",
            example=(moment.tolist(), rows_planned),
            remedy="Check how many rows the gate will have.",
        )
    budget = 2.0 * math.log(1.0 / _LEVEL_OF_GRID)
    spread = np.maximum(rows_planned * moment / bounds**2, budget / _TOP**2)
    lowest = float(np.sqrt(budget / spread).min()) / 8.0
    steps = math.ceil(math.log(_TOP / lowest) / math.log(RATIO))
    return _TOP / bounds[..., None] * RATIO ** np.arange(-steps, 1.0)


def default_star(second_moment: ArrayLike, rows_planned: int, *, bound: ArrayLike = 1.0) -> Star:
    """The booster laid out for a batch; its arguments are those of ``star_grid``."""
    return Star(star_grid(second_moment, rows_planned, bound=bound), bound, second_moment=second_moment)


def combined(log_capital: ArrayLike, log_star: ArrayLike) -> Any:
    """log(¼·K + ¾·W), see ``SHARE``: an average of two capitals is a capital. Of any shape, in nats."""
    return np.logaddexp(np.asarray(log_capital) + math.log(1 - SHARE), np.asarray(log_star) + math.log(SHARE))[()]


def aimed_at(alpha: float) -> float:
    """The level that a test at α aims its walk at: the largest of ``LEVELS`` that is no larger, or α itself."""
    level = float(_levels(alpha))
    return max((one for one in LEVELS if one <= level * (1 + 1e-9)), default=level)


def passes(log_capital: ArrayLike, star: Star, alpha: float) -> Any:
    """Does the combined capital reach 1/α, and 1/α' for every level α' of ``LEVELS`` that is larger?

    The walk aims at a target that depends on α, so W alone might reach 1/α at a small α and not at a larger one. Here
    it aims as for the largest of ``LEVELS`` that is no larger than α. What passes, passes at least one test of level α,
    so the error is at most α; and it passes at every larger α, so that more confidence never releases what less
    confidence refused: within a step of ``LEVELS`` the same capital is held against a larger 1/α, and a smaller step
    demands all that the larger ones do.

    Args:
        log_capital: [K] ``Capital.log_value`` over the same rows, or a float for a single variable.
        star: the booster over the same rows.
        alpha: error probability in (0, 1].

    Returns:
        [K] truth values, or one for a single variable.
    """
    aim = aimed_at(alpha)
    larger = [one for one in LEVELS if one > alpha * (1 + 1e-9)]
    both = combined(np.atleast_1d(log_capital), star.log_value(np.array([aim, *larger])[:, None]))
    # 1 − 0.999 is not quite 0.001, and what is demanded must be the same for both.
    own = aim if math.isclose(aim, alpha, rel_tol=1e-9) else float(alpha)
    passed = np.all(both >= np.log(1.0 / np.array([own, *larger]))[:, None], axis=0)
    return bool(passed[0]) if star.single else passed


def combined_lower_bound(capital: Capital, star: Star, alpha: ArrayLike) -> Any:
    """A bound below the mean of d that ¼·K(m) + ¾·W(m) ≥ 1/α refutes from below; P(it exceeds E[d]) ≤ α.

    The values m are a lattice through zero that the rows have no part in. Let m* be its smallest value that is not
    below E[d]. ¼·K(m*) + ¾·W(m*) has an expectation of at most 1, so with probability 1 − α it stays under 1/α; and
    then the largest value up to which *all* values are refuted lies below m*, hence below E[d]. Nothing needs to be
    monotone in m. Values up to the bound of K at α/4 are refuted by K alone. Where the result is ≥ 0 the combined
    capital has reached 1/α.

    Args:
        capital: the mixture over the same rows as the booster, for the same variables.
        star: the booster.
        alpha: error probability in (0, 1]; one, or [K].

    Returns:
        A float for a single variable, else [K].
    """
    if capital.count != star.count or not np.array_equal(capital.bounds, star.bounds):
        raise GateError(
            "capital and booster must have seen the same rows of the same variables",
            example=(capital.count, star.count),
            remedy="Update both with every batch.",
        )
    variables = star.grid.shape[0]
    level = np.broadcast_to(_levels(alpha), (variables,))
    if star.count == 0:
        return -float(star.bounds[0]) if star.single else -star.bounds
    alone = np.atleast_1d(capital.lower_bound((1 - SHARE) * level))
    planned = np.maximum(star.second_moment, star.bounds**2 / star.count)
    step = np.sqrt(planned / star.count) / _STEPS
    start = np.floor(alone / step)
    found, open_ = start.copy(), np.ones(variables, dtype=np.bool_)
    for offset in range(1, _POINTS_AT_MOST, _POINTS_AT_ONCE):
        points = start + np.arange(offset, offset + _POINTS_AT_ONCE)[:, None]
        refuted = combined(_mixture_at(capital, points * step), star.log_value(level, mean=points * step))
        run = np.cumprod(refuted >= np.log(1.0 / level), axis=0).sum(axis=0)
        found += np.where(open_, run, 0)
        open_ &= run == _POINTS_AT_ONCE
        if not open_.any():
            break
    bound = np.maximum(found * step, -star.bounds)
    return float(bound[0]) if star.single else bound


def _in_columns(d: Floats, columns: int) -> Floats:
    """[most, columns] the i-th value in column i mod columns; zeros, which no bet feels, are left out or filled in."""
    some = np.flatnonzero(d)
    if 2 * some.size > d.size:
        dealt = np.zeros(-(-d.size // columns) * columns)
        dealt[: d.size] = d
        return dealt.reshape(-1, columns)
    column = some % columns
    sizes = np.bincount(column, minlength=columns)
    by_column = np.argsort(column, kind="stable")
    place = np.empty_like(column)
    place[by_column] = np.arange(some.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    dealt = np.zeros((int(sizes.max(initial=0)), columns))
    dealt[place, column] = d[some]
    return dealt


def _mixture_at(capital: Capital, mean: Floats) -> Floats:
    """[points, K] log Σ p·exp(S − n·λ·m) for averages m [points, K]."""
    return log_sums_exp(capital.log_prior + capital.sums - capital.count * capital.fractions * mean[..., None])


def _levels(alpha: ArrayLike) -> NDArray[np.float64]:
    level = np.asarray(alpha, dtype=np.float64)
    if not np.all((level > 0) & (level <= 1)):
        raise GateError("alpha must lie in (0, 1]", example=level.tolist(), remedy="Use 1 − confidence.")
    return level
