"""How fast does the service decide, every decision on disk before it is told, and how late are the slowest?

A policy is learned from the founding world and promoted in a registry; `jumar serve` decides by it in processes of its
own, and a load generator in another asks at moments drawn beforehand (Poisson), whether earlier answers have come or
not. Latency counts from the moment drawn, so that a service that falls behind cannot hide it. All share the machine's
cores; what the service's processes took of them is printed for each decision.

    python benchmarks/serve_load.py                                # 1,000 to 4,000 a second, 20 seconds each
    python benchmarks/serve_load.py --rates 3000 --seconds 60 --workers 2
    python benchmarks/serve_load.py --peer-python /path/to/python  # beside FastAPI + scikit-learn without a log

The peer needs fastapi, uvicorn, scikit-learn and pandas in that Python; it scores the same contexts with a network of
the same size (a pipeline with one-hot encoding and MLPClassifier), draws an action, and keeps nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from table import Row, print_head, print_table

ROWS, CONNECTIONS, WARMING_S = 40_000, 256, 2.0
TARGET, MOST_S = 3_000, 0.010
PEER = Path(__file__).with_name("serve_peer.py")
_TICK_S = 0.001  # uvloop counts in milliseconds; less spins, and takes a core from the service


class Connection(asyncio.Protocol):
    """One kept-alive connection with one request under way at a time."""

    def __init__(self, load: Load) -> None:
        self.load, self.buffer, self.due = load, b"", 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.load.free.append(self)

    def ask(self, due: float, request: bytes) -> None:
        """Send a request that was due at some moment."""
        self.due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        mark = self.buffer.lower().find(b"content-length:", 0, head)
        length = int(self.buffer[mark + 15 : self.buffer.find(b"\r\n", mark)])
        if len(self.buffer) < head + 4 + length:
            return
        self.load.answered(self, self.buffer.startswith(b"HTTP/1.1 200"))
        self.buffer = b""

    def connection_lost(self, exc: Exception | None) -> None:
        """A server may close what is idle; what was under way then is an error."""
        if self.load.over:
            return
        if self in self.load.free:
            self.load.free.remove(self)
        else:
            self.load.lost += 1
            self.load.under_way -= 1


class Load:
    """Open-loop load: requests go out when they are due, or as soon after as a connection is free."""

    def __init__(self, requests: list[bytes]) -> None:
        self.requests, self.free, self.late = requests, deque[Connection](), deque[tuple[float, bytes]]()
        self.latencies: list[float] = []
        self.errors = self.lost = self.under_way = 0
        self.over = False

    def answered(self, connection: Connection, well: bool) -> None:
        self.latencies.append(time.perf_counter() - connection.due)
        self.errors += not well
        self.under_way -= 1
        if self.late:
            self._send(connection, *self.late.popleft())
        else:
            self.free.append(connection)

    def _send(self, connection: Connection, due: float, request: bytes) -> None:
        self.under_way += 1
        connection.ask(due, request)

    async def _connect(self, port: int) -> None:
        await asyncio.get_running_loop().create_connection(lambda: Connection(self), "127.0.0.1", port)

    async def run(self, port: int, rate: float, seconds: float, seed: int = 0) -> tuple[float, np.ndarray]:
        """Ask; returns decisions a second and latencies [answers] in seconds."""
        for _ in range(CONNECTIONS if rate > 500 else 1):
            await self._connect(port)
        gaps = np.random.default_rng(seed).exponential(1 / rate, int(rate * seconds))
        began = time.perf_counter() + 0.05
        dues = (began + np.cumsum(gaps)).tolist()
        place = 0
        while place < len(dues):
            now = time.perf_counter()
            while place < len(dues) and dues[place] <= now:
                request = self.requests[place % len(self.requests)]
                if self.free:
                    self._send(self.free.pop(), dues[place], request)
                elif self.under_way < CONNECTIONS:
                    await self._connect(port)
                    continue
                else:
                    self.late.append((dues[place], request))
                place += 1
            await asyncio.sleep(_TICK_S)
        until = time.perf_counter() + 10.0
        while (self.under_way or self.late) and time.perf_counter() < until:
            await asyncio.sleep(0.01)
        took = time.perf_counter() - began
        self.over = True
        for connection in self.free:
            connection.transport.close()
        return len(self.latencies) / max(took, seconds), np.array(self.latencies)


def generate(port: int, rate: float, seconds: float, requests: Path) -> None:
    """The load generator's own process: prints what it saw as JSON."""
    with suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    bodies = json.loads(requests.read_text())
    head = "POST /decide HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: "
    load = Load([f"{head}{len(body.encode())}\r\n\r\n{body}".encode() for body in bodies])
    asyncio.run(Load(load.requests).run(port, min(rate, 500.0), WARMING_S, 1))
    achieved, seen = asyncio.run(load.run(port, rate, seconds))
    unanswered = int(rate * seconds) - len(seen)
    marks = np.quantile(seen, [0.5, 0.99, 0.999]).tolist() if len(seen) else [float("nan")] * 3
    print(json.dumps([achieved, *marks, load.errors + load.lost + unanswered]))


