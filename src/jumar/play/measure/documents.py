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
from typing import Any, Generic, TypeVar

import msgspec

from jumar.play.errors import PlayError
from jumar.play.files import put

Told = TypeVar("Told")


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
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PlayError(f"The {self.what} cannot be read", where=str(path), example=error,
                            remedy="Name a file that its save wrote.") from None  # fmt: skip
        return self.read(text, str(path))

    def read(self, text: str, where: str) -> Told:
        """What a text says.

        Raises:
            PlayError: if it is no such document, of another version, or damaged.
        """
        try:
            given = msgspec.json.decode(text)
        except msgspec.DecodeError:
            given = None
        if not isinstance(given, dict) or given.get("format") != self.format:
            raise PlayError(f"This is no {self.what}; one says that its format is {self.format!r}", where=where,
                            example=text[:40], remedy=f"Name a file with a {self.what}.")  # fmt: skip
        if given.get("version") != self.version:
            raise PlayError(
                f"This {self.what} is of version {given.get('version')!r}, and this Jumar reads version {self.version}",
                where=where, remedy="Measure again, or read it with the Jumar that wrote it.",
            )  # fmt: skip
        try:
            record = msgspec.convert(given, self.record)
        except msgspec.ValidationError as error:
            raise self._damaged(where, error) from None
        if not self.sound(record):
            raise self._damaged(where, None)
        return record

    def _damaged(self, where: str, example: object) -> PlayError:
        return PlayError(f"This {self.what} is damaged", where=where, example=example,
                         remedy="Name a file as it was written, or measure again.")  # fmt: skip


def columns(rows: list[list[str]], left: int = 1) -> str:
    """Rows of words under each other, the first ``left`` of each row aligned left and the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [w.ljust(n) if i < left else w.rjust(n) for i, (w, n) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
