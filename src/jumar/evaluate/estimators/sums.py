"""Sums that estimators stream, and the checks of the rows that enter them.

In: row vectors, units where they repeat. Out: sums of ratios of sums with delta-method errors that are
clustered by unit; arrays that have passed their checks. The estimators and the clone's check import this.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jumar.evaluate.capital import Floats, GateError

# Units are told apart up to a hash: whole units share a bucket, buckets stay independent, memory constant.
# With 4,096 of them a standard error is itself known to about 1.1%.
BUCKETS = 4_096
_SUMS_TO_ONE = 1e-4


def bucket_of(unit: ArrayLike) -> NDArray[np.int64]:
    """[rows] bucket of each unit code, by the finaliser of splitmix64 (Steele et al. 2014)."""
    x = np.asarray(unit).astype(np.int64).view(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((x ^ (x >> np.uint64(31))) % np.uint64(BUCKETS)).astype(np.int64)


class ClusteredSums:
    """Sums of row vectors and of their outer products within clusters; additive in any order.

    Args:
        columns: length of a row vector.
        clustered: whether rows carry units; otherwise every row is a cluster by itself.
    """

    def __init__(self, columns: int, *, clustered: bool) -> None:
        self.rows = 0
        self.total = np.zeros(columns)
        self.outer = None if clustered else np.zeros((columns, columns))
        self.buckets = np.zeros((BUCKETS, columns)) if clustered else None
        self.filled = np.zeros(BUCKETS, dtype=bool)

    def update(self, y: Floats, unit: ArrayLike | None = None) -> None:
        """Adds y [rows, columns], with unit [rows] integer codes if clustered."""
        if (unit is None) != (self.buckets is None):
            raise GateError("units must come with every batch of rows or with none", remedy="Pass unit= each time.")
        index = None if unit is None else bucket_of(checked_units(unit, y.shape[0]))
        self.rows += y.shape[0]
        self.total += y.sum(axis=0)
        if self.outer is not None:
            self.outer += y.T @ y
        if self.buckets is not None and index is not None:
            self.filled[index] = True
            for j in range(y.shape[1]):
                self.buckets[:, j] += np.bincount(index, y[:, j], minlength=BUCKETS)

    def __add__(self, other: ClusteredSums) -> ClusteredSums:
        """Both shards."""
        if (self.buckets is None) != (other.buckets is None) or self.total.size != other.total.size:
            raise GateError("only like sums can be added", remedy="Use units for all shards or for none.")
        sums = ClusteredSums(self.total.size, clustered=self.buckets is not None)
        sums.rows, sums.total = self.rows + other.rows, self.total + other.total
        sums.filled = self.filled | other.filled
        if self.outer is not None and other.outer is not None:
            sums.outer = self.outer + other.outer
        if self.buckets is not None and other.buckets is not None:
            sums.buckets = self.buckets + other.buckets
        return sums

    @property
    def clusters(self) -> int:
        """Independent groups seen."""
        return self.rows if self.buckets is None else int(self.filled.sum())

    def ratio(self, a: ArrayLike, b: ArrayLike) -> tuple[float, float]:
        """(a·Σy)/(b·Σy) and its standard error; nan where nothing can be divided."""
        return self.sum_of_ratios([(a, b)])

    def sum_of_ratios(self, terms: Sequence[tuple[ArrayLike, ArrayLike]]) -> tuple[float, float]:
        """Σ_j (a_j·Σy)/(b_j·Σy) and its standard error; nan where nothing can be divided.

        The delta method: near their expectations, the ratios V_j move with a row like c·y, where
        c = Σ_j (a_j − V_j·b_j)/(b_j·Σy).
        """
        value, c = 0.0, np.zeros(self.total.size)
        for above, under in terms:
            a, b = np.asarray(above, dtype=np.float64), np.asarray(under, dtype=np.float64)
            below = float(b @ self.total)
            if below == 0.0:
                return math.nan, math.nan
            one = float(a @ self.total) / below
            value += one
            c += (a - one * b) / below
        if self.clusters < 2:
            return value, math.nan
        if self.buckets is not None:
            square = float(np.square(self.buckets @ c).sum())
        else:
            square = float(c @ self.outer @ c) if self.outer is not None else 0.0
        return value, math.sqrt(max(square, 0.0) * self.clusters / (self.clusters - 1))


def checked_units(unit: ArrayLike, rows: int) -> NDArray[Any]:
    """[rows] integer codes of units, unchanged.

    Raises:
        GateError: another shape, or codes that are not whole numbers.
    """
    codes = np.asarray(unit)
    if codes.shape != (rows,) or codes.dtype.kind not in "iu":
        raise GateError(
            f"units must be {rows:,} whole numbers, one for each row",
            example=(codes.shape, str(codes.dtype)),
            remedy="Number the units; np.unique(..., return_inverse=True) does.",
        )
    return codes


def checked_vector(values: ArrayLike, rows: int, name: str, *, low: float = -math.inf) -> Floats:
    """[rows] float64.

    Raises:
        GateError: another shape, or a value that is below ``low`` or not finite.
    """
    vector = np.asarray(values, dtype=np.float64)
    if vector.shape != (rows,):
        raise GateError(
            f"{name} must be one number for each of the {rows:,} rows",
            example=vector.shape,
            remedy="Pass a vector with the same rows as the rewards.",
        )
    bad = ~((vector >= low) & (np.abs(vector) < np.inf))
    if bad.any():
        raise GateError(
            f"{name} must be finite" + ("" if low == -math.inf else f" and at least {low:g}"),
            count=int(bad.sum()),
            example=float(vector[bad][0]),
            remedy="Find out where these rows come from.",
        )
    return vector


def checked_probabilities(values: ArrayLike, rows: int, name: str) -> Floats:
    """[rows, actions] float64 probabilities.

    Raises:
        GateError: another shape, a value below 0, or a row that does not sum to one within 1e-4.
    """
    pmf = np.asarray(values, dtype=np.float64)
    if pmf.ndim != 2 or pmf.shape[0] != rows or pmf.shape[1] == 0:
        raise GateError(
            f"{name} must be probabilities of every action, for each of the {rows:,} rows",
            example=pmf.shape,
            remedy="Pass an array [rows, actions].",
        )
    bad = ~((pmf >= 0).all(axis=1) & (np.abs(pmf.sum(axis=1) - 1.0) <= _SUMS_TO_ONE))
    if bad.any():
        raise GateError(
            f"{name} must be at least 0 and sum to 1 in every row",
            count=int(bad.sum()),
            example=pmf[bad][0].tolist()[:8],
            remedy="Divide every row by its sum if these are scores.",
        )
    return pmf


def checked_codes(values: ArrayLike, rows: int, below: int, name: str) -> NDArray[np.int64]:
    """[rows] whole numbers from 0 on.

    Raises:
        GateError: another shape or type, or a code that is not in 0 .. below − 1.
    """
    codes = np.asarray(values)
    if codes.shape != (rows,) or codes.dtype.kind not in "iu":
        raise GateError(
            f"{name} must be {rows:,} whole numbers",
            example=(codes.shape, str(codes.dtype)),
            remedy="Number them from 0 on.",
        )
    bad = (codes < 0) | (codes >= below)
    if bad.any():
        raise GateError(
            f"{name} must lie in 0 … {below - 1}",
            count=int(bad.sum()),
            example=int(codes[bad][0]),
            remedy="Number them from 0 on, in the order of the columns.",
        )
    return codes.astype(np.int64)


def checked_propensities(values: ArrayLike, rows: int) -> Floats:
    """[rows] probabilities of the logged actions, each above 0 and at most 1.

    Raises:
        GateError: another shape, or a value outside (0, 1].
    """
    mu = checked_vector(values, rows, "propensities")
    bad = ~((mu > 0) & (mu <= 1 + 1e-12))
    if bad.any():
        raise GateError(
            "propensities must be above 0 and at most 1",
            count=int(bad.sum()),
            example=float(mu[bad][0]),
            remedy="Log the probability with which the action was drawn.",
        )
    return mu
