"""Timelines by hand: order, ends, silence, what is open, and what is counted on the way."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose

import jumar
from jumar.errors import LogError, OptionError
from jumar.logs import Log, Timeline, asked_timeline, timeline_of

DAY = 86_400
NAN = float("nan")


def log_of(rows: list[tuple[str, float, str, float]], done: list[bool] | None = None, **more: Any) -> Log:
    unit, time, name, reward = zip(*rows, strict=True)
    columns: dict[str, Any] = {
        "unit": list(unit),
        "time": list(time),
        "decision_id": list(name),
        "reward": list(reward),
        "action": ["x", "y"] * (len(rows) // 2) + ["x"] * (len(rows) % 2),
        "f": [float(i) for i in range(len(rows))],
    }
    if done is not None:
        columns["done"] = done
    return jumar.read_log(pa.table(columns), end="done" if done is not None else None, **more)


ROWS = [
    ("a", 0.0, "p", 0.0),
    ("a", 1.0 * DAY, "q", 1.0),
    ("a", 4.0 * DAY, "r", 0.0),
    ("b", 0.0, "s", 1.0),
    ("b", 2.0 * DAY, "t", 1.0),
    ("c", 30.0 * DAY, "u", 0.0),
]
DONE = [False, False, False, False, True, False]


def found(log: Log, timeline: Timeline, *names: str) -> dict[str, list[Any]]:
    table = log.origin.arrow(log.timelines(timeline, following=["f"]).order_by("f"))
    return {name: table[name].to_pylist() for name in names}


def discounts(log: Log, timeline: Timeline) -> list[float]:
    return [NAN if one is None else one for one in found(log, timeline, "__discount")["__discount"]]


def test_a_discount_for_each_decision():
    # Without a gap nobody knows whether a unit's last decision was the end of its story.
    assert_allclose(discounts(log_of(ROWS, DONE), timeline_of(0.9)), [0.9, 0.9, NAN, 0.9, 0.0, NAN])


def test_a_discount_for_elapsed_time():
    # b's first decision is two days before the next: 0.81. a's last lies 26 days before the log's end, longer than the
    # gap of 3 days; its second is 3 days before the next, which is not longer.
    assert_allclose(discounts(log_of(ROWS, DONE), timeline_of(0.9, "day", "3d")), [0.9, 0.729, 0.0, 0.81, 0.0, NAN])
    assert_allclose(discounts(log_of(ROWS, DONE), timeline_of(0.9, "day", "2 days")), [0.9, 0.0, 0.0, 0.81, 0.0, NAN])


def test_silence_that_leaves_nothing_to_come_is_an_end():
    # ½ a day: after 26 days 1.5e-8 of anything is left; 0.95 a day leaves 26%.
    assert discounts(log_of(ROWS), timeline_of(0.5, "day"))[2] == 0.0
    assert np.isnan(discounts(log_of(ROWS), timeline_of(0.95, "day"))[2])


def test_the_next_state_is_the_units_own():
    log = log_of(ROWS, DONE)
    names = ("__wait", "__next_f")
    assert found(log, timeline_of(0.9, "day", "3d"), *names) == {
        "__wait": [1.0 * DAY, 3.0 * DAY, None, 2.0 * DAY, None, None],
        "__next_f": [1.0, 2.0, None, 4.0, None, None],  # none behind an end, none where it is open
    }


def test_time_rules_over_the_order_of_rows_and_ids_over_ties():
    rows = [
        ("a", 2.0, "z", 0.0),
        ("a", 1.0, "y", 0.0),
        ("a", 2.0, "x", 0.0),
        ("b", 0.0, "w", 0.0),
        ("b", 3.0, "v", 0.0),
    ]
    log = log_of(rows)
    # y at 1, then x and z at 2: x comes first by its id.
    assert found(log, timeline_of(0.9), "__next_f")["__next_f"] == [None, 2.0, 0.0, 4.0, None]
    counts = log.timeline_counts(timeline_of(0.9))
    assert (counts.ties, counts.disordered, counts.units, counts.longest) == (1, 1, 2, 3)
    assert any("Ids rule" in said for said in counts.sentences)
    assert any("Time rules" in said for said in counts.sentences)


def test_counts():
    counts = log_of(ROWS, DONE).timeline_counts(timeline_of(0.9, "day", "2d"))
    assert (counts.rows, counts.units, counts.alone, counts.longest) == (6, 3, 1, 3)
    assert (counts.flagged, counts.silent, counts.lapsed, counts.open) == (1, 1, 1, 1)
    plain = log_of(ROWS[:2], [False, True]).timeline_counts(timeline_of(0.9))
    assert plain.sentences == []


def test_decisions_after_a_flag_begin_a_new_episode_and_are_counted():
    log = log_of(ROWS, [False, True, False, False, True, False])
    assert_allclose(discounts(log, timeline_of(0.9, gap="40d")), [0.9, 0.0, NAN, 0.9, 0.0, NAN])
    counts = log.timeline_counts(timeline_of(0.9, gap="40d"))
    assert counts.after_flag == 1
    assert any("They begin new episodes" in said for said in counts.sentences)


def test_what_counts_for_next_to_nothing_is_said():
    # A second for γ: a day later e^(−86,400·0.105) of anything is left, so that nothing is followed at all.
    counts = log_of(ROWS, DONE).timeline_counts(timeline_of(0.9, "second"))
    assert (counts.faded, counts.flagged, counts.silent, counts.lapsed, counts.open) == (3, 1, 0, 1, 1)
    assert any("less than a hundredth of it counts: 3." in said for said in counts.sentences)
    assert any("count as ends: 1." in said for said in counts.sentences)
    # Silence is an end of its own, and a discount of 0 was asked for.
    assert log_of(ROWS, DONE).timeline_counts(timeline_of(0.9, "second", "2d")).faded == 2
    none = log_of(ROWS, DONE).timeline_counts(timeline_of(0.0, "second", "2d"))
    assert (none.faded, none.silent) == (0, 1)


def test_a_discount_next_to_one_is_not_called_one():
    assert timeline_of(0.95, "day").words == "0.95 per day"
    assert timeline_of(0.999_999_999_9).words == "0.9999999999 per decision"


@pytest.mark.parametrize("following", [["nope"], ["f", "__wait"], ["__next_f"]])
def test_a_next_state_that_does_not_exist(following: list[str]):
    with pytest.raises(LogError, match="in the canonical log"):
        log_of(ROWS).timelines(timeline_of(0.9), following=following)


def test_batches_hold_rows():
    with pytest.raises(OptionError, match="one row or more"):
        next(log_of(ROWS).batches(by_unit=True, batch_rows=0))


def test_rows_come_unit_by_unit_with_what_followed():
    log = log_of(ROWS, DONE)
    timeline = timeline_of(0.9, "day", "3d")
    batches = list(log.batches(by_unit=True, timeline=timeline, columns=["__unit", "f", "__discount"]))
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert sorted(row["f"] for row in rows) == [0, 1, 2, 3, 4, 5]
    for one, then in itertools.pairwise(rows):
        if one["__unit"] == then["__unit"]:
            assert one["f"] < then["f"]


def test_parts_hold_whole_timelines():
    rng = np.random.default_rng(0)
    rows = [(f"u{i}", float(t), f"{i}-{t}", 0.0) for i in range(60) for t in range(int(rng.integers(1, 6)))]
    log = log_of(rows)
    timeline = timeline_of(0.9)
    whole = log.timeline_counts(timeline)
    pieces = []
    for part in ("fit", "stop", "validate", "gate"):
        table = log.timelines(timeline, part)
        opened: Any = table["__discount"].isnull()
        pieces.append(log.origin.one(table.aggregate(n=opened.sum())))
    assert sum(int(piece["n"] or 0) for piece in pieces) == whole.open == 60


@pytest.mark.parametrize("discount", [1.0, 1.5, -0.1, NAN, float("inf"), None, "0.9", False])
def test_discounts_that_are_none(discount: Any):
    with pytest.raises(OptionError, match="from 0 to below 1"):
        timeline_of(discount)


@pytest.mark.parametrize("words", ["soon", "0d", "-3 days", "", 0, NAN, "3 fortnights", True])
def test_durations_that_are_none(words: Any):
    with pytest.raises(OptionError, match="takes a time"):
        timeline_of(0.9, words)
    with pytest.raises(OptionError, match="takes a time"):
        timeline_of(0.9, "day", words)


def test_durations():
    assert timeline_of(0.9, "day").per == timeline_of(0.9, "24h").per == timeline_of(0.9, 86_400).per == DAY
    numbers: Any = (np.float32(0.5), np.int64(14 * DAY))
    assert timeline_of(*numbers) == timeline_of(0.5, "2 weeks")
    assert timeline_of(0.9, "decision").per is None
    assert timeline_of(0.9, "day").horizon == "day"
    assert timeline_of(0.9, "36h").horizon == "129600 seconds"


@pytest.mark.parametrize("asked", [(0.9,), (0.95, "day"), (0.5, "36h", "7d"), (0.0, 90.5, "week"), (1 / 3, None, 1e9)])
def test_flags_ask_for_the_same_timeline(asked: tuple[Any, ...]):
    words = dict(zip(("discount", "per", "gap"), asked, strict=False))
    timeline = timeline_of(**words)
    given = timeline.flags.split()
    found: dict[str, Any] = {flag.removeprefix("--"): word for flag, word in zip(given[::2], given[1::2], strict=True)}
    assert asked_timeline(**found | {"discount": float(found["discount"])}) == timeline


def test_times_without_a_discount_are_none():
    assert asked_timeline(None) is None
    for words in ({"per": "day"}, {"gap": "7d"}):
        with pytest.raises(OptionError, match="needs a discount"):
            asked_timeline(None, **words)


def test_without_units_or_time_there_are_no_timelines():
    log = jumar.read_log(pa.table({"action": ["x", "y"], "reward": [0.0, 1.0], "f": [1.0, 2.0]}))
    with pytest.raises(LogError, match=r"no unit and no time.*--unit and the column of the time with --time"):
        log.timelines(timeline_of(0.9))
    log = jumar.read_log(pa.table({"unit": ["a", "b"], "action": ["x", "y"], "reward": [0.0, 1.0], "f": [1.0, 2.0]}))
    with pytest.raises(LogError, match=r"no time\. Name the column of the time with --time"):
        log.timelines(timeline_of(0.9))


@pytest.mark.parametrize("flags", [[0, 1, 2, 0, 0, 0], [None, True, False, False, False, False]])
def test_flags_that_are_none(flags: list[Any]):
    with pytest.raises(LogError, match="last of its episode"):
        log_of(ROWS, flags)


def test_flags_may_be_numbers():
    assert_allclose(discounts(log_of(ROWS, [0, 0, 0, 0, 1, 0]), timeline_of(0.9)), [0.9, 0.9, NAN, 0.9, 0.0, NAN])  # type: ignore[list-item]


def test_timelines_are_streamed_by_unit_only():
    with pytest.raises(OptionError, match="unit by unit"):
        next(log_of(ROWS).batches(timeline=timeline_of(0.9)))
