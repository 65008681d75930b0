"""One lane: rows of one stream and one schema, one thread that writes them, one sequence of numbers.

In: rows that wait. Out: group commits, futures told, segments handed on to be sealed. Only ``journal`` imports this
module.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from jumar.serve.journal.groups import Waiting, joined, tell, times_of
from jumar.serve.journal.segment import Segment, today
from jumar.serve.journal.sink import JournalError, Stream

_BEHIND_US = 60_000_000  # a row's time this far before the newest one means that a clock was set back
_PAUSE_MOST_S, _PAUSE_SHARE, _SKIP_MOST = 0.002, 0.25, 63


class Limits:
    """When a journal commits, rotates and refuses; see ``Journal``."""

    __slots__ = ("durable", "loss_window_s", "most_waiting", "segment_rows", "segment_seconds")

    def __init__(
        self, durable: bool, loss_window_s: float, segment_rows: int, segment_seconds: float, most_waiting: int
    ) -> None:
        self.durable, self.loss_window_s = durable, loss_window_s
        self.segment_rows, self.segment_seconds, self.most_waiting = segment_rows, segment_seconds, most_waiting


class _Company:
    """Whether it pays to wait a moment for callers who have just been answered and may come back at once.

    Callers who wait for each reply before the next row fall into two halves, one of which waits while the other is
    written, and each commit serves half of them. A pause, short beside a commit, lets both halves share one. Where
    nobody comes back it is left out for twice as many commits as the time before.
    """

    __slots__ = ("_commit_s", "_skip", "_skipped", "wanted")

    def __init__(self) -> None:
        self.wanted = self._skip = self._skipped = 0
        self._commit_s = 0.0

    def pause_s(self, waiting: int) -> float:
        """Seconds to wait for more."""
        if waiting >= self.wanted:
            return 0.0
        if self._skipped < self._skip:
            self._skipped += 1
            return 0.0
        return min(_PAUSE_MOST_S, _PAUSE_SHARE * self._commit_s)

    def came(self, waiting: int) -> None:
        """How many wait after a pause."""
        self._skip = 0 if 4 * waiting >= 3 * self.wanted else min(_SKIP_MOST, 2 * self._skip + 1)
        self._skipped = 0

    def left(self, callers: int, seconds: float) -> None:
        """How many were served by a commit or came meanwhile, and how long it took."""
        self.wanted, self._commit_s = callers, seconds


class Lane:
    """Writes what is put into it until it is finished.

    Args:
        folder: of the log.
        stream: which.
        writer: its name, which no other lane of the stream ever has.
        schema: of the rows.
        limits: of the journal.
        hand_on: takes segments that are complete.

    Attributes:
        rows, groups: acknowledged so far.
        refused: rows whose callers were told that they are not in the log.
        behind: rows whose time lies more than a minute before the newest one so far.
    """

    def __init__(
        self,
        folder: Path,
        stream: Stream,
        writer: str,
        schema: pa.Schema,
        limits: Limits,
        hand_on: Callable[[Segment], None],
    ) -> None:
        self.folder, self.stream, self.writer, self.schema = folder, stream, writer, schema
        self.names = frozenset(schema.names)
        self.rows = self.groups = self.refused = self.behind = 0
        self.used = time.monotonic()
        self._limits, self._hand_on = limits, hand_on
        self._change = threading.Condition()
        self._waiting: list[Waiting] = []
        self._rows_waiting = 0
        self._finishing = False
        self._company = _Company()
        self._segment: Segment | None = None
        self._segments = self._sequence = 0
        self._newest = -(1 << 62)
        self._unsynced_since: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"journal-{stream}", daemon=True)
        self._thread.start()

    def put(self, one: Waiting) -> bool:
        """Let rows wait for the next commit; False if this lane takes no more."""
        with self._change:
            if self._finishing:
                return False
            full = self._rows_waiting + one.rows > self._limits.most_waiting and self._waiting
            if not full:
                self._waiting.append(one)
                self._rows_waiting += one.rows
                if len(self._waiting) in (1, self._company.wanted):
                    self._change.notify()
        if full:
            self.refused += one.rows
            late = JournalError(
                f"More than {self._limits.most_waiting:,} rows wait to be written",
                remedy="Send fewer at a time, or give the log a faster disk.",
            )
            tell([(one, late)])
        return True

    def finish(self) -> None:
        """Take no more; what waits is still written, and the segment handed on."""
        with self._change:
            self._finishing = True
            self._change.notify()

    @property
    def alive(self) -> bool:
        """Whether it still writes."""
        return self._thread.is_alive()

    def join(self) -> None:
        """Wait until all is written."""
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._change:
                if not self._waiting and not self._finishing:
                    self._change.wait(self._patience())
                if self._waiting and not self._finishing and (pause := self._company.pause_s(len(self._waiting))):
                    self._change.wait(pause)
                    self._company.came(len(self._waiting))
                group, self._waiting = self._waiting, []
                self._rows_waiting = 0
                finishing = self._finishing
            if group:
                self.used = time.monotonic()
                begun = time.monotonic()
                self._commit(group)
                self._company.left(len(group) + len(self._waiting), time.monotonic() - begun)
            self._tidy(finishing=finishing and not group)
            if finishing and not group:
                return

    def _patience(self) -> float | None:
        """Seconds until something is due by itself."""
        now, due = time.monotonic(), []
        if self._segment is not None:
            due.append(self._segment.opened + self._limits.segment_seconds - now)
        if self._unsynced_since is not None:
            due.append(self._unsynced_since + self._limits.loss_window_s - now)
        return max(0.0, min(due)) if due else None

    def _commit(self, group: list[Waiting]) -> None:
        """Write the group as one batch, then tell everyone who waits."""
        misfits: dict[int, Exception] = {}
        failure: Exception | None = None
        try:
            batch, bad = joined(self.schema, group)
            misfits = {id(one): error for one, error in bad}
            if batch.num_rows:
                self._write(batch)
                self.groups += 1
        except Exception as error:  # whatever it was, those who wait must hear of it
            failure = error
        said = [(one, misfits.get(id(one), failure)) for one in group] if misfits else [(one, failure) for one in group]
        kept = sum(one.rows for one, error in said if error is None)
        self.rows += kept
        self.refused += sum(one.rows for one in group) - kept
        tell(said)

    def _write(self, batch: pa.RecordBatch) -> None:
        """The batch with its numbers into the open segment.

        Raises:
            OSError: it is not in the log. Its numbers go to the next batch, unless it may still turn up.
        """
        rows, times = batch.num_rows, times_of(batch)
        if self._segment is None:
            self._segments += 1
            self._segment = Segment(self.folder, self.stream, self.writer, self._segments, self.schema)
        segment = self._segment
        numbers = np.arange(self._sequence, self._sequence + rows, dtype=np.int64)
        columns = [*batch.columns, pa.repeat(self.writer, rows), pa.array(numbers)]
        try:
            segment.write(pa.RecordBatch.from_arrays(columns, schema=segment.schema), sync=self._limits.durable)
        except OSError:
            if segment.uncertain:
                self._sequence += rows
            raise
        self._sequence += rows
        if not self._limits.durable and self._unsynced_since is None:
            self._unsynced_since = time.monotonic()
        newest = int(times.max())
        self.behind += int((times < max(self._newest, newest) - _BEHIND_US).sum())
        self._newest = max(self._newest, newest)

    def _tidy(self, *, finishing: bool) -> None:
        """What is due besides writing: the loss window, and the end of a segment."""
        segment, limits, now = self._segment, self._limits, time.monotonic()
        if segment is None:
            return
        due = now - segment.opened >= limits.segment_seconds or segment.rows >= limits.segment_rows
        ends = finishing or due or segment.finished or segment.day != today()
        if self._unsynced_since is not None and (ends or now - self._unsynced_since >= limits.loss_window_s):
            self._unsynced_since = None
            try:
                segment.sync()
            except OSError:  # those rows were acknowledged without a promise; sealing tries once more
                ends = True
        if ends:
            self._segment = None
            self._hand_on(segment)
