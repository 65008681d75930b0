"""The join: held against a plain Python one on random streams, against edges by hand, and against what reads it."""

from __future__ import annotations

import datetime
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import jumar
from jumar import cli
from jumar.errors import LogError, OptionError, OutputError
from jumar.serve.join import join
from jumar.serve.journal import REWARDS, Journal, decisions_schema

UTC = datetime.UTC
DATE = "2026-01-05"
START = datetime.datetime(2026, 1, 5, tzinfo=UTC)
HOUR = 3_600_000_000
START_US = int(START.timestamp()) * 1_000_000
SCHEMA = decisions_schema(pa.string(), pa.schema([("age", pa.float64())]))
COLUMNS = ["decision_id", "unit", "time", "action", "propensity", "pmf", "reward"]
OWN = ["policy", "exploration", "fallback", "fallback_reason"]


def decision(name: str, hours: float = 0.0, **other: Any) -> dict[str, Any]:
    row = {
        "decision_id": name,
        "unit": f"u-{name}",
        "time": START_US + round(hours * HOUR),
        "action": "send",
        "propensity": 0.5,
        "pmf": [0.5, 0.5],
        "policy": "v1",
        "exploration": "floor",
        "fallback": False,
        "fallback_reason": None,
        "age": 40.0,
    }
    return row | other


def reward(name: str, hours: float, value: float | None = 1.0, **other: Any) -> dict[str, Any]:
    row = {"decision_id": name, "reward_id": None, "value": value, "time": START_US + round(hours * HOUR), "metrics": {}}
    return row | other


def log(folder: Path, decisions: list[dict[str, Any]], rewards: list[dict[str, Any]]) -> Path:
    """A decision log with these rows, in this order."""
    with Journal(folder, durable=False) as journal:
        for stream, rows, schema in (("decisions", decisions, SCHEMA), ("rewards", rewards, REWARDS)):
            if rows:
                columns = {name: [row[name] for row in rows] for name in schema.names}
                journal.append(stream, columns, schema).result(30)  # type: ignore[arg-type]
    return folder


def at(hours: float) -> datetime.datetime:
    return START + datetime.timedelta(hours=hours)


def joined(folder: Path, **rules: Any) -> tuple[Any, list[dict[str, Any]]]:
    """The report, and the rows of the log."""
    report = join(folder, DATE, out=folder / "joined", **rules)
    return report, pq.ParquetFile(folder / "joined" / f"date={DATE}" / "log.parquet").read().to_pylist()


def aside(folder: Path, what: str) -> list[str]:
    return pq.ParquetFile(folder / "joined" / f"date={DATE}" / f"_{what}.parquet").read()["decision_id"].to_pylist()


# By hand


def test_a_day_by_hand(tmp_path: Path) -> None:
    decisions = [decision("a"), decision("b", 1), decision("c", 2), decision("x", -1), decision("y", 24)]
    rewards = [
        reward("a", 0.5, 2.0, metrics={"tapped": 1.0}),
        reward("a", 0.25, 3.0, metrics={"tapped": 0.0, "minutes": 7.0}),
        reward("c", 26.5),
        reward("nobody", 3),
        reward("x", 1),
    ]
    report, rows = joined(log(tmp_path, decisions, rewards))
    assert [(row["decision_id"], row["reward"], row["tapped"], row["minutes"]) for row in rows] == [
        ("a", 5.0, 1.0, 7.0),
        ("b", 0.0, 0.0, 0.0),
        ("c", 0.0, 0.0, 0.0),
    ]
    assert list(rows[0]) == [*COLUMNS, "age", "minutes", "tapped", *OWN]
    assert rows[0]["time"] == START
    assert (report.decisions, report.written, report.rewarded, report.defaulted) == (3, 3, 1, 2)
    assert (report.rewards_used, report.rewards_late, report.rewards_unknown) == (2, 1, 1)
    assert (aside(tmp_path, "late"), aside(tmp_path, "unknown")) == (["c"], ["nobody"])
    assert report.final
    assert report.gaps == {}


