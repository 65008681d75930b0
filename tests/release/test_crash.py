"""Killed between any two writes, a folder of gates is what it was or what it was to become, and can go on.

A kill is played by letting the n-th call that changes the disk fail, and every later one with it: a dead process cleans
nothing up. Writing a file is such a call, too, and leaves half of it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from executioner import Executioner, KilledError
from jumar.release import Gates, ReleaseError, challenger

from .conftest import DAY, MONDAY, Later, snapshot

CLOCK = MONDAY + 40 * DAY
Act = Callable[[Gates], object]


def gates_at(folder: Path) -> Gates:
    return Gates(folder, now=lambda: CLOCK)


def killed_everywhere(before: Path, act: Act, place: Path) -> int:
    """Kill ``act`` at every call; each time the ledger is old or new, and doing it again ends where it should.

    Returns:
        In how many of the cases the new state had been reached.
    """
    clean = Path(shutil.copytree(before, place / "clean"))
    act(gates_at(clean))
    old, new, reached, at = snapshot(before), snapshot(clean), 0, 0
    while True:
        at += 1
        folder = Path(shutil.copytree(before, place / f"killed-{at}"))
        with pytest.MonkeyPatch.context() as patch:
            executioner = Executioner(patch, at)
            with contextlib.suppress(KilledError):
                act(gates_at(folder))
        if executioner.calls < at:
            break
        ledger = (folder / "ledger.json").read_bytes() if (folder / "ledger.json").exists() else None
        assert ledger in (old.get("ledger.json"), new["ledger.json"]), at
        for row in gates_at(folder).ledger().rows if ledger else []:
            assert gates_at(folder).status(row.name).attempt == row
        if ledger == new["ledger.json"]:
            reached += 1
            found = snapshot(folder)
            assert all(found[file] == new[file] for file in new), at
            with pytest.raises(ReleaseError):  # it happened: it must not happen twice
                act(gates_at(folder))
            assert all(snapshot(folder)[file] == new[file] for file in new), at
        else:
            act(gates_at(folder))
            assert snapshot(folder) == new, at
        shutil.rmtree(folder)
    assert at > 5
    return reached


@pytest.fixture
def only_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes before the writes is worked out once, and remembered."""

    def once(call: Callable[..., Any]) -> Callable[..., Any]:
        known: list[Any] = []

        def remembered(*given: Any, **named: Any) -> Any:
            if not known:
                known.append(call(*given, **named))
            return known[0]

        return remembered

    for name in ("load_policy", "read_for", "checked_log", "plan_of", "receive", "judge"):
        monkeypatch.setattr(challenger, name, once(getattr(challenger, name)))


@pytest.mark.usefixtures("only_writes")
def test_opening(run: Path, past: Path, tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()

    def act(gates: Gates) -> None:
        gates.open(run, str(past), rows_planned=3_000, rows_most=6_000, name="one", after="log")

    assert killed_everywhere(tmp_path / "before", act, tmp_path) >= 1


def test_opening_beside_others(gates: Path, run: Path, past: Path, tmp_path: Path) -> None:
    """After a killed attempt nothing has been spent, and its name is free."""
    with pytest.MonkeyPatch.context() as patch:
        replace = os.replace

        def dies(source: Any, target: Any) -> None:
            if str(target).endswith("ledger.json"):
                raise KilledError
            replace(source, target)

        patch.setattr(os, "replace", dies)
        with pytest.raises(KilledError):
            gates_at(gates).open(run, str(past), rows_planned=10, rows_most=10, name="two", after="log")
    assert (gates / "two" / "manifest.json").exists()
    assert [row.name for row in gates_at(gates).ledger().rows] == ["one"]
    with pytest.raises(ReleaseError, match="no challenger 'two'"):
        gates_at(gates).status("two")
    gates_at(gates).open(run, str(past), rows_planned=20, rows_most=20, name="two", after="log")
    assert gates_at(gates).status("two").manifest.rows_most == 20


@pytest.mark.parametrize(("rows", "outcome"), [(200, "open"), (3_000, "passed")])
def test_looking(
    gates: Path, later: Later, tmp_path: Path, rows: int, outcome: str, request: pytest.FixtureRequest
) -> None:
    """Sums and verdict, state and ledger, change together."""
    gates_at(gates).update("one", later(0, 100))
    request.getfixturevalue("only_writes")
    table = later(1, rows)
    assert killed_everywhere(gates, lambda book: book.update("one", table), tmp_path) >= 1
    assert gates_at(tmp_path / "clean").status("one").attempt.outcome == outcome


def test_closing(gates: Path, tmp_path: Path) -> None:
    assert killed_everywhere(gates, lambda book: book.close("one", why="x"), tmp_path) >= 1


def test_what_a_dead_process_left_is_swept_away_and_nothing_else(gates: Path, later: Later) -> None:
    mine = [gates / ".gitignore", gates / ".notes-about1t", gates / "one" / ".own-abcdefgh"]
    left = [gates / ".ledger.json-a1b2c3d4", gates / "one" / ".state-000001.json-a1b2c3d4"]
    for file in (*mine, *left):
        file.write_text("x")
    folder = gates / ".two-a1b2c3d4"
    (folder / "policy").mkdir(parents=True)
    own = gates / ".mine-a1b2c3d4"
    own.mkdir()
    (own / "thesis.txt").write_text("x")
    gates_at(gates).update("one", later(0, 100))
    assert all(file.exists() for file in (*mine, own / "thesis.txt"))
    assert not any(path.exists() for path in (*left, folder))


def test_a_folder_in_the_way_is_not_ours_to_remove(gates: Path, run: Path, past: Path) -> None:
    (gates / "two").mkdir()
    (gates / "two" / "thesis.txt").write_text("x")
    with pytest.raises(ReleaseError, match="in the way"):
        gates_at(gates).open(run, str(past), rows_planned=10, rows_most=10, name="two", after="log")
    assert (gates / "two" / "thesis.txt").exists()


KILLED_FOR_GOOD = """
import os, signal, sys
from jumar.release import Gates
replace = os.replace
def dies(source, target):
    if str(target).endswith("ledger.json"):
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = dies
Gates(sys.argv[1]).update("one", sys.argv[2])
"""


def test_a_process_that_is_really_killed(gates: Path, later: Later, tmp_path: Path) -> None:
    """Its lock is let go of, and nothing was counted."""
    log = tmp_path / "day.parquet"
    pq.write_table(later(0, 100), log)
    before = gates_at(gates).ledger()
    code = subprocess.run([sys.executable, "-c", KILLED_FOR_GOOD, str(gates), str(log)], check=False).returncode
    assert code == -signal.SIGKILL
    assert gates_at(gates).ledger() == before
    assert list(gates.glob(".ledger.json-*"))
    assert gates_at(gates).update("one", str(log)).attempt.rows == 100
    assert not list(gates.glob(".ledger.json-*"))
