"""Tables 3 and 4: how many rows a gain of 5% takes, for the gate and for the usual test, and how many were planned.

In: the number of runs. Out: rows for 80% power at α = 0.001 in the ε-greedy case: ε = 0.3, half of the contexts
changed, several base rates; the doubly-robust variable beside the plain one; the planner beside the simulation.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import norm

from gate.boosted import blocks_of, filled
from gate.core import BETTING_ALPHA, Floats, chunks, log_capital, t_level
from gate.logged import BINARY, VALUE, Logged, coin, logged
from gate.null_worlds import doubly_robust
from jumar.evaluate.capital import default_bets
from jumar.evaluate.planning import rows_needed
from jumar.evaluate.robust import kappa_for, robust_bound
from jumar.evaluate.star import BLOCKS, passes
from table import Row, run_child

ALPHA, POWER, GAIN, SPREAD = 0.001, 0.8, 0.05, 0.5
BASE_RATES = (0.01, 0.05, 0.1, 0.2, 0.5)
GRID = np.array([0.85, 1.0, 1.15, 1.3, 1.45, 1.6])


@dataclass(frozen=True)
class Needed:
    """Rows for 80% power.

    Attributes:
        base: V(μ).
        t_test, mixture, boosted: rows of each test, looked at once; ``daily``: of the mixture looked at 200 times.
        planned: what the planner says of the mixture, looked at once.
        plain, robust: rows of the mixture where contexts differ, on the plain and on the doubly-robust variable.
    """

    base: float
    t_test: float
    mixture: float
    daily: float
    boosted: float
    planned: int
    plain: float
    robust: float


def better(base: float, spread: float = 0.0) -> Logged:
    """Production is worth ``base``; the policy, which changes half of the contexts, 5% more.

    Half of the contexts of each kind bring more than the others by ``spread`` of the base rate up and down.
    """
    # In changed contexts 0.85·(other − favourite) is twice the gain; 0.85·favourite + 0.15·other is production's value.
    rates = []
    for value in (base * (1 + spread), base * (1 - spread)):
        apart = 2.0 * GAIN * value / 0.85
        rates.append([value - 0.15 * apart, value + 0.85 * apart])
    pi = np.array([[[0.0, 1.0]], [[0.0, 1.0]], [[0.85, 0.15]], [[0.85, 0.15]]])
    return logged(np.full(4, 0.25), np.full((4, 2), (0.85, 0.15)), pi, BINARY, coin(rates * 2))


def crossing(rows: Floats, power: Floats) -> float:
    """Rows at which the power is 80%, from a straight line through the probits over √n."""
    inside = (power > 0.3) & (power < 0.985)
    slope, level = np.polyfit(np.sqrt(rows[inside]), norm.ppf(power[inside]), 1)
    return float(((norm.ppf(POWER) - level) / slope) ** 2)


def _usual(y: Floats, chance: Floats) -> float:
    """Rows that the t-test needs, from the textbook."""
    gain = float(chance @ y)
    return float((norm.isf(ALPHA) + norm.ppf(POWER)) ** 2 * (float(chance @ np.square(y)) - gain**2) / gain**2)


def _merged(y: Floats, chance: Floats) -> tuple[Floats, Floats]:
    """Outcomes on which the variable is equal are one outcome."""
    values, which = np.unique(np.round(y, 12), return_inverse=True)
    return values, np.bincount(which, chance, minlength=values.size).astype(np.float64)


def _shares(y: Floats, chance: Floats, rows: int, runs: int, rng: np.random.Generator) -> Floats:
    """Shares of logs certified by the t-test, the mixture looked at once and 200 times, and the booster."""
    square = float(chance @ np.square(y))
    bets = default_bets(square, rows, BETTING_ALPHA)
    passed, needed = np.zeros(4), np.log(1.0 / ALPHA)
    for count in chunks(runs, BLOCKS * 60):
        counts = blocks_of(rng, chance, rows, count)
        capital = log_capital(np.cumsum(counts, axis=0), y, bets)
        passed += [
            int((t_level(counts.sum(axis=0), y) <= ALPHA).sum()),
            int((capital[-1] >= needed).sum()),
            int((capital.max(axis=0) >= needed).sum()),
            int(passes(capital[-1], filled(counts, y, square, rows), ALPHA).sum()),
        ]
    return passed / runs


def _mixture_rows(y: Floats, chance: Floats, bound: float, runs: int, rng: np.random.Generator) -> float:
    """Rows of the mixture, looked at once."""
    y, chance = _merged(y, chance)
    square = float(chance @ np.square(y))
    sizes, powers = np.round(_usual(y, chance) * GRID), []
    for rows in sizes.astype(int):
        bets = default_bets(square, int(rows), BETTING_ALPHA, bound=bound)
        counts = rng.multinomial(rows, chance, size=runs).astype(np.float64)
        powers.append(float((log_capital(counts, y, bets) >= np.log(1.0 / ALPHA)).mean()))
    return crossing(sizes, np.array(powers))


def run(index: int, runs: int) -> Needed:
    """One base rate."""
    base, rng = BASE_RATES[index], np.random.default_rng([6, index])
    world = better(base)
    y, chance = _merged(world.of(VALUE)[:, 0], world.chance)
    sizes = np.round(_usual(y, chance) * GRID / BLOCKS) * BLOCKS
    shares = np.array([_shares(y, chance, int(rows), runs, rng) for rows in sizes])
    t_test, mixture, daily, boosted = (crossing(sizes, shares[:, column]) for column in range(4))
    planned = rows_needed(float(chance @ y), float(chance @ np.square(y)), ALPHA, POWER)
    return Needed(base, t_test, mixture, daily, boosted, planned, *_varied(base, 4 * runs, rng))


def _varied(base: float, runs: int, rng: np.random.Generator) -> tuple[float, float]:
    """Contexts that differ by half of the base rate, which the predictions know; they are blind for the gain."""
    world = better(base, SPREAD)
    y = world.of(VALUE)[:, 0]
    plain = _mixture_rows(y, world.chance, 1.0, runs, rng)
    value = base * np.array([1 + SPREAD, 1 - SPREAD])[world.context % 2]
    kappa = kappa_for(float(world.chance @ np.square(y)), int(plain))
    robust = doubly_robust(world, np.stack([value, value], axis=1), kappa)[:, 0]
    return plain, _mixture_rows(robust, world.chance, robust_bound(kappa), runs, rng)


def tasks(runs: int) -> list[tuple[int, int]]:
    """All base rates."""
    return [(index, runs) for index in range(len(BASE_RATES))]


def planned(quick: bool) -> list[Row]:
    """The planner's own benchmark over many cells, in a process of its own; its figures and its controls."""
    script = Path(__file__).resolve().parents[1] / "planner.py"
    done = run_child([sys.executable, str(script), *["--quick"] * quick])
    found = []
    for line in done.output.splitlines():
        cells = re.split(r" {2,}", line.strip())
        if len(cells) == 4 and cells[-1] in ("met", "MISSED"):
            found.append(Row(f"planner, {cells[0]}", cells[1], cells[2], cells[3] == "met"))
    assert found, done.output
    return [*found, Row("planner, all", f"exit code {done.code}", "0", done.code == 0)]