@pytest.mark.parametrize(("how", "value", "minutes"), [("sum", 4.0, 9.0), ("first", 3.0, 5.0), ("last", -1.0, 4.0), ("max", 3.0, 5.0)])  # fmt: skip
def test_aggregation_goes_by_time_and_not_by_arrival(tmp_path: Path, how: str, value: float, minutes: float) -> None:
    rewards = [
        reward("a", 3, -1.0, metrics={"minutes": 4.0}),
        reward("a", 1, 3.0),
        reward("a", 2, 2.0, metrics={"minutes": 5.0}),
    ]
    report, rows = joined(log(tmp_path, [decision("a")], rewards), reward=how)
    assert (rows[0]["reward"], rows[0]["minutes"]) == (value, minutes)
    assert report.metrics == {"minutes": "minutes"}


def test_the_edges_of_the_window_and_of_the_watermark(tmp_path: Path) -> None:
    """A window of an hour closes with its last microsecond; a watermark at that very moment is enough."""
    last = 1.0 + 1e-6 / 3600
    folder = log(
        tmp_path,
        [decision("in"), decision("out"), decision("later", 1 / 3600)],
        [reward("in", 1.0), reward("out", last)],
    )
    report, rows = joined(folder, wait="1h", watermark=at(1.0))
    assert [(row["decision_id"], row["reward"]) for row in rows] == [("in", 1.0), ("out", 0.0)]
    assert (report.held_back, report.rewards_late, report.rewards_ahead, report.final) == (1, 0, 1, False)
    report, rows = joined(folder, wait="1h", watermark=at(1.0) - datetime.timedelta(microseconds=1))
    assert (rows, report.held_back, report.rewards_ahead) == ([], 3, 2)
    report, rows = joined(folder, wait="1h", watermark=at(47.999))
    assert (report.written, report.rewards_late, report.final) == (3, 1, False)
    report, rows = joined(folder, wait="1h", watermark=at(48))
    assert report.final
    assert aside(folder, "late") == ["out"]


def test_a_default_only_once_the_window_is_closed(tmp_path: Path) -> None:
    folder = log(tmp_path, [decision("a"), decision("b")], [reward("a", 0.5, None, metrics={"seen": 1.0})])
    _, rows = joined(folder, wait="1h", default=-2.5, watermark=at(0.75))
    assert rows == []
    _, rows = joined(folder, wait="1h", default=-2.5, watermark=at(1.0))
    assert [(row["reward"], row["seen"]) for row in rows] == [(-2.5, 1.0), (-2.5, 0.0)]


def test_repeated_deliveries(tmp_path: Path) -> None:
    rewards = [
        *[reward("a", 1, 2.0)] * 3,  # the same in all: one
        reward("a", 1, 2.0, metrics={"tapped": 1.0}),  # other metrics: another one
        reward("b", 1, 5.0, reward_id="r1"),
        reward("b", 2, 6.0, reward_id="r1"),  # the same id: the first
        reward("b", 2, 6.0, reward_id="r2"),
        reward("b", 2, 6.0, reward_id=None),
    ]
    report, rows = joined(log(tmp_path, [decision("a"), decision("b")], rewards))
    assert [row["reward"] for row in rows] == [4.0, 17.0]
    assert (report.rewards_used, report.rewards_repeated) == (5, 3)


def test_a_hundred_thousand_duplicates(tmp_path: Path) -> None:
    rows = 100_000
    with Journal(tmp_path, durable=False) as journal:
        journal.append("decisions", {name: [value] * 50 for name, value in decision("a").items()}, SCHEMA).result(30)
        journal.append("decisions", {name: [value] for name, value in decision("b").items()}, SCHEMA).result(30)
        many = {name: [value] * rows for name, value in reward("a", 1, reward_id="r").items()}
        journal.append("rewards", many).result(60)
        many = {name: [value] * rows for name, value in reward("b", 1).items()}
        journal.append("rewards", many).result(60)
    report, found = joined(tmp_path)
    assert [row["reward"] for row in found] == [1.0, 1.0]
    assert (report.rewards_used, report.rewards_repeated) == (2, 2 * rows - 2)
    assert (report.decisions, report.duplicate, report.conflicting) == (51, 49, 0)


