"""The page on which a person plays, served to the person's own machine with the standard library alone.

In: opponents. Out: a page, and answers to what it asks, which never tell more of a game than the person's side may
know. Only pages of its own may ask. Whatever else is sent, the answer is JSON that says what is wrong and what to do.
"""

from __future__ import annotations

import json
import re
import socket
import socketserver
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import urlsplit

from jumar.play import maps
from jumar.play.errors import PlayError
from jumar.play.web.commands import Opponent, prepare
from jumar.play.web.desk import KEPT, Desk, RefusedError
from jumar.play.web.parts import assembled

HOST, PORT = "127.0.0.1", 8020
MOST_BYTES = 64 * 1024
LINGER = 1.0  # seconds
CONNECTIONS = 64  # at once; each takes a thread
_ROUTES = (
    ("GET", re.compile(r"/"), "page"),
    ("POST", re.compile(r"/games"), "begin"),
    ("GET", re.compile(r"/games/([\w-]{1,64})"), "look"),
    ("POST", re.compile(r"/games/([\w-]{1,64})/turn"), "turn"),
    ("GET", re.compile(r"/games/([\w-]{1,64})/watch"), "watch"),
    ("GET", re.compile(r"/games/([\w-]{1,64})/replay"), "replay"),
)
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
# A name or an address, and perhaps a port.
_HOST = re.compile(r"([\w.-]+|\[[0-9a-f:]+\])(?::[0-9]+)?")
_JSON, _HTML = "application/json", "text/html; charset=utf-8"


def serve(opponents: Sequence[Opponent], *, host: str = HOST, port: int = PORT,
          ready: Callable[[str], None] = print) -> None:  # fmt: skip
    """Serve until interrupted.

    Args:
        opponents: who can be played against, the first by default.
        host: where to listen; only requests that name it, or this machine, are answered.
        port: 0 for any that is free.
        ready: is told when all is compiled, with the address to open.

    Raises:
        PlayError: no opponents, or the port is taken.
    """
    with suppress(KeyboardInterrupt), Service(opponents, host=host, port=port) as service:
        ready(f"Ready: open {service.address} and interrupt to end.")
        service.wait()


