"""Raw columns to three blocks of arrays: numbers, category codes, id codes.

In: Arrow batches with canonical columns. Out: ``Blocks`` in NumPy, the boundary at which JAX and the exported
graph take over. Reading a string here gives the code that the graph's own encoder gives: tests hold them together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from jumar.features.spec import CategoryColumn, FeatureSpec, IdsColumn

pc: Any = pyarrow.compute  # its functions are made at run time, which type checkers cannot see

SECONDS_PER_DAY = 86_400
TIME_PARTS = ("days", "day_sin", "day_cos", "week_sin", "week_cos")
MISSING, UNKNOWN, FIRST_KNOWN = 0, 1, 2
MISSING_TEXT = "<missing>"  # what a missing category is called where strings cannot be null


@dataclass(frozen=True)
class Blocks:
    """The numeric view of some rows.

    Attributes:
        numbers: [rows, number columns] float32, NaN where missing.
        codes: [rows, category columns] int32.
        ids: one [rows, length] int32 array per id-list column.
    """

    numbers: NDArray[np.float32]
    codes: NDArray[np.int32]
    ids: tuple[NDArray[np.int32], ...]

    def __len__(self) -> int:
        return len(self.numbers)


def read_blocks(batch: pa.RecordBatch | pa.Table, spec: FeatureSpec) -> Blocks:
    """Read the columns of ``spec`` out of an Arrow batch in canonical types."""
    rows = batch.num_rows
    numbers = np.empty((rows, len(spec.numbers)), np.float32)
    times: dict[str, Mapping[str, NDArray[np.float64]]] = {}
    for place, column in enumerate(spec.numbers):
        if column.part:
            if column.name not in times:
                times[column.name] = time_parts(_flat(batch, column.name))
            numbers[:, place] = times[column.name][column.part]
        else:
            numbers[:, place] = _as_floats(_flat(batch, column.name))
    codes = np.empty((rows, len(spec.categories)), np.int32)
    for place, column in enumerate(spec.categories):
        codes[:, place] = category_codes(_flat(batch, column.name), column)
    return Blocks(numbers, codes, tuple(id_codes(_flat(batch, column.name), column) for column in spec.ids))


def stack_blocks(pieces: Sequence[Blocks]) -> Blocks:
    """Concatenate blocks along rows."""
    return Blocks(
        np.concatenate([piece.numbers for piece in pieces]),
        np.concatenate([piece.codes for piece in pieces]),
        tuple(np.concatenate(column) for column in zip(*(piece.ids for piece in pieces), strict=True)),
    )


def time_parts(values: pa.Array) -> dict[str, NDArray[np.float64]]:
    """A timestamp as days since 1970 and its place in the day and in the week (UTC), NaN where missing."""
    micros = pc.cast(pc.cast(values, pa.timestamp("us")), pa.int64())
    return parts_of_seconds(np.asarray(pc.fill_null(micros, 0)) // 1_000_000, np.asarray(pc.is_null(values)))


def parts_of_seconds(seconds: NDArray[np.int64], missing: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
    """The same from whole seconds since 1970 [rows]."""
    in_day = 2 * np.pi * (seconds % SECONDS_PER_DAY) / SECONDS_PER_DAY
    in_week = 2 * np.pi * (seconds % (7 * SECONDS_PER_DAY)) / (7 * SECONDS_PER_DAY)
    parts = (
        seconds / SECONDS_PER_DAY,
        np.sin(in_day),
        np.cos(in_day),
        np.sin(in_week),
        np.cos(in_week),
    )
    return {name: np.where(missing, np.nan, part) for name, part in zip(TIME_PARTS, parts, strict=True)}


def category_codes(values: pa.Array, column: CategoryColumn) -> NDArray[np.int32]:
    """Codes [rows] of a string column; looks each distinct value of the batch up once."""
    encoded = values if pa.types.is_dictionary(values.type) else pc.dictionary_encode(values)
    texts = pc.cast(encoded.dictionary, pa.string())
    distinct = pc.index_in(texts, pa.array(column.vocabulary, pa.string()))
    table = np.asarray(pc.fill_null(distinct, UNKNOWN - FIRST_KNOWN)).astype(np.int32) + FIRST_KNOWN
    table[np.asarray(pc.equal(texts, MISSING_TEXT))] = MISSING
    places = np.asarray(pc.fill_null(encoded.indices, -1)).astype(np.int64)
    return np.append(table, np.int32(MISSING))[places]


def id_codes(values: pa.Array, column: IdsColumn) -> NDArray[np.int32]:
    """Codes [rows, length] of a list column, padded with 0; entries beyond ``length`` are not read."""
    rows, length = len(values), column.length
    codes = np.zeros((rows, length), np.int32)
    lengths = np.asarray(pc.fill_null(pc.list_value_length(values), 0)).astype(np.int64)
    flat = pc.list_flatten(values)
    entries = category_codes(flat, CategoryColumn(name="", vocabulary=column.vocabulary))
    entries[np.asarray(pc.is_null(flat))] = UNKNOWN
    row_of = np.repeat(np.arange(rows), lengths)
    starts = np.cumsum(lengths) - lengths
    place = np.arange(len(entries)) - np.repeat(starts, lengths)
    kept = place < length
    codes[row_of[kept], place[kept]] = entries[kept]
    return codes


def _as_floats(values: pa.Array) -> NDArray[np.float32]:
    """Float32 with NaN for null and for what is infinite in the column's own precision."""
    missing = float("nan")
    if not pa.types.is_floating(values.type):
        return np.asarray(pc.fill_null(pc.cast(values, pa.float32(), safe=False), missing))
    floats = np.asarray(pc.fill_null(values, missing))
    infinite = np.isinf(floats)
    with np.errstate(over="ignore"):  # what single precision cannot hold counts as its end
        single = floats.astype(np.float32)
    if infinite.any():
        single[infinite] = np.nan
    return single


def _flat(batch: pa.RecordBatch | pa.Table, name: str) -> pa.Array:
    """One contiguous array of a batch or a table."""
    column = batch.column(name)
    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return column
