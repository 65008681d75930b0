"""Estimators against values by hand, brute-force clustering, and their own coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from jumar.evaluate import Estimator, GateError, dm, dr, ips, paired_gain, snips
from jumar.evaluate.capital import Capital
from jumar.evaluate.estimators import BUCKETS, bucket_of, dros, mips, sndr, switch_dr, unbiased_bets

W = np.array([2.0, 0.0, 0.5, 1.5])
R = np.array([1.0, 1.0, 0.0, 0.5])


def test_values_by_hand():
    assert ips(W, R).value == pytest.approx(2.75 / 4)
    assert snips(W, R).value == pytest.approx(2.75 / 4)  # Σw = 4 here
    q, v = np.array([0.5, 0.5, 0.5, 0.5]), np.array([0.4, 0.6, 0.5, 0.7])
    assert dm(v).value == pytest.approx(0.55)
    # 0.55 + (2·0.5 + 0 − 0.5·0.5 + 0)/4
    assert dr(W, R, q, v).value == pytest.approx(0.55 + 0.75 / 4)
    assert paired_gain(W, R).interval.value == pytest.approx((1 - 1 + 0 + 0.25) / 4)


def test_values_with_weights_that_are_cut_by_hand():
    q, v = np.array([0.5, 0.5, 0.5, 0.0]), np.array([0.4, 0.6, 0.5, 0.7])
    w = np.array([3.0, 0.0, 0.5, 1.5])
    # Residuals w·(r − q): 1.5, 0, −0.25, 0.75; Σw = 5.
    assert sndr(w, R, q, v).value == pytest.approx(0.55 + 2.0 / 5)
    assert switch_dr(w, R, q, v, tau=1.5).value == pytest.approx(0.55 + 0.5 / 4)
    assert switch_dr(w, R, q, v, tau=1.49).value == pytest.approx(0.55 - 0.25 / 4)
    # With λ = 1 a weight of w becomes w/(w² + 1), so residuals are divided by 10, 1, 1.25, 3.25.
    assert dros(w, R, q, v, lam=1.0).value == pytest.approx(0.55 + (0.15 - 0.2 + 0.75 / 3.25) / 4)
    assert mips([2.0, 0.5, 1.0, 1.0], R).value == pytest.approx(3.0 / 4)


def test_declared_thresholds_lead_from_dm_to_dr():
    q, v = np.array([0.5, 0.5, 0.5, 0.0]), np.array([0.4, 0.6, 0.5, 0.7])
    ends = dm(v), dr(W, R, q, v)
    for one, end in ((switch_dr(W, R, q, v, tau=0.0), ends[0]), (switch_dr(W, R, q, v, tau=math.inf), ends[1])):
        assert_allclose([one.value, one.low], [end.value, end.low], rtol=1e-12)
    for one, end in ((dros(W, R, q, v, lam=1e-12), ends[0]), (dros(W, R, q, v, lam=1e12), ends[1])):
        assert_allclose([one.value, one.low], [end.value, end.low], rtol=1e-9)


def test_the_error_of_sndr_by_jackknife():
    """Leaving out one row after another moves the estimate as the delta method says it should."""
    rng = np.random.default_rng(5)
    w, r, q, v = rng.exponential(1, 400), rng.random(400), 0.3 * rng.random(400), rng.random(400)
    one = sndr(w, r, q, v)
    kept = [np.delete(np.arange(400), i) for i in range(400)]
    left = np.array([v[k].mean() + (w[k] * (r - q)[k]).sum() / w[k].sum() for k in kept])
    jackknife = math.sqrt(399 / 400 * np.square(left - left.mean()).sum())
    assert one.standard_error == pytest.approx(jackknife, rel=0.01)
    # A wrong error: the mean of the weights taken as if it were known.
    terms = v + w * (r - q) / w.mean()
    assert terms.std(ddof=1) / 20 != pytest.approx(jackknife, rel=0.01)


def test_errors_by_hand():
    wr = W * R
    assert ips(W, R).standard_error == pytest.approx(wr.std(ddof=1) / 2)
    residual = W * (R - snips(W, R).value)
    assert snips(W, R).standard_error == pytest.approx(math.sqrt(np.square(residual).sum() * 4 / 3) / W.sum())
    one = ips(W, R, confidence=0.9)
    assert one.standard_error is not None
    assert one.low == pytest.approx(one.value - 1.6449 * one.standard_error, abs=1e-4)
    assert (one.method, one.rows, one.clusters) == ("asymptotic", 4, 4)


def test_clusters_by_brute_force():
    rng = np.random.default_rng(0)
    unit = rng.integers(100, 140, 600)
    w, r = rng.exponential(1, 600), rng.random(600)
    assert len(set(bucket_of(np.unique(unit)).tolist())) == np.unique(unit).size  # no collision here
    value = (w * r).mean()
    sums = np.array([(w * r - value)[unit == u].sum() for u in np.unique(unit)])
    error = math.sqrt(np.square(sums).sum() * sums.size / (sums.size - 1)) / 600
    estimate = ips(w, r, unit=unit)
    assert estimate.standard_error == pytest.approx(error, rel=1e-10)
    assert estimate.clusters == sums.size


def test_repeated_units_widen_the_interval():
    rng = np.random.default_rng(1)
    w, r = rng.exponential(1, 500), rng.random(500)
    unit = np.arange(500)
    alone, repeated = ips(w, r), ips(np.repeat(w, 9), np.repeat(r, 9), unit=np.repeat(unit, 9))
    assert alone.standard_error is not None
    # Nine copies of a row are one observation; hashing 500 units into 4,096 buckets lets a few collide.
    assert repeated.standard_error == pytest.approx(alone.standard_error, rel=0.1)


def test_hashing_spreads_units():
    filled = np.bincount(bucket_of(np.arange(100 * BUCKETS)), minlength=BUCKETS)
    assert filled.min() > 50
    assert filled.max() < 160


@pytest.mark.parametrize("clustered", [False, True])
def test_shards_in_any_order(clustered: bool):
    rng = np.random.default_rng(2)
    w, r, q, v = rng.exponential(1, 900), rng.random(900), rng.random(900), rng.random(900)
    unit, m = rng.integers(0, 50, 900), rng.exponential(1, 900)
    mixed = rng.permutation(900)
    seen = []
    for rows in (np.arange(900), mixed[:400], mixed[400:]):
        codes = unit[rows] if clustered else None
        estimator = Estimator(clustered=clustered)
        estimator.update(w[rows], r[rows], prediction=q[rows], direct=v[rows], marginal=m[rows], unit=codes)
        seen.append(estimator)
    whole, merged = seen[0], seen[1].merge(seen[2])
    names = ["logged", "ips", "snips", "dm", "dr", "sndr", "switch_dr", "dros", "mips"]
    assert [one.name for one in whole.estimates()] == names
    for one, two in zip(whole.estimates(), merged.estimates(), strict=True):
        assert_allclose([two.value, two.low, two.high], [one.value, one.low, one.high], rtol=1e-10)
    assert_allclose(merged.paired_gain().guaranteed.low, whole.paired_gain().guaranteed.low, atol=1e-9)


def test_guaranteed_bound_is_the_capital_of_fixed_bets():
    rng = np.random.default_rng(3)
    w, r = rng.exponential(1.3, 5_000), rng.random(5_000)
    gain = paired_gain(w, r, confidence=0.99)
    capital = Capital(unbiased_bets())
    capital.update((w - 1) * r)
    assert gain.guaranteed.low == capital.lower_bound(0.01)
    assert gain.guaranteed.high is None
    assert gain.guaranteed.low < gain.interval.low


def test_what_cannot_be_estimated_is_refused():
    with pytest.raises(GateError, match=r"\[0, 1\]"):
        ips(W, R + 1)
    with pytest.raises(GateError, match="not negative"):
        ips(-W, R)
    with pytest.raises(GateError, match="one length"):
        ips(W, R[:2])
    unpredicted = Estimator()
    unpredicted.update(W, R)
    with pytest.raises(GateError, match="predicted"):
        unpredicted.dr()
    with pytest.raises(GateError, match="marginal"):
        unpredicted.mips()
    with pytest.raises(GateError, match="units must come"):
        Estimator(clustered=True).update(W, R)
    with pytest.raises(GateError, match="predictions must be finite"):
        dr(W, R, np.array([0.5, np.nan, 0.5, 0.5]), R)
    with pytest.raises(GateError, match="one number for each"):
        dr(W, R, R[:2], R)
    with pytest.raises(GateError, match="at least 0"):
        mips(-W, R)
    with pytest.raises(GateError, match="tau"):
        Estimator(tau=-1.0)
    with pytest.raises(GateError, match="lam"):
        dros(W, R, R, R, lam=0.0)
    with pytest.raises(GateError, match="same tau"):
        Estimator(tau=2.0).merge(Estimator(tau=3.0))
    with pytest.raises(GateError, match="guaranteed"):
        Estimator(guaranteed=False).paired_gain()


def test_refused_rows_leave_nothing_behind():
    estimator = Estimator(clustered=True)
    estimator.update(W, R, unit=np.arange(4))
    for bad in ({"unit": np.arange(3)}, {"unit": np.linspace(0, 1, 4)}, {"unit": None}):
        with pytest.raises(GateError, match="units must"):
            estimator.update(W, R, **bad)
    with pytest.raises(GateError, match="predictions"):
        estimator.update(W, R, prediction=np.full(4, np.inf), direct=R, unit=np.arange(4))
    assert estimator.capital is not None
    assert (estimator.sums.rows, estimator.capital.count) == (4, 4)
    assert estimator.ips().value == pytest.approx(2.75 / 4)
