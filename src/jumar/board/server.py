"""The board over HTTP, as a bare ASGI application: a page, its state as JSON, and nothing that could be changed.

In: a ``Reader``. Out: ``/``, ``/state.json``, ``/healthz``. ``cli_ui`` runs it; tests call it in process.

Documents are read when somebody asks, at most every other second, by one thread at a time. A page that did not change
since it was fetched is not sent again.
"""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import msgspec
import uvicorn

from jumar.board.gathered import gather
from jumar.board.page import render, security
from jumar.board.reading import Reader
from jumar.board.view import Board
from jumar.errors import OptionError
from jumar.serve.orderly import SIGNALS, OrderlyServer

Scope: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]

JSON, TEXT, HTML = b"application/json", b"text/plain; charset=utf-8", b"text/html; charset=utf-8"
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
FRESH_S = 2.0


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class BoardApp:
    """The page as ASGI sees it.

    Args:
        reader: of the documents.
        every: seconds after which an open page looks again.
        only_local: answer nobody who calls this machine by another name than its own, so that no page of the web can
            read the board through the browser of somebody who looks at it.
        fresh_s: how long what was read is good enough.
        now: the clock, in UTC.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        every: int = 30,
        only_local: bool = True,
        fresh_s: float = FRESH_S,
        now: Callable[[], datetime.datetime] = _now,
    ) -> None:
        self._reader, self._every, self._only_local = reader, every, only_local
        self._fresh_s, self._now = fresh_s, now
        self._reading = asyncio.Lock()
        self._last: tuple[float, Board, bytes, str] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers: list[tuple[bytes, bytes]] = []
        try:
            status, kind, body = await self._answer(scope, headers)
        except Exception as error:  # a defect; whoever looks hears that it is one
            status, kind, body = 500, TEXT, f"A defect of the board: {type(error).__name__}: {error}".encode()
        headers += [
            (b"content-type", kind),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"content-security-policy", f"{security(self._every)}; frame-ancestors 'none'".encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, scope: Scope, headers: list[tuple[bytes, bytes]]) -> tuple[int, bytes, bytes]:
        given = {name.lower(): value for name, value in scope["headers"]}
        if self._only_local and _host(given.get(b"host", b"")) not in LOCAL:
            return 403, TEXT, b"This board answers under localhost only; --host says otherwise."
        if scope["path"] not in ("/", "/state.json", "/healthz"):
            return 404, TEXT, b"There is /, /state.json and /healthz."
        if scope["method"] not in ("GET", "HEAD"):
            headers.append((b"allow", b"GET, HEAD"))
            return 405, TEXT, b"This page only reads."
        if scope["path"] == "/healthz":
            return 200, JSON, b'{"status":"ok"}'
        board, page, tag = await self._board()
        if scope["path"] == "/state.json":
            return 200, JSON, msgspec.json.format(msgspec.json.encode(board), indent=2)
        headers.append((b"etag", tag.encode()))
        if given.get(b"if-none-match") == tag.encode():
            return 304, HTML, b""
        return 200, HTML, page

    async def _board(self) -> tuple[Board, bytes, str]:
        """What there is to see, the page, and the tag of what it shows besides the time."""
        async with self._reading:
            if self._last is None or time.monotonic() - self._last[0] > self._fresh_s:
                self._last = await asyncio.to_thread(self._read)
            return self._last[1:]

    def _read(self) -> tuple[float, Board, bytes, str]:
        at = self._now()
        board = gather(self._reader.read(), at)
        seen = msgspec.json.encode(msgspec.structs.replace(board, at=datetime.datetime.min))
        tag = f'"{hashlib.sha256(seen).hexdigest()[:24]}"'
        page = render(board, every=self._every).encode("utf-8", "replace")
        return time.monotonic(), board, page, tag


def serve(reader: Reader, host: str, port: int, every: int, tell: Callable[[str], None] = print) -> int:
    """Serve until SIGTERM or SIGINT.

    Args:
        reader: of the documents.
        host, port: where to listen; port 0 takes a free one.
        every: seconds after which an open page looks again.
        tell: is given one sentence when the board can be looked at.

    Returns:
        0 when it was told to end and did.

    Raises:
        OptionError: the address is taken or is not of this machine.
    """
    listener = _listen(host, port)
    config = uvicorn.Config(
        BoardApp(reader, every=every, only_local=host in LOCAL),
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=64,
        timeout_graceful_shutdown=2,
    )
    where, taken = listener.getsockname()[:2]
    tell(f"The board of {reader.url} is on http://{f'[{where}]' if ':' in where else where}:{taken}; Ctrl-C ends it")
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in SIGNALS} if main else {}
    try:
        asyncio.run(OrderlyServer(config).serve([listener]))
    finally:
        listener.close()
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket.

    Raises:
        OptionError: the address is taken or is not of this machine.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        told = f"Nothing can listen on {host}:{port} ({error})"
        raise OptionError(told, remedy="Choose another --port, or end what listens there.") from error
    return listener


def _host(given: bytes) -> str:
    """The name in a Host header, without its port."""
    name = given.decode("latin-1").lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]
