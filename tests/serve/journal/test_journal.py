"""The durable log: nothing is acknowledged that is not on disk, and everything is once that is."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jumar.errors import OptionError
from jumar.serve.journal import Journal, JournalError, decisions_schema, recover
from jumar.serve.journal import segment as segments
from jumar.serve.journal.frames import scan

from . import DAY, SCHEMA, batch, decisions, numbers, rewards, sealed


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        futures = [
            journal.append("decisions", decisions([0, 1]), SCHEMA),
            journal.append("decisions", batch([2, 3, 4])),
            journal.append("decisions", decisions([5]), SCHEMA),
            journal.append("rewards", rewards([1, 2])),
        ]
        assert [future.result(30) for future in futures] == [None] * 4
    table = sealed(tmp_path)
    assert table.select(SCHEMA.names).to_pylist() == batch(range(6)).to_pylist()
    assert table["__sequence"].to_pylist() == list(range(6))
    assert set(table["__writer"].to_pylist()) == {journal.writer}
    assert sealed(tmp_path, "rewards")["metrics"].to_pylist() == [[("tapped", 1.0)], [("tapped", 0.0)]]
    assert [file.name for file in (tmp_path / "decisions").iterdir()] == [f"date={DAY}"]
    assert not list((tmp_path / "open").iterdir())


def test_what_is_acknowledged_is_in_the_open_segment(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        for i in range(5):
            journal.append("decisions", decisions([i]), SCHEMA).result(30)
            (path,) = (tmp_path / "open").iterdir()
            assert scan(path.read_bytes()).rows == i + 1
            assert path.name == f"decisions-{journal.writer}-000001.arrows"


def test_many_callers_share_few_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, begun = os.fdatasync, threading.Event()

    def sync(handle: int) -> None:
        begun.set()
        time.sleep(0.05)
        slow(handle)

    monkeypatch.setattr(os, "fdatasync", sync)
    with Journal(tmp_path) as journal:
        first = journal.append("decisions", decisions([0]), SCHEMA)
        begun.wait(30)
        rest = [journal.append("decisions", decisions([i]), SCHEMA) for i in range(1, 200)]
        assert not any(future.done() for future in rest)
        wait([first, *rest], 30)
        assert journal.counts.groups <= 4
        assert journal.counts.rows == 200
    assert sealed(tmp_path)["decision_id"].to_pylist() == [f"d{i}" for i in range(200)]


def test_one_bad_append_does_not_spoil_the_group(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        futures: list[Future[None]] = []
        for i in range(6):
            futures.append(journal.append("decisions", decisions([i]), SCHEMA))
            futures.append(journal.append("decisions", decisions([100 + i], propensity=["much"]), SCHEMA))
        futures.append(journal.append("decisions", decisions([200], time=[None]), SCHEMA))
        futures.append(journal.append("decisions", decisions([201], time=[-5]), SCHEMA))
        errors = [future.exception(30) for future in futures]
    assert all(error is None for error in errors[0:12:2])
    assert all(isinstance(error, JournalError) for error in [*errors[1:12:2], *errors[12:]])
    assert numbers(tmp_path) == list(range(6))
    assert sealed(tmp_path)["__sequence"].to_pylist() == list(range(6))
    assert recover(tmp_path).gaps == {}


@pytest.mark.parametrize(
    ("stream", "rows", "schema"),
    [
        ("decision", decisions([0]), SCHEMA),
        ("decisions", decisions([0]), None),
        ("decisions", decisions([0], age=[]), SCHEMA),
        ("decisions", decisions([0], more=[1]), SCHEMA),
        ("decisions", {"decision_id": ["a"]}, SCHEMA),
        ("rewards", {"decision_id": ["a"]}, pa.schema([("decision_id", pa.string())])),
        ("rewards", rewards([0]) | {"__x": [1]}, pa.schema([*SCHEMA, ("__x", pa.int64())])),
    ],
)
def test_misuse_is_refused_at_once(tmp_path: Path, stream: Any, rows: Any, schema: Any) -> None:
    with Journal(tmp_path) as journal, pytest.raises(JournalError):
        journal.append(stream, rows, schema)


def test_schemas_that_no_log_can_hold() -> None:
    for name, kind in (
        ("Unit", pa.string()),
        ("__x", pa.string()),
        ("reward", pa.float64()),
        ("x", pa.dictionary(pa.int8(), pa.string())),
    ):
        with pytest.raises(JournalError):
            decisions_schema(pa.string(), pa.schema([(name, kind)]))


def test_arguments_are_checked(tmp_path: Path) -> None:
    wrong: list[dict[str, Any]] = [{"writer": "a/b"}, {"segment_rows": 0}, {"loss_window_s": float("nan")}]
    for given in wrong:
        with pytest.raises(OptionError):
            Journal(tmp_path, **given)
    journal = Journal(tmp_path)
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.append("decisions", decisions([0]), SCHEMA)
    journal.close()
    assert Journal(tmp_path).append("decisions", decisions([]), SCHEMA).result(0) is None


def test_segments_end_by_rows(tmp_path: Path) -> None:
    with Journal(tmp_path, segment_rows=10) as journal:
        for i in range(35):
            journal.append("decisions", decisions([i]), SCHEMA).result(30)
        assert journal.counts.rows == 35
    assert len(list((tmp_path / "decisions" / f"date={DAY}").iterdir())) == 4
    assert sealed(tmp_path)["__sequence"].to_pylist() == list(range(35))
    assert recover(tmp_path).segments == 0


def test_segments_end_by_seconds_while_nobody_appends(tmp_path: Path) -> None:
    with Journal(tmp_path, segment_seconds=0.05) as journal:
        journal.append("decisions", decisions([0]), SCHEMA).result(30)
        for _ in range(500):
            if journal.counts.sealed:
                break
            time.sleep(0.02)
        assert numbers(tmp_path) == [0]


def test_segments_end_with_the_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jumar.serve.journal import lane

    with Journal(tmp_path) as journal:
        journal.append("decisions", decisions([0]), SCHEMA).result(30)
        monkeypatch.setattr(lane, "today", lambda: segments.today() + 1)
        journal.append("decisions", decisions([1]), SCHEMA).result(30)
        monkeypatch.undo()
        journal.append("decisions", decisions([2]), SCHEMA).result(30)
    assert len(list((tmp_path / "decisions" / f"date={DAY}").iterdir())) == 2


def test_dates_are_those_of_the_rows_and_a_clock_set_back_is_counted(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.append("decisions", decisions([0, 86_399, 86_400]), SCHEMA).result(30)
        assert journal.counts.behind == 1  # seen from the newest row, a minute or more
        journal.append("decisions", decisions([86_401, -1]), SCHEMA).result(30)
        assert journal.counts.behind == 2
    days = {file.parent.name: file.name for file in (tmp_path / "decisions").glob("*/*")}
    assert sorted(days) == ["date=2026-01-04", "date=2026-01-05", "date=2026-01-06"]
    assert len(set(days.values())) == 1
    assert sealed(tmp_path)["__sequence"].to_pylist() == [0, 1, 2, 3, 4]
    assert recover(tmp_path).gaps == {}


def test_two_schemas_at_once_are_two_writers(tmp_path: Path) -> None:
    other = decisions_schema(pa.string(), pa.schema([("age", pa.float64())]))
    with Journal(tmp_path) as journal:
        for i in range(10):
            plain = decisions([i])
            if i % 2:
                plain.pop("kind")
            journal.append("decisions", plain, other if i % 2 else SCHEMA).result(30)
    table = sealed(tmp_path)
    assert set(table["__writer"].to_pylist()) == {journal.writer, f"{journal.writer}.2"}
    assert table["__sequence"].to_pylist() == [*range(5), *range(5)]
    assert len(list((tmp_path / "decisions" / f"date={DAY}").iterdir())) == 2


def test_many_schemas_take_turns(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        futures = []
        for i in range(40):
            name = f"x{i % 12}"
            schema = decisions_schema(pa.string(), pa.schema([(name, pa.int64())]))
            plain = {k: v for k, v in decisions([i]).items() if k not in ("age", "kind")} | {name: [i]}
            futures.append(journal.append("decisions", plain, schema))
        assert all(future.exception(30) is None for future in futures)
        assert journal.counts.rows == 40
    assert numbers(tmp_path) == list(range(40))
    assert recover(tmp_path).gaps == {}


def test_metadata_of_a_schema_are_no_other_schema(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.append("decisions", batch([0]).replace_schema_metadata({"a": "b"})).result(30)
        journal.append("decisions", batch([1])).result(30)
        journal.append("decisions", decisions([2]), SCHEMA.with_metadata({"c": "d"})).result(30)
    assert set(sealed(tmp_path)["__writer"].to_pylist()) == {journal.writer}


def test_too_much_waiting_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go, slow = threading.Event(), os.fdatasync

    def stuck(handle: int) -> None:
        go.wait(30)
        slow(handle)

    monkeypatch.setattr(os, "fdatasync", stuck)
    with Journal(tmp_path, most_waiting=10) as journal:
        futures = [journal.append("decisions", decisions([i]), SCHEMA) for i in range(40)]
        refused = [future for future in futures if future.done()]
        assert len(refused) >= 40 - 2 * 10 - 1
        go.set()
    assert all(isinstance(future.exception(), JournalError) for future in refused)
    assert len(numbers(tmp_path)) == 40 - len(refused)


def test_asynchronous_appends_are_flushed_within_the_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushes: list[float] = []
    slow = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda handle: (flushes.append(time.monotonic()), slow(handle)))
    with Journal(tmp_path, durable=False, loss_window_s=0.2) as journal:
        begun = time.monotonic()
        for i in range(50):
            journal.append("decisions", decisions([i]), SCHEMA).result(30)
        (path,) = (tmp_path / "open").iterdir()
        assert scan(path.read_bytes()).rows == 50  # the operating system has them already
        while not flushes and time.monotonic() < begun + 30:
            time.sleep(0.02)
        assert flushes
        assert flushes[0] - begun >= 0.2
        assert len(flushes) <= 1 + (time.monotonic() - begun) / 0.2
    assert numbers(tmp_path) == list(range(50))


def test_from_many_threads(tmp_path: Path) -> None:
    with Journal(tmp_path, segment_rows=70) as journal:

        def work(first: int) -> None:
            for i in range(first, first + 40):
                journal.append("decisions", decisions([i]), SCHEMA).result(30)

        threads = [threading.Thread(target=work, args=(1_000 * k,)) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    table = sealed(tmp_path)
    assert numbers(tmp_path) == sorted(1_000 * k + i for k in range(8) for i in range(40))
    assert table["__sequence"].to_pylist() == list(range(320))
    for k in range(8):  # each caller's rows in the order in which it appended them
        mine = [int(name[1:]) for name in table["decision_id"].to_pylist() if int(name[1:]) // 1_000 == k]
        assert mine == sorted(mine)


def test_large_appends(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        rows = batch(range(50_000))
        journal.append("decisions", rows).result(60)
        journal.append("decisions", rows.slice(10, 3)).result(60)
    assert np.array_equal(sealed(tmp_path)["__sequence"].to_numpy(), np.arange(50_003))
    assert sealed(tmp_path)["decision_id"].to_pylist()[-3:] == ["d10", "d11", "d12"]


def test_callers_in_an_event_loop(tmp_path: Path) -> None:
    async def many() -> list[BaseException | None]:
        with Journal(tmp_path) as journal:
            bad = journal.write("decisions", decisions([100], propensity=["much"]), SCHEMA)
            good = [journal.write("decisions", decisions([i]), SCHEMA) for i in range(50)]
            cancelled = asyncio.ensure_future(journal.write("decisions", decisions([50]), SCHEMA))
            await asyncio.sleep(0)
            cancelled.cancel()
            await journal.write("decisions", decisions([]), SCHEMA)
            return await asyncio.gather(bad, *good, cancelled, return_exceptions=True)

    found = asyncio.run(many())
    assert isinstance(found[0], JournalError)
    assert found[1:-1] == [None] * 50
    assert isinstance(found[-1], asyncio.CancelledError)
    assert numbers(tmp_path) == list(range(51))


def test_a_loop_that_is_gone_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go, slow = threading.Event(), os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda handle: (go.wait(30), slow(handle)))
    with Journal(tmp_path) as journal:

        async def leave() -> None:
            task = asyncio.ensure_future(journal.write("decisions", decisions([0]), SCHEMA))
            await asyncio.sleep(0.01)
            task.cancel()

        asyncio.run(leave())
        go.set()
        journal.append("decisions", decisions([1]), SCHEMA).result(30)
    assert numbers(tmp_path) == [0, 1]
