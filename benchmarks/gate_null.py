"""How often does the gate release a policy that is no better? And how often does the usual test?

In: nothing. Out: a table of false-release rates with 99% Clopper–Pearson lower limits, from multinomial
counts over the few values that d can take in each case. It exits 1 if a limit of the gate exceeds α, or if
the negative control (a t-test where a rare loss is what the policy costs) does not break.
Run: python benchmarks/gate_null.py [--quick]
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta, norm

from jumar.evaluate.capital import Floats, default_bets
from jumar.evaluate.plan import BETTING_ALPHA

ALPHAS = (0.05, 0.01, 0.001)
ROWS = (20_000, 100_000, 500_000)
LOOKS = 8


@dataclass(frozen=True)
class Case:
    """Values of d, and their probabilities in each eighth of the log; the true gain is never positive."""

    name: str
    values: Floats
    probabilities: Floats  # [LOOKS, values]
    every_look: bool = True

    def __post_init__(self) -> None:
        means = np.cumsum(self.probabilities @ self.values)
        assert np.allclose(self.probabilities.sum(axis=1), 1.0)
        assert np.all((means if self.every_look else means[-1:]) < 1e-12)


def _two_actions(other: float, reward_favourite: float, reward_other: float) -> tuple[Floats, Floats]:
    """Always the other of two actions, tried with probability ``other``; rewards are 0 or 1."""
    values = np.array([-1.0, 1.0 / other - 1.0, 0.0])
    lose, win = (1.0 - other) * reward_favourite, other * reward_other
    return values, np.array([lose, win, 1.0 - lose - win])


def cases() -> list[Case]:
    same = np.ones((LOOKS, 1))
    values, greedy = _two_actions(0.15, 0.05, 0.05)
    # Not sending is worth 0.0004 each time, sending 1 in four cases of ten thousand: equally much.
    rate = 4e-4
    rare_values = np.array([-1.0, rate, 0.0])
    rare = np.array([0.5 * rate, 0.5, 0.5 - 0.5 * rate])
    worse = _two_actions(0.15, 0.05, 0.04)[1]
    better = _two_actions(0.15, 0.05, 0.06)[1]
    half = LOOKS // 2
    # The policy puts 10% on an action never tried, which is worth as much as the others: the true gain is 0.
    unsupported_values = np.array([-1.0, 0.9 / 0.15 - 1.0, 0.0])
    return [
        Case("epsilon-greedy", values, same * greedy),
        Case("rare loss", rare_values, same * rare),
        Case("drift, bad days first", values, np.stack([worse] * half + [better] * half)),
        Case("drift, good days first", values, np.stack([better] * half + [worse] * half), every_look=False),
        Case("unsupported mass", unsupported_values, same * greedy),
    ]


def run(case: Case, rows: int, runs: int, seed: int) -> tuple[Floats, Floats]:
    """[runs] the highest log capital at any look, and the final t statistic."""
    rng = np.random.default_rng(seed)
    square = float((case.probabilities @ np.square(case.values)).mean())
    bets = default_bets(square, rows, BETTING_ALPHA)
    growth = np.log1p(np.multiply.outer(case.values, bets.fractions))
    highest, statistic = [], []
    for start in range(0, runs, 10_000):
        size = min(10_000, runs - start)
        counts = np.zeros((size, case.values.size))
        best = np.full(size, -np.inf)
        for look in range(LOOKS):
            counts += rng.multinomial(rows // LOOKS, case.probabilities[look], size=size)
            if case.every_look or look == LOOKS - 1:
                best = np.maximum(best, np.log(np.exp(counts @ growth + bets.log_prior).sum(axis=1)))
        total = counts.sum(axis=1)
        mean = counts @ case.values / total
        spread = np.sqrt(np.maximum(counts @ np.square(case.values) / total - mean**2, 1e-300) / total)
        highest.append(best)
        statistic.append(mean / spread)
    return np.concatenate(highest), np.concatenate(statistic)


def lower_limit(hits: int, runs: int) -> float:
    """The 99% one-sided Clopper–Pearson limit."""
    return 0.0 if hits == 0 else float(beta.ppf(0.01, hits, runs - hits + 1))


def main(quick: bool) -> int:
    runs = 20_000 if quick else 200_000
    print(f"{runs:,} runs; the gate is looked at {LOOKS} times, the t-test once")
    print(f"{'case':24}{'rows':>9}{'alpha':>8}{'gate':>10}{'limit':>10}{'t-test':>10}{'limit':>10}")
    sound, control = True, False
    for index, case in enumerate(cases()):
        for rows in ROWS:
            capital, statistic = run(case, rows, runs, seed=1_000 * index + rows % 997)
            for alpha in ALPHAS:
                gate = int((capital >= math.log(1.0 / alpha)).sum())
                t = int((statistic >= norm.isf(alpha)).sum())
                limits = lower_limit(gate, runs), lower_limit(t, runs)
                print(
                    f"{case.name:24}{rows:9,}{alpha:8.3f}{gate / runs:10.4%}{limits[0]:10.4%}"
                    f"{t / runs:10.4%}{limits[1]:10.4%}"
                )
                sound &= limits[0] <= alpha
                control |= case.name == "rare loss" and alpha == 0.001 and limits[1] >= 0.01
    print(f"gate within alpha everywhere: {sound}; t-test breaks in the rare-loss case: {control}")
    return 0 if sound and control else 1


if __name__ == "__main__":
    sys.exit(main("--quick" in sys.argv[1:]))
