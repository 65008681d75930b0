"""Whole games in one compiled program are what the rules make of their actions; the bots are as strong as is said."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jumar.play import GREEDY, RANDOM, PlayError, Policy, both_sides, draw, maps, play, replay
from jumar.play.match import draw as draw_actions
from jumar.play.match import outcome
from jumar.play.rules import BLUE, DRAW, LIMIT, RED

SMALL, MAPS = maps.SIZES[1], 100
ONE = jnp.zeros(1)


def _linear(params: Any, sensed: Any, mask: Any, key: Any) -> jax.Array:
    return sensed @ params


LINEAR = Policy(_linear)


@pytest.fixture(scope="module")
def genomes() -> jax.Array:
    return jax.random.normal(jax.random.key(1), (3, 28, 5))


@pytest.fixture(scope="module")
def fields() -> maps.Field:
    return draw(7, 4, SMALL)


@pytest.fixture(scope="module")
def games(fields: maps.Field, genomes: jax.Array) -> Any:
    return play(fields, LINEAR, genomes, LINEAR, genomes[:2], jax.random.key(2), rounds=20, keep=True)


def test_every_red_meets_every_blue_on_every_map(games: Any) -> None:
    assert games.winner.shape == games.ending.shape == (3, 2, 4)
    assert games.score.shape == (3, 2, 4, 2)
    assert games.actions.shape == (3, 2, 4, 20 * 24)
    assert set(np.asarray(games.winner).ravel().tolist()) <= {RED, BLUE, DRAW}
    at_limit = np.asarray(games.ending) == LIMIT
    ahead = np.sign(np.asarray(games.score[..., 0] - games.score[..., 1]))
    assert np.array_equal(np.asarray(outcome(games, RED))[at_limit], ahead[at_limit])
    assert np.array_equal(np.asarray(games.state.tick)[at_limit], np.full(at_limit.sum(), 480))


def test_the_actions_played_step_by_step_make_the_same_games(games: Any, fields: maps.Field) -> None:
    for place in [(0, 0, 0), (1, 1, 2), (2, 0, 3), (2, 1, 1)]:
        told = replay.of(fields, games, place)
        last = told.states()[-1]
        for ours, theirs in zip(jax.tree.leaves(last), jax.tree.leaves(games.state), strict=True):
            assert np.array_equal(ours, np.asarray(theirs[place])), place


def test_each_genome_plays_with_its_own_parameters(fields: maps.Field, genomes: jax.Array, games: Any) -> None:
    """A pool in another order gives what its members do, and not what stands first; chance goes with the place."""
    always = jnp.zeros((2, 28, 5)).at[0, 0, 0].set(-1e3).at[1, 0, 0].set(1e3)
    result = play(fields, LINEAR, jnp.concatenate([always, genomes[:1]]), LINEAR, genomes[:2], jax.random.key(2),
                  rounds=20, keep=True)  # fmt: skip
    reds = np.asarray(result.actions).reshape(3, 2, 4, 20, 2, 12)[..., 0, 0, :]
    assert (reds[0, :, :, :4] != 0).all()
    assert (reds[1] == 0).all()
    assert not np.array_equal(np.asarray(games.actions)[0], np.asarray(result.actions)[0])


def test_the_same_key_gives_the_same_games(fields: maps.Field, genomes: jax.Array, games: Any) -> None:
    again = play(fields, LINEAR, genomes, LINEAR, genomes[:2], jax.random.key(2), rounds=20, keep=True)
    assert np.array_equal(again.actions, games.actions)
    other = play(fields, LINEAR, genomes, LINEAR, genomes[:2], jax.random.key(3), rounds=20, keep=True)
    assert not np.array_equal(other.actions, games.actions)


def test_pairs_and_both_sides_are_those_of_the_whole_table(fields: maps.Field, genomes: jax.Array) -> None:
    """A policy that leaves nothing to chance plays the same games in pairs as in the table, whoever is called red."""
    sure = 1e5 * genomes
    table = play(fields, LINEAR, sure, LINEAR, sure[:2], jax.random.key(0), rounds=20, keep=True)
    pairs = both_sides(fields, LINEAR, sure[:2], LINEAR, sure[1::-1], jax.random.key(1), rounds=20, paired=True)
    assert pairs.shape == (2, 2, 1, 4)
    for i in range(2):
        assert np.array_equal(pairs[0, i, 0], outcome(table, RED)[i, 1 - i])
        assert np.array_equal(pairs[1, i, 0], outcome(table, BLUE)[1 - i, i])


def test_actions_are_drawn_by_the_softmax_of_the_legal() -> None:
    logits = jnp.log(jnp.array([[0.1, 0.4, 0.2, 0.2, 0.1]] * 4))
    allowed = jnp.array([[True, True, False, True, False]] * 4)
    chance = jax.random.uniform(jax.random.key(0), (20_000, 4))
    drawn = np.asarray(jax.jit(jax.vmap(lambda c: draw_actions(logits, allowed, c)))(chance))
    shares = np.bincount(drawn.ravel(), minlength=5) / drawn.size
    assert shares == pytest.approx([1 / 7, 4 / 7, 0, 2 / 7, 0], abs=0.01)
    assert np.array_equal(draw_actions(logits, allowed, jnp.array([0.0, 0.14, 0.15, 0.999999])), [0, 0, 1, 3])


def _either(params: Any, sensed: Any, mask: Any, key: Any) -> jax.Array:
    return params * GREEDY.decide(0.0, sensed, mask, key)


def test_greedy_is_worth_beating() -> None:
    """Random at 0, greedy at 1; it wins 95% against random, moving first or second, and seldom draws with itself."""
    bots, pool = Policy(_either, GREEDY.sense), jnp.array([0.0, 1.0])
    result = play(draw(2_026, MAPS, SMALL), bots, pool, bots, pool, jax.random.key(4))
    won = np.asarray(outcome(result, RED)).reshape(2, 2, MAPS)
    assert (won[1, 0] == 1).mean() >= 0.95
    assert (won[0, 1] == -1).mean() >= 0.95
    assert (won[1, 1] == 0).mean() <= 0.25
    decided = np.asarray(result.ending).reshape(2, 2, MAPS)[1, 1] != LIMIT
    assert decided.mean() >= 0.75, "most are decided on the field, not by the score"
    # Random steps that are all the same in distribution: neither side is preferred by more than chance and the move.
    assert abs(won[0, 0].mean()) < 0.35


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"red_params": jnp.zeros(())}, "one leading axis"),
        ({"paired": True}, "two pools of one size, and these have 2 and 1"),
        ({"rounds": 0}, "1 or more"),
        ({"fields": maps.one(draw(0, 1, SMALL), 0)}, "a stack of maps"),
    ],
)
def test_games_that_cannot_be_played(fields: maps.Field, change: dict[str, Any], told: str) -> None:
    given = {"fields": fields, "red_params": jnp.zeros(2)} | change
    rest = {name: given[name] for name in ("paired", "rounds") if name in given}
    with pytest.raises(PlayError, match=told):
        play(given["fields"], RANDOM, given["red_params"], RANDOM, ONE, jax.random.key(0), **rest)
