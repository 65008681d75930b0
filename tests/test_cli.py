"""The command line: exit codes, and a message without a traceback for everything a user can get wrong."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jumar import cli

Replace = Callable[..., pa.Table]
Capture = pytest.CaptureFixture[str]
ROWS = 300


@pytest.fixture(scope="module")
def table(make_bandit: Callable[..., pa.Table]) -> pa.Table:
    return make_bandit(ROWS)


def told(capsys: Capture) -> str:
    return " ".join(capsys.readouterr().err.split())


def with_one(table: pa.Table, name: str, value: float | None) -> dict[str, pa.Array]:
    values = table[name].to_pylist()
    values[3] = value
    return {name: pa.array(values, pa.float64())}


BAD_VALUES = [
    ("reward", 1.5, ("range", "--reward-range")),
    ("reward", None, ("column 'reward'", "1 row", "null")),
    ("reward", float("nan"), ("column 'reward'", "1 row", "nan")),
    ("reward", float("inf"), ("column 'reward'", "1 row", "inf")),
    ("propensity", 0.0, ("column 'propensity'", "1 row", "0.0")),
    ("propensity", -0.2, ("column 'propensity'", "1 row", "-0.2")),
    ("propensity", 1.01, ("column 'propensity'", "1 row", "1.01")),
    ("propensity", None, ("column 'propensity'", "1 row", "null")),
]


@pytest.mark.parametrize("command", ["improve", "audit"])
@pytest.mark.parametrize(("name", "value", "words"), BAD_VALUES)
def test_impossible_values(
    table: pa.Table,
    replace_columns: Replace,
    tmp_path: Path,
    capsys: Capture,
    command: str,
    name: str,
    value: float | None,
    words: tuple[str, ...],
) -> None:
    path, out = tmp_path / "log.parquet", tmp_path / "run"
    pq.write_table(replace_columns(table, **with_one(table, name, value)), path)
    code = cli.main([command, str(path), *(["--out", str(out)] if command == "improve" else [])])
    said = told(capsys)
    assert code == 2
    assert all(word in said for word in words), said
    assert "Traceback" not in said
    assert not out.exists()


def test_an_audit_that_is_over_says_so(table: pa.Table, tmp_path: Path, capsys: Capture) -> None:
    pq.write_table(table, tmp_path / "log.parquet")
    assert cli.main(["audit", str(tmp_path / "log.parquet")]) == 0
    assert "100%" in told(capsys)


@pytest.mark.parametrize("command", ["improve", "loop", "join", "score", "serve", "gate open"])
def test_help_fills_its_lines(command: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a docstring breaks its line, the help does not."""
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main([*command.split(), "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for before, line in itertools.pairwise(lines):
        if line.startswith("│" + " " * 20):
            word = line.strip("│ ").split()[0]
            assert len(before.rstrip("│ ")) + 1 + len(word) > 78, (before, line)


def test_a_reward_outside_its_declared_range_is_counted_and_shown(
    table: pa.Table, tmp_path: Path, capsys: Capture
) -> None:
    pq.write_table(table, tmp_path / "log.parquet")
    assert cli.main(["audit", str(tmp_path / "log.parquet"), "--reward-range", "0", "0.5"]) == 2
    said = told(capsys)
    ones = int(np.asarray(table["reward"]).sum())
    for word in ("column 'reward'", f"{ones} rows", "for example 1.0", "--cap-reward"):
        assert word in said


def test_structural_faults(table: pa.Table, replace_columns: Replace, tmp_path: Path, capsys: Capture) -> None:
    logs = {
        "one action": (replace_columns(table, action=["a"] * ROWS), ("one action", "column 'action'", "300 rows")),
        "duplicates": (replace_columns(table, decision_id=["same"] * ROWS), ("column 'decision_id'", "'same'")),
        "all null": (replace_columns(table, noise=pa.nulls(ROWS, pa.float64())), ("'noise'", "300 rows", "--ignore")),
        "no rows": (table.slice(0, 0), ("no rows",)),
        "misnamed": (table.rename_columns([n.replace("reward", "rewrd") for n in table.column_names]), ("reward",)),
    }
    for name, (log, words) in logs.items():
        path = tmp_path / f"{name}.parquet"
        pq.write_table(log, path)
        code = cli.main(["audit", str(path)])
        said = told(capsys)
        assert "Traceback" not in said
        assert code == 2, name
        assert all(word in said for word in words), (name, said)


def test_a_misspelled_flag_value_names_the_nearest_column(table: pa.Table, tmp_path: Path, capsys: Capture) -> None:
    pq.write_table(table, tmp_path / "log.parquet")
    assert cli.main(["audit", str(tmp_path / "log.parquet"), "--reward", "rewrad"]) == 2
    assert "Did you mean 'reward'?" in told(capsys)


def test_a_category_with_as_many_values_as_rows_is_refused(tmp_path: Path, capsys: Capture) -> None:
    rows = 150_000
    rng = np.random.default_rng(0)
    columns = {
        "id_like": [f"v{i}" for i in range(rows)],
        "action": rng.choice(["a", "b"], rows),
        "propensity": np.full(rows, 0.5),
        "reward": rng.random(rows),
    }
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    assert cli.main(["improve", str(tmp_path / "log.parquet"), "--out", str(tmp_path / "run")]) == 2
    said = told(capsys)
    assert "id_like" in said
    assert "--ignore" in said
    assert not (tmp_path / "run").exists()


def test_files_that_are_none(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "empty.parquet").touch()
    (tmp_path / "text.parquet").write_text("not a table at all")
    (tmp_path / "half.parquet").write_bytes(b"PAR1" + bytes(100))
    for name in ("missing.parquet", "empty.parquet", "text.parquet", "half.parquet", "no*such.parquet"):
        assert cli.main(["improve", str(tmp_path / name), "--out", str(tmp_path / "run")]) == 2, name
        said = told(capsys)
        assert name in said.replace(" ", ""), said
        assert "Traceback" not in said
    assert not (tmp_path / "run").exists()


def test_an_output_folder_in_the_way_is_refused_before_any_work(
    table: pa.Table, tmp_path: Path, capsys: Capture
) -> None:
    pq.write_table(table, tmp_path / "log.parquet")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").touch()
    assert cli.main(["improve", str(tmp_path / "log.parquet"), "--out", str(tmp_path / "run")]) == 2
    assert "--out" in told(capsys)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["improve"],
        ["improve", "x", "--confidense", "0.9"],
        ["frobnicate"],
        ["audit", "x", "--reward-range", "a", "b"],
        ["world", "atlantis", "--out", "x"],
        ["score", "a", "b"],
        ["improve", "x", "--confidence", "high"],
    ],
)
def test_words_that_mean_nothing(arguments: list[str], capsys: Capture) -> None:
    assert cli.main(arguments) == 2
    said = told(capsys)
    assert said
    assert "Traceback" not in said


