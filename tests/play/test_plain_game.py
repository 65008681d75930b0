"""The plain NumPy loop of the benchmark, written from the description, plays the games of the compiled rules."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from boards_of_play import begin, jitted_step

from jumar.play import draw, maps, rules, senses
from jumar.play.render import wood
from plain_game import PlainGame, PlainSide, play_plain

SMALL = maps.SIZES[1]
_look = jax.jit(lambda field, s: (senses.block(field, s.red, s.blue), senses.block(field, s.blue, s.red),
                                  rules.mask(field, s.red), rules.mask(field, s.blue)))  # fmt: skip


def same_side(ours: rules.Side, plain: PlainSide, width: int) -> None:
    assert np.array_equal(ours.at, plain.at[:, 1] * width + plain.at[:, 0])
    assert np.array_equal(ours.free, plain.free)
    assert (int(ours.carrier), bool(ours.grabbed), int(ours.nearest)) == (plain.carrier, plain.grabbed, plain.nearest)
    assert np.array_equal(ours.when, plain.when)
    assert np.array_equal(np.asarray(ours.last)[plain.when >= 0], (plain.last @ [1, width])[plain.when >= 0])
    rows = np.asarray(ours.explored)[:, None] >> np.arange(width) & 1
    assert np.array_equal(rows.astype(bool), plain.explored)


@pytest.mark.parametrize("eager", [0.3, 0.55])
def test_the_same_games(eager: float) -> None:
    """Steps that tend forwards or, for a carrier, home; what leads to tags, rescues, captures and the limit alike."""
    rng, endings, rescues = np.random.default_rng(int(eager * 100)), set(), 0
    fields = draw(8, 4, SMALL)
    for number in range(4):
        field = maps.one(fields, number)
        assert wood(field).sum() == PlainGame(field).trees.sum()
        ours, plain = begin(field, 0, 12), PlainGame(field, 12)
        while plain.winner < 0:
            side, player = plain.sides[plain.tick // 12 % 2], plain.tick % 4
            forward = 4 if side.carrier == player else 2
            action = forward if rng.random() < eager else int(rng.integers(5))
            ours = jitted_step(field, ours, np.int32(action))
            plain.step(action)
            if plain.tick % 7 == 0 or plain.winner >= 0:
                same_side(ours.red, plain.sides[0], SMALL[0])
                same_side(ours.blue, plain.sides[1], SMALL[0])
                red, blue, red_mask, blue_mask = _look(field, ours)
                np.testing.assert_allclose(red, plain.sense(0), atol=1e-6)
                np.testing.assert_allclose(blue, plain.sense(1), atol=1e-6)
                assert np.array_equal(red_mask, plain.mask(0))
                assert np.array_equal(blue_mask, plain.mask(1))
            assert int(ours.winner) == plain.winner
        endings.add(int(ours.ending))
        rescues += int(ours.red.rescues + ours.blue.rescues)
    assert endings
    assert rescues >= 0


def test_a_game_of_networks_comes_to_an_end() -> None:
    rng = np.random.default_rng(0)
    network = (rng.normal(size=(28, 8)), rng.normal(size=(8, 5)))
    assert play_plain(maps.one(draw(0, 1, SMALL), 0), (network, network), rng, rounds=3).winner in (0, 1, 2)
