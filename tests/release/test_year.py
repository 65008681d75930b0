"""A year of attempts with a look every day: bad releases as rare as was promised, and controls that break the promise.

One challenger is opened each week and looked at daily for four, so four are open at a time and share rows. All are
exactly as good as production, but win a little often and lose much rarely: there tests on averages go wrong.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from jumar.evaluate import Capital, default_bets
from jumar.release.ledger import share_of

YEARS, DAYS, ATTEMPTS, LIFE, ROWS = 300, 364, 52, 28, 400
CONFIDENCE = 0.9
# d = (w − 1)·r of a policy that stops doing something in a segment: nearly always a small gain, −1 where all is lost.
RARE = 0.004
VALUES = np.array([RARE / (1 - RARE), -1.0])
CHANCES = np.array([1 - RARE, RARE])


def counts(seed: int) -> NDArray[np.int64]:
    """[days, years, values] how often each value of d came up: one stream of days, shared by attempts that overlap."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(ROWS, CHANCES, size=(DAYS, YEARS))


def capital_by_day(days: NDArray[np.int64]) -> NDArray[np.float64]:
    """[days, years] log capital at the end of each day, of the bets that a challenger would have."""
    bets = default_bets(float(VALUES**2 @ CHANCES), LIFE * ROWS, 0.001)
    growth = np.log1p(np.multiply.outer(VALUES, bets.fractions))  # [values, bets]
    sums = np.cumsum(days @ growth, axis=0)
    return np.logaddexp.reduce(bets.log_prior + sums, axis=2)


def year_with(alpha: float, days: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[years] whether any of the year's attempts releases: one is opened each week and looked at daily for four."""
    released = np.zeros(YEARS, bool)
    for first in range(0, DAYS - LIFE, 7):
        ever = capital_by_day(days[first : first + LIFE]).max(axis=0)
        released |= ever >= math.log(1 / alpha)
    return released


def year_of_t_tests(alpha: float, days: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[years] the same with a t-test at the full α, looked at daily."""
    released = np.zeros(YEARS, bool)
    for first in range(0, DAYS - LIFE, 7):
        n = np.cumsum(days[first : first + LIFE], axis=0).astype(np.float64)
        total = n.sum(axis=2)
        mean = n @ VALUES / total
        spread = np.sqrt(np.maximum(n @ VALUES**2 / total - mean**2, 1e-12) / total)
        released |= (mean / spread >= stats.norm.isf(alpha)).any(axis=0)
    return released


def least_rate(hits: int, runs: int) -> float:
    """The 99% Clopper–Pearson lower limit."""
    return 0.0 if hits == 0 else float(stats.beta.ppf(0.01, hits, runs - hits + 1))


def test_the_simulation_bets_as_the_gate_does() -> None:
    """Its capital, from counts, is the capital of the same rows."""
    days = counts(3)[:2]
    bets = default_bets(float(VALUES**2 @ CHANCES), LIFE * ROWS, 0.001)
    capital = Capital(bets).update(np.repeat(VALUES, days[:, 0].sum(axis=0)))
    assert abs(capital.log_value - capital_by_day(days)[-1, 0]) < 1e-9
    assert abs(float(VALUES @ CHANCES)) < 1e-12


def test_a_year_keeps_its_promise_and_the_controls_do_not() -> None:
    days, alpha = counts(1), round(1 - CONFIDENCE, 9)
    split = int(year_with(share_of(CONFIDENCE, ATTEMPTS), days).sum())
    whole = int(year_with(alpha, days).sum())
    t_tests = int(year_of_t_tests(alpha, days).sum())
    assert least_rate(split, YEARS) <= alpha, split
    assert split / YEARS <= alpha
    assert least_rate(whole, YEARS) > alpha, whole  # α not divided by the attempts
    assert least_rate(t_tests, YEARS) > 2 * alpha, t_tests
