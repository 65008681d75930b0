"""``jumar gate`` as it is used: a policy of one week of the founding world, judged on the week after."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest

from jumar import cli

from .conftest import MONDAY, WEEK, Later, snapshot

Capture = pytest.CaptureFixture[str]
pc = pyarrow.compute


def run_cli(capsys: Capture, *words: str) -> tuple[int, str]:
    """Exit code, and all that was said, in one line."""
    code = cli.main(["gate", *words])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return code, " ".join((said.out + said.err).split())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two weeks of decisions by production, and what was learned from the first."""
    place = tmp_path_factory.mktemp("world")
    for seed, rows in (("1", "20000"), ("2", "40000")):
        out = str(place / f"week{seed}.parquet")
        words = ["world", "notifications", "--exploration", "0.5", "--rows", rows, "--seed", seed, "--out", out]
        assert cli.main(words) == 0
    improve = ["improve", str(place / "week1.parquet"), "--out", str(place / "run"), "--confidence", "0.9"]
    assert cli.main(improve) == 0
    second = pq.read_table(place / "week2.parquet").sort_by("time")
    place_of_time = second.schema.get_field_index("time")
    shifted = pc.add(second["time"], pa.scalar(WEEK))  # pyright: ignore[reportAttributeAccessIssue]
    second = second.set_column(place_of_time, "time", shifted)
    pq.write_table(second.slice(0, 4_000), place / "monday.parquet")
    pq.write_table(second.slice(4_000), place / "rest.parquet")
    return place


def test_a_challenger_from_week_to_week(world: Path, tmp_path: Path, capsys: Capture) -> None:
    gates = str(tmp_path / "gates")
    week1, week2, monday, rest = (str(world / f"{name}.parquet") for name in ("week1", "week2", "monday", "rest"))
    budget = ("--confidence", "0.9", "--attempts", "2")
    sizes = ("--rows-planned", "20000", "--rows-most", "40000")
    run = str(world / "run")

    code, said = run_cli(capsys, "open", run, week1, "--gates", gates, *budget, *sizes, "--after", "log", "--name", "a")
    assert (code, "not yet" in said, "Frozen in" in said) == (0, True, True)
    assert run_cli(capsys, "status", "a", "--gates", gates)[0] == 3

    before = snapshot(Path(gates))
    code, said = run_cli(capsys, "update", "a", week2, "--gates", gates)
    assert code == 2
    assert "40,000 rows" in said
    assert "Only decisions made after 2026-03-0" in said
    code, said = run_cli(capsys, "update", "a", monday, "--gates", gates)
    assert code == 2
    assert "--rows unseen" in said
    assert snapshot(Path(gates)) == before

    code, said = run_cli(capsys, "update", "a", monday, "--gates", gates, "--rows", "unseen")
    assert code == 3
    assert "decisions of units that the policy may have learned from" in said
    code, said = run_cli(capsys, "update", "a", monday, "--gates", gates, "--rows", "unseen")
    assert code == 2
    assert "counted already, from" in said
    code, said = run_cli(capsys, "update", "a", rest, "--gates", gates, "--rows", "unseen", "--json")
    assert code == 0
    document = json.loads(said)
    assert document["attempt"]["outcome"] == "passed"
    assert [look["number"] for look in document["looks"]] == [1, 2]
    assert document["looks"][-1]["lower_bound"] >= 0

    code, said = run_cli(capsys, "status", "a", "--gates", gates)
    assert (code, "passed: it may be released" in said) == (0, True)
    code, said = run_cli(capsys, "update", "a", rest, "--gates", gates)
    assert (code, "it passed on" in said) == (2, True)
    score = ["score", f"{gates}/a/policy", monday, str(tmp_path / "decided.parquet")]
    assert cli.main(score) == 0


def test_what_was_spent(run: Path, past: Path, tmp_path: Path, capsys: Capture) -> None:
    gates = str(tmp_path / "gates")
    words = ("open", str(run), str(past), "--gates", gates, "--rows-planned", "10", "--rows-most", "20")
    assert run_cli(capsys, *words, "--confidence", "0.9", "--attempts", "2", "--name", "a")[0] == 0
    code, said = run_cli(capsys, "close", "a", "--gates", gates, "--why", "the shop [closed]")
    assert (code, said) == (0, "a is closed: the shop [closed]")
    assert run_cli(capsys, "close", "a", "--gates", gates, "--why", "again")[0] == 2
    code, said = run_cli(capsys, *words, "--confidence", "0.99")
    assert (code, "--confidence 0.9 --attempts 2" in said) == (2, True)
    assert run_cli(capsys, *words, "--name", "b")[0] == 0
    code, said = run_cli(capsys, *words, "--name", "c")
    assert (code, "All 2 attempts of the last 365 days are spent" in said) == (2, True)
    code, said = run_cli(capsys, "status", "--gates", gates)
    assert code == 0
    assert "2 of 2 attempts spent" in said
    assert said.index("closed") < said.index(" b ") < said.rindex("open")
    code, said = run_cli(capsys, "status", "--gates", gates, "--json")
    assert [row["name"] for row in json.loads(said)["rows"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("status",), "There is no ledger in"),
        (("status", "a"), "There is no ledger in"),
        (("update", "a", "x.parquet"), "There is no ledger in"),
        (("close", "a", "--why", "x"), "There is no ledger in"),
        (("close", "a"), "--why"),
        (("open", "run", "x.parquet"), "--rows-planned"),
        (("update", "a", "x.parquet", "--rows", "some"), "--rows"),
    ],
)
def test_words_that_lead_nowhere(tmp_path: Path, capsys: Capture, words: tuple[str, ...], told: str) -> None:
    code, said = run_cli(capsys, *words, "--gates", str(tmp_path / "gates"))
    assert code == 2
    assert told in said, said
    assert not (tmp_path / "gates").exists()


def test_a_log_that_is_not_there(gates: Path, capsys: Capture) -> None:
    code, said = run_cli(capsys, "update", "one", str(gates / "none.parquet"), "--gates", str(gates))
    assert (code, "none.parquet" in said) == (2, True)


def test_a_gain_is_said_in_its_own_units_and_as_a_share(
    gates: Path, later: Later, tmp_path: Path, capsys: Capture
) -> None:
    pq.write_table(later(0, 300), tmp_path / "day.parquet")
    code, said = run_cli(capsys, "update", "one", str(tmp_path / "day.parquet"), "--gates", str(gates))
    assert code == 3
    _, document = run_cli(capsys, "status", "one", "--gates", str(gates), "--json")
    look = json.loads(document)["looks"][-1]
    assert f"{look['estimate']:+.5g}" in said
    assert f"{look['estimate'] / look['production_value']:+.2%}" in said
    assert "300 of 6,000 at most, 3,000 planned" in said
    assert (MONDAY + WEEK).strftime("%Y-%m-%d") in said
