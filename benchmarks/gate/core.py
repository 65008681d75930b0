"""What the tables of the gate's benchmark share: counts instead of rows, levels, limits, and work for all cores.

In: outcomes that a logged row can have, with the values that variables take on them. Out: for each simulated log the
smallest α at which something releases ("level"), and counts of releases with Clopper–Pearson limits.
Every module of this folder imports it. A log of n rows over O outcomes is one multinomial draw, and the growth of a bet
is counts · log(1 + λ·y): the same sum that ``Capital`` takes row by row, which ``expanded`` checks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, TypeVar

import numpy as np
from scipy.stats import beta, norm

from jumar.evaluate.capital import Bets, Capital, default_bets
from jumar.evaluate.growth import Floats

ALPHAS = (0.05, 0.01, 0.001)
BETTING_ALPHA = 0.001
NUMBERS_AT_ONCE = 12_000_000
T = TypeVar("T")


@dataclass(frozen=True)
class Outcomes:
    """All that one unit of the log can be, and how likely.

    Attributes:
        chance: [parts, outcomes] probabilities in each part of the log, parts being equally long.
        y: [outcomes, K] the variables.
        bounds: [K] no variable falls below −bound.
        sequence: the variables are candidates in the order of tests; else claims about one policy.
    """

    chance: Floats
    y: Floats
    bounds: Floats
    sequence: bool = False

    @classmethod
    def of(cls, chance: Floats, y: Floats, bounds: float | Floats = 1.0, *, sequence: bool = False) -> Outcomes:
        """Shapes made whole, and checked: one part or many, one variable or many."""
        chance, y = np.atleast_2d(chance), y[:, None] if y.ndim == 1 else y
        bounds = np.broadcast_to(np.asarray(bounds, dtype=float), (y.shape[1],)).copy()
        assert chance.shape[1] == y.shape[0]
        assert np.allclose(chance.sum(axis=1), 1.0)
        assert np.all(chance >= 0)
        assert np.all(y >= -bounds - 1e-12)
        return cls(chance / chance.sum(axis=1, keepdims=True), y, bounds, sequence)

    @property
    def means(self) -> Floats:
        """[parts, K] true averages of the rows up to and including each part."""
        parts = np.arange(1, len(self.chance) + 1)[:, None]
        return np.cumsum(self.chance @ self.y, axis=0) / parts

    def bets(self, rows: int) -> list[Bets]:
        """The bets that TRAIN would lay out: its second moment is taken as known."""
        squares = (self.chance @ np.square(self.y)).mean(axis=0)
        return [
            default_bets(float(square), rows, BETTING_ALPHA, bound=float(bound))
            for square, bound in zip(squares, self.bounds, strict=True)
        ]


def log_sums(values: Floats) -> Floats:
    """[...] log Σ exp over the last axis."""
    top = values.max(axis=-1)
    return top + np.log(np.exp(values - top[..., None]).sum(axis=-1))


def log_capital(counts: Floats, y: Floats, bets: Bets) -> Floats:
    """[...] log capital of one variable y [outcomes] after counts [..., outcomes]."""
    return log_sums(counts @ np.log1p(np.multiply.outer(y, bets.fractions)) + bets.log_prior)


def log_refuting(counts: Floats, y: Floats, bets: Bets, mean: float) -> Floats:
    """[...] log Σ p·exp(S − n·λ·mean): at least log(1/α) exactly where the lower bound at α lies above ``mean``."""
    growth = np.log1p(np.multiply.outer(y, bets.fractions)) - mean * bets.fractions
    return log_sums(counts @ growth + bets.log_prior)


def level(log_value: Floats) -> Floats:
    """The smallest α at which a capital passes."""
    return np.exp(-np.maximum(log_value, 0.0))


def t_level(counts: Floats, y: Floats) -> Floats:
    """[...] one-sided p-value of the usual test of "the average of y is above 0"; 1 where nothing varies upwards."""
    total = counts.sum(axis=-1)
    mean = counts @ y / total
    variance = np.maximum(counts @ np.square(y) / total - mean**2, 1e-300)
    z = mean / np.sqrt(variance / total)
    return np.where(mean > 0, norm.sf(z), 1.0)


def lower_limit(hits: int, runs: int) -> float:
    """The 99% one-sided Clopper–Pearson limit: the true rate is at least this."""
    return 0.0 if hits == 0 else float(beta.ppf(0.01, hits, runs - hits + 1))


def upper_limit(hits: int, runs: int) -> float:
    """The 99% one-sided Clopper–Pearson limit: the true rate is at most this."""
    return 1.0 if hits == runs else float(beta.ppf(0.99, hits + 1, runs - hits))


def chunks(runs: int, numbers_per_run: int) -> list[int]:
    """Sizes of pieces whose arrays stay within a hundred megabytes."""
    most = max(1, min(runs, NUMBERS_AT_ONCE // numbers_per_run))
    sizes = [most] * (runs // most)
    return [*sizes, runs % most] if runs % most else sizes


def draw(rng: np.random.Generator, outcomes: Outcomes, rows: int, runs: int) -> Floats:
    """[runs, parts, outcomes] counts up to and including each part; a part has rows // parts rows."""
    parts = len(outcomes.chance)
    each = [rng.multinomial(rows // parts, chance, size=runs) for chance in outcomes.chance]
    return np.cumsum(np.stack(each, axis=1), axis=1, dtype=np.float64)


def expanded(outcomes: Outcomes, rows: int, seed: int) -> float:
    """The largest difference between the kernel and ``Capital`` fed with shuffled rows, in nats."""
    rng = np.random.default_rng(seed)
    counts = draw(rng, outcomes, rows, 1)[0, -1]
    bets = outcomes.bets(rows)
    which = rng.permutation(np.repeat(np.arange(counts.size), counts.astype(np.int64)))
    capital = Capital(bets)
    for part in np.array_split(which, 3):
        capital.update(outcomes.y[part])
    kernel = [log_capital(counts, outcomes.y[:, k], one) for k, one in enumerate(bets)]
    return float(np.abs(capital.log_value - np.array(kernel)).max())


def on_all_cores(function: Callable[..., T], tasks: Sequence[tuple[Any, ...]], workers: int) -> list[T]:
    """Results in the order of the tasks, each of which carries its own seed; longest tasks should come first."""
    if workers == 1:
        return [function(*task) for task in tasks]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return [future.result() for future in [pool.submit(function, *task) for task in tasks]]


def log_levels(alphas: Sequence[float] = ALPHAS) -> Floats:
    """log(1/α) of each."""
    return np.array([math.log(1.0 / alpha) for alpha in alphas])
