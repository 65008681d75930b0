"""Many appends become one batch: what waits together is converted once and written once.

In: what callers handed over. Out: one record batch in the order of arrival, and those whose values do not fit, each
with its own error. Only the modules of this room import this one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from jumar.serve.journal.sink import REWARDS, STREAMS, Columns, JournalError, Stream

_FIRST_US, _LAST_US = 0, 253_402_300_799_999_999  # 1970 to the end of 9999
DAY_US = 86_400_000_000
_MOST_PLAIN = 64


class Waiting:
    """Rows that somebody handed over and waits for, in a thread or in an event loop."""

    __slots__ = ("batch", "columns", "future", "loop", "rows", "schema", "stream")

    def __init__(
        self,
        stream: Stream,
        batch: pa.RecordBatch | Columns,
        schema: pa.Schema | None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """See ``Sink.append``; with a loop, whose thread this must be, ``future`` is one of that loop's.

        Raises:
            JournalError: no such stream, no schema, columns that are not those of the schema, or of different lengths.
        """
        if stream not in STREAMS:
            raise JournalError("There is no such stream", example=stream, remedy="Say decisions or rewards.")
        self.stream, self.loop = stream, loop
        self.future: Future[None] | asyncio.Future[None] = Future() if loop is None else loop.create_future()
        if isinstance(self.future, Future):
            self.future.set_running_or_notify_cancel()  # what was handed over cannot be taken back
        self.batch: pa.RecordBatch | None = None
        self.columns: Columns | None = None
        if isinstance(batch, Mapping):
            if schema is None and stream == "decisions":
                raise JournalError("Plain columns of decisions need a schema", remedy="Pass decisions_schema(…).")
            self.schema, names = _plain(REWARDS if schema is None else schema)
            self.columns, self.rows = batch, _rows(names, batch)
        else:
            plain = batch.replace_schema_metadata(None)
            self.batch, self.schema, self.rows = plain, plain.schema, plain.num_rows
        if not self.rows:
            self.future.set_result(None)


def tell(group: Sequence[tuple[Waiting, Exception | None]]) -> None:
    """Complete every future; those of one event loop together, because each call into a loop wakes it."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[Waiting, Exception | None]]] = {}
    for one, failure in group:
        if one.loop is None:
            _complete(one, failure)
        else:
            loops.setdefault(one.loop, []).append((one, failure))
    for loop, mine in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_complete_all, mine)


def _complete_all(group: Sequence[tuple[Waiting, Exception | None]]) -> None:
    for one, failure in group:
        if not one.future.done():  # a task may have been cancelled
            _complete(one, failure)


def _complete(one: Waiting, failure: Exception | None) -> None:
    if failure is None:
        one.future.set_result(None)
    else:
        one.future.set_exception(failure)


_PLAIN: dict[int, tuple[pa.Schema, pa.Schema, frozenset[str]]] = {}


def _plain(schema: pa.Schema) -> tuple[pa.Schema, frozenset[str]]:
    """The schema without metadata, always the same object for the same one, and its names: asked for every row."""
    found = _PLAIN.get(id(schema))
    if found is None:
        if len(_PLAIN) >= _MOST_PLAIN:
            _PLAIN.clear()
        # The schema itself is kept, so that no other one gets its identity.
        found = _PLAIN[id(schema)] = (schema, schema.remove_metadata(), frozenset(schema.names))
    return found[1], found[2]


def _rows(names: frozenset[str], columns: Columns) -> int:
    if columns.keys() != names:
        name = sorted(columns.keys() ^ names)[0]
        what = "missing" if name in names else "not in the schema"
        raise JournalError(f"A column is {what}", column=name, remedy="Give every column of the schema, null or not.")
    rows = len(next(iter(columns.values())))
    for name, values in columns.items():
        if len(values) != rows:
            raise JournalError("The columns differ in length", column=name, remedy="Give each one value per row.")
    return rows


def joined(schema: pa.Schema, group: Sequence[Waiting]) -> tuple[pa.RecordBatch, list[tuple[Waiting, Exception]]]:
    """All rows of the group as one batch, in order, without those that do not fit.

    Args:
        schema: of the rows.
        group: what waits.

    Returns:
        The batch, and who must be told why their rows are not in it.
    """
    try:
        return _checked(_together(schema, group)), []
    except (pa.ArrowException, JournalError, ValueError, TypeError, OverflowError):
        pass  # One of them does not fit; find out which.
    good, refused = [], []
    for one in group:
        try:
            _checked(_together(schema, [one]))
            good.append(one)
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            told = JournalError(f"A value does not fit its column ({error})", remedy="Mend it and append it again.")
            refused.append((one, told))
        except JournalError as error:
            refused.append((one, error))
    return _together(schema, good), refused


def _together(schema: pa.Schema, group: Sequence[Waiting]) -> pa.RecordBatch:
    parts: list[pa.RecordBatch] = []
    plain: list[Columns] = []
    for one in group:
        if one.columns is not None:
            plain.append(one.columns)
            continue
        if plain:
            parts.append(_from_columns(schema, plain))
            plain = []
        assert one.batch is not None
        parts.append(one.batch)
    if plain or not parts:
        parts.append(_from_columns(schema, plain))
    return parts[0] if len(parts) == 1 else pa.concat_batches(parts)


def _from_columns(schema: pa.Schema, plain: Sequence[Columns]) -> pa.RecordBatch:
    arrays = []
    for field in schema:
        name = field.name
        values: Any = plain[0][name] if len(plain) == 1 else list(chain.from_iterable(one[name] for one in plain))
        arrays.append(pa.array(values, type=field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _checked(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Refuses rows that could never be joined or dated.

    Raises:
        JournalError: a decision id or a time is missing, or a time lies before 1970 or after 9999.
    """
    for name in ("decision_id", "time"):
        if batch.column(name).null_count:
            raise JournalError("A value is missing", column=name, remedy="Every row needs a decision id and a time.")
    if batch.num_rows:
        times = times_of(batch)
        if not _FIRST_US <= times.min() <= times.max() <= _LAST_US:
            raise JournalError(
                "A time lies before 1970 or after 9999", column="time", remedy="Give microseconds since 1970, in UTC."
            )
    return batch


def times_of(batch: pa.RecordBatch) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Microseconds since 1970 of every row."""
    return batch.column("time").view(pa.int64()).to_numpy()
