"""Kill −9 under load: what was acknowledged must be in the joined log, once, and recovery must take no time.

In: how often. Out: a table; it exits 1 if a target was missed. A child appends decisions and their rewards to one log
with small segments, so that sealing is interrupted too, and says which were acknowledged; it is killed at a random
moment; the next child recovers the log, sends everything again that was not acknowledged, as clients do, and goes on.
At the end the date is joined. The control takes one acknowledged row away, and must be noticed.
Run: python benchmarks/kill.py [--kills 100] [--most 0.5]
"""

from __future__ import annotations

import argparse
import datetime
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from jumar.serve.journal import Journal, decisions_schema, recover
from table import Row, print_head, print_table

BACK_WITHIN_S, CALLERS = 2.0, 32
DATE = datetime.date(2026, 1, 5)
START_US = int(datetime.datetime(2026, 1, 5, tzinfo=datetime.UTC).timestamp()) * 1_000_000
SCHEMA = decisions_schema(pa.string(), pa.schema([("hour", pa.float64())]))


def decision(number: int) -> dict[str, list[object]]:
    return {
        "decision_id": [f"d{number}"],
        "unit": [f"u{number % 97}"],
        "time": [START_US + number],
        "action": ["send" if number % 3 else "hold"],
        "propensity": [0.5],
        "pmf": [[0.5, 0.5]],
        "policy": ["0123456789abcdef"],
        "exploration": ["floor"],
        "fallback": [False],
        "fallback_reason": [None],
        "hour": [float(number % 24)],
    }


def reward(number: int) -> dict[str, list[object]]:
    return {
        "decision_id": [f"d{number}"],
        "reward_id": [None],
        "value": [1.0],
        "time": [START_US + number + 5_000_000],
        "metrics": [{"tapped": 1.0}],
    }


def child(folder: Path, told: int, again: list[str], first: int) -> NoReturn:
    """Recover, send again what was not acknowledged, then new rows for ever; each acknowledgement is a line."""
    start = time.perf_counter()
    found = recover(folder)
    os.write(told, f"back {time.perf_counter() - start:.4f} {found.bytes_cut} {sum(found.gaps.values())}\n".encode())
    journal = Journal(folder, segment_rows=1_000)
    room = threading.Semaphore(CALLERS)

    def acknowledged(name: str) -> Callable[[Future[None]], None]:
        def tell(future: Future[None]) -> None:
            if future.exception() is None:
                os.write(told, f"{name}\n".encode())
            room.release()

        return tell

    def send(name: str) -> None:
        room.acquire()
        number = int(name[1:])
        if name[0] == "d":
            future = journal.append("decisions", decision(number), SCHEMA)
        else:
            future = journal.append("rewards", reward(number))
        future.add_done_callback(acknowledged(name))

    for name in again:
        send(name)
    number = first
    while True:
        os.write(told, f"sending {number}\n".encode())
        send(f"d{number}")
        send(f"r{number}")
        number += 1


def one_life(folder: Path, again: list[str], first: int, seconds: float, *, working: bool) -> list[str]:
    """A child from its birth to its violent end, so long after its first acknowledgement, or birth: its lines."""
    read, write = os.pipe()
    if (pid := os.fork()) == 0:
        os.close(read)
        child(folder, write, again, first)
    os.close(write)
    data = bytearray()
    while working and b"\nd" not in data and b"\nr" not in data:
        data += os.read(read, 1 << 16)
    killer = threading.Timer(seconds, os.kill, (pid, signal.SIGKILL))
    killer.start()
    while piece := os.read(read, 1 << 16):
        data += piece
    killer.join()
    os.waitpid(pid, 0)
    os.close(read)
    return data.decode().split("\n")[:-1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--most", type=float, default=0.5, help="seconds that a child may live")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print_head()
    pa.array([0])  # loads what every life would have to load
    chance = random.Random(given.seed)
    sent: set[str] = set()
    acknowledged: set[str] = set()
    back: list[float] = []
    cut = gaps = first = 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for _ in range(given.kills):
            again = sorted(sent - acknowledged)
            for line in one_life(folder, again, first, chance.uniform(0.0, given.most), working=chance.random() < 0.8):
                kind, *figures = line.split()
                if kind == "back":
                    back.append(float(figures[0]))
                    cut, gaps = cut + int(figures[1]), gaps + int(figures[2])
                elif kind == "sending":
                    first = int(figures[0]) + 1
                    sent |= {f"d{figures[0]}", f"r{figures[0]}"}
                else:
                    acknowledged.add(kind)
        recover(folder)
        return print_table(judged(folder, acknowledged, sent, back, cut, gaps, given.kills))


def judged(
    folder: Path, acknowledged: set[str], sent: set[str], back: list[float], cut: int, gaps: int, kills: int
) -> list[Row]:
    """The joined log against what was acknowledged."""
    from jumar.serve.join import join

    report = join(folder, DATE, out=folder / "joined", wait="1h")
    log = pq.read_table(folder / "joined" / f"date={DATE}" / "log.parquet")
    ids = log["decision_id"].to_pylist()
    rewarded = {name: value for name, value in zip(ids, log["reward"].to_pylist(), strict=True) if value}
    aside = set(pq.read_table(folder / "joined" / f"date={DATE}" / "_unknown.parquet")["decision_id"].to_pylist())
    kept = {*ids, *(f"r{name[1:]}" for name in rewarded)}
    # The last life may have acknowledged a reward before its decision was: it is kept aside.
    kept |= {f"r{name[1:]}" for name in aside if name not in acknowledged}
    lost = len(acknowledged - kept)
    twice = len(ids) - len(set(ids)) + sum(value != 1.0 for value in rewarded.values())
    return [
        Row(f"{len(acknowledged):,} of {len(sent):,} rows acknowledged, {kills} lives: lost", str(lost), "0", not lost),
        Row("    duplicated after the join", str(twice), "0", not twice),
        Row("    invented", str(len(set(ids) - sent)), "0", set(ids) <= sent),
        Row("    sent again and found to be there already", f"{report.duplicate + report.rewards_repeated:,}"),
        Row("sequence numbers missing", str(gaps + sum(report.gaps.values())), "0", not gaps and not report.gaps),
        Row("bytes of torn tails cut", f"{cut:,}"),
        Row("longest recovery", f"{max(back):.3f} s", f"≤ {BACK_WITHIN_S} s", max(back) <= BACK_WITHIN_S),
        Row("control: one acknowledged row taken away", "noticed", "noticed", noticed(ids, acknowledged)),
    ]


def noticed(ids: list[str], acknowledged: set[str]) -> bool:
    """Whether the comparison sees that a row is missing."""
    gone = next(name for name in sorted(acknowledged) if name[0] == "d")
    return any(name not in set(ids) - {gone} for name in acknowledged if name[0] == "d")


if __name__ == "__main__":
    sys.exit(main())
