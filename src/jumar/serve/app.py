"""The routes, as a bare ASGI application.

In: HTTP requests, trusted in nothing. Out: replies in JSON: 2xx for what is in the log, 4xx for what the caller can
mend, 503 for what may be tried again. ``server`` runs it; tests call it in process.
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from jumar.errors import JumarError
from jumar.serve.contexts import MalformedError
from jumar.serve.desk import Desk, NotNowError, UnloggedError
from jumar.serve.messages import Accepted, DecideRequest, Health, Problem, RewardRequest
from jumar.serve.metrics import Metrics
from jumar.serve.openapi import docs, openapi

Scope: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]

JSON, TEXT, HTML = b"application/json", b"text/plain; version=0.0.4; charset=utf-8", b"text/html; charset=utf-8"
_GUARDED = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
]
_encode = msgspec.json.Encoder().encode


class RefusedError(Exception):
    """A request that is answered with a status and a sentence."""

    def __init__(self, status: int, error: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(error)
        self.status, self.error, self.headers = status, error, headers


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a request may be.

    Attributes:
        body_bytes: most bytes of a body.
        rows: most decisions or rewards in one request.
    """

    body_bytes: int = 1_000_000
    rows: int = 1_000


@dataclass
class App:
    """The service as ASGI sees it.

    Attributes:
        desk: decides and logs.
        metrics: what is counted.
        health: says how the service is.
        tokens: one of them must be sent to write; empty: whoever reaches the service may.
        limits: of a request.
        draining: set when the service ends: new requests are sent elsewhere.
    """

    desk: Desk
    metrics: Metrics
    health: Callable[[], Health]
    tokens: Sequence[bytes] = ()
    limits: Limits = field(default_factory=Limits)
    draining: bool = False

    def __post_init__(self) -> None:
        self._decide = msgspec.json.Decoder(DecideRequest | list[DecideRequest]).decode
        self._reward = msgspec.json.Decoder(RewardRequest | list[RewardRequest]).decode
        self._routes: dict[str, tuple[str, Callable[[Scope, Receive], Awaitable[tuple[int, bytes, bytes]]]]] = {
            "/decide": ("POST", self._answer_decide),
            "/reward": ("POST", self._answer_reward),
            "/healthz": ("GET", self._answer_health),
            "/metrics": ("GET", self._answer_metrics),
            "/openapi.json": ("GET", self._answer_openapi),
            "/docs": ("GET", self._answer_docs),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        began = time.perf_counter()
        path, headers = scope["path"], []
        try:
            status, kind, body = await self._route(path, scope, receive)
        except RefusedError as refused:
            status, kind, body = refused.status, JSON, _encode(Problem(refused.error))
            headers = list(refused.headers)
        except Exception as error:  # a defect; the caller hears that it is one
            status, kind, body = 500, JSON, _encode(Problem(f"A defect of the service: {type(error).__name__}"))
            headers = [(b"connection", b"close")]
        route = path if path in self._routes else "other"
        self.metrics.observe(time.perf_counter() - began, route)
        self.metrics.add("jumar_requests_total", route=route, status=status)
        headers += [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *_GUARDED]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _route(self, path: str, scope: Scope, receive: Receive) -> tuple[int, bytes, bytes]:
        known = self._routes.get(path)
        if known is None:
            raise RefusedError(404, f"There is no {path[:80]}; see /docs")
        method, answer = known
        if scope["method"] != method and not (scope["method"] == "HEAD" and method == "GET"):
            raise RefusedError(405, f"{path} takes {method}", (b"allow", method.encode()))
        return await answer(scope, receive)

    async def _answer_decide(self, scope: Scope, receive: Receive) -> tuple[int, bytes, bytes]:
        asked = _decoded(self._decide, await self._body(scope, receive))
        answers = await self._logged(self.desk.decide, self._rows(asked))
        return 200, JSON, _encode(answers if isinstance(asked, list) else answers[0])

    async def _answer_reward(self, scope: Scope, receive: Receive) -> tuple[int, bytes, bytes]:
        rows = self._rows(_decoded(self._reward, await self._body(scope, receive)))
        if any(one.value is None and not one.metrics for one in rows):
            raise RefusedError(400, "A reward needs a value, or metrics")
        await self._logged(self.desk.reward, rows)
        return 200, JSON, _encode(Accepted(len(rows)))

    async def _answer_health(self, scope: Scope, receive: Receive) -> tuple[int, bytes, bytes]:
        found = self.health()
        return 503 if found.status == "unavailable" else 200, JSON, _encode(found)

    async def _answer_metrics(self, scope: Scope, receive: Receive) -> tuple[int, bytes, bytes]:
        self.metrics.set("jumar_waiting_rows", self.desk.waiting)
        return 200, TEXT, self.metrics.text()

    async def _answer_openapi(self, scope: Scope, receive: Receive) -> tuple[int, bytes, bytes]:
        return 200, JSON, _encode(self._document())

    async def _answer_docs(self, scope: Scope, receive: Receive) -> tuple[int, bytes, bytes]:
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        return 200, HTML, docs(self._document(), host if _HOST.fullmatch(host) else "localhost:8700")

    def _document(self) -> dict[str, Any]:
        return openapi(self.desk.serving, guarded=bool(self.tokens), limits=(self.limits.rows, self.limits.body_bytes))

    def _rows(self, asked: Any) -> list[Any]:
        rows = asked if isinstance(asked, list) else [asked]
        if not 1 <= len(rows) <= self.limits.rows:
            raise RefusedError(400, f"A request holds 1 to {self.limits.rows:,} rows; this one has {len(rows):,}")
        return rows

    async def _logged(self, work: Callable[[list[Any]], Awaitable[Any]], rows: list[Any]) -> Any:
        """Do what ends in the log, or say what kept it from there."""
        if self.draining:
            raise RefusedError(503, "The service is ending", (b"retry-after", b"1"), (b"connection", b"close"))
        try:
            return await work(rows)
        except MalformedError as error:
            raise RefusedError(400, str(error)) from error
        except (NotNowError, UnloggedError) as error:
            raise RefusedError(503, str(error), (b"retry-after", b"1")) from error
        except JumarError as error:
            raise RefusedError(422, str(error)) from error

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body of a request that may write.

        Raises:
            RefusedError: no token, another type, too long, or gone.
        """
        found = {name: value for name, value in scope["headers"] if name in _WANTED}
        if self.tokens:
            self._check_token(found.get(b"authorization", b""))
        # A page that a browser shows can post text to a service on this machine without asking, but not this type.
        if found.get(b"content-type", b"").partition(b";")[0].strip().lower() != JSON:
            raise RefusedError(415, "Send JSON, with content-type: application/json", _CLOSE)
        most, length = self.limits.body_bytes, found.get(b"content-length", b"0")
        if not length.isdigit() or int(length[:20]) > most:
            raise RefusedError(413, f"A body has at most {most:,} bytes", _CLOSE)
        return await _received(receive, most)

    def _check_token(self, given: bytes) -> None:
        scheme, _, token = given.partition(b" ")
        known = [hmac.compare_digest(token.strip(), one) for one in self.tokens]  # all, so that time tells nothing
        if scheme.lower() != b"bearer" or not any(known):
            raise RefusedError(401, "Send authorization: Bearer TOKEN", (b"www-authenticate", b"Bearer"), _CLOSE)


_CLOSE = (b"connection", b"close")
_HOST = re.compile(r"[\w.:\[\]-]{1,255}", re.ASCII)
_WANTED = frozenset({b"authorization", b"content-type", b"content-length"})


async def _received(receive: Receive, most: int) -> bytes:
    pieces, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RefusedError(400, "The caller went away")
        piece = message.get("body", b"")
        size += len(piece)
        if size > most:
            raise RefusedError(413, f"A body has at most {most:,} bytes", _CLOSE)
        pieces.append(piece)
        if not message.get("more_body", False):
            return b"".join(pieces) if len(pieces) > 1 else bytes(piece)


def _decoded(decode: Callable[[bytes], Any], body: bytes) -> Any:
    try:
        if not body.isascii():
            body.decode()  # what is passed over unread must be text, too
        return decode(body)
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        raise RefusedError(400, f"This is not such a request: {error}"[:500]) from error
