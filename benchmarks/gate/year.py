"""Table 2, a year: every week a new challenger with ten candidates, looked at daily for four weeks, at α/52 each.

In: the number of years. Out: how many years saw any policy released that is no better. Challengers share rows with
those before and after them, as they do in a loop; the usual habits stand beside: a t-test of a new idea on every day's
rows, and a gate that gives every attempt the full α.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gate.core import ALPHAS, BETTING_ALPHA, Floats, level, log_capital, t_level
from gate.logged import BINARY, VALUE, coin, logged
from jumar.evaluate.capital import default_bets

DAYS, DAY_ROWS, ATTEMPTS, WINDOW, CANDIDATES, CONTEXTS = 365, 5_000, 52, 28, 10, 8
YEARS_AT_ONCE = 250
NAMES = ("nothing better", "some better, some harmful")
# Gain of the other action, by context, as a share of the base rate of 5%.
GAINS = (np.zeros(CONTEXTS), np.array([0.0, 0.0, 0.0, 0.4, 0.2, -0.02, -0.1, -0.3]))


@dataclass(frozen=True)
class Years:
    """Years with a bad release.

    Attributes:
        name: which world.
        years: simulated.
        shared: [alphas] α/52 for each attempt, which is what ships.
        full: [alphas] the same with the full α for each attempt.
        daily: [alphas] a t-test of a new idea on the rows of every day, at the full α.
    """

    name: str
    years: int
    shared: list[int]
    full: list[int]
    daily: list[int]


def _ideas(rng: np.random.Generator, count: int) -> Floats:
    """[X, count, 2] policies that take the other action in one to three of the contexts."""
    policies = np.full((CONTEXTS, count, 2), (0.85, 0.15))
    for k in range(count):
        policies[rng.choice(CONTEXTS, size=rng.integers(1, 4), replace=False), k] = (0.0, 1.0)
    return policies


def _world(which: int, policies: Floats) -> tuple[Floats, Floats]:
    """Probabilities of the outcomes, and d [outcomes, ideas] of every idea."""
    rates = np.stack([np.full(CONTEXTS, 0.05), 0.05 * (1.0 + GAINS[which])], axis=1)
    contexts = np.full(CONTEXTS, 1.0 / CONTEXTS)
    one = logged(contexts, np.full((CONTEXTS, 2), (0.85, 0.15)), policies, BINARY, coin(rates))
    return one.chance, one.of(VALUE)


def run(which: int, years: int, part: int) -> Years:
    """Some years of one world; ``part`` makes the seed."""
    ideas = np.random.default_rng([4, which])
    challengers = [_world(which, _ideas(ideas, CANDIDATES)) for _ in range(ATTEMPTS)]
    chance, fresh = _world(which, _ideas(ideas, DAYS))
    rng = np.random.default_rng([5, which, part])
    shared, full, daily = (np.zeros(len(ALPHAS), np.int64) for _ in range(3))
    for start in range(0, years, YEARS_AT_ONCE):
        size = min(YEARS_AT_ONCE, years - start)
        days = rng.multinomial(DAY_ROWS, chance, size=(size, DAYS)).astype(np.float64)
        total = np.concatenate([np.zeros((size, 1, chance.size)), np.cumsum(days, axis=1)], axis=1)
        attempts = [_attempt(total, d, chance, 7 * week) for week, (_, d) in enumerate(challengers)]
        best = np.min(attempts, axis=0)[:, None]
        shared += (best <= np.array(ALPHAS) / ATTEMPTS).sum(axis=0)
        full += (best <= np.array(ALPHAS)).sum(axis=0)
        bad = chance @ fresh <= 1e-12
        tests = [t_level(days[:, day], fresh[:, day]) for day in np.flatnonzero(bad)]
        daily += (np.min(tests, axis=0)[:, None] <= np.array(ALPHAS)).sum(axis=0)
    return Years(NAMES[which], years, shared.tolist(), full.tolist(), daily.tolist())


def _attempt(total: Floats, d: Floats, chance: Floats, opened: int) -> Floats:
    """[years] the smallest level at which a challenger's walk reaches its first bad candidate on any day."""
    bad = chance @ d <= 1e-12
    if not bad.any():
        return np.ones(len(total))
    closed = min(opened + WINDOW, DAYS)
    counts = total[:, opened + 1 : closed + 1] - total[:, opened : opened + 1]
    planned = WINDOW * DAY_ROWS
    reached = np.zeros(counts.shape[:2])
    for k in range(int(np.argmax(bad)) + 1):  # all before it must have passed on that day, and it as well
        bets = default_bets(float(chance @ np.square(d[:, k])), planned, BETTING_ALPHA)
        reached = np.maximum(reached, level(log_capital(counts, d[:, k], bets)))
    return reached.min(axis=1)


def tasks(years: int, parts: int = 4) -> list[tuple[int, int, int]]:
    """Both worlds, each in parts."""
    return [(which, years // parts, part) for which in range(len(NAMES)) for part in range(parts)]


def joined(parts: list[Years]) -> list[Years]:
    """The parts of each world added up."""
    found = []
    for name in NAMES:
        some = [one for one in parts if one.name == name]
        columns = [np.sum([getattr(one, key) for one in some], axis=0).tolist() for key in ("shared", "full", "daily")]
        found.append(Years(name, sum(one.years for one in some), *columns))
    return found
