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
RATE, WINS, LEAST_VARIANCE = 0.05, 3.2, 25.0
SECOND = ((0.15, 0.85), (0.5, 1.0))  # probability of the second arm while it is not, and while it is, in favour
RUNS_AT_ONCE, STEP, LOOKS = 20_000, 500, 8


class Logs:
    """Many logs of one production, side by side.

    Attributes:
        values: [4] what d can be: the first arm paid, the second did while not in favour, while in favour, neither.
        counts: [runs, 4] rows of each.
        tried, won: [runs, 2] rows and rewards of both arms, which is what production knows.
        favoured: [runs] whether the second arm is in favour.
    """

    def __init__(self, rule: int, runs: int) -> None:
        self.rule = rule
        self.values = np.array([-1.0, *(1.0 / chance - 1.0 for chance in SECOND[rule]), 0.0])
        self.counts, self.tried, self.won = np.zeros((runs, 4)), np.zeros((runs, 2)), np.zeros((runs, 2))
        self.favoured = np.zeros(runs, dtype=bool)

    def step(self, rows: int, rng: np.random.Generator) -> None:
        """Production looks back, then decides this many rows."""
        if self.rule == 0:
            self.favoured = self.won[:, 1] * self.tried[:, 0] > self.won[:, 0] * self.tried[:, 1]
        else:
            ahead, variance = self.won[:, 1] - self.won[:, 0], np.maximum(self.won.sum(axis=1), LEAST_VARIANCE)
            self.favoured |= ahead > WINS * np.sqrt(variance)
        second = np.where(self.favoured, SECOND[self.rule][1], SECOND[self.rule][0])
        taken = (rng.random(second.size) < second).astype(np.int64) if rows == 1 else rng.binomial(rows, second)
        both = np.stack([rows - taken, taken], axis=1)
        paid = both * (rng.random(second.size) < RATE)[:, None] if rows == 1 else rng.binomial(both, RATE)
        self.tried += both
        self.won += paid
        self.counts[:, 0] += paid[:, 0]
        self.counts[:, 1] += np.where(self.favoured, 0, paid[:, 1])
        self.counts[:, 2] += np.where(self.favoured, paid[:, 1], 0)
        self.counts[:, 3] += rows - paid.sum(axis=1)


def simulate(rule: int, rows: int, step: int, runs: int, rng: np.random.Generator) -> tuple[Logs, Floats]:
    """Logs of one production, and [runs] the largest log capital at any look."""
    logs, best = Logs(rule, runs), np.full(runs, -np.inf)
    low = SECOND[rule][0]
    bets = default_bets(RATE * ((1.0 - low) + low * (1.0 / low - 1.0) ** 2), rows, BETTING_ALPHA)
    looks = {rows // step * (look + 1) // LOOKS for look in range(LOOKS)}
    for at in range(1, rows // step + 1):
        logs.step(step, rng)
        if at in looks:
            best = np.maximum(best, log_capital(logs.counts, logs.values, bets))
    return logs, best


def run(rule: int, rows: int, runs: int) -> Rates:
    """One line of the table."""
    step = 1 if rows == min(ROWS) else STEP
    rng = np.random.default_rng([3, rule, rows])
    hits, control = np.zeros(len(ALPHAS), np.int64), np.zeros(len(ALPHAS), np.int64)
    for start in range(0, runs, RUNS_AT_ONCE):
        logs, best = simulate(rule, rows, step, min(RUNS_AT_ONCE, runs - start), rng)
        hits += (level(best)[:, None] <= np.array(ALPHAS)).sum(axis=0)
        control += (t_level(logs.counts, logs.values)[:, None] <= np.array(ALPHAS)).sum(axis=0)
    return Rates(NAMES[rule], "t-test", rows, runs, hits.tolist(), control.tolist())


def tasks(runs: int) -> list[tuple[int, int, int]]:
    """Both rules at all sizes."""
    return [(rule, rows, runs) for rule in range(len(NAMES)) for rows in ROWS]
