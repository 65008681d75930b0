"""The founding world against its own truth: exact means, exact propensities, stable bytes, and its story."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jumar.errors import OptionError, OutputError
from jumar.worlds import Notifications, World, base

pc: Any = pyarrow.compute

WORLD = Notifications()
SCHEMA = WORLD.contexts(1, 0).schema
VARIANTS = [
    Notifications(variant="founding"),
    Notifications(variant="optimal"),
    Notifications(variant="indifferent"),
]
WRITTEN_ROWS = base.BLOCK_ROWS * (base.BLOCKS_PER_ROW_GROUP + 1) + 77


@functools.cache
def a_log(world: Notifications = WORLD, rows: int = 300_000, seed: int = 5) -> pa.Table:
    return world.log(rows, seed)


def sent(log: pa.Table) -> np.ndarray:
    return pc.equal(log["action"], "send").to_numpy().astype(int)


def one_owner(**features: object) -> pa.Table:
    """A plain context of which only the named features are different."""
    plain: dict[str, object] = {
        "days_since_visit": 2.0,
        "requests_waiting": 0,
        "likes_week": 10,
        "likes_usual_week": 10.0,
        "messages_unread": 0,
        "recent_taps": 2,
        "recent_sends": 5,
        "page_age_days": 400,
        "followers": 90,
        "hour": 14,
        "weekday": 2,
        "category": "shop",
        "device": "android",
        "country": "FR",
        "has_ads": False,
        "topics": [5],
    }
    return pa.Table.from_pylist([plain | features], schema=pa.schema([SCHEMA.field(n) for n in plain]))


def gap(contexts: pa.Table) -> np.ndarray:
    means = WORLD.mean_reward(contexts)
    return means[:, 1] - means[:, 0]


@pytest.mark.parametrize("world", VARIANTS, ids=lambda world: world.variant)
def test_rewards_average_to_their_exact_means(world: Notifications) -> None:
    log = a_log(world)
    action = sent(log)
    residual = log["reward"].to_numpy() - world.mean_reward(log)[np.arange(len(action)), action]
    hour = log["hour"].to_numpy()
    requests = log["requests_waiting"].to_numpy()
    away = log["days_since_visit"].fill_null(99).to_numpy()
    strata = [
        hour >= 0,
        hour < 7,
        requests == 0,
        requests > 2,
        away < 1,
        away > 5,
        log["category"].to_numpy() == "events",
    ]
    for stratum in strata:
        for taken in (0, 1):
            part = residual[stratum & (action == taken)]
            assert len(part) > 500
            assert abs(part.mean()) < 4 * part.std() / np.sqrt(len(part))


@pytest.mark.parametrize("world", [*VARIANTS, Notifications(exploration=0.3)], ids=str)
def test_propensities_are_exact_and_calibrated(world: Notifications) -> None:
    log = a_log(world)
    action, propensity = sent(log), log["propensity"].to_numpy()
    assert np.array_equal(propensity, world.production(log)[np.arange(len(action)), action])
    assert set(propensity.tolist()) == {1 - world.exploration / 2, world.exploration / 2}
    for taken in (0, 1):
        ratio = (action == taken) / propensity
        assert abs(ratio.mean() - 1) < 4 * ratio.std() / np.sqrt(len(ratio))


def test_inverse_propensity_weighting_finds_the_value_of_another_policy() -> None:
    log = a_log()
    target = WORLD.best(log)
    action = sent(log)
    terms = target[np.arange(len(action)), action] / log["propensity"].to_numpy() * log["reward"].to_numpy()
    exact = (target * WORLD.mean_reward(log)).sum(axis=1).mean()
    assert abs(terms.mean() - exact) < 4 * terms.std() / np.sqrt(len(terms))


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**40),
    exploration=st.floats(0, 1),
    which=st.sampled_from(["founding", "optimal", "indifferent"]),
)
def test_everything_stays_within_its_bounds(seed: int, exploration: float, which: str) -> None:
    world = Notifications(exploration, which)  # type: ignore[arg-type]
    log = world.log(2_000, seed)
    reward, means = log["reward"].to_numpy(), world.mean_reward(log)
    assert reward.min() >= 0
    assert reward.max() <= 1
    assert means.min() > 0
    assert means.max() < 1
    for pmf in (world.production(log), world.best(log)):
        assert pmf.shape == (2_000, 2)
        np.testing.assert_allclose(pmf.sum(axis=1), 1, atol=1e-12)
        assert pmf.min() >= exploration / 2
    assert log["propensity"].to_numpy().min() > 0


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1_000),
    exploration=st.floats(0, 1),
    which=st.sampled_from(["founding", "optimal", "indifferent"]),
)
def test_no_policy_that_keeps_the_exploration_beats_the_best(seed: int, exploration: float, which: str) -> None:
    world = Notifications(exploration, which)  # type: ignore[arg-type]
    contexts = world.contexts(1_000, seed)
    means = world.mean_reward(contexts)
    best = (world.best(contexts) * means).sum(axis=1)
    preference = np.random.default_rng(seed).random(1_000).round(1)  # 0 and 1 among them
    for send in (preference, np.zeros(1_000), np.ones(1_000), means[:, 1] > means[:, 0]):
        pmf = exploration / 2 + (1 - exploration) * np.stack([1 - send, send], axis=1)
        assert (best >= (pmf * means).sum(axis=1) - 1e-12).all()


def test_the_story_fewer_notifications_more_value() -> None:
    summary = WORLD.summary(150_000)
    assert 0.28 < summary.production_value < 0.34
    assert 0.07 < summary.relative_gain < 0.12
    assert summary.gain == pytest.approx(summary.best_value - summary.production_value)
    assert 0.50 < summary.production_rates[1] < 0.60
    assert 0.20 < 1 - summary.best_rates[1] / summary.production_rates[1] < 0.30
    for always in ([1.0, 0.0], [0.0, 1.0]):  # a reasonable incumbent beats both thoughtless policies
        thoughtless = WORLD.value(lambda x, always=always: np.tile(always, (len(x), 1)), rows=150_000)
        assert thoughtless < summary.production_value


def test_the_story_likely_tappers_come_anyway_and_others_only_if_told() -> None:
    regular = one_owner(days_since_visit=0.3, recent_taps=6, recent_sends=7)
    wanted = one_owner(days_since_visit=6.0, requests_waiting=4, recent_taps=0, recent_sends=5)
    loved = one_owner(days_since_visit=6.0, likes_week=60, recent_taps=0, recent_sends=5)
    assert WORLD.production(regular)[0, 1] == pytest.approx(0.95)
    assert gap(regular)[0] < -0.02
    for persuadable in (wanted, loved):
        assert WORLD.production(persuadable)[0, 1] == pytest.approx(0.05)
        assert gap(persuadable)[0] > 0.05
    assert gap(one_owner(hour=3))[0] < gap(one_owner(hour=14))[0]
    assert gap(one_owner(topics=[1, 41]))[0] > gap(one_owner(topics=[1, 40]))[0]
    many = one_owner(days_since_visit=6.0, requests_waiting=4, recent_sends=25, recent_taps=9)
    few = one_owner(days_since_visit=6.0, requests_waiting=4, recent_sends=4, recent_taps=1)
    assert gap(many)[0] < gap(few)[0]


def test_optimal_variant_leaves_nothing_to_gain() -> None:
    world = Notifications(variant="optimal")
    contexts = world.contexts(20_000, 1)
    assert np.array_equal(world.production(contexts), world.best(contexts))
    assert np.array_equal(world.mean_reward(contexts), WORLD.mean_reward(contexts))
    assert world.summary(20_000).gain == 0


def test_indifferent_variant_gives_every_policy_the_same_value() -> None:
    world = Notifications(variant="indifferent")
    contexts = world.contexts(20_000, 1)
    means = world.mean_reward(contexts)
    assert np.array_equal(means[:, 0], means[:, 1])
    assert np.array_equal(world.production(contexts), WORLD.production(contexts))
    assert world.summary(20_000).gain == 0
    assert world.value(WORLD.best, rows=20_000) == pytest.approx(world.value(world.production, rows=20_000), abs=1e-12)


def test_value_is_the_mean_over_contexts_and_refuses_what_is_no_policy() -> None:
    rows = base.BLOCK_ROWS + 1_000
    contexts = WORLD.contexts(rows, 9)
    by_hand = (0.25 * WORLD.mean_reward(contexts)[:, 0] + 0.75 * WORLD.mean_reward(contexts)[:, 1]).mean()
    assert WORLD.value(lambda x: np.tile([0.25, 0.75], (len(x), 1)), rows, seed=9) == pytest.approx(by_hand, abs=1e-12)
    with pytest.raises(OptionError, match=re.escape("shape (100,), not (100, 2)")):
        WORLD.value(lambda x: np.ones(len(x)), rows=100)
    for no_pmf in ([0.5, 0.6], [-0.1, 1.1], [np.nan, 1.0]):
        with pytest.raises(OptionError, match="sum to 1"):
            WORLD.value(lambda x, no_pmf=no_pmf: np.tile(no_pmf, (len(x), 1)), rows=100)


def test_a_longer_log_starts_with_the_shorter_one() -> None:
    long = WORLD.log(2 * base.BLOCK_ROWS + 500, 3)
    assert long.num_rows == 2 * base.BLOCK_ROWS + 500
    for rows in (1, 500, base.BLOCK_ROWS, base.BLOCK_ROWS + 1):
        assert WORLD.log(rows, 3).equals(long.slice(0, rows))
    assert WORLD.contexts(long.num_rows, 3).equals(long.drop_columns(["action", "propensity", "reward"]))
    assert not WORLD.log(500, 4).select(["likes_week"]).equals(long.slice(0, 500).select(["likes_week"]))


def test_written_rows_are_the_logged_rows_and_the_bytes_repeat(tmp_path: Path) -> None:
    first, second = tmp_path / "first.parquet", tmp_path / "second.parquet"
    WORLD.write(WRITTEN_ROWS, 3, first)
    WORLD.write(WRITTEN_ROWS, 3, second)
    assert first.read_bytes() == second.read_bytes()
    assert pq.read_table(first).equals(WORLD.log(WRITTEN_ROWS, 3))
    sizes = pq.ParquetFile(first).metadata
    group = base.BLOCK_ROWS * base.BLOCKS_PER_ROW_GROUP
    assert [sizes.row_group(i).num_rows for i in range(sizes.num_row_groups)] == [group, WRITTEN_ROWS - group]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.parquet", "second.parquet"]


def test_writing_holds_one_row_group_at_a_time(tmp_path: Path) -> None:
    held: list[int] = []
    before = pa.total_allocated_bytes()

    def watched(contexts: pa.Table) -> np.ndarray:
        held.append(pa.total_allocated_bytes() - before)
        return np.full((len(contexts), 2), 0.5)

    WORLD.write(3 * base.BLOCKS_PER_ROW_GROUP * base.BLOCK_ROWS, 3, tmp_path / "log.parquet", watched)
    held = held[1:]  # the first call only asks for the schema
    groups = np.array(held).reshape(3, base.BLOCKS_PER_ROW_GROUP)
    assert groups[2].max() < 1.3 * groups[1].max()


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "log.parquet"
    target.write_bytes(b"yesterday")
    calls: list[int] = []

    def fails_later(contexts: pa.Table) -> np.ndarray:
        calls.append(len(contexts))
        if len(calls) > 8:
            raise RuntimeError("power cut")
        return np.full((len(contexts), 2), 0.5)

    with pytest.raises(RuntimeError, match="power cut"):
        WORLD.write(WRITTEN_ROWS + base.BLOCK_ROWS, 3, target, fails_later)
    assert target.read_bytes() == b"yesterday"
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(OutputError, match="Cannot write the log"):
        WORLD.write(10, 3, tmp_path / "absent" / "log.parquet")


def test_another_policy_decides_over_the_same_contexts() -> None:
    always = WORLD.log(5_000, 3, lambda x: np.tile([0.0, 1.0], (len(x), 1)))
    assert sent(always).all()
    assert (always["propensity"].to_numpy() == 1).all()
    assert always.select(["decision_id", "topics"]).equals(WORLD.contexts(5_000, 3).select(["decision_id", "topics"]))


def test_identifiers_are_unique_and_units_stay_within_their_block() -> None:
    log = a_log()
    assert pc.count_distinct(log["decision_id"]).as_py() == log.num_rows
    units = pc.count_distinct(log["unit"]).as_py()
    assert log.num_rows / units == pytest.approx(3, abs=0.15)
    per_block = [log["unit"].slice(start, base.BLOCK_ROWS) for start in range(0, log.num_rows, base.BLOCK_ROWS)]
    assert sum(pc.count_distinct(part).as_py() for part in per_block) == units
    other = WORLD.contexts(1_000, 6)
    assert not set(other["unit"].to_pylist()) & set(log["unit"].to_pylist())
    assert not set(other["decision_id"].to_pylist()) & set(log["decision_id"].to_pylist())


def test_a_unit_keeps_its_page_from_decision_to_decision() -> None:
    contexts = WORLD.contexts(base.BLOCK_ROWS, 2)
    for name in ("page_age_days", "followers", "category", "device", "country", "has_ads"):
        kinds = contexts.group_by("unit").aggregate([(name, "count_distinct")])
        assert pc.max(kinds[f"{name}_count_distinct"]).as_py() <= 1, name


def test_features_look_like_life() -> None:
    log = a_log()
    assert log.num_columns == 17 + 3 + 3
    missing = {name: log[name].null_count / log.num_rows for name in log.column_names if log[name].null_count}
    assert set(missing) == {
        "days_since_visit",
        "last_visit_at",
        "likes_usual_week",
        "followers",
        "device",
        "has_ads",
    }
    assert all(0.005 < share < 0.1 for share in missing.values())
    elapsed = pc.subtract(log["time"], log["last_visit_at"]).cast(pa.int64()).fill_null(0).to_numpy()
    np.testing.assert_allclose(elapsed / 86.4e9, log["days_since_visit"].fill_null(0).to_numpy(), atol=1e-9)
    assert log["hour"].equals(pc.hour(log["time"]))
    assert log["weekday"].equals(pc.day_of_week(log["time"]))
    assert log["weekday"].unique().to_pylist() == list(range(7))
    for name in ("requests_waiting", "likes_week", "messages_unread", "recent_sends", "followers"):
        counts = log[name].drop_null().to_numpy()
        assert counts.min() >= 0
        assert counts.mean() > np.median(counts), name  # skewed to the right
    assert pc.all(pc.less_equal(log["recent_taps"], log["recent_sends"])).as_py()
    followers, usual = (
        log["followers"].fill_null(1).to_numpy(),
        log["likes_usual_week"].fill_null(0).to_numpy(),
    )
    assert np.corrcoef(np.log1p(followers), np.log1p(usual))[0, 1] > 0.5
    lengths = pc.list_value_length(log["topics"]).to_numpy()
    assert lengths.min() == 0
    assert lengths.max() > 5
    countries = np.sort([row["counts"] for row in log["country"].value_counts().to_pylist()])[::-1]
    assert len(countries) == 20
    assert countries[0] > 8 * countries[-1]


def test_missing_and_unknown_values_have_a_mean_reward() -> None:
    unknown = one_owner(
        days_since_visit=None,
        likes_usual_week=None,
        followers=None,
        has_ads=None,
        device=None,
        country="XX",
        topics=[],
    )
    assert np.isfinite(WORLD.mean_reward(unknown)).all()
    read_back = WORLD.contexts(2_000, 1)
    recast = read_back.set_column(
        read_back.schema.get_field_index("topics"), "topics", read_back["topics"].cast(pa.list_(pa.string()))
    )
    assert np.array_equal(WORLD.mean_reward(recast), WORLD.mean_reward(read_back))
    assert np.array_equal(WORLD.mean_reward(read_back.slice(700, 50)), WORLD.mean_reward(read_back)[700:750])


def test_wrong_options_are_refused() -> None:
    for exploration in (-0.1, 1.1, float("nan")):
        with pytest.raises(OptionError, match="exploration"):
            Notifications(exploration=exploration)
    with pytest.raises(OptionError, match="variant"):
        Notifications(variant="other")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="fewer than one row"):
        WORLD.log(0, 1)
    with pytest.raises(OptionError, match="seed"):
        WORLD.contexts(10, -1)


def test_it_is_a_world() -> None:
    world: World = WORLD  # checked by pyright; here only that the names are there
    assert world.actions == ("hold", "send")
    assert hash(WORLD) == hash(Notifications(0.1, "founding"))
