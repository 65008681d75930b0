"""The canary: by hand, over the days, through bytes, against what it promises, and where it must refuse."""

from __future__ import annotations

import datetime
import math
import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from jumar.errors import OptionError
from jumar.evaluate.two_arms import Question, capital_of, centres
from jumar.release.arms import arm, pilots, place, places
from jumar.release.canary import begin, observe, update
from jumar.release.canary_plan import (
    STAGES,
    CanaryDay,
    CanaryMetric,
    CanaryPlan,
    CanaryRecord,
    MetricLook,
    Stage,
    checked,
)
from jumar.release.canary_state import Canary
from jumar.release.documents import ReleaseError
from jumar.release.watch import Watch, WatchDay, WatchPlan

FIRST = datetime.date(2026, 3, 1)
REWARD = CanaryMetric(name="reward", high=4.0, margin=0.3)
PLAN = CanaryPlan(
    salt="s1",
    production="old",
    challenger="new",
    metrics=[REWARD, CanaryMetric(name="complaints", high=3.0, better="lower", tolerance=0.1)],
    stages=[Stage(share=0.1, looks=[1, 2, 4], units=50), Stage(share=0.5, looks=[1, 2, 3, 5, 7], units=100, days=2)],
    watch=Stage(share=0.8, looks=[1, 3]),
)


def day(number: int) -> datetime.date:
    return FIRST + datetime.timedelta(days=number)


class Town:
    """People with habits of their own who come on most days."""

    def __init__(self, units: int = 3_000, seed: int = 0, *, effect: float = 0.0, harm: float = 0.0) -> None:
        self.rng = np.random.default_rng(seed)
        self.names = [f"u{seed}-{i}" for i in range(units)]
        self.place = places(pa.array(self.names), PLAN.salt)
        self.chance = self.rng.beta(2, 2, units)
        self.effect, self.harm = effect, harm

    def day(self, share: float) -> pa.Table:
        came = np.flatnonzero(self.rng.random(len(self.names)) < 0.7)
        new = self.place[came] < share
        return pa.table(
            {
                "unit": [self.names[i] for i in came],
                "policy": np.where(new, "new", "old"),
                "reward": (self.rng.random(came.size) < self.chance[came] * (1 + self.effect * new)).astype(float),
                "complaints": (self.rng.random(came.size) < 0.05 * (1 + self.harm * new)).astype(np.int64),
                "action": ["send"] * came.size,
            }
        )


def through(plan: CanaryPlan, town: Town, most: int = 40) -> tuple[Canary, list[pa.Table]]:
    """A canary from two days before it to its end, and the days."""
    canary, tables = begin(plan), []
    for number in range(most):
        share = 0.0 if number < 2 else canary.record.days[-1].share
        tables.append(town.day(share))
        canary = update(canary, day(number), tables[-1], share=share)
        if canary.record.outcome != "open":
            break
    return canary, tables


@pytest.fixture(scope="module")
def finished() -> tuple[Canary, list[pa.Table]]:
    return through(PLAN, Town())


def test_an_equal_policy_climbs_stage_by_stage(finished: tuple[Canary, list[pa.Table]]):
    days = finished[0].record.days
    assert finished[0].record.outcome == "done"
    assert [one.decision for one in days if one.decision != "wait"] == ["widen", "widen", "done"]
    assert [one.share for one in days if one.decision != "wait"] == [0.5, 0.8, 1.0]
    assert [one.day for one in days[:3]] == [0, 0, 1]
    assert days[-1].reasons == ["No harm was found in the 3 days of the watch."]
    proof = next(one for one in days if one.stage == 1 and one.decision == "widen")
    assert proof.day in (2, 3, 5, 7)
    assert "'reward' is within its margin." in proof.reasons
    for one in days:
        for metric in one.metrics:
            assert metric.at_least <= metric.change <= metric.at_most
            assert (metric.log_proof is not None) == (metric.name == "reward" and one.stage == 1)


