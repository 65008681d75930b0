"""The durable log of one process: who is told that rows are in it will find them there.

In: rows of decisions and rewards from any thread. Out: segments in FOLDER/open, sealed to Parquet by date. The service
and its tools use it through ``jumar.serve.journal``.

Rows that wait together are written as one batch and made durable at once (group commit), so that a reply costs one
flush of the disk however many callers share it. Each stream and schema has a lane of its own: a thread, an open
segment, and a writer's name with an unbroken sequence of numbers.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
import secrets
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa

from jumar.errors import JumarError, OptionError
from jumar.files import sync_folder, unwritable
from jumar.records import Record
from jumar.serve.journal.frames import scan, whole_batches
from jumar.serve.journal.groups import Waiting
from jumar.serve.journal.lane import Lane, Limits
from jumar.serve.journal.sealing import seal
from jumar.serve.journal.segment import Segment, make_folder
from jumar.serve.journal.sink import STREAMS, Columns, JournalError, Stream, checked_schema

_MOST_LANES = 8  # schemas that one stream has open at a time
_SEALED_AT_ONCE, _SEALING_RESTS_S = 16, 0.005  # batches that are read for sealing, and the rest after so many


class JournalCounts(Record, frozen=True, kw_only=True):
    """What a journal did so far.

    Attributes:
        rows, groups: acknowledged rows, and the commits that they shared.
        refused: rows whose callers were told that they are not in the log.
        behind: rows whose time lies more than a minute before the newest one: a clock was set back, or an event is old.
        sealed, unsealed: segments that became Parquet, and those that could not yet.
    """

    rows: int
    groups: int
    refused: int
    behind: int
    sealed: int
    unsealed: int


class Journal:
    """A sink in a folder of this machine.

    Args:
        folder: of the log; made if it is not there. Any number of processes may write to one folder.
        writer: the beginning of this process's name in the log; by default "w". What follows is drawn at random at
            every start, so that no two writers ever share their numbers.
        durable: whether an append is done when its rows are on disk. Otherwise it is done when the operating system has
            them: they survive the death of the process, but not of the machine.
        loss_window_s: without ``durable``, the most seconds between two flushes: what a power cut can take.
        segment_rows, segment_seconds: when a segment ends; it also ends with the date of its rows.
        most_waiting: rows that may wait; beyond them appends are refused.

    Raises:
        OptionError: an argument outside its range.
        OutputError: the folder cannot be made.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        writer: str | None = None,
        durable: bool = True,
        loss_window_s: float = 1.0,
        segment_rows: int = 200_000,
        segment_seconds: float = 3_600.0,
        most_waiting: int = 100_000,
    ) -> None:
        name = "w" if writer is None else writer
        if not re.fullmatch(r"[A-Za-z0-9_.]{1,64}", name):
            raise OptionError("A writer's name is letters, digits, _ and .", example=name, remedy="Choose another one.")
        for what, value in {
            "loss_window_s": loss_window_s,
            "segment_rows": segment_rows,
            "segment_seconds": segment_seconds,
            "most_waiting": most_waiting,
        }.items():
            if not (math.isfinite(value) and value > 0):
                raise OptionError(f"{what} must be above 0", example=value, remedy="Give a positive number.")
        self.folder = Path(folder)
        self.writer = f"{name}-{secrets.token_hex(6)}"
        try:
            make_folder(self.folder)
        except OSError as error:
            raise unwritable(self.folder, error) from error
        pa.array([0])  # loads pandas where that is installed, which takes a second: not while the first caller waits
        self._limits = Limits(durable, loss_window_s, segment_rows, segment_seconds, most_waiting)
        self._lock = threading.Lock()
        self._lanes: dict[tuple[Stream, pa.Schema], Lane] = {}
        self._recent: dict[tuple[Stream, int], tuple[pa.Schema, Lane]] = {}
        self._all: list[Lane] = []
        self._retired: dict[str, int] = {"rows": 0, "groups": 0, "refused": 0, "behind": 0}
        self._opened = dict.fromkeys(STREAMS, 0)
        self._sealer = ThreadPoolExecutor(1, thread_name_prefix="journal-seal")
        self._sealed = 0
        self._unsealed: list[Segment] = []
        self._closed = False

    def append(self, stream: Stream, batch: pa.RecordBatch | Columns, schema: pa.Schema | None = None) -> Future[None]:
        """Hand over rows; see ``Sink.append``.

        Raises:
            JournalError: columns that no log can hold, or the journal is closed. What only shows while writing is in
                the future: values that do not fit (``JournalError``), a disk that is full or broken (``OSError``).
        """
        one = self._put(Waiting(stream, batch, schema))
        assert isinstance(one.future, Future)
        return one.future

    async def write(self, stream: Stream, batch: pa.RecordBatch | Columns, schema: pa.Schema | None = None) -> None:
        """``append`` for callers in an event loop: returns when the rows are durable.

        The callers of one loop that share a commit are woken together, at a fraction of what a future of ``append``
        costs each of them. A cancelled caller's rows are written all the same.

        Raises:
            JournalError, OSError: as for ``append``.
        """
        one = self._put(Waiting(stream, batch, schema, asyncio.get_running_loop()))
        if one.rows:
            assert isinstance(one.future, asyncio.Future)
            await one.future

    def _put(self, one: Waiting) -> Waiting:
        while one.rows and not self._lane(one.stream, one.schema).put(one):
            pass  # that lane was just retired
        return one

    @property
    def counts(self) -> JournalCounts:
        """What was done so far."""
        with self._lock:
            sums = {name: base + sum(getattr(lane, name) for lane in self._all) for name, base in self._retired.items()}
        return JournalCounts(**sums, sealed=self._sealed, unsealed=len(self._unsealed))

    def close(self) -> None:
        """Write what waits, seal every segment, stop. What cannot be sealed stays for ``recover``."""
        with self._lock:
            self._closed = True
            lanes, self._lanes, self._recent = list(self._all), {}, {}
        for lane in lanes:
            lane.finish()
        for lane in lanes:
            lane.join()
        self._sealer.shutdown()
        left, self._unsealed = self._unsealed, []
        for segment in left:
            self._try_to_seal(segment)
        for segment in self._unsealed:
            segment.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lane(self, stream: Stream, schema: pa.Schema) -> Lane:
        # Callers with plain columns have their schema at hand; to compare schemas by value takes longer than the rest.
        known = self._recent.get((stream, id(schema)))
        if known is not None:
            return known[1]
        if (lane := self._lanes.get((stream, schema))) is not None:
            return lane
        plain = checked_schema(schema)
        with self._lock:
            if self._closed:
                raise JournalError("The log is closed", remedy="Open it again.")
            if (lane := self._lanes.get((stream, plain))) is None:
                self._retire(stream)
                self._opened[stream] += 1
                place = self._opened[stream]
                writer = self.writer if place == 1 else f"{self.writer}.{place}"
                lane = Lane(self.folder, stream, writer, plain, self._limits, self._hand_on)
                self._all.append(lane)
                self._lanes[stream, plain] = lane
                self._recent[stream, id(schema)] = (schema, lane)  # with the schema, so that no other gets its identity
        return lane

    def _retire(self, stream: Stream) -> None:
        """Make room for one more lane of a stream."""
        for lane in [lane for lane in self._all if not lane.alive]:
            for name in self._retired:
                self._retired[name] += getattr(lane, name)
            self._all.remove(lane)
        mine = [key for key in self._lanes if key[0] == stream]
        if len(mine) >= _MOST_LANES:
            self._lanes.pop(min(mine, key=lambda key: self._lanes[key].used)).finish()
            self._recent = {key: known for key, known in self._recent.items() if known[1] in self._lanes.values()}

    def _hand_on(self, segment: Segment) -> None:
        """Seal a segment where nobody waits for it; and try again with those that failed before."""
        self._sealer.submit(self._seal_all, segment)

    def _seal_all(self, segment: Segment) -> None:
        left, self._unsealed = [*self._unsealed, segment], []
        for one in left:
            self._try_to_seal(one)

    def _try_to_seal(self, segment: Segment) -> None:
        try:
            data = segment.path.read_bytes()[: segment.size]
            batches = []
            for place, batch in enumerate(whole_batches(data)):
                batches.append(batch)
                if place % _SEALED_AT_ONCE == 0 and not self._closed:
                    time.sleep(_SEALING_RESTS_S)  # those who wait for a reply go first
            if sum(batch.num_rows for batch in batches) != segment.rows:
                batches = scan(data).batches
            if sum(batch.num_rows for batch in batches) != segment.rows:
                raise JournalError("A segment lost rows while it was open", remedy="Run recover.")
            seal(self.folder, segment.name, batches)
            segment.path.unlink()
            sync_folder(segment.path.parent)
        except (OSError, JumarError):
            self._unsealed.append(segment)
            return
        segment.close()
        self._sealed += 1
