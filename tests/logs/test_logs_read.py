"""Every kind of source gives the same canonical rows, in the same order, every time."""

from __future__ import annotations

import gzip
from pathlib import Path

import duckdb
import ibis
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from jumar.errors import LogError, OptionError
from jumar.logs import Log, read_log


def rows_of(log: Log, *parts: str, **kwargs: object) -> pd.DataFrame:
    return pa.Table.from_batches(list(log.batches(*parts, **kwargs))).to_pandas()  # type: ignore[arg-type]


def test_canonical_columns_and_values(frame: pd.DataFrame) -> None:
    log = read_log(frame)
    got = rows_of(log)
    assert list(got) == [
        "__id", "__unit", "__hash", "__time", "__action", "__propensity", "__reward", "x", "country", "new",
    ]  # fmt: skip
    assert log.schema.actions == ("mail", "none", "push")
    assert log.rows == 2_000
    assert log.units == frame.user_id.nunique()
    assert [log.schema.actions[i] for i in got["__action"]] == list(frame.action)
    assert list(got["__id"]) == list(frame.decision_id)
    np.testing.assert_array_equal(got["__reward"], frame.reward)
    np.testing.assert_array_equal(got["x"], frame.x)
    types = pa.Table.from_batches(list(log.batches())).schema
    assert types.field("__action").type == pa.int32()
    assert types.field("__time").type == pa.timestamp("us")


