"""The service as processes: sockets, signals, workers, and in which order things begin and end.

In: ``Settings``. Out: a service that runs until it is told to end. ``cli_serve`` and Python users call ``serve``.

One process binds the socket, recovers the log and checks that the registry has something that decides; then it serves
by itself, or starts workers that share the socket and starts again those that die. Ending: no new connections, requests
under way are answered, the log is closed. Whatever is killed instead loses nothing that was acknowledged.
"""

from __future__ import annotations

import asyncio
import datetime
import errno
import gc
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pyarrow as pa
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from jumar.errors import JumarError, OptionError
from jumar.logs.schema import Action
from jumar.policy.artifact import Policy
from jumar.policy.exploration import Exploration
from jumar.records import Record
from jumar.release.registry import Registry
from jumar.serve.app import App, Limits
from jumar.serve.counts import DayCounts, decided_today
from jumar.serve.decider import Decider
from jumar.serve.desk import Desk, Serving
from jumar.serve.journal import Journal, recover
from jumar.serve.messages import Health
from jumar.serve.metrics import Metrics
from jumar.serve.orderly import SIGNALS, OrderlyServer
from jumar.serve.watching import Watcher, warm

_ARRIVAL_S, _MOST_HEADER_BYTES, _MOST_CONNECTIONS, _TAKEN_S = 10.0, 65_536, 4_096, 2.0
_TURN_S = 0.0005  # of a thread that has Python to itself
_WORKER = "from jumar.serve.server import work; work()"


class Settings(Record, frozen=True, kw_only=True):
    """How to serve.

    Attributes:
        registry: folder or address of the registry.
        log: folder of the decision log.
        host, port: where to listen; port 0 takes a free one.
        workers: processes.
        tokens: one of them must be sent to write.
        exploration: how to explore.
        default_action: what to fall back to; None: what production is likeliest to do when nothing is known.
        salt: of all draws; secret if callers choose ids and must not foresee what they draw.
        durable: a reply waits for the disk. Otherwise it waits for the operating system alone.
        loss_window_s: without ``durable``, the most seconds of replies that a power cut can take from the log.
        poll_s: between two looks at the registry.
        most_rows, most_body_bytes: of one request.
        grace_s: for requests under way when the service ends.
    """

    registry: str
    log: str
    host: str = "127.0.0.1"
    port: int = 8700
    workers: int = 1
    tokens: list[str] = []
    exploration: Exploration = Exploration()
    default_action: Action | None = None
    salt: str = "jumar"
    durable: bool = True
    loss_window_s: float = 1.0
    poll_s: float = 1.0
    most_rows: int = 1_000
    most_body_bytes: int = 1_000_000
    grace_s: float = 20.0

    def decider(self, policy: Policy, version: str) -> Decider:
        """A decider as these settings want it."""
        return Decider(policy, self.exploration, self.salt, version=version, default=self.default_action)


class _Part(Record, frozen=True, kw_only=True):
    """What one worker is told: its number, the shared socket and folder."""

    settings: Settings
    slot: int
    handle: int
    folder: str


def serve(settings: Settings, tell: Callable[[str], None] = print) -> int:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: how.
        tell: is given one sentence when the service listens, and one for each worker that had to be started again.

    Returns:
        0 when it was told to end and did.

    Raises:
        JumarError: the registry has nothing that decides, a setting does not fit it, or the port is taken.
    """
    registry = Registry(settings.registry)
    production = registry.resolve("production")
    decider = settings.decider(registry.policy(production), production)
    found = recover(settings.log)
    listener = _listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    tell(f"Deciding by {production} on http://{f'[{host}]' if ':' in host else host}:{port}")
    for said in found.said:
        tell(said)
    if settings.workers == 1:
        _run(settings, listener, None, 0, decider)
        return 0
    with tempfile.TemporaryDirectory(prefix="jumar-serve-") as folder:
        return _supervise(settings, listener, folder, tell)


def work() -> None:
    """A worker's whole life; its part comes on standard input."""
    spare_pandas()
    part = msgspec.json.decode(sys.stdin.buffer.readline(), type=_Part)
    with suppress(JumarError):
        recover(part.settings.log)  # what its predecessor left open; what others write is theirs
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _run(part.settings, socket.socket(fileno=part.handle), Path(part.folder), part.slot)


def spare_pandas() -> None:
    """Keep Arrow from importing pandas at its first array, which is half of the time that a start takes.

    For processes that do nothing but serve: Arrow knows no pandas in them afterwards.
    """
    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _NoPandas())
        pa.array([0])
        sys.meta_path.pop(0)


class _NoPandas:
    """Finds no pandas."""

    def find_spec(self, name: str, *_: object) -> None:
        """Where a module lies: leave all others to those who know."""
        if name == "pandas":
            raise ModuleNotFoundError(name)