def test_duplicate_decisions(tmp_path: Path) -> None:
    decisions = [
        decision("a", 2, action="hold"),  # arrived first, but is the later one
        decision("a", 1),
        decision("a", 1),
        decision("b", 1, age=30.0),
        decision("b", -1),  # of the day before: there it belongs
        decision("c", 3, policy="v2"),
        decision("c", 25),
    ]
    report, rows = joined(log(tmp_path, decisions, [reward("a", 3), reward("b", 3)]))
    assert [(row["decision_id"], row["action"], row["reward"]) for row in rows] == [("a", "send", 1.0), ("c", "send", 0.0)]
    assert (report.decisions, report.duplicate, report.conflicting, report.written) == (5, 3, 1, 2)
    assert report.policies == {"v1": 1, "v2": 1}


def test_a_reward_before_its_decision_counts(tmp_path: Path) -> None:
    report, rows = joined(log(tmp_path, [decision("a")], [reward("a", -3, 4.0)]))
    assert rows[0]["reward"] == 4.0
    assert (report.rewards_early, report.rewards_used) == (1, 1)


def test_every_reward_is_accounted_for_on_one_day(tmp_path: Path) -> None:
    """Unknown ones on their own day, late ones on their decision's; nothing on two days."""
    decisions = [decision("a", -20), decision("b"), decision("c", 30)]
    rewards = [reward("a", 5), reward("a", 10), reward("b", 30), reward("ghost", 1), reward("ghost", 25), reward("c", 20)]
    folder = log(tmp_path, decisions, rewards)
    found = [join(folder, f"2026-01-0{day}", out=folder / "joined", wait="24h") for day in (4, 5, 6)]
    assert [one.rewards_used for one in found] == [1, 0, 1]
    assert [one.rewards_late for one in found] == [1, 1, 0]
    assert [one.rewards_unknown for one in found] == [0, 1, 1]


def test_decisions_of_the_fallback(tmp_path: Path) -> None:
    decisions = [decision("a", fallback=True, fallback_reason="model", propensity=1.0), decision("b"), decision("c", fallback=None)]
    folder = log(tmp_path, decisions, [])
    report, rows = joined(folder)
    assert [(row["decision_id"], row["propensity"], row["fallback"]) for row in rows] == [
        ("a", 1.0, True),
        ("b", 0.5, False),
        ("c", 0.5, None),
    ]
    assert (report.fallback, report.fallback_excluded) == (1, 0)
    report, rows = joined(folder, fallbacks=False)
    assert [row["decision_id"] for row in rows] == ["b", "c"]
    assert (report.fallback, report.fallback_excluded) == (0, 1)


def test_decisions_that_were_never_activated(tmp_path: Path) -> None:
    rewards = [
        reward("off", 1, None, metrics={"activated": 0.0}),
        reward("on", 1, None, metrics={"activated": 1.0}),
        reward("both", 1, None, metrics={"activated": 0.0}),
        reward("both", 2, None, metrics={"activated": 1.0}),
        reward("too late", 30, None, metrics={"activated": 1.0}),
    ]
    names = ("off", "on", "both", "silent", "too late")
    folder = log(tmp_path, [decision(name) for name in names], rewards)
    report, rows = joined(folder)
    assert [row["decision_id"] for row in rows] == ["both", "on", "silent", "too late"]
    assert report.never_activated == 1
    assert "activated" not in rows[0]
    report, rows = joined(folder, activation="required")
    assert [row["decision_id"] for row in rows] == ["both", "on"]
    assert report.never_activated == 3


def test_values_that_are_no_numbers_and_units_that_are_missing(tmp_path: Path) -> None:
    rewards = [reward("a", 1, math.nan), reward("a", 2, math.inf, metrics={"m": math.nan}), reward("a", 3, 2.0)]
    report, rows = joined(log(tmp_path, [decision("a", unit=None)], rewards), reward="max")
    assert (rows[0]["reward"], rows[0]["unit"], rows[0]["m"]) == (2.0, "a", 0.0)
    assert (report.rewards_unusable, report.without_unit) == (2, 1)


