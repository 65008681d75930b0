"""Every refusal says what is wrong, in which column, how often, for example where, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jumar.errors import JumarError, LogError, OptionError
from jumar.logs import read_log


def refused(source: Any, **options: Any) -> LogError:
    with pytest.raises(LogError) as caught:
        read_log(source, **options)
    text = str(caught.value)
    for noise in ("Error:", "Invalid Input", "Binder", "read_csv", "LINE 1", "arrow::", "Catalog"):
        assert noise not in text
    assert caught.value.remedy
    return caught.value


def with_values(frame: pd.DataFrame, column: str, values: dict[int, Any]) -> pd.DataFrame:
    changed = frame.copy()
    for row, value in values.items():
        changed.loc[row, column] = value
    return changed


VALUES: list[tuple[str, dict[int, Any], dict[str, Any], int | None, Any, str]] = [
    ("propensity", {1: 0.0, 5: 0.0}, {}, 2, 0.0, "above 0"),
    ("propensity", {1: -0.25}, {}, 1, -0.25, "above 0"),
    ("propensity", {7: 1.5}, {}, 1, 1.5, "at most 1"),
    ("propensity", {7: 1e-300}, {}, 1, 1e-300, "1e-15 at the least"),
    ("propensity", {7: np.nan}, {}, 1, "null", "above 0"),
    ("reward", {3: np.nan, 4: np.nan}, {}, 2, "null", "missing"),
    ("reward", {3: np.inf}, {"reward_range": (0, 1), "cap_reward": True}, 1, np.inf, "infinite"),
    ("reward", {3: 7.0, 4: 7.0}, {"reward_range": (0, 2)}, 2, 7.0, "outside the declared range 0 to 2"),
    ("reward", {3: -3.0}, {"reward_range": (0, 1)}, 1, -3.0, "outside"),
    ("reward", {3: 7.0}, {}, None, None, "observed are 0 to 7"),
    ("action", {3: None}, {}, 1, None, "needs its action"),
    ("decision_id", {3: None}, {}, 1, None, "needs its decision id"),
    ("user_id", {3: None, 9: None}, {}, 2, None, "needs its unit"),
    ("time", {3: pd.NaT}, {}, 1, None, "no time"),
    ("decision_id", {3: "d0", 4: "d0"}, {}, 3, "d0", "unique"),
]


@pytest.mark.parametrize("case", VALUES)
def test_impossible_values(
    frame: pd.DataFrame, case: tuple[str, dict[int, Any], dict[str, Any], int | None, Any, str]
) -> None:
    column, values, options, count, example, says = case
    error = refused(with_values(frame, column, values), **options)
    assert says in error.what
    assert (error.column, error.count, error.example) == (column, count, example)


def test_nan_in_an_arrow_column_is_no_propensity(frame: pd.DataFrame) -> None:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    values = pa.array([float("nan"), *frame.propensity[1:]])
    error = refused(table.set_column(table.schema.get_field_index("propensity"), "propensity", values))
    assert error.count == 1
    assert np.isnan(error.example)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_no_times(frame: pd.DataFrame, value: float) -> None:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    values = pa.array([value, *(1.7e9 + np.arange(len(frame) - 1))])
    error = refused(table.set_column(table.schema.get_field_index("time"), "time", values))
    assert (error.column, error.count, repr(error.example)) == ("time", 1, repr(value))
    assert "no time" in error.what


@pytest.mark.parametrize("far", [-1e18, 1e300])
def test_times_that_no_calendar_holds(frame: pd.DataFrame, far: float) -> None:
    error = refused(frame.assign(time=[far, *(1.7e9 + np.arange(len(frame) - 1))]))
    assert (error.column, error.example) == ("time", far)


def test_one_wrong_time_does_not_change_what_all_others_mean(frame: pd.DataFrame) -> None:
    """Seconds, and one row in nanoseconds: read by the largest, all other rows would lie within two seconds."""
    seconds = 1_700_000_000 + np.arange(len(frame))
    error = refused(frame.assign(time=[seconds[0] * 10**9, *seconds[1:]]))
    assert (error.column, error.example) == ("time", 1.7e18)
    assert "can only be seconds since 1970 and others only nanoseconds" in error.what
    read_log(frame.assign(time=[0, *seconds[1:]]))  # numbers near 0 may be anything


def test_a_role_that_takes_the_column_of_another(frame: pd.DataFrame) -> None:
    error = refused(frame, end="reward")
    assert error.column == "reward"
    assert "named like the reward" in error.what
    assert "--end or with --reward" in error.remedy


def test_remedies_name_the_flags(frame: pd.DataFrame) -> None:
    big = with_values(frame, "reward", {3: 7.0})
    assert "--reward-range LOW HIGH" in refused(big).remedy
    assert "--cap-reward" in refused(big, reward_range=(0, 1)).remedy
    frame["gap"] = None
    error = refused(frame.assign(gap=np.nan))
    assert (error.column, error.count) == ("gap", 2_000)
    assert "--ignore gap" in error.remedy


@pytest.mark.parametrize("bounds", [(1, 0), (0, 0), (0, float("nan")), (float("-inf"), 0)])
def test_impossible_reward_ranges(frame: pd.DataFrame, bounds: tuple[float, float]) -> None:
    with pytest.raises(OptionError, match="is not a range"):
        read_log(frame, reward_range=bounds)


def test_a_cap_needs_bounds(frame: pd.DataFrame) -> None:
    with pytest.raises(OptionError, match="declared bounds"):
        read_log(frame, cap_reward=True)


def test_misnamed_columns_name_the_nearest(frame: pd.DataFrame) -> None:
    error = refused(frame, reward="rewrad")
    assert error.column == "rewrad"
    assert "Did you mean 'reward'?" in error.remedy
    assert "Did you mean 'country'?" in refused(frame, ignore=["Countri"]).remedy
    assert "actoin" in refused(frame.rename(columns={"action": "actoin"})).remedy
    assert "--reward" in refused(frame.rename(columns={"reward": "clicks"})).remedy


def test_one_column_cannot_play_two_roles(frame: pd.DataFrame) -> None:
    error = refused(frame, action="action", reward="action")
    assert error.column == "action"
    assert "both" in error.what


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("action", lambda n: np.arange(n) % 3 / 2.0),
        ("reward", lambda n: ["1"] * n),
        ("propensity", lambda n: ["a"] * n),
        ("decision_id", lambda n: np.arange(n) / 2.0),
        ("time", lambda n: [True] * n),
    ],
)
def test_roles_of_the_wrong_type(frame: pd.DataFrame, column: str, values: Callable[[int], Any]) -> None:
    frame[column] = values(len(frame))
    error = refused(frame)
    assert error.column == column
    assert "must be" in error.what


@pytest.mark.parametrize(
    "values",
    [
        lambda n: pa.array([{"a": 1}] * n),
        lambda n: pa.array([b"a"] * n),
        lambda n: pa.array([[1.5]] * n),
        lambda n: pa.array([[("a", 1)]] * n, pa.map_(pa.string(), pa.int64())),
        lambda n: pa.array([1] * n, pa.time64("us")),
        lambda n: pa.array([[{"a": 1}]] * n),
    ],
)
def test_types_that_are_no_feature(frame: pd.DataFrame, values: Callable[[int], pa.Array]) -> None:
    table = pa.Table.from_pandas(frame, preserve_index=False).append_column("odd", values(len(frame)))
    error = refused(table)
    assert error.column == "odd"
    assert "--ignore odd" in error.remedy
    assert read_log(table, ignore=["odd"]).rows == 2_000


def test_identifiers_among_features_are_listed_together(frame: pd.DataFrame) -> None:
    frame["session"] = [f"s{i}" for i in range(2_000)]
    frame["token"] = [f"t{i // 1.5}" for i in range(2_000)]
    frame["fine"] = [f"f{i % 900}" for i in range(2_000)]
    error = refused(frame)
    assert "'session' has 2,000 distinct" in error.what
    assert "'token'" in error.what
    assert "'fine'" not in error.what
    assert "--ignore session --ignore token" in error.remedy
    assert "--unit" in error.remedy


def test_very_many_categories_are_an_identifier_however_often_repeated() -> None:
    n = 300_000
    frame = pd.DataFrame({"action": np.arange(n) % 2, "reward": 1.0 * (np.arange(n) % 3 == 0), "x": np.arange(n) % 5})
    frame["page"] = (np.arange(n) % 110_000).astype(str)
    assert "110,000 distinct" in refused(frame).what
    assert read_log(frame, unit="page").units == 110_000


def test_too_few_and_too_many_actions(frame: pd.DataFrame) -> None:
    error = refused(frame.assign(action="only"))
    assert (error.column, error.example) == ("action", "only")
    assert "nothing to choose between" in error.what
    n = 12_000
    many = pd.DataFrame({"action": np.arange(n), "reward": 0.5, "x": np.arange(n)})
    assert "12,000 actions" in refused(many).what
    n = 60_000
    many = pd.DataFrame({"action": np.arange(n).astype(str), "reward": 0.5, "x": np.arange(n)})
    assert "actions" in refused(many).what


@pytest.mark.parametrize(
    ("pmf", "says"),
    [
        ([0.5, 0.5], "must list 3"),
        ([0.5, 0.5, 0.5], "sum to 1"),
        ([0.75, 0.5, -0.25], "sum to 1"),
        ([0.25, None, 0.25], "sum to 1"),
        ([0.5, 0.25, 0.25], "logged propensity"),
        (None, "must list 3"),
    ],
)
def test_pmf_that_contradicts(frame: pd.DataFrame, pmf: list[float] | None, says: str) -> None:
    good = [0.25, 0.5, 0.25]
    row = int(frame.index[frame.action == "none"][0])
    values = [good] * len(frame)
    values[row] = pmf  # type: ignore[call-overload]
    table = pa.Table.from_pandas(frame, preserve_index=False).append_column("pmf", pa.array(values))
    error = refused(table)
    assert says in error.what
    assert (error.column, error.count) == ("pmf", 1)


def test_no_features(frame: pd.DataFrame) -> None:
    assert "no features" in refused(frame, ignore=["x", "country", "new"]).what
    assert "No feature varies" in refused(frame.assign(x=1, country="a", new=True)).what


@pytest.mark.parametrize("name", ["__id", "__Action", "__position"])
def test_reserved_names(frame: pd.DataFrame, name: str) -> None:
    assert refused(frame.rename(columns={"x": name})).column == name


def test_names_that_differ_in_case_only(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame["X"] = 1.5
    frame.to_parquet(tmp_path / "log.parquet")
    for source in (frame, tmp_path / "log.parquet"):
        error = refused(source)
        assert "'x'" in error.what
        assert "'X'" in error.what


def test_a_column_named_twice(frame: pd.DataFrame) -> None:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    assert "named alike" in refused(table.append_column("reward", table["x"])).what


def test_mixed_types_in_a_frame(frame: pd.DataFrame) -> None:
    frame["x"] = [1, "a"] * 1_000
    assert refused(frame).column == "x"


def test_things_that_are_no_source() -> None:
    assert "int" in refused(3).what
    assert "not on this machine" in refused("s3://bucket/log.parquet").what


def test_files_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "decisions.parquet").write_bytes(b"PAR1")
    assert "decisions.parquet" in refused(tmp_path / "decision.parquet").remedy
    assert "does not exist" in refused(tmp_path / "no" / "log.csv").remedy
    assert "matches" in refused(str(tmp_path / "*.csv")).what
    (tmp_path / "empty").mkdir()
    assert "no file" in refused(tmp_path / "empty").what


@pytest.mark.parametrize("name", ["log.parquet", "log.csv", "log.csv.gz", "log.arrow", "log.feather", "log.duckdb"])
def test_empty_and_damaged_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"")
    assert "0 bytes" in refused(path).what
    path.write_bytes(bytes(range(256)) * 8)
    refused(path)


@pytest.mark.parametrize("name", ["log.parquet", "log.feather", "log.csv.gz"])
def test_files_cut_short(frame: pd.DataFrame, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    {"parquet": frame.to_parquet, "feather": frame.to_feather, "gz": frame.to_csv}[name.rsplit(".", maxsplit=1)[-1]](
        path
    )
    path.write_bytes(path.read_bytes()[:-200])
    error = refused(path)
    assert error.__cause__ is not None


def test_files_named_like_another_kind(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.to_parquet(tmp_path / "log.parquet")
    (tmp_path / "log.parquet").rename(tmp_path / "log.csv")
    assert "kind Parquet" in refused(tmp_path / "log.csv").what
    frame.to_csv(tmp_path / "other.parquet")
    assert "something else" in refused(tmp_path / "other.parquet").what
    (tmp_path / "log.txt").write_text("a")
    assert ".parquet" in refused(tmp_path / "log.txt").remedy


def test_broken_csv_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    rows = [f"{i % 2},{i % 2},{i % 7}" for i in range(5_000)]
    rows[3_000] = "1,0,3,4,5"
    path.write_text("\n".join(["action,reward,x", *rows]))
    error = refused(path)
    assert "3,002" in error.what
    path.write_text("action,reward,x\n")
    assert "no rows" in refused(path).what


def test_zero_rows(frame: pd.DataFrame) -> None:
    assert "no rows" in refused(pa.Table.from_pandas(frame.iloc[:0], schema=pa.Schema.from_pandas(frame))).what


def test_unreadable_files(tmp_path: Path, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    frame.to_parquet(tmp_path / "log.parquet")

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", forbidden)
    with pytest.raises(LogError) as caught:
        read_log(tmp_path / "log.parquet")
    monkeypatch.undo()
    assert "may not be read" in caught.value.what
    assert isinstance(caught.value.__cause__, PermissionError)


def test_databases(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "log.duckdb")) as con:
        con.execute("CREATE TABLE a (x INTEGER); CREATE TABLE b (x INTEGER)")
    assert "tables: a, b" in refused(tmp_path / "log.duckdb").what
    assert "'c'" in refused(f"{tmp_path / 'log.duckdb'}::c").what
    (tmp_path / "log.csv").write_text("a\n1\n")
    assert "no tables" in refused(f"{tmp_path / 'log.csv'}::c").what


def test_numeric_text_must_spell_numbers(frame: pd.DataFrame) -> None:
    frame["text"] = [str(i % 7) for i in range(2_000)]
    frame.loc[5, "text"] = "five"
    error = refused(frame, numeric=["text"])
    assert (error.column, error.count, error.example) == ("text", 1, "five")
    assert refused(frame, categorical=["x"]).column == "x"


def test_parts_that_do_not_exist(frame: pd.DataFrame) -> None:
    log = read_log(frame)
    with pytest.raises(JumarError, match="'train' is not a part"):
        log.part("train")  # type: ignore[arg-type]
    with pytest.raises(JumarError, match="'train' is not a part"):
        log.rows_in("train")  # type: ignore[arg-type]


def test_an_only_value_is_no_example() -> None:
    assert "date (here 'soon')" in str(JumarError("--date takes a date", example="soon", remedy="Mend it."))
    assert "(3 rows, for example 1.5)" in str(JumarError("Too large", count=3, example=1.5, remedy="Mend them."))


@pytest.mark.parametrize("ending", ["parquet", "csv", "arrow"])
def test_a_log_that_changes_while_it_is_read(frame: pd.DataFrame, tmp_path: Path, ending: str) -> None:
    """What the checks saw is no longer what later passes would see."""
    path = tmp_path / f"log.{ending}"

    def write(rows: pd.DataFrame) -> None:
        if ending == "csv":
            rows.to_csv(path, index=False)
        elif ending == "arrow":
            with pa.ipc.new_file(path, (table := pa.Table.from_pandas(rows, preserve_index=False)).schema) as file:
                file.write_table(table)
        else:
            rows.to_parquet(path, index=False)

    write(frame)
    log = read_log(path)
    assert sum(batch.num_rows for batch in log.batches()) == len(frame)
    stream = read_log(path).batches()
    write(frame.iloc[:-1].assign(propensity=-1.0))
    with pytest.raises(LogError, match="changed while it was read"):
        next(log.batches())
    with pytest.raises(LogError, match="changed while it was read"):
        list(stream)
    path.unlink()
    with pytest.raises(LogError, match="changed while it was read"):
        log.rows_in("fit")
