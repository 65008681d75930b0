"""How often a canary takes back a policy that is no worse, and lets through one that is; and how soon.

Units return for weeks with habits of their own: a few come far more often than the rest, days drift and have weekends,
and the same unit stays in the same arm. Prints rates beside what was promised, and mistakes that are usually made,
which must break. `--runs` says how many canaries in each line of promises, `--quick` a small size.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import math
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any

import msgspec
import numpy as np
from scipy import stats

from jumar.evaluate.capital import Capital, default_bets
from jumar.release.canary import begin, observe
from jumar.release.canary_plan import CanaryMetric, CanaryPlan, CanaryRecord, Stage
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
        alike: how alike units are in their chance of a reward; small is unlike.
    """

    units: int = 3_000
    visits: float = 0.4
    heavy: float = 1.5
    base: float = 0.2
    effect: float = 0.0
    from_day: int = 0
    complaints: float = 0.0
    alike: float = 2.0

    def drawn(self, rng: np.random.Generator) -> tuple[Any, Any, Any]:
        """[units] places, rates of visits, and chances of a reward."""
        rate = self.visits * (self.heavy - 1) / self.heavy * (1 + rng.pareto(self.heavy, self.units))
        chance = rng.beta(self.alike, self.alike / self.base - self.alike, self.units)
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
    watch=Stage(share=0.9, looks=[1, 3, 7, 14, 21]),
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
    def finished(self) -> bool:
        """Whether it reached 100%."""
        return self.record.outcome == "done"

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
    day = 0
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
        values = np.stack([good, bad], axis=1).astype(float)[came, : len(plan.metrics)]
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


@functools.cache
def workers() -> ProcessPoolExecutor:
    """Two processes."""
    return ProcessPoolExecutor(2, get_context("spawn"))


