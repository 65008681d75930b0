"""What an adversary writes: files that are none, numbers without measure, documents whose seal is right."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
import pytest

from jumar.play import RANDOM, PlayError, draw, files, limits, maps, play, replay, roster, sealed
from jumar.play.breed import champions, training
from jumar.play.breed.breeders import breeder
from jumar.play.breed.champions import Champion, Kept
from jumar.play.breed.training import Document, Settings, Training
from jumar.play.measure import league
from jumar.play.measure.entrants import BOTS, games

Change = Callable[[dict[str, Any]], object]


def test_what_is_read_is_a_file_and_no_larger_than_it_may_be(tmp_path: Path) -> None:
    pipe, large = tmp_path / "pipe", tmp_path / "large"
    os.mkfifo(pipe)
    large.write_bytes(b"12345")
    assert files.take(large, "page", 5) == b"12345"
    for path in (pipe, tmp_path, Path("/dev/zero")):
        for load in (champions.load, Training.load, replay.load, league.load):
            with pytest.raises(PlayError, match="this is no file"):
                load(path)
    with pytest.raises(PlayError, match="more than 4 bytes"):
        files.take(large, "page", 4)
    with pytest.raises(PlayError, match="cannot be read"):
        files.take(tmp_path / "nothing", "page")


def test_what_is_written_is_there_as_a_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, link, target = tmp_path / "pipe", tmp_path / "link", tmp_path / "target"
    os.mkfifo(pipe)
    link.symlink_to(target)
    files.put(link, b"one", "page")
    assert (link.is_symlink(), target.read_bytes()) == (True, b"one")
    for path in (pipe, tmp_path, Path("/dev/null")):
        with pytest.raises(PlayError, match="no file is there"):
            files.put(path, b"", "page")
    assert pipe.is_fifo()

    def interrupted(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.put(target, b"two", "page")
    monkeypatch.setattr(files, "MOST", 2)
    with pytest.raises(PlayError, match="more than 2 bytes"):
        files.put(target, b"two", "page")
    assert target.read_bytes() == b"one"
    assert len(list(tmp_path.iterdir())) == 3


def test_a_folder_is_held_by_one(tmp_path: Path) -> None:
    folder = tmp_path / "one" / "two"
    again = pytest.raises(PlayError, match="Another training is going on")
    with files.held(folder, "training"), again, files.held(folder, "training"):
        pass
    with files.held(folder, "training"):
        (folder / "file").touch()
    with pytest.raises(PlayError, match="folder cannot be used"), files.held(folder / "file", "training"):
        pass


def test_numbers_without_measure() -> None:
    huge, fields, nobody, key = 10**9, draw(1, 1, maps.SIZES[1]), jnp.zeros(1), jax.random.key(0)
    wrong: list[dict[str, Any]] = [
        {"maps": huge}, {"population": huge}, {"rounds": huge}, {"tests": huge}, {"seed": 2**70},
        {"population": 4096, "maps": 4096},
    ]  # fmt: skip
    for given in wrong:
        with pytest.raises(PlayError, match="at most"):
            Settings(**given)
    with pytest.raises(PlayError, match="at most"):
        draw(0, huge)
    with pytest.raises(PlayError, match="at most"):
        play(fields, RANDOM, nobody, RANDOM, nobody, key, rounds=huge)
    with pytest.raises(PlayError, match="at most"):
        games(BOTS, fields, 2**70)
    with pytest.raises(PlayError, match="at most"):
        roster.played(*BOTS, 2**70, maps.SIZES[1])
    over = Training(Settings(kind="neat", population=4))
    over.generation = training.GENERATIONS
    with pytest.raises(PlayError, match="generation"):
        over.advance()
    assert limits.printable("généré 1")
    assert not limits.printable("a\nb")


def resealed(path: Path, kind: type[sealed.Sealed], change: Change) -> None:
    """Change a document and seal it again; where it then is of other types, the seal does not matter."""
    known = json.loads(path.read_text())
    change(known)
    try:
        sealed.save(msgspec.convert(known, kind), path, "document")
    except (msgspec.ValidationError, PlayError):
        path.write_text(json.dumps(known))


def change(*places: Any, to: Any) -> Change:
    """Set what lies at the end of these keys, or change it by a function."""

    def done(known: Any) -> None:
        for place in places[:-1]:
            known = known[place]
        known[places[-1]] = to(known[places[-1]]) if callable(to) else to

    return done


GENOME = ("champions", 0, "genome")


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (change(*GENOME, "weight", 0, to=1e300), r"`float` <= 1000000.0 - at `\$.champions\[0\].genome.weight\[0\]`"),
        (change(*GENOME, "number", -1, to=10**30), "damaged"),
        (change(*GENOME, "nodes", -1, to=2**62), "damaged"),
        (change(*GENOME, "source", 0, to=-1), "damaged"),
        (change(*GENOME, "source", 0, to=77), "do not fit together"),
        (change(*GENOME, "bias", to=[]), "do not fit together"),
        (change(*GENOME, to=lambda _: {"nodes": [*range(10**5)], "bias": [0.0] * 10**5, "activation": [0] * 10**5,
                                       "number": [], "source": [], "target": [], "weight": [], "enabled": []}),
         "another size"),
        (change("champions", 0, "generation", to=10**30), "damaged"),
        (change("champions", 0, "blind", to=True), "of one training"),
        (change("champions", 0, "kind", to="hyperneat"), "of one training"),
        (change("champions", to=lambda champions: champions[::-1]), "of one training"),
        (change("format", to="9" * 1_000), "has format '9{39}, and"),
        (change("format", to=[[]]), "is no file of champions"),
    ],
)  # fmt: skip
def test_champions_under_a_right_seal(tmp_path: Path, edit: Change, told: str) -> None:
    path = tmp_path / "champions.json"
    champions.save([Champion(one, place, 0) for place, one in enumerate(breeder("neat", 4, 0).ask())], path, "a test")
    resealed(path, Kept, edit)
    with pytest.raises(PlayError, match=told) as refused:
        champions.load(path)
    assert "champions.json" in str(refused.value)


def test_a_genome_with_circles_and_without_links_plays(tmp_path: Path) -> None:
    path = tmp_path / "champions.json"
    champions.save([Champion(breeder("neat", 4, 0).ask()[0], 0, 0)], path, "a test")
    resealed(path, Kept, change(*GENOME, "target", to=lambda ends: [0, *ends[1:]]))
    assert champions.load(path)[0].pool()[1].bias.shape == (1, 64)
    none: dict[str, Any] = {"number": [], "source": [], "target": [], "weight": [], "enabled": []}
    resealed(path, Kept, change(*GENOME, to=lambda genome: genome | none))
    assert not np.any(champions.load(path)[0].pool()[1].weights)


GROWN = "grown"


@pytest.mark.parametrize(
    "edit",
    [
        change("lesson", to=9),
        change("unsure", to=1e300),
        change("generation", to=-1),
        change("generation", to=5),
        change("settings", "population", to=10**9),
        change("settings", "kind", to="strategy"),
        change(GROWN, to=None),
        change(GROWN, "chance", to={}),
        change(GROWN, "chance", "state", "state", to="-1"),
        change(GROWN, "chance", "bit_generator", to="MT19937"),
        change(GROWN, "shape", "inputs", to=1),
        change(GROWN, "shape", "most_nodes", to=10**9),
        change(GROWN, "settings", "rates", "power", to=-1.0),
        change(GROWN, "settings", "crossover", to=7.0),
        change(GROWN, "settings", "population", to=10**8),
        change(GROWN, "genomes", to=[]),
        change(GROWN, "next_node", to=0),
        change(GROWN, "links", to=[]),
        change(GROWN, "links", 0, 2, to=5),
        change(GROWN, "genomes", 0, "nodes", to=lambda nodes: nodes[:-1]),
    ],
)
def test_trainings_under_a_right_seal(tmp_path: Path, edit: Change) -> None:
    path = tmp_path / "training.json"
    Training(Settings(kind="neat", population=4, maps=1, size=maps.SIZES[1])).save(path)
    assert Training.load(path).generation == 0
    resealed(path, Document, edit)
    with pytest.raises(PlayError) as refused:
        Training.load(path)
    assert "training.json" in str(refused.value)


@pytest.mark.parametrize("text", ["[" * 10**5, '{"format": "jumar.play.league", "version": 1, "a": ' + "[" * 10**5])
def test_a_league_that_is_deep(tmp_path: Path, text: str) -> None:
    path = tmp_path / "league.json"
    path.write_text(text)
    with pytest.raises(PlayError, match="This is no league"):
        league.load(path)
