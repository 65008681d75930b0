"""Whole games in one compiled program are what the rules make of their actions, and the bots what they are said to be."""

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

SMALL, MAPS = maps.SIZES[1], 1_000
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
    for place in np.ndindex(3, 2, 4):
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


def test_pairs_are_those_of_the_whole_table(fields: maps.Field, genomes: jax.Array) -> None:
    """A policy that leaves nothing to chance plays the same games in pairs as in the table."""
    sure = 1e4 * genomes
    table = play(fields, LINEAR, sure, LINEAR, sure[:2], jax.random.key(0), rounds=20, keep=True)
    pairs = play(fields, LINEAR, sure[:2], LINEAR, sure[:2], jax.random.key(0), rounds=20, paired=True)
    assert pairs.winner.shape == (2, 1, 4)
    for i in range(2):
        assert np.array_equal(pairs.winner[i, 0], table.winner[i, i])
        assert np.array_equal(pairs.state.red.at[i, 0], table.state.red.at[i, i])


def test_actions_are_drawn_by_the_softmax_of_the_legal() -> None:
    logits = jnp.log(jnp.array([[0.1, 0.4, 0.2, 0.2, 0.1]] * 4))
    allowed = jnp.array([[True, True, False, True, False]] * 4)
    chance = jax.random.uniform(jax.random.key(0), (20_000, 4))
    drawn = np.asarray(jax.jit(jax.vmap(lambda c: draw_actions(logits, allowed, c)))(chance))
    shares = np.bincount(drawn.ravel(), minlength=5) / drawn.size
    assert shares == pytest.approx([1 / 7, 4 / 7, 0, 2 / 7, 0], abs=0.01)
    assert np.array_equal(draw_actions(logits, allowed, jnp.array([0.0, 0.14, 0.15, 0.999999])), [0, 0, 1, 3])


def test_greedy_beats_random_and_itself() -> None:
    """On 1,000 maps, moving first and second: 95% of wins are asked for, and few draws among equals."""
    fields = draw(2_026, MAPS)
    won = np.asarray(both_sides(fields, GREEDY, ONE, RANDOM, ONE, jax.random.key(4)))
    assert won.shape == (2, 1, 1, MAPS)
    assert ((won == 1).mean(axis=(1, 2, 3)) >= 0.95).all()


def test_greedy_against_itself_is_no_draw() -> None:
    mirror = play(draw(2_027, 200), GREEDY, ONE, GREEDY, ONE, jax.random.key(5))
    assert (np.asarray(mirror.winner) == DRAW).mean() <= 0.25
    assert (np.asarray(mirror.ending) == LIMIT).mean() <= 0.25, "most are decided on the field, not by the score"
    again = play(draw(2_027, 200), GREEDY, ONE, GREEDY, ONE, jax.random.key(5))
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(mirror), jax.tree.leaves(again), strict=True))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"red_params": jnp.zeros(())}, "one leading axis"),
        ({"paired": True}, "two pools of one size, and these have 2 and 1"),
        ({"rounds": 0}, "one round or more"),
        ({"fields": maps.one(draw(0, 1, SMALL), 0)}, "a stack of maps"),
    ],
)
def test_games_that_cannot_be_played(fields: maps.Field, change: dict[str, Any], told: str) -> None:
    given = {"fields": fields, "red_params": jnp.zeros(2)} | change
    rest = {name: given[name] for name in ("paired", "rounds") if name in given}
    with pytest.raises(PlayError, match=told):
        play(given["fields"], RANDOM, given["red_params"], RANDOM, ONE, jax.random.key(0), **rest)
