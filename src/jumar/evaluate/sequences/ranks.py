"""Which ranks each of several policies may have, at one confidence for all of them together.

In: what each policy is worth on each unit, all on the same units. Out: for every policy the best and the worst rank
that the units do not rule out. Reports and whoever chooses among estimates import this; no verdict rests on it.

Every ordered pair is a hypothesis "j is no better than k", tested one-sided by the paired t-statistic over units, all
K·(K − 1) of them by Holm's procedure. Policies shown to be better than j push its best rank down, policies shown to be
worse push its worst rank up. If no true hypothesis is rejected, each interval holds every rank that its policy has,
with ties broken any way. See "Inference for ranks with applications to mobility across neighbourhoods and academic
achievement across countries" by Mogstad, Romano, Shaikh & Wilhelm (2024), and Holm (1979).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jumar.evaluate.capital import Floats, GateError
from jumar.records import Record

LEAST_UNITS = 30


class RankIntervals(Record, frozen=True, kw_only=True):
    """Ranks that policies may have; 1 is the best.

    Attributes:
        value: [K] mean over units.
        best, worst: [K] ends of each policy's interval of ranks.
        confidence: that all K intervals together hold the true ranks.
        units: how many.
        method: how policies were compared.
    """

    value: list[float]
    best: list[int]
    worst: list[int]
    confidence: float
    units: int
    method: str = "paired t, Holm"

    @property
    def may_lead(self) -> list[int]:
        """Policies, by their place from 0 on, that may be the best."""
        return [k for k, rank in enumerate(self.best) if rank == 1]


def rank_intervals(values: ArrayLike, *, confidence: float = 0.95) -> RankIntervals:
    """Intervals of ranks of K policies, more being better.

    Args:
        values: [units, K] what each policy is worth on each unit, such as Σ_t γ_{0:t}·ρ_{0:t}·r_t; units independent.
        confidence: of all intervals together; right for many units, as t-tests are.

    Returns:
        ``RankIntervals``; policies whose intervals overlap are not told apart.

    Raises:
        GateError: fewer than 30 units, no policies, values that are not finite, a confidence outside (0, 1).
    """
    y = np.asarray(values, dtype=np.float64)
    if y.ndim != 2 or y.shape[1] == 0 or not np.isfinite(y).all() or not 0 < confidence < 1:
        raise GateError(
            "ranks need finite values [units, policies] and a confidence between 0 and 1",
            example=(y.shape, confidence),
            remedy="Pass one column for each policy, all over the same units.",
        )
    if y.shape[0] < LEAST_UNITS:
        raise GateError(
            f"ranks need at least {LEAST_UNITS} units", example=y.shape[0], remedy="Fewer say nothing about ranks."
        )
    better = _rejected(_p_values(y), 1.0 - confidence)
    return RankIntervals(
        value=y.mean(axis=0).tolist(),
        best=(1 + better.sum(axis=0)).tolist(),
        worst=(y.shape[1] - better.sum(axis=1)).tolist(),
        confidence=confidence,
        units=y.shape[0],
    )


def _p_values(y: Floats) -> Floats:
    """[K, K] one-sided p-values of "j is no better than k"; 1 on the diagonal and for policies that never differ."""
    units, policies = y.shape
    p = np.ones((policies, policies))
    for j in range(policies):
        apart = y[:, j : j + 1] - y
        mean, error = apart.mean(axis=0), apart.std(axis=0, ddof=1) / math.sqrt(units)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(mean == 0.0, 0.0, mean / error)
        p[j] = [1.0 if k == j else student_tail(float(t[k]), units - 1) for k in range(policies)]
    return p


def _rejected(p: Floats, alpha: float) -> NDArray[np.bool_]:
    """[K, K] pairs of which Holm's procedure says that the first is better."""
    policies = p.shape[0]
    away = ~np.eye(policies, dtype=bool)
    flat = p[away]
    order = np.argsort(flat, kind="stable")
    passed = flat[order] <= alpha / np.arange(flat.size, 0, -1)
    count = flat.size if passed.all() else int(np.argmin(passed))
    found = np.zeros(flat.size, dtype=bool)
    found[order[:count]] = True
    better = np.zeros_like(away)
    better[away] = found
    return better


def student_tail(t: float, freedom: int) -> float:
    """P(T > t) of Student's distribution with 29 degrees of freedom or more, to 1e-6 of itself where it is above 1e-9.

    See Algorithm 395 by Hill (1970).
    """
    if t < 0:
        return 1.0 - student_tail(-t, freedom)
    if math.isinf(t):
        return 0.0
    a, b = freedom - 0.5, 48.0 * (freedom - 0.5) ** 2
    y = a * math.log1p(t * t / freedom)
    z = ((((-0.4 * y - 3.3) * y - 24.0) * y - 85.5) / (0.8 * y * y + 100.0 + b) + y + 3.0) / b + 1.0
    return 0.5 * math.erfc(z * math.sqrt(y) / math.sqrt(2.0))