def test_a_look_is_the_capital_of_the_units_that_production_served_until_then(finished: tuple[Canary, list[pa.Table]]):
    """Recomputed from the rows with Python dictionaries: the first look of the second stage."""
    canary, tables = finished
    start = next(i for i, one in enumerate(canary.record.days) if one.stage == 1)
    seen = canary.record.days[start]
    sums: dict[str, float] = {}
    for row in tables[start].to_pylist():
        if place(row["unit"], "s1") >= 0.1:
            sums[row["unit"]] = sums.get(row["unit"], 0.0) + row["reward"]
    before: dict[str, float] = {}
    for one, table in zip(canary.record.days[:start], tables, strict=False):
        for row in table.to_pylist():
            if one.stage == 0 and one.day > 0:
                before[row["unit"]] = before.get(row["unit"], 0.0) + row["reward"]
    order = sorted(sums, key=lambda unit: place(unit, "s1"))
    where = np.array([place(unit, "s1") for unit in order])
    total = np.array([min(sums[unit], 4.0) / 4.0 for unit in order])
    then = np.array([min(before[unit], 4.0) / 4.0 if unit in before else np.nan for unit in order])
    exposed, pilot = where < 0.5, pilots(where)
    assert [arm(unit, "s1", 0.5) for unit in order] == exposed.tolist()
    centre, spread = centres(total, then, pilot)
    capital = capital_of(total[~pilot], exposed[~pilot], centre[~pilot], spread, share=0.4 / 0.9,
                         alpha=0.9 * 0.05 / (10 * 2), asked=Question(-1.0))  # fmt: skip
    assert_allclose(seen.metrics[0].log_harm, capital.log_value, rtol=1e-9)
    assert (seen.exposed, seen.others) == (exposed.sum(), (~exposed).sum())
    assert_allclose(seen.metrics[0].production, 4 * total[~exposed].mean())
    assert_allclose(seen.metrics[0].harm_needs, math.log(10 * 2 / 0.045))


def test_bounds_of_some_days_grow_with_the_stage():
    """So a sum of many days is not cut at what units bring in a few, and early looks need not wait for late ones."""
    metric = CanaryMetric(name="reward", low=-1.0, high=3.0, days=2)
    assert [(one.low, one.high) for one in map(metric.at_day, (1, 2, 3, 8))] == [
        (-1.0, 3.0), (-1.0, 3.0), (-1.5, 4.5), (-4.0, 12.0)]  # fmt: skip
    assert CanaryMetric(name="reward", low=1.0).at_day(9) == CanaryMetric(name="reward", low=1.0)
    cut = {}
    for days in (None, 1):
        metric = CanaryMetric(name="reward", high=1.0, days=days)
        stage = Stage(share=0.5, looks=[1, 4], units=10**9, days=4)
        plan = msgspec.structs.replace(PLAN, metrics=[metric, PLAN.metrics[1]], stages=[stage], watch=None)
        canary, _ = through(plan, Town())
        cut[days] = [look.metrics[0].cut for look in canary.record.days if look.metrics]
    assert cut[None][1] > 500
    assert cut[1] == [0, 0]


def test_harm_is_taken_back_and_named():
    worse, _ = through(PLAN, Town(effect=-0.6))
    assert worse.record.outcome == "rollback"
    assert worse.last is not None
    assert worse.last.share == 0.0
    assert worse.last.reasons[0].startswith("'reward' is worse than is tolerated: -")
    guarded, _ = through(PLAN, Town(harm=3.0))
    assert guarded.last is not None
    assert (guarded.last.decision, guarded.last.share) == ("rollback", 0.0)
    assert guarded.last.reasons[0].startswith("'complaints' is worse than is tolerated: +")
    assert guarded.units.place.size == 0


