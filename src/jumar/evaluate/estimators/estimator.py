"""Estimates of a policy's value from rows that another policy logged, with honest errors.

In: importance weights w = π(a|x)/μ(a|x), rewards in [0, 1], predictions where there are any, units where
they repeat. Out: Estimate records. Sums are streamed and merged, so any number of rows will do. Reports
import this.

Every estimator here is a ratio of two sums over rows, (a·Σy)/(b·Σy), or a sum of two, so one set of sums
serves all of them, and the delta method is the same line for each (``sums.ClusteredSums``).
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from jumar.evaluate.capital import Bets, Capital, Floats, GateError
from jumar.evaluate.estimators.sums import ClusteredSums, checked_vector
from jumar.records import Record

MOST_CONFIDENCE = 1.0 - 1e-9
# Constants of this file, so that no row had a say in them. At w = 10 the shrunken weight is w/2.
TAU, LAM = 10.0, 100.0
_COLUMNS = ("one", "w", "wr", "r", "direct", "wresidual", "switched", "shrunk", "marginal")
_NEED_PREDICTIONS = ("dm", "dr", "sndr", "switch_dr", "dros")


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


class Estimator:
    """Streaming sums for all estimators of one policy.

    Args:
        clustered: rows carry units that repeat; errors are clustered by them.
        confidence: of every interval, two-sided; the guaranteed bound spends all of it on one side.
        tau: Switch-DR leaves out the residuals of rows with w > tau ≥ 0.
        lam: DRos weighs residuals by λ·w/(w² + λ), with λ > 0.
        guaranteed: also keep the capital that ``paired_gain`` needs, which is most of the work.
    """

    def __init__(
        self,
        *,
        clustered: bool = False,
        confidence: float = 0.95,
        tau: float = TAU,
        lam: float = LAM,
        guaranteed: bool = True,
    ) -> None:
        if not 0 < confidence < 1:
            raise GateError("a confidence lies between 0 and 1", example=confidence, remedy="Try 0.95.")
        if not (tau >= 0 and 0 < lam < math.inf):
            raise GateError(
                "Switch-DR needs tau ≥ 0, and DRos a finite lam > 0",
                example=(tau, lam),
                remedy="Declare both before looking at rows; 10 and 100 are the defaults.",
            )
        self.clustered, self.confidence, self.tau, self.lam = clustered, confidence, float(tau), float(lam)
        self.sums = ClusteredSums(len(_COLUMNS), clustered=clustered)
        self.capital = Capital(unbiased_bets()) if guaranteed else None
        self.modelled, self.grouped = True, True

    def update(
        self,
        w: ArrayLike,
        reward: ArrayLike,
        *,
        prediction: ArrayLike | None = None,
        direct: ArrayLike | None = None,
        marginal: ArrayLike | None = None,
        unit: ArrayLike | None = None,
    ) -> None:
        """Adds rows.

        Args:
            w: [rows] π(a|x)/μ(a|x) ≥ 0.
            reward: [rows] in [0, 1].
            prediction: [rows] q̂(x, a) of the logged action, from other rows.
            direct: [rows] Σ_b π(b|x)·q̂(x, b).
            marginal: [rows] ratio of the probabilities of what is known of the action, ``marginal_weights``.
            unit: [rows] integer codes, if clustered.

        Raises:
            GateError: other shapes, values that cannot be; nothing was added then.
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
        nothing = np.zeros_like(r)
        q = nothing if prediction is None else checked_vector(prediction, r.size, "predictions")
        v = nothing if direct is None else checked_vector(direct, r.size, "the policy's predicted values")
        m = nothing if marginal is None else checked_vector(marginal, r.size, "marginal weights", low=0.0)
        residual = w * (r - q)
        kept, shrunk = residual * (w <= self.tau), residual / (1.0 + w * w / self.lam)
        self.sums.update(np.stack([np.ones_like(r), w, w * r, r, v, residual, kept, shrunk, m * r], axis=1), unit)
        if self.capital is not None:
            self.capital.update((w - 1.0) * r)
        self.modelled &= prediction is not None and direct is not None
        self.grouped &= marginal is not None

    def merge(self, other: Estimator) -> Estimator:
        """The estimator that has seen the rows of both."""
        if (self.tau, self.lam, self.capital is None) != (other.tau, other.lam, other.capital is None):
            raise GateError(
                "only estimators with the same tau, lam and guaranteed can be merged",
                example=((self.tau, self.lam), (other.tau, other.lam)),
                remedy="Declare them once, for all shards.",
            )
        total = Estimator(clustered=self.clustered, confidence=self.confidence, tau=self.tau, lam=self.lam)
        total.sums = self.sums + other.sums
        total.capital = None if self.capital is None or other.capital is None else self.capital + other.capital
        total.modelled, total.grouped = self.modelled and other.modelled, self.grouped and other.grouped
        return total

    def _estimate(self, name: str, *terms: tuple[str, str]) -> Estimate:
        """The sum of ratios of sums, each named "columns that are added" over "column"."""
        if name in _NEED_PREDICTIONS and not self.modelled:
            raise GateError(
                "this estimator needs predicted rewards",
                remedy="Pass prediction= and direct= with every batch.",
            )
        pairs = [(_signs(above), _signs(below)) for above, below in terms]
        value, error = self.sums.sum_of_ratios(pairs)
        return estimate(name, value, error, self.confidence, self.sums.rows, self.sums.clusters)

    def logged(self) -> Estimate:
        """V(μ): the mean reward."""
        return self._estimate("logged", ("r", "one"))

    def ips(self) -> Estimate:
        """Inverse propensity score, mean w·r. See Horvitz & Thompson (1952)."""
        return self._estimate("ips", ("wr", "one"))

    def snips(self) -> Estimate:
        """Self-normalised: Σ w·r / Σ w. See "The self-normalized estimator" by Swaminathan & Joachims
        (2015)."""
        return self._estimate("snips", ("wr", "w"))

    def dm(self) -> Estimate:
        """Direct method, mean Σ_b π·q̂; its interval does not know how wrong q̂ is."""
        return self._estimate("dm", ("direct", "one"))

    def dr(self) -> Estimate:
        """Doubly robust, mean Σ_b π·q̂ + w·(r − q̂). See "Doubly robust policy evaluation" by Dudík et
        al. (2011)."""
        return self._estimate("dr", ("direct wresidual", "one"))

    def sndr(self) -> Estimate:
        """Self-normalised doubly robust, mean Σ_b π·q̂ + Σ w·(r − q̂)/Σ w. See "Data-efficient off-policy
        policy evaluation" by Thomas & Brunskill (https://arxiv.org/abs/1604.00923)."""
        return self._estimate("sndr", ("direct", "one"), ("wresidual", "w"))

    def switch_dr(self) -> Estimate:
        """DR without the residuals of rows with w > tau: where q̂ is wrong there, the interval does not
        know it. See "Optimal and adaptive off-policy evaluation" by Wang et al.
        (https://arxiv.org/abs/1612.01205)."""
        return self._estimate("switch_dr", ("direct switched", "one"))

    def dros(self) -> Estimate:
        """DR with optimistic shrinkage, the weight of a residual being λ·w/(w² + λ); its interval does not
        know the bias. See "Doubly robust off-policy evaluation with shrinkage" by Su et al.
        (https://arxiv.org/abs/1907.09623)."""
        return self._estimate("dros", ("direct shrunk", "one"))

    def mips(self) -> Estimate:
        """Marginalised IPS, mean of marginal weight times r; right where the action matters only through
        what the marginal weights know of it. See "Off-policy evaluation for large action spaces via
        embeddings" by Saito & Joachims (https://arxiv.org/abs/2202.06317)."""
        if not self.grouped:
            raise GateError("this estimator needs marginal weights", remedy="Pass marginal= with every batch.")
        return self._estimate("mips", ("marginal", "one"))

    def estimates(self) -> list[Estimate]:
        """Every estimator that the rows allow, after the logged mean."""
        found = [self.logged(), self.ips(), self.snips()]
        if self.modelled:
            found += [self.dm(), self.dr(), self.sndr(), self.switch_dr(), self.dros()]
        return [*found, self.mips()] if self.grouped else found

    def paired_gain(self) -> PairedGain:
        """V(π) − V(μ) from d = (w − 1)·r; the guaranteed bound uses ``unbiased_bets``, which saw no
        row."""
        if self.capital is None:
            raise GateError("a guaranteed bound needs its capital", remedy="Leave guaranteed= at True.")
        value, error = self.sums.ratio(_signs("wr") - _signs("r"), _signs("one"))
        rows, clusters = self.sums.rows, self.sums.clusters
        guaranteed = Estimate(
            name="paired gain",
            value=value,
            standard_error=None,
            low=self.capital.lower_bound(1.0 - self.confidence),
            high=None,
            confidence=self.confidence,
            method="finite-sample",
            rows=rows,
            clusters=clusters,
        )
        interval = estimate("paired gain", value, error, self.confidence, rows, clusters)
        return PairedGain(interval=interval, guaranteed=guaranteed)


