"""Estimates of a policy's value from rows that another policy logged, with honest errors.

In: importance weights w = π(a|x)/μ(a|x), rewards in [0, 1], predictions where there are any, units where
they repeat. Out: Estimate records. Sums are streamed and merged, so any number of rows will do. Reports
import this.

Every estimator here is a ratio of two sums over rows, (a·Σy)/(b·Σy), so one set of sums serves all of
them, and the delta method is the same line for each: its residuals are (a − V·b)·y, added up within
units.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jumar.evaluate.capital import Bets, Capital, Floats, GateError
from jumar.evaluate.certificate import Record

# Units are told apart up to a hash: whole units share a bucket, buckets stay independent, memory constant.
# With 4,096 of them a standard error is itself known to about 1.1%.
BUCKETS = 4_096
MOST_CONFIDENCE = 1.0 - 1e-9
_COLUMNS = ("one", "w", "wr", "r", "direct", "wresidual")


class Estimate(Record, frozen=True, kw_only=True):
    """A value, its error, and an interval.

    Attributes:
        name: which estimator.
        value: the estimate, in units of the reward given.
        standard_error: asymptotic, clustered by unit where units were given; None for finite-sample
            bounds.
        low, high: the interval; high is None where only a lower bound is known.
        confidence: of the interval.
        method: "asymptotic" intervals are right for many rows, "finite-sample" bounds for any number.
        rows: rows seen.
        clusters: independent groups behind the standard error: rows, units, or hashed buckets of units.
    """

    name: str
    value: float
    standard_error: float | None
    low: float
    high: float | None
    confidence: float
    method: Literal["asymptotic", "finite-sample"]
    rows: int
    clusters: int


class PairedGain(Record, frozen=True, kw_only=True):
    """V(π) − V(μ) on the same rows: a two-sided asymptotic interval and a guaranteed lower bound."""

    interval: Estimate
    guaranteed: Estimate


def unbiased_bets() -> Bets:
    """Bets for rows that no one has planned for: a grid of powers from 2⁻²⁰ to 0.9, all believed alike.

    The grid is a constant of this file; it cannot have looked at any row. It costs about ln 40 nats at
    most.
    """
    return Bets(np.geomspace(2.0**-20, 0.9, 40), np.full(40, -math.log(40.0)))


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
        self.rows += y.shape[0]
        self.total += y.sum(axis=0)
        if self.outer is not None:
            self.outer += y.T @ y
        if self.buckets is not None:
            index = bucket_of(np.asarray(unit))
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
        a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
        below = float(b @ self.total)
        if below == 0.0 or self.clusters < 2:
            return (float(a @ self.total) / below if below else math.nan), math.nan
        value = float(a @ self.total) / below
        c = a - value * b
        if self.buckets is not None:
            square = float(np.square(self.buckets @ c).sum())
        else:
            square = float(c @ self.outer @ c) if self.outer is not None else 0.0
        corrected = max(square, 0.0) * self.clusters / (self.clusters - 1)
        return value, math.sqrt(corrected) / abs(below)


class Estimator:
    """Streaming sums for all estimators of one policy.

    Args:
        clustered: rows carry units that repeat; errors are clustered by them.
        confidence: of every interval, two-sided; the guaranteed bound spends all of it on one side.
    """

    def __init__(self, *, clustered: bool = False, confidence: float = 0.95) -> None:
        if not 0 < confidence < 1:
            raise GateError("a confidence lies between 0 and 1", example=confidence, remedy="Try 0.95.")
        self.clustered, self.confidence = clustered, confidence
        self.sums = ClusteredSums(len(_COLUMNS), clustered=clustered)
        self.capital = Capital(unbiased_bets())
        self.modelled = True

    def update(
        self,
        w: ArrayLike,
        reward: ArrayLike,
        *,
        prediction: ArrayLike | None = None,
        direct: ArrayLike | None = None,
        unit: ArrayLike | None = None,
    ) -> None:
        """Adds rows.

        Args:
            w: [rows] π(a|x)/μ(a|x) ≥ 0.
            reward: [rows] in [0, 1].
            prediction: [rows] q̂(x, a) of the logged action, from other rows.
            direct: [rows] Σ_b π(b|x)·q̂(x, b).
            unit: [rows] integer codes, if clustered.
        """
        w, r = np.asarray(w, dtype=np.float64), np.asarray(reward, dtype=np.float64)
        if w.shape != r.shape or w.ndim != 1:
            raise GateError(
                "weights and rewards must be vectors of one length",
                example=(w.shape, r.shape),
                remedy="Pass the same rows for both.",
            )
        bad = ~((w >= 0) & (w < np.inf) & (r >= 0) & (r <= 1 + 1e-12))
        if bad.any():
            raise GateError(
                "weights must be finite and not negative, and rewards in [0, 1]",
                count=int(bad.sum()),
                example=(float(w[bad][0]), float(r[bad][0])),
                remedy="Rescale rewards by their declared bounds.",
            )
        self.modelled &= prediction is not None and direct is not None
        q = np.zeros_like(r) if prediction is None else np.asarray(prediction, dtype=np.float64)
        v = np.zeros_like(r) if direct is None else np.asarray(direct, dtype=np.float64)
        self.capital.update((w - 1.0) * r)
        self.sums.update(np.stack([np.ones_like(r), w, w * r, r, v, w * (r - q)], axis=1), unit)

    def merge(self, other: Estimator) -> Estimator:
        """The estimator that has seen the rows of both."""
        total = Estimator(clustered=self.clustered, confidence=self.confidence)
        total.sums, total.capital = self.sums + other.sums, self.capital + other.capital
        total.modelled = self.modelled and other.modelled
        return total

    def _estimate(self, name: str, above: dict[str, float], below: str = "one") -> Estimate:
        a = np.array([above.get(column, 0.0) for column in _COLUMNS])
        b = np.array([float(column == below) for column in _COLUMNS])
        value, error = self.sums.ratio(a, b)
        z = NormalDist().inv_cdf(0.5 + self.confidence / 2)
        return Estimate(
            name=name,
            value=value,
            standard_error=error,
            low=value - z * error,
            high=value + z * error,
            confidence=self.confidence,
            method="asymptotic",
            rows=self.sums.rows,
            clusters=self.sums.clusters,
        )

    def logged(self) -> Estimate:
        """V(μ): the mean reward."""
        return self._estimate("logged", {"r": 1.0})

    def ips(self) -> Estimate:
        """Inverse propensity score, mean w·r. See Horvitz & Thompson (1952)."""
        return self._estimate("ips", {"wr": 1.0})

    def snips(self) -> Estimate:
        """Self-normalised: Σ w·r / Σ w. See "The self-normalized estimator" by Swaminathan & Joachims
        (2015)."""
        return self._estimate("snips", {"wr": 1.0}, "w")

    def dm(self) -> Estimate:
        """Direct method, mean Σ_b π·q̂; its interval does not know how wrong q̂ is."""
        self._need_predictions()
        return self._estimate("dm", {"direct": 1.0})

    def dr(self) -> Estimate:
        """Doubly robust, mean Σ_b π·q̂ + w·(r − q̂). See "Doubly robust policy evaluation" by Dudík et
        al. (2011)."""
        self._need_predictions()
        return self._estimate("dr", {"direct": 1.0, "wresidual": 1.0})

    def _need_predictions(self) -> None:
        if not self.modelled:
            raise GateError(
                "this estimator needs predicted rewards",
                remedy="Pass prediction= and direct= with every batch.",
            )

    def paired_gain(self) -> PairedGain:
        """V(π) − V(μ) from d = (w − 1)·r; the guaranteed bound uses ``unbiased_bets``, which saw no
        row."""
        interval = self._estimate("paired gain", {"wr": 1.0, "r": -1.0})
        guaranteed = Estimate(
            name="paired gain",
            value=interval.value,
            standard_error=None,
            low=self.capital.lower_bound(1.0 - self.confidence),
            high=None,
            confidence=self.confidence,
            method="finite-sample",
            rows=self.sums.rows,
            clusters=self.sums.clusters,
        )
        return PairedGain(interval=interval, guaranteed=guaranteed)


def ips(w: ArrayLike, reward: ArrayLike, *, unit: ArrayLike | None = None, confidence: float = 0.95) -> Estimate:
    """``Estimator.ips`` of arrays."""
    return _seen(w, reward, unit, confidence).ips()


def snips(w: ArrayLike, reward: ArrayLike, *, unit: ArrayLike | None = None, confidence: float = 0.95) -> Estimate:
    """``Estimator.snips`` of arrays."""
    return _seen(w, reward, unit, confidence).snips()


def dm(direct: ArrayLike, *, unit: ArrayLike | None = None, confidence: float = 0.95) -> Estimate:
    """``Estimator.dm`` of arrays."""
    nothing = np.zeros(np.shape(direct))
    estimator = Estimator(clustered=unit is not None, confidence=confidence)
    estimator.update(nothing, nothing, prediction=nothing, direct=direct, unit=unit)
    return estimator.dm()


def dr(
    w: ArrayLike,
    reward: ArrayLike,
    prediction: ArrayLike,
    direct: ArrayLike,
    *,
    unit: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """``Estimator.dr`` of arrays."""
    estimator = Estimator(clustered=unit is not None, confidence=confidence)
    estimator.update(w, reward, prediction=prediction, direct=direct, unit=unit)
    return estimator.dr()


def paired_gain(
    w: ArrayLike, reward: ArrayLike, *, unit: ArrayLike | None = None, confidence: float = 0.95
) -> PairedGain:
    """``Estimator.paired_gain`` of arrays."""
    return _seen(w, reward, unit, confidence).paired_gain()


def _seen(w: ArrayLike, reward: ArrayLike, unit: ArrayLike | None, confidence: float) -> Estimator:
    estimator = Estimator(clustered=unit is not None, confidence=confidence)
    estimator.update(w, reward, unit=unit)
    return estimator
