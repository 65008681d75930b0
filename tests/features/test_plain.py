"""Plain values and Arrow columns give the same blocks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from jumar.features.plain import PlainReader
from jumar.features.raw import MISSING_TEXT, TIME_PARTS, read_blocks
from jumar.features.spec import CategoryColumn, FeatureSpec, IdsColumn, NumberColumn


def number(name: str, part: str = "") -> NumberColumn:
    return NumberColumn(name=name, part=part, centre=0.0, width=1.0, mean=0.0, scale=1.0, missing=True, levels=())


SPEC = FeatureSpec(
    numbers=(number("x"), number("k"), number("flag"), *(number("when", part) for part in TIME_PARTS)),
    categories=(
        CategoryColumn(name="c", vocabulary=("a", "b", "")),
        CategoryColumn(name="n", vocabulary=("3", "-7")),
        CategoryColumn(name="yes", vocabulary=("true",)),
    ),
    ids=(
        IdsColumn(name="l", vocabulary=("a", "b"), length=3),
        IdsColumn(name="m", vocabulary=("1", "2", "30"), length=2),
    ),
)
TYPES = {
    "x": pa.float64(),
    "k": pa.int64(),
    "flag": pa.bool_(),
    "when": pa.timestamp("us"),
    "c": pa.string(),
    "n": pa.int64(),
    "yes": pa.bool_(),
    "l": pa.list_(pa.string()),
    "m": pa.list_(pa.int64()),
}
TEXT = st.sampled_from(["a", "b", "", "zz", MISSING_TEXT, "é"])
WHOLE = st.integers(-(2**63), 2**63 - 1)
ROW = st.fixed_dictionaries(
    {
        "x": st.none() | st.floats(allow_nan=False),
        "k": st.none() | WHOLE,
        "flag": st.none() | st.booleans(),
        "when": st.none() | st.integers(-(10**15), 10**17),
        "c": st.none() | TEXT,
        "n": st.none() | st.sampled_from([3, -7, 8]),
        "yes": st.none() | st.booleans(),
        "l": st.none() | st.lists(st.none() | TEXT, max_size=5),
        "m": st.none() | st.lists(st.none() | st.sampled_from([1, 2, 30, 4]), max_size=4),
    }
)
EMPTY: dict[str, Any] = dict.fromkeys(TYPES)


@settings(max_examples=150, deadline=None)
@given(st.lists(ROW, max_size=6))
@example([])
@example([EMPTY, EMPTY | {"x": 1e39, "k": 2**53 + 1}, EMPTY | {"x": math.inf, "k": 9_007_199_791_611_905}])
def test_plain_values_read_as_arrow_reads_them(rows: list[dict[str, Any]]) -> None:
    columns = {name: [row[name] for row in rows] for name in TYPES}
    batch = pa.RecordBatch.from_arrays([pa.array(columns[name], kind) for name, kind in TYPES.items()], names=[*TYPES])
    expected, found = read_blocks(batch, SPEC), PlainReader(SPEC)(columns, len(rows))
    assert_array_equal(found.numbers, expected.numbers)
    assert_array_equal(found.codes, expected.codes)
    for ours, theirs in zip(found.ids, expected.ids, strict=True):
        assert_array_equal(ours, theirs)
    assert found.numbers.dtype == np.float32
