"""What a canary remembers from day to day: its record and the sums of its units, in one file.

In: each day's rows by place. Out: ``Canary``, a value, and its bytes. Only ``canary`` imports this module.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jumar.evaluate.capital import Floats
from jumar.release.canary_plan import FORMAT, CanaryDay, CanaryRecord
from jumar.release.documents import ReleaseError

_HEAD = b"jumar.canary"


@dataclass(frozen=True, eq=False)
class Units:
    """What is remembered of each unit that production served until the stage began; places, no names.

    Attributes:
        place: [units] rising.
        rows: [units] decisions in the stage; 0 for units known from before only.
        sums: [units, metrics] what they brought in the stage.
        rows_before, sums_before: the same for the days between the last change of share and the stage, all of them
            served by production.
    """

    place: Floats
    rows: NDArray[np.int64]
    sums: Floats
    rows_before: NDArray[np.int64]
    sums_before: Floats


@dataclass(frozen=True, eq=False)
class Canary:
    """A canary and its sums: a value. ``to_bytes`` is one file, small enough to be replaced whole every day."""

    record: CanaryRecord
    units: Units

    @property
    def last(self) -> CanaryDay | None:
        """What the latest day led to; None before the first."""
        return self.record.days[-1] if self.record.days else None

    def to_bytes(self) -> bytes:
        """An Arrow file: the record as JSON in its metadata, one row for each unit."""
        columns: dict[str, pa.Array] = {
            "place": pa.array(self.units.place),
            "rows": pa.array(self.units.rows),
            "rows_before": pa.array(self.units.rows_before),
        }
        for k in range(len(self.record.plan.metrics)):
            columns[f"sum_{k}"] = pa.array(self.units.sums[:, k])
            columns[f"before_{k}"] = pa.array(self.units.sums_before[:, k])
        table = pa.table(columns).replace_schema_metadata({_HEAD: msgspec.json.encode(self.record)})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_table(table)
        return sink.getvalue().to_pybytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Canary:
        """What ``to_bytes`` wrote.

        Raises:
            ReleaseError: it is not such a file, or of another version.
        """
        try:
            table = pa.ipc.open_file(pa.BufferReader(data)).read_all().combine_chunks()
            record = msgspec.json.decode((table.schema.metadata or {})[_HEAD], type=CanaryRecord)
            columns = [f"{kind}_{k}" for kind in ("sum", "before") for k in range(len(record.plan.metrics))]
            many = len(record.plan.metrics)
            values = [to_numpy(table[name]) for name in columns]
            units = Units(
                to_numpy(table["place"]),
                to_numpy(table["rows"]),
                np.stack(values[:many], axis=1),
                to_numpy(table["rows_before"]),
                np.stack(values[many:], axis=1),
            )
            if record.format != FORMAT or np.any(np.diff(units.place) <= 0):
                raise ValueError(f"format {record.format}, or places out of order")
        except (OSError, pa.ArrowException, msgspec.MsgspecError, KeyError, ValueError) as error:
            raise ReleaseError(
                f"This is not a saved canary ({error})", remedy="Restore it from a copy; it must not be edited."
            ) from error
        return cls(record, units)


def added(units: Units, place: Floats, values: Floats, earlier: float, *, before: bool) -> Units:
    """The day's rows of units that production served until the stage, added to what is known of them.

    Args:
        units: as the day before left them.
        place: [rows] in [0, 1); those below ``earlier`` belong to units that met the challenger in earlier stages.
        values: [rows, metrics].
        earlier: share of the stage before.
        before: whether the day lies before the stage.
    """
    mine = place >= earlier
    found, inverse = np.unique(place[mine], return_inverse=True)
    rows = np.bincount(inverse, minlength=found.size)
    sums = np.stack([np.bincount(inverse, column, found.size) for column in values[mine].T], axis=1)
    every = np.union1d(units.place, found)
    old, new = np.searchsorted(every, units.place), np.searchsorted(every, found)

    def grown(known: NDArray, more: NDArray | None) -> NDArray:
        total = np.zeros((every.size, *known.shape[1:]), known.dtype)
        total[old] = known
        if more is not None:
            total[new] += more
        return total

    now, then = (None, None) if before else (rows, sums), (rows, sums) if before else (None, None)
    return Units(
        every,
        grown(units.rows, now[0]),
        grown(units.sums, now[1]),
        grown(units.rows_before, then[0]),
        grown(units.sums_before, then[1]),
    )


def after_widening(units: Units, share: float) -> Units:
    """Those whom production served in the stage and goes on to know; what they brought in it comes before the next."""
    kept = (units.place >= share) & (units.rows > 0)
    rows, sums = units.rows[kept], units.sums[kept]
    return Units(units.place[kept], np.zeros_like(rows), np.zeros_like(sums), rows, sums)


def nobody(metrics: int) -> Units:
    """The sums of no units."""
    rows, sums = np.zeros(0, np.int64), np.zeros((0, metrics))
    return Units(np.zeros(0), rows, sums, rows, sums)


def to_numpy(column: pa.ChunkedArray) -> NDArray:
    """The column in one piece."""
    return column.to_numpy()
