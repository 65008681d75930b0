"""What the board's tests share: a registry with everything in it, and a caller of the board's application."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from board_days import write_loop
from board_papers import NOW, steps, write_gates, write_registry

from jumar.board.gathered import gather
from jumar.board.reading import Reader
from jumar.board.server import BoardApp
from jumar.board.view import Board
from jumar.loop.folders import LOOP
from jumar.release.registry.registry import GATES


def populated(root: Path, *, hostile: bool = False) -> Path:
    """Write everything.

    Args:
        root: folder of the registry, which is made.
        hostile: names and reasons that would be markup if they were not escaped.
    """
    root.mkdir(parents=True)
    write_registry(root, steps(hostile))
    write_gates(root / GATES, hostile)
    write_loop(root / LOOP, hostile)
    return root


def board_of(root: Path | str) -> Board:
    return gather(Reader(root).read(), NOW)


def ask(app: BoardApp, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """One request, in process: status, headers, body."""
    given = {"host": "localhost:8701"} | {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    replies: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        replies.append(message)

    asyncio.run(app(scope, receive, send))
    return replies[0]["status"], {k.decode(): v.decode() for k, v in replies[0]["headers"]}, replies[1]["body"]
