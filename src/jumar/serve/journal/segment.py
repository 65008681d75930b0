"""One open segment: a file that one writer appends to, whole batches or nothing.

In: batches. Out: bytes on disk, in a file under a lock that ends with the process. Only the modules of this room import
this one.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from jumar.files import sync_folder
from jumar.serve.journal.frames import Encoder
from jumar.serve.journal.sink import SEQUENCE, WRITER

OPEN, DAMAGED = "open", "damaged"
_NAME = re.compile(r"(decisions|rewards)-([A-Za-z0-9_.-]+)-(\d{6,})\.arrows")
_AHEAD = 4 << 20  # bytes set aside at a time, so that a commit need not wait for the file system's own books


class SegmentName(NamedTuple):
    """What a segment's name says."""

    stream: str
    writer: str
    number: int

    @property
    def open_file(self) -> str:
        """Its name while it is written."""
        return f"{self.stream}-{self.writer}-{self.number:06d}.arrows"

    @property
    def sealed_file(self) -> str:
        """Its name under each date once it is sealed."""
        return f"{self.writer}-{self.number:06d}.parquet"


def parsed(file: str) -> SegmentName | None:
    """The parts of an open segment's name; None if it is none."""
    found = _NAME.fullmatch(file)
    return SegmentName(found[1], found[2], int(found[3])) if found else None


def today() -> int:
    """Days since 1970, in UTC, by the clock of this machine."""
    return int(time.time() // 86_400)


def make_folder(folder: Path) -> Path:
    """The folder, made durably with all its parents."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
    return folder


def lock(handle: int) -> bool:
    """Take the lock of an open segment; False if its writer, or another recovery, has it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def segment_schema(schema: pa.Schema) -> pa.Schema:
    """The rows' columns, then who wrote them and as which."""
    return pa.schema([*schema, pa.field(WRITER, pa.string()), pa.field(SEQUENCE, pa.int64())])


class Segment:
    """A file that is appended to.

    Args:
        folder: of the log.
        stream, writer, number: its name.
        schema: of the rows, without writer and sequence number.

    Raises:
        OSError: it cannot be created.
    """

    def __init__(self, folder: Path, stream: str, writer: str, number: int, schema: pa.Schema) -> None:
        self.name = SegmentName(stream, writer, number)
        self.schema = segment_schema(schema)
        self.rows, self.opened = 0, time.monotonic()
        self.day = today()
        self.finished = self.uncertain = False
        place = make_folder(folder / OPEN)
        self.path = place / self.name.open_file
        self._encoder = Encoder(self.schema)
        self.size = self._ahead = len(self._encoder.header)
        # Under a name that nobody takes for a segment until it is locked and has its header.
        temporary = place / f".{self.name.open_file}"
        self.handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            lock(self.handle)
            self._write(self._encoder.header, 0)
            self._set_aside(self.size)
            os.fsync(self.handle)
            temporary.rename(self.path)
            sync_folder(place)
        except OSError:
            os.close(self.handle)
            temporary.unlink(missing_ok=True)
            raise

    def write(self, batch: pa.RecordBatch, *, sync: bool) -> None:
        """Append a batch; it is in the segment if, and only if, this returns.

        Args:
            batch: with writer and sequence numbers.
            sync: whether it must be on disk then, or with the next ``sync``.

        Raises:
            OSError: the batch was cut off again. Where even that failed, or the disk did not confirm, the segment is
                ``finished`` and it is ``uncertain`` whether the batch will be found in it.
        """
        data = self._encoder.encoded(batch)
        end = self.size + len(data)
        if end > self._ahead:
            self._set_aside(end)
        try:
            self._write(data, self.size)
            if sync:
                self.sync()
        except OSError:
            self._cut()
            raise
        self.size = end
        self.rows += batch.num_rows

    def sync(self) -> None:
        """Everything written is on disk when this returns.

        Raises:
            OSError: it is not certain; nothing more may be written to this segment.
        """
        try:
            os.fdatasync(self.handle)
        except OSError:
            self.finished = self.uncertain = True
            raise

    def close(self) -> None:
        """Let go of the lock."""
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1

    def _write(self, data: bytes, position: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self.handle, view, position)
            view, position = view[written:], position + written

    def _set_aside(self, needed: int) -> None:
        """Reserve room ahead of what is needed; where that cannot be had, the writing itself will say so."""
        try:
            os.posix_fallocate(self.handle, self._ahead, needed + _AHEAD - self._ahead)
            self._ahead = needed + _AHEAD
        except OSError:
            self._ahead = max(self._ahead, needed)

    def _cut(self) -> None:
        """Back to the last whole batch."""
        try:
            os.ftruncate(self.handle, self.size)
            os.fsync(self.handle)
            self._ahead = self.size
        except OSError:
            self.finished = self.uncertain = True
