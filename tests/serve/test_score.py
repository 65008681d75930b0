"""Batch scoring: columns kept, decisions added, complete or not there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal

import jumar
from jumar import cli
from jumar.errors import LogError, OutputError
from jumar.serve import score

Replace = Callable[..., pa.Table]


@pytest.fixture(scope="module")
def policy(run_folder: Path) -> jumar.Policy:
    return jumar.load_policy(run_folder)


@pytest.fixture(scope="module")
def rows(make_bandit: Callable[..., pa.Table]) -> pa.Table:
    return make_bandit(5_000, seed=11, extra=True)


@pytest.fixture(scope="module")
def fresh(rows: pa.Table) -> pa.Table:
    """Rows as they come before anything was decided."""
    return rows.drop_columns(["action", "propensity", "reward"]).append_column("kept", pa.array(range(len(rows))))


def test_columns_are_kept_and_decisions_added(policy: jumar.Policy, fresh: pa.Table, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    pq.write_table(fresh, tmp_path / "in.parquet")
    assert score(policy, str(tmp_path / "in.parquet"), out) == len(fresh)
    scored = pq.read_table(out)
    assert scored.column_names == [*fresh.column_names, "action", "propensity", "pmf"]
    assert scored.select(fresh.column_names).equals(fresh)
    decided = policy.decide(fresh)
    for name in ("action", "propensity", "pmf"):
        assert scored[name].to_pylist() == decided[name].to_pylist()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.parquet", "out.parquet"]


def test_a_rerun_writes_the_same_bytes_and_another_seed_other_ones(
    policy: jumar.Policy, fresh: pa.Table, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{name}.parquet" for name in "abc"]
    for path, seed in zip(paths, (0, 0, 1), strict=True):
        score(policy, fresh, path, seed=seed)
    one, two, three = (path.read_bytes() for path in paths)
    assert one == two
    assert one != three


def test_what_a_log_holds_already_is_renamed(policy: jumar.Policy, rows: pa.Table, tmp_path: Path) -> None:
    rows = rows.append_column("logged_action", rows["segment"])
    score(policy, rows, tmp_path / "out.parquet")
    scored = pq.read_table(tmp_path / "out.parquet")
    assert len(set(scored.column_names)) == len(scored.column_names)
    assert scored["logged_action"].equals(rows["segment"])
    assert scored["logged_action_"].equals(rows["action"])
    assert_array_equal(np.asarray(scored["logged_propensity"]), np.asarray(rows["propensity"]))


def test_an_input_without_rows_gives_all_columns_and_no_rows(
    policy: jumar.Policy, fresh: pa.Table, tmp_path: Path
) -> None:
    pq.write_table(fresh.slice(0, 0), tmp_path / "in.parquet")
    assert score(policy, str(tmp_path / "in.parquet"), tmp_path / "out.parquet") == 0
    full = tmp_path / "full.parquet"
    score(policy, fresh, full)
    assert pq.read_schema(tmp_path / "out.parquet").equals(pq.read_schema(full))


def test_a_file_may_be_scored_onto_itself(policy: jumar.Policy, fresh: pa.Table, tmp_path: Path) -> None:
    pq.write_table(fresh, tmp_path / "x.parquet")
    score(policy, str(tmp_path / "x.parquet"), tmp_path / "x.parquet")
    assert pq.read_table(tmp_path / "x.parquet").num_rows == len(fresh)


def test_an_unseen_action_is_refused_and_leaves_nothing(
    run_folder: Path, rows: pa.Table, replace_columns: Replace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    actions = rows["action"].to_pylist()
    actions[7] = "c"
    pq.write_table(replace_columns(rows, action=actions), tmp_path / "in.parquet")
    code = cli.main(["score", str(run_folder / "policy"), str(tmp_path / "in.parquet"), str(tmp_path / "out.parquet")])
    told = " ".join(capsys.readouterr().err.split())
    assert code == 2
    for word in ("column 'action'", "1 row", "'c'"):
        assert word in told
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]


@pytest.mark.parametrize("change", ["gone", "retyped"])
def test_a_changed_schema_is_refused(
    policy: jumar.Policy, fresh: pa.Table, replace_columns: Replace, tmp_path: Path, change: str
) -> None:
    other = fresh.drop_columns(["noise"]) if change == "gone" else replace_columns(fresh, noise=["x"] * len(fresh))
    with pytest.raises(LogError, match="noise"):
        score(policy, other, tmp_path / "out.parquet")
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written(policy: jumar.Policy, fresh: pa.Table, tmp_path: Path) -> None:
    (tmp_path / "folder.parquet").mkdir()
    (tmp_path / "file").touch()
    for place, words in (
        ("folder.parquet", "is a folder"),
        ("no/where.parquet", "no folder"),
        ("out.csv", r"\.parquet"),
        ("file/out.parquet", "cannot be written"),
    ):
        with pytest.raises(OutputError, match=words):
            score(policy, fresh, tmp_path / place)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.parquet"]


def test_a_failed_run_leaves_the_older_file(
    policy: jumar.Policy, fresh: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.parquet"
    out.write_bytes(b"older")

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(pq.ParquetWriter, "write_batch", full)
    with pytest.raises(OutputError, match="disk is full"):
        score(policy, fresh, out)
    assert out.read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]


def test_a_file_that_may_not_grow_is_an_error_of_two_words_and_no_file(
    run_folder: Path, fresh: pa.Table, tmp_path: Path
) -> None:
    pq.write_table(fresh, tmp_path / "in.parquet")
    program = (
        "import resource, sys; from jumar.cli import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["score", str(run_folder), str(tmp_path / "in.parquet"), str(tmp_path / "out.parquet")]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "out.parquet" in "".join(done.stderr.split())
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]
