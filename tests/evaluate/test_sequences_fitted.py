"""Fitted Q evaluation against values from linear equations, against itself by another route, and where it must fail."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.testing import assert_allclose

from jumar.evaluate import GateError
from jumar.evaluate.sequences import FittedValue, fitted_q, linear_fitted_q, ridge_regression
from jumar.evaluate.sequences.fitted import Predict

from .paths import Floats, Log, Process


def chain(decisions: int = 40) -> Process:
    """Five states in a row; to the right there is something to be had, and one step in ten goes the other way."""
    move = np.zeros((5, 2, 6))
    for state in range(5):
        left, right = max(state - 1, 0), min(state + 1, 4)
        for action, (meant, slipped) in enumerate(((left, right), (right, left))):
            move[state, action, meant] += 0.9
            move[state, action, slipped] += 0.1
    pays = np.zeros((5, 2))
    pays[0, 0], pays[4, 1] = 0.2, 1.0
    return Process(np.full(5, 0.2), move, pays, decisions, gamma=0.9)


def two_states(decisions: int = 30, *, ends: float = 0.1) -> Process:
    """One state pays at once, the other brings back to it; every step may be the last."""
    move = np.array([[[0.2, 0.8, 0.0], [0.9, 0.1, 0.0]], [[0.7, 0.3, 0.0], [0.1, 0.9, 0.0]]]) * (1.0 - ends)
    move[:, :, 2] = ends
    return Process(np.array([0.5, 0.5]), move, np.array([[0.9, 0.3], [0.1, 0.4]]), decisions, gamma=0.95)


POLICIES = {"chain": np.tile([0.2, 0.8], (5, 1)), "two states": np.array([[0.1, 0.9], [0.8, 0.2]])}
PROCESSES = {"chain": chain(), "two states": two_states()}


def columns(log: Log, policy: Floats) -> tuple[Any, ...]:
    return np.eye(policy.shape[0])[log.state], log.action, log.reward, log.discount, policy[log.state], log.starts


@pytest.mark.parametrize(("name", "units"), [("chain", 6_000), ("two states", 30_000)])
def test_within_one_per_cent_of_the_truth(name: str, units: int):
    process, policy = PROCESSES[name], POLICIES[name]
    log = process.log(units, np.full(policy.shape, 0.5), np.random.default_rng(1))
    truth = float(process.start @ (policy * process.values(policy)).sum(axis=1))
    one = linear_fitted_q(*columns(log, policy), resamples=20)
    assert one.value == pytest.approx(truth, rel=0.01)
    assert one.low <= truth <= one.high
    assert one.change <= 1e-8
    # Rewards are coins: what is left over is theirs and the next state's, not the fit's.
    assert 0.1 < one.residual < 0.8


@pytest.mark.parametrize("name", list(PROCESSES))
def test_whatever_regresses(name: str):
    """Averages in a table and the generic loop, on transitions in any order, come to the same."""
    process, policy = PROCESSES[name], POLICIES[name]
    log = process.log(600, np.full(policy.shape, 0.5), np.random.default_rng(2))
    last = np.append(log.starts[1:], log.state.size) - 1
    known = np.ones(log.state.size, dtype=bool)
    known[last] = log.discount[last] == 0.0
    rows = np.random.default_rng(3).permutation(np.flatnonzero(known))
    cell = log.state[rows] * 2 + log.action[rows]
    following = log.state[np.minimum(rows + 1, log.state.size - 1)]

    def regress(targets: Floats) -> Predict:
        size = policy.size
        table = np.bincount(cell, targets, size) / np.bincount(cell, minlength=size)
        return lambda states: table.reshape(policy.shape)[states]

    found = fitted_q(regress, following, policy[following], log.reward[rows], log.discount[rows], tolerance=1e-9)
    assert (found.kind, found.change <= 1e-9) == ("estimate", True)
    states = np.arange(policy.shape[0])
    assert_allclose(found.predict(states), process.values(policy), rtol=0.05, atol=0.05)
    linear = fitted_q(
        ridge_regression(np.eye(policy.shape[0])[log.state[rows]], log.action[rows], actions=2, ridge=0.0),
        np.eye(policy.shape[0])[following],
        policy[following],
        log.reward[rows],
        log.discount[rows],
        tolerance=1e-9,
    )
    assert_allclose(linear.predict(np.eye(policy.shape[0])), found.predict(states), rtol=1e-9)
    assert linear.rounds == found.rounds


def test_the_short_way_is_the_loop():
    """Cross-fitted values of episodes, by the generic loop on the rows of the other fold."""
    process, policy = two_states(6), POLICIES["two states"]
    log = process.log(200, np.full((2, 2), 0.5), np.random.default_rng(4))
    x = np.stack([np.ones(log.state.size), log.state + 0.3 * np.random.default_rng(5).random(log.state.size)], axis=1)
    pmf = policy[log.state]
    one = linear_fitted_q(
        x, log.action, log.reward, log.discount, pmf, log.starts, ridge=0.0, tolerance=1e-12, resamples=2, seed=9
    )
    fold = np.random.default_rng(9).permutation(200) % 2
    lengths = np.diff([*log.starts, log.state.size])
    last = log.starts + lengths - 1
    known = np.ones(log.state.size, dtype=bool)
    known[last] = log.discount[last] == 0.0
    values = np.zeros(200)
    for k in range(2):
        rows = np.flatnonzero(known & (np.repeat(fold, lengths) != k))
        following = np.minimum(rows + 1, log.state.size - 1)
        found = fitted_q(
            ridge_regression(x[rows], log.action[rows], actions=2, ridge=0.0),
            x[following],
            pmf[following],
            log.reward[rows],
            log.discount[rows],
            tolerance=1e-12,
        )
        mine = log.starts[fold == k]
        values[fold == k] = (pmf[mine] * found.predict(x[mine])).sum(axis=1)
    assert one.value == pytest.approx(values.mean(), rel=1e-8)
    assert one.rows == known.sum()


def test_cut_off_is_not_ended():
    """Whoever takes the end of the log for the end of the episode is told that there is nothing more to come."""
    process, policy = chain(6), POLICIES["chain"]
    log = process.log(6_000, np.full((5, 2), 0.5), np.random.default_rng(6))
    truth = float(process.start @ (policy * process.values(policy)).sum(axis=1))
    given = list(columns(log, policy))
    assert linear_fitted_q(*given, resamples=2).value == pytest.approx(truth, rel=0.02)
    ended = log.discount.copy()
    ended[np.append(log.starts[1:], log.state.size) - 1] = 0.0
    given[3] = ended
    assert linear_fitted_q(*given, resamples=2).value < 0.9 * truth
    given[3] = np.where(ended == 0.0, math.nan, ended)  # "not known" is not "ended"
    assert linear_fitted_q(*given, resamples=2).value == pytest.approx(truth, rel=0.02)


def test_the_bootstrap_knows_how_far_values_scatter():
    process, policy = two_states(8), POLICIES["two states"]
    production = np.full((2, 2), 0.5)
    values, errors = [], []
    for seed in range(50):
        log = process.log(100, production, np.random.default_rng(seed))
        one = linear_fitted_q(*columns(log, policy), resamples=25, seed=seed)
        values.append(one.value)
        errors.append(one.standard_error)
    assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=0.3)


def test_episodes_of_one_unit_stay_together():
    process, policy = two_states(8), POLICIES["two states"]
    log = process.log(150, np.full((2, 2), 0.5), np.random.default_rng(0))
    lengths = np.diff([*log.starts, log.state.size])
    rows = np.concatenate([np.arange(log.state.size)] * 4)
    starts = np.append(0, np.tile(lengths, 4).cumsum()[:-1])
    copies = Log(log.state[rows], log.action[rows], log.reward[rows], log.discount[rows], starts)
    alone = linear_fitted_q(*columns(log, policy), ridge=0.0, seed=1)
    together = linear_fitted_q(*columns(copies, policy), ridge=0.0, seed=1, unit=np.tile(np.arange(150), 4))
    assert together.value == pytest.approx(alone.value)
    assert together.standard_error == pytest.approx(alone.standard_error)
    assert together.clusters == alone.clusters == 150


def test_it_says_of_itself_that_it_is_an_estimate():
    log = two_states().log(50, np.full((2, 2), 0.5), np.random.default_rng(0))
    one = linear_fitted_q(*columns(log, POLICIES["two states"]), resamples=5)
    told = msgspec.json.decode(msgspec.json.encode(one))
    assert told["kind"] == "estimate"
    assert told["method"] == "bootstrap"
    assert not any(
        "lower_bound" in name or "verdict" in name or "capital" in name for name in FittedValue.__struct_fields__
    )
    with pytest.raises(TypeError):
        FittedValue(**{**told, "lower_bound": 0.1})


def test_values_that_grow_without_end_are_refused():
    """Two states whose values are θ and 2θ; all roads lead to the second, but the log is half in the first."""
    x = np.array([[1.0], [2.0]] * 40)
    action, reward, pmf = np.zeros(80, dtype=np.int64), np.full(80, 0.1), np.ones((80, 1))
    following = np.array([[2.0], [2.0]] * 40)
    with pytest.raises(GateError, match="grow without end"):
        fitted_q(
            ridge_regression(x, action, actions=1, ridge=0.0), following, pmf, reward, np.full(80, 0.99), rounds=10_000
        )
    # With rows in time order the second state must be followed by itself.
    x = np.array([[1.0], [2.0], [2.0]] * 40)
    columns_ = (
        np.zeros(120, dtype=np.int64),
        np.full(120, 0.1),
        np.full(120, 1.0),
        np.ones((120, 1)),
        np.arange(0, 120, 3),
    )
    with pytest.raises(GateError, match="grow without end"):
        linear_fitted_q(x, *columns_, ridge=0.0, resamples=2)


def test_rounds_that_do_not_suffice_are_told():
    log = chain().log(100, np.full((5, 2), 0.5), np.random.default_rng(0))
    one = linear_fitted_q(*columns(log, POLICIES["chain"]), rounds=3, resamples=2)
    assert one.rounds == 3
    assert one.change > 1e-3


X, A, R, G = np.eye(2)[[0, 1, 0, 1]], np.array([0, 1, 1, 0]), np.array([1.0, 0.0, 0.5, 1.0]), np.array([0.9, 0, 0.9, 0])
P = np.full((4, 2), 0.5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features": X[:3]}, "features"),
        ({"features": X + math.inf}, "features"),
        ({"action": A + 1}, "actions must lie"),
        ({"reward": R + 1}, "declared bounds"),
        ({"discount": G + 1}, r"\[0, 1\]"),
        ({"pmf": P + 1}, "sum to 1"),
        ({"starts": [0, 5]}, "begin at row 0"),
        ({"folds": 1}, "two folds"),
        ({"folds": 3}, "two folds"),
        ({"resamples": 1}, "two folds"),
        ({"ridge": -1.0}, "imaginary rows"),
        ({"unit": [0, 0]}, "two folds"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any], words: str):
    good = {"features": X, "action": A, "reward": R, "discount": G, "pmf": P, "starts": [0, 2], "resamples": 2}
    assert linear_fitted_q(**good).clusters == 2
    with pytest.raises(GateError, match=words):
        linear_fitted_q(**good | change)


def test_what_the_loop_refuses():
    one = ridge_regression(X, A, actions=2)
    for discount, regress, rounds, words in (
        (G + 1, one, 5, r"\[0, 1\]"),
        (G, one, 0, "at least once"),
        (G, lambda targets: lambda x: np.zeros(4), 5, r"\[rows, actions\]"),
        (G, lambda targets: lambda x: np.full((4, 2), math.nan), 5, "grow without end"),
    ):
        with pytest.raises(GateError, match=words):
            fitted_q(regress, X, P, R, discount, rounds=rounds)  # pyright: ignore[reportArgumentType]
