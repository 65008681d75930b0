"""What goes wrong between the engine and the files of a source, in words that a user can act on.

In: an error of the engine, or files that are not what they were. Out: a ``LogError``. Used by ``source`` only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

import duckdb
import pyarrow as pa

from jumar.errors import LogError

ENGINE_ERRORS = (duckdb.Error, pa.ArrowException, OSError)

Stamps = Mapping[str, tuple[int, int] | None]
"""Bytes and time of the last change of each file; None for one that is not there."""


def stamps_of(files: Iterable[str]) -> Stamps:
    """The files as they are now."""
    return {file: _stamp(file) for file in files}


def _stamp(file: str) -> tuple[int, int] | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


class PlainWords:
    """Turns an error of the engine into a sentence about the source, and refuses files that changed meanwhile.

    What was checked in one pass over a log holds for the next pass only while nobody writes to it.

    Raises:
        LogError: on entering, or on leaving.
    """

    def __init__(self, name: str, stamps: Stamps) -> None:
        self.name, self.stamps = name, stamps

    def __enter__(self) -> None:
        self._refuse_changed(None)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, ENGINE_ERRORS):
            self._refuse_changed(error)
        if error is not None and isinstance(error, ENGINE_ERRORS):
            raise explained(self.name, error) from error

    def _refuse_changed(self, error: BaseException | None) -> None:
        changed = next((file for file, stamp in self.stamps.items() if _stamp(file) != stamp), None)
        if changed is not None:
            raise LogError(
                f"'{self.name}' changed while it was read",
                example=changed,
                remedy="Run it again on a log that nobody writes to, such as a copy.",
            ) from error


def explained(name: str, error: BaseException) -> LogError:
    """The engine's error about ``name`` in words a user can act on."""
    text = str(error)
    line = re.search(r"(?:CSV Error on )?[Ll]ine:? (\d+)", text)
    column = re.search(r"[Cc]olumn (?:name: )?\"?([^\s\",]+)\"?", text) if line else None
    if isinstance(error, PermissionError) or "Permission denied" in text:
        return LogError(f"'{name}' may not be read by this user", remedy="Give yourself the right to read it.")
    if line:
        return LogError(
            f"'{name}' breaks off being a table at line {int(line.group(1)):,}",
            column=column.group(1) if column else None,
            remedy="Mend that line, or write the log as Parquet, which carries its own types.",
        )
    if isinstance(error, duckdb.ConversionException):
        return LogError(
            f"'{name}' holds a value that does not fit the type of its column",
            remedy="Give every value of a column one type, or write the log as Parquet.",
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        return LogError(f"'{name}' needs more memory than there is", remedy="Free memory, or read a part of it.")
    return LogError(
        f"'{name}' cannot be read: it is damaged, or not what its name says it is",
        remedy="Write it again; `jumar` reads Parquet, CSV, Arrow and DuckDB.",
    )