def _signs(columns: str) -> Floats:
    """1 at the named columns, 0 elsewhere."""
    return np.array([float(column in columns.split()) for column in _COLUMNS])


def estimate(name: str, value: float, error: float, confidence: float, rows: int, clusters: int) -> Estimate:
    """An asymptotic, two-sided Estimate from a value and its standard error."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    return Estimate(
        name=name,
        value=value,
        standard_error=error,
        low=value - z * error,
        high=value + z * error,
        confidence=confidence,
        method="asymptotic",
        rows=rows,
        clusters=clusters,
    )


def ips(w: ArrayLike, reward: ArrayLike, *, unit: ArrayLike | None = None, confidence: float = 0.95) -> Estimate:
    """``Estimator.ips`` of arrays."""
    return _seen(w, reward, unit, confidence).ips()


def snips(w: ArrayLike, reward: ArrayLike, *, unit: ArrayLike | None = None, confidence: float = 0.95) -> Estimate:
    """``Estimator.snips`` of arrays."""
    return _seen(w, reward, unit, confidence).snips()


def dm(direct: ArrayLike, *, unit: ArrayLike | None = None, confidence: float = 0.95) -> Estimate:
    """``Estimator.dm`` of arrays."""
    nothing = np.zeros(np.shape(direct))
    return _seen(nothing, nothing, unit, confidence, prediction=nothing, direct=direct).dm()


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
    return _seen(w, reward, unit, confidence, prediction=prediction, direct=direct).dr()


def sndr(
    w: ArrayLike,
    reward: ArrayLike,
    prediction: ArrayLike,
    direct: ArrayLike,
    *,
    unit: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """``Estimator.sndr`` of arrays."""
    return _seen(w, reward, unit, confidence, prediction=prediction, direct=direct).sndr()


def switch_dr(
    w: ArrayLike,
    reward: ArrayLike,
    prediction: ArrayLike,
    direct: ArrayLike,
    *,
    tau: float = TAU,
    unit: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """``Estimator.switch_dr`` of arrays."""
    return _seen(w, reward, unit, confidence, prediction=prediction, direct=direct, tau=tau).switch_dr()


def dros(
    w: ArrayLike,
    reward: ArrayLike,
    prediction: ArrayLike,
    direct: ArrayLike,
    *,
    lam: float = LAM,
    unit: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """``Estimator.dros`` of arrays."""
    return _seen(w, reward, unit, confidence, prediction=prediction, direct=direct, lam=lam).dros()


def mips(
    marginal: ArrayLike, reward: ArrayLike, *, unit: ArrayLike | None = None, confidence: float = 0.95
) -> Estimate:
    """``Estimator.mips`` of arrays; ``marginal_weights`` makes the first."""
    return _seen(np.zeros(np.shape(reward)), reward, unit, confidence, marginal=marginal).mips()


def paired_gain(
    w: ArrayLike, reward: ArrayLike, *, unit: ArrayLike | None = None, confidence: float = 0.95
) -> PairedGain:
    """``Estimator.paired_gain`` of arrays."""
    return _seen(w, reward, unit, confidence, guaranteed=True).paired_gain()


def _seen(
    w: ArrayLike,
    reward: ArrayLike,
    unit: ArrayLike | None,
    confidence: float,
    *,
    prediction: ArrayLike | None = None,
    direct: ArrayLike | None = None,
    marginal: ArrayLike | None = None,
    tau: float = TAU,
    lam: float = LAM,
    guaranteed: bool = False,
) -> Estimator:
    estimator = Estimator(
        clustered=unit is not None, confidence=confidence, tau=tau, lam=lam, guaranteed=guaranteed
    )  # fmt: skip
    estimator.update(w, reward, prediction=prediction, direct=direct, marginal=marginal, unit=unit)
    return estimator
