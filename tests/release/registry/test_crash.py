"""Killed between any two writes a registry is what it was or what it was to become; two writers never both win."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from executioner import CALLS, Executioner, KilledError
from jumar.release import OvertakenError, Registry

from .conftest import MakeRun

Act = Callable[[Registry], object]


@pytest.fixture
def before(make_run: MakeRun, tmp_path: Path) -> Path:
    """A registry with a production and a canary."""
    place = tmp_path / "before"
    book = Registry.create(place)
    a, b = (book.register(make_run(k)).version for k in range(2))
    book.promote(a, why="x")
    book.promote(b, why="x", share=0.1)
    return place


def killed_everywhere(before: Path, act: Act, expected: int, place: Path) -> tuple[int, int]:
    """Kill ``act`` at every call that changes the disk; each time the trail is the old or the new one.

    Returns:
        In how many of the cases the old and the new state were found.
    """
    old, new, at = 0, 0, 0
    number = Registry(before).state().number
    while True:
        at += 1
        folder = Path(shutil.copytree(before, place / f"killed-{at}"))
        book = Registry(folder)
        with pytest.MonkeyPatch.context() as patch:
            executioner = Executioner(patch, at)
            patch.setattr(os, "link", executioner._watched(os.link))  # pyright: ignore[reportPrivateUsage]
            with contextlib.suppress(KilledError):
                act(book)
        if executioner.calls < at:
            break
        found = Registry(folder)
        assert [record.number for record in found.history()] in (
            list(range(1, number + 1)),
            list(range(1, number + expected + 1)),
        )
        for version in found.versions():
            found.policy(version.version)
        if found.state().number == number:
            old += 1
            act(found)  # nothing stands in the way of doing it again
            assert found.state().number == number + expected, at
            assert len(found.history()) == number + expected
        else:
            new += 1
        shutil.rmtree(folder)
    return old, new


def test_every_call_that_writes_is_watched() -> None:
    assert {"replace", "rename", "fsync", "unlink", "mkdir"} <= set(CALLS)


def test_promoting(before: Path, make_run: MakeRun, tmp_path: Path) -> None:
    old, new = killed_everywhere(before, lambda book: book.widen(1.0, why="x"), 1, tmp_path)
    assert old >= 2
    assert new >= 1


def test_rolling_back(before: Path, tmp_path: Path) -> None:
    Registry(before).widen(1.0, why="x")
    old, new = killed_everywhere(before, lambda book: book.rollback(why="x"), 1, tmp_path)
    assert old >= 2
    assert new >= 1


def test_registering(before: Path, make_run: MakeRun, tmp_path: Path) -> None:
    """A version that is half there is not there; registering again completes it, also from another run's report."""
    run = make_run(3)
    other = Path(shutil.copytree(run, tmp_path / "other"))
    (other / "report.html").write_text("the same policy, another day")
    Registry(before).abandon(why="x")
    tries = [run]

    def act(book: Registry) -> None:
        folder = tries[0]
        tries[0] = other if folder is run else run
        version = book.register(folder)
        assert book.policy(version.version).card.train_rows
        book.promote(version.version, why="x")

    old, new = killed_everywhere(before, act, 1, tmp_path)
    assert old >= 20
    assert new >= 1


def test_creating(tmp_path: Path) -> None:
    at = 0
    while True:
        at += 1
        place = tmp_path / f"killed-{at}"
        with pytest.MonkeyPatch.context() as patch:
            executioner = Executioner(patch, at)
            patch.setattr(os, "link", executioner._watched(os.link))  # pyright: ignore[reportPrivateUsage]
            with contextlib.suppress(KilledError):
                Registry.create(place)
        if executioner.calls < at:
            break
        there = (place / "registry.json").exists()
        assert (Registry(place) if there else Registry.create(place)).state().number == 0
    assert at > 4


def test_what_a_dead_process_left_is_swept_away_after_a_day(before: Path) -> None:
    records = before / "records"
    left, fresh = records / ".000000000003.json-a1b2c3d4", records / ".000000000003.json-a1b2c3d5"
    mine = records / ".gitignore"
    for path in (left, fresh, mine):
        path.write_text("x")
    long_ago = time.time() - 2 * 24 * 3600
    os.utime(left, (long_ago, long_ago))
    os.utime(mine, (long_ago, long_ago))
    assert Registry(before).widen(0.5, why="x").number == 3
    assert (left.exists(), fresh.exists(), mine.exists()) == (False, True, True)


# Two processes, each with its own registry; before each round they wait for each other.
RACE = """
import json, multiprocessing, os, sys
from jumar.release import OvertakenError, Registry

def race(place, version, who, start):
    book = Registry(place, who=who)
    for number in range(1, 21):
        start.wait()
        try:
            step = book.promote if number % 2 else lambda _, **given: book.rollback(**given)
            said = step(version, why="x", expect=number).number
        except OvertakenError as error:
            said = str(error)
        os.write(1, (json.dumps([number, who, said]) + chr(10)).encode())  # at once, or lines would mingle

fork = multiprocessing.get_context("fork")
start = fork.Barrier(2)
racers = [fork.Process(target=race, args=(*sys.argv[1:], who, start)) for who in ("anna", "bert")]
for racer in racers:
    racer.start()
for racer in racers:
    racer.join()
"""


def test_two_processes_at_once(make_run: MakeRun, tmp_path: Path) -> None:
    """Twenty rounds: exactly one wins, and the other is told by whom."""
    place = tmp_path / "registry"
    book = Registry.create(place)
    a, b = (book.register(make_run(k)).version for k in range(2))
    book.promote(a, why="x")
    done = subprocess.run([sys.executable, "-c", RACE, str(place), b], capture_output=True, text=True, check=True)
    said = {(number, who): answer for number, who, answer in map(json.loads, done.stdout.splitlines())}
    assert len(said) == 40, done.stderr
    winners = {record.number - 1: record.who for record in book.history()}
    for number in range(1, 21):
        winner = winners[number]
        loser = {"anna": "bert", "bert": "anna"}[winner]
        assert said[number, winner] == number + 1
        assert f"stands at record {number + 1}, not at {number}: {winner} " in said[number, loser]
    assert len(winners) == 21


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_threads_at_once(make_run: MakeRun, tmp_path: Path, kind: str) -> None:
    place = str(tmp_path / "registry") if kind == "folder" else f"memory://{uuid.uuid4().hex}"
    book = Registry.create(place)
    versions = [book.register(make_run(k)).version for k in range(2)]
    for round_ in range(20):
        won: list[int] = []
        told: list[str] = []
        start = threading.Barrier(4)

        def race(round_: int, won: list[int], told: list[str], start: threading.Barrier) -> None:
            mine = Registry(place)
            start.wait()
            try:
                won.append(mine.promote(versions[round_ % 2], why="x", expect=round_).number)
            except OvertakenError as error:
                told.append(str(error))

        threads = [threading.Thread(target=race, args=(round_, won, told, start)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (won, len(told)) == ([round_ + 1], 3)
    assert len(book.history()) == 20
