"""The audits: silent on clean logs, loud on misstated propensities, and right about what they say."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from jumar.evaluate import Finding, Gate, GateResult
from jumar.evaluate.weights import WeightAudit

from .synthetic import Rows, make_plan, make_rows


def audited(rows: Rows, propensity: np.ndarray | None = None, **changes: object) -> GateResult:
    plan = make_plan(make_rows(4_000, 99), len(rows.action), **changes)
    gate = Gate(plan, ["wait", "send", "call"])
    mu = rows.propensity if propensity is None else propensity
    gate.update(rows.pmf, propensity=mu, reward=rows.reward, action=rows.action)
    return gate.result()


def finding(result: GateResult, name: str) -> Finding:
    return next(one for one in result.findings if one.name == name)


def test_clean_logs_alarm_rarely():
    alarms = sum(
        finding(audited(make_rows(3_000, seed)), name).verdict != "ok"
        for seed in range(100)
        for name in ("weights too large", "weights too small")
    )
    assert alarms <= 4  # 2 expected at the very most


def test_propensities_that_are_too_small_are_named_and_refused():
    rows = make_rows(40_000, 1)
    result = audited(rows, rows.propensity * 0.9)
    found = finding(result, "weights too large")
    assert (result.verdict, found.verdict) == ("refused", "blocked")
    assert found.figures["misstated"] == pytest.approx(0.11, abs=0.02)
    assert result.reasons == [found.sentence]


def test_one_misstated_action_is_named():
    rows = make_rows(60_000, 1)
    mu = np.where(rows.action == 2, 0.75 * rows.propensity, rows.propensity)
    found = finding(audited(rows, mu), "weights too large")
    assert found.verdict == "blocked"
    assert "action 'call'" in found.sentence
    assert found.figures["misstated"] == pytest.approx(1 / 3, abs=0.05)


def test_misstated_exploration_is_found():
    """Production explores 20% less than it logs."""
    rows = make_rows(200_000, 1, explored=0.24)
    logged = np.where(rows.propensity > 0.5, 0.8, 0.1)
    assert finding(audited(rows, logged), "weights too small").verdict == "warning"


def test_missing_weight_blocks_the_candidate_and_not_the_log():
    """Production never takes action 1 in the first context, but the policies would."""
    rows = make_rows(60_000, 1)
    hidden = (rows.pmf[:, 0].argmax(axis=1) == 0) & (rows.action == 1)
    result = audited(rows.part(np.flatnonzero(~hidden)))
    assert finding(result, "weights too small").verdict == "warning"
    assert finding(result, "missing weight").verdict == "blocked"
    assert result.released is None


def test_estimated_propensities_only_warn():
    rows = make_rows(40_000, 1)
    result = audited(rows, rows.propensity * 0.9, estimated_propensities=True)
    assert finding(result, "weights too large").verdict == "warning"


def test_untried_actions():
    rows = make_rows(20_000, 1)
    result = audited(rows, supported=[True, True, False])
    found = finding(result, "support")
    assert (result.verdict, found.verdict) == ("refused", "blocked")
    assert "call" in found.sentence
    k = int(found.figures["candidate"])  # pyright: ignore[reportArgumentType]
    assert found.figures["share"] == pytest.approx(rows.pmf[:, k, 2].mean())
    tiny = rows.pmf.copy()
    tiny[:, :, 2] *= 0.001
    tiny /= tiny.sum(axis=2, keepdims=True)
    result = audited(Rows(tiny, rows.propensity, rows.reward, rows.action), supported=[True, True, False])
    assert finding(result, "support").verdict == "warning"


def test_untried_mass_may_be_unknown():
    rows, plan = make_rows(2_000, 1), make_plan(make_rows(1_000, 2), 2_000, supported=[True, True, False])
    gate = Gate(plan)
    gate.update(rows.taken, propensity=rows.propensity, reward=rows.reward, action=rows.action)
    found = finding(gate.result(), "support")
    assert found.verdict == "warning"
    assert "not measured" in found.sentence


def test_rows_beyond_the_bound_are_counted():
    rows = make_rows(5_000, 1)
    result = audited(rows, np.where(np.arange(5_000) == 7, 1e-4, rows.propensity))
    found = finding(result, "range of weights")
    assert found.verdict == "warning"
    assert found.figures["rows_beyond"] == 1


def test_ten_rows_that_carry_everything_are_mentioned():
    rows = make_rows(20_000, 1, gain=0.0, base=0.0)
    reward = np.zeros(20_000)
    reward[np.flatnonzero(rows.w[:, 2] > 3)[:9]] = 1.0
    result = audited(Rows(rows.pmf, rows.propensity, reward, rows.action))
    found = finding(result, "dominating rows")
    assert found.verdict == "warning"
    assert found.figures["top_ten_share"] == pytest.approx(1.0)


def test_many_actions_equal_a_direct_sum():
    rng = np.random.default_rng(0)
    actions, rows = 200, 30_000
    mu = rng.dirichlet(np.ones(actions)) * 0.8 + 0.2 / actions
    action = rng.choice(actions, rows, p=mu)
    plan = make_plan(make_rows(100, 2), rows, supported=[True] * actions, propensity_floor=1e-3)
    audit = WeightAudit(plan)
    w = np.ones((rows, 4))
    audit.update(w, 0 * w, mu[action], action, None)
    a = int(audit.action_rows.argmax())
    bets = audit._action_bets[0]
    y = (action == a) / mu[a] - 1.0
    direct = np.exp(np.log1p(np.outer(bets.fractions, y)).sum(axis=1) + bets.log_prior).sum()
    assert_allclose(np.exp(audit.action_log_capital()[0, a]), direct, rtol=1e-9)
    assert audit.deviation(0).kl == 0.0
    assert audit.deviation(0).ess == rows


def test_shards_add_up():
    rows, plan = make_rows(3_000, 1), make_plan(make_rows(1_000, 2), 3_000)
    whole, parts = WeightAudit(plan), [WeightAudit(plan) for _ in range(3)]
    for audit, part in [(whole, slice(None)), *zip(parts, (slice(2_000, None), slice(900), slice(900, 2_000)), strict=True)]:  # fmt: skip  # noqa: E501
        some = rows.part(part)
        audit.update(some.w, some.d, some.propensity, some.action, np.zeros_like(some.w))
    merged = parts[0] + parts[1] + parts[2]
    assert_allclose(merged.action_log_capital(), whole.action_log_capital(), rtol=1e-9, atol=1e-9)
    assert_allclose(merged.top, whole.top)
    assert_allclose(merged.moments, whole.moments, rtol=1e-12)


def rewarded_draws(rows: int, seed: int, error: float) -> tuple[Rows, np.ndarray]:
    """A null world whose logged propensities are all one half; in truth one action is likelier where rewards are."""
    rng = np.random.default_rng(seed)
    good = rng.random(rows) < 0.5
    value = np.where(good, 0.8, 0.2)
    send = rng.random(rows) < 0.5 * np.where(good, 1.0 + error, 1.0 - error)
    reward = (rng.random(rows) < value).astype(np.float64)
    pmf = np.tile([0.1, 0.85, 0.05], (rows, 1, 1))
    return Rows(pmf, np.full(rows, 0.5), reward, send.astype(np.int64)), value


def judged_with_values(error: float, seed: int) -> GateResult:
    training, _ = rewarded_draws(4_000, 1_000 + seed, error)
    rows, value = rewarded_draws(20_000, seed, error)
    plan = make_plan(training, 20_000, value_range=(0.2, 0.8))
    gate = Gate(plan, ["wait", "send", "call"])
    gate.update(rows.pmf, propensity=rows.propensity, reward=rows.reward, action=rows.action, value=value)
    return gate.result()


def test_weights_that_are_wrong_just_where_rewards_are_high_are_found():
    falsely_passed = 0
    for seed in range(5):
        result = judged_with_values(0.2, seed)
        assert finding(result, "weights too large").verdict == "blocked"
        assert "expected to be high" in finding(result, "weights too large").sentence
        assert result.verdict == "refused"
        falsely_passed += result.walk[0].verdict == "passed"
    assert falsely_passed >= 4  # the negative control: without the guided bets the false gain passes


def test_guided_bets_are_silent_where_propensities_are_right():
    alarms = sum(finding(judged_with_values(0.0, seed), "weights too large").verdict != "ok" for seed in range(60))
    assert alarms <= 2
