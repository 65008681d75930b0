"""What the founding world can log beside the reward, arms that persist, and other weeks: against exact truths."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest

from jumar import cli
from jumar.errors import OptionError
from jumar.worlds import Notifications

pc: Any = pyarrow.compute

WORLD = Notifications()
ADDED = ["tapped", "complaint"]


@functools.cache
def measured(world: Notifications = WORLD) -> pa.Table:
    return world.log(200_000, 5, metrics=True)


def sent(log: pa.Table) -> np.ndarray:
    return pc.equal(log["action"], "send").to_numpy().astype(int)


def test_the_rest_of_the_log_is_the_same_with_and_without() -> None:
    assert measured().drop_columns(ADDED).equals(WORLD.log(200_000, 5))
    assert measured().column_names[-2:] == ADDED
    assert WORLD.log(1_000, 5, metrics=True).equals(measured().slice(0, 1_000))


@pytest.mark.parametrize("world", [WORLD, Notifications(variant="indifferent")], ids=lambda world: world.variant)
@pytest.mark.parametrize("name", ADDED)
def test_metrics_average_to_their_exact_chances(world: Notifications, name: str) -> None:
    log = measured(world)
    action, happened = sent(log), log[name].to_numpy()
    chance = world.mean_metric(log, name)
    assert chance.shape == (200_000, 2)
    assert (chance[:, 0] == 0).all()
    assert not happened[action == 0].any()
    residual = happened - chance[:, 1]
    hour = log["hour"].to_numpy()
    for stratum in (hour >= 0, hour < 7, log["recent_sends"].to_numpy() > 9, log["requests_waiting"].to_numpy() > 2):
        part = residual[stratum & (action == 1)]
        assert len(part) > 500
        assert abs(part.mean()) < 4 * part.std() / np.sqrt(len(part))


def test_a_tap_is_a_visit() -> None:
    log = measured()
    tapped = log["tapped"].to_numpy() == 1
    came = log["reward"].to_numpy() > 0
    assert came[tapped].all()
    assert (came & ~tapped)[sent(log) == 1].mean() > 0.03
    assert (WORLD.mean_metric(log, "tapped") < 1).all()


def test_complaints_are_rare_and_come_from_the_often_told_and_at_night() -> None:
    log = measured()
    chance = WORLD.mean_metric(log, "complaint")[:, 1]
    hour, told = log["hour"].to_numpy(), log["recent_sends"].to_numpy()
    assert chance.min() >= 0.002
    assert chance.max() < 0.07
    assert chance[(hour >= 2) & (hour <= 4)].min() > 3 * np.median(chance[hour == 14])
    assert chance[(hour == 14) & (told > 15)].min() > 2 * chance[(hour == 14) & (told == 0)].max()


def test_policies_have_rates_of_their_own() -> None:
    contexts = WORLD.contexts(16_384, 9)
    for name in ("tapped", "complaint"):
        by_hand = (WORLD.production(contexts) * WORLD.mean_metric(contexts, name)).sum(axis=1).mean()
        assert WORLD.value(WORLD.production, 16_384, seed=9, metric=name) == pytest.approx(by_hand, abs=1e-12)
        assert WORLD.value(WORLD.best, 50_000, metric=name) < WORLD.value(WORLD.production, 50_000, metric=name)
    with pytest.raises(OptionError, match="no such metric"):
        WORLD.mean_metric(contexts, "minutes")


def test_arms_persist_and_every_propensity_is_right_by_itself() -> None:
    world = Notifications(persistent=True, exploration=0.4)
    log = world.log(100_000, 5)
    action, propensity = sent(log), log["propensity"].to_numpy()
    for taken in (0, 1):
        ratio = (action == taken) / propensity
        assert abs(ratio.mean() - 1) < 6 * ratio.std() / np.sqrt(len(ratio))
    send = world.production(log)[:, 1]
    unit = log["unit"].combine_chunks().dictionary_encode().indices.to_numpy()
    pairs = len(np.unique(np.stack([unit, send]), axis=1).T)
    assert len(np.unique(np.stack([unit, send, action]), axis=1).T) == pairs  # one action per unit and propensity
    assert log.select(["likes_week", "unit"]).equals(WORLD.log(100_000, 5).select(["likes_week", "unit"]))
    fresh = Notifications(exploration=0.4).log(100_000, 5)
    assert len(np.unique(np.stack([unit, send, sent(fresh)]), axis=1).T) > pairs + 1_000


def test_another_week_is_the_same_but_later() -> None:
    later = Notifications(week=3)
    week = pa.scalar(3 * 7 * 86_400_000_000, pa.duration("us"))
    ours, theirs = WORLD.log(2_000, 5), later.log(2_000, 5)
    for name in ("time", "last_visit_at"):
        assert pc.add(ours[name], week).equals(theirs[name])
    assert ours.drop_columns(["time", "last_visit_at"]).equals(theirs.drop_columns(["time", "last_visit_at"]))
    assert later.value(later.production, 2_000) == WORLD.value(WORLD.production, 2_000)


def test_the_command_writes_them(tmp_path: Path) -> None:
    words = ["world", "notifications", "--rows", "500", "--seed", "2", "--out"]
    assert cli.main([*words, str(tmp_path / "plain.parquet")]) == 0
    assert pq.read_table(tmp_path / "plain.parquet").equals(WORLD.log(500, 2))
    assert cli.main([*words, str(tmp_path / "more.parquet"), "--metrics", "--persistent", "--week", "1"]) == 0
    expected = Notifications(persistent=True, week=1).log(500, 2, metrics=True)
    assert pq.read_table(tmp_path / "more.parquet").equals(expected)
