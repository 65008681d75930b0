"""After a crash: what was acknowledged is kept, what was being written is cut, what is missing is counted.

In: the folder of a log. Out: ``Recovery``, and FOLDER/open without segments that nobody writes. Segments of living
writers are left to them: each is locked by its process. Only the modules of this room import this one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import msgspec
import pyarrow as pa

from jumar.files import sync_folder, unwritable
from jumar.records import Record
from jumar.serve.journal.frames import scan
from jumar.serve.journal.sealing import Span, seal, span_of
from jumar.serve.journal.segment import DAMAGED, OPEN, SegmentName, lock, make_folder, parsed
from jumar.serve.journal.sink import JournalError

_CREATED_WITHIN_S = 60.0  # a younger file without its name may be about to get it


class Recovery(Record, frozen=True, kw_only=True):
    """What was found in a folder.

    Attributes:
        segments: left behind, now sealed; rows: in them, all kept.
        bytes_cut: of batches that were being written when their process died.
        live: segments that another process writes.
        gaps: sequence numbers missing, by "stream/writer", of the writers whose segments were found.
        damaged: files set aside under FOLDER/damaged, because parts of them cannot be read; the rest was kept.
    """

    segments: int
    rows: int
    bytes_cut: int
    live: int
    gaps: dict[str, int]
    damaged: list[str]

    @property
    def said(self) -> list[str]:
        """What a person should hear of it."""
        kept = [f"Recovered {self.rows:,} rows that an earlier process left open"] if self.rows else []
        return kept + [f"Set '{name}' aside in the log, because parts of it cannot be read" for name in self.damaged]


def recover(folder: str | os.PathLike[str]) -> Recovery:
    """Seal every segment that no living process writes.

    Args:
        folder: of the log.

    Returns:
        What was found; nothing where there is no log yet. A second call finds nothing more.

    Raises:
        OutputError: the folder cannot be written.
    """
    place = Path(folder)
    done: list[tuple[SegmentName, int, int, bool]] = []
    live = 0
    try:
        for path in sorted((place / OPEN).iterdir()) if (place / OPEN).is_dir() else ():
            name = parsed(path.name.removeprefix("."))
            if name is None or not path.is_file():
                continue
            found = _take(place, path, name)
            if isinstance(found, tuple):
                done.append((name, *found))
            elif found:
                live += 1
    except OSError as error:
        raise unwritable(place, error) from error
    gaps = {}
    for stream, writer in sorted({(name.stream, name.writer) for name, *_ in done}):
        if missing := gaps_of(place, stream, (place / stream).glob(f"date=*/{writer}-*.parquet")).get(writer):
            gaps[f"{stream}/{writer}"] = missing
    return Recovery(
        segments=len(done),
        rows=sum(rows for _, rows, _, _ in done),
        bytes_cut=sum(torn for _, _, torn, _ in done),
        live=live,
        gaps=gaps,
        damaged=[f"{DAMAGED}/{name.open_file}" for name, _, _, broken in done if broken],
    )


def _take(folder: Path, path: Path, name: SegmentName) -> tuple[int, int, bool] | bool:
    """Seal one segment: its rows, bytes cut, whether it is damaged. True where somebody writes it, False if it is gone.

    A file that its writer had not yet given its name holds no rows and is removed.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        if not lock(handle):
            return True
        if not path.exists():  # sealed, or given its name, while we came for it
            return False
        if path.name.startswith("."):
            if time.time() - path.stat().st_mtime > _CREATED_WITHIN_S:
                path.unlink()
            return False
        found = scan(path.read_bytes())
        rows = seal(folder, name, found.batches)
        broken = found.schema is None or found.damaged > 0
        if broken:
            path.rename(make_folder(folder / DAMAGED) / path.name)
            sync_folder(folder / DAMAGED)
        else:
            path.unlink()
        sync_folder(path.parent)
        return rows, found.torn, broken
    finally:
        os.close(handle)


def gaps_of(folder: Path, stream: str, files: Iterable[Path]) -> dict[str, int]:
    """Sequence numbers missing within and between segments, by writer.

    Args:
        folder: of the log.
        stream: which.
        files: sealed files; a segment that none of them comes from is looked for under all dates before it is missed.

    Raises:
        JournalError: a file cannot be read.
    """
    spans: dict[str, dict[int, Span]] = {}
    for file in files:
        if (span := checked_span(file)) is not None:
            spans.setdefault(span.writer, {})[span.segment] = span
    found = {}
    for writer, known in spans.items():
        for number in range(min(known), max(known)):
            if number not in known:
                name = SegmentName(stream, writer, number).sealed_file
                elsewhere = next((folder / stream).glob(f"date=*/{name}"), None)
                if elsewhere is not None and (span := checked_span(elsewhere)) is not None:
                    known[number] = span
        if missing := _missing([known[number] for number in sorted(known)]):
            found[writer] = missing
    return found


def checked_span(file: Path) -> Span | None:
    """``span_of`` in plain words where it fails.

    Raises:
        JournalError: the file is damaged.
    """
    try:
        return span_of(file)
    except (pa.ArrowException, msgspec.DecodeError, OSError) as error:
        raise damaged(file) from error


def damaged(file: Path) -> JournalError:
    """What to say of a sealed file that cannot be read."""
    return JournalError(
        f"'{file}' cannot be read: it is damaged",
        remedy="Restore it from a copy, or move it out of the log; its rows then count as a gap.",
    )


def _missing(spans: Sequence[Span]) -> int:
    """Numbers between the first and the last that no segment has."""
    inside = sum(span.last - span.first + 1 - span.rows for span in spans)
    return inside + sum(after.first - before.last - 1 for before, after in pairwise(spans))
