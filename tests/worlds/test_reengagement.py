"""The sequential world against its own truth: exact chances, features of the past only, values by two ways."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest

from jumar import cli
from jumar.errors import OptionError, OutputError
from jumar.worlds import LongRun, Policy, Reengagement, SequentialWorld, reengagement_best
from jumar.worlds.reengagement import SCHEMA
from jumar.worlds.reengagement_people import BLOCK_PEOPLE, DECAY, FEATURES, HOUR_CHANCES, Laws, Situation
from jumar.worlds.sequential import mean_of

pc: Any = pyarrow.compute
WORLD: SequentialWorld = Reengagement()
PEOPLE = 2 * BLOCK_PEOPLE


@functools.cache
def a_log(rows: int = 100_000, seed: int = 5, world: Reengagement = Reengagement()) -> pa.Table:  # noqa: B008
    return world.log(rows, seed)


@functools.cache
def frame() -> pd.DataFrame:
    return a_log().to_pandas()


@functools.cache
def long_run(name: str, seed: int = 7, **more: Any) -> LongRun:
    policies: dict[str, Policy] = {
        "production": WORLD.production,
        "greedy": WORLD.greedy,
        "best": WORLD.best,
        "never": lambda x: np.tile([1.0, 0.0], (len(x), 1)),
        "always": lambda x: np.tile([0.0, 1.0], (len(x), 1)),
        "weekly": lambda x: halves(x["messages_week"].to_numpy() == 0),
        "rested": lambda x: halves((x["message_load"].to_numpy() < 0.8) & (x["days_since_visit"].to_numpy() > 1)),
    }
    return WORLD.simulate(policies[name], PEOPLE, seed, **more)


def first_mornings() -> pa.Table:
    return a_log().filter(pc.ends_with(a_log()["decision_id"], pattern="-0"))


def halves(send: np.ndarray) -> np.ndarray:
    return np.stack([~send, send], axis=1).astype(float)


def sent(log: pa.Table) -> np.ndarray:
    return (np.asarray(log["action"]) == "send").astype(int)


def close(values: np.ndarray, mean: float = 0.0) -> bool:
    return abs(values.mean() - mean) < 4 * values.std() / np.sqrt(len(values))


# One decision


def test_rewards_average_to_their_exact_means() -> None:
    log = a_log()
    action = sent(log)
    residual = log["reward"].to_numpy() - WORLD.mean_reward(log)[np.arange(len(action)), action]
    rows = frame()
    strata = [rows.message_load > 3, rows.message_load < 1, rows.days_since_visit == 1, rows.days_since_visit > 9]
    strata += [rows.segment == "seller", rows.hour < 9, rows.weekday >= 5, rows.usual_visits > 3, rows.usual_visits > 0]
    for stratum in strata:
        for taken in (0, 1):
            part = residual[stratum.to_numpy() & (action == taken)]
            assert len(part) > 500
            assert close(part)


@pytest.mark.parametrize("world", [Reengagement(), Reengagement(0.5), Reengagement(0.3, "optimal")], ids=str)
def test_propensities_are_exact_and_calibrated(world: Reengagement) -> None:
    log = a_log(50_000, 2, world)
    action, propensity = sent(log), log["propensity"].to_numpy()
    np.testing.assert_array_equal(propensity, world.production(log)[np.arange(len(action)), action])
    for taken in (0, 1):
        assert close((action == taken) / propensity, 1.0)


def test_a_day_by_hand() -> None:
    """A member who usually comes 3.5 times a week, was here yesterday, untired, on a Monday at 19 in mid-season."""
    plain = Situation(
        segment=np.array([2]),
        usual=np.array([3.5]),
        away=np.array([1]),
        load=np.array([0.0]),
        season_day=np.array([14]),
        hour=np.array([19]),
    )
    unasked = 1 / (1 + np.exp(-(0.4 + 0.0 - 0.0 - 0.35)))
    gone = 1 / (1 + np.exp(1.8)) / (1 + np.exp(-0.15 * 23))
    told = unasked + (1 - unasked) * 0.5 * 1.3 * (0.3 + 0.7 * gone)
    np.testing.assert_allclose(Laws().come(plain), [[unasked, told]], rtol=1e-12)
    tired = plain._replace(load=np.array([2.0]))
    np.testing.assert_allclose(Laws().worth(tired), [[1.0, 1 - 0.04 - 0.04]], rtol=1e-12)
    np.testing.assert_allclose(
        Laws().leave(tired, 2.0), [[0.001, 0.001 + 0.0025 * 1.0 * 2.0 * np.exp(0.84)]], rtol=1e-12
    )


def test_the_story_messages_work_tire_and_drive_away() -> None:
    rows = frame()
    assert 0.6 < (rows.action == "send").mean() < 0.75
    means = WORLD.mean_reward(a_log())
    gap = means[:, 1] - means[:, 0]
    assert 0.8 < (gap > 0).mean() < 0.98
    assert gap[rows.message_load < 1].mean() > 2 * gap[rows.message_load > 3].mean()
    end, told, load = rows.end.to_numpy(), (rows.action == "send").to_numpy(), rows.message_load.to_numpy()
    assert end[told & (load > 3)].mean() > 2 * end[told & (load < 1)].mean()
    assert end[told].mean() > 4 * end[~told].mean()
    seller = (rows.segment == "seller").to_numpy()
    assert end[seller].mean() < end[~seller].mean()


# Sequences


def test_nobody_is_decided_about_after_opting_out() -> None:
    rows = frame()
    last = rows.unit != rows.unit.shift(-1)
    assert (rows.opted_out == rows.end).all()
    assert not rows.end[~last].any()
    sizes = rows.groupby("unit", sort=False).end.agg(["size", "last"])[
        :-1
    ]  # the last person is cut by the end of the log
    assert (sizes["size"][~sizes["last"]] == 30).all()
    assert sizes["size"].max() == 30
    assert sizes["size"].min() == 1
    assert 0.15 < sizes["last"].mean() < 0.35


def test_features_are_the_past_and_nothing_else() -> None:
    """Each counter again, by brute force, from what the log says had happened before."""
    rows = frame().iloc[:3_000]
    for _, person in rows.groupby("unit"):
        told, came = (person.action == "send").to_numpy(), (person.reward > 0).to_numpy()
        day = (person.time - person.time.dt.normalize().iloc[0]).dt.days.to_numpy()
        assert (day == np.arange(len(person))).all()
        for t in range(len(person)):
            row = person.iloc[t]
            before = np.flatnonzero(told[:t])
            assert row.messages_week == told[max(t - 7, 0) : t].sum()
            assert row.message_load == pytest.approx(sum(DECAY ** (t - 1 - k) for k in before), abs=1e-12)
            since = t - before[-1] if len(before) else np.inf
            assert row.days_since_message == since if since <= 28 else np.isnan(row.days_since_message)
            if came[:t].any():
                assert row.days_since_visit == t - np.flatnonzero(came[:t])[-1]
            if t >= 7:
                assert row.visits_week == came[t - 7 : t].sum()
            assert row.taps_week <= min(row.visits_week, row.messages_week)
            assert (row.weekday, row.hour) == (row.time.weekday(), row.time.hour)
            assert row.season_day % 7 == row.weekday


def test_days_before_a_difference_are_equal() -> None:
    def turning(x: pa.Table) -> np.ndarray:
        send = (x["tenure_days"].to_numpy() % 3 == 0) | (x["days_since_message"].to_numpy() == 6)
        return halves(send)

    def until(x: pa.Table) -> np.ndarray:
        never_again = x["season_day"].to_numpy() >= 20
        return np.where(never_again[:, None], [1.0, 0.0], turning(x))

    one, other = (WORLD.log(20_000, 3, policy).to_pandas() for policy in (turning, until))
    merged = one.merge(other, on="decision_id", suffixes=("", "_other"))
    differs = (merged.action != merged.action_other).astype(int)
    earlier = differs.groupby(merged.unit).cumsum() - differs == 0
    assert 1_000 < earlier.sum() < len(merged) - 1_000
    for name in FEATURES.names:
        pd.testing.assert_series_equal(
            merged[name][earlier], merged[f"{name}_other"][earlier], check_names=False, obj=name
        )
    later = ~earlier
    assert (merged.message_load[later] != merged.message_load_other[later]).mean() > 0.5
    assert (merged.hour == merged.hour_other).all()  # chance does not follow the decisions


# Values


def test_the_log_and_the_simulation_are_the_same_people() -> None:
    rows = frame()
    day = rows.groupby("unit").cumcount()
    returns = (0.95**day * rows.reward).groupby(rows.unit, sort=False).sum().to_numpy()[:-1]
    found = WORLD.simulate(WORLD.production, len(returns), 5, days=30)
    np.testing.assert_allclose(found.returns, returns, rtol=1e-12)
    visits = (rows.reward > 0).groupby(rows.unit, sort=False).sum().to_numpy()[:-1]
    assert found.visits == mean_of(visits)
    assert found.decisions.mean == rows.groupby("unit", sort=False).size().to_numpy()[:-1].mean()
    elsewhere = WORLD.simulate(WORLD.production, PEOPLE, 6, days=30)
    difference = elsewhere.value.mean - found.value.mean
    assert abs(difference) < 4 * np.hypot(elsewhere.value.error, found.value.error)


def test_a_single_day_has_its_exact_mean() -> None:
    first = first_mornings()
    exact = (WORLD.greedy(first) * WORLD.mean_reward(first)).sum(axis=1)
    for discount in (0.0, 0.95):
        found = WORLD.simulate(WORLD.greedy, len(exact), 5, days=1, discount=discount)
        assert abs(found.value.mean - exact.mean()) < 4 * found.value.error


def test_holding_back_pays_and_greed_does_not() -> None:
    production, greedy, best = (long_run(name) for name in ("production", "greedy", "best"))
    assert best.value.mean > 1.25 * greedy.value.mean
    gain = best.gain_over(greedy)
    assert gain.mean - 4 * gain.error > 0.15 * greedy.value.mean
    assert gain.error < 0.5 * np.hypot(best.value.error, greedy.value.error)
    assert greedy.gain_over(production).mean > 10 * greedy.gain_over(production).error
    assert greedy.opted_out.mean > 2 * best.opted_out.mean
    assert best.visits.mean > 1.5 * greedy.visits.mean
    contexts = a_log()
    at_once = {
        p: float((p(contexts) * WORLD.mean_reward(contexts)).sum(axis=1).mean()) for p in (WORLD.greedy, WORLD.best)
    }
    assert at_once[WORLD.greedy] > 1.15 * at_once[WORLD.best]
    assert (WORLD.greedy(contexts).argmax(1) != WORLD.production(contexts).argmax(1)).mean() > 0.15


@pytest.mark.parametrize("other", ["never", "always", "weekly", "rested"])
def test_no_simple_rule_comes_near_the_best(other: str) -> None:
    gain = long_run("best").gain_over(long_run(other))
    assert gain.mean > 10 * gain.error


def test_each_discount_has_its_own_best() -> None:
    """Dynamic programming for one discount beats that for another, each on its own ground."""
    near, far = functools.partial(WORLD.best, discount=0.7), WORLD.best
    for discount, best, other in ((0.7, near, far), (0.95, far, near)):
        one, two = (WORLD.simulate(policy, PEOPLE, 11, discount=discount, days=60) for policy in (best, other))
        assert one.gain_over(two).mean > 4 * one.gain_over(two).error
    contexts = a_log()
    np.testing.assert_array_equal(WORLD.best(contexts, 0.0), WORLD.greedy(contexts))


def test_the_grid_knows_its_own_policy() -> None:
    """The value that dynamic programming gives the first mornings is what its policy then brings."""
    found = WORLD.simulate(WORLD.best, PEOPLE, 5, days=200)
    first = first_mornings()
    x = Situation.of(first)
    values = reengagement_best.optimal_values(0.95)
    near = np.abs(np.log(x.usual)[:, None] - reengagement_best.LOG_USUAL).argmin(axis=1)
    told = values[x.season_day, x.segment, near, x.away - 1, 0] * np.array([0.45, 0.7, 0.55])[x.segment]
    assert told.mean() == pytest.approx(found.value.mean, rel=0.05)


def test_where_messages_do_nothing_all_policies_are_worth_the_same() -> None:
    world = Reengagement(variant="indifferent")
    one, two = (world.simulate(policy, 2_000, 1, days=40) for policy in (WORLD.greedy, WORLD.best))
    np.testing.assert_array_equal(one.returns, two.returns)
    assert one.messages.mean > 1.5 * two.messages.mean
    contexts = world.log(5_000, 1)
    np.testing.assert_array_equal(world.best(contexts), world.production(contexts))
    assert np.ptp(world.mean_reward(contexts), axis=1).max() == 0


def test_optimal_production_leaves_little() -> None:
    world = Reengagement(variant="optimal")
    contexts = a_log(50_000)
    np.testing.assert_allclose(world.production(contexts), 0.1 + 0.8 * WORLD.best(contexts))


# Rows, blocks, files


def test_a_longer_log_starts_with_the_shorter_one_and_blocks_stand_alone() -> None:
    long = a_log()
    assert long.schema == SCHEMA
    assert long["unit"][-1].as_py() > f"person5-{BLOCK_PEOPLE}"
    for rows in (1, 700, 60_000):
        assert WORLD.log(rows, 5).equals(long.slice(0, rows))
    assert not WORLD.log(700, 6).select(FEATURES.names).equals(long.slice(0, 700).select(FEATURES.names))
    second = Reengagement()._log_block(5, 1, WORLD.production).slice(0, 500)
    start = long["unit"].to_pylist().index(f"person5-{BLOCK_PEOPLE}")
    assert second.equals(long.slice(start, 500))
    assert len(set(long["decision_id"].to_pylist())) == len(long)
    few, many = (WORLD.simulate(WORLD.production, n, 5, days=10) for n in (BLOCK_PEOPLE + 9, 2 * BLOCK_PEOPLE))
    np.testing.assert_array_equal(few.returns, many.returns[: BLOCK_PEOPLE + 9])


def test_groups_of_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    together = WORLD.simulate(WORLD.greedy, PEOPLE, 2, days=5)
    monkeypatch.setattr("jumar.worlds.reengagement.BLOCKS_AT_ONCE", 1)
    np.testing.assert_array_equal(WORLD.simulate(WORLD.greedy, PEOPLE, 2, days=5).returns, together.returns)


def test_another_week_moves_the_time_alone() -> None:
    now, later = WORLD.log(500, 1).to_pandas(), Reengagement(week=3).log(500, 1).to_pandas()
    assert ((later.time - now.time).dt.days == 21).all()
    pd.testing.assert_frame_equal(now.drop(columns="time"), later.drop(columns="time"))


def test_written_rows_are_the_logged_rows_and_the_bytes_repeat(tmp_path: Path) -> None:
    first, second = tmp_path / "first.parquet", tmp_path / "second.parquet"
    for path in (first, second):
        WORLD.write(70_000, 5, path)
    assert first.read_bytes() == second.read_bytes()
    assert pq.read_table(first).equals(a_log().slice(0, 70_000))
    with pytest.raises(OutputError):
        WORLD.write(10, 5, tmp_path / "no" / "log.parquet")


def test_policies_of_another_shape_and_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(OptionError, match=re.escape(f"shape ({BLOCK_PEOPLE}, 3)")):
        WORLD.simulate(lambda x: np.ones((len(x), 3)), 10, 1)
    with pytest.raises(OptionError, match="sum to 1"):
        WORLD.log(10, 1, lambda x: np.full((len(x), 2), 0.6))
    for wrong in (
        lambda: Reengagement(exploration=2.0),
        lambda: Reengagement(variant="atlantis"),  # type: ignore[arg-type]
        lambda: Reengagement(week=99_999_999),
        lambda: Reengagement(days=0),
        lambda: WORLD.log(0, 1),
        lambda: WORLD.log(5, -1),
        lambda: WORLD.best(a_log(), 1.0),
        lambda: WORLD.simulate(WORLD.best, 0, 1),
        lambda: WORLD.simulate(WORLD.best, 5, 1, days=0),
        lambda: WORLD.simulate(WORLD.best, 5, 1, discount=-0.1),
    ):
        with pytest.raises(OptionError):
            wrong()
    assert np.isnan(WORLD.simulate(WORLD.production, 1, 1, days=2).value.error)


def test_hours_are_all_weighed() -> None:
    assert pytest.approx(1.0) == HOUR_CHANCES.sum()


def test_the_command_line_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "log.parquet"
    assert cli.main(["world", "reengagement", "--rows", "900", "--seed", "5", "--out", str(out)]) == 0
    assert pq.read_table(out).equals(a_log().slice(0, 900))
    words = ["world", "reengagement", "--rows", "900", "--out", str(out), "--exploration", "1", "--week", "2"]
    assert cli.main([*words, "--variant", "indifferent", "--metrics"]) == 0
    assert set(pq.read_table(out)["propensity"].to_pylist()) == {0.5}
    assert cli.main([*words, "--persistent"]) == 2
    assert "--persistent" in capsys.readouterr().err
