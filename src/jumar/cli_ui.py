"""``jumar ui``: words to a page about a registry and its loop.

In: arguments. Out: a server that runs until it is told to end, or one file; and an exit code: 0 ended as told or
written, 2 bad input. Only ``cli`` imports this module.
"""

from __future__ import annotations

import datetime
from pathlib import Path

from rich.console import Console

from jumar.errors import OptionError

ENDED = 0
err = Console(stderr=True, highlight=False)


def ui(
    registry: str,
    *,
    folder: Path | None = None,
    port: int = 8701,
    host: str = "127.0.0.1",
    every: int = 30,
    out: Path | None = None,
) -> int:
    """Show what is in production, what came of it, and what is on its way; the page only reads.

    Parameters
    ----------
    registry
        Folder or address of the registry.
    folder
        Of the loop (default: loop in the registry's own folder).
    port
        Where to listen; 0 takes a free one.
    host
        Where to listen. Whoever reaches it can read the page.
    every
        Seconds after which an open page looks again.
    out
        Write the page into this file instead, as it is now, and end.
    """
    from jumar.board.gathered import gather
    from jumar.board.page import render
    from jumar.board.reading import Reader
    from jumar.files import replacing

    if not 1 <= every <= 86_400:
        raise OptionError("--every takes 1 to 86400 seconds", example=every, remedy="Say for example --every 30.")
    if not 0 <= port <= 65_535:
        raise OptionError("A port lies between 0 and 65535", example=port, remedy="Choose another one.")
    reader = Reader(registry, folder)
    if out is None:
        from jumar.board.server import serve

        return serve(reader, host, port, every, lambda told: err.print(told, markup=False))
    board = gather(reader.read(), datetime.datetime.now(datetime.UTC))
    page = render(board).encode("utf-8", "replace")
    with replacing(out) as temporary:
        temporary.write_bytes(page)
    for one in board.notices:
        err.print(f"{one.what}: {' '.join(one.said)}", markup=False, style="red" if one.level == "bad" else "yellow")
    err.print(f"Wrote {out}", markup=False)
    return ENDED
