"""Documents on disk: there as a whole, or not at all.

In: a path and bytes. Out: a file. ``replay`` and ``evolve.checkpoints`` write with it.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from jumar.play.errors import PlayError


def put(path: str | os.PathLike[str], content: bytes, what: str) -> None:
    """Write beside, make durable, rename; folders are made.

    Args:
        path: of the file.
        content: of it.
        what: the document, for the message.

    Raises:
        PlayError: it cannot be written; what was there before is still there.
    """
    place = Path(path)
    aside = place.with_name(f".{place.name}-{secrets.token_hex(4)}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(place)
    except OSError as error:
        with suppress(OSError):
            aside.unlink()
        raise PlayError(f"The {what} cannot be written ({error.strerror})", where=str(place),
                        remedy="Free some room, or name another folder.") from error  # fmt: skip
