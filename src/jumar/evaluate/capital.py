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
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from jumar.errors import JumarError
from jumar.evaluate.growth import Floats, log_growth

__all__ = ["LARGEST_BET", "Bets", "Capital", "Floats", "GateError", "checked_rows", "default_bets", "log_sum_exp",
           "log_sums_exp"]  # fmt: skip

LARGEST_BET = 0.95
_TOLERANCE = 1e-12


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
        if not (np.isfinite(log_prior).all() and abs(log_sum_exp(log_prior)) < 1e-9):
            raise GateError(
                "the prior weights of the bets must be positive and sum to one",
                example=float(np.exp(log_prior).sum()),
                remedy="Subtract the logarithm of their sum; leave out a bet that should weigh nothing.",
            )


def log_sum_exp(values: Floats) -> float:
    """log Σ exp(values), without overflow."""
    top = float(np.max(values))
    return top if math.isinf(top) else top + math.log(float(np.exp(values - top).sum()))


def log_sums_exp(values: Floats) -> Floats:
    """[...] log Σ exp over the last axis of finite values [..., bets], without overflow."""
    top = values.max(axis=-1)
    return top + np.log(np.exp(values - top[..., None]).sum(axis=-1))


def default_bets(second_moment: float, rows_planned: int, alpha: float, *, bound: float = 1.0) -> Bets:
    """The 43 bets used unless told otherwise; nothing to tune.

    For an average that is just detectable the bet that reaches 1/α soonest is λ̂ = sqrt(2·ln(1/α)/(n·E[d²])).
    Three quarters of the prior surround it; the rest spans 2⁻²⁰ to 0.9, so that a wrong λ̂ costs a few nats.

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
    near = np.minimum(best * np.array([0.7, 1.0, 1.4]), LARGEST_BET)
    wide = np.geomspace(2.0**-20, 0.9, 40)
    prior = np.concatenate([0.75 * np.array([0.2, 0.6, 0.2]), np.full(40, 0.25 / 40)])
    return Bets(np.concatenate([near, wide]) / bound, np.log(prior), bound)


class _State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is written to JSON: shortest decimal forms, which read back to the same float64."""

    fractions: list[list[float]]
    log_prior: list[list[float]]
    bound: list[float]
    sums: list[list[float]]
    count: int
    single: bool


