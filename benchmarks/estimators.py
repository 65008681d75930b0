"""How often do the intervals of the estimators hold the true value, and where do they not?

In: nothing. Out: coverage of 95% intervals and root mean square errors, for logs drawn from worlds whose true
value is known, as tables in Markdown. It exits 1 if an interval that should cover does not, or if a negative
control (wrong predictions, groups that hide something, units or the ratio ignored) covers all the same.
Run: python benchmarks/estimators.py [--quick] [--sequences]
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

import sequence_estimators
from jumar.evaluate.estimators import Estimate, estimator_table, ips, more_robust
from table import print_head

Floats = NDArray[np.float64]
GROUPS = np.array([0, 0, 1, 1])
TAU, LAM = 2.0, 4.0
COVERS, BREAKS = (0.94, 0.965), 0.90
NEEDS_NOTHING = ("ips", "snips")
NEEDS_PREDICTIONS = ("dr", "sndr")
ALL = (*NEEDS_NOTHING, "dm", *NEEDS_PREDICTIONS, "switch_dr", "dros", "mips", "mrdr_dm", "mrdr")
FIXED, RATIO, UNITS = "mrdr_dm, q̂ taken as known", "snips, ratio ignored", "ips, units ignored"


@dataclass(frozen=True)
class Case:
    """A world with two groups of two actions, and which intervals must cover in it or must not."""

    name: str
    covers: tuple[str, ...]
    breaks: tuple[str, ...]
    wrong: bool = False  # the predictions given are too high for the second group
    curved: bool = False  # rewards are not linear in the features
    inside: bool = False  # actions of one group differ
    tried: float | None = None  # share of decisions in which the second group was tried; it seldom succeeds
    smooth: bool = False  # rewards lie within 0.05 of their mean, instead of being 0 or 1
    repeats: int = 1  # rows of one unit: same features and the same draw for all of them

    def rewards(self, x: Floats) -> Floats:
        """[rows, actions] the mean reward."""
        one, two = 0.6 - 0.3 * x[:, 0] + 0.1 * x[:, 1], 0.25 + 0.3 * x[:, 1]
        if self.tried is not None:
            one, two = np.full(len(x), 0.9), np.full(len(x), 0.05)
        if self.curved:
            two = two + 0.8 * (x[:, 0] - 0.5) ** 2
        q = np.stack([one, one, two, two], axis=1)
        return q + self.inside * np.array([0.1, -0.1, 0.1, -0.1])

    def choices(self, x: Floats) -> tuple[Floats, Floats]:
        """[rows, actions] production's probabilities and the policy's."""
        if self.tried is not None:
            half = np.array([1.0 - self.tried, 1.0 - self.tried, self.tried, self.tried]) / 2
            return np.tile(half, (len(x), 1)), np.full((len(x), 4), 0.25)
        tilt = x[:, :1] - 0.5
        production = np.array([0.8, 0.4, 0.0, -0.4]) + tilt * np.array([1.0, 0.0, 0.0, -1.0])
        policy = np.array([-0.8, 0.6, 0.0, 0.9]) + tilt * np.array([0.0, -1.0, 1.0, 2.0])
        return _softmax(production), _softmax(policy)

    def truth(self) -> float:
        """The policy's value, over features that are uniform on a square."""
        line = (np.arange(400) + 0.5) / 400
        x = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
        return float((self.choices(x)[1] * self.rewards(x)).sum(axis=1).mean())


def cases() -> list[Case]:
    safe = (*NEEDS_NOTHING, *NEEDS_PREDICTIONS)
    return [
        Case("all is well", ALL, (FIXED,)),
        Case("q̂ wrong", (*safe, "mips", "mrdr"), ("dm", "switch_dr", "dros"), wrong=True),
        Case("rewards curved", (*safe, "dm", "mips", "mrdr"), (FIXED,), curved=True),
        Case("groups mixed", (*safe, "dm", "mrdr"), ("mips",), inside=True),
        Case("few tries", (*safe, "mips", "mrdr"), (RATIO,), tried=0.05, smooth=True),
        Case("hardly a hit", (), ("ips", "dr", "mrdr_dm"), tried=0.01),
        Case("units repeat", ALL, (UNITS,), repeats=5),
    ]


