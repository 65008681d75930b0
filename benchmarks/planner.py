"""Does the planner name the rows that a certificate takes? Predicted rows over those that simulated gates needed.

In: nothing. Out: the range of that ratio for each way to plan, beside its target, and the worst cells.
- "law": ``rows_for`` on the law of d, as ``jumar plan`` has it: two actions, an ε-greedy production, rewards 0 or 1;
- "log": the whole way from what a log counts over the supposed policy and the hoped-for gain to rows;
- "boosted": three quarters of the capital bet by the booster;
- "moments": ``rows_needed``, which knows E[d²] alone and which the gate's refusals use: it must not name too few.
Rows needed are those at which 80% of the gates pass, found by multinomial counts over the values of d at seven sizes
and a line through the probits. It exits 1 if a ratio is off by more than 15% where 5,000 rows or more are needed, or
if a negative control (no nat for the mixture; the spread of unpaired estimates; no booster) is not.
Run: python benchmarks/planner.py [--ahead] [--quick]; --ahead plans along timelines, see ``planner_ahead``.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist

import numpy as np

from jumar.evaluate.capital import Floats, default_bets, log_sums_exp
from jumar.evaluate.planning import Law, Tally, rows_for, rows_needed
from jumar.evaluate.star import Star, passes, star_grid
from jumar.evaluate.wagers import BETTING_ALPHA
from table import Row, print_head, print_table

POWER, WITHIN, LEAST_ROWS = 0.8, 0.15, 5_000
BASES, RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5), (0.05, 0.1, 0.2, 0.3, 0.5)
GAINS, ALPHAS = (0.02, 0.05, 0.1, 0.2), (0.05, 0.01, 0.001, 1e-4)
MOMENTS_MOST = 1.5  # large rare weights help, which a second moment does not know
SIZES = np.linspace(0.8, 1.2, 7)
CHANGED, KEPT = 0.3, 0.1
NORMAL = NormalDist()
Z = NORMAL.inv_cdf(POWER)


@dataclass(frozen=True)
class World:
    """Two actions, production with a favourite, a policy that takes the other in a share of the decisions.

    Attributes:
        base: mean reward of everything but the policy's own choice where it differs.
        rate: ε, half of which goes to the other action.
        gain: relative to production's value.
        changed: share of decisions in which the policy takes the other action.
        kept: the policy's own exploration, at most production's.
    """

    base: float
    rate: float
    gain: float
    changed: float
    kept: float

    @property
    def other(self) -> float:
        return self.rate / 2.0

    @property
    def floor(self) -> float:
        return min(self.kept / 2.0, self.other)

    @property
    def better(self) -> float:
        """Mean reward of the policy's choice where it differs: the gain is that of the changed decisions alone."""
        moved = self.changed * (1.0 - self.floor - self.other)
        # moved·(better − base) = gain·(base + changed·other·(better − base))
        return self.base + self.gain * self.base / (moved - self.gain * self.changed * self.other)

    @property
    def value(self) -> float:
        return self.base + self.changed * self.other * (self.better - self.base)

    def rows(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Weight, probability, mean reward and propensity of the four kinds of decisions."""
        mu = np.array([1.0 - self.other, self.other] * 2)
        pi = np.array([self.floor, 1.0 - self.floor, 1.0 - self.floor, self.floor])
        share = np.array([self.changed] * 2 + [1.0 - self.changed] * 2)
        reward = np.array([self.base, self.better, self.base, self.base])
        return pi / mu, share * mu, reward, mu

    def law(self) -> tuple[Floats, Floats]:
        """Values of d and their probabilities."""
        w, p, r, _ = self.rows()
        return np.append(w - 1.0, 0.0), np.append(p * r, 1.0 - float(p @ r))

    def tally(self) -> Tally:
        """What a long log of production counts."""
        _, p, r, mu = self.rows()
        return Tally(
            propensity=np.tile(mu, 2),
            favourite=np.tile(mu > 0.5, 2),
            reward=np.repeat([1.0, 0.0], 4),
            count=np.concatenate([p * r, p * (1.0 - r)]),
            actions=2,
        )


def mixture_passes(values: Floats, p: Floats, rows: int, *, alpha: float, runs: int, rng: np.random.Generator) -> float:
    """Share of the gates whose mixture reaches 1/α."""
    bets = default_bets(float(p @ values**2), rows, BETTING_ALPHA)
    counts = rng.multinomial(rows, p, size=runs)
    capital = log_sums_exp(counts @ np.log1p(np.multiply.outer(values, bets.fractions)) + bets.log_prior)
    return float((capital >= math.log(1.0 / alpha)).mean())


def boosted_passes(values: Floats, p: Floats, rows: int, *, alpha: float, runs: int, rng: np.random.Generator) -> float:
    """Share of the gates whose mixture and booster together pass; each run is a variable of one booster."""
    square = float(p @ values**2)
    bets, grid = default_bets(square, rows, BETTING_ALPHA), star_grid(square, rows)
    star = Star(np.broadcast_to(grid, (runs, grid.size)), second_moment=square)
    sizes = np.diff(np.linspace(0, rows, star.rows.size + 1).astype(np.int64))
    counts = np.stack([rng.multinomial(size, p, size=runs) for size in sizes])
    star.table[:] = counts @ np.log1p(np.multiply.outer(values, grid))
    star.squares[:], star.rows[:] = counts @ values**2, sizes
    growth = counts.sum(axis=0) @ np.log1p(np.multiply.outer(values, bets.fractions))
    return float(np.mean(passes(log_sums_exp(growth + bets.log_prior), star, alpha)))


def rows_simulated(power: Callable[[int], float], near: float, runs: int) -> float:
    """Rows at which the power is 80%: a line through probits over the square root of the rows."""
    sizes = [max(int(near * size), 1) for size in SIZES]
    shares = [min(max(power(size), 0.5 / runs), 1.0 - 0.5 / runs) for size in sizes]
    slope, start = np.polyfit(np.sqrt(sizes), [NORMAL.inv_cdf(share) for share in shares], 1)
    return float((Z - start) / slope) ** 2


def textbook(values: Floats, p: Floats, alpha: float, cost: float) -> float:
    """Rows by the formula, with another cost of the mixture."""
    return float(p @ values**2) * ((math.sqrt(2.0 * (math.log(1.0 / alpha) + cost)) + Z) / float(p @ values)) ** 2


def unpaired(world: World, alpha: float) -> float:
    """Rows by the formula with the spread of w·r and r apart."""
    w, p, r, _ = world.rows()
    spread = float(p @ (w**2 * r)) - world.value**2 * (1 + world.gain) ** 2 + world.value * (1 - world.value)
    return rows_needed(world.gain * world.value, spread, alpha)


def _name(base: float, rate: float, gain: float, alpha: float) -> str:
    return f"base {base:.0%}, ε {rate:.2f}, gain {gain:.0%}, α {alpha:g}"


class Ratios:
    """Predicted over simulated rows, by the way of planning."""

    def __init__(self) -> None:
        self.found: dict[str, list[tuple[float, str]]] = {}

    def add(self, way: str, predicted: float, simulated: float, cell: str) -> None:
        if simulated >= LEAST_ROWS:
            self.found.setdefault(way, []).append((predicted / simulated, cell))

    def row(self, way: str, *, most: float = 1.0 + WITHIN) -> Row:
        """A way that must keep to its target: no less than 15% too few, and no more than so many times too many."""
        ratios = [ratio for ratio, _ in self.found[way]]
        off = sum(not 1.0 - WITHIN <= ratio <= most for ratio in ratios)
        figure = f"{min(ratios):.2f} to {max(ratios):.2f}, {off} of {len(ratios)} cells off"
        return Row(way, figure, f"{1.0 - WITHIN:.2f} to {most:.2f}", off == 0)

    def control(self, way: str) -> Row:
        """A way that must fail."""
        ratios = [ratio for ratio, _ in self.found[way]]
        off = sum(abs(ratio - 1.0) > WITHIN for ratio in ratios)
        figure = f"{min(ratios):.2f} to {max(ratios):.2f}, {off} of {len(ratios)} cells off"
        return Row(f"control: {way}", figure, "off somewhere", off > 0)

    def print_worst(self, way: str, count: int = 3) -> None:
        for ratio, cell in sorted(self.found[way], key=lambda one: -abs(one[0] - 1.0))[:count]:
            print(f"  {way:8} {ratio:5.2f}  {cell}")


def mixtures(cells: list[tuple[float, float, float, float]], runs: int, ratios: Ratios) -> None:
    """The mixture in all cells, for a policy that changes everything and one that changes some."""
    for number, (base, rate, gain, alpha) in enumerate(cells):
        for changed, kept in ((1.0, 0.0), (CHANGED, KEPT)):
            world = World(base, rate, gain, changed, kept)
            if world.better > 1.0:
                continue
            values, p = world.law()
            rng = np.random.default_rng([number, int(100 * changed)])
            predicted = rows_for(Law.of(values + 1.0, 1.0, p), alpha, POWER)
            power = partial(mixture_passes, values, p, alpha=alpha, runs=runs, rng=rng)
            simulated = rows_simulated(power, predicted, runs)
            cell = f"{_name(base, rate, gain, alpha)}, changed {changed:.0%}, n {simulated:,.0f}"
            ratios.add("law", predicted, simulated, cell)
            ratios.add("moments", rows_needed(float(p @ values), float(p @ values**2), alpha, POWER), simulated, cell)
            ratios.add("no nat for the mixture", textbook(values, p, alpha, 0.0), simulated, cell)
            ratios.add("unpaired spread", unpaired(world, alpha), simulated, cell)
            if changed < 1.0:
                law = world.tally().law(changed).with_gain(gain * world.value)
                ratios.add("log", rows_for(law, alpha, POWER), simulated, cell)


def boosted(cells: list[tuple[float, float, float, float]], runs: int, ratios: Ratios) -> None:
    """The booster in a few cells."""
    for number, (base, rate, gain, alpha) in enumerate(cells):
        values, p = World(base, rate, gain, 1.0, 0.0).law()
        rng = np.random.default_rng([77, number])
        predicted = rows_for(Law.of(values + 1.0, 1.0, p), alpha, POWER, boosted=True)
        power = partial(boosted_passes, values, p, alpha=alpha, runs=runs, rng=rng)
        simulated = rows_simulated(power, predicted, runs)
        cell = f"{_name(base, rate, gain, alpha)}, n {simulated:,.0f}"
        ratios.add("boosted", predicted, simulated, cell)
        ratios.add("boosted, planned as a mixture", rows_for(Law.of(values + 1.0, 1.0, p), alpha), simulated, cell)


def main(quick: bool) -> int:
    print_head()
    cells = list(itertools.product(BASES, RATES, GAINS, ALPHAS))
    few = list(itertools.product((0.01, 0.05, 0.5), (0.05, 0.3, 0.5), (0.05, 0.2), ALPHAS))
    if quick:
        cells, few = cells[::9], few[::18]
    ratios = Ratios()
    mixtures(cells, 2_000 if quick else 4_000, ratios)
    boosted(few, 300 if quick else 500, ratios)
    print(f"\nworst cells of {len(cells)} (of {len(few)} with the booster):")
    ways = ("law", "log", "boosted", "moments")
    for way in ways:
        ratios.print_worst(way)
    controls = ("no nat for the mixture", "unpaired spread", "boosted, planned as a mixture")
    table = [ratios.row(way) for way in ways[:-1]] + [ratios.row("moments", most=MOMENTS_MOST)]
    return print_table(table + [ratios.control(way) for way in controls])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Predicted rows over simulated ones.")
    parser.add_argument("--ahead", action="store_true", help="units along timelines instead, see planner_ahead.py")
    parser.add_argument("--quick", action="store_true", help="a ninth of the cells, fewer runs")
    given = parser.parse_args()
    if given.ahead:
        import planner_ahead

        sys.exit(planner_ahead.main(given.quick))
    sys.exit(main(given.quick))
