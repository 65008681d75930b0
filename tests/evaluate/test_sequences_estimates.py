"""Estimators of sequences: by hand, exact means over every path, errors by jackknife, and their own coverage."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from jumar.evaluate import Estimate, GateError, dr, ips, snips
from jumar.evaluate.sequences import (
    logged_return,
    per_decision,
    sequence_table,
    sequential_dr,
    weighted_dr,
    weighted_per_decision,
)

from .paths import Floats, Log, paths, random_policy, random_process

STARTS = np.array([0, 3])
WEIGHT = np.array([2.0, 0.5, 3.0, 1.0, 0.5])
REWARD = np.array([1.0, 0.5, 1.0, 0.25, 1.0])
DISCOUNT = np.array([0.5, 0.5, 0.0, 0.5, 0.0])
ACTION = np.array([0, 1, 0, 1, 1])
Q = np.array([[1.0, 0.0], [0.5, 0.5], [0.5, 1.0], [0.0, 0.5], [0.5, 0.75]])
PMF = np.array([[0.5, 0.5], [0.5, 0.5], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
MODEL: dict[str, Any] = {"action": ACTION, "q": Q, "pmf": PMF}
COLUMNS = WEIGHT, REWARD, DISCOUNT, STARTS


def test_values_by_hand():
    # γ: 1, ½, ¼ | 1, ½. ρ: 2, 1, 3 | 1, ½. γ·r: 1, ¼, ¼ | ¼, ½.
    assert logged_return(*COLUMNS[1:]).value == pytest.approx((1.5 + 0.75) / 2)
    assert per_decision(*COLUMNS).value == pytest.approx((2 + 0.25 + 0.75 + 0.25 + 0.25) / 2)
    # Sums of ρ: 3, 1.5, and 3.5 at the third step, at which the second episode stays with its last ½.
    assert weighted_per_decision(*COLUMNS).value == pytest.approx(2.25 / 3 + 0.5 / 1.5 + 0.75 / 3.5)
    # r − q̂(a): 0, 0, ½ | −¼, ¼, discounted ⅛ at the third row, ⅛ at the last; v̂: ½, ½, ½ | ½, 0.625.
    # ρ-weighted residuals: 0, 0, ⅜ | −¼, 1/16. Before: ρ = 1, 2, 1 | 1, 1 times ½, ¼, ⅛ | ½, 0.3125.
    assert sequential_dr(*COLUMNS, **MODEL).value == pytest.approx((0.375 + 1.125 - 0.1875 + 0.8125) / 2)
    steps = 1.0 / 2 + (-0.25 + 2 * 0.25 + 0.3125) / 3 + (0.0625 + 0.125) / 1.5 + 0.375 / 3.5
    assert weighted_dr(*COLUMNS, **MODEL).value == pytest.approx(steps)


def test_doubly_robust_by_its_recursion():
    """V_t = v̂ + w·(r + γ·V_{t+1} − q̂), from the last row back."""
    values = []
    for begin, end in ((0, 3), (3, 5)):
        following = 0.0
        for t in reversed(range(begin, end)):
            step = REWARD[t] + DISCOUNT[t] * following - Q[t, ACTION[t]]
            following = float(PMF[t] @ Q[t]) + WEIGHT[t] * step
        values.append(following)
    assert sequential_dr(*COLUMNS, **MODEL).value == pytest.approx(np.mean(values))


def test_errors_by_hand():
    one = per_decision(*COLUMNS, confidence=0.9)
    assert one.standard_error == pytest.approx(abs(3.0 - 0.5) / 2)  # two values: half of what they differ by
    assert one.high == pytest.approx(one.value + 1.6449 * 1.25, abs=1e-3)
    assert (one.method, one.rows, one.clusters) == ("asymptotic", 5, 2)
    assert math.isnan(per_decision(WEIGHT, REWARD, DISCOUNT, [0]).standard_error or 0.0)


def sample(units: int, seed: int) -> tuple[Log, Floats, Floats]:
    rng = np.random.default_rng(seed)
    process = random_process(np.random.default_rng(5))
    production, policy = np.array([[0.6, 0.4], [0.5, 0.5]]), np.array([[0.3, 0.7], [0.8, 0.2]])
    return process.log(units, production, rng), policy, production


def test_weights_of_one_give_the_plain_average():
    log, _, production = sample(300, 0)
    columns = np.ones(log.reward.size), log.reward, log.discount, log.starts
    plain = logged_return(*columns[1:])
    # A q̂ that does not depend on the action says the same of the action taken and of the average.
    model = {"action": log.action, "q": np.repeat(log.state[:, None] * 0.3 + 0.2, 2, axis=1)}
    for one in sequence_table(*columns, **model, pmf=production[log.state]):
        assert_allclose([one.value, one.low], [plain.value, plain.low], rtol=1e-12)


def test_one_row_is_the_bandit():
    rng = np.random.default_rng(1)
    w, r, starts, discount = rng.exponential(1.0, 90), rng.random(90), np.arange(90), np.zeros(90)
    action, q, pmf = rng.integers(0, 2, 90), rng.random((90, 2)), rng.dirichlet([1.0, 1.0], 90)
    unit = np.arange(90) // 2
    given = w, r, q[np.arange(90), action], (pmf * q).sum(axis=1)
    bandit = ips(w, r, unit=unit), snips(w, r, unit=unit), dr(*given, unit=unit)
    sequences = sequence_table(w, r, discount, starts, action=action, q=q, pmf=pmf, unit=unit)[1:4]
    for one, other in zip(sequences, bandit, strict=True):
        assert_allclose([one.value, one.low, one.clusters], [other.value, other.low, other.clusters], rtol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_unbiased_over_every_path(seed: int):
    rng = np.random.default_rng(seed)
    path = paths(random_process(rng))
    production, policy = 0.9 * random_policy(rng) + 0.05, random_policy(rng)
    q = rng.random((2, 2))[path.state]  # as wrong as it may be
    truth = path.chance(policy) @ path.returns()
    for estimator, model in (
        (per_decision, {}),
        (sequential_dr, {"action": path.action, "q": q, "pmf": policy[path.state]}),
    ):
        each = []
        ends = np.append(path.starts[1:], path.state.size)
        for begin, end in zip(path.starts, ends, strict=True):
            rows = slice(begin, end)
            some = {name: column[rows] for name, column in model.items()}
            one: Estimate = estimator(
                path.weight(policy, production)[rows], path.reward[rows], path.discount[rows], [0], **some
            )
            each.append(one.value)
        assert path.chance(production) @ each == pytest.approx(truth, abs=1e-12)


@pytest.mark.parametrize("clustered", [False, True])
def test_errors_by_jackknife(clustered: bool):
    """Leaving out one unit after another moves each estimate as the delta method says it should."""
    log, policy, production = sample(240, 2)
    unit = np.arange(240) // 3 if clustered else np.arange(240)
    q = np.random.default_rng(0).random((2, 2))
    ends = np.append(log.starts[1:], log.state.size)

    def table(kept: Any) -> list[Estimate]:
        rows = np.flatnonzero(np.repeat(np.isin(np.arange(240), kept), ends - log.starts))
        starts = np.append(0, (ends - log.starts)[kept].cumsum()[:-1])
        return sequence_table(
            log.weight(policy, production)[rows],
            log.reward[rows],
            log.discount[rows],
            starts,
            action=log.action[rows],
            q=q[log.state[rows]],
            pmf=policy[log.state[rows]],
            unit=unit[kept],
        )

    whole = table(np.arange(240))
    assert [one.name for one in whole] == [
        "logged",
        "per_decision",
        "weighted_per_decision",
        "sequential_dr",
        "weighted_dr",
    ]
    left = np.array([[one.value for one in table(np.flatnonzero(unit != u))] for u in np.unique(unit)])
    size = left.shape[0]
    jackknife = np.sqrt((size - 1) / size * np.square(left - left.mean(axis=0)).sum(axis=0))
    assert_allclose([one.standard_error or 0.0 for one in whole], jackknife, rtol=0.03)


def test_coverage_and_what_breaks_it():
    """300 logs of 300 episodes: 95% intervals hold the truth, and those of steps taken by themselves do not."""
    process = random_process(np.random.default_rng(5))
    _, policy, production = sample(1, 0)
    path = paths(process)
    truth = float(path.chance(policy) @ path.returns())
    q = process.values(policy)[:, :] * 0.8
    names, hits, squares = [], [], []
    for stream in np.random.SeedSequence(7).spawn(300):
        log = process.log(300, production, np.random.default_rng(stream))
        weight, discount = log.weight(policy, production), log.discount
        given: dict[str, Any] = {"action": log.action, "q": q[log.state], "pmf": policy[log.state]}
        table = sequence_table(weight, log.reward, discount, log.starts, **given)[1:]
        alone = np.arange(weight.size)  # every row an episode, and as many rows as there are: not the same average
        rows = per_decision(weight, log.reward, discount, alone)
        scale = weight.size / log.starts.size
        assert rows.high is not None
        names = [one.name for one in table]
        hits.append(
            [one.low <= truth <= (one.high or 0.0) for one in table] + [rows.low * scale <= truth <= rows.high * scale]
        )
        squares.append([(one.value - truth) ** 2 for one in table])
    *covered, by_step = np.mean(hits, axis=0)
    assert len(names) == 4
    assert min(covered) >= 0.91
    assert max(covered) <= 0.985
    assert by_step <= 0.3
    error = dict(zip(names, np.sqrt(np.mean(squares, axis=0)), strict=True))
    assert error["sequential_dr"] < 0.9 * error["per_decision"]
    assert error["weighted_dr"] < 0.9 * error["per_decision"]


def test_units_that_come_again_widen_the_interval():
    log, policy, production = sample(200, 3)
    lengths = np.diff([*log.starts, log.state.size])
    copies = np.concatenate([np.arange(log.state.size)] * 4)
    starts = np.append(0, np.tile(lengths, 4).cumsum()[:-1])
    weight = log.weight(policy, production)
    alone = weighted_per_decision(weight, log.reward, log.discount, log.starts)
    four = weight[copies], log.reward[copies], log.discount[copies], starts
    together = weighted_per_decision(*four, unit=np.tile(np.arange(200), 4))
    assert together.value == pytest.approx(alone.value)
    assert together.standard_error == pytest.approx(alone.standard_error)
    assert weighted_per_decision(*four).standard_error == pytest.approx((alone.standard_error or 0.0) / 2, rel=0.01)


def test_no_weight_left_is_not_a_number():
    w = np.array([1.0, 0.0, 1.0, 0.0])
    one = weighted_per_decision(w, np.ones(4), np.ones(4), [0, 2])
    assert math.isnan(one.value)
    assert math.isnan(one.low)
    assert per_decision(w, np.ones(4), np.ones(4), [0, 2]).value == 1.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weight": -WEIGHT}, "not negative"),
        ({"weight": np.full((5, 2), 1.0)}, "one policy"),
        ({"weight": np.full(5, 1e200)}, "larger than any number"),
        ({"reward": REWARD * 2}, "declared bounds"),
        ({"discount": DISCOUNT + 1}, r"\[0, 1\]"),
        ({"starts": [0, 9]}, "begin at row 0"),
        ({"action": ACTION + 1}, "actions must lie"),
        ({"q": Q[:, :1]}, "predicted action values"),
        ({"q": Q * math.nan}, "predicted action values"),
        ({"q": None}, "come together"),
        ({"pmf": PMF * 2}, "sum to 1"),
        ({"unit": [0.5, 1.0]}, "units must be"),
        ({"confidence": 1.0}, "confidence"),
    ],
)
def test_what_cannot_be_estimated_is_refused(change: dict[str, Any], words: str):
    good = {"weight": WEIGHT, "reward": REWARD, "discount": DISCOUNT, "starts": STARTS, **MODEL}
    assert len(sequence_table(**good)) == 5
    with pytest.raises(GateError, match=words):
        sequence_table(**good | change)


def test_without_episodes_nothing_is_estimated():
    with pytest.raises(GateError, match="without episodes"):
        logged_return([], [], np.zeros(0, dtype=np.int64))