def test_what_is_neither_shown_to_be_worse_nor_within_its_margin_is_taken_back():
    plan = msgspec.structs.replace(PLAN, metrics=[msgspec.structs.replace(REWARD, margin=0.001), PLAN.metrics[1]])
    canary, _ = through(plan, Town())
    assert canary.last is not None
    assert (canary.last.decision, canary.last.day, canary.last.stage) == ("rollback", 7, 1)
    assert canary.last.reasons[0] == "The stage ends after 7 days without what it takes to go on."
    assert "has not been shown to be within its margin" in canary.last.reasons[1]
    few, _ = through(PLAN, Town(units=200))
    assert few.last is not None
    assert (few.last.decision, few.last.stage) == ("rollback", 0)
    assert any(reason.startswith("Only ") for reason in few.last.reasons)


def test_the_same_day_twice_and_a_stop_between_any_two_days_change_nothing(finished: tuple[Canary, list[pa.Table]]):
    whole, tables = finished
    canary, share = begin(PLAN), 0.0
    for number, table in enumerate(tables):
        share = 0.0 if number < 2 else canary.record.days[-1].share
        canary = Canary.from_bytes(canary.to_bytes())
        once = update(canary, day(number), table, share=share)
        assert update(once, day(number), table.slice(5), share=0.123) is once
        canary = once
    assert canary.record == whole.record
    assert canary.to_bytes() == whole.to_bytes()


def test_order_of_rows_and_the_parts_of_a_day_do_not_matter():
    town = Town()
    table = town.day(0.1)
    shuffled = table.take(np.random.default_rng(1).permutation(table.num_rows))
    one, other = (update(begin(PLAN), day(0), rows, share=0.1) for rows in (table, shuffled))
    assert one.record == other.record
    assert_array_equal(one.units.sums, other.units.sums)


def test_days_at_the_earlier_share_come_before_the_stage_and_mixed_days_begin_it():
    town, canary = Town(), begin(PLAN)
    canary = update(canary, day(0), town.day(0.0), share=0.0)
    assert canary.last is not None
    assert (canary.last.day, canary.last.decision, canary.last.share) == (0, "wait", 0.1)
    # The share changes in the middle of the first day, when rows cannot be told to be astray yet.
    mixed = pa.concat_tables([town.day(0.0), town.day(0.1)])
    canary = update(canary, day(1), mixed, share=0.1)
    assert (canary.record.day, canary.record.rows, canary.record.astray) == (1, 0, 0)
    canary = update(canary, day(5), town.day(0.1), share=0.1)  # days may be without decisions
    assert canary.last is not None
    assert (canary.last.day, canary.last.decision, canary.record.stage) == (2, "widen", 1)
    # Rewards come late: another day at the old share was over before the share could grow.
    known = canary.units.rows_before.sum()
    canary = update(canary, day(6), town.day(0.1), share=0.1)
    assert canary.units.rows_before.sum() > known
    canary = update(canary, day(7), town.day(0.5), share=0.5)
    with pytest.raises(ReleaseError, match="share in force"):
        update(canary, day(8), town.day(0.1), share=0.1)


def test_rows_that_went_astray_keep_the_share_from_growing():
    town, canary = Town(), begin(PLAN)
    for number in range(4):
        table = town.day(0.1)
        policy = ["fallback" if i % 40 == 0 else str(one) for i, one in enumerate(table["policy"].to_pylist())]
        canary = update(canary, day(number), table.set_column(1, "policy", pa.array(policy)), share=0.1)
    assert canary.last is not None
    assert canary.last.decision == "rollback"
    assert_allclose(canary.last.astray, 1 / 40, atol=1e-3)
    assert "by another policy than their arm's" in canary.last.reasons[1]


def test_an_arm_whose_decisions_are_lost_is_taken_back():
    town, canary = Town(), begin(PLAN)
    table = town.day(0.1)
    lost = np.random.default_rng(0).random(table.num_rows) < 0.7
    kept = table.filter(pa.array(~(lost & (np.array(table["policy"]) == "new"))))
    canary = update(canary, day(0), kept, share=0.1)
    assert canary.last is not None
    assert canary.last.decision == "rollback"
    assert canary.last.reasons[-1].endswith("decisions of one arm are missing.")


