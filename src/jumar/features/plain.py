"""A few rows of plain Python values to blocks, in a tenth of the time that Arrow takes for as few.

In: lists of values by column, as a service has them. Out: the same ``Blocks`` that ``raw.read_blocks`` makes of the
same values: tests hold the two together. The serve floor uses it; whoever has thousands of rows takes ``read_blocks``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jumar.features.raw import FIRST_KNOWN, MISSING, MISSING_TEXT, UNKNOWN, Blocks, parts_of_seconds
from jumar.features.spec import FeatureSpec, IdsColumn

Columns = Mapping[str, Sequence[Any]]
_EXACT = 2.0**53  # up to here double precision holds every whole number


class PlainReader:
    """Reads the columns of one policy.

    Numbers may be int, float, bool or text that spells one; timestamps are whole microseconds since 1970 in UTC;
    categories text, whole numbers or booleans; id lists hold text or whole numbers. None is missing everywhere.

    Args:
        spec: how raw columns become blocks.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec
        self._plain = [place for place, column in enumerate(spec.numbers) if not column.part]
        self._times = [place for place, column in enumerate(spec.numbers) if column.part]
        self._codes = [_codes(column.vocabulary) for column in spec.categories]
        self._ids = [_ids_reader(column) for column in spec.ids]

    def __call__(self, columns: Columns, rows: int) -> Blocks:
        """The blocks of ``rows`` rows."""
        spec = self._spec
        numbers = np.empty((rows, len(spec.numbers)), np.float32)
        if self._plain:
            numbers[:, self._plain] = _floats([columns[spec.numbers[place].name] for place in self._plain], rows)
        times: dict[str, Mapping[str, NDArray[np.float64]]] = {}
        for place in self._times:
            column = spec.numbers[place]
            if column.name not in times:
                times[column.name] = _parts(columns[column.name])
            numbers[:, place] = times[column.name][column.part]
        codes = np.empty((rows, len(spec.categories)), np.int32)
        for place, (column, code_of) in enumerate(zip(spec.categories, self._codes, strict=True)):
            codes[:, place] = [code_of(value, UNKNOWN) for value in map(_text, columns[column.name])]
        ids = (read(columns[column.name]) for column, read in zip(spec.ids, self._ids, strict=True))
        return Blocks(numbers, codes, tuple(ids))


def _floats(columns: Sequence[Sequence[Any]], rows: int) -> NDArray[np.float32]:
    """Float32 [rows, columns], NaN for None and for what is infinite or no number; whole numbers are rounded once."""
    try:
        wide = np.array(columns, np.float64).reshape(len(columns), rows)  # None becomes NaN
    except (ValueError, OverflowError):  # text that spells no number
        wide = np.array([[float_of(value) for value in values] for values in columns], np.float64)
    size = np.abs(wide)
    with np.errstate(over="ignore"):  # what single precision cannot hold counts as its end
        single = wide.astype(np.float32)
    single[size == np.inf] = np.nan
    for place, row in np.argwhere(size > _EXACT):  # a large whole number was rounded already
        value = columns[place][row]
        if type(value) is int:
            single[place, row] = np.int64(value).astype(np.float32)
    return single.T


def float_of(value: Any) -> float:
    """A number, or text that spells one; NaN for anything else."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _parts(values: Sequence[int | None]) -> dict[str, NDArray[np.float64]]:
    micros = np.array([value or 0 for value in values], np.int64)
    return parts_of_seconds(micros // 1_000_000, np.array([value is None for value in values], np.bool_))


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    if value is None:
        return MISSING_TEXT
    return str(value).lower()  # True is "true" in Arrow and in every engine


def _codes(vocabulary: Sequence[str]) -> Callable[[str, int], int]:
    """The code of a text; the first of two alike counts."""
    table = {text: code for code, text in reversed([*enumerate(vocabulary, FIRST_KNOWN)])}
    table[MISSING_TEXT] = MISSING
    return table.get


def _ids_reader(column: IdsColumn) -> Callable[[Sequence[Any]], NDArray[np.int32]]:
    """Lists of ids to codes [rows, length], padded with 0; a null among the entries is an unknown id."""
    code_of, length = _codes(column.vocabulary), column.length

    def read(values: Sequence[Any]) -> NDArray[np.int32]:
        codes = np.zeros((len(values), length), np.int32)
        for row, entries in enumerate(values):
            if entries:
                known = [UNKNOWN if one is None else code_of(_text(one), UNKNOWN) for one in entries[:length]]
                codes[row, : len(known)] = known
        return codes

    return read
