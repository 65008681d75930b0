"""Sealed documents: JSON that says its format and version, and refuses to be read once it has been changed.

In: a struct that is ``Sealed``, a path. Out: a file, and the struct from it. ``evolve.checkpoints``, ``champions`` and
``training`` write with it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from jumar.play.errors import PlayError
from jumar.play.files import put, take


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """What every document holds: a version of its format, and the SHA-256 of itself without this field."""

    format: int
    sha256: str = ""


Document = TypeVar("Document", bound=Sealed)


def save(document: Sealed, path: str | os.PathLike[str], what: str) -> None:
    """Write as a whole.

    Args:
        document: what to write.
        path: where to.
        what: its name in messages.

    Raises:
        PlayError: it cannot be written; what was there before is still there.
    """
    put(path, msgspec.json.encode(msgspec.structs.replace(document, sha256=_seal(document))), what)


def load(path: str | os.PathLike[str], kind: type[Document], version: int, what: str) -> Document:
    """Read one.

    Raises:
        PlayError: there is none, or it is damaged, changed, or of another version.
    """
    return read(take(path, what), kind, version, what, str(path))


def read(content: bytes, kind: type[Document], version: int, what: str, where: str) -> Document:
    """One from its bytes; errors as in ``load``."""
    remedy = "Restore it, or make it anew."
    try:
        found = msgspec.json.decode(content, type=_Head).format
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PlayError(f"This is no {what}, or it was cut ({error})", where=where, remedy=remedy) from error
    if found != version:
        raise PlayError(f"The {what} has format {found!r:.40}, and this version reads {version}", where=where,
                        remedy="Use the version that wrote it, or make it anew.")  # fmt: skip
    try:
        # Straight into its type: what a hostile document holds besides takes no memory.
        document = msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, PlayError) as error:
        raise PlayError(f"The {what} is damaged ({error})", where=where, remedy=remedy) from error
    if document.sha256 != _seal(document):
        raise PlayError(f"The {what} has been changed since it was written", where=where, remedy=remedy)
    return document


@contextmanager
def within(where: str) -> Iterator[None]:
    """What is wrong with a part of a document names the document."""
    try:
        yield
    except PlayError as error:
        place = where if error.where is None else f"{where}: {error.where}"
        raise PlayError(error.what, where=place, example=error.example, remedy=error.remedy) from error


class _Head(msgspec.Struct):
    """Of any document, what says how to read on."""

    format: int | float | str | None = None


def _seal(document: Sealed) -> str:
    return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(document, sha256=""))).hexdigest()
