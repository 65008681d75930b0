"""The watch by a policy's own exploration: its variables by hand and on average, its days, what it finds."""

from __future__ import annotations

import datetime
import math

import msgspec
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from jumar.errors import OptionError
from jumar.evaluate.capital import Capital, default_bets
from jumar.release.documents import ReleaseError
from jumar.release.watch import Watch, WatchMetric, WatchPlan, begin_watch, update_watch

FIRST = datetime.date(2026, 3, 1)
PLAN = WatchPlan(
    current="new",
    previous="old",
    metrics=[WatchMetric(name="reward"), WatchMetric(name="minutes", high=10.0, better="lower", tolerance=0.25)],
    days=5,
    alpha=0.1,
)
OLD, NEW = np.array([0.8, 0.2]), np.array([0.2, 0.8])


def day(number: int) -> datetime.date:
    return FIRST + datetime.timedelta(days=number)


def decisions(rng: np.random.Generator, reward: np.ndarray, minutes: np.ndarray, rows: int = 2_000):
    """Weights and values of a day of the new policy; the averages of both metrics belong to the action."""
    action = (rng.random(rows) < NEW[1]).astype(int)
    values = np.stack([rng.random(rows) < reward[action], 10 * (rng.random(rows) < minutes[action])], axis=1)
    return (OLD / NEW)[action], values.astype(float)


def watched(rng: np.random.Generator, reward: list[float], minutes: list[float], plan: WatchPlan = PLAN) -> Watch:
    watch = begin_watch(plan)
    for number in range(plan.days + 1):
        if watch.outcome == "open":
            watch = update_watch(watch, day(number), *decisions(rng, np.array(reward), np.array(minutes)))
    return watch


def test_days_are_the_capital_of_the_gate_with_roles_reversed():
    rng = np.random.default_rng(0)
    first, second = (decisions(rng, np.array([0.5, 0.5]), np.array([0.3, 0.3])) for _ in range(2))
    watch = update_watch(update_watch(begin_watch(PLAN), day(0), *first), day(1), *second)

    def by_hand(weight: np.ndarray, values: np.ndarray) -> list[np.ndarray]:
        minutes = values[:, 1] / 10
        return [(weight - 1) * values[:, 0], (weight - 1) * (1 - minutes) - 0.2 * minutes]  # 0.25/1.25 = 0.2

    for k, bound in enumerate((1.0, 1.0)):
        laid = by_hand(*first)[k]
        bets = default_bets(float(np.mean(laid**2)), 5 * 2_000, 0.05, bound=bound)
        assert_allclose(watch.days[1].log_harm[k], Capital(bets).update(by_hand(*second)[k]).log_value, rtol=1e-12)
    assert [(one.day, one.rows, one.decision) for one in watch.days] == [(0, 0, "wait"), (1, 2_000, "wait")]
    assert watch.days[0].reasons == ["This day only lays the bets."]
    assert_allclose(watch.days[1].needs, math.log(20))


@pytest.mark.parametrize("tolerance", [0.0, 0.25])
@pytest.mark.parametrize("better", ["higher", "lower"])
def test_at_the_edge_of_the_tolerance_the_average_is_zero(tolerance: float, better: str):
    """Two actions, exactly: E over the new policy's draws."""
    one = WatchMetric(name="x", better=better, tolerance=tolerance)  # pyright: ignore[reportArgumentType]
    previous = 0.4
    new = previous * (1 - tolerance if better == "higher" else 1 + tolerance)
    # Both averages in two actions: OLD·m = previous, NEW·m = new.
    means = np.linalg.solve(np.stack([OLD, NEW]), np.array([previous, new]))
    w, claim = OLD / NEW, one.claim
    good = means if better == "higher" else 1 - means
    assert_allclose(NEW @ ((w - 1) * good + claim.margin * means), 0.0, atol=1e-12)


def test_harm_is_found_and_an_equal_policy_goes_through():
    rng = np.random.default_rng(1)
    worse = watched(rng, [0.6, 0.4], [0.3, 0.3])
    assert worse.outcome == "rollback"
    assert worse.days[-1].reasons[0].startswith("'reward' is worse than under old: by at least ")
    # The truth: OLD·m − NEW·m = 0.56 − 0.44.
    assert 0 < worse.days[-1].at_least[0] < 0.12
    slow = watched(rng, [0.5, 0.5], [0.2, 0.6])
    assert slow.outcome == "rollback"
    assert "'minutes' is worse" in slow.days[-1].reasons[0]
    fine = watched(rng, [0.5, 0.5], [0.28, 0.32])  # 8% more minutes, a quarter is tolerated
    assert (fine.outcome, fine.days[-1].reasons) == ("done", ["No harm was found in 5 days."])
    assert len(fine.days) == 6