def test_metrics_whose_names_are_taken(tmp_path: Path) -> None:
    metrics = dict.fromkeys(("Age", "reward", "__x", "", "policy", "date", "tap", "TAP", "metric_age"), 1.0)
    report, rows = joined(log(tmp_path, [decision("a")], [reward("a", 1, metrics=metrics)]))
    assert set(report.metrics) == set(metrics)
    columns = [name.lower() for name in rows[0]]
    assert len(set(columns)) == len(columns)
    assert all(rows[0][column] == 1.0 for column in report.metrics.values())
    assert rows[0]["age"] == 40.0


def test_too_many_metrics(tmp_path: Path) -> None:
    folder = log(tmp_path, [decision("a")], [reward("a", 1, metrics={f"m{i}": 1.0 for i in range(201)})])
    with pytest.raises(LogError, match="201 metrics"):
        joined(folder)


def test_what_cannot_be_joined(tmp_path: Path) -> None:
    folder = log(tmp_path / "log", [decision("a")], [])
    with pytest.raises(LogError, match="no decision of 2026-01-09"):
        join(folder, "2026-01-09", out=tmp_path / "out")
    for wrong in ({"wait": "soon"}, {"reward": "mean"}, {"default": math.nan}, {"activation": "maybe"}):
        with pytest.raises(OptionError):
            join(folder, DATE, out=tmp_path / "out", **wrong)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="date"):
        join(folder, "yesterday", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "out" / f"date={DATE}").mkdir(parents=True)
    (tmp_path / "out" / f"date={DATE}" / "mine.txt").write_text("precious")
    with pytest.raises(OutputError):
        join(folder, DATE, out=tmp_path / "out")
    assert (tmp_path / "out" / f"date={DATE}" / "mine.txt").exists()


# The same again


def test_the_same_bytes_again_and_in_any_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    decisions = [decision(f"d{i}", float(rng.random() * 23)) for i in range(400)]
    rewards = [reward(f"d{rng.integers(500)}", float(rng.random() * 60), float(rng.random()), metrics={"m": float(rng.random())}) for _ in range(3_000)]  # fmt: skip
    one = log(tmp_path / "one", decisions, rewards)
    first, _ = joined(one)
    before = {file.name: file.read_bytes() for file in (one / "joined" / f"date={DATE}").iterdir()}
    second, _ = joined(one)
    assert first == second
    assert before == {file.name: file.read_bytes() for file in (one / "joined" / f"date={DATE}").iterdir()}
    assert set(before) == {"log.parquet", "_late.parquet", "_unknown.parquet", "_report.json"}
    other = tmp_path / "other"
    for part in range(4):  # other segments, in another order
        log(other, decisions[part::4][::-1], rewards[3 - part :: 4])
    third, _ = joined(other)
    assert third == first
    assert (other / "joined" / f"date={DATE}" / "log.parquet").read_bytes() == before["log.parquet"]
    assert json.loads(before["_report.json"])["rewards_used"] == first.rewards_used


