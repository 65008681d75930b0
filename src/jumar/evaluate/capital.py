"""Capital: the evidence that an average is above zero, from bets that were fixed beforehand.

In: rows of a variable d that cannot fall below a known bound, such as d = (w − 1)·r ≥ −1.
Out: log capital, and the lower bound on the average of d that the same sums imply.
Rows may come in any order; shards are added. Whatever weighs evidence imports this module.

Why it is sound. Let F_i be all that is known before row i and μ_i = E[d_i | F_i]. For a fixed bet λ the
product Π (1 + λ·d_i)·exp(−λ·μ_i) is a non-negative supermartingale from 1 on, because 1 + λμ ≤ exp(λμ).
So is any mixture over bets that has not looked at these rows, and by Ville's inequality it ever reaches 1/α
with probability at most α: at every look, under drift, under adaptive logging. Where the μ_i average ≤ 0 the
mixture is at least the capital; hence a capital of 1/α is that rare there. Solving for the average instead
gives the lower bound. See "Estimating means of bounded random variables by betting" by Waudby-Smith & Ramdas
(https://arxiv.org/abs/2010.09686).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from jumar.errors import JumarError

Floats: TypeAlias = NDArray[np.float64]

LARGEST_BET = 0.95
_TOLERANCE = 1e-12
_GROUP = 8  # rows multiplied out into one polynomial of the bet
_FOLDED = 16  # groups multiplied before one logarithm is taken: 8 · 16 = 128 rows
_LARGE = 50.0  # (1 + 0.95·50)^128 and 0.05^128 are both far inside float64
_ROWS_AT_ONCE = 32_768
# OpenBLAS starts threads above 2^18 multiplications. They spin, and on shared cores that costs thirty times.
_MULTIPLICATIONS_AT_ONCE = 2**18 - 1


class GateError(JumarError):
    """Rows or plans that the gate cannot accept; it refuses them rather than repair them silently."""


@dataclass(frozen=True, eq=False)
class Bets:
    """Constant bets and what is believed of them before the first row.

    Attributes:
        fractions: [bets] shares of the capital staked on every row, each in (0, 0.95 / bound].
        log_prior: [bets] logarithms of prior weights; they sum to one.
        bound: the variable never falls below −bound.
    """

    fractions: Floats
    log_prior: Floats
    bound: float = 1.0

    def __post_init__(self) -> None:
        fractions = np.array(self.fractions, dtype=np.float64)
        log_prior = np.array(self.log_prior, dtype=np.float64)
        object.__setattr__(self, "fractions", fractions)
        object.__setattr__(self, "log_prior", log_prior)
        if fractions.ndim != 1 or fractions.size == 0 or fractions.shape != log_prior.shape:
            raise GateError(
                "bets need one prior weight for each fraction",
                example=(fractions.shape, log_prior.shape),
                remedy="Pass two vectors of the same length.",
            )
        stakes = fractions * self.bound
        if not (self.bound > 0 and np.all(stakes > 0) and np.all(stakes <= LARGEST_BET * (1 + 1e-12))):
            raise GateError(
                "every bet must be above 0 and at most 0.95 / bound",
                example=(float(fractions.min()), float(fractions.max()), self.bound),
                remedy="Use default_bets.",
            )
        if not abs(log_sum_exp(log_prior)) < 1e-9:
            raise GateError(
                "the prior weights of the bets must sum to one",
                example=float(np.exp(log_prior).sum()),
                remedy="Subtract the logarithm of their sum.",
            )


def log_sum_exp(values: Floats) -> float:
    """log Σ exp(values), without overflow."""
    top = float(np.max(values))
    return top if math.isinf(top) else top + math.log(float(np.exp(values - top).sum()))


def default_bets(second_moment: float, rows_planned: int, alpha: float, *, bound: float = 1.0) -> Bets:
    """The 43 bets used unless told otherwise; nothing to tune.

    For an average that is just detectable the bet that reaches 1/α soonest is λ̂ = sqrt(2·ln(1/α)/(n·E[d²])).
    Half of the prior surrounds it; the other half spans 2⁻²⁰ to 0.9, so that a wrong λ̂ costs a few nats.

    Args:
        second_moment: E[d²] as measured on rows that the capital will never see; zero is allowed.
        rows_planned: how many rows the capital is expected to see, n.
        alpha: the error probability aimed at, in (0, 1).
        bound: the variable never falls below −bound.
    """
    if not (math.isfinite(second_moment) and second_moment >= 0 and rows_planned > 0 and 0 < alpha < 1 and bound > 0):
        raise GateError(
            "bets need a second moment ≥ 0, at least one planned row and an alpha between 0 and 1",
            example=(second_moment, rows_planned, alpha, bound),
            remedy="Check how many rows the gate will have.",
        )
    budget = 2.0 * math.log(1.0 / alpha)
    spread = rows_planned * second_moment / bound**2
    best = 0.9 if spread * 0.81 <= budget else math.sqrt(budget / spread)
    near = np.minimum(best * np.array([0.6, 1.0, 1.6]), LARGEST_BET)
    wide = np.geomspace(2.0**-20, 0.9, 40)
    prior = np.concatenate([0.5 * np.array([0.25, 0.5, 0.25]), np.full(40, 0.5 / 40)])
    return Bets(np.concatenate([near, wide]) / bound, np.log(prior), bound)


class _State(msgspec.Struct, frozen=True):
    """What is written to JSON: shortest decimal forms, which read back to the same float64."""

    fractions: list[list[float]]
    log_prior: list[list[float]]
    bound: list[float]
    sums: list[list[float]]
    count: int


class Capital:
    """Log growth of every bet for one variable d, or for K variables over the same rows.

    Attributes:
        bets: one Bets per variable.
        sums: [K, bets] Σ log(1 + λ·d).
        count: rows seen.
    """

    def __init__(self, bets: Bets | Sequence[Bets]) -> None:
        self.bets = (bets,) if isinstance(bets, Bets) else tuple(bets)
        if len({one.fractions.size for one in self.bets}) != 1:
            raise GateError(
                "all variables of one capital need the same number of bets",
                example=[one.fractions.size for one in self.bets],
                remedy="Use default_bets for each of them.",
            )
        self.fractions = np.stack([one.fractions for one in self.bets])
        self.log_prior = np.stack([one.log_prior for one in self.bets])
        self.bounds = np.array([one.bound for one in self.bets])
        self.sums = np.zeros_like(self.fractions)
        self.count = 0

    def update(self, d: ArrayLike) -> None:
        """Adds rows.

        Args:
            d: [rows] for a single variable, or [rows, K].

        Raises:
            GateError: where d is NaN, infinite or below −bound. Nothing is clamped and nothing was added.
        """
        values = self._checked(d)
        growth = [log_growth(values[:, k], self.fractions[k], float(self.bounds[k])) for k in range(len(self.bets))]
        self.sums += np.stack(growth)
        self.count += values.shape[0]

    def add_repeated(self, value: float, rows: int) -> None:
        """Adds the same value of every variable on many rows at once, as if each had come by itself."""
        self._checked(np.full((1, len(self.bets)), value))
        self.sums += rows * np.log1p(self.fractions * value)
        self.count += rows

    def _checked(self, d: ArrayLike) -> Floats:
        values = np.asarray(d, dtype=np.float64)
        if values.ndim == 1 and len(self.bets) == 1:
            values = values[:, None]
        if values.ndim != 2 or values.shape[1] != len(self.bets):
            raise GateError(
                f"expected [rows, {len(self.bets)}] values",
                example=values.shape,
                remedy="Pass one column for each variable.",
            )
        if values.shape[0] == 0:
            return values
        # Columns that lie together in memory are reduced and cut into blocks several times faster.
        values = np.asfortranarray(values)
        # NaN fails both comparisons: one pass down and one pass up see everything that may be wrong.
        low, high = values.min(axis=0), values.max(axis=0)
        if not (np.all(low >= -self.bounds * (1 + _TOLERANCE)) and np.all(high < np.inf)):
            bad = ~((values >= -self.bounds * (1 + _TOLERANCE)) & (values < np.inf))
            raise GateError(
                "a contribution to the gate is not a number, or lies below what its bounds allow",
                count=int(bad.any(axis=1).sum()),
                example=float(values[bad][0]),
                remedy="Rewards must lie within their declared bounds and propensities in (0, 1].",
            )
        return values

    def __add__(self, other: Capital) -> Capital:
        """The capital of both shards, whichever came first."""
        if (
            not np.array_equal(self.fractions, other.fractions)
            or not np.array_equal(self.log_prior, other.log_prior)
            or not np.array_equal(self.bounds, other.bounds)
        ):
            raise GateError(
                "only capitals of the same bets can be added",
                remedy="Use the bets of one plan for all shards.",
            )
        total = Capital(self.bets)
        total.sums = self.sums + other.sums
        total.count = self.count + other.count
        return total

    @property
    def log_value(self) -> Floats:
        """[K] log Σ p·Π(1 + λ·d), in nats; 0 before the first row."""
        return np.array([log_sum_exp(row) for row in self.log_prior + self.sums])

    @property
    def leading(self) -> Floats:
        """[K] the bet that holds most of each capital now."""
        best = np.argmax(self.log_prior + self.sums, axis=1)
        return self.fractions[np.arange(best.size), best]

    def lower_bound(self, alpha: float, k: int = 0) -> float:
        """The smallest average m of variable k that is not refuted: log Σ p·exp(S − n·λ·m) ≤ log(1/α).

        The average up to now lies above it, at all looks together, with probability at least 1 − α. It is
        rounded downwards by at most 1e-12, and it is ≥ 0 exactly when the capital has reached 1/α.
        """
        if not 0 < alpha <= 1:
            raise GateError("alpha must lie in (0, 1]", example=alpha, remedy="Use 1 − confidence.")
        low = -float(self.bounds[k])
        if self.count == 0:
            return low
        fractions, start = self.count * self.fractions[k], self.log_prior[k] + self.sums[k]
        target = math.log(1.0 / alpha)
        if log_sum_exp(start - fractions * low) <= target:
            return low
        # Here no bet has gained anything, so the mixture is at most 1: the answer is below.
        high = float(np.max(self.sums[k] / fractions))
        if low < 0.0 < high:  # anchors the bound on the verdict
            low, high = (0.0, high) if log_sum_exp(start) >= target else (low, 0.0)
        while high - low > 1e-12 * max(1.0, abs(low)):
            middle = 0.5 * (low + high)
            if log_sum_exp(start - fractions * middle) > target:
                low = middle
            else:
                high = middle
        return low

    def to_json(self) -> bytes:
        """The whole state; ``from_json`` gives back the same bits."""
        return msgspec.json.encode(
            _State(
                self.fractions.tolist(),
                self.log_prior.tolist(),
                self.bounds.tolist(),
                self.sums.tolist(),
                self.count,
            )
        )

    @classmethod
    def from_json(cls, data: bytes | str) -> Capital:
        """The state that ``to_json`` wrote."""
        state = msgspec.json.decode(data, type=_State)
        bets = [
            Bets(np.array(fractions), np.array(log_prior), bound)
            for fractions, log_prior, bound in zip(state.fractions, state.log_prior, state.bound, strict=True)
        ]
        capital = cls(bets)
        capital.sums = np.array(state.sums, dtype=np.float64)
        capital.count = state.count
        return capital


def log_growth(d: Floats, fractions: Floats, bound: float = 1.0) -> Floats:
    """Σ_i log(1 + λ·d_i) for many bets λ at once.

    Rows with d = 0 cost nothing. Eight rows are multiplied out into one polynomial of the bet, so that one
    matrix product does the work of all bets; 128 rows share one logarithm. With u = d/bound + 1 ≥ 0 and
    s = λ·bound the polynomial is Σ_j s^j·(1 − s)^(8−j)·e_j(u), where e_j is the elementary symmetric
    polynomial: no term is negative, so nothing cancels.

    Args:
        d: [rows] values ≥ −bound.
        fractions: [bets] bets in (0, 0.95 / bound].
        bound: the least value of d is −bound.

    Returns:
        [bets] sums.
    """
    d = d[d != 0.0]
    stakes = fractions * bound
    powers = np.arange(_GROUP + 1)
    weights = stakes[:, None] ** powers * (1.0 - stakes[:, None]) ** (_GROUP - powers)
    weights /= (weights @ [float(math.comb(_GROUP, j)) for j in powers])[:, None]
    total = np.zeros_like(fractions)
    for start in range(0, d.size, _ROWS_AT_ONCE):
        block = d[start : start + _ROWS_AT_ONCE] / bound
        large = np.abs(block) > _LARGE
        if large.any():
            total += np.log1p(np.multiply.outer(stakes, block[large])).sum(axis=1)
            block = block[~large]
        if block.size:
            total += _moderate_growth(block, weights)
    return total


def _moderate_growth(block: Floats, weights: Floats) -> Floats:
    """``log_growth`` of values of moderate size; weights [bets, 9] multiply e_0 … e_8."""
    whole = _GROUP * _FOLDED
    u = np.ones(-(-block.size // whole) * whole)
    u[: block.size] += block
    symmetric = _elementary_symmetric(u.reshape(_GROUP, -1))
    columns = max(_MULTIPLICATIONS_AT_ONCE // weights.size // _FOLDED, 1) * _FOLDED
    total = np.zeros(weights.shape[0])
    for start in range(0, symmetric.shape[1], columns):
        total += _log_of_products(weights @ symmetric[:, start : start + columns])
    return total


def _log_of_products(product: Floats) -> Floats:
    """Row sums of logarithms, sixteen columns multiplied before each logarithm."""
    columns = product.shape[1]
    folded = columns // _FOLDED
    while columns > folded:
        columns //= 2
        product = product[:, :columns] * product[:, columns:]
    return np.log(product).sum(axis=1)


def _elementary_symmetric(u: Floats) -> Floats:
    """e_0 … e_8 of the eight entries of every column: u [8, groups] gives [9, groups]."""
    a1, a2 = u[:4] + u[4:], u[:4] * u[4:]
    b1 = a1[:2] + a1[2:]
    b2 = a2[:2] + a2[2:] + a1[:2] * a1[2:]
    b3 = a1[:2] * a2[2:] + a2[:2] * a1[2:]
    b4 = a2[:2] * a2[2:]
    (p1, q1), (p2, q2), (p3, q3), (p4, q4) = b1, b2, b3, b4
    e = np.empty((_GROUP + 1, u.shape[1]))
    e[0] = 1.0
    e[1] = p1 + q1
    e[2] = p2 + q2 + p1 * q1
    e[3] = p3 + q3 + p1 * q2 + p2 * q1
    e[4] = p4 + q4 + p1 * q3 + p3 * q1 + p2 * q2
    e[5] = p1 * q4 + p4 * q1 + p2 * q3 + p3 * q2
    e[6] = p2 * q4 + p4 * q2 + p3 * q3
    e[7] = p3 * q4 + p4 * q3
    e[8] = p4 * q4
    return e
