"""Players that are bred: every kind plays, learns what pays, and sees what it should."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jumar.play import RANDOM, both_sides, draw, players
from jumar.play.breeders import BREEDERS, one_of
from jumar.play.evolve.networks import stacked, steps_for
from jumar.play.match import pool_size

FIELDS = draw(seed=3, count=2, size=(14, 9))
POPULATION = 8


@pytest.mark.parametrize("kind", BREEDERS)
def test_every_kind_plays(kind: str) -> None:
    breeder = BREEDERS[kind](POPULATION, 0)
    pool = breeder.ask()
    assert pool_size(pool, "pool") == POPULATION
    won = both_sides(FIELDS, breeder.policy, pool, RANDOM, jnp.zeros(1), jax.random.key(0), rounds=2)
    assert won.shape == (2, POPULATION, 1, 2)
    breeder.tell(np.arange(float(POPULATION)))
    assert pool_size(breeder.ask(), "pool") == POPULATION
    assert pool_size(one_of(pool, 3), "pool") == 1


def test_the_strategy_climbs() -> None:
    breeder = BREEDERS["strategy"](16, 0)
    means = []
    for _ in range(40):
        pool = breeder.ask()
        fitness = -np.square(pool - 0.5).sum(axis=1)
        means.append(fitness.mean())
        breeder.tell(fitness)
    assert means[-1] > 0.8 * means[0]


def test_every_slot_is_painted_by_its_own_coordinate() -> None:
    breeder = BREEDERS["hyperneat"](POPULATION, 1)
    genomes = breeder.evolution.ask()  # type: ignore[attr-defined]
    steps = steps_for(genomes)
    pool = players.painted(stacked(genomes), steps)
    shapes = [leaf.shape for leaf in jax.tree.leaves(pool)]
    assert shapes == [(8, 4, 25, 294), (8, 4, 25), (8, 4, 5, 319), (8, 4, 5)]
    painter = jax.tree.map(lambda leaf: leaf[2], stacked(genomes))
    alone = players.substrates()[3].painted(painter, players.painter_shape(), steps)
    for mine, one in zip(jax.tree.leaves(pool), jax.tree.leaves(alone), strict=True):
        assert mine[2, 3] == pytest.approx(np.asarray(one), abs=1e-5)
    assert np.ptp(np.asarray(pool[0][0]), axis=1).max() > 0.1