def test_units_without_a_name_and_units_of_earlier_stages_are_not_compared():
    table = pa.table({"unit": pa.array([None, "a", "b"]), "policy": ["old"] * 3, "reward": [1.0] * 3,
                      "complaints": [0.0] * 3})  # fmt: skip
    canary = update(begin(PLAN), day(0), table, share=0.1)
    assert canary.units.rows.sum() == 2
    rng = np.random.default_rng(0)
    where = rng.random(2_000)
    canary = begin(PLAN)
    for number in range(3):
        canary = observe(canary, day(number), where, rng.random((2_000, 2)), 0, share=(0.1, 0.1, 0.5)[number])
    assert canary.units.place.min() >= 0.1
    assert canary.last is not None
    assert canary.last.exposed == ((where >= 0.1) & (where < 0.5)).sum()


def test_days_without_decisions_show_nothing():
    canary, nothing = begin(PLAN), Town(units=1).day(0.1).slice(0, 0)
    for number in range(4):
        canary = Canary.from_bytes(update(canary, day(number), nothing, share=0.1).to_bytes())
    assert canary.last is not None
    assert (canary.last.decision, canary.last.exposed, canary.last.log_ratio) == ("rollback", 0, 0.0)
    assert [one.log_harm for one in canary.last.metrics] == pytest.approx([0.0, 0.0], abs=1e-12)
    assert canary.last.reasons[1] == "Only 0 units that are new to the challenger were seen; 50 are asked for."


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"reward": None}, "lack a column"),
        ({"reward": [math.nan, 1.0]}, "missing or not a number"),
        ({"reward": [None, 1.0]}, "missing or not a number"),
        ({"reward": ["x", "1"]}, "must be numbers"),
        ({"reward": [[1.0], [2.0]]}, "must be numbers"),
    ],
)
def test_rows_that_cannot_be_are_refused(change: dict[str, Any], match: str):
    columns: dict[str, Any] = {"unit": ["a", "b"], "policy": ["old", "old"], "reward": [0.0, 1.0], "complaints": [0, 1]}
    columns |= change
    canary = begin(PLAN)
    with pytest.raises(ReleaseError, match=match):
        update(canary, day(0), pa.table({k: v for k, v in columns.items() if v is not None}), share=0.1)
    assert canary.record.days == []


def test_a_wrong_order_and_a_decided_canary_are_refused(finished: tuple[Canary, list[pa.Table]]):
    town = Town()
    canary = update(begin(PLAN), day(3), town.day(0.1), share=0.1)
    with pytest.raises(ReleaseError, match="were counted"):
        update(canary, day(2), town.day(0.1), share=0.1)
    with pytest.raises(ReleaseError, match="is decided"):
        update(finished[0], day(99), town.day(1.0), share=1.0)


def test_broken_files_are_refused(finished: tuple[Canary, list[pa.Table]]):
    data = update(begin(PLAN), day(0), finished[1][0], share=0.0).to_bytes()
    for broken in (
        b"",
        b"ARROW1",
        data[:-40],
        data.replace(b'"format":1', b'"format":2'),
        data.replace(b"s1", b"\x00"),
    ):
        with pytest.raises(ReleaseError, match="not a saved canary"):
            Canary.from_bytes(broken)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"salt": ""}, "two versions"),
        ({"challenger": "old"}, "two versions"),
        ({"metrics": []}, "each named once"),
        ({"metrics": [REWARD, REWARD]}, "each named once"),
        ({"stages": []}, "shares rise"),
        ({"stages": [STAGES[1], STAGES[0]]}, "shares rise"),
        ({"stages": [Stage(share=0.1, looks=[1], days=1)]}, "at least two days"),
        ({"stages": [Stage(share=0.9, looks=[2])]}, "shares rise"),
        ({"alpha": 1.0}, "between 0 and 1"),
        ({"stages": [Stage(share=0.1, looks=[2, 2])]}, "days that rise"),
        ({"stages": [Stage(share=0.1, looks=[0, 2])]}, "days that rise"),
        ({"stages": [Stage(share=0.1, looks=[2], days=3)]}, "at least two days"),
        ({"metrics": [CanaryMetric(name="x", low=2.0, high=2.0)]}, "not a range"),
        ({"metrics": [CanaryMetric(name="x", tolerance=0.3, margin=0.2)]}, "tolerance ≤ margin"),
        ({"metrics": [CanaryMetric(name="x", low=-1.0, margin=0.2)]}, "may be negative"),
    ],
)
def test_plans_that_are_none_are_refused(change: dict[str, Any], match: str):
    with pytest.raises(OptionError, match=match):
        begin(msgspec.structs.replace(PLAN, **change))