class Service:
    """A server that runs in a thread of its own between ``start`` and ``stop``, or within a ``with``.

    Args:
        opponents: as for ``serve``.
        host: as for ``serve``.
        port: as for ``serve``.
        sizes: of maps that are offered.
        kept: how many games at most; those that were used last.

    Attributes:
        address: where it listens.

    Raises:
        PlayError: no opponents, two of one name, no host, or the port is taken.
    """

    def __init__(self, opponents: Sequence[Opponent], *, host: str = HOST, port: int = PORT,
                 sizes: Sequence[tuple[int, int]] = maps.SIZES, kept: int = KEPT) -> None:  # fmt: skip
        names = [opponent.name for opponent in opponents]
        if not names or len(set(names)) < len(names):
            raise PlayError("A person needs opponents to choose from, each of another name", where="opponents",
                            example=names, remedy="Give one opponent or more.")  # fmt: skip
        if not host:
            raise PlayError("A page is served at an address, and this one is empty", where="host", example=host,
                            remedy=f"Leave it out for {HOST}.")  # fmt: skip
        self._opponents, self._sizes = opponents, sizes
        desk = Desk(opponents, sizes, kept)
        page = assembled("play.html", ("board.js", "play.js"), desk.offers(), title="Capture the flag", connects=True)
        try:
            self._listener = _Listener(host, port, desk, page)
        except (OSError, OverflowError, TypeError, UnicodeError) as error:
            raise PlayError("The page cannot be served here: the port is taken, or the host is not this machine’s",
                            where=f"{host}:{port}", example=error,
                            remedy="Name another port; 0 takes any that is free.") from error  # fmt: skip
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{self._listener.server_address[1]}/"
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Compile, then answer."""
        prepare(self._opponents, self._sizes)
        self._thread = threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.1})
        self._thread.start()

    def wait(self) -> None:
        """Until it is stopped, or interrupted."""
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(1.0)

    def stop(self) -> None:
        """Answer no more, and give the port back."""
        if self._thread is not None:
            self._listener.shutdown()
            self._thread.join()
            self._thread = None
        self._listener.server_close()

    def __enter__(self) -> Service:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Listener(ThreadingHTTPServer):
    request_queue_size = CONNECTIONS

    def __init__(self, host: str, port: int, desk: Desk, page: str) -> None:
        self.desk, self.page = desk, page
        self.hosts = {"127.0.0.1", "localhost", "::1", host.lower()}
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._open: OrderedDict[socket.socket, None] = OrderedDict()
        self._counting = threading.Lock()
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """For a connection too many the oldest one ends: who is slow, or says nothing, keeps nobody out."""
        with self._counting:
            self._open[request] = None
            if len(self._open) > CONNECTIONS:
                oldest, _ = self._open.popitem(last=False)
                with suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Count it no longer."""
        with self._counting:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def server_bind(self) -> None:
        # The parent would look up the name of the host, which may take long without a network.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # pyright: ignore[reportAttributeAccessIssue]

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "jumar", ""
    timeout = 30

    @property
    def _listener(self) -> _Listener:
        return cast(_Listener, self.server)

    def __getattr__(self, name: str) -> Any:
        # Whatever the method, it is answered: one that is not known like one that is not allowed.
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        more = {}
        # A body that nobody asked for is not read, so it must not be taken for the next request.
        if self.command != "POST" and any(name in self.headers for name in ("content-length", "transfer-encoding")):
            self.close_connection = True
        try:
            self._same_origin()
            name, given = self._route()
            if self.command == "POST":
                given = (*given, self._body())
            content, media = self._done(name, given)
            status = 200
            if name == "replay":
                more["content-disposition"] = 'attachment; filename="capture-the-flag.json"'
        except PlayError as error:
            status = error.status if isinstance(error, RefusedError) else 400
            content, media = _refusal(error.what, error.remedy), _JSON
            # What was sent with it may not have been read.
            self.close_connection = True
        self._send(status, content, media, more)

    def _same_origin(self) -> None:
        host = self.headers.get("host", "")
        named = _HOST.fullmatch(host.lower())
        if named is None or named[1].strip("[]") not in self._listener.hosts:
            raise RefusedError(403, "This page is served to its own machine only", "Open the address that it printed.")
        origin, site = self.headers.get("origin"), self.headers.get("sec-fetch-site", "none")
        if origin not in (None, f"http://{host}") or site not in ("none", "same-origin"):
            raise RefusedError(403, "Another page asked, which may not", "Play on the page that is served here.")

    def _route(self) -> tuple[str, tuple[Any, ...]]:
        try:
            path = urlsplit(self.path).path
        except ValueError:
            raise RefusedError(404, "This is no address", "Open / to play.") from None
        found = [(method, name, match) for method, form, name in _ROUTES if (match := form.fullmatch(path))]
        for method, name, match in found:
            if method == self.command:
                return name, match.groups()
        if found:
            raise RefusedError(405, "This cannot be asked in this way", f"Use {found[0][0]}.")
        raise RefusedError(404, "There is nothing under this address", "Open / to play.")

    def _body(self) -> Any:
        """What was posted, parsed."""
        if self.headers.get_content_type() != _JSON:
            raise RefusedError(415, "What is posted is JSON", f"Send it with content-type: {_JSON}.")
        length = self.headers.get("content-length", "")
        if not re.fullmatch(r"[0-9]{1,9}", length) or self.headers.get("transfer-encoding"):
            raise RefusedError(411, "What is posted says how long it is", "Send a content-length.")
        if int(length) > MOST_BYTES:
            raise RefusedError(413, f"What is posted has at most {MOST_BYTES} bytes", "Send less.")
        try:
            return json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            raise RefusedError(400, "This is no JSON", "Send a JSON object.") from None

    def _done(self, name: str, given: tuple[Any, ...]) -> tuple[str, str]:
        """The answer and its media type."""
        if name == "page":
            return self._listener.page, _HTML
        answer = getattr(self._listener.desk, name)(*given)
        if name == "watch":
            return answer, _HTML
        return (answer if name == "replay" else json.dumps(answer)), _JSON

    def _send(self, status: int, content: str, media: str, more: dict[str, str]) -> None:
        body = content.encode()
        self.send_response(status)
        closes = {"connection": "close"} if self.close_connection else {}
        headers = {**_HEADERS, **more, **closes, "content-type": media, "content-length": str(len(body))}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        if self.close_connection:
            self._linger()

    def _linger(self) -> None:
        """Read on for a moment: to close while something is unread would take the answer back."""
        end, left = time.monotonic() + LINGER, 16 * MOST_BYTES
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(LINGER)
            while left > 0 and time.monotonic() < end and (more := self.connection.recv(MOST_BYTES)):
                left -= len(more)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the library itself refuses: what is no request of HTTP."""
        self.close_connection = True
        self.request_version = self.protocol_version
        self._send(code, _refusal("This is no request that can be read", "Open the page in a browser."), _JSON, {})

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a token is in every address."""


def _refusal(what: str, remedy: str) -> str:
    return json.dumps({"what": what, "remedy": remedy})
