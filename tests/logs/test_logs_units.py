"""Rows by unit, held against a data frame that is sorted, counted and cut in plain sight."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jumar.errors import OptionError
from jumar.logs import Log, UnitSizes, read_log, unit_starts
from jumar.logs.units import whole_units

COLUMNS = ["__unit", "__hash", "__time", "__id", "__place"]


def rows_of(log: Log, *parts: str, **kwargs: object) -> pd.DataFrame:
    return pa.Table.from_batches(list(log.batches(*parts, **kwargs))).to_pandas()  # type: ignore[arg-type]


def shuffled(frame_of: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    return frame_of(3_000).sample(frac=1, random_state=1, ignore_index=True)


def test_units_come_one_after_the_other_in_the_order_of_time(frame_of: Callable[..., pd.DataFrame]) -> None:
    log = read_log(shuffled(frame_of))
    got = rows_of(log, "gate", columns=COLUMNS, by_unit=True, batch_rows=100)
    plain = rows_of(log, "gate", columns=COLUMNS[:-1]).sort_values(["__hash", "__time", "__id"], ignore_index=True)
    assert got.drop(columns="__place").equals(plain)
    np.testing.assert_array_equal(got["__place"], plain.groupby("__unit").cumcount())


def test_no_unit_is_split_and_batches_are_full(frame_of: Callable[..., pd.DataFrame]) -> None:
    log = read_log(shuffled(frame_of))
    batches = list(log.batches(columns=["__unit"], by_unit=True, batch_rows=100))
    units = [set(batch.column("__unit").to_pylist()) for batch in batches]
    assert sum(len(some) for some in units) == log.units
    sizes = [batch.num_rows for batch in batches]
    assert max(sizes) <= 100
    assert min(sizes[:-1]) > 80
    assert batches[0].schema.names == ["__unit"]


def test_only_first_decisions_count_when_asked(frame_of: Callable[..., pd.DataFrame]) -> None:
    frame = shuffled(frame_of)
    log = read_log(frame)
    got = rows_of(log, by_unit=True, most_per_unit=2, columns=["__id"])
    first = frame.sort_values("time").groupby("user_id").head(2)
    assert set(got["__id"]) == set(first.decision_id)
    for options in ({"most_per_unit": 2}, {"most_per_unit": 0, "by_unit": True}):
        with pytest.raises(OptionError, match="in order"):
            log.batches(**options)  # type: ignore[arg-type]


def test_places_in_the_engine_are_those_of_the_stream(frame_of: Callable[..., pd.DataFrame]) -> None:
    log = read_log(shuffled(frame_of))
    table = log.placed("gate")
    engine = log.origin.arrow(table.select("__id", "__place")).to_pylist()
    stream = rows_of(log, "gate", columns=["__id", "__place"], by_unit=True)
    assert {row["__id"]: row["__place"] for row in engine} == dict(zip(stream["__id"], stream["__place"], strict=True))


def test_without_times_and_ids_decisions_keep_the_order_of_the_source(frame_of: Callable[..., pd.DataFrame]) -> None:
    frame = shuffled(frame_of).drop(columns=["time", "decision_id"])
    got = rows_of(read_log(frame), by_unit=True, columns=["__unit", "__id"])
    position = got["__id"].astype(int)
    steps = np.diff(position)[np.asarray(got["__unit"][1:]) == np.asarray(got["__unit"][:-1])]
    assert len(steps) > 1_000
    assert (steps > 0).all()


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    chunk=st.integers(1, 25),
    batch_rows=st.integers(1, 50),
    most=st.none() | st.integers(1, 12),
)
def test_any_stream_is_cut_between_units(sizes: list[int], chunk: int, batch_rows: int, most: int | None) -> None:
    unit = np.repeat(np.arange(len(sizes)), sizes)
    place = np.concatenate([np.arange(size) for size in sizes])
    table = pa.table({"__hash": [f"{u:032x}" for u in unit], "row": np.arange(len(unit))})
    batches = list(whole_units(table.to_batches(max_chunksize=chunk), batch_rows, most))
    kept = np.full(len(unit), True) if most is None else place < most
    joined = pa.Table.from_batches(batches)
    np.testing.assert_array_equal(joined["row"], np.arange(len(unit))[kept])
    np.testing.assert_array_equal(joined["__place"], place[kept])
    ends = [batch.column("__hash")[-1].as_py() for batch in batches]
    assert len(set(ends)) == len(ends)
    for batch in batches:
        assert batch.num_rows <= batch_rows or len(unit_starts(batch.column("__hash"))) == 1


def test_sizes_are_counted(frame_of: Callable[..., pd.DataFrame]) -> None:
    frame = shuffled(frame_of)
    log = read_log(frame)
    sizes = log.rows_per_unit("fit", "stop", "validate")
    train = set(rows_of(log, "fit", "stop", "validate")["__unit"])
    counts = frame[frame.user_id.isin(train)].user_id.value_counts()
    expected = counts.value_counts().sort_index()
    np.testing.assert_array_equal(sizes.sizes, expected.index)
    np.testing.assert_array_equal(sizes.units, expected)
    assert (sizes.rows, sizes.count, sizes.most) == (counts.sum(), len(counts), counts.max())
    assert sizes.mean == pytest.approx(counts.mean())
    assert log.units_repeat("gate")
    assert not read_log(frame.assign(user_id=frame.decision_id)).units_repeat("gate")
    assert not read_log(frame.drop(columns="user_id")).units_repeat("gate")


@settings(max_examples=100, deadline=None)
@given(counts=st.lists(st.integers(1, 60), min_size=1, max_size=50), share=st.floats(0.01, 1))
def test_quantiles_and_caps_by_brute_force(counts: list[int], share: float) -> None:
    sizes = UnitSizes(*np.unique(counts, return_counts=True))
    kept = {most: np.minimum(counts, most).sum() / sum(counts) for most in range(1, 61)}
    assert sizes.kept(7) == pytest.approx(kept[7])
    assert sizes.cap(share) == min(most for most, left in kept.items() if left >= share - 1e-12)
    covered = {size: np.mean(np.array(counts) <= size) for size in counts}
    assert sizes.quantile(share) == min(size for size, part in covered.items() if part >= share - 1e-12)


def test_no_rows_have_no_sizes() -> None:
    none = UnitSizes(np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert (none.most, none.mean, none.cap(0.9), none.quantile(0.5), none.kept(3)) == (0, 0.0, 0, 0, 1.0)