def prepare(place: Path) -> Path:
    """A log, a policy learned from it, a registry in which it is in production, and requests."""
    import jumar
    from jumar.release import Registry
    from jumar.worlds import Notifications

    log = Notifications(exploration=0.3).log(ROWS, 1)
    pq.write_table(log, place / "log.parquet")
    result = jumar.improve(jumar.read_log(log), confidence=0.9)
    assert result.policy is not None, "refused; use another seed"
    result.save(place / "run")
    registry = Registry.create(str(place / "registry"))
    registry.promote(registry.register(place / "run").version, why="benchmark", forced=True)
    requests = place / "requests.json"
    names = [feature.name for feature in result.policy.card.log_schema.features]
    rows = log.slice(0, 5_000).select([*names, "unit"]).to_pylist()
    bodies = [{"unit": row.pop("unit"), "context": row} for row in rows]
    requests.write_text(json.dumps([json.dumps(body, default=lambda value: value.isoformat()) for body in bodies]))
    return requests


def measure(port: int, rate: float, seconds: float, requests: Path) -> list[float]:
    """One rate, by a generator of its own."""
    asked = [sys.executable, __file__, "--generate", str(port), str(rate), str(seconds), str(requests)]
    done = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit("the load generator failed")
    return json.loads(done.stdout)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until something answers on the port."""
    import socket

    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise SystemExit("the server did not start")


def show(name: str, rate: float, found: list[float], cpu: float) -> None:
    achieved, errors = found[0], found[4]
    times = "".join(f"{mark * 1e3:>9.2f}" for mark in found[1:4])
    print(f"{name:<22}{rate:>8,.0f}{achieved:>10,.0f}{times}{errors:>8.0f}{cpu * 1e6:>9.0f}")


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """What a process and its children took so far."""
    ticks = 0
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in (str(process.pid), *children):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measure_all(name: str, process: subprocess.Popen[bytes], port: int, rates: list[float], seconds: float,
                requests: Path) -> list[float]:  # fmt: skip
    """Every rate in turn; returns the figures of the highest that was kept up with."""
    best: list[float] = [0.0] * 5
    for rate in rates:
        before = cpu_seconds(process)
        found = measure(port, rate, seconds, requests)
        asked = rate * seconds + min(rate, 500.0) * WARMING_S
        show(name, rate, found, (cpu_seconds(process) - before) / asked)
        if found[4] == 0 and found[2] <= MOST_S and found[0] > best[0]:
            best = found
    return best


def load_service(place: Path, requests: Path, given: argparse.Namespace) -> list[float]:
    log = place / "decisions"
    serving = subprocess.Popen(
        [sys.executable, "-m", "jumar", "serve", str(place / "registry"), "--log", str(log), "--port", str(given.port),
         "--workers", str(given.workers), "--explore", given.explore],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(given.port, serving)
        time.sleep(2.0)
        best = measure_all("jumar serve, on disk", serving, given.port, given.rates, given.seconds, requests)
    finally:
        serving.terminate()
        serving.wait(60)
    rows = sum(pq.read_metadata(path).num_rows for path in (log / "decisions").rglob("*.parquet"))
    print(f"{rows:,} decisions in the log")
    return best


def load_peer(place: Path, requests: Path, given: argparse.Namespace) -> list[float]:
    port = given.port + 1
    peer = subprocess.Popen(
        [given.peer_python, str(PEER), str(place / "log.parquet"), str(port)],
        stderr=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    try:
        wait_for(port, peer)
        return measure_all("FastAPI, no log", peer, port, given.peer_rates, given.seconds, requests)
    finally:
        peer.terminate()
        peer.wait(60)


def main() -> None:
    if sys.argv[1:2] == ["--generate"]:
        generate(int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]), Path(sys.argv[5]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=float, nargs="+", default=[1_000, 2_000, 3_000, 4_000])
    parser.add_argument("--peer-rates", type=float, nargs="+", default=[50, 100, 200, 400])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--explore", default="policy")
    parser.add_argument("--port", type=int, default=8790)
    parser.add_argument("--peer-python", help="a Python with fastapi, uvicorn, scikit-learn, pandas")
    parser.add_argument("--keep", type=Path, help="a folder to prepare once and use again")
    given = parser.parse_args()
    place = given.keep or Path(tempfile.mkdtemp(prefix="serve-load-"))
    place.mkdir(parents=True, exist_ok=True)
    try:
        requests = place / "requests.json"
        if not requests.exists():
            requests = prepare(place)
        print_head()
        print(f"\n{given.workers} worker(s); milliseconds, from the moment that was drawn")
        print(f"{'':<22}{'asked/s':>8}{'done/s':>10}{'p50':>9}{'p99':>9}{'p99.9':>9}{'errors':>8}{'CPU µs':>9}")
        ours = load_service(place, requests, given)
        met = ours[0] >= 0.98 * TARGET
        figures = [Row("durable decisions a second, p99 ≤ 10 ms", f"{ours[0]:,.0f}", f"≥ {TARGET:,}", met)]
        if given.peer_python:
            theirs = load_peer(place, requests, given)
            figures.append(Row("FastAPI + scikit-learn, no log, p99 ≤ 10 ms", f"{theirs[0]:,.0f}"))
            if theirs[0]:
                figures.append(Row("ratio", f"{ours[0] / theirs[0]:.1f}"))
        code = print_table(figures)
    finally:
        if given.keep is None:
            shutil.rmtree(place, ignore_errors=True)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
