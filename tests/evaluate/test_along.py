"""The audit of products of weights: silent on fresh draws, loud where a unit's draws hang together a little."""

from __future__ import annotations

import numpy as np
import pytest

from jumar.evaluate.along import AlongAudit
from jumar.evaluate.capital import Bets
from jumar.evaluate.claims import Claim, ClaimRows, UnitRows, per_unit
from jumar.evaluate.gate import Gate, GatePlan, plan_gate
from jumar.evaluate.wagers import Trial
from jumar.logs import timeline_of

from .paths import Floats, paths, random_policy, random_process

STEPS, UNITS, TILT, CAP = 12, 3_000, 0.25, 4.0
STARTS = np.arange(0, UNITS * STEPS, STEPS)
GAMMA = np.full(UNITS * STEPS, 0.95)
EVEN = Bets(np.array([0.5]), np.zeros(1), 1.0)


def drawn(rng: np.random.Generator, kept: float) -> tuple[np.ndarray, Floats]:
    """Actions of propensity 0.5, of which a share repeats the unit's arm; rewards that depend on nothing."""
    arm, fresh = rng.random(UNITS) < 0.5, rng.random((UNITS, STEPS)) < 0.5
    action = np.where(rng.random((UNITS, STEPS)) < kept, arm[:, None], fresh)
    return action.ravel().astype(int), (rng.random(UNITS * STEPS) < 0.4).astype(float)


def weights(action: np.ndarray) -> Floats:
    return np.where(action == 1, 1.0 + TILT, 1.0 - TILT)[:, None]


def plan(rng: np.random.Generator) -> GatePlan:
    action, reward = drawn(rng, 0.0)
    rows = ClaimRows(weights(action), reward, action, units=UnitRows(STARTS, GAMMA, CAP, STEPS))
    claim = Claim(kind="return", metric="reward", high=CAP)
    return plan_gate(
        trials=[Trial(claim, per_unit(claim, rows))],
        validation_w=rows.weight,
        validation_rows=len(reward),
        temperatures=[1.0],
        policy_sha256=["0"],
        rows_planned=UNITS,
        decisions_planned=UNITS * STEPS,
        supported=[True, True],
        alpha=0.01,
        evidence="unit",
        most_per_unit=STEPS,
        timeline=timeline_of(0.95),
        return_cap=CAP,
        propensity_floor=0.5,
    )


def judged(planned: GatePlan, rng: np.random.Generator, kept: float) -> Gate:
    action, reward = drawn(rng, kept)
    policy = np.tile([0.5 - TILT / 2, 0.5 + TILT / 2], (len(action), 1, 1))
    gate = Gate(planned)
    half = UNITS * STEPS // 2
    for part in (slice(0, half), slice(half, None)):
        other = Gate(planned)
        other.update(
            policy[part],
            propensity=np.full(half, 0.5),
            reward=reward[part],
            action=action[part],
            unit=np.repeat(np.arange(UNITS), STEPS)[part],
            discount=GAMMA[part],
        )
        gate = gate.merge(other)
    return gate


def test_draws_that_hang_together_a_little_are_refused():
    """Of any two draws of a unit 6% agree too often: each weight averages to 1, the products of twelve do not."""
    rng = np.random.default_rng(0)
    planned = plan(rng)
    passed, certified, named = 0, 0, 0
    for _ in range(20):
        gate = judged(planned, rng, 0.25)
        result = gate.result()
        passed += bool(gate.passing()[0])
        certified += result.verdict == "certified"
        named += any(one.name == "weights along timelines" and one.verdict == "blocked" for one in result.findings)
    assert passed >= 18  # the actions change nothing, and without the audit almost all of these would be released
    assert (certified, named) == (0, 20)


def test_fresh_draws_alarm_rarely():
    rng, alarms = np.random.default_rng(1), 0
    for _ in range(200):
        audit = AlongAudit([EVEN, Bets(np.array([0.05]), np.zeros(1), 1.0)])
        action, _ = drawn(rng, 0.0)
        w = np.repeat(weights(action), 2, axis=1)
        audit.update(w, UnitRows(STARTS, GAMMA, CAP, STEPS), rng.random(len(action)))
        alarms += max(audit.log_capital(0), audit.log_capital(1)) >= np.log(20.0)
    assert alarms <= 20


def test_the_bets_by_hand():
    """Weights 2, 0.5 and 1.5, 2 with discounts of 0.5; the predicted values fall from 0.4 to 0.2, and rise."""
    audit = AlongAudit([EVEN])
    weight = np.array([2.0, 0.5, 1.5, 2.0])[:, None]
    rows = UnitRows(np.array([0, 2]), np.array([0.5, 0.0, 0.5, 0.0]), 1.0, 2)
    audit.update(weight, rows, np.array([0.4, 0.2, 0.4, 0.6]))
    # The discounts first: 1·(2 − 1) + 0.5·(1 − 2) and 1·(1.5 − 1) + 0.5·(3 − 1.5).
    plain = np.log1p(0.5 * np.array([0.5, 1.25])).sum()
    # Then 0.4 and 0.5·0.2, 0.4 and 0.5·0.4; 0.6 and 0.5·0.6, 0.6 and 0.5·0.4.
    high = np.log1p(0.5 * np.array([0.4 - 0.1, 0.2 + 0.3])).sum()
    low = np.log1p(0.5 * np.array([0.6 - 0.3, 0.3 + 0.3])).sum()
    assert audit.log_capital(0) == pytest.approx(np.log(np.mean(np.exp([plain, high, low]))))
    assert audit.ess(0) == pytest.approx((1.5 + 2.25) ** 2 / (1.5**2 + 2.25**2))


@pytest.mark.parametrize("seed", range(5))
def test_means_are_zero_over_every_path_though_policies_change_how_long_units_last(seed: int):
    rng = np.random.default_rng(seed)
    process = random_process(rng)
    production, policy = 0.9 * random_policy(rng) + 0.05, random_policy(rng)
    path = paths(process)
    chance, rows = path.chance(production), UnitRows(path.starts, path.discount, 1.0, 3)
    lengths = np.diff([*path.starts, path.state.size])
    assert len(set(lengths)) > 1
    value = rng.random(production.shape[0])[path.state]
    total = np.zeros(3)
    for unit, begin in enumerate(path.starts):  # one path at a time, so that each can be given its probability
        part = slice(begin, begin + lengths[unit])
        audit = AlongAudit([EVEN])
        one = UnitRows(np.zeros(1, np.int64), rows.discount[part], 1.0, 3)
        audit.update(path.weight(policy, production)[part, None], one, value[part])
        total += chance[unit] * np.array([(np.exp(side.sums[0, 0]) - 1.0) / 0.5 for side in audit.capitals])
    np.testing.assert_allclose(total, 0.0, atol=1e-12)