def write_all(frame: pd.DataFrame, folder: Path) -> dict[str, object]:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table, folder / "log.parquet")
    many = folder / "many"
    many.mkdir()
    for i, start in enumerate(range(0, len(frame), 700)):
        pq.write_table(table.slice(start, 700), many / f"part-{i}.parquet")
    frame.to_csv(folder / "log.csv", index=False)
    with gzip.open(folder / "log.csv.gz", "wt") as handle:
        frame.to_csv(handle, index=False)
    feather.write_feather(table, folder / "log.feather")
    with pa.ipc.new_file(folder / "log.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=300)
    with duckdb.connect(str(folder / "one.duckdb")) as con:
        con.register("frame", table)
        con.execute("CREATE TABLE decisions AS SELECT * FROM frame")
    with duckdb.connect(str(folder / "two.duckdb")) as con:
        con.register("frame", table)
        con.execute('CREATE TABLE "the log" AS SELECT * FROM frame; CREATE TABLE other (a INTEGER)')
    owner = ibis.duckdb.connect()
    return {
        "parquet": folder / "log.parquet",
        "string path": str(folder / "log.parquet"),
        "folder": many,
        "glob": str(many / "*.parquet"),
        "csv": folder / "log.csv",
        "csv.gz": folder / "log.csv.gz",
        "feather": folder / "log.feather",
        "arrow": folder / "log.arrow",
        "duckdb": folder / "one.duckdb",
        "duckdb table": f"{folder / 'two.duckdb'}::the log",
        "pandas": frame,
        "polars": pl.from_pandas(frame),
        "pyarrow": table,
        "ibis file": owner.read_parquet(str(folder / "log.parquet")),
        "ibis memory": ibis.memtable(table),
    }


def test_every_source_gives_the_same_rows(frame: pd.DataFrame, tmp_path: Path) -> None:
    expected = rows_of(read_log(frame))
    for name, source in write_all(frame, tmp_path).items():
        log = read_log(source)
        pd.testing.assert_frame_equal(rows_of(log), expected, obj=name, check_exact=False, rtol=1e-12)
        assert log.rows_in("gate") == len(rows_of(log, "gate")), name


def test_hive_partitions_become_columns(frame: pd.DataFrame, tmp_path: Path) -> None:
    for day in (1, 2):
        folder = tmp_path / "log" / f"day={day}"
        folder.mkdir(parents=True)
        frame.iloc[(day - 1) * 1_000 : day * 1_000].to_parquet(folder / "a.parquet", index=False)
    got = rows_of(read_log(tmp_path / "log"))
    assert list(got["day"]) == [1.0] * 1_000 + [2.0] * 1_000


def test_a_folder_above_the_file_is_no_partition(frame: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "run=7").mkdir()
    frame.to_parquet(tmp_path / "run=7" / "log.parquet", index=False)
    assert "run" not in read_log(tmp_path / "run=7" / "log.parquet").origin.table.columns


def test_without_ids_rows_are_named_by_position(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame = pd.concat([frame] * 60, ignore_index=True)
    pq.write_table(
        pa.Table.from_pandas(frame.drop(columns=["decision_id", "user_id"])),
        tmp_path / "a.parquet",
        row_group_size=7_000,
    )
    log = read_log(tmp_path / "a.parquet")
    got = rows_of(log)
    assert list(got["__id"]) == [str(i) for i in range(len(frame))]
    assert list(got["__unit"]) == list(got["__id"])
    assert log.units == log.rows
    assert any("position" in note for note in log.notes)
    assert any("own unit" in note for note in log.notes)
    gate = rows_of(log, "gate")
    np.testing.assert_array_equal(gate["x"], frame.x.to_numpy()[gate["__id"].astype(int)])


def test_streams_are_ordered_repeatable_and_independent(frame: pd.DataFrame) -> None:
    log = read_log(pd.concat([frame] * 100, ignore_index=True).drop(columns="decision_id"))
    first, second = log.batches("gate", batch_rows=10_000), log.batches("gate", batch_rows=10_000)
    pairs = list(zip(first, second, strict=True))
    assert len(pairs) > 5
    assert all(a.equals(b) for a, b in pairs)
    assert max(a.num_rows for a, _ in pairs) <= 10_000
    ids = pa.Table.from_batches([a for a, _ in pairs])["__id"].to_numpy().astype(int)
    assert (np.diff(ids) > 0).all()


def test_chosen_columns_come_in_the_order_asked(frame: pd.DataFrame) -> None:
    log = read_log(frame)
    assert list(rows_of(log, "fit", columns=["x", "__reward"])) == ["x", "__reward"]
    with pytest.raises(LogError, match="Did you mean 'country'"):
        log.batches(columns=["countri"])


def test_kinds(frame: pd.DataFrame) -> None:
    n = len(frame)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.append_column("ints", pa.array([i % 7 for i in range(n)], pa.int64()))
    table = table.append_column("store", pa.array([i % 7 for i in range(n)], pa.int32()))
    table = table.append_column("price", pa.array([None if i % 5 else i for i in range(n)]).cast(pa.decimal128(21, 2)))
    table = table.append_column("seen", pa.array([[i % 3, i % 5] for i in range(n)]))
    table = table.append_column("tags", pa.array([["a"] * (i % 3) for i in range(n)]))
    table = table.append_column("born", pa.array([i % 900 for i in range(n)], pa.date32()))
    table = table.append_column("enum", pa.array(["a" if i % 2 else "b" for i in range(n)]).dictionary_encode())
    table = table.append_column("text", pa.array([str(i % 9) for i in range(n)]))
    log = read_log(table, categorical=["store"], numeric=["text"])
    kinds = {feature.name: feature.kind for feature in log.schema.features}
    assert kinds == {
        "x": "number", "country": "category", "new": "boolean", "ints": "number", "store": "category",
        "price": "number", "seen": "ids", "tags": "ids", "born": "time", "enum": "category", "text": "number",
    }  # fmt: skip
    types = {feature.name: feature.arrow_type for feature in log.schema.features}
    assert types["store"] == "int32"
    assert types["enum"] == "string"
    got = pa.Table.from_batches(list(log.batches()))
    assert got["seen"][4].as_py() == ["1", "4"]
    assert got["store"][8].as_py() == "1"
    assert got["price"][5].as_py() == 5.0
    assert got["text"].type == pa.float64()


def test_nan_and_infinite_features_are_missing(frame: pd.DataFrame) -> None:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    values = pa.array([float("nan"), float("inf"), -float("inf"), *frame.x[3:]])
    log = read_log(table.set_column(table.schema.get_field_index("x"), "x", values))
    got = pa.Table.from_batches(list(log.batches(columns=["x"])))["x"]
    assert got.null_count == 3
    assert any("2 infinite values of 'x'" in note for note in log.notes)


def test_constant_features_are_dropped_and_said(frame: pd.DataFrame) -> None:
    frame["one"], frame["word"], frame["flag"] = 1, "a", True
    frame["half"] = np.where(np.arange(len(frame)) % 2, 1.0, np.nan)
    log = read_log(frame)
    assert [feature.name for feature in log.schema.features] == ["x", "country", "new", "half"]
    assert any("'one', 'word', 'flag'" in note for note in log.notes)


@pytest.mark.parametrize("values", [[False, True], [3, 1, 2]])
def test_actions_keep_their_type(frame: pd.DataFrame, values: list[int]) -> None:
    frame["action"] = [values[i % len(values)] for i in range(len(frame))]
    log = read_log(frame)
    assert log.schema.actions == tuple(sorted(values))
    assert type(log.schema.actions[0]) is type(values[0])
    assert [log.schema.actions[i] for i in rows_of(log)["__action"]] == list(frame.action)


def test_thousands_of_actions(frame: pd.DataFrame) -> None:
    frame["action"] = [f"a{(i * 7) % 1_500}é" for i in range(len(frame))]
    log = read_log(frame)
    assert len(log.schema.actions) == 1_500
    assert [log.schema.actions[i] for i in rows_of(log)["__action"]] == list(frame.action)


def test_reward_is_rescaled_by_its_bounds(frame: pd.DataFrame) -> None:
    frame["reward"] = frame.reward * 3 - 1
    log = read_log(frame, reward_range=(-2, 2))
    np.testing.assert_allclose(rows_of(log)["__reward"], (frame.reward + 2) / 4)
    capped = read_log(frame, reward_range=(0, 1), cap_reward=True)
    assert set(rows_of(capped)["__reward"]) == {0.0, 1.0}
    assert capped.schema.cap_reward
    assert any("capped" in note for note in capped.notes)


def test_boolean_reward_needs_no_range(frame: pd.DataFrame) -> None:
    frame["reward"] = frame.reward > 0
    log = read_log(frame)
    assert (log.schema.reward_low, log.schema.reward_high) == (0.0, 1.0)
    assert any("assumed" in note for note in log.notes)


@pytest.mark.parametrize("shape", ["list", "map", "struct"])
def test_pmf_gives_the_propensity(frame: pd.DataFrame, shape: str) -> None:
    table = pa.Table.from_pandas(frame.drop(columns="propensity"), preserve_index=False)
    pmf = {"mail": 0.25, "none": 0.5, "push": 0.25}
    kinds = {
        "list": (list(pmf.values()), None),
        "map": (list(pmf.items()), pa.map_(pa.string(), pa.float64())),
        "struct": (pmf, None),
    }
    value, kind = kinds[shape]
    log = read_log(table.append_column("pmf", pa.array([value] * len(frame), kind)))
    got = rows_of(log)
    np.testing.assert_array_equal(got["__propensity"], frame.propensity)
    np.testing.assert_array_equal(got["__pmf"].tolist(), [[0.25, 0.5, 0.25]] * len(frame))


def test_numeric_time_is_read_by_magnitude(frame: pd.DataFrame) -> None:
    expected = rows_of(read_log(frame))["__time"]
    for unit, word in (
        ("s", "seconds"),
        ("ms", "milliseconds"),
        ("us", "microseconds"),
        ("ns", "nanoseconds"),
    ):
        log = read_log(frame.assign(time=frame.time.astype(f"datetime64[{unit}]").astype("int64")))
        assert list(rows_of(log)["__time"]) == list(expected)
        assert any(f"read as {word} " in note for note in log.notes)


def test_zoned_times_become_utc(frame: pd.DataFrame) -> None:
    zoned = frame.assign(time=frame.time.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"))
    assert list(rows_of(read_log(zoned))["__time"]) == list(rows_of(read_log(frame))["__time"])


def test_settings_come_from_the_file_and_arguments_win(
    frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    frame = frame.rename(columns={"reward": "clicked", "action": "sent"})
    Path("jumar.toml").write_text('[log]\nreward = "nope"\naction = "sent"\nreward_range = [0, 2]\nignore = ["new"]\n')
    log = read_log(frame, reward="clicked")
    assert log.schema.roles.reward == "clicked"
    assert log.schema.reward_high == 2
    assert "new" not in {feature.name for feature in log.schema.features}
    other = tmp_path / "other.toml"
    other.write_text('[log]\nreward = "clicked"\naction = "sent"\n')
    assert read_log(frame, config=other).schema.reward_high == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[log]\nreword = 'x'\n", "Did you mean 'reward'"),
        ("[log\n", "cannot be read"),
        ("log = 3\n", "not a table"),
        ("[log]\nreward = 3\n", "wrong type"),
        ("[log]\nreward_range = [0, 0, 1]\n", "wrong type"),
    ],
)
def test_bad_settings(frame: pd.DataFrame, tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "jumar.toml"
    path.write_text(text)
    with pytest.raises(OptionError, match=says):
        read_log(frame, config=path)


def test_missing_settings_file(frame: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot be read"):
        read_log(frame, config=tmp_path / "none.toml")


def test_features_can_be_chosen(frame: pd.DataFrame) -> None:
    log = read_log(frame, features=["new", "x"])
    assert [feature.name for feature in log.schema.features] == ["x", "new"]
    with pytest.raises(LogError, match="role cannot also"):
        read_log(frame, action="action", features=["action", "x"])


def test_hostile_column_names(frame: pd.DataFrame) -> None:
    names = {"x": 'it\'s "x"; DROP TABLE', "country": "größe 日本", "new": "a b\tc"}
    log = read_log(frame.rename(columns=names))
    got = rows_of(log)
    np.testing.assert_array_equal(got[names["x"]], frame.x)
    assert list(got[names["country"]]) == list(frame.country)


def test_awkward_paths(frame: pd.DataFrame, tmp_path: Path) -> None:
    folder = tmp_path / "it's [a] day"
    folder.mkdir()
    frame.to_parquet(folder / "log's*1.parquet", index=False)
    frame.to_csv(folder / "log [1].csv", index=False)
    assert read_log(folder / "log's*1.parquet").rows == 2_000
    assert read_log(folder / "log [1].csv").rows == 2_000


def test_late_change_of_type_in_a_csv(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame = pd.concat([frame] * 20, ignore_index=True).drop(columns="decision_id")
    frame["n"] = [*range(len(frame) - 1), 0.5]
    frame.to_csv(tmp_path / "log.csv", index=False)
    assert rows_of(read_log(tmp_path / "log.csv"))["n"].iloc[-1] == 0.5