class Capital:
    """Log growth of every bet for one variable d, or for K variables over the same rows: a value.

    Capitals of the same bets are added, compared and written to JSON. The state is K·bets sums and a count, and
    does not grow with the rows.

    Args:
        bets: one ``Bets`` or fractions [bets] for a single variable, whose ``log_value`` and ``lower_bound`` are
            floats; a sequence of ``Bets`` or fractions [K, bets] for K variables, where they are arrays [K].
        log_prior: logarithms of the prior weights of fractions, of their shape or [bets]; even when left out.
        bound: given with fractions: no variable falls below −bound; a float, or one for each variable.

    Attributes:
        fractions, log_prior, sums: [K, bets] the bets, their prior, and Σ log(1 + λ·d); K is 1 for one variable.
        bounds: [K].
        count: rows seen.

    Raises:
        GateError: where a bet lies outside (0, 0.95/bound], or the prior does not sum to one.
    """

    __hash__ = None  # pyright: ignore[reportAssignmentType]  # it changes in place

    def __init__(
        self,
        bets: Bets | Sequence[Bets] | ArrayLike,
        log_prior: ArrayLike | None = None,
        *,
        bound: ArrayLike = 1.0,
    ) -> None:
        self.bets, self.single = _as_bets(bets, log_prior, bound)
        self.fractions = np.stack([one.fractions for one in self.bets])
        self.log_prior = np.stack([one.log_prior for one in self.bets])
        self.bounds = np.array([one.bound for one in self.bets])
        self.sums = np.zeros_like(self.fractions)
        self.count = 0

    def update(self, d: ArrayLike) -> Capital:
        """Adds rows to this capital, and returns it.

        Args:
            d: [rows] for a single variable, or [rows, K].

        Raises:
            GateError: where d is NaN, infinite or below −bound. Nothing is clamped and nothing was added.
        """
        values = checked_rows(d, self.bounds)
        growth = [log_growth(values[:, k], self.fractions[k], float(self.bounds[k])) for k in range(len(self.bets))]
        self.sums += np.stack(growth)
        self.count += values.shape[0]
        return self

    def __add__(self, other: Capital) -> Capital:
        """The capital of both shards, whichever came first."""
        if not isinstance(other, Capital):
            return NotImplemented
        if not self._same_bets(other):
            raise GateError(
                "only capitals of the same bets can be added",
                remedy="Use the bets of one plan for all shards.",
            )
        total = Capital(self.bets[0] if self.single else self.bets)
        total.sums = self.sums + other.sums
        total.count = self.count + other.count
        return total

    def __eq__(self, other: object) -> bool:
        """Same bets, same sums, same count, bit for bit."""
        if not isinstance(other, Capital):
            return NotImplemented
        return self._same_bets(other) and self.count == other.count and np.array_equal(self.sums, other.sums)

    def __repr__(self) -> str:
        return f"Capital(log_value={self.log_value}, count={self.count:,}, bets={self.fractions.shape[1]})"

    def _same_bets(self, other: Capital) -> bool:
        return (
            self.single == other.single
            and np.array_equal(self.fractions, other.fractions)
            and np.array_equal(self.log_prior, other.log_prior)
            and np.array_equal(self.bounds, other.bounds)
        )

    # What is a float for one variable is declared as Any: a type that depends on an argument helps nobody who reads it.
    @property
    def log_value(self) -> Any:
        """log Σ p·Π(1 + λ·d), in nats, 0 before the first row: a float, or [K] for several variables."""
        values = log_sums_exp(self.log_prior + self.sums)
        return float(values[0]) if self.single else values

    @property
    def leading(self) -> Any:
        """The bet that holds most of the capital now: a float, or [K] for several variables."""
        best = np.argmax(self.log_prior + self.sums, axis=1)
        values = self.fractions[np.arange(best.size), best]
        return float(values[0]) if self.single else values

    def lower_bound(self, alpha: ArrayLike, k: int | None = None) -> Any:
        """The smallest average m that is not refuted: log Σ p·exp(S − n·λ·m) ≤ log(1/α).

        The average up to now lies above it, at all looks together, with probability at least 1 − α. It is
        rounded downwards by at most 1e-12, and it is ≥ 0 exactly when the capital has reached 1/α.

        Args:
            alpha: the error probability in (0, 1]; one for all variables, or [K].
            k: only this variable.

        Returns:
            A float for a single variable or a given k, else [K].
        """
        level = np.asarray(alpha, dtype=np.float64)
        if not np.all((level > 0) & (level <= 1)) or level.ndim > 1:
            raise GateError("alpha must lie in (0, 1]", example=level.tolist(), remedy="Use 1 − confidence.")
        which = slice(None) if k is None else [k]
        log_prior, sums, bounds = self.log_prior[which], self.sums[which], self.bounds[which]
        target = np.broadcast_to(np.log(1.0 / level), bounds.shape)
        if self.count == 0:
            bounds_found = -bounds
        else:
            bounds_found = _smallest_average(log_prior, sums, self.count * self.fractions[which], -bounds, target)
        return float(bounds_found[0]) if self.single or k is not None else bounds_found

    def to_json(self) -> bytes:
        """The whole state; ``from_json`` gives back the same bits."""
        return msgspec.json.encode(
            _State(
                self.fractions.tolist(),
                self.log_prior.tolist(),
                self.bounds.tolist(),
                self.sums.tolist(),
                self.count,
                self.single,
            )
        )

    @classmethod
    def from_json(cls, data: bytes | str) -> Capital:
        """The state that ``to_json`` wrote.

        Raises:
            GateError: where it is not such a state, or contradicts itself.
        """
        try:
            state = msgspec.json.decode(data, type=_State)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _broken(str(error)) from None
        variables = len(state.bound)
        if not variables or any(len(one) != variables for one in (state.fractions, state.log_prior, state.sums)):
            raise _broken("bets, priors, bounds and sums of different numbers of variables")
        if state.single and variables > 1:
            raise _broken(f"a single variable with {variables} bounds")
        columns = zip(state.fractions, state.log_prior, state.bound, strict=True)
        bets = [Bets(np.array(one), np.array(prior), bound) for one, prior, bound in columns]
        capital = cls(bets[0] if state.single else bets)
        if any(len(one) != capital.fractions.shape[1] for one in state.sums):
            raise _broken("one sum is needed for each bet")
        sums = np.array(state.sums, dtype=np.float64)
        least = state.count * np.log1p(-capital.fractions * capital.bounds[:, None])
        if state.count < 0 or not np.isfinite(sums).all() or np.any(sums < least * (1 + 1e-9) - 1e-9):
            raise _broken("sums that no rows can have")
        if state.count == 0 and sums.any():
            raise _broken("sums without rows")
        capital.sums, capital.count = sums, state.count
        return capital


