"""Does the planner name the units that a certificate along timelines takes? ``planner.py --ahead`` runs it.

In: nothing. Out: planned over simulated units, for whole episodes, one deviation and a canary, beside targets and
controls. Every process is small enough for the exact law of the gate's variable: all its paths are enumerated, or,
where only the end pays, counted. The planner sees what ``jumar plan --discount`` sees: a log of production, the gain
that the policy has in truth, and how far it strays; it knows the policy's weights, or supposes them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import comb

import numpy as np

from jumar.evaluate.capital import Floats, default_bets, log_sums_exp
from jumar.evaluate.planning import Law, Tally, rows_for
from jumar.evaluate.planning.ahead import AheadSight
from jumar.evaluate.planning.episode_law import Kind, OneWeight, episode_law
from jumar.evaluate.planning.unit_paths import UnitPaths
from jumar.evaluate.sequences import episode_variable, single_deviation_variable
from jumar.evaluate.wagers import BETTING_ALPHA
from planner import MOMENTS_MOST, POWER, Ratios, rows_simulated
from table import Row, print_head, print_table

GAMMA, LOGGED = 0.9, 20_000
FINE = 0.01  # values of the exact law this near to each other are drawn together


@dataclass(frozen=True)
class Paths:
    """Every path of a process: rows of all of them one after another.

    Attributes:
        other, reward: [rows] whether the rarer action was taken, and what came.
        discount: [rows] to the next row; 0 after the last.
        starts: [paths].
        nature: [paths] the part of the probability that is not the actions'.
    """

    other: np.ndarray
    reward: Floats
    discount: Floats
    starts: np.ndarray
    nature: Floats

    def chance(self, share: float) -> Floats:
        """[paths] probabilities if the rarer action is taken in a share of the decisions."""
        each = np.where(self.other, share, 1.0 - share)
        return self.nature * np.multiply.reduceat(each, self.starts)

    def weight(self, policy: float, production: float) -> Floats:
        return np.where(self.other, policy / production, (1.0 - policy) / (1.0 - production))

    def drawn(
        self, production: float, units: int, rng: np.random.Generator
    ) -> tuple[Floats, Floats, np.ndarray, np.ndarray]:
        """Reward, discount, starts and whether the rarer action was taken, of a log of so many units."""
        chance = self.chance(production)
        path = rng.choice(chance.size, size=units, p=chance / chance.sum())
        lengths = np.diff(np.append(self.starts, self.reward.size))[path]
        starts = np.append(0, lengths.cumsum()[:-1])
        rows = np.repeat(self.starts[path] - starts, lengths) + np.arange(lengths.sum())
        return self.reward[rows], self.discount[rows], starts, self.other[rows]


def tiring(decisions: int, base: float, effect: float) -> Paths:
    """The usual action pays a little more now, and makes what comes later rarer and people leave; load goes up to 2."""
    grown = [(1.0, 0, ())]
    done: list[tuple[float, tuple[tuple[int, int], ...]]] = []
    for step in range(decisions):
        following = []
        for nature, load, past in grown:
            for other, reward in itertools.product((0, 1), (0, 1)):
                rate = base * (1.0 if other else 1.1) * (1.0 - effect * load / 2.0)
                here = nature * (rate if reward else 1.0 - rate)
                after = max(load - 1, 0) if other else min(load + 1, 2)
                path, stay = (*past, (other, reward)), 0.95 - 0.05 * after
                if step + 1 < decisions:
                    following.append((here * stay, after, path))
                    done.append((here * (1.0 - stay), path))
                else:
                    done.append((here, path))
        grown = following
    return _paths(done)


def spread(decisions: int, base: float, effect: float) -> Paths:
    """Each decision brings its own reward, more of it where the rarer action was taken."""
    done = []
    for path in itertools.product(itertools.product((0, 1), (0, 1)), repeat=decisions):
        rates = [(base * (1.0 + effect * other), reward) for other, reward in path]
        done.append((float(np.prod([rate if reward else 1.0 - rate for rate, reward in rates])), path))
    return _paths(done)


def kept(decisions: int, base: float, effect: float) -> Paths:
    """Only the last row pays, more often the more often the rarer action was taken; one stands for all paths alike."""
    done = []
    for count, reward in itertools.product(range(decisions + 1), (0, 1)):
        rate = base * (1.0 + effect * count / decisions)
        path = [(int(place < count), 0) for place in range(decisions)]
        path[-1] = (path[-1][0], reward)
        done.append((comb(decisions, count) * (rate if reward else 1.0 - rate), tuple(path)))
    return _paths(done)


def _paths(done: list[tuple[float, tuple[tuple[int, int], ...]]]) -> Paths:
    rows = np.array([row for _, path in done for row in path])
    lengths = np.array([len(path) for _, path in done])
    ends = lengths.cumsum()
    discount = np.full(len(rows), GAMMA)
    discount[ends - 1] = 0.0
    return Paths(
        rows[:, 0] == 1, rows[:, 1].astype(float), discount, np.append(0, ends[:-1]), np.array([p for p, _ in done])
    )


@dataclass(frozen=True)
class Cell:
    """A process, a production that takes its rarer action in a share ε/2, and a policy that takes it more often."""

    name: str
    make: Callable[[int, float, float], Paths]
    decisions: int
    base: float
    rate: float
    budget: float
    gain: float
    alpha: float

    @property
    def production(self) -> float:
        return self.rate / 2.0

    @property
    def weights(self) -> OneWeight:
        """Of the policy: as far towards the rarer action as the budget allows if all episodes are of full length."""
        mu = np.array([1.0 - self.production, self.production])
        return OneWeight(mu[::-1] / mu, mu).within(self.budget / self.decisions)

    @property
    def policy(self) -> float:
        """Share of the decisions in which it takes the rarer action."""
        return float(self.weights.values[1]) * self.production

    @property
    def words(self) -> str:
        return (
            f"{self.name}, {self.decisions} decisions, base {self.base:.0%}, ε {self.rate:.2f}, Σ χ² {self.budget:g}, "
            f"gain {self.gain:.0%}, α {self.alpha:g}"
        )

    def paths(self) -> Paths | None:
        """With the effect at which the policy gains as much as asked; None where no effect does."""
        low, high = 0.0, 1.0 if self.make is tiring else 1.0 / self.base - 1.0
        if self._gain(self.make(self.decisions, self.base, high)) < self.gain:
            return None
        for _ in range(30):
            middle = 0.5 * (low + high)
            low, high = (
                (low, middle)
                if self._gain(self.make(self.decisions, self.base, middle)) > self.gain
                else (middle, high)
            )
        return self.make(self.decisions, self.base, high)

    def _gain(self, path: Paths) -> float:
        brought = returns(path)
        return float(path.chance(self.policy) @ brought / (path.chance(self.production) @ brought)) - 1.0


def returns(path: Paths) -> Floats:
    """[paths] discounted returns."""
    reach = np.ones(path.reward.size)
    for row in range(1, path.reward.size):
        reach[row] = reach[row - 1] * path.discount[row - 1] if path.discount[row - 1] else 1.0
    return np.add.reduceat(reach * path.reward, path.starts)


def together(values: Floats, p: Floats) -> tuple[Floats, Floats]:
    """Values that hardly differ as one."""
    sides = np.sign(values) * np.round(np.log1p(np.abs(values) * 1e4) / FINE)
    _, cell = np.unique(sides, return_inverse=True)
    total = np.bincount(cell, p)
    some = total > 0
    return (np.bincount(cell, p * values)[some] / total[some]), total[some] / total.sum()


def passes(
    values: Floats, p: Floats, units: int, *, alpha: float, runs: int, rng: np.random.Generator, bound: float
) -> float:
    """Share of the gates whose capital reaches 1/α."""
    bets = default_bets(float(p @ values**2), units, BETTING_ALPHA, bound=bound)
    counts = rng.multinomial(units, p, size=runs)
    capital = log_sums_exp(counts @ np.log1p(np.multiply.outer(values, bets.fractions)) + bets.log_prior)
    return float((capital >= -np.log(alpha)).mean())


def simulated(values: Floats, p: Floats, alpha: float, runs: int, bound: float = 1.0) -> float:
    """Units that the betting capital needs, looked for around those that follow from the exact law."""
    v, q = together(values, p)
    near = rows_for(replace(Law.of(v + bound, 1.0, q, 1.0 - bound), bound=bound), alpha, POWER)
    rng = np.random.default_rng(near)
    return rows_simulated(partial(passes, v, q, alpha=alpha, runs=runs, rng=rng, bound=bound), near, runs)


def judge(cell: Cell, runs: int, ratios: Ratios) -> None:
    """Every way to plan one cell."""
    path = cell.paths()
    if path is None:
        return
    cap = float(cell.decisions)
    columns = path.weight(cell.policy, cell.production), path.reward, path.discount, path.starts
    chance = path.chance(cell.production)
    reward, discount, starts, other = path.drawn(cell.production, LOGGED, np.random.default_rng(7))
    units = UnitPaths.of(reward, discount, starts, cap=cap, most_per_unit=cell.decisions)
    mu = np.where(other, cell.production, 1.0 - cell.production)
    tally = Tally(mu, ~other, reward, np.ones(mu.size), 2, policy=mu * np.where(other, *cell.weights.values[::-1]))
    known = AheadSight(units, tally, 1.0, 2 * LOGGED, cell.alpha, POWER)
    supposed = AheadSight(units, replace(tally, policy=None), 1.0, 2 * LOGGED, cell.alpha, POWER)
    exact: dict[Kind, Floats] = {
        "whole": episode_variable(*columns, cap=cap),
        "single": single_deviation_variable(*columns, cap=cap, most_per_unit=cell.decisions),
    }
    value = float(chance @ returns(path))
    for kind, d in exact.items():
        many = 1 if kind == "whole" else cell.decisions
        gain = float(chance @ d) * cap * many / value
        if gain <= 0:
            continue
        needed = simulated(d, chance, cell.alpha, runs)
        said = f"{cell.words}, n {needed:,.0f}"
        other_weight = supposed.within(known.spent(known.weight(None)))
        for way, sight, weight in (("", known, known.weight(None)), (", supposed", supposed, other_weight)):
            planned = sight.units_for(gain, weight, kind)
            ratios.add(kind + way, planned or np.inf, needed, said)
        if kind == "whole":
            _controls(cell, known, gain, needed, said, ratios)
    _canary(cell, path, known, value, runs, ratios)


def _controls(cell: Cell, sight: AheadSight, gain: float, needed: float, said: str, ratios: Ratios) -> None:
    """Plans that must be off: decisions that count alone, weights that do not multiply."""
    law = sight.tally.law(1.0)
    mean = float(sight.tally.reward.mean())
    if gain * mean < law.greatest_gain:
        rows = rows_for(law.with_gain(gain * mean), cell.alpha, POWER)
        ratios.add("as if γ = 0", rows * sight.paths.units / sight.tally.reward.size, needed, said)
    weight = sight.weight(None)
    whole = episode_law(sight.paths, weight, "whole")
    alike = replace(whole, values=whole.lean, square=sight.paths.single_square(weight.chi_square) * cell.decisions**2)
    found, factor = alike.law(gain * sight.paths.value / sight.paths.cap)
    # A sum of weights knows no bound of its own; the products' serves.
    values, p = np.maximum(found.values, -0.999), found.probability
    ratios.add("weights that add up", factor * rows_for(Law.of(values + 1.0, 1.0, p), cell.alpha, POWER), needed, said)


def _canary(cell: Cell, path: Paths, sight: AheadSight, value: float, runs: int, ratios: Ratios) -> None:
    """A quarter of the units served by the policy."""
    share, brought = 0.25, returns(path) / cell.decisions
    centred = brought - value / cell.decisions
    y = np.concatenate([centred / share, -centred / (1.0 - share)])
    p = np.concatenate([share * path.chance(cell.policy), (1.0 - share) * path.chance(cell.production)])
    bound = float(max(-y.min(), 1e-9)) * 1.0001
    needed = simulated(y, p, cell.alpha, runs, bound)
    ratios.add("canary", sight.canary(cell.gain, share), needed, f"{cell.words}, n {needed:,.0f}")


def cells(quick: bool) -> list[Cell]:
    """Processes by length, exploration, budget, gain and error."""
    kinds: list[tuple[str, Callable[[int, float, float], Paths], tuple[int, ...], float]] = [
        ("tiring", tiring, (3, 6), 0.4),
        ("spread", spread, (2, 5), 0.3),
        ("kept", kept, (5, 12, 30), 0.2),
    ]
    found = [
        Cell(name, make, decisions, base, rate, budget, gain, alpha)
        for name, make, lengths, base in kinds
        for decisions, rate, budget, gain, alpha in itertools.product(
            lengths, (0.1, 0.3), (0.1, 0.5, 2.0), (0.02, 0.05, 0.1), (0.05, 0.001)
        )
    ]
    return found[::7] if quick else found


def main(quick: bool) -> int:
    print_head()
    ratios, chosen = Ratios(), cells(quick)
    for cell in chosen:
        judge(cell, 1_000 if quick else 2_000, ratios)
    ways = ("whole", "whole, supposed", "single", "single, supposed")
    print(f"\nworst cells of {len(chosen)}:")
    for way in (*ways, "canary"):
        ratios.print_worst(way)
    table: list[Row] = [ratios.row(way) for way in ways] + [ratios.row("canary", most=MOMENTS_MOST)]
    return print_table(table + [ratios.control(way) for way in ("as if γ = 0", "weights that add up")])
