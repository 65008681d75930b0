"""Training: lessons follow when they are learned, the archive takes who matches it, and a checkpoint goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jumar.play import GREEDY, RANDOM, PlayError, draw, maps
from jumar.play.breed import champions, players
from jumar.play.breed.breeders import KINDS, Grown, Strategy, breeder, read
from jumar.play.breed.climbing import nothing_yet, wins_more
from jumar.play.breed.grading import versus
from jumar.play.breed.training import LESSONS, Settings, Training
from jumar.play.evolve.hill import climb
from jumar.play.rules import mask, start

SMALL: dict[str, Any] = {"population": 8, "maps": 2, "rounds": 4, "size": (14, 9)}
KEY = jax.random.key(4)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Training, Path]:
    """A few generations of a small strategy, and its checkpoint in between."""
    training = Training(Settings(kind="strategy", **SMALL))
    path = tmp_path_factory.mktemp("training") / "checkpoint.json"
    for generation in range(8):
        if generation == 5:
            training.save(path)
        training.advance()
    return training, path


def test_a_checkpoint_goes_on_as_if_nothing_had_been(trained: tuple[Training, Path]) -> None:
    training, path = trained
    again = Training.load(path)
    assert again.settings == training.settings
    for _ in range(3):
        again.advance()
    assert again.rows == training.rows
    assert again.chosen().generation == training.chosen().generation
    assert Training.load(path).breeder.size == training.breeder.size == 9, "its mean and eight others"
    for one, two in zip(again.archive, training.archive, strict=True):
        assert (one.generation, one.bred.kind) == (two.generation, "strategy")
        assert np.array_equal(np.asarray(one.bred.body), np.asarray(two.bred.body))
    assert training.generation == 8


def test_lessons_are_learned_one_after_another(trained: tuple[Training, Path]) -> None:
    training, _ = trained
    places = [LESSONS.index(row.lesson) for row in training.rows]
    assert places == sorted(places)
    assert places[0] == 0
    assert set(training.rows[0].points) == {"random"}
    training = Training(training.settings)
    training.lesson, nobody = LESSONS.index("greedy"), np.full(8, -1.0)
    training._learned({"greedy": nobody}, np.arange(8))
    assert training.unsure == pytest.approx(0.55)  # too hard: greedy errs more
    everybody = np.ones(8)
    for _ in range(11):
        training._learned({"greedy": everybody}, np.arange(8))
    assert (training.unsure, LESSONS[training.lesson]) == (0.0, "greedy")
    training._learned({"greedy": everybody}, np.arange(8))
    assert LESSONS[training.lesson] == "self-play"
    assert [name for name, *_ in training._opponents([])] == ["random", "greedy"]  # nobody is in the archive yet


def test_who_joins_has_matched_the_newest(trained: tuple[Training, Path]) -> None:
    training, _ = trained
    assert training._joins({"random": np.zeros(8)}, 3)
    against = np.linspace(-1, 1, 8)
    assert not training._joins({"newest": against}, 3)
    assert training._joins({"newest": against}, 4)
    met = [row for row in training.rows if "newest" in row.points]
    assert all(row.joined == (row.points["newest"] >= 0) for row in met)
    assert sum(row.joined for row in training.rows) == len(training.archive)


def test_greedy_errs_as_often_as_it_is_told() -> None:
    """Its parameter is the share of players that step at random: of none, of some, of all."""
    field = maps.one(draw(seed=5, count=1, size=(14, 9)), 0)
    state = start(field)
    sensed = GREEDY.sense(field, state.red, state.blue, 0)
    decide = jax.jit(jax.vmap(lambda share, key: GREEDY.decide(share, sensed, mask(field, state.red), key), (None, 0)))
    keys = jax.random.split(KEY, 200)
    astray = [float((np.asarray(decide(share, keys)).max(axis=2) == 0).mean()) for share in (0.0, 0.3, 1.0)]
    assert astray == [0.0, pytest.approx(0.3, abs=0.06), 1.0]


@pytest.mark.parametrize("kind", KINDS)
def test_breeders_are_read_as_they_were(kind: str) -> None:
    one = breeder(kind, 8, 3)
    fitness = np.random.default_rng(0)
    for _ in range(3):
        one.tell(fitness.random(len(one.ask())))
    two = read(kind, one.written())
    for _ in range(2):
        told = fitness.random(8 + (kind == "strategy"))
        for mine, same in zip(one.ask(), two.ask(), strict=True):
            assert _same(players.assembled([mine])[1], players.assembled([same])[1])
        one.tell(told)
        two.tell(told)


def test_a_strategy_that_is_not_what_it_was_is_refused() -> None:
    one = Strategy(8, 3)
    one.ask()
    one.tell(np.arange(9.0))
    told = one.written()
    with pytest.raises(PlayError, match="another population"):
        Strategy.read(type(told)(population=8, seed=3, fitness=[[1.0]], last=told.last))
    with pytest.raises(PlayError, match="does not lead to where it was"):
        Strategy.read(type(told)(population=8, seed=4, fitness=told.fitness, last=told.last))


def test_settings_that_are_none() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"kind": "magic"}, "no such way"),
        ({"population": 2}, "4 or more"),
        ({"size": (9, 9)}, "no map of this size"),
        ({"seed": -1}, "seed, for example"),
        ({"seed": 42_000}, "at most 41,999"),
    ]
    for given, said in wrong:
        with pytest.raises(PlayError, match=said):
            Settings(**given)
    with pytest.raises(PlayError, match="no such way"):
        breeder("magic", 8, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_champions_are_read_as_they_were(kind: str, tmp_path: Path) -> None:
    bred = breeder(kind, 8, 3).ask()
    kept = [champions.Champion(one, place, 3, blind=kind == "neat") for place, one in enumerate(bred[:3])]
    path = tmp_path / "champions.json"
    champions.save(kept, path, "a test")
    for one, two in zip(kept, champions.load(path), strict=True):
        assert (one.generation, one.seed, one.blind) == (two.generation, two.seed, two.blind)
        (policy, pool), (same, other) = one.pool(), two.pool()
        assert policy is same
        assert _same(pool, other)


def _same(one: Any, two: Any) -> bool:
    leaves = zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True)
    return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in leaves)


def test_broken_files_of_champions(tmp_path: Path) -> None:
    path = tmp_path / "champions.json"
    with pytest.raises(PlayError, match="cannot be read"):
        champions.load(path)
    champions.save([champions.Champion(breeder("neat", 8, 0).ask()[0], 0, 0)], path, "a test")
    whole = path.read_text()
    known = json.loads(whole)
    champion = known["champions"][0]
    for broken, said in (
        (whole[:200], "or it was cut"),
        (whole.replace('"generation":0', '"generation":7'), "has been changed"),
        (json.dumps(known | {"format": 99}), "has format 99"),
        (json.dumps(known | {"champions": [champion | {"kind": 5}]}), "is damaged"),
    ):
        path.write_text(broken)
        with pytest.raises(PlayError, match=said):
            champions.load(path)
    other = champions.Written(kind="hyperneat", generation=0, seed=0, weights=[1.0])
    with pytest.raises(PlayError, match="of no kind that this version plays"):
        other.champion()
    champions.save([], path, "a test")
    with pytest.raises(PlayError, match="no champion in this file"):
        champions.load(path)


def test_a_training_that_was_changed(trained: tuple[Training, Path], tmp_path: Path) -> None:
    _, path = trained
    other = tmp_path / "training.json"
    other.write_text(path.read_text().replace('"lesson":', '"lesson": ', 1).replace('"generation":5', '"generation":4'))
    with pytest.raises(PlayError, match="has been changed"):
        Training.load(other)


def test_the_hill_climber_climbs_on_this_game() -> None:
    """Subtle changes, kept if they do better against random: after a while they do better than nothing."""
    fields = draw(seed=11, count=16, size=(14, 9))
    steps = climb(nothing_yet(), wins_more(fields, RANDOM, jnp.zeros(1), rounds=6), subtle=0.3, seed=2)
    last = next(one for one in steps if one.steps == 60)
    assert 5 <= last.kept < 60
    bred = [players.Bred("strategy", numbers) for numbers in (last.numbers, nothing_yet())]
    policy, pool = players.assembled(bred)
    graded, _ = versus(draw(seed=12, count=64, size=(14, 9)), policy, pool, RANDOM, jnp.zeros(1), KEY, 6)
    assert graded[0, 0] > graded[1, 0] + 0.15


def test_grown_breeders_know_their_kind() -> None:
    assert {one.kind for one in Grown.new("neat", 8, 0).ask()} == {"neat"}