def _end_with_parent() -> None:
    """End in order when the process that started this one is gone: nothing else holds the other end of the pipe."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket.

    Raises:
        OptionError: the address is taken or is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    until = time.monotonic() + _TAKEN_S
    while True:
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(2_048)
            listener.setblocking(False)
            return listener
        except (OSError, OverflowError) as error:
            listener.close()
            if getattr(error, "errno", None) != errno.EADDRINUSE or time.monotonic() > until:
                told = f"Nothing can listen on {host}:{port} ({error})"
                raise OptionError(told, remedy="Choose another port, or end what listens there.") from error
        time.sleep(0.05)  # workers of a service that was killed are just ending


def _run(
    settings: Settings, listener: socket.socket, folder: Path | None, slot: int, decider: Decider | None = None
) -> None:
    """Serve in this process; with the decider of production, if it was made already."""
    config = uvicorn.Config(
        app="",  # set by _serve
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=2_048,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, round(settings.grace_s)),
    )
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in SIGNALS} if main else {}
    try:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_serve(settings, config, listener, folder, slot, decider))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _serve(
    settings: Settings,
    config: uvicorn.Config,
    listener: socket.socket,
    folder: Path | None,
    slot: int,
    decider: Decider | None,
) -> None:
    began = time.monotonic()
    metrics = Metrics(folder, slot)
    journal = Journal(settings.log, durable=settings.durable, loss_window_s=settings.loss_window_s)
    desk = Desk(journal, metrics, counts=_counts(settings, slot))
    if decider is not None:
        warm(decider)
        desk.serving = Serving(decider)
    watcher = Watcher(lambda: Registry(settings.registry), desk, settings.decider, metrics, settings.poll_s)

    def health() -> Health:
        serving = desk.serving
        problems = [*watcher.problems.values(), *([desk.trouble] if desk.trouble else [])]
        unable = serving is None or app.draining
        return Health(
            status="unavailable" if unable else "degraded" if problems else "ok",
            problems=["The service is ending", *problems] if app.draining else problems,
            production=serving.production.version if serving else None,
            challenger=serving.challenger.version if serving and serving.challenger else None,
            share=serving.share if serving else 0.0,
            record=serving.record if serving else None,
            actions=serving.production.actions if serving else [],
            exploration=str(settings.exploration),
            default_action=serving.production.actions[serving.production.default] if serving else None,
            worker=slot,
            uptime_s=time.monotonic() - began,
        )

    limits = Limits(body_bytes=settings.most_body_bytes, rows=settings.most_rows)
    app = App(desk, metrics, health, [token.encode() for token in settings.tokens], limits)
    config.app = app
    watcher.apply(watcher.look())
    _settle()
    metrics.set("jumar_workers", 1)

    async def leave() -> None:
        while True:
            metrics.set("jumar_ready", float(desk.serving is not None))
            metrics.leave()
            await asyncio.sleep(1.0)

    tasks = [asyncio.create_task(watcher.run()), asyncio.create_task(leave())]
    try:
        await OrderlyServer(config).serve([listener])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        app.draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(settings.grace_s):
                await desk.drained()
        await asyncio.to_thread(journal.close)


def _settle() -> None:
    """Set this process up for short waits.

    What was loaded so far stays for good, so the garbage collection need not walk through it again and again, which
    takes some 25 ms; and the thread that writes the log need not wait 5 ms for its turn.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(_TURN_S)


def _counts(settings: Settings, slot: int) -> DayCounts | None:
    """Counts of units where exploration needs them, as the log left them."""
    turns = settings.exploration.turns
    if not turns:
        return None
    counts = DayCounts(turns, settings.salt, slot, settings.workers)
    today = datetime.datetime.now(datetime.UTC).date()
    counts.restore(today, decided_today(Path(settings.log), today))
    return counts


class Connection(HttpToolsProtocol):
    """A connection on which a request may not take for ever to arrive, nor its headers have any length."""

    _patience: asyncio.TimerHandle | None = None
    _header_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start waiting for a request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._rest()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._header_bytes = 0
        self._wait()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header more."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > _MOST_HEADER_BYTES:
            self.transport.abort()
            return
        super().on_header(name, value)

    def on_message_complete(self) -> None:
        """All of it is here."""
        self._rest()
        super().on_message_complete()

    def _wait(self) -> None:
        self._rest()
        self._patience = self.loop.call_later(_ARRIVAL_S, self.transport.abort)

    def _rest(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def _supervise(settings: Settings, listener: socket.socket, folder: str, tell: Callable[[str], None]) -> int:
    """Keep workers running until told to end."""
    ending: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        ending.append(number)

    before = {number: signal.signal(number, end) for number in SIGNALS}
    workers: dict[int, subprocess.Popen[bytes]] = {}
    started: dict[int, float] = {}
    try:
        while not ending:
            for slot in range(settings.workers):
                worker = workers.get(slot)
                if worker is not None and worker.poll() is None:
                    continue
                if worker is not None:
                    tell(f"Worker {slot} ended with {worker.returncode}; it is started again")
                    if time.monotonic() - started[slot] < 1.0:
                        time.sleep(1.0)  # one that cannot live need not be tried a thousand times
                workers[slot], started[slot] = _start(settings, listener, folder, slot), time.monotonic()
            time.sleep(0.1)
    finally:
        for worker in workers.values():
            with suppress(ProcessLookupError):
                worker.send_signal(signal.SIGTERM)
        for worker in workers.values():
            try:
                worker.wait(settings.grace_s + 10.0)
            except subprocess.TimeoutExpired:
                worker.kill()
        listener.close()
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _start(settings: Settings, listener: socket.socket, folder: str, slot: int) -> subprocess.Popen[bytes]:
    part = _Part(settings=settings, slot=slot, handle=listener.fileno(), folder=folder)
    worker: Any = subprocess.Popen(
        [sys.executable, "-c", _WORKER],
        stdin=subprocess.PIPE,
        pass_fds=[listener.fileno()],
        start_new_session=True,  # Ctrl-C is for the process that started it, which then ends it in order
    )
    worker.stdin.write(msgspec.json.encode(part) + b"\n")
    worker.stdin.flush()
    return worker
