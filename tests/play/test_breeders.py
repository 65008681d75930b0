"""Players that are bred: every kind plays, learns what pays, and sees what it should."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jumar.play import RANDOM, draw, play
from jumar.play.breed import players
from jumar.play.breed.breeders import KINDS, Grown, breeder
from jumar.play.evolve.networks import stacked, steps_for
from jumar.play.match import pool_size

FIELDS = draw(seed=3, count=2, size=(14, 9))
POPULATION = 8


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_plays(kind: str) -> None:
    bred = breeder(kind, POPULATION, 0)
    policy, pool = players.assembled(bred.ask())
    assert pool_size(pool, "pool") == POPULATION + (kind == "strategy")
    result = play(FIELDS, policy, pool, RANDOM, jnp.zeros(1), jax.random.key(0), rounds=2)
    assert result.winner.shape == (pool_size(pool, "pool"), 1, 2)
    bred.tell(np.arange(float(pool_size(pool, "pool"))))
    assert len(bred.ask()) == pool_size(pool, "pool")
    assert players.assembled(bred.ask()[:1])[0] is policy


def test_the_strategy_climbs() -> None:
    strategy = breeder("strategy", 16, 0)
    means = []
    for _ in range(40):
        pool = np.stack([np.asarray(one.body) for one in strategy.ask()])
        fitness = -np.square(pool - 0.5).sum(axis=1)
        means.append(fitness.mean())
        strategy.tell(fitness)
    assert means[-1] > 0.8 * means[0]


def test_every_slot_is_painted_by_its_own_coordinate() -> None:
    genomes = Grown.new("hyperneat", POPULATION, 1).evolution.ask()
    steps = steps_for(genomes)
    pool = players.painted(stacked(genomes), steps)
    shapes = [leaf.shape for leaf in jax.tree.leaves(pool)]
    assert shapes == [(8, 4, 9, 294), (8, 4, 9), (8, 4, 5, 303), (8, 4, 5)]
    painter = jax.tree.map(lambda leaf: leaf[2], stacked(genomes))
    alone = players.substrates()[3].painted(painter, players.painter_shape(), steps)
    for mine, one in zip(jax.tree.leaves(pool), jax.tree.leaves(alone), strict=True):
        assert mine[2, 3] == pytest.approx(np.asarray(one), abs=1e-5)
    assert np.ptp(np.asarray(pool[0][0]), axis=1).max() > 0.1
