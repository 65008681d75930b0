"""``jumar play``: a training that goes on, games to watch, a league, and messages for what is not there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jumar import cli
from jumar.play import files
from jumar.play.breed import champions
from jumar.play.measure import league
from jumar.play.measure.entrants import BOTS
from jumar.play.replay import load

Capture = pytest.CaptureFixture[str]
SMALL = ["--size", "14x9", "--rounds", "3"]
TRAIN = ["--kind", "neat", "--population", "6", "--maps", "2", *SMALL]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of two generations."""
    out = tmp_path_factory.mktemp("play") / "training"
    assert cli.main(["play", "train", "--out", str(out), "--generations", "2", *TRAIN]) == 0
    return out


def failed(capsys: Capture, *arguments: str) -> str:
    assert cli.main(["play", *arguments]) == 2
    told = capsys.readouterr().err
    assert "Traceback" not in told
    return " ".join(told.split())


def test_a_training_goes_on_where_it_was_ended(folder: Path, capsys: Capture) -> None:
    before = champions.load(folder / "champions.json")
    assert cli.main(["play", "train", "--out", str(folder), "--generations", "3", *TRAIN]) == 0
    told = capsys.readouterr().out
    assert re.findall(r"^ +(\d+)  ", told, re.MULTILINE) == ["2"], "only the third generation was played"
    assert "did best on other maps is of generation" in told
    after = champions.load(folder / "champions.json")
    assert after[0].generation == before[0].generation == 0
    with files.held(folder, "training"):
        assert "Another training is going on" in failed(capsys, "train", "--out", str(folder), *TRAIN)
    assert "another training lies in" in failed(capsys, "train", "--out", str(folder), *TRAIN, "--seed", "9").lower()


def test_a_game_in_the_terminal_and_in_files(folder: Path, capsys: Capture, tmp_path: Path) -> None:
    mine = str(folder / "champions.json")
    files = [tmp_path / name for name in ("game.html", "game.gif", "game.json")]
    flags = ["--html", str(files[0]), "--gif", str(files[1]), "--save", str(files[2])]
    words = ["play", "watch", "--red", mine, "--blue", "random", "--size", "14x9", "--champions", mine, *flags]
    assert cli.main(words) == 0
    assert all(path.stat().st_size > 300 for path in files)
    html = files[0].read_text()
    assert html.startswith("<!doctype html>")
    assert "<title>" in html
    game = load(files[2])
    assert (game.red, game.blue) == ("champions", "random")
    capsys.readouterr()
    assert cli.main(["play", "watch", str(files[2])]) == 0
    told = capsys.readouterr().out
    assert told.startswith("red: champions   blue: random\n")
    assert re.search(r"; in jail: \d red, \d blue\n$", told)


def test_a_league_in_the_terminal_and_as_a_document(
    folder: Path, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is measured is tested elsewhere; here, that it is asked as it was told, shown and written."""

    def measured(entrants: list[Any], fields: Any, seed: int, *, rounds: int) -> league.League:
        everybody = [*entrants, *BOTS]
        assert (len(fields.flag), seed, rounds) == (2, 4, 3)
        scored = np.random.default_rng(0).choice([0.0, 0.5, 1.0], (len(everybody), len(everybody), 2))
        return league.League((14, 9), 2, 3, 4, *league.told(everybody, scored, 0))

    monkeypatch.setattr(league, "measure", measured)
    out, page, mine = tmp_path / "league.json", tmp_path / "page.html", str(folder / "champions.json")
    words = ["play", "league", mine, "--maps", "2", "--seed", "4", "--generations", "2", *SMALL, "--out", str(out)]
    assert cli.main(words) == 0
    told = capsys.readouterr().out
    assert "generation 0" in told
    assert "greedy" in told
    words = ["play", "watch", "--red", mine, "--blue", "random", "--size", "14x9", "--champions", mine]
    assert cli.main([*words, "--league", str(out), "--html", str(page)]) == 0
    assert page.exists()


def test_what_is_not_there(folder: Path, capsys: Capture, tmp_path: Path) -> None:
    missing = str(tmp_path / "nothing.json")
    assert "Nobody has this name" in failed(capsys, "watch", "--red", "somebody")
    assert "replay cannot be read" in failed(capsys, "watch", missing)
    assert "file of champions cannot be read" in failed(capsys, "league", missing)
    assert "file of champions cannot be read" in failed(capsys, "serve", missing)
    broken = tmp_path / "broken.json"
    broken.write_bytes((folder / "champions.json").read_bytes()[:-40])
    assert "was cut" in failed(capsys, "watch", "--red", str(broken))
    assert "(generations)" in failed(capsys, "train", "--generations", "0", "--out", missing)
    assert "population" in failed(capsys, "train", "--population", "1", "--out", missing)
    assert "A league has one champion" in failed(capsys, "league", str(folder / "champions.json"), "--generations", "0")
    assert "whole number" in failed(capsys, "league", str(folder / "champions.json"), "--maps", "0")
    assert "are for training" in failed(capsys, "league", "--first", "1000000")
    assert "0 to 60 seconds" in failed(capsys, "watch", "--delay", "-1")
    mine, huge = str(folder / "champions.json"), str(10**9)
    for flag in ("--maps", "--population", "--rounds", "--generations"):
        assert f"(here {huge})" in failed(capsys, "train", "--out", missing, flag, huge)
    assert "boards" in failed(capsys, "train", "--out", missing, "--population", "4096", "--maps", "4096")
    for flag, number in (("--maps", huge), ("--rounds", huge), ("--seed", str(2**70)), ("--first", str(2**70))):
        assert f"(here {number})" in failed(capsys, "league", mine, *SMALL[:2], flag, number)
    assert f"(here {2**70})" in failed(capsys, "watch", "--map", str(2**70))
    assert "Nobody has this name" in failed(capsys, "watch", "--red", "x" * 5_000)
    same = str(tmp_path / "same")
    assert "into one file" in failed(capsys, "watch", "--save", same, "--gif", same)
    assert not Path(missing).exists()
    checkpoint = tmp_path / "cut" / "training.json"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes((folder / "training.json").read_bytes()[:500])
    assert "was cut" in failed(capsys, "train", "--out", str(checkpoint.parent), *TRAIN)