def test_the_error_is_shared_out_and_what_it_takes_is_foreseen():
    default = checked(CanaryPlan(salt="s", production="a", challenger="b", metrics=[REWARD]))
    looks = sum(len(stage.looks) for stage in default.all_stages)
    assert_allclose(looks * default.harm_alpha + default.ratio_alpha, default.alpha)
    assert_allclose([default.chance(i) for i in range(4)], [0.01, 0.04 / 0.99, 0.2 / 0.95, 0.7 / 0.75])
    assert_allclose(default.proof_alpha, 0.05 / 9)
    # (sqrt(2·(ln(1/α) + ½)) + 0.84)²·spread/(change²·(1 − q)), a tenth of the units being the pilot
    needs = (math.sqrt(2 * (-math.log(default.harm_alpha) + 0.5)) + 0.8416) ** 2 * 0.04 / 0.01 / 0.99 / 0.9
    assert default.exposed_needed(0, 0.1, 0.04) == pytest.approx(needs, rel=0.02)


def test_an_equal_policy_is_seldom_taken_back_and_a_worse_one_seldom_let_through():
    """Small and quick; benchmarks/canary.py has the figures. At the edge of the margin nothing may pass by chance."""
    plan = msgspec.structs.replace(
        PLAN,
        metrics=[CanaryMetric(name="reward", high=7.0, margin=0.3)],
        stages=[Stage(share=0.5, looks=[1, 2, 3, 5, 7])],
        watch=None,
        alpha=0.2,
    )
    rng, outcomes = np.random.default_rng(7), {0.0: [0, 0], -0.3: [0, 0]}
    for effect, seen in outcomes.items():
        for _ in range(60):
            where, chance = rng.random(600), rng.beta(0.5, 0.5, 600)
            canary = begin(plan)
            for number in range(7):
                good = rng.random(600) < chance * np.where(where < 0.5, 1 + effect, 1.0)
                canary = observe(canary, day(number), where, good[:, None].astype(float), 0, share=0.5)
                if canary.record.outcome != "open":
                    break
            assert canary.last is not None
            seen[0] += canary.last.reasons[0].startswith("'reward' is worse")
            seen[1] += canary.record.outcome == "done"
    assert outcomes[0.0][0] <= 9  # α = 0.2 of 60; ≥ 23 would refute it at 1%
    assert outcomes[0.0][1] >= 40
    assert outcomes[-0.3][1] <= 3
    assert outcomes[-0.3][0] >= 40


DOCUMENTED = (CanaryPlan, Stage, CanaryMetric, CanaryRecord, CanaryDay, MetricLook, WatchPlan, Watch, WatchDay)


@pytest.mark.parametrize("record", DOCUMENTED)
def test_every_field_is_documented(record: type[msgspec.Struct]):
    page = (Path(__file__).parents[2] / "docs/canary.md").read_text()
    table = page.partition(f"### `{record.__name__}`\n")[2].partition("\n#")[0]
    told = [name for line in table.splitlines() for name in re.findall(r"`(\w+)`", line.partition(" | ")[0])]
    assert sorted(told) == sorted(record.__struct_fields__)
