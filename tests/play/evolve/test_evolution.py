"""Evolution: it learns exclusive or, goes on from a checkpoint as if it had not stopped, and refuses damage."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jumar.play.errors import PlayError
from jumar.play.evolve import checkpoints
from jumar.play.evolve.genome import Shape
from jumar.play.evolve.hill import climb, closer_to, network
from jumar.play.evolve.neat import Neat, Settings
from jumar.play.evolve.networks import Stack, answers, stacked, steps_for
from jumar.play.evolve.species import Species, shares, threshold_for
from jumar.play.evolve.variation import Rates

XOR = Shape(2, 1)
X, Y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), np.array([0, 1, 1, 0])


@partial(jax.jit, static_argnums=1)
def said(stack: Stack, steps: int) -> Any:
    return jax.vmap(lambda one: answers(one, XOR, steps, X)[:, 0])(stack)


def test_exclusive_or_is_learned() -> None:
    """No network without a hidden node can do it; evolution begins without any."""
    evolution = Neat(XOR, Settings(rates=Rates(power=1.0, add_node=0.05, add_link=0.1)), seed=2)
    for _ in range(60):
        genomes = evolution.ask()
        out = np.asarray(said(stacked(genomes, 16), max(steps_for(genomes), 4)))
        evolution.tell((4 - np.abs(out - Y).sum(axis=1)) ** 2)
    best = evolution.state.best
    assert best is not None
    out = np.asarray(said(stacked([best] * 150, 16), 4 if best.depth <= 4 else best.depth))[0]
    assert ((out > 0.5) == (Y > 0.5)).all()
    assert len(best.nodes) > XOR.fixed
    assert len(evolution.ask()) == 150
    assert 2 <= len(evolution.state.species) <= 30


def busy(seed: int = 0) -> Neat:
    return Neat(XOR, Settings(population=24, species=4, rates=Rates(add_node=0.3, add_link=0.3)), seed)


def lived(evolution: Neat, generations: int) -> Neat:
    for _ in range(generations):
        evolution.tell([float(np.sin(genome.weight).sum()) for genome in evolution.ask()])
    return evolution


def same(one: Neat, two: Neat) -> bool:
    pairs = zip(one.ask(), two.ask(), strict=True)
    return all(np.array_equal(a.weight, b.weight) and np.array_equal(a.number, b.number) for a, b in pairs)


def test_a_checkpoint_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    whole = lived(busy(), 9)
    half = lived(busy(), 4)
    checkpoints.save(half, tmp_path / "half.json")
    assert same(whole, lived(checkpoints.load(tmp_path / "half.json"), 5))
    assert [file.name for file in tmp_path.iterdir()] == ["half.json"]


def test_a_seed_decides_everything() -> None:
    assert same(lived(busy(3), 5), lived(busy(3), 5))
    assert not same(lived(busy(3), 5), lived(busy(4), 5))


def edited(change: Callable[[dict[str, Any]], None]) -> Callable[[bytes], bytes]:
    def damage(content: bytes) -> bytes:
        document = json.loads(content)
        change(document)
        return json.dumps(document).encode()

    return damage


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: content[: len(content) // 2], "no checkpoint, or it was cut"),
        (lambda content: b"\xff\xfe" + content, "no checkpoint, or it was cut"),
        (lambda content: b"[" * 100_000, "no checkpoint, or it was cut"),
        (edited(lambda document: document.update(format=99)), "has format 99"),
        (edited(lambda document: document.pop("genomes")), "is damaged"),
        (edited(lambda document: document["shape"].update(inputs=0)), "is damaged"),
        (edited(lambda document: document.update(generation=5_000)), "has been changed"),
    ],
)
def test_damage_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes], said: str) -> None:
    path = tmp_path / "one.json"
    checkpoints.save(lived(busy(), 1), path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(PlayError, match=said):
        checkpoints.load(path)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(PlayError, match="cannot be read"):
        checkpoints.load(tmp_path / "nothing.json")
    (tmp_path / "file").write_text("")
    with pytest.raises(PlayError, match="cannot be written"):
        checkpoints.save(busy(), tmp_path / "file" / "one.json")


@pytest.mark.parametrize("fitness", [[1.0], [float("nan")] * 24, [[1.0]] * 24])
def test_fitness_that_is_none(fitness: Any) -> None:
    with pytest.raises(PlayError, match="one finite number for each of 24"):
        busy().tell(fitness)


def test_settings_that_are_none() -> None:
    with pytest.raises(PlayError, match="two genomes or more"):
        Settings(population=1)


def test_shares_add_up() -> None:
    genome = busy().ask()[0]
    species = [Species(key, genome, members=members) for key, members in enumerate([[0, 1], [2], [3, 4, 5]])]
    assert shares(species, np.array([1.0, 1, 3, 0, 0, 0]), 10) == [2, 7, 1]
    assert sum(shares(species, np.zeros(6), 11)) == 11
    assert threshold_for(3.0, 9, 8) > 3.0 > threshold_for(3.0, 7, 8)


def test_the_hill_climber_finds_the_parabola() -> None:
    start = np.random.default_rng(0).normal(size=19)
    steps = climb(start, closer_to(np.square), seed=1)
    last = next(one for one in steps if one.steps == 10_000)
    x = np.linspace(-1, 1, 11)
    assert 20 < last.kept < 1_000
    assert np.square(network(last.numbers, x) - x**2).mean() < 0.005
    assert np.square(network(start, x) - x**2).mean() > 0.5
