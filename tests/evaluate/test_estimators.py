"""Estimators against values by hand, brute-force clustering, and their own coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from jumar.evaluate import Estimator, GateError, dm, dr, ips, paired_gain, snips
from jumar.evaluate.capital import Capital
from jumar.evaluate.estimators import BUCKETS, bucket_of, unbiased_bets

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
    unit = rng.integers(0, 50, 900)
    mixed = rng.permutation(900)
    seen = []
    for rows in (np.arange(900), mixed[:400], mixed[400:]):
        codes = unit[rows] if clustered else None
        estimator = Estimator(clustered=clustered)
        estimator.update(w[rows], r[rows], prediction=q[rows], direct=v[rows], unit=codes)
        seen.append(estimator)
    whole, merged = seen[0], seen[1].merge(seen[2])
    for name in ("logged", "ips", "snips", "dm", "dr"):
        one, two = getattr(whole, name)(), getattr(merged, name)()
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


def test_coverage_of_intervals():
    rng, hits, runs = np.random.default_rng(4), np.zeros(4), 400
    mu, q = np.array([0.7, 0.3]), np.array([0.2, 0.5])
    policy = np.array([0.2, 0.8])
    truth = float(policy @ q)
    for _ in range(runs):
        action = (rng.random(500) < mu[1]).astype(int)
        r = (rng.random(500) < q[action]).astype(float)
        w = (policy / mu)[action]
        guess = np.array([0.25, 0.4])
        found = [ips(w, r), snips(w, r), dr(w, r, guess[action], np.full(500, policy @ guess))]
        hits[:3] += [one.low <= truth <= (one.high or 0.0) for one in found]
        gain = paired_gain(w, r).interval
        hits[3] += gain.low <= truth - mu @ q <= (gain.high or 0.0)
    assert_allclose(hits / runs, 0.95, atol=0.035)


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
    with pytest.raises(GateError, match="units must come"):
        Estimator(clustered=True).update(W, R)