def test_open_segments_are_joined_too(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        row = {name: [value] for name, value in decision("a").items()}
        journal.append("decisions", row, SCHEMA).result(30)
        journal.append("rewards", {name: [value] for name, value in reward("a", 1).items()}).result(30)
        report, rows = joined(tmp_path)
        assert (report.open_segments, rows[0]["reward"]) == (2, 1.0)
    report, again = joined(tmp_path)
    assert report.open_segments == 0
    assert again == rows


# Against a plain one

names = st.sampled_from(["a", "b", "c", "d", "e"])
hours = st.sampled_from([-25.0, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 23.5, 24.0, 24.5, 26.0, 47.0, 48.0, 50.0, 72.0])
decision_rows = st.builds(
    decision, names, hours, action=st.sampled_from(["send", "hold"]), fallback=st.booleans(), age=st.floats(0, 1)
)
metrics = st.dictionaries(st.sampled_from(["tapped", "activated"]), st.sampled_from([0.0, 1.0, math.nan]), max_size=2)
reward_rows = st.builds(
    reward,
    st.sampled_from(["a", "b", "c", "d", "e", "ghost"]),
    hours,
    st.sampled_from([None, 0.0, 1.0, -2.5, math.nan]),
    reward_id=st.sampled_from([None, None, "r", "s"]),
    metrics=metrics,
)
rules_of = st.fixed_dictionaries(
    {
        "wait": st.sampled_from(["30m", "1h", "24h", "25h"]),
        "reward": st.sampled_from(["sum", "first", "last", "max"]),
        "default": st.sampled_from([0.0, 0.25]),
        "watermark": st.sampled_from([0.5, 1.5, 24.0, 48.0, 96.0, 500.0]).map(at),
        "fallbacks": st.booleans(),
        "activation": st.sampled_from(["reported", "required"]),
    }
)
WAITS = {"30m": HOUR // 2, "1h": HOUR, "24h": 24 * HOUR, "25h": 25 * HOUR}
DAY = 24 * HOUR


def plainly(decisions: list[dict[str, Any]], rewards: list[dict[str, Any]], rules: dict[str, Any]) -> dict[str, Any]:
    """The same join, row by row."""
    wait = WAITS[rules["wait"]]
    reach = 1 + wait // DAY
    watermark = min(int(rules["watermark"].timestamp()) * 1_000_000, START_US + (reach + 1) * DAY)

    def days(row: dict[str, Any]) -> int:
        return (row["time"] - START_US) // DAY

    near = [(row["time"], place) for place, row in enumerate(decisions) if -reach <= days(row) <= 1]
    first: dict[str, int] = {}
    for _, place in sorted(near):
        first.setdefault(decisions[place]["decision_id"], place)
    seen: set[Any] = set()
    counts = dict.fromkeys(("used", "late", "unknown", "repeated", "ahead"), 0)
    events: dict[str, list[dict[str, Any]]] = {}
    for _, place in sorted((row["time"], place) for place, row in enumerate(rewards) if -1 <= days(row) <= reach):
        row, name = rewards[place], rewards[place]["decision_id"]
        value = row["value"] if row["value"] is not None and math.isfinite(row["value"]) else None
        key = (name, row["reward_id"]) if row["reward_id"] else (name, row["time"], value, str(row["metrics"]))
        again, home = key in seen, decisions[first[name]] if name in first else None
        seen.add(key)
        if days(home or row) != 0:
            continue
        if row["time"] > watermark:
            counts["ahead"] += 1
        elif again:
            counts["repeated"] += 1
        elif home is None:
            counts["unknown"] += 1
        elif row["time"] > home["time"] + wait:
            counts["late"] += 1
        else:
            counts["used"] += 1
            events.setdefault(name, []).append(row | {"value": value})
    rows, fates = [], dict.fromkeys(("held_back", "fallback", "never", "written"), 0)
    for name, place in sorted(first.items(), key=lambda one: (decisions[one[1]]["time"], one[0])):
        row = decisions[place]
        if days(row) != 0:
            continue
        mine = events.get(name, [])
        said = [e["metrics"]["activated"] for e in mine if math.isfinite(e["metrics"].get("activated", math.nan))]
        active = max(said) > 0 if said else rules["activation"] == "reported"
        if row["time"] + wait > watermark:
            fates["held_back"] += 1
        elif row["fallback"] and not rules["fallbacks"]:
            fates["fallback"] += 1
        elif not active:
            fates["never"] += 1
        else:
            fates["written"] += 1
            values = [e["value"] for e in mine if e["value"] is not None]
            taps = [e["metrics"]["tapped"] for e in mine if math.isfinite(e["metrics"].get("tapped", math.nan))]
            how = {"sum": sum, "max": max, "first": lambda v: v[0], "last": lambda v: v[-1]}[rules["reward"]]
            outcome = how(values) if values else rules["default"]
            rows.append((name, row["action"], row["age"], outcome, how(taps) if taps else 0.0))
    duplicates = sum(days(row) == 0 for row in decisions) - sum(fates.values())
    return {"rows": rows, "counts": counts, "fates": fates, "duplicates": duplicates}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])  # fmt: skip
