"""Table 1, adaptive logging: production changes its probabilities while the log is written, because of the rewards.

In: the number of runs. Out: rates of false releases as in ``nulls``. Two arms of the same reward; the policy always
takes the second. All runs go through time side by side, row by row at the smallest size and in steps of 500 rows, as a
nightly update would, at the others.
- "follows the leader": production takes the arm that has done better so far, and explores with ε = 0.3.
- "adopts a winner": it explores evenly until the second arm looks better by 3.2 standard errors, then takes it for
  good. From then on d = 0: luck is frozen, and the usual test takes it for a gain.
"""

from __future__ import annotations

import numpy as np

from gate.core import ALPHAS, BETTING_ALPHA, Floats, level, log_capital, t_level
from gate.nulls import ROWS, Rates
from jumar.evaluate.capital import default_bets

NAMES = ("adaptive, follows the leader", "adaptive, adopts a winner")
RATE, EXPLORED, WINS = 0.05, 0.15, 3.2
RUNS_AT_ONCE, STEP = 20_000, 500


def simulate(rule: int, rows: int, step: int, runs: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Logs of one production.

    Returns:
        [runs, 4] counts of the values of d, the values [4], and [runs] the largest log capital at 8 looks.
    """
    values = np.array([-1.0, 1.0 / EXPLORED - 1.0, 1.0 / (1.0 - EXPLORED) - 1.0, 0.0])
    if rule == 1:
        values = np.array([-1.0, 1.0, 1.0, 0.0])
    square = float(RATE * (values[1] if rule == 0 else 1.0))
    bets = default_bets(square, rows, BETTING_ALPHA)
    counts = np.zeros((runs, 4))
    tried, won = np.zeros((runs, 2)), np.zeros((runs, 2))
    adopted = np.zeros(runs, dtype=bool)
    best = np.full(runs, -np.inf)
    looks = {rows // step * (look + 1) // 8 for look in range(8)}
    for at in range(1, rows // step + 1):
        second = np.full(runs, 0.5)
        if rule == 0:
            ahead = won[:, 1] * tried[:, 0] > won[:, 0] * tried[:, 1]
            second = np.where(ahead, 1.0 - EXPLORED, EXPLORED)
        else:
            adopted |= won[:, 1] - won[:, 0] > WINS * np.sqrt(np.maximum(won.sum(axis=1), 25.0))
            second[adopted] = 1.0
        if step == 1:
            b = rng.random(runs) < second
            r = rng.random(runs) < RATE
            taken, paid = np.stack([~b, b], axis=1).astype(float), np.stack([r & ~b, r & b], axis=1).astype(float)
        else:
            b = rng.binomial(step, second)
            taken = np.stack([step - b, b], axis=1).astype(float)
            paid = rng.binomial(taken.astype(np.int64), RATE).astype(float)
        tried += taken
        won += paid
        counts[:, 0] += paid[:, 0]
        if rule == 0:
            counts[:, 1] += np.where(ahead, 0.0, paid[:, 1])
            counts[:, 2] += np.where(ahead, paid[:, 1], 0.0)
        else:
            counts[:, 1] += np.where(adopted, 0.0, paid[:, 1])
        if at in looks:
            best = np.maximum(best, log_capital(counts, values, bets))
    counts[:, 3] = rows - counts[:, :3].sum(axis=1)
    return counts, values, best


def run(rule: int, rows: int, runs: int) -> Rates:
    """One line of the table."""
    step = 1 if rows == min(ROWS) else STEP
    rng = np.random.default_rng([3, rule, rows])
    hits, control = np.zeros(len(ALPHAS), np.int64), np.zeros(len(ALPHAS), np.int64)
    for start in range(0, runs, RUNS_AT_ONCE):
        counts, values, best = simulate(rule, rows, step, min(RUNS_AT_ONCE, runs - start), rng)
        hits += (level(best)[:, None] <= np.array(ALPHAS)).sum(axis=0)
        control += (t_level(counts, values)[:, None] <= np.array(ALPHAS)).sum(axis=0)
    return Rates(NAMES[rule], "t-test", rows, runs, hits.tolist(), control.tolist())


def tasks(runs: int) -> list[tuple[int, int, int]]:
    """Both rules at all sizes."""
    return [(rule, rows, runs) for rule in range(len(NAMES)) for rows in ROWS]
