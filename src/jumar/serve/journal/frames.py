"""Batches as bytes that tell when they are whole: an Arrow IPC stream in which each batch carries its checksum.

In: batches, or the bytes of a segment that may be torn or damaged. Out: bytes, or every batch that is whole. Any reader
of Arrow IPC streams reads a segment, too. Only the modules of this room import this one.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pyarrow as pa

_MARK = b"\xff\xff\xff\xff"  # begins every message of an Arrow IPC stream, at multiples of eight bytes
_CHECKSUM = b"crc32"
_ERRORS = (pa.ArrowException, OSError, StopIteration, ValueError, KeyError, EOFError)


class Encoder:
    """Turns batches of one schema into consecutive messages of one stream."""

    def __init__(self, schema: pa.Schema) -> None:
        self.header: bytes = schema.serialize().to_pybytes()
        self._bytes = io.BytesIO()
        self._writer = pa.ipc.new_stream(self._bytes, schema)
        self._writer.write_batch(pa.RecordBatch.from_pylist([], schema=schema))  # the schema goes out with the first
        self._clear()

    def encoded(self, batch: pa.RecordBatch) -> bytes:
        """The message of one batch, a multiple of eight bytes."""
        try:
            self._writer.write_batch(batch, custom_metadata={_CHECKSUM: str(_checksum(batch)).encode()})
            return self._bytes.getvalue()
        finally:
            self._clear()

    def _clear(self) -> None:
        self._bytes.seek(0)
        self._bytes.truncate()


def _checksum(batch: pa.RecordBatch) -> int:
    """Over types, lengths and values: the message as it would be without any metadata of its own."""
    return zlib.crc32(batch.serialize())


@dataclass
class Scan:
    """What a segment's bytes hold.

    Attributes:
        schema: of the segment; None where not even that can be read.
        batches: all that are whole, in order.
        end: bytes up to the end of the last whole batch.
        torn: bytes after it that are no zeros: a batch that was being written.
        damaged: bytes before it that belong to no whole batch.
    """

    schema: pa.Schema | None = None
    batches: list[pa.RecordBatch] = field(default_factory=list)
    end: int = 0
    torn: int = 0
    damaged: int = 0

    @property
    def rows(self) -> int:
        """Rows in whole batches."""
        return sum(batch.num_rows for batch in self.batches)


def whole_batches(data: bytes) -> Iterator[pa.RecordBatch]:
    """The batches of a segment up to the first that is not whole: many times as fast as ``scan`` where none is."""
    with suppress(*_ERRORS):
        reader = pa.ipc.open_stream(data)
        while True:
            batch, told = reader.read_next_batch_with_custom_metadata()
            if told is None or int(told[_CHECKSUM]) != _checksum(batch):
                return
            yield batch


def scan(data: bytes) -> Scan:
    """Every whole batch of a segment, whatever lies between and behind them.

    Space that was set aside and not yet written is zeros. A batch that is not whole, with only zeros or nothing behind
    it, is a torn tail; where whole batches follow, it is damage.
    """
    found = Scan()
    try:
        message = pa.ipc.read_message(pa.BufferReader(data))
        found.schema = pa.ipc.read_schema(message)
    except _ERRORS:
        found.torn = len(data.rstrip(b"\0"))
        return found
    header = data[: 8 + int.from_bytes(data[4:8], "little")]
    buffer = pa.py_buffer(data)
    found.end = position = len(header)
    while (position := _next_mark(data, position)) >= 0:
        one = _batch_at(header, buffer, data, position)
        if one is None:
            position += 8
            continue
        found.damaged += position - found.end
        found.batches.append(one[0])
        found.end = position = one[1]
    found.torn = len(data[found.end :].rstrip(b"\0"))
    return found


def _next_mark(data: bytes, position: int) -> int:
    """Where the next message may begin; -1 if nowhere."""
    while (position := data.find(_MARK, position)) >= 0 and position % 8:
        position += 8 - position % 8
    return position


def _batch_at(header: bytes, buffer: pa.Buffer, data: bytes, position: int) -> tuple[pa.RecordBatch, int] | None:
    """The batch whose message begins here and where it ends, if it is whole."""
    length = int.from_bytes(data[position + 4 : position + 8], "little")
    if not 0 < length <= len(data) - position - 8:
        return None
    try:
        message = pa.ipc.read_message(pa.BufferReader(buffer.slice(position)))
        if message.type != "record batch":
            return None
        end = position + 8 + length + message.body.size
        reader = pa.ipc.open_stream(header + data[position:end])
        batch, told = reader.read_next_batch_with_custom_metadata()
        batch.validate(full=True)
        body = pa.ipc.read_message(batch.serialize()).body.size  # a longer one would swallow the next message
        whole = told is not None and int(told[_CHECKSUM]) == _checksum(batch) and message.body.size == body
    except _ERRORS:
        return None
    return (batch, end) if whole else None
