"""Connections and workers, in parts that need no process of their own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from jumar.serve import server
from jumar.serve.server import Connection


class Transport(asyncio.Transport):
    """Notes what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted, self.sent = False, b""

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted

    def write(self, data: Any) -> None:
        self.sent += data

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def answer(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


REQUEST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody"


@pytest.mark.parametrize("sent", [0, 1, 30, len(REQUEST) - 1, len(REQUEST)])
def test_a_request_must_arrive_in_time(sent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_ARRIVAL_S", 0.05)

    async def connect() -> Transport:
        config = uvicorn.Config(answer, http=Connection, lifespan="off", log_config=None)
        config.load()
        transport, connection = Transport(), Connection(config, ServerState(), {})
        connection.connection_made(transport)
        for byte in range(sent):  # a byte now and then does not buy more time
            connection.data_received(REQUEST[byte : byte + 1])
        await asyncio.sleep(0.12)
        connection.connection_lost(None)
        return transport

    transport = asyncio.run(connect())
    assert transport.aborted or sent == len(REQUEST)
    assert transport.sent.startswith(b"HTTP/1.1 204") == (sent == len(REQUEST))


def test_headers_have_an_end() -> None:
    async def connect() -> Transport:
        config = uvicorn.Config(answer, http=Connection, lifespan="off", log_config=None)
        config.load()
        transport, connection = Transport(), Connection(config, ServerState(), {})
        connection.connection_made(transport)
        connection.data_received(b"GET / HTTP/1.1\r\n")
        for place in range(100):
            if not transport.aborted:
                connection.data_received(f"x-{place}: {'y' * 1_000}\r\n".encode())
        connection.connection_lost(None)
        return transport

    assert asyncio.run(connect()).aborted
