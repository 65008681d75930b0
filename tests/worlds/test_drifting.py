"""The founding world in a year of drift: the same people, other truths."""

from __future__ import annotations

import numpy as np

from jumar.worlds import DriftingNotifications, Notifications


def test_days_are_the_days_of_a_week() -> None:
    world = DriftingNotifications(day=9)
    week = world.moments(30_000, 1)
    assert week.num_rows == 30_000 or abs(week.num_rows / 30_000 - 1) < 0.03
    day = world.today(week)
    assert abs(day.num_rows / (week.num_rows / 7) - 1) < 0.1
    dates = day["time"].to_numpy().astype("datetime64[D]")
    assert set(dates.tolist()) == {np.datetime64("2025-01-15").item()}
    assert len(set(week["decision_id"].to_pylist())) == week.num_rows
    other = DriftingNotifications(day=16).moments(1_000, 1)
    assert not set(other["unit"].to_pylist()) & set(week["unit"].to_pylist())


def test_on_one_day_many_should_be_treated_otherwise() -> None:
    week = DriftingNotifications(day=170).moments(20_000, 1)
    right = [np.diff(DriftingNotifications(day=day).mean_reward(week))[:, 0] > 0 for day in (0, 178, 179, 180)]
    assert (right[1] != right[2]).mean() < 0.005, "slowly before"
    assert (right[0] != right[2]).mean() < 0.1
    assert 0.2 < (right[2] != right[3]).mean() < 0.4, "at once on the day"
    mean = DriftingNotifications(day=180).mean_reward(week)
    assert ((mean >= 0) & (mean <= 1)).all()


def test_weekends_and_seasons_move_the_value() -> None:
    week = DriftingNotifications().moments(20_000, 1)
    value = [DriftingNotifications(day=day).mean_reward(week)[:, 0].mean() for day in (0, 91, 273)]
    assert value[2] < value[0] < value[1]
    weekend = week["weekday"].to_numpy() >= 5
    plain, drifted = (world.mean_reward(week)[:, 0] for world in (Notifications(), DriftingNotifications()))
    assert np.allclose(drifted[~weekend], plain[~weekend])
    assert (drifted[weekend] < plain[weekend]).all()


def test_outcomes_have_the_means_that_are_told() -> None:
    world = DriftingNotifications(day=200)
    week = world.moments(60_000, 3)
    action = np.arange(week.num_rows) % 2
    reward = world.outcomes(week, action, np.random.default_rng(0))
    mean = world.mean_reward(week)[np.arange(week.num_rows), action]
    assert (reward >= 0).all()
    assert (reward <= 1).all()
    error = (reward - mean).std() / np.sqrt(week.num_rows)
    assert abs((reward - mean).mean()) < 4 * error