def many(plan: CanaryPlan, people: People, runs: int, start: int, *, controls: bool = False) -> list[Run]:
    """Canaries with seeds of their own."""
    one = functools.partial(run, plan, people, controls=controls)
    return list(workers().map(one, range(start, start + runs), chunksize=max(runs // 40, 1)))


def limits(hits: int, runs: int) -> tuple[float, float]:
    """99% limits of a rate by Clopper & Pearson, one at each side."""
    low = 0.0 if hits == 0 else float(stats.beta.ppf(0.01, hits, runs - hits + 1))
    high = 1.0 if hits == runs else float(stats.beta.ppf(0.99, hits + 1, runs - hits))
    return low, high


def promised(what: str, hits: int, runs: int, alpha: float) -> Row:
    """A rate that must not be above α."""
    low, high = limits(hits, runs)
    return Row(what, f"{hits:,} of {runs:,}: {hits / runs:.2%}, at most {high:.2%}", f"≤ {alpha:.1%}", low <= alpha)


def breaks(what: str, hits: int, runs: int, alpha: float) -> Row:
    """The rate of a mistake, which must be above α for sure."""
    return Row(
        what, f"{hits:,} of {runs:,}: {hits / runs:.2%}", f"must break {alpha:.1%}", limits(hits, runs)[0] > alpha
    )


# One long stage in which units are as unlike as can be: what decisions of a unit share is most of what there is.
LONG = msgspec.structs.replace(
    PLAN,
    metrics=[CanaryMetric(name="reward", high=20.0)],
    stages=[Stage(share=0.2, looks=[1, 2, 3, 5, 7, 10, 14, 21, 28], units=10**9)],
    watch=None,
)
# Bounds as the loop sets them: what units bring in some days, and in proportion more at later looks.
GROWING = msgspec.structs.replace(LONG, metrics=[CanaryMetric(name="reward", high=2.0, days=3)])
UNLIKE = People(units=800, visits=1.5, heavy=1.1, alike=0.3)
# Sums are hardly ever cut, so that rewards that are a fifth fewer are the margin itself.
EDGE = msgspec.structs.replace(
    PLAN,
    metrics=[CanaryMetric(name="reward", high=12.0, margin=0.2)],
    stages=[
        Stage(share=0.1, looks=[1, 3, 5], units=60),
        Stage(share=0.5, looks=[2, 3, 5, 7, 10, 14], units=300, days=5),
    ],
    watch=None,
)
STEADY = People(units=2_000, heavy=6.0)


def promises(runs: int) -> list[Row]:
    """What a canary promises, and what the usual ways would do."""
    rows = []
    null = many(PLAN, People(), runs, 1_000_000)
    rows.append(promised("no worse, two metrics, three stages and a watch: rolled back for harm",
                         sum(one.harmed for one in null), runs, PLAN.alpha))  # fmt: skip
    rows.append(Row("... reached 100%; days until then, median",
                    f"{np.mean([one.finished for one in null]):.1%}; "
                    f"{np.median([one.days - BEFORE for one in null if one.finished]):.0f}"))  # fmt: skip
    unlike = many(LONG, UNLIKE, runs, 2_000_000, controls=True)
    rows.append(promised("no worse, units as unlike as can be: rolled back for harm",
                         sum(one.harmed for one in unlike), runs, LONG.alpha))  # fmt: skip
    rows.append(breaks("... t-test between units every day", sum(one.naive for one in unlike), runs, LONG.alpha))
    grown = many(GROWING, UNLIKE, runs, 5_000_000, controls=True)
    rows.append(promised("no worse, bounds that grow with the stage: rolled back for harm",
                         sum(one.harmed for one in grown), runs, GROWING.alpha))  # fmt: skip
    rows.append(breaks("... t-test between units every day", sum(one.naive for one in grown), runs, GROWING.alpha))
    rows.append(breaks("... decisions taken for independent", sum(one.by_rows for one in unlike), runs, LONG.alpha))
    worse = msgspec.structs.replace(EDGE, alpha=1e-6)  # the test for harm helps to stop it; here the proof is alone
    edge = many(worse, replace(STEADY, effect=-0.2), runs, 3_000_000)
    rows.append(promised("worse by the margin, never taken back for harm: reached 100%",
                         sum(one.released for one in edge), runs, worse.alpha_margin))  # fmt: skip
    bare = msgspec.structs.replace(EDGE, metrics=[CanaryMetric(name="reward", high=12.0)])
    few = max(runs // 20, 20)
    through = many(bare, replace(STEADY, effect=-0.2), few, 4_000_000)
    rows.append(breaks("... without asking for a proof", sum(one.released for one in through), few, EDGE.alpha_margin))
    return rows


EFFECTS = (
    ("rewards −10%", People(effect=-0.1)),
    ("rewards −20%", People(effect=-0.2)),
    ("rewards −30%", People(effect=-0.3)),
    ("rewards −50%", People(effect=-0.5)),
    ("rewards −50% from the 10th day of exposure on", People(effect=-0.5, from_day=10)),
    ("complaints three times as many", People(complaints=2.0)),
    ("no change", People()),
    ("rewards +10%", People(effect=0.1)),
    ("rewards +20%", People(effect=0.2)),
)

LEAST = {"rewards −30%": 0.8, "rewards −50%": 0.95, "complaints three times as many": 0.8}


def powers(runs: int) -> list[Row]:
    """What becomes of policies that are worse, and of those that are better."""
    rows = []
    for name, people in EFFECTS:
        found = many(PLAN, people, runs, 5_000_000)
        harmed, done = (np.mean([getattr(one, what) for one in found]) for what in ("harmed", "finished"))
        ended = [one for one in found if one.record.outcome == ("done" if done > 0.5 else "rollback")]
        figure = (
            f"rolled back for harm {harmed:.0%}, unproven {1 - harmed - done:.0%}, reached 100% {done:.0%}; "
            f"day {np.median([one.days - BEFORE for one in ended]):.0f}, "
            f"{np.median([one.exposed for one in ended]):,.0f} units had met it"
        )
        least = LEAST.get(name)
        rows.append(
            Row(name, figure) if least is None else Row(name, figure, f"harm ≥ {least:.0%}", bool(harmed >= least))
        )
    return rows


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2_000, help="canaries in each line of promises")
    parser.add_argument("--quick", action="store_true", help="60 canaries a line")
    given = parser.parse_args()
    runs = 60 if given.quick else given.runs
    print_head()
    begun = time.perf_counter()
    missed = print_table(promises(runs))
    print()
    missed |= print_table(powers(max(runs // 20, 20)))
    workers().shutdown()
    print(f"{time.perf_counter() - begun:,.0f} s")
    return missed


if __name__ == "__main__":
    sys.exit(main())
