"""Several claims at once, evidence by unit, the booster and doubly-robust variables inside the gate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from jumar.evaluate import Capital, Gate, GateError, GatePlan, GateResult, plan_gate
from jumar.evaluate.claims import Claim, ClaimRows, variable
from jumar.evaluate.evidence import fold_of
from jumar.evaluate.robust import robust_bound, robust_variable
from jumar.evaluate.wagers import Trial

from .synthetic import Rows, make_rows

VALUE = Claim(kind="value", metric="reward")
COMPLAINTS = Claim(kind="metric", metric="complaints", better="lower", column=0)


def planned(trials: list[Trial], rows: Rows, rows_planned: int, **changes: object) -> GatePlan:
    candidates, actions = rows.pmf.shape[1:]
    arguments = {
        "trials": trials,
        "validation_w": rows.w,
        "temperatures": [1.0 / (k + 1) for k in range(candidates)],
        "policy_sha256": [f"hash {k}" for k in range(candidates)],
        "rows_planned": rows_planned,
        "supported": [True] * actions,
        "confidence": 0.999,
        "propensity_floor": float(rows.propensity.min()),
    }
    return plan_gate(**(arguments | changes))  # pyright: ignore[reportArgumentType]


def claim_rows(rows: Rows, metrics: np.ndarray | None = None) -> ClaimRows:
    return ClaimRows(weight=rows.w, reward=rows.reward, action=rows.action, metrics=metrics, pmf=rows.pmf)


def judged(plan: GatePlan, rows: Rows, **more: object) -> GateResult:
    gate = Gate(plan)
    gate.update(rows.pmf, propensity=rows.propensity, reward=rows.reward, action=rows.action, **more)  # pyright: ignore
    return gate.result()


# Several claims


def complaints_after(rows: Rows, rate: float, extra: float, seed: int) -> np.ndarray:
    """[rows, 1] complaints, more of them where the action that brings more was taken."""
    rng = np.random.default_rng(seed)
    return (rng.random(rows.action.size) < rate + extra * (rows.reward > 0)).astype(float)[:, None]


@pytest.mark.parametrize(("rate", "extra"), [(0.8, -0.7), (0.3, 0.3)])
def test_all_claims_must_pass(rate: float, extra: float):
    validation, rows = make_rows(20_000, 2, gain=0.2), make_rows(80_000, 1, gain=0.2)
    known, seen = (complaints_after(one, rate, extra, seed) for one, seed in ((validation, 3), (rows, 4)))
    trials = [Trial(claim, variable(claim, claim_rows(validation, known))) for claim in (VALUE, COMPLAINTS)]
    plan = planned(trials, validation, 80_000)
    result = judged(plan, rows, metrics=seen)
    value, rail = result.claims
    assert value.verdict == "passed"
    assert (rail.verdict == "passed") == (extra < 0)
    assert (result.verdict == "certified") == (extra < 0)
    if extra > 0:  # the value alone would have been released
        assert judged(planned(trials[:1], validation, 80_000), rows).verdict == "certified"
        assert "complaints" in " ".join(result.reasons)
        assert all("complaints" in point.not_shown for point in result.walk)
    k = result.released if result.released is not None else plan.primary
    truth = ((rows.w[:, k] - 1) * seen[:, 0]).mean()
    assert_allclose(rail.change, truth, atol=1e-12)
    assert_allclose(rail.production, seen.mean(), rtol=1e-12)


def test_costs_need_no_weights():
    validation, rows = make_rows(5_000, 2), make_rows(20_000, 1)
    costs = [0.0, 1.0, 0.0]
    fewer = Claim(kind="spend", metric="b", better="lower", margin=-0.05, costs=costs)
    most = Claim(kind="budget", metric="b", better="lower", costs=costs, most=0.5)
    claims = [VALUE, fewer, most]
    plan = planned([Trial(one, variable(one, claim_rows(validation))) for one in claims], validation, 20_000)
    found = {one.kind: one for one in judged(plan, rows).claims}
    spent = rows.pmf[:, plan.primary, 1].mean()
    now = (rows.action == 1).mean()
    assert_allclose(found["spend"].estimate, 0.95 * now - spent, atol=1e-12)
    assert_allclose(found["spend"].change, spent - now, atol=1e-12)
    assert_allclose(found["budget"].estimate, 0.5 - spent, atol=1e-12)
    assert_allclose(found["budget"].change, spent - now, atol=1e-12)
    assert found["budget"].lower_bound < found["budget"].estimate


def test_claims_on_metrics_need_the_metrics():
    validation = make_rows(1_000, 2)
    trials = [Trial(one, variable(one, claim_rows(validation, np.zeros((1_000, 1))))) for one in (VALUE, COMPLAINTS)]
    plan = planned(trials, validation, 1_000)
    for metrics in (None, np.zeros((1_000, 0)), np.full((1_000, 1), 1.5), np.full((1_000, 1), np.nan)):
        with pytest.raises(GateError):
            judged(plan, validation, metrics=metrics)


# By unit


def test_fold_by_hand():
    fold = fold_of(4, [7, 7, 2, 9, 9, 9], 6)
    assert_allclose(fold(np.array([1.0, -1.0, 2.0, 1.0, 1.0, 1.0])), [0.0, 0.5, 0.75])
    assert fold_of(None, None, 3)(np.arange(3.0)).tolist() == [0, 1, 2]
    for unit in ([1, 1, 1], [1, 2, 1], None):
        with pytest.raises(GateError):
            fold_of(2, unit, 3)


def arms_for_good(units: int, each: int, seed: int, gain: float = 0.0) -> tuple[Rows, np.ndarray]:
    """Every unit keeps its arm, drawn at 20%; units differ in how much they bring, arms by ``gain``."""
    rng = np.random.default_rng(seed)
    arm = np.repeat((rng.random(units) < 0.2).astype(np.int64), each)
    worth = np.repeat(rng.beta(0.3, 1.2, units), each)
    reward = (rng.random(units * each) < np.clip(worth + gain * arm, 0, 1)).astype(float)
    pmf = np.tile([[[0.5, 0.5], [0.1, 0.9]]], (units * each, 1, 1))
    return Rows(pmf, np.where(arm == 1, 0.2, 0.8), reward, arm), np.repeat(np.arange(units), each)


def by_unit(rows: Rows, unit: np.ndarray, each: int, **changes: object) -> GatePlan:
    fold = fold_of(each, unit, rows.action.size)
    trials = [Trial(VALUE, fold(variable(VALUE, claim_rows(rows))))]
    return planned(
        trials, rows, rows.action.size // each, evidence="unit", most_per_unit=each,
        validation_rows=rows.action.size, decisions_planned=rows.action.size, **changes,
    )  # fmt: skip


def test_evidence_by_unit_by_brute_force():
    rows, unit = arms_for_good(3_000, 4, 1, gain=0.1)
    plan = by_unit(*arms_for_good(800, 4, 2, gain=0.1), 4)
    result = judged(plan, rows, unit=unit)
    assert (result.rows, result.pieces) == (12_000, 3_000)
    for k in range(2):
        means = rows.d[:, k].reshape(-1, 4).sum(axis=1) / 4
        capital = Capital(plan.gain[k].bets()).update(means)
        assert_allclose(result.walk[k].log_capital, capital.log_value, rtol=1e-9)
        assert_allclose(result.walk[k].estimate, rows.d[:, k].mean(), rtol=1e-9)
        assert_allclose(result.walk[k].lower_bound, capital.lower_bound(plan.bound_alpha[k]), atol=1e-9)
    halves = []
    for part in (unit < 1_500, unit >= 1_500):
        gate = Gate(plan)
        some = rows.part(np.flatnonzero(part))
        gate.update(
            some.pmf, propensity=some.propensity, reward=some.reward, action=some.action, unit=unit[part], shuffle=3
        )
        halves.append(gate)
    merged = halves[1].merge(halves[0]).result()
    assert_allclose(merged.capital.sums, result.capital.sums, rtol=1e-9, atol=1e-9)


def test_arms_kept_for_good_break_evidence_by_decision_and_not_by_unit():
    """No arm is better: a unit's decisions are one draw, and count as many only at the price of false releases."""
    runs, units, each, alpha = 300, 200, 25, 0.05
    validation, known = arms_for_good(2_000, each, 999)
    whole = by_unit(validation, known, each, confidence=1 - alpha)
    single = planned(
        [Trial(VALUE, variable(VALUE, claim_rows(validation)))], validation, units * each, confidence=1 - alpha
    )
    wrong = np.zeros(2)
    for run in range(runs):
        rows, unit = arms_for_good(units, each, run)
        fold = fold_of(each, unit, rows.action.size)
        for place, (plan, d) in enumerate(((single, rows.d), (whole, fold(rows.d)))):
            capital = Capital([one.bets() for one in plan.gain]).update(d)
            wrong[place] += float(capital.log_value.max() >= math.log(1 / alpha))
    assert wrong[0] / runs > 1.6 * alpha
    assert wrong[1] / runs <= alpha


