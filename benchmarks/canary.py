"""How often a canary takes back a policy that is no worse, and lets through one that is; and how soon.

Units return for weeks with habits of their own: a few come far more often than the rest, days drift and have weekends, and
the same unit stays in the same arm. Prints rates with their exact 99% limits beside what was promised, and two mistakes that
are usually made, which must break. `--runs` says how many canaries in each line, `--quick` a small size.
"""

from __future__ import annotations

import argparse
import datetime
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from jumar.evaluate.capital import Capital, default_bets
from jumar.release.canary import begin, observe
from jumar.release.canary_plan import CanaryMetric, CanaryPlan, CanaryRecord, Stage
from scipy import stats
from table import Row, print_head, print_table

FIRST = datetime.date(2026, 1, 1)
BEFORE = 7
MOST_DAYS = 120


@dataclass(frozen=True)
class People:
    """A population: what happens to it, whoever decides.

    Attributes:
        units: how many there are.
        visits: decisions of a unit in a day, on average.
        heavy: shape of the Pareto law by which units differ in that; small is heavy.
        base: chance of a reward per decision, on average; units differ from each other in it for good.
        effect: the challenger's rewards are 1 + effect times as many.
        from_day: since when, counted in days of exposure; 0 is at once.
        complaints: the same for a guardrail with a base rate of 1%.
    """

    units: int = 4_000
    visits: float = 0.4
    heavy: float = 1.5
    base: float = 0.2
    effect: float = 0.0
    from_day: int = 0
    complaints: float = 0.0

    def drawn(self, rng: np.random.Generator) -> tuple[Any, Any, Any]:
        """[units] places, rates of visits, and chances of a reward."""
        rate = self.visits * (self.heavy - 1) / self.heavy * (1 + rng.pareto(self.heavy, self.units))
        chance = rng.beta(2.0, 2.0 / self.base - 2.0, self.units)
        return rng.random(self.units), np.minimum(rate, 40.0), chance


PLAN = CanaryPlan(
    salt="benchmark",
    production="old",
    challenger="new",
    metrics=[
        CanaryMetric(name="reward", high=5.0, margin=0.2),
        CanaryMetric(name="complaints", high=2.0, better="lower", tolerance=0.0, margin=None),
    ],
    stages=[
        Stage(share=0.05, looks=[1, 2, 3, 5, 7, 10], units=60),
        Stage(share=0.25, looks=[1, 2, 3, 5, 7, 10], units=200),
        Stage(share=0.5, looks=[2, 3, 5, 7, 10, 14, 21], units=300, days=5),
    ],
    watch=Stage(share=0.9, looks=[1, 2, 3, 5, 7, 14]),
)


@dataclass(frozen=True)
class Run:
    """How one canary ended: its record, days until then, and units that were ever exposed."""

    record: CanaryRecord
    days: int
    exposed: int
    naive: bool
    by_rows: bool

    @property
    def released(self) -> bool:
        """Whether it left the stages upwards."""
        return self.record.stage >= len(self.record.plan.stages) or self.record.outcome == "done"

    @property
    def harmed(self) -> bool:
        """Whether it was rolled back for harm or sizes, not for want of a proof or of units."""
        last = self.record.days[-1]
        return self.record.outcome == "rollback" and not last.reasons[0].startswith("The stage ends")


def run(plan: CanaryPlan, people: People, seed: int, *, controls: bool = False) -> Run:
    """One canary from the week before it to its end."""
    rng = np.random.default_rng(seed)
    place, rate, chance = people.drawn(rng)
    canary, share, since = begin(plan), 0.0, np.full(people.units, 10_000)
    mood, mistakes = 1.0, Mistakes(plan, people.units)
    met = np.zeros(people.units, bool)
    for day in range(MOST_DAYS):
        if canary.record.outcome != "open":
            break
        if day == BEFORE:
            share = plan.stages[0].share
        exposed = place < share
        since[exposed & (since == 10_000)] = day
        mood *= math.exp(rng.normal(0.0, 0.1))
        visits = rng.poisson(rate * (0.6 if day % 7 in (5, 6) else 1.0) * min(max(mood, 0.5), 2.0))
        works = exposed & (day - since >= people.from_day)
        good = rng.binomial(visits, np.clip(chance * (1 + people.effect * works), 0, 1))
        bad = rng.binomial(visits, 0.01 * (1 + people.complaints * works))
        came = visits > 0
        met |= exposed & came
        values = np.stack([good, bad], axis=1).astype(float)[came]
        canary = observe(canary, FIRST + datetime.timedelta(day), place[came], values, 0, share=share)
        if controls and share and canary.record.stage == 0 and canary.record.outcome == "open":
            mistakes.look(exposed, visits, good)
        share = canary.record.days[-1].share if share else 0.0
    return Run(canary.record, day, int(met.sum()), mistakes.t_test, mistakes.rows)


class Mistakes:
    """What is usually done with the first stage: a t-test between units every day; rows as if each were dealt anew."""

    def __init__(self, plan: CanaryPlan, units: int) -> None:
        self.share, self.alpha = plan.stages[0].share, plan.alpha
        self.sums, self.rows_seen = np.zeros(units), np.zeros(units)
        bets = default_bets(0.2 / (self.share * (1 - self.share)), 20_000, self.alpha, bound=1 / self.share)
        self.capital = Capital(bets)
        self.t_test = self.rows = False

    def look(self, exposed: Any, visits: Any, good: Any) -> None:
        """One day."""
        self.sums += good
        self.rows_seen += visits
        seen = self.rows_seen > 0
        found: Any = stats.ttest_ind(self.sums[seen & exposed], self.sums[seen & ~exposed], equal_var=False)
        self.t_test |= bool(found.statistic < 0 and found.pvalue / 2 < self.alpha)
        weight = np.where(exposed, 1 / self.share, -1 / (1 - self.share))
        for reward, count in ((1.0, good), (0.0, visits - good)):
            self.capital.update(np.repeat(-weight * (reward - 0.2), count))
        self.rows |= self.capital.log_value >= math.log(1 / self.alpha)


def many(plan: CanaryPlan, people: People, runs: int, start: int, *, controls: bool = False) -> list[Run]:
    """Canaries with seeds of their own."""
    return [run(plan, people, start + i, controls=controls) for i in range(runs)]


def limits(hits: int, runs: int) -> tuple[float, float]:
    """99% limits of a rate by Clopper & Pearson, one at each side."""
    low = 0.0 if hits == 0 else float(stats.beta.ppf(0.01, hits, runs - hits + 1))
    high = 1.0 if hits == runs else float(stats.beta.ppf(0.99, hits + 1, runs - hits))
    return low, high
