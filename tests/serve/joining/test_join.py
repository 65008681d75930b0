"""The join: edges worked out by hand, the same bytes again, and what reads the log that it makes."""

from __future__ import annotations

import datetime
import json
import math
import os
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import jumar
from jumar import cli
from jumar.errors import LogError, OptionError, OutputError
from jumar.serve.join import join, moment
from jumar.serve.join_report import JoinReport
from jumar.serve.journal import Journal, JournalError

from . import COLUMNS, DATE, OWN, SCHEMA, START, aside, at, decision, joined, log, reward

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


@pytest.mark.parametrize(
    ("how", "value", "minutes"), [("sum", 4.0, 9.0), ("first", 3.0, 5.0), ("last", -1.0, 4.0), ("max", 3.0, 5.0)]
)
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
    assert [(row["decision_id"], row["action"], row["reward"]) for row in rows] == [
        ("a", "send", 1.0),
        ("c", "send", 0.0),
    ]
    assert (report.decisions, report.duplicate, report.conflicting, report.written) == (5, 3, 1, 2)
    assert report.policies == {"v1": 1, "v2": 1}


def test_a_reward_before_its_decision_counts(tmp_path: Path) -> None:
    report, rows = joined(log(tmp_path, [decision("a")], [reward("a", -3, 4.0)]))
    assert rows[0]["reward"] == 4.0
    assert (report.rewards_early, report.rewards_used) == (1, 1)


def test_every_reward_is_accounted_for_on_one_day(tmp_path: Path) -> None:
    """Unknown ones on their own day, late ones on their decision's; nothing on two days."""
    decisions = [decision("a", -20), decision("b"), decision("c", 30)]
    rewards = [
        reward("a", 3),
        reward("a", 10),
        reward("b", 30),
        reward("ghost", 1),
        reward("ghost", 25),
        reward("c", 20),
    ]
    folder = log(tmp_path, decisions, rewards)
    found = [join(folder, f"2026-01-0{day}", out=folder / "joined", wait="24h") for day in (4, 5, 6)]
    assert [one.rewards_used for one in found] == [1, 0, 1]
    assert [one.rewards_late for one in found] == [1, 1, 0]
    assert [one.rewards_unknown for one in found] == [0, 1, 1]


def test_decisions_of_the_fallback(tmp_path: Path) -> None:
    decisions = [
        decision("a", fallback=True, fallback_reason="model", propensity=1.0),
        decision("b"),
        decision("c", fallback=None),
    ]
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


@pytest.mark.parametrize("name", ["\0", "a\0b", '%00"; DROP', "\u202e", "'", "\n", "{x}", ":x", "$1"])
def test_no_name_of_a_metric_stops_a_day(tmp_path: Path, name: str) -> None:
    rewards = [reward("a", 1, metrics={name: 2.0, "tapped": 1.0})]
    report, rows = joined(log(tmp_path, [decision("a")], rewards))
    assert set(report.metrics) == {name, "tapped"}
    assert (rows[0][report.metrics[name]], rows[0]["tapped"]) == (2.0, 1.0)


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
    with pytest.raises(OptionError, match="366 days at most"):  # and is not looked for in a billion days
        join(folder, DATE, out=tmp_path / "out", wait="99999999999d")
    with pytest.raises(OptionError, match="beyond the years"):
        join(folder, DATE, out=tmp_path / "out", watermark=moment("0001-01-01T00:00+14:00"))
    with pytest.raises(OptionError, match="date"):
        join(folder, "yesterday", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "out" / f"date={DATE}").mkdir(parents=True)
    (tmp_path / "out" / f"date={DATE}" / "mine.txt").write_text("precious")
    with pytest.raises(OutputError):
        join(folder, DATE, out=tmp_path / "out")
    assert (tmp_path / "out" / f"date={DATE}" / "mine.txt").exists()


@pytest.mark.parametrize("how", ["other columns", "text for numbers", "no numbers", "pipe", "folder", "other span"])
def test_what_no_journal_wrote_is_named(tmp_path: Path, how: str) -> None:
    folder = log(tmp_path, [decision("a")], [])
    (whole,) = (folder / "decisions").glob("date=*/*.parquet")
    stranger = whole.with_name("x.parquet")
    table = pq.ParquetFile(whole).read().replace_schema_metadata(None)
    if how == "pipe":
        os.mkfifo(stranger)
    elif how == "folder":
        stranger.mkdir()
    elif how == "other span":
        pq.write_table(table.replace_schema_metadata({"jumar.segment": "[]"}), stranger)
    elif how == "other columns":
        pq.write_table(table.select(["age"]), stranger)
    elif how == "no numbers":
        pq.write_table(table.drop_columns(["__writer", "__sequence"]), stranger)
    else:
        pq.write_table(table.set_column(2, "time", table["decision_id"]), stranger)
    with pytest.raises(JournalError, match=r"x\.parquet"):
        joined(folder)


# The same again


def test_the_same_bytes_again_and_in_any_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    decisions = [decision(f"d{i}", float(rng.random() * 23)) for i in range(400)]
    rewards = [
        reward(f"d{rng.integers(500)}", rng.random() * 60, rng.random(), metrics={"m": rng.random()})
        for _ in range(3_000)
    ]
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
    assert "No decision of the date has a reward" not in shown
    unrewarded = log(tmp_path / "unrewarded", [decision("a")], [])
    assert cli.main(["join", str(unrewarded), *words[2:]]) == cli.CERTIFIED
    assert "No decision of the date has a reward" in capsys.readouterr().out
    for wrong in (["--watermark", "noon"], ["--wait", "soon"], ["--reward", "mean"], ["--date", "2026-02-30"]):
        assert cli.main([*words, *wrong]) == cli.BAD_INPUT


def test_every_field_of_the_report_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "decision-log.md").read_text()
    table = page.partition("### `_report.json`")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    told = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(told) == sorted(JoinReport.__struct_fields__)


def test_metadata_of_another_making_says_nothing(days: Path, tmp_path: Path) -> None:
    table = pq.ParquetFile(days / f"date={DATE}" / "log.parquet").read().select(["action", "reward", "age", "tapped"])
    for said in (b"not json", b'{"age": 1}', b"[1, 2]", b'["nowhere"]'):
        pq.write_table(table.replace_schema_metadata({"jumar.not_features": said}), tmp_path / "log.parquet")
        assert len(jumar.read_log(tmp_path / "log.parquet").schema.features) == 2
