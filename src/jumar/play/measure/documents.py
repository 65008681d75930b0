"""Measurements as JSON documents: written as a whole, read back as what they were, or refused.

In: a frozen dataclass of numbers, words and tuples; its name and version. Out: its text, its file, and the same again.
``league`` and ``behaviour`` are kept with it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from jumar.play.errors import PlayError
from jumar.play.files import put, take

Told = TypeVar("Told")
MOST = 16 << 20  # bytes of a document


class _Head(msgspec.Struct):
    """Of any document, what says how to read on."""

    format: int | float | str | None = None
    version: int | float | str | None = None


@dataclass(frozen=True)
class Kind(Generic[Told]):
    """One kind of document.

    Attributes:
        record: the dataclass.
        what: what it is called in messages.
        version: of what the document holds; another one is refused.
        sound: whether a record that has the right types makes sense.
    """

    record: type[Told]
    what: str
    version: int
    sound: Callable[[Told], bool]

    @property
    def format(self) -> str:
        """What the document says that it is."""
        return f"jumar.play.{self.what}"

    def text(self, record: Any) -> str:
        """The document."""
        given = {"format": self.format, "version": self.version} | dataclasses.asdict(record)
        return json.dumps(given, indent=1, allow_nan=False)

    def save(self, record: Any, path: str | Path) -> None:
        """Write the document.

        Raises:
            PlayError: it cannot be written; what was there before is still there.
        """
        put(path, f"{self.text(record)}\n".encode(), self.what)

    def load(self, path: str | Path) -> Told:
        """Read a document.

        Raises:
            PlayError: see ``read``, or if there is no such file.
        """
        return self.read(take(path, self.what, MOST).decode(errors="replace"), str(path))

    def read(self, text: str, where: str) -> Told:
        """What a text says.

        Raises:
            PlayError: if it is no such document, of another version, or damaged.
        """
        try:
            head = msgspec.json.decode(text, type=_Head)
        except (msgspec.DecodeError, RecursionError):
            head = _Head()
        if head.format != self.format:
            raise PlayError(f"This is no {self.what}; one says that its format is {self.format!r}", where=where,
                            example=text[:40], remedy=f"Name a file with a {self.what}.")  # fmt: skip
        if head.version != self.version:
            raise PlayError(
                f"This {self.what} is of version {head.version!r:.40}, and this Jumar reads version {self.version}",
                where=where, remedy="Measure again, or read it with the Jumar that wrote it.",
            )  # fmt: skip
        try:
            record = msgspec.json.decode(text, type=self.record)
        except (msgspec.DecodeError, RecursionError) as error:
            raise self._damaged(where, error) from None
        if not self.sound(record):
            raise self._damaged(where, None)
        return record

    def _damaged(self, where: str, example: object) -> PlayError:
        return PlayError(f"This {self.what} is damaged", where=where, example=example,
                         remedy="Name a file as it was written, or measure again.")  # fmt: skip


class Measured:
    """What is measured, and kept as a document: a base of frozen dataclasses whose ``kind`` is set once both are there.

    Attributes:
        kind: of the document.
    """

    kind: ClassVar[Kind[Any]]

    def to_json(self) -> str:
        """The document."""
        return self.kind.text(self)

    def save(self, path: str | Path) -> None:
        """Write the document.

        Raises:
            PlayError: it cannot be written; what was there before is still there.
        """
        self.kind.save(self, path)


def evenly(count: int, most: int) -> list[int]:
    """At most so many places of 0 to count − 1, evenly chosen, the last always and the first where there are two."""
    last, gaps = count - 1, max(min(most, count) - 1, 1)
    return sorted({last - round(i * last / gaps) for i in range(min(most, count))})


def columns(rows: list[list[str]], left: int = 1) -> str:
    """Rows of words under each other, the first ``left`` of each row aligned left and the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [w.ljust(n) if i < left else w.rjust(n) for i, (w, n) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