def _softmax(logits: Floats) -> Floats:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def estimates(case: Case, units: int, rng: np.random.Generator) -> dict[str, Estimate]:
    """Every estimator, and the controls, on a log of its own."""
    unit = np.repeat(np.arange(units), case.repeats)
    x = rng.random((units, 2))[unit]
    production, policy = case.choices(x)
    q = case.rewards(x)
    each = np.arange(unit.size)
    action = (rng.random(units)[unit, None] > production.cumsum(axis=1)).sum(axis=1).clip(max=3)
    noise, mean = rng.random(unit.size), q[each, action]
    reward = mean + 0.1 * (noise - 0.5) if case.smooth else (noise < mean).astype(np.float64)
    propensity = production[each, action]
    named = estimator_table(
        action,
        reward,
        propensity,
        policy,
        predictions=q + (0.15 * case.wrong) * GROUPS,
        features=x,
        production=production,
        groups=GROUPS,
        unit=unit if case.repeats > 1 else None,
        tau=TAU,
        lam=LAM,
    )
    found = {one.name: one for one in named}
    w = policy[each, action] / propensity
    found[UNITS] = ips(w, reward)
    if FIXED in case.breaks:
        found[FIXED] = _around(found["mrdr_dm"], more_robust(x, action, reward, propensity, policy).direct)
    found[RATIO] = _around(found["snips"], w * reward / w.mean())
    return found


def _around(one: Estimate, terms: Floats) -> Estimate:
    """An interval from the spread of terms, as if they were independent: what the controls do wrongly."""
    reach = 1.96 * float(terms.std(ddof=1)) / math.sqrt(terms.size)
    return Estimate(
        **{name: getattr(one, name) for name in one.__struct_fields__ if name not in ("low", "high")},
        low=one.value - reach,
        high=one.value + reach,
    )


@dataclass
class Score:
    """Hits of intervals and squared errors of values, by estimator."""

    runs: int = 0
    hits: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    squares: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def coverage(self, name: str) -> float:
        return self.hits[name] / self.runs

    def limits(self, name: str) -> tuple[float, float]:
        """Two-sided 99.8% Clopper–Pearson limits of the coverage."""
        k, n = self.hits[name], self.runs
        low = 0.0 if k == 0 else float(beta.ppf(0.001, k, n - k + 1))
        return low, 1.0 if k == n else float(beta.isf(0.001, k + 1, n - k))

    def as_expected(self, name: str, case: Case) -> bool:
        """Whether it covers where it must, or else breaks."""
        low, high = self.limits(name)
        return high >= COVERS[0] and low <= COVERS[1] if name in case.covers else high < BREAKS


def score(case: Case, units: int, runs: int, seed: int) -> Score:
    """Coverage of the true value over logs with seeds of their own."""
    truth, result = case.truth(), Score()
    for stream in np.random.SeedSequence(seed).spawn(runs):
        result.runs += 1
        for name, one in estimates(case, units, np.random.default_rng(stream)).items():
            assert one.high is not None
            result.hits[name] += one.low <= truth <= one.high
            result.squares[name] += (one.value - truth) ** 2
    return result


def main(quick: bool) -> int:
    units, runs = 1_000, 300 if quick else 2_000
    print(f"{runs:,} logs of {units:,} units; 95% intervals; Switch-DR with tau = {TAU:g}, DRos with lam = {LAM:g}\n")
    every = cases()
    scores = [score(case, units, runs, seed=100 + index) for index, case in enumerate(every)]
    print("| interval holds the truth | " + " | ".join(case.name for case in every) + " |")
    print("|---|" + "---:|" * len(every))
    missed = []
    for name in (*ALL, FIXED, RATIO, UNITS):
        cells = []
        for case, result in zip(every, scores, strict=True):
            told = name in case.covers or name in case.breaks
            text = f"{result.coverage(name):.1%}" if told or name in ALL else ""
            cells.append(f"**{text}**" if name in case.covers else f"*{text}*" if name in case.breaks else text)
            if told and not result.as_expected(name, case):
                missed.append(f"{name}, {case.name}: {text}")
        print(f"| {name} | " + " | ".join(cells) + " |")
    print(
        "\nBold: must cover. Italics: negative controls, which must stay below 90%. Nothing was promised of the others."
    )
    print("Root mean square errors, in thousandths:\n")
    print("| estimator | " + " | ".join(case.name for case in every) + " |")
    print("|---|" + "---:|" * len(every))
    for name in ALL:
        errors = [1_000 * math.sqrt(result.squares[name] / result.runs) for result in scores]
        print(f"| {name} | " + " | ".join(f"{error:.1f}" for error in errors) + " |")
    print(f"\nMissed: {'; '.join(missed) or 'nothing'}")
    return 1 if missed else 0


if __name__ == "__main__":
    print_head()
    chosen = sequence_estimators.main if "--sequences" in sys.argv[1:] else main
    sys.exit(chosen("--quick" in sys.argv[1:]))
