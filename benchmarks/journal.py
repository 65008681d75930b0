"""Durable appends per second: 64 callers, each of whom waits for its reply before it sends the next row.

In: how many rows. Out: a table; it exits 1 if a target was missed. Everything runs in one process on one core: the
callers are asyncio tasks, so their work counts too. The peers do the same on the same disk: SQLite in WAL mode with
synchronous=FULL, once with the same group commit behind it and once with a transaction for each row; and a plain file
with a flush for each row. "commit" is the time from a group's first byte of work to its last reply; the disk's own
flush is printed beside it, because no commit can be faster.
Run: python benchmarks/journal.py [--rows 60000] [--callers 64] [--folder .]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jumar.serve.journal import Journal, decisions_schema
from jumar.serve.journal.lane import Lane
from table import Row, print_head, print_table, use_cores

RATE_LEAST, COMMIT_P99_MS, FEATURES = 10_000.0, 5.0, 8
SCHEMA = decisions_schema(
    pa.string(),
    pa.schema([*((f"x{i}", pa.float64()) for i in range(FEATURES)), ("kind", pa.string()), ("device", pa.string())]),
)
Write = Callable[[dict[str, list[Any]]], Awaitable[None]]
Waiting = tuple[dict[str, list[Any]], "asyncio.Future[None]"]


def row(number: int) -> dict[str, list[Any]]:
    plain = {
        "decision_id": [f"d{number:012d}"],
        "unit": [f"u{number % 9973}"],
        "time": [1_767_571_200_000_000 + number],
        "action": ["send"],
        "propensity": [0.9],
        "pmf": [[0.1, 0.9]],
        "policy": ["0123456789abcdef"],
        "exploration": ["floor"],
        "fallback": [False],
        "fallback_reason": [None],
        "kind": ["returning"],
        "device": ["phone"],
    }
    return plain | {f"x{i}": [number * 0.5] for i in range(FEATURES)}


class Sqlite:
    """The peer: whole rows as JSON in one table; a group, or one row, to a transaction."""

    def __init__(self, path: Path, *, grouped: bool) -> None:
        self._path, self._grouped = path, grouped
        self._change, self._closing = threading.Condition(), False
        self._waiting: list[Waiting] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def write(self, columns: dict[str, list[Any]]) -> Awaitable[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._change:
            self._waiting.append((columns, future))
            self._change.notify()
        return future

    def close(self) -> None:
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join()

    def _run(self) -> None:
        base = sqlite3.connect(self._path, isolation_level=None)
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("PRAGMA synchronous = FULL")
        base.execute("CREATE TABLE decisions (decision_id TEXT, body TEXT)")
        while True:
            with self._change:
                while not self._waiting and not self._closing:
                    self._change.wait()
                group, self._waiting = self._waiting, []
            if not group:
                base.close()
                return
            for part in [group] if self._grouped else [[one] for one in group]:
                base.execute("BEGIN")
                base.executemany(
                    "INSERT INTO decisions VALUES (?, ?)",
                    [(columns["decision_id"][0], json.dumps(columns)) for columns, _ in part],
                )
                base.execute("COMMIT")
                part[0][1].get_loop().call_soon_threadsafe(answer, part)


def answer(part: list[Waiting]) -> None:
    for _, future in part:
        future.set_result(None)


class FlushEach:
    """A file, a line of JSON and a flush for each row."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    async def write(self, columns: dict[str, list[Any]]) -> None:
        os.write(self._handle, json.dumps(columns).encode() + b"\n")
        os.fdatasync(self._handle)

    def close(self) -> None:
        os.close(self._handle)


async def drive(write: Write, rows: int, callers: int) -> tuple[float, np.ndarray]:
    """Rows per second, and how long each caller waited."""
    waits: list[float] = []
    numbers = iter(range(rows))

    async def caller() -> None:
        for number in numbers:
            start = time.perf_counter()
            await write(row(number))
            waits.append(time.perf_counter() - start)

    tasks: list[Awaitable[None]] = [caller() for _ in range(callers)]
    start = time.perf_counter()
    await asyncio.gather(*tasks)
    return rows / (time.perf_counter() - start), np.asarray(waits) * 1e3


async def warm_up() -> None:
    """What is loaded at the first use is not what is measured."""
    with tempfile.TemporaryDirectory() as name, Journal(name) as journal:
        await journal.write("decisions", row(0), SCHEMA)


def flush_ms(folder: Path) -> np.ndarray:
    """What the disk takes to make twelve kilobytes durable in a file with room set aside."""
    path, data, found = folder / "flush", bytes(12_288), []
    handle = os.open(path, os.O_CREAT | os.O_RDWR)
    os.posix_fallocate(handle, 0, 8 << 20)
    os.fsync(handle)
    for place in range(300):
        start = time.perf_counter()
        os.pwrite(handle, data, place * len(data))
        os.fdatasync(handle)
        found.append(time.perf_counter() - start)
    os.close(handle)
    path.unlink()
    return np.asarray(found) * 1e3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="on the disk to be measured")
    given = parser.parse_args()
    use_cores(1)
    sys.setswitchinterval(0.0005)  # as the service does: with one core, whoever commits waits for it
    print_head()
    found: list[Row] = []
    asyncio.run(warm_up())
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        place = Path(name)
        disk = flush_ms(place)
        found.append(Row("the disk's own flush, median and 99th percentile", words(disk)))
        rate, waits, commits, busy = ours(place / "log", given.rows, given.callers)
        met = bool(np.percentile(commits, 99) <= COMMIT_P99_MS)
        found += [
            Row(f"journal, {given.callers} callers", f"{rate:,.0f} rows/s", f"≥ {RATE_LEAST:,.0f}", rate >= RATE_LEAST),
            Row("    a commit", words(commits), f"99% ≤ {COMMIT_P99_MS:.0f} ms", met),
            Row("    a caller's wait", words(waits)),
            Row("    processor time a row, callers included", f"{busy / given.rows * 1e6:.0f} µs"),
        ]
        for what, peer, rows in (
            ("SQLite, WAL, FULL, group commit", Sqlite(place / "grouped.db", grouped=True), given.rows),
            ("SQLite, WAL, FULL, a row at a time", Sqlite(place / "single.db", grouped=False), given.rows // 40),
            ("a file, a flush for each row", FlushEach(place / "lines"), given.rows // 40),
        ):
            theirs, waits = asyncio.run(drive(peer.write, rows, given.callers))
            peer.close()
            found.append(Row(f"{what}: ours / theirs", f"{theirs:,.0f} rows/s, {rate / theirs:.1f}"))
            found.append(Row("    a caller's wait", words(waits)))
    return print_table(found)


def ours(folder: Path, rows: int, callers: int) -> tuple[float, np.ndarray, np.ndarray, float]:
    """Rate, waits, commits, and processor seconds."""
    commits: list[float] = []
    real = Lane._commit

    def timed(lane: Lane, group: Any) -> None:
        start = time.perf_counter()
        real(lane, group)
        commits.append(time.perf_counter() - start)

    Lane._commit = timed  # type: ignore[method-assign]
    with Journal(folder) as journal:
        start = time.process_time()
        rate, waits = asyncio.run(drive(lambda columns: journal.write("decisions", columns, SCHEMA), rows, callers))
        busy = time.process_time() - start
    Lane._commit = real  # type: ignore[method-assign]
    return rate, waits, np.asarray(commits) * 1e3, busy


def words(times: np.ndarray) -> str:
    return f"{np.percentile(times, 50):.2f}, {np.percentile(times, 99):.2f} ms"


if __name__ == "__main__":
    sys.exit(main())
