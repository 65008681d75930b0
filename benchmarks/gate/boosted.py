"""Table 1, the booster: mixture and STaR together on independent rows in random order, and in the order of time.

In: the number of runs. Out: rates of false releases as in ``nulls``. The walk is ``Star``'s own, with one variable for
each simulated log; its table is filled from counts. Rows in the order of time under drift are the negative control:
that is why the gate never walks them so.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gate.core import ALPHAS, BETTING_ALPHA, Floats, Outcomes, chunks, log_capital, t_level
from gate.null_worlds import drift, epsilon_greedy, rare_loss
from gate.nulls import ROWS, Rates
from jumar.evaluate.capital import Capital, default_bets
from jumar.evaluate.star import BLOCKS, Star, passes, star_grid

NAMES = ("booster, ε-greedy", "booster, rare loss", "booster, drift")
RARE, DRIFT = 1, 2
CONTROLS = ("", "t-test", "walked in order of time")


def filled(counts: Floats, y: Floats, second_moment: float, rows: int) -> Star:
    """The booster of many logs at once: [blocks, runs, outcomes] counts → one variable for each run."""
    grid = star_grid(second_moment, rows)
    runs = counts.shape[1]
    star = Star(np.tile(grid, (runs, 1)), 1.0, len(counts), second_moment=np.full(runs, second_moment))
    star.table = counts @ np.log1p(np.multiply.outer(y, grid))
    star.squares = counts @ np.square(y)
    star.rows = counts[:, 0].sum(axis=-1).astype(np.int64)
    return star


def blocks_of(rng: np.random.Generator, chance: Floats, rows: int, runs: int) -> Floats:
    """[blocks, runs, outcomes] counts; chance is [outcomes], or [parts, outcomes] in the order of time."""
    parts = np.atleast_2d(chance)
    of = np.arange(BLOCKS) * len(parts) // BLOCKS
    return np.stack([rng.multinomial(rows // BLOCKS, parts[part], size=runs) for part in of]).astype(np.float64)


def _nonzero(outcomes: Outcomes) -> Outcomes:
    """Outcomes on which the variable is equal are one outcome."""
    values, which = np.unique(outcomes.y[:, 0], return_inverse=True)
    chance = np.stack([np.bincount(which, one, minlength=values.size) for one in outcomes.chance])
    return replace(outcomes, chance=chance, y=values[:, None])


def run(index: int, rows: int, runs: int) -> Rates:
    """One line of the table."""
    outcomes = _nonzero((epsilon_greedy, rare_loss, drift("good first"))[index](rows))
    y = outcomes.y[:, 0]
    chance = outcomes.chance if index == DRIFT else outcomes.chance[0]
    square = float((outcomes.chance @ np.square(y)).mean())
    bets = default_bets(square, rows, BETTING_ALPHA)
    rng = np.random.default_rng([2, index, rows])
    hits, control = np.zeros(len(ALPHAS), np.int64), np.zeros(len(ALPHAS), np.int64)
    for count in chunks(runs, BLOCKS * 60):
        counts = blocks_of(rng, chance, rows, count)
        total = counts.sum(axis=0)
        alone = log_capital(total, y, bets)
        mixture = alone >= np.log(1.0 / np.array(ALPHAS))[:, None]
        star = filled(counts, y, square, rows)
        boosted = np.array([passes(alone, star, alpha) for alpha in ALPHAS])
        hits += (mixture if index == DRIFT else boosted).sum(axis=1)
        if index == RARE:
            control += (t_level(total, y) <= np.array(ALPHAS)[:, None]).sum(axis=1)
        elif index == DRIFT:
            control += boosted.sum(axis=1)
    difference = _difference(y, chance)
    return Rates(NAMES[index], CONTROLS[index], rows, runs, hits.tolist(), control.tolist(), difference)


def _difference(y: Floats, chance: Floats) -> float:
    """The largest difference between filled tables and ``Star`` and ``Capital`` fed with rows, in nats."""
    rng = np.random.default_rng(0)
    rows = 20 * BLOCKS
    square = float((np.atleast_2d(chance) @ np.square(y)).mean())
    counts = blocks_of(rng, chance, rows, 1)
    star = filled(counts, y, square, rows)
    fed = Star(star_grid(square, rows), 1.0, second_moment=square)
    for b, one in enumerate(counts[:, 0]):  # a block at a time: which rows share a block is what matters
        part = Star(star_grid(square, rows), 1.0, BLOCKS, second_moment=square)
        part.update(np.repeat(y, one.astype(np.int64)), rng)
        fed.table[b] = part.table.sum(axis=0)
        fed.squares[b], fed.rows[b] = part.squares.sum(axis=0), part.rows.sum()
    bets = default_bets(square, rows, BETTING_ALPHA)
    capital = Capital(bets).update(np.repeat(y, counts.sum(axis=(0, 1)).astype(np.int64)))
    apart = [abs(float(star.log_value(alpha)[0]) - fed.log_value(alpha)) for alpha in ALPHAS]
    return max(*apart, abs(capital.log_value - float(log_capital(counts.sum(axis=(0, 1)), y, bets))))


def tasks(runs: int) -> list[tuple[int, int, int]]:
    """All cases at all sizes."""
    return [(index, rows, runs) for index in range(len(NAMES)) for rows in ROWS]