@given(
    decisions=st.lists(decision_rows, max_size=14),
    rewards=st.lists(reward_rows, max_size=30),
    rules=rules_of,
)
def test_against_a_plain_join(
    tmp_path: Path, decisions: list[dict[str, Any]], rewards: list[dict[str, Any]], rules: dict[str, Any]
) -> None:
    decisions = [decision("sure", 0.25), *decisions]  # a day without decisions is refused
    folder = tmp_path / "log"
    shutil.rmtree(folder, ignore_errors=True)
    report, rows = joined(log(folder, decisions, rewards), **rules)
    expected = plainly(decisions, rewards, rules)
    found = [(r["decision_id"], r["action"], r["age"], r["reward"], r.get("tapped", 0.0)) for r in rows]
    assert found == expected["rows"]
    assert {name: getattr(report, f"rewards_{name}") for name in expected["counts"]} == expected["counts"]
    assert report.duplicate == expected["duplicates"]
    assert expected["fates"] == {
        "held_back": report.held_back,
        "fallback": report.fallback_excluded,
        "never": report.never_activated,
        "written": report.written,
    }
    assert (len(aside(folder, "late")), len(aside(folder, "unknown"))) == (report.rewards_late, report.rewards_unknown)


# What reads it


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of decisions and their joined logs."""
    folder = tmp_path_factory.mktemp("days")
    rng = np.random.default_rng(1)
    decisions = [
        decision(f"d{i}", i / 50, action=str(rng.choice(["send", "hold"])), age=float(rng.random()), unit=f"u{i % 300}")
        for i in range(2_400)
    ]
    rewards = [reward(f"d{i}", i / 50 + 0.1, metrics={"tapped": 1.0}) for i in range(0, 2_400, 3)]
    log(folder, decisions, rewards)
    for day in ("2026-01-05", "2026-01-06"):
        join(folder, day, out=folder / "joined", wait="1h")
    return folder / "joined"


def test_the_log_is_read_as_it_is(days: Path) -> None:
    for source, rows in ((days, 2_400), (days / f"date={DATE}", 1_200), (days / f"date={DATE}" / "log.parquet", 1_200)):
        read = jumar.read_log(source)
        assert read.rows == rows
        assert [feature.name for feature in read.schema.features] == ["age"]
        roles = read.schema.roles
        assert (roles.decision_id, roles.unit, roles.time, roles.action) == ("decision_id", "unit", "time", "action")
        assert (roles.propensity, roles.pmf, roles.reward) == ("propensity", "pmf", "reward")


def test_what_is_no_feature_can_be_named(days: Path) -> None:
    read = jumar.read_log(days, reward="tapped", features=["age", "policy", "exploration"], categorical=["exploration"])
    assert read.schema.roles.reward == "tapped"
    assert [metric.name for metric in jumar.read_log(days, metrics=["tapped"]).metrics] == ["tapped"]
    assert {feature.name for feature in jumar.read_log(days, categorical=["fallback"]).schema.features} == {"age"}


def test_a_pmf_that_lists_an_action_never_taken_is_kept_but_not_read(tmp_path: Path) -> None:
    decisions = [
        decision(f"d{i}", i / 100, action=("send", "hold")[i % 2], pmf=[0.25, 0.25, 0.5], propensity=0.5, age=float(i))
        for i in range(20)
    ]
    report, rows = joined(log(tmp_path, decisions, []), wait="1h")
    assert not report.pmf
    assert rows[0]["pmf"] == [0.25, 0.25, 0.5]
    assert jumar.read_log(tmp_path / "joined").schema.roles.pmf is None


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = log(tmp_path / "log", [decision("a"), decision("b", 1)], [reward("a", 1)])
    words = ["join", str(folder), "--date", DATE, "--out", str(tmp_path / "out"), "--wait", "1h"]
    assert cli.main([*words, "--json"]) == cli.CERTIFIED
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((tmp_path / "out" / f"date={DATE}" / "_report.json").read_text())
    assert (told["written"], told["rewarded"]) == (2, 1)
    assert cli.main([*words, "--watermark", "2026-01-05T01:30:00"]) == cli.CERTIFIED
    shown = capsys.readouterr().out
    assert "1 decisions" in shown
    assert "Not final" in shown
    assert "window still open" in shown
    for wrong in (["--watermark", "noon"], ["--wait", "soon"], ["--reward", "mean"], ["--date", "2026-02-30"]):
        assert cli.main([*words, *wrong]) == cli.BAD_INPUT