def test_audits_by_unit_do_not_alarm_where_arms_are_kept():
    rows, unit = arms_for_good(2_000, 10, 5)
    findings = judged(by_unit(*arms_for_good(1_000, 10, 6), 10), rows, unit=unit).findings
    assert all(one.verdict != "blocked" for one in findings), findings


def test_propensities_that_are_too_small_are_found_by_unit_too():
    rows, unit = arms_for_good(6_000, 10, 5)
    wrong = Rows(rows.pmf, 0.75 * rows.propensity, rows.reward, rows.action)
    findings = judged(by_unit(*arms_for_good(1_000, 10, 6), 10), wrong, unit=unit).findings
    assert any(one.name == "weights too large" and one.verdict == "blocked" for one in findings)


# The booster


def test_a_boosted_gate_needs_fewer_rows_and_says_the_same_merged():
    validation = make_rows(8_000, 2, base=0.1, gain=0.03)
    trials = [Trial(VALUE, validation.d)]
    rows = make_rows(14_000, 4, base=0.1, gain=0.03)
    plain, boosted = (planned(trials, validation, 14_000, boost=boost) for boost in (False, True))
    one, other = judged(plain, rows), judged(boosted, rows, shuffle=1)
    assert max(p.log_capital for p in other.walk) > max(p.log_capital for p in one.walk) - math.log(2) - 1e-9
    for point in other.walk:
        assert (point.lower_bound >= 0) <= (point.log_capital >= math.log(1_000))
    parts = []
    for number, at in enumerate((0, 7_000)):
        gate = Gate(boosted)
        some = rows.part(slice(at, at + 7_000))
        gate.update(
            some.pmf, propensity=some.propensity, reward=some.reward, action=some.action, shuffle=number
        )  # fmt: skip
        parts.append(gate)
    first, second = parts[0].merge(parts[1]).result(), parts[1].merge(parts[0]).result()
    assert_allclose([p.log_capital for p in first.walk], [p.log_capital for p in second.walk], rtol=1e-9)


