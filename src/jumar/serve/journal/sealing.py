"""From a segment to Parquet by date: written aside, made durable, renamed; doing it again changes nothing.

In: a segment's whole batches. Out: FOLDER/<stream>/date=YYYY-MM-DD/<writer>-<segment>.parquet, one file for each date
that its rows have. A file has the segment's name, so that a second sealing, after a kill, writes over the first. Only
the modules of this room import this one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jumar.files import replacing
from jumar.records import Record
from jumar.serve.journal.groups import DAY_US
from jumar.serve.journal.segment import SegmentName, make_folder
from jumar.serve.journal.sink import SEQUENCE

_SPAN = b"jumar.segment"
_GROUP_ROWS = 65_536


class Span(Record, frozen=True, kw_only=True):
    """Which part of its writer's sequence a sealed file's whole segment holds.

    Attributes:
        writer, segment: whose, and which of its segments, from 1.
        first, last: sequence numbers.
        rows: fewer than from first to last if some were damaged.
    """

    writer: str
    segment: int
    first: int
    last: int
    rows: int


def day_folder(folder: Path, stream: str, day: int) -> Path:
    """Where rows of a day lie; days since 1970."""
    return folder / stream / f"date={np.datetime64(day, 'D')}"


def seal(folder: Path, name: SegmentName, batches: Sequence[pa.RecordBatch]) -> int:
    """Write a segment's rows where they belong.

    Args:
        folder: of the log.
        name: of the segment.
        batches: its whole batches.

    Returns:
        Rows written.

    Raises:
        OutputError: the disk is full or may not be written; what was there before is still there.
        OSError: the same, while a folder is made.
    """
    rows = sum(batch.num_rows for batch in batches)
    if not rows:
        return 0
    table = pa.Table.from_batches(batches).combine_chunks()
    sequence = table[SEQUENCE].to_numpy()
    span = Span(
        writer=name.writer, segment=name.number, first=int(sequence[0]), last=int(sequence[-1]), rows=len(sequence)
    )
    table = table.replace_schema_metadata({_SPAN: msgspec.json.encode(span)})
    days = table["time"].cast(pa.int64()).to_numpy() // DAY_US
    for day in np.unique(days):
        place = make_folder(day_folder(folder, name.stream, int(day)))
        target = place / name.sealed_file
        _sweep(target)
        here = table if days[0] == day == days[-1] and (days == day).all() else table.filter(pa.array(days == day))
        with replacing(target) as temporary:
            pq.write_table(here, temporary, compression="zstd", row_group_size=_GROUP_ROWS)
    return rows


def span_of(file: str | os.PathLike[str]) -> Span | None:
    """What a sealed file's metadata say; None if a journal did not write it.

    Raises:
        pa.ArrowException, OSError: it cannot be read.
    """
    told = (pq.read_schema(file).metadata or {}).get(_SPAN)
    return None if told is None else msgspec.json.decode(told, type=Span)


def _sweep(target: Path) -> None:
    """Remove what a killed sealing of this very segment left; its lock says that nobody else is at it."""
    for file in target.parent.glob(f".{target.name}-*"):
        file.unlink(missing_ok=True)