def checked_rows(d: ArrayLike, bounds: Floats) -> Floats:
    """[rows, K] values of d in columns, K being the number of bounds; [rows] will do where K is 1.

    Raises:
        GateError: where a value is NaN, infinite or below −bound.
    """
    values = np.asarray(d, dtype=np.float64)
    if values.ndim == 1 and bounds.size == 1:
        values = values[:, None]
    if values.ndim != 2 or values.shape[1] != bounds.size:
        raise GateError(
            f"expected [rows, {bounds.size}] values",
            example=values.shape,
            remedy="Pass one column for each variable.",
        )
    if values.shape[0] == 0:
        return values
    # Columns that lie together in memory are reduced and cut into blocks several times faster.
    values = np.asfortranarray(values)
    # NaN fails both comparisons: one pass down and one pass up see everything that may be wrong.
    low, high = values.min(axis=0), values.max(axis=0)
    if not (np.all(low >= -bounds * (1 + _TOLERANCE)) and np.all(high < np.inf)):
        bad = ~((values >= -bounds * (1 + _TOLERANCE)) & (values < np.inf))
        raise GateError(
            "a contribution to the gate is not a number, or lies below what its bounds allow",
            count=int(bad.any(axis=1).sum()),
            example=float(values[bad][0]),
            remedy="Rewards must lie within their declared bounds and propensities in (0, 1].",
        )
    return values


def _as_bets(
    bets: Bets | Sequence[Bets] | ArrayLike, log_prior: ArrayLike | None, bound: ArrayLike
) -> tuple[tuple[Bets, ...], bool]:
    """The bets of every variable, and whether there is a single one that is not in a list."""
    single = isinstance(bets, Bets)
    given = [bets] if single else list(bets) if isinstance(bets, Sequence) else []
    if given and all(isinstance(one, Bets) for one in given):
        found = tuple(one for one in given if isinstance(one, Bets))
        if log_prior is not None or not np.array_equal(bound, 1.0):
            raise GateError("Bets know their prior and bound", remedy="Give a prior or bound with fractions only.")
    else:
        fractions = np.asarray(bets, dtype=np.float64)
        single = fractions.ndim == 1
        fractions = fractions[None, :] if single else fractions
        if fractions.ndim != 2 or fractions.size == 0:
            raise GateError("expected bets [bets] or [K, bets]", example=fractions.shape, remedy="Use default_bets.")
        prior = np.asarray(-math.log(fractions.shape[1]) if log_prior is None else log_prior, dtype=np.float64)
        try:
            prior = np.broadcast_to(prior, fractions.shape)
            bounds = np.broadcast_to(np.asarray(bound, dtype=np.float64), fractions.shape[:1])
        except ValueError:
            raise GateError(
                "bets need one prior weight for each fraction, and one bound for each variable",
                example=(fractions.shape, prior.shape, np.shape(bound)),
                remedy="Pass arrays of the same shape.",
            ) from None
        found = tuple(Bets(*one[:2], float(one[2])) for one in zip(fractions, prior, bounds, strict=True))
    if len({one.fractions.size for one in found}) != 1:
        raise GateError(
            "all variables of one capital need the same number of bets",
            example=[one.fractions.size for one in found],
            remedy="Use default_bets for each of them.",
        )
    return found, single


def _smallest_average(log_prior: Floats, sums: Floats, stakes: Floats, low: Floats, target: Floats) -> Floats:
    """[K] ``Capital.lower_bound`` by bisection; stakes are n·λ [K, bets], no average lies below ``low`` [K]."""
    start, least = log_prior + sums, low

    def refuted(m: Floats) -> NDArray[np.bool_]:
        return log_sums_exp(start - stakes * m[:, None]) > target

    passed = log_sums_exp(start) >= target
    open_ = refuted(low)
    # At ``high`` no bet has gained anything, so the mixture is at most 1: the answer is below.
    high = np.max(sums / stakes, axis=1)
    # Anchors the bound on the verdict.
    low, high = np.where(passed, 0.0, low), np.where(passed, np.maximum(high, 0.0), np.minimum(high, 0.0))
    while np.any((wide := high - low > 1e-12 * np.maximum(1.0, np.abs(low))) & (open_ | passed)):
        middle = 0.5 * (low + high)
        above = refuted(middle)
        low, high = np.where(wide & above, middle, low), np.where(wide & ~above, middle, high)
    return np.where(open_ | passed, low, least)


def _broken(why: str) -> GateError:
    return GateError("this is not a saved capital", example=why, remedy="Read it from an undamaged file.")