@pytest.mark.parametrize("flags", [["--confidence", "1"], ["--exploration", "0.9"], ["--candidates", "99"]])
def test_options_outside_their_range(table: pa.Table, tmp_path: Path, capsys: Capture, flags: list[str]) -> None:
    pq.write_table(table, tmp_path / "log.parquet")
    out = tmp_path / "run"
    assert cli.main(["improve", str(tmp_path / "log.parquet"), "--out", str(out), *flags]) == 2
    assert flags[1] in told(capsys)
    assert not out.exists()


def test_audit_and_evaluate_speak_json(run_folder: Path, bandit_file: Path, capsys: Capture) -> None:
    assert cli.main(["audit", str(bandit_file), "--json"]) == 0
    audit = json.loads(capsys.readouterr().out)
    assert audit["rows"] == 20_000
    assert {finding["verdict"] for finding in audit["findings"]} <= {"ok", "warning"}
    assert cli.main(["evaluate", str(run_folder / "policy"), str(bandit_file), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["rows"] + result["rows_left_out"] == 20_000
    assert result["gain"]["low"] > 0
    assert cli.main(["evaluate", str(run_folder / "policy"), str(bandit_file)]) == 0
    assert "Traceback" not in capsys.readouterr().out


def test_a_log_that_is_not_fit_is_said_with_3(
    table: pa.Table, replace_columns: Replace, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(replace_columns(table, propensity=np.ones(ROWS)), path)
    assert cli.main(["audit", str(path), "--json"]) == 3
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert "blocked" in {finding["verdict"] for finding in findings}
    assert cli.main(["improve", str(path), "--out", str(tmp_path / "run")]) == 3
    assert (tmp_path / "run" / "certificate.json").exists()
    assert not (tmp_path / "run" / "policy").exists()


def test_no_message_names_a_command_that_does_not_exist() -> None:
    known = {name.strip("-") for name in cli.app if not name.startswith("-")}
    for path in Path(cli.__file__).parent.rglob("*.py"):
        for word in re.findall(r"[`'\"]jumar ([a-z]+)", path.read_text()):
            assert word in known, f"{path.name} names 'jumar {word}'"


def test_a_defect_of_ours_is_no_users_fault(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("jumar.logs.read_log", broken)
    assert cli.main(["audit", "x.parquet"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_world_score_and_help_as_a_user_runs_them(run_folder: Path, bandit_file: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "jumar", *arguments], capture_output=True, text=True, check=False)

    assert run("--help").returncode == 0
    log = str(tmp_path / "log.parquet")
    assert run("world", "notifications", "--rows", "1000", "--seed", "3", "--out", log).returncode == 0
    assert pq.read_metadata(log).num_rows == 1_000
    out = str(tmp_path / "out.parquet")
    assert run("score", str(run_folder), str(bandit_file), out).returncode == 0
    assert pq.read_metadata(out).num_rows == 20_000
    missing = run("score", str(tmp_path), str(bandit_file), str(tmp_path / "no.parquet"))
    assert missing.returncode == 2
    assert "Traceback" not in missing.stderr
    assert not (tmp_path / "no.parquet").exists()