def test_wrong_alarms_are_rare_at_every_look_and_a_daily_t_test_is_not():
    rng, alpha = np.random.default_rng(2), 0.1
    plan = WatchPlan(current="a", previous="b", metrics=[WatchMetric(name="r")], days=12, alpha=alpha)
    wrong = control = 0
    for _ in range(80):
        watch, seen = begin_watch(plan), []
        peeked = False
        for number in range(13):
            drift = 0.3 + 0.2 * math.sin(number)
            action = (rng.random(150) < NEW[1]).astype(int)
            weight, reward = (OLD / NEW)[action], (rng.random(150) < drift).astype(float)
            if watch.outcome == "open":
                watch = update_watch(watch, day(number), weight, reward[:, None])
            seen.append((weight - 1) * reward)
            d = np.concatenate(seen)
            peeked |= bool(d.mean() > 1.2816 * d.std() / math.sqrt(d.size))
        wrong += watch.outcome == "rollback"
        control += peeked
    assert stats.beta.ppf(0.01, max(wrong, 1), 80 - wrong + 1) <= alpha
    assert stats.beta.ppf(0.01, control, 80 - control + 1) > alpha


@pytest.mark.parametrize(("floor", "breaks"), [(0.3, False), (0.0, True)])
def test_the_previous_policy_explores_as_the_current_one_does(floor: float, breaks: bool):
    """Two policies of equal value under a floor of 0.3; without it for one of them, that one looks better."""
    rng, alpha, runs = np.random.default_rng(5), 0.05, 100
    plan = WatchPlan(current="a", previous="b", metrics=[WatchMetric(name="r")], days=10, alpha=alpha)
    alarms = 0
    for _ in range(runs):
        watch = begin_watch(plan)
        for number in range(10):
            if watch.outcome != "open":
                break
            context = rng.integers(0, 2, 1_000)
            served = np.where(context == 0, 0.7, 0.6)  # 0.9 and 0.6 of the policy's own
            previous = np.clip(np.where(context == 0, 0.6, 0.9), floor, 1.0 - floor)
            other = rng.random(1_000) >= served
            weight = np.where(other, (1.0 - previous) / (1.0 - served), previous / served)
            reward = (rng.random(1_000) < np.where(other, 0.2, 0.3)).astype(float)
            watch = update_watch(watch, day(number), weight, reward[:, None])
        alarms += watch.outcome == "rollback"
    low, high = (stats.beta.ppf(0.01, max(alarms, 1), runs - alarms + 1), alarms / runs)
    assert low > alpha if breaks else (low <= alpha and high < 0.1)


def test_the_same_day_twice_an_empty_day_and_json_change_nothing():
    rng = np.random.default_rng(3)
    days = [decisions(rng, np.array([0.5, 0.5]), np.array([0.3, 0.3])) for _ in range(3)]
    straight = again = begin_watch(PLAN)
    nothing = np.zeros(0), np.zeros((0, 2))
    straight = update_watch(straight, day(0), *nothing)
    assert straight.days[0].reasons == ["This day only lays the bets."]
    for number, one in enumerate(days):
        straight = update_watch(straight, day(number + 1), *one)
        again = msgspec.json.decode(msgspec.json.encode(again), type=Watch)
        again = update_watch(again, day(number), *one)
        assert update_watch(again, day(number), *nothing) is again
    assert straight.capital == again.capital
    assert straight.days[-1].day == again.days[-1].day == 2
    assert update_watch(again, day(9), *nothing).capital == again.capital


def test_what_cannot_be_is_refused():
    watch = update_watch(begin_watch(PLAN), day(1), np.ones(2), np.ones((2, 2)))
    for weight, values, match in (
        (np.ones(2), np.ones((2, 1)), "one value for each"),
        (np.array([1.0, np.nan]), np.ones((2, 2)), "outside its declared bounds"),
        (np.array([1.0, -1.0]), np.ones((2, 2)), "outside its declared bounds"),
        (np.ones(2), np.array([[1.0, 1.0], [2.0, 1.0]]), "outside its declared bounds"),
        (np.ones(2), np.array([[1.0, 1.0], [np.nan, 1.0]]), "outside its declared bounds"),
    ):
        with pytest.raises(ReleaseError, match=match):
            update_watch(watch, day(2), weight, values)
    with pytest.raises(ReleaseError, match="were counted"):
        update_watch(watch, day(0), np.ones(2), np.ones((2, 2)))
    done = msgspec.structs.replace(watch, outcome="done")
    with pytest.raises(ReleaseError, match="decided"):
        update_watch(done, day(5), np.ones(2), np.ones((2, 2)))
    for change in ({"previous": "new"}, {"metrics": []}, {"days": 0}, {"alpha": 0.0}):
        with pytest.raises(OptionError, match="two versions"):
            begin_watch(msgspec.structs.replace(PLAN, **change))
    for metric in (WatchMetric(name="x", low=1.0), WatchMetric(name="x", tolerance=1.0),
                   WatchMetric(name="x", low=-1.0, tolerance=0.1)):  # fmt: skip
        with pytest.raises(OptionError, match="bounds that are a range"):
            begin_watch(msgspec.structs.replace(PLAN, metrics=[metric]))
