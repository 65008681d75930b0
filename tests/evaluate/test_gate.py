"""The gate end to end on small logs with a known truth, and the structure of its walk."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from jumar.evaluate import Capital, Gate, GateError, GateResult, default_bets
from jumar.evaluate.plan import GAMMAS, GatePlan
from jumar.evaluate.planning import rows_needed
from jumar.evaluate.sequence import bound_alpha, primary_candidate, released_candidate, walk

from .synthetic import Rows, make_plan, make_rows


def judged(plan: GatePlan, rows: Rows) -> GateResult:
    return passed_through(plan, rows).result()


def passed_through(plan: GatePlan, rows: Rows) -> Gate:
    gate = Gate(plan, ["wait", "send", "call"])
    gate.update(rows.pmf, propensity=rows.propensity, reward=rows.reward, action=rows.action)
    return gate


def test_a_real_gain_is_certified():
    rows = make_rows(60_000, 1)
    result = judged(make_plan(make_rows(12_000, 2), 60_000), rows)
    assert result.verdict == "certified"
    assert result.released is not None
    point = result.walk[result.released]
    assert point.released
    assert point.verdict == "passed"
    assert_allclose(result.estimate, rows.d[:, result.released].mean(), rtol=1e-12)
    assert 0 < result.lower_bound < result.estimate
    assert_allclose(result.production_value, rows.reward.mean(), rtol=1e-12)
    assert result.rows == 60_000
    assert all(finding.verdict == "ok" for finding in result.findings)
    assert result.rows_needed is None


def test_deviation_by_hand():
    w = np.array([2.0, 0.5, 0.5, 1.0])
    plan = make_plan(make_rows(50, 0, path=(1.0,)), 4)
    gate = Gate(plan)
    gate.update(w[:, None] * 0.4, propensity=[0.4] * 4, reward=[1.0, 0, 0.5, 1], action=np.array([0, 1, 2, 0]))
    deviation = gate.result().walk[0].deviation
    assert_allclose(deviation.kl, (2 * math.log(2) - math.log(2)) / 4)
    assert_allclose(deviation.changed, 0.25)
    assert_allclose(deviation.ess, 16 / 5.5)
    assert deviation.max_weight == pytest.approx(2.0)
    assert_allclose(gate.result().estimate, (1.0 + 0 - 0.25 + 0) / 4)


def test_taken_and_full_probabilities_agree():
    rows, plan = make_rows(5_000, 1), make_plan(make_rows(1_000, 2), 5_000)
    gate = Gate(plan, ["wait", "send", "call"])
    gate.update(rows.taken, propensity=rows.propensity, reward=rows.reward, action=rows.action, n_actions=3)
    assert gate.result().walk == judged(plan, rows).walk


def test_shards_and_order_do_not_matter():
    rows, plan = make_rows(20_000, 3), make_plan(make_rows(4_000, 4), 20_000)
    whole = judged(plan, rows)
    shards = [passed_through(plan, rows.part(slice(at, at + 7_000))) for at in (14_000, 0, 7_000)]
    merged = shards[0].merge(shards[1]).merge(shards[2]).result()
    mixed = judged(plan, rows.part(np.random.default_rng(0).permutation(20_000)))
    for other in (merged, mixed):
        assert other.rows == whole.rows
        assert other.released == whole.released
        assert_allclose(other.capital.sums, whole.capital.sums, rtol=1e-10, atol=1e-9)
        assert_allclose(other.lower_bound, whole.lower_bound, atol=1e-9)
        for one, two in zip(other.findings, whole.findings, strict=True):
            assert (one.name, one.verdict, one.sentence) == (two.name, two.verdict, two.sentence)


def test_rewards_are_reported_in_their_own_units():
    rows, validation = make_rows(30_000, 1), make_rows(6_000, 2)
    plain = judged(make_plan(validation, 30_000), rows)
    scaled = judged(make_plan(validation, 30_000, reward_low=-2.0, reward_high=8.0), rows)
    assert_allclose(scaled.estimate, 10 * plain.estimate)
    assert_allclose(scaled.lower_bound, 10 * plain.lower_bound)
    assert_allclose(scaled.production_value, 10 * plain.production_value - 2)


def test_production_itself_is_refused_quietly():
    rows, validation = make_rows(5_000, 1, path=(0.0, 0.0)), make_rows(1_000, 2, path=(0.0, 0.0))
    result = judged(make_plan(validation, 5_000), rows)
    assert result.verdict == "refused"
    assert_allclose([point.estimate for point in result.walk], 0.0, atol=1e-12)
    assert np.isfinite([point.log_capital for point in result.walk]).all()


@pytest.mark.parametrize(("gain", "rows", "validation_seed", "words"), [
    (-0.08, 20_000, 2, "No policy looked better"),
    (0.05, 1_500, 2, "Too few decisions"),
])  # fmt: skip
def test_refusals_say_why(gain: float, rows: int, validation_seed: int, words: str):
    plan = make_plan(make_rows(20_000, validation_seed, gain=gain), rows)
    result = judged(plan, make_rows(rows, 5, gain=gain))
    assert result.verdict == "refused"
    assert result.released is None
    assert words in result.reasons[0]
    if words == "Too few decisions":
        assert result.rows_needed is not None
        assert result.rows_needed > rows
        assert f"{result.rows_needed:,}" in result.reasons[0]


def test_a_gain_that_vanishes_is_refused_in_other_words():
    result = judged(make_plan(make_rows(20_000, 2), 20_000), make_rows(20_000, 5, gain=-0.05))
    assert "no better than production" in result.reasons[0]


def test_what_would_be_enough_goes_by_what_the_gate_measured():
    plan = make_plan(make_rows(20_000, 2), 1_500)
    result = judged(plan, make_rows(1_500, 5))
    first = plan.gain[plan.order[0]]
    measured = result.walk[plan.order[0]].estimate
    assert result.verdict == "refused"
    assert measured > 0
    exact = rows_needed(measured, first.second_moment, plan.alpha)
    assert result.rows_needed is not None
    assert exact <= result.rows_needed <= 1.1 * exact
    assert "as large as measured" in result.reasons[0]


def test_five_per_cent_are_supposed_where_the_gate_measured_no_gain():
    result = judged(make_plan(make_rows(20_000, 2), 2_000), make_rows(2_000, 5, gain=-0.05))
    assert result.rows_needed is not None
    assert "To certify a gain of 5%" in result.reasons[0]


def test_deterministic_logs_are_refused_with_a_plan_for_exploration():
    rows = make_rows(3_000, 1)
    plan = make_plan(make_rows(1_000, 2), 3_000)
    gate = Gate(plan)
    gate.update(rows.pmf, propensity=np.ones(3_000), reward=rows.reward, action=rows.action)
    result = gate.result()
    assert result.verdict == "refused"
    assert "certain" in result.reasons[0]
    assert "5% exploration" in result.reasons[1]
    assert result.rows_needed is None


def test_an_empty_gate_is_refused():
    result = Gate(make_plan(make_rows(100, 2), 10)).result()
    assert (result.verdict, result.reasons) == ("refused", ["No decision was left to judge on."])
    assert result.lower_bound == -1.0


def test_the_plan_is_hashed_and_round_trips():
    validation = make_rows(1_000, 2)
    plan = make_plan(validation, 5_000)
    assert plan.sha256() == make_plan(validation, 5_000).sha256()
    assert plan.sha256() != make_plan(validation, 5_001).sha256()
    assert plan.order[0] == int(np.argmax([one.z for one in plan.gain]))
    assert math.isclose(sum(plan.bound_alpha), 0.001)
    assert plan.bound_alpha[plan.primary] == pytest.approx(0.0009)


def test_few_effective_rows_come_last_and_are_not_released():
    validation = make_rows(4_000, 2, explored=0.02, path=(0.5, 9.0), gain=0.5)
    plan = make_plan(validation, 900)
    assert plan.candidates[1].expected_ess is not None
    assert plan.candidates[1].expected_ess < 100
    assert plan.order == [0, 1]
    result = judged(plan, make_rows(900, 5, explored=0.02, path=(0.5, 9.0), gain=0.5))
    assert result.released != 1


def test_walk_by_hand():
    log_capital = np.array([8.0, 6.0, 9.0, 20.0])
    assert walk(log_capital >= math.log(1_000), [2, 0, 1, 3]) == [2, 0]
    assert walk(log_capital >= math.log(100), [2, 0, 1, 3]) == [2, 0, 1, 3]
    assert released_candidate([2, 0, 3], 2, [True] * 4) == 2
    assert released_candidate([2, 0, 3], 1, [True] * 4) == 0
    assert released_candidate([2, 0], 2, [True, True, False, True]) == 0
    assert released_candidate([3], 2, [True] * 4) is None


def test_primary_by_hand():
    gain, square = np.array([0.01, 0.02, 0.03]), np.array([0.01, 0.04, 0.16])
    # c = sqrt(2·ln(1000)/n). Scores 0.01 − 0.1·c, 0.02 − 0.2·c, 0.03 − 0.4·c: the third leads up to c = 0.05,
    # the second up to c = 0.1; beyond that the best ratio counts, and the first candidate has it first.
    assert primary_candidate(gain, square, 5_700, 0.001) == 2
    assert primary_candidate(gain, square, 5_300, 0.001) == 1
    assert primary_candidate(gain, square, 1_400, 0.001) == 1
    assert primary_candidate(gain, square, 1_300, 0.001) == 0


def test_bound_alpha_by_hand():
    assert bound_alpha(0.01, 0, 1) == [0.01]
    assert_allclose(bound_alpha(0.01, 1, 3), [0.0005, 0.009, 0.0005])


@settings(deadline=None, max_examples=200)
@given(data=st.data(), k=st.integers(1, 10))
def test_more_confidence_never_deviates_more(data: st.DataObject, k: int):
    """Holds for any gains, spreads, capitals and order whatever, as long as these ignore the confidence."""
    reals = st.floats(-1.0, 1.0)
    gain = np.array(data.draw(st.lists(reals, min_size=k, max_size=k)))
    square = np.array(data.draw(st.lists(st.floats(1e-6, 5.0), min_size=k, max_size=k)))
    log_capital = np.array(data.draw(st.lists(st.floats(-5.0, 20.0), min_size=k, max_size=k)))
    order = data.draw(st.permutations(range(k)))
    sound = data.draw(st.lists(st.booleans(), min_size=k, max_size=k))
    rows = data.draw(st.integers(10, 10**7))
    released = []
    for alpha in (0.2, 0.05, 0.01, 0.001, 1e-4, 1e-6):
        chosen = released_candidate(
            walk(log_capital >= math.log(1.0 / alpha), order), primary_candidate(gain, square, rows, alpha), sound
        )
        released.append(-1 if chosen is None else chosen)
    assert released == sorted(released, reverse=True)


@pytest.mark.parametrize("seed", range(6))
def test_monotone_on_whole_logs(seed: int):
    validation, rows = make_rows(3_000, 100 + seed), make_rows(15_000, 200 + seed)
    changed = []
    for confidence in (0.95, 0.99, 0.999, 0.9999):
        result = judged(make_plan(validation, 15_000, confidence=confidence), rows)
        changed.append(0.0 if result.released is None else result.walk[result.released].deviation.changed)
    assert changed == sorted(changed, reverse=True)


def test_false_releases_of_a_family_stay_below_alpha():
    """Five correlated candidates, none better: at α = 5% at most 5% of attempts release anything."""
    rng, runs, rows, alpha = np.random.default_rng(0), 2_000, 4_000, 0.05
    tilts = np.array([0.2, 0.5, 1.0, 2.0, 4.0])
    # Three kinds of rows per candidate: favourite lost, explored won, nothing. All candidates share the rows.
    values = np.stack([-(1 - np.exp(-tilts)), 5.0 * (1 - np.exp(-tilts)), np.zeros(5)])
    p = np.array([0.10, 0.02, 0.88])
    bets = [default_bets(float(p @ values[:, k] ** 2), rows, 0.001).fractions for k in range(5)]
    growth = [np.log1p(np.outer(values[:, k], bets[k])) for k in range(5)]
    prior = default_bets(1.0, rows, 0.001).log_prior
    counts = rng.multinomial(rows, p, size=runs)
    capital = np.stack([np.log(np.exp(counts @ one + prior).sum(axis=1)) for one in growth], axis=1)
    released = sum(bool(walk(one >= math.log(1.0 / alpha), list(rng.permutation(5)))) for one in capital)
    assert released / runs <= alpha


def test_estimated_propensities_are_conditional():
    rows, validation = make_rows(120_000, 1, gain=0.3), make_rows(10_000, 2, gain=0.3)
    result = judged(make_plan(validation, 120_000, estimated_propensities=True), rows)
    assert result.verdict == "conditional"
    assert result.gamma in GAMMAS
    assert result.gamma > 0
    assert f"{result.gamma:.0%} above the estimates" in result.reasons[0]
    k = result.released
    assert k is not None
    w, r = rows.w[:, k], rows.reward
    bets = make_plan(validation, 120_000).gain[k].bets()
    values = []
    for gamma in GAMMAS:
        capital = Capital(bets)
        capital.update((w / (1 + gamma * (np.abs(w - 1) > 0.05)) - 1) * r)
        values.append(capital.log_value)
    assert values == sorted(values, reverse=True)
    assert result.gamma <= max(g for g, v in zip(GAMMAS, values, strict=True) if v >= math.log(1000))


def test_gamma_by_hand():
    """One candidate: the largest Γ whose capital on d_Γ passes is the one that is reported."""
    rows, validation = make_rows(20_000, 1, gain=0.3, path=(2.0,)), make_rows(2_000, 2, gain=0.3, path=(2.0,))
    plan = make_plan(validation, 20_000, estimated_propensities=True)
    result, w = judged(plan, rows), rows.w[:, 0]
    passing = []
    for gamma in GAMMAS:
        capital = Capital(plan.gain[0].bets())
        capital.update((w / (1 + gamma * (np.abs(w - 1) > 0.05)) - 1) * rows.reward)
        passing.append(capital.log_value >= math.log(1000))
    assert passing == sorted(passing, reverse=True)
    assert result.gamma == GAMMAS[sum(passing) - 1]
    assert result.gamma in GAMMAS[1:-1]


def test_conditional_needs_the_plain_gate_to_pass():
    plan = make_plan(make_rows(5_000, 2, gain=0.0), 5_000, estimated_propensities=True)
    result = judged(plan, make_rows(5_000, 1, gain=0.0))
    assert (result.verdict, result.gamma) == ("refused", None)


BAD = [
    ("propensity", 0.0), ("propensity", -0.1), ("propensity", 1.1), ("propensity", math.nan),
    ("reward", -0.01), ("reward", 1.01), ("reward", math.nan), ("action", 3), ("action", -1),
]  # fmt: skip


@pytest.mark.parametrize(("column", "value"), BAD)
def test_bad_rows_raise_and_add_nothing(column: str, value: float):
    rows, plan = make_rows(100, 1), make_plan(make_rows(100, 2), 100)
    gate = Gate(plan)
    columns = {"propensity": rows.propensity, "reward": rows.reward, "action": rows.action}
    columns[column] = columns[column].copy()
    columns[column][41] = value
    with pytest.raises(GateError, match=f"column '{column}', 1 row"):
        gate.update(rows.pmf, **columns)
    assert gate.rows == 0


def test_bad_policies_raise():
    rows, plan = make_rows(100, 1), make_plan(make_rows(100, 2), 100)
    columns = {"propensity": rows.propensity, "reward": rows.reward, "action": rows.action}
    for pmf, words in (
        (rows.pmf * 1.01, "sum to 1"),
        (np.where(rows.pmf > 0.5, np.nan, rows.pmf), "sum to 1"),
        (rows.taken + 1.0, r"\[0, 1\]"),
        (rows.pmf[:, :2], "expected"),
    ):
        with pytest.raises(GateError, match=words):
            Gate(plan).update(pmf, **columns)
    with pytest.raises(GateError, match="number of actions"):
        Gate(plan).update(rows.pmf, n_actions=4, **columns)
    with pytest.raises(GateError, match="same plan"):
        Gate(plan).merge(Gate(make_plan(make_rows(100, 3), 100)))


def test_bad_plans_raise():
    validation = make_rows(100, 2)
    for changes in ({"confidence": 1.0}, {"rows_planned": 0}, {"validation_d": np.full((100, 4), -2.0)},
                    {"temperatures": [1.0]}, {"validation_w": -validation.w}):  # fmt: skip
        with pytest.raises(GateError):
            make_plan(validation, **({"rows_planned": 100} | changes))  # pyright: ignore[reportArgumentType]