# Doubly robust


def test_a_robust_gate_holds_the_variable_and_sees_more_at_high_base_rates():
    validation, rows = make_rows(8_000, 2, base=0.5, gain=0.1), make_rows(20_000, 4, base=0.5, gain=0.1)
    mu = full_production(rows)
    q = np.full((20_000, 3), 0.53)
    kappas = np.full(4, 8.0)
    known = robust_variable(
        pmf=validation.pmf,
        production=full_production(validation),
        predicted=q[:8_000],
        action=validation.action,
        reward=validation.reward,
        kappa=kappas,
    )
    trial = Trial(VALUE, known, [robust_bound(8.0)] * 4, kappas.tolist())
    plain = judged(planned([Trial(VALUE, validation.d)], validation, 20_000), rows)
    robust = judged(planned([trial], validation, 20_000), rows, production=mu, implied=True, q=q)
    assert robust.claims[0].robust
    assert_allclose([p.estimate for p in robust.walk], [p.estimate for p in plain.walk], atol=0.02)
    assert max(p.log_capital for p in robust.walk) > 1.3 * max(p.log_capital for p in plain.walk)
    with pytest.raises(GateError):
        judged(planned([trial], validation, 20_000), rows)


def full_production(rows: Rows) -> np.ndarray:
    """[rows, 3] μ of ``make_rows``: 0.8 on the favourite, 0.1 on each other."""
    favourite = np.where(rows.propensity > 0.5, rows.action, -1)
    least = rows.pmf[:, 0, :].argmax(axis=1)
    favourite = np.where(favourite >= 0, favourite, least)
    mu = np.full((rows.action.size, 3), 0.1)
    mu[np.arange(rows.action.size), favourite] = 0.8
    taken = mu[np.arange(rows.action.size), rows.action]
    assert_allclose(taken, rows.propensity, rtol=1e-9)
    return mu
