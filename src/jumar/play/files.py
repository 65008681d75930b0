"""Documents on disk: there as a whole, or not at all; and never more of them than memory holds.

In: a path and bytes, or a path. Out: a file, or its bytes. Everything of the game that is read or written is so here.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jumar.play.errors import PlayError

MOST = 128 << 20  # bytes of a document; to read one of numbers takes some ten times as much memory


def put(path: str | os.PathLike[str], content: bytes, what: str) -> None:
    """Write beside, make durable, rename; folders are made, and links lead to what is written.

    Args:
        path: of the file.
        content: of it.
        what: the document, for the message.

    Raises:
        PlayError: it cannot be written, or is larger than ``take`` reads; what was there before is still there.
    """
    place = Path(os.path.realpath(path))
    aside = place.with_name(f".{place.name}-{secrets.token_hex(4)}")
    if len(content) > MOST:
        raise PlayError(f"The {what} has more than {MOST:,} bytes, which nobody would read again", where=str(path),
                        example=len(content), remedy="Keep less in it.")  # fmt: skip
    try:
        if place.exists() and not place.is_file():
            raise PlayError(f"The {what} cannot be written: something that is no file is there", where=str(path),
                            remedy="Name another path.")  # fmt: skip
        place.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(place)
    except OSError as error:
        raise PlayError(f"The {what} cannot be written ({error.strerror})", where=str(path),
                        remedy="Free some room, or name another folder.") from error  # fmt: skip
    finally:
        # Also where an interrupt came in between.
        with suppress(OSError):
            aside.unlink()


def take(path: str | os.PathLike[str], what: str, most: int = MOST) -> bytes:
    """Read a file as a whole.

    Args:
        path: of the file.
        what: the document, for the message.
        most: bytes that it may have.

    Raises:
        PlayError: there is none, it is no file (a pipe might never end), or it has more bytes.
    """
    place = Path(path)
    remedy = "Name the file that was written."
    try:
        if place.exists() and not place.is_file():
            raise PlayError(f"The {what} cannot be read: this is no file", where=str(path), remedy=remedy)
        with place.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise PlayError(f"The {what} cannot be read ({error.strerror})", where=str(path), remedy=remedy) from error
    if len(content) > most:
        raise PlayError(f"The {what} has more than {most:,} bytes, so it is none", where=str(path), remedy=remedy)
    return content


@contextmanager
def held(folder: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Keep a folder to oneself; it is made, and the system lets go of it even where the process is killed.

    Args:
        folder: which.
        what: is done in it, for the message.

    Raises:
        PlayError: somebody else has it, or it cannot be made.
    """
    try:
        import fcntl
    except ImportError:  # not on every system
        yield
        return
    try:
        os.makedirs(folder, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise PlayError(f"The folder cannot be used ({error.strerror})", where=str(folder),
                        remedy="Name another folder.") from error  # fmt: skip
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PlayError(f"Another {what} is going on in this folder", where=str(folder),
                            remedy="Wait until it has ended, or name another folder.") from None  # fmt: skip
        yield
    finally:
        os.close(handle)
