"""A policy reads other rows the way it read its own, or says which column does not fit."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pytest

from jumar.errors import LogError
from jumar.logs import Log, LogSchema, read_for, read_log, scoring_batches


@pytest.fixture
def schema(frame: pd.DataFrame) -> LogSchema:
    return read_log(frame).schema


def refused(schema: LogSchema, source: Any, **options: Any) -> LogError:
    with pytest.raises(LogError) as caught:
        read_for(schema, source, **options)
    return caught.value


def both(log: Log, **options: Any) -> tuple[pa.Table, pa.Table]:
    pairs = list(scoring_batches(log, **options))
    return pa.Table.from_batches([a for a, _ in pairs]), pa.Table.from_batches([b for _, b in pairs])


def test_schema_survives_json(schema: LogSchema) -> None:
    assert msgspec.json.decode(msgspec.json.encode(schema), type=LogSchema) == schema


def test_originals_pass_through_beside_canonical_features(frame: pd.DataFrame, schema: LogSchema) -> None:
    rows = pa.Table.from_pandas(
        frame[["decision_id", "x", "country", "new"]].assign(note="as it was", x=frame.x.astype("float32"))
    )
    rows = rows.drop_columns("__index_level_0__") if "__index_level_0__" in rows.column_names else rows
    original, canonical = both(read_for(schema, rows), salt="policy", batch_rows=300)
    assert original.equals(rows.replace_schema_metadata(None).cast(original.schema))
    assert canonical.column_names == ["__id", "x", "country", "new", "__uniform"]
    assert canonical.schema.field("x").type == pa.float32()  # numbers keep the source's own type
    digests = [hashlib.md5(f"policy:{i}".encode()).digest() for i in frame.decision_id]
    assert canonical["__uniform"].to_pylist() == [(int.from_bytes(d, "little") >> 75) / 2**53 for d in digests]
    assert "__uniform" not in both(read_for(schema, rows))[1].column_names


def test_scored_features_equal_the_features_learned_from(frame: pd.DataFrame, schema: LogSchema) -> None:
    learned = pa.Table.from_batches(list(read_log(frame).batches(columns=["__id", "x", "country", "new"])))
    assert both(read_for(schema, frame))[1].equals(learned)


def test_rows_without_ids_are_numbered(frame: pd.DataFrame, schema: LogSchema) -> None:
    log = read_for(schema, frame[["new", "country", "x"]])
    assert both(log)[1]["__id"].to_pylist()[:3] == ["0", "1", "2"]
    assert "position" in log.notes[0]


def test_missing_feature(frame: pd.DataFrame, schema: LogSchema) -> None:
    error = refused(schema, frame.rename(columns={"country": "county"}))
    assert error.column == "country"
    assert "Did you mean 'county'?" in error.remedy


def test_changed_type(frame: pd.DataFrame, schema: LogSchema) -> None:
    error = refused(schema, frame.assign(x=frame.x.astype(str)))
    assert error.column == "x"
    assert "double" in error.what
    assert "string" in error.what
    assert refused(schema, frame.assign(country=1)).column == "country"
    assert refused(schema, frame.assign(new=1.0)).column == "new"
    assert refused(schema, frame.assign(x=True)).column == "x"


def test_harmless_changes_of_type(frame: pd.DataFrame, schema: LogSchema) -> None:
    assert read_for(schema, frame.assign(x=range(2_000))).rows == 2_000
    empty = pa.Table.from_pandas(frame[["x", "country"]]).append_column("new", pa.nulls(2_000))
    assert both(read_for(schema, empty))[1]["new"].null_count == 2_000


def test_csv_categories_stay_text(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame["zip"] = [f"0{i % 7}" for i in range(2_000)]
    policy = read_log(frame).schema
    frame.to_csv(tmp_path / "rows.csv", index=False)
    assert both(read_for(policy, tmp_path / "rows.csv"))[1]["zip"].to_pylist()[:3] == ["00", "01", "02"]


def test_integer_categories(frame: pd.DataFrame) -> None:
    frame["store"] = [i % 7 for i in range(2_000)]
    policy = read_log(frame, categorical=["store"]).schema
    assert both(read_for(policy, frame))[1]["store"].to_pylist()[:2] == ["0", "1"]
    assert refused(policy, frame.assign(store=frame.store * 1.0)).column == "store"


@pytest.mark.parametrize("need", ["features", "decisions"])
def test_unseen_actions(frame: pd.DataFrame, schema: LogSchema, need: str) -> None:
    frame.loc[[3, 4], "action"] = "fax"
    error = refused(schema, frame, need=need)
    assert (error.column, error.count, error.example) == ("action", 2, "fax")
    assert refused(schema, frame.assign(action=1), need=need).column == "action"


def test_unseen_categories_are_fine(frame: pd.DataFrame, schema: LogSchema) -> None:
    assert read_for(schema, frame.assign(country="xx"), need="decisions").rows == 2_000


def test_evaluating_reads_the_same_rows(frame: pd.DataFrame, schema: LogSchema) -> None:
    first, again = read_log(frame), read_for(schema, frame, need="decisions")
    assert next(again.batches("gate")).equals(next(first.batches("gate")))
    assert again.schema == schema
    assert again.rows_in("gate") == first.rows_in("gate")


def test_evaluating_checks_the_roles(frame: pd.DataFrame, schema: LogSchema) -> None:
    assert refused(schema, frame.drop(columns="reward"), need="decisions").column == "reward"
    assert refused(schema, frame.assign(reward=3.0), need="decisions").count == 2_000
    assert refused(schema, frame.assign(propensity=0.0), need="decisions").column == "propensity"
    assert refused(schema, frame.assign(decision_id="a"), need="decisions").column == "decision_id"
    notes = read_for(schema, frame.drop(columns="propensity"), need="decisions").notes
    assert any("conditional" in note for note in notes)


def test_an_evaluated_log_may_hold_fewer_actions(frame: pd.DataFrame, schema: LogSchema) -> None:
    some = frame[frame.action == "push"]
    log = read_for(schema, some, need="decisions")
    assert set(pa.Table.from_batches(list(log.batches()))["__action"].to_pylist()) == {2}
    assert read_for(schema, log, need="decisions").rows == len(some)
