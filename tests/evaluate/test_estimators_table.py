"""The table of all estimators, weights of groups, and the more robust least squares; coverage with its controls."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from jumar.evaluate import GateError
from jumar.evaluate.estimators import (
    dm,
    dr,
    dros,
    estimator_table,
    ips,
    marginal_weights,
    mips,
    more_robust,
    mrdr,
    sndr,
    snips,
    switch_dr,
)

Floats = NDArray[np.float64]
BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


class Rows:
    """Three actions, two features; production and policy depend on them."""

    def __init__(self, rows: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(rows, 2))
        self.mu = _softmax(self.x @ rng.normal(size=(2, 3)) + np.array([1.0, 0.0, -0.5]))
        self.pi = _softmax(self.x @ rng.normal(size=(2, 3)))
        self.action = (rng.random(rows)[:, None] > self.mu.cumsum(axis=1)).sum(axis=1).clip(max=2)
        self.propensity = self.mu[np.arange(rows), self.action]
        self.mean = np.clip(0.4 + 0.1 * self.x @ rng.normal(size=(2, 3)), 0.02, 0.98)
        self.reward = (rng.random(rows) < self.mean[np.arange(rows), self.action]).astype(np.float64)
        self.q = np.clip(self.mean + rng.normal(0, 0.1, self.mean.shape), 0, 1)
        self.w = self.pi[np.arange(rows), self.action] / self.propensity

    @property
    def logged(self) -> tuple[Any, ...]:
        return self.action, self.reward, self.propensity, self.pi


def _softmax(logits: Floats) -> Floats:
    weights = np.exp(logits)
    return weights / weights.sum(axis=1, keepdims=True)


def test_the_table_holds_what_its_arguments_allow():
    rows = Rows(500, 0)
    groups = np.array([0, 1, 1])
    unit = np.arange(500) // 2
    whole = estimator_table(
        *rows.logged,
        predictions=rows.q,
        features=rows.x,
        production=rows.mu,
        groups=groups,
        unit=unit,
        tau=1.5,
        lam=3.0,
    )
    names = ["logged", "ips", "snips", "dm", "dr", "sndr", "switch_dr", "dros", "mips", "mrdr_dm", "mrdr"]
    assert [one.name for one in whole] == names
    assert [one.name for one in estimator_table(*rows.logged)] == names[:3]
    prediction, direct = rows.q[np.arange(500), rows.action], (rows.pi * rows.q).sum(axis=1)
    given: tuple[Any, ...] = rows.w, rows.reward, prediction, direct
    marginal = marginal_weights(rows.pi, rows.mu, groups, groups[rows.action])
    each = [
        ips(rows.w, rows.reward, unit=unit),
        snips(rows.w, rows.reward, unit=unit),
        dm(direct, unit=unit),
        dr(*given, unit=unit),
        sndr(*given, unit=unit),
        switch_dr(*given, unit=unit, tau=1.5),
        dros(*given, unit=unit, lam=3.0),
        mips(marginal, rows.reward, unit=unit),
        *mrdr(rows.x, *rows.logged, unit=unit),
    ]
    for one, two in zip(whole[1:], each, strict=True):
        assert (one.name, one.clusters) == (two.name, two.clusters)
        assert_allclose([one.value, one.low], [two.value, two.low], rtol=1e-12)


def test_marginal_weights_by_hand():
    pi, mu = np.array([[0.5, 0.3, 0.2], [0.0, 0.1, 0.9]]), np.array([[0.2, 0.2, 0.6], [0.6, 0.3, 0.1]])
    # Groups {0} and {1, 2}.
    assert_allclose(marginal_weights(pi, mu, [0, 1, 1], [0, 1]), [2.5, 1.0 / 0.4])
    # Each action shows group 0 or 1 by chance: p(0|a) = 1, ½, 0.
    shown = [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    assert_allclose(marginal_weights(pi, mu, shown, [0, 1]), [0.65 / 0.3, 0.95 / 0.25])
    # Groups of one action each are the actions.
    assert_allclose(marginal_weights(pi, mu, [0, 1, 2], [2, 1]), [0.2 / 0.6, 0.1 / 0.3])


def test_more_robust_values_by_brute_force():
    """Weighted least squares on the other half, action by action, by another route: rows scaled by root weights."""
    rows = Rows(600, 1)
    fitted = more_robust(rows.x, *rows.logged, ridge=0.0, seed=3)
    half = np.random.default_rng(3).permutation(600) % 2
    design = np.column_stack([np.ones(600), rows.x])
    root = rows.w * np.sqrt(1.0 - rows.propensity)
    for k in range(2):
        for a in range(3):
            known = (half != k) & (rows.action == a)
            scaled = design[known] * root[known, None]
            beta = np.linalg.lstsq(scaled, rows.reward[known] * root[known], rcond=None)[0]
            assert_allclose(fitted.predictions[half == k, a], design[half == k] @ beta, atol=1e-9)
    assert_allclose(fitted.direct, (rows.pi * fitted.predictions).sum(axis=1))
    by_hand = fitted.direct + rows.w * (rows.reward - fitted.predictions[np.arange(600), rows.action])
    assert mrdr(rows.x, *rows.logged, ridge=0.0, seed=3)[1].value == pytest.approx(by_hand.mean(), rel=1e-12)


def test_the_ridge_does_not_see_units_or_origins_of_features():
    rows = Rows(300, 2)
    plain = more_robust(rows.x, *rows.logged, ridge=50.0)
    moved = more_robust(rows.x * np.array([1e3, 1e-3]) + np.array([7.0, -2e-3]), *rows.logged, ridge=50.0)
    assert_allclose(moved.predictions, plain.predictions, atol=1e-7)
    # Slopes that are pulled to 0 leave one level for each action and half.
    flat = more_robust(rows.x, *rows.logged, ridge=1e12).predictions
    assert np.unique(flat.round(6)).size == 6


def test_no_prediction_knows_the_rewards_of_its_unit():
    rows = Rows(400, 4)
    unit = np.arange(400) // 4
    plain = more_robust(rows.x, *rows.logged, unit=unit)
    changed = np.where(unit == 17, 1.0 - rows.reward, rows.reward)
    other = more_robust(rows.x, rows.action, changed, rows.propensity, rows.pi, unit=unit)
    assert np.array_equal(other.predictions[unit == 17], plain.predictions[unit == 17])
    assert not np.array_equal(other.predictions[unit != 17], plain.predictions[unit != 17])


def test_actions_that_tell_nothing_are_worth_the_mean():
    rows = Rows(300, 5)
    pi = np.column_stack([rows.pi, np.zeros(300)])
    fitted = more_robust(rows.x, rows.action, rows.reward, rows.propensity, pi, seed=1)
    half = np.random.default_rng(1).permutation(300) % 2
    assert_allclose(fitted.predictions[half == 0, 3], rows.reward[half == 1].mean())
    sure = more_robust(rows.x, rows.action, rows.reward, np.ones(300), rows.pi)
    assert np.isfinite(sure.influence).all()


def test_more_robust_weights_spare_variance_where_a_line_is_wrong():
    """A policy with one action for each context; its action is rare where the line of plain least squares is bad."""
    rng, values = np.random.default_rng(6), []
    for run in range(200):
        x = rng.random((400, 1))
        mu = np.column_stack([1.0 - (0.9 - 0.85 * x[:, 0]), 0.9 - 0.85 * x[:, 0]])
        action = (rng.random(400) > mu[:, 0]).astype(int)
        mean = np.where(action == 1, 0.1 + 0.8 * x[:, 0] ** 6, 0.5)
        reward = mean + 0.1 * (rng.random(400) - 0.5)
        pi = np.tile([0.0, 1.0], (400, 1))
        propensity = mu[np.arange(400), action]
        robust = mrdr(x, action, reward, propensity, pi, seed=run, ridge=0.0)[1]
        # Plain least squares, cross-fitted on the same halves.
        half, plain = np.random.default_rng(run).permutation(400) % 2, np.zeros(400)
        for k in range(2):
            known = (half != k) & (action == 1)
            plain[half == k] = np.polyval(np.polyfit(x[known, 0], reward[known], 1), x[half == k, 0])
        values.append((robust.value, dr(pi[np.arange(400), action] / propensity, reward, plain, plain).value))
    spread = np.std(values, axis=0)
    assert spread[0] < 0.8 * spread[1]
    assert_allclose(np.mean(values, axis=0), 0.1 + 0.8 / 7, atol=3.5 * spread[1] / np.sqrt(200))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pmf": np.full((4, 2), 0.4)}, "sum to 1"),
        ({"pmf": np.full(4, 0.5)}, r"\[rows, actions\]"),
        ({"action": np.array([0, 1, 2, 1])}, "actions must lie"),
        ({"action": np.array([0.0, 1.0, 0.0, 1.0])}, "whole numbers"),
        ({"propensity": np.array([0.5, 0.0, 0.5, 0.5])}, "above 0"),
        ({"reward": np.array([0.5, 2.0, 0.5, 0.5])}, r"\[0, 1\]"),
        ({"predictions": np.full((4, 3), 0.5)}, "each action"),
        ({"predictions": np.full((4, 2), np.nan)}, "finite"),
        ({"features": np.full((4, 1), np.nan)}, "features"),
        ({"features": np.ones((4, 1)), "folds": 5}, "folds"),
        ({"features": np.ones((4, 1)), "ridge": -1.0}, "ridge"),
        ({"groups": np.array([0, 1])}, "production="),
        ({"groups": np.eye(2), "production": np.full((4, 2), 0.5)}, "observed="),
        ({"groups": np.array([0, 1]), "production": np.tile([0.4, 0.6], (4, 1))}, "contradict"),
        ({"groups": np.array([0, 1]), "production": np.full((4, 4), 0.25)}, "same actions"),
        ({"groups": np.array([0, -1]), "production": np.full((4, 2), 0.5)}, "groups must lie"),
        ({"unit": np.arange(3)}, "units"),
    ],
)
def test_arrays_that_contradict_each_other_are_refused(changed: dict[str, Any], message: str):
    sound: dict[str, Any] = {
        "action": np.array([0, 1, 0, 1]),
        "reward": np.array([1.0, 0.0, 0.5, 1.0]),
        "propensity": np.full(4, 0.5),
        "pmf": np.tile([0.3, 0.7], (4, 1)),
    }
    estimator_table(**sound)
    with pytest.raises(GateError, match=message):
        estimator_table(**sound | changed)


def test_groups_that_production_never_shows_are_refused():
    with pytest.raises(GateError, match="could not have shown"):
        marginal_weights([[0.5, 0.5]], [[1.0, 0.0]], [0, 1], [1])


@pytest.mark.parametrize("index", range(7))
def test_coverage_and_what_breaks_it(index: int, monkeypatch: pytest.MonkeyPatch):
    """The worlds of benchmarks/estimators.py, with few runs: 120 runs tell 95% from 60% and not from 93%."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    bench = importlib.import_module("estimators")
    case = bench.cases()[index]
    score = bench.score(case, units=1_000, runs=120, seed=100 + index)
    assert case.breaks
    for name in (*case.covers, *case.breaks):
        assert score.as_expected(name, case), (name, score.coverage(name))
