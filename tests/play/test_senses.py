"""What players sense: only what their side may know, in its own frame."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from boards_of_play import EAST, JAILED, begin, board, field, step

from jumar.play import maps, senses
from jumar.play.maps import Field
from jumar.play.rules import BLUE, RED, State

HOME = [(2, 1), (2, 3), (2, 5), (2, 7)]
AWAY = [(11, 7), (11, 5), (11, 3), (11, 1)]
_block = jax.jit(senses.block)


def sensed(state: State, player: int = 0, blue: bool = False, on: Field | None = None) -> dict[str, float]:
    mine, theirs = (state.blue, state.red) if blue else (state.red, state.blue)
    block = np.asarray(_block(field() if on is None else on, mine, theirs))
    assert block.shape == (4, senses.SIZE)
    assert np.abs(block).max() <= 1
    return dict(zip(senses.NAMES, block[player].tolist(), strict=True))


def test_oneself() -> None:
    now = sensed(board([(0, 0), *HOME[1:]], AWAY))
    assert (now["alive"], now["x"], now["y"]) == (1, -1, -1)
    assert (now["in_enemy_land"], now["carrying"]) == (0, 0)
    assert [now[f"blocked_{way}"] for way in ("north", "east", "south", "west")] == [1, 0, 0, 1]
    there = sensed(board([(9, 4), (9, 3), (2, 5), (2, 7)], AWAY, carries=0))
    assert (there["in_enemy_land"], there["carrying"], there["blocked_north"]) == (1, 1, 1)


def test_the_two_nearest_enemies_in_sight() -> None:
    now = sensed(board([(4, 4), *HOME[1:]], [(6, 4), (5, 6), (9, 8), (11, 1)]))
    assert now["enemy_seen"] == now["enemy2_seen"] == now["enemy_intrudes"] == 1
    assert now["enemy_dx"] == pytest.approx(2 / 13)
    assert now["enemy_closeness"] == pytest.approx(1 / 2)
    assert (now["enemy2_dx"], now["enemy2_dy"]) == pytest.approx((1 / 13, 2 / 8))
    assert now["enemy2_closeness"] == pytest.approx(1 / 3)


def test_one_enemy_in_sight_is_not_sensed_twice() -> None:
    for enemies in ([(6, 4), *AWAY[1:]], [AWAY[0], (6, 4), *AWAY[2:]]):
        now = sensed(board([(4, 4), *HOME[1:]], enemies))
        assert now["enemy_dx"] == pytest.approx(2 / 13)
        assert [now[f"enemy2_{what}"] for what in ("seen", "dx", "dy", "closeness", "intrudes")] == [0] * 5


def test_no_enemy_is_sensed_that_nobody_sees() -> None:
    hidden = board([(4, 4), *HOME[1:]], [(8, 4), *AWAY[1:]])
    assert sensed(hidden)["enemy_seen"] == 1
    behind = sensed(hidden, on=field(((6, 4),)))
    assert [behind[f"enemy_{what}"] for what in ("seen", "dx", "dy", "closeness", "intrudes")] == [0] * 5


def test_sight_is_shared_and_prisoners_see_nothing() -> None:
    places = [(2, 4), (6, 4), (2, 5), (2, 7)]
    assert sensed(board(places, [(10, 4), *AWAY[1:]]))["enemy_dx"] == pytest.approx(8 / 13)
    jailed = board([(2, 4), JAILED, (2, 5), (2, 7)], [(10, 4), *AWAY[1:]])
    assert sensed(jailed)["enemy_seen"] == 0
    assert set(sensed(jailed, player=1).values()) == {0.0}


def test_the_flag_is_known_once_seen() -> None:
    state = board([(8, 5), *HOME[1:]], [(11, 1), (11, 2), (13, 3), (13, 2)])
    closer = step(state, EAST)
    # From (9, 5) the flag at (12, 5) is three columns away; from (6, 5) it was out of sight.
    now = sensed(closer)
    assert (now["flag_known"], now["flag_dx"], now["flag_dy"]) == pytest.approx((1, 3 / 13, 0))
    assert sensed(board([(6, 5), *HOME[1:]], AWAY))["flag_known"] == 0
    carried = sensed(closer._replace(red=closer.red._replace(carrier=np.int32(1))))
    assert carried["flag_dx"] == pytest.approx((2 - 9) / 13), "a flag that is carried is where its carrier is"


def test_own_flag_mates_and_jail() -> None:
    now = sensed(board([(4, 4), JAILED, (4, 6), (2, 7)], [(5, 0), *AWAY[1:]], loses=0))
    assert now["own_flag_carried"] == 1
    assert now["mates_in_jail"] == pytest.approx(1 / 3)
    assert (now["jail_dx"], now["jail_dy"]) == pytest.approx((9 / 13, -4 / 8))
    assert (now["mate_dx"], now["mate_dy"]) == pytest.approx((0, 2 / 8))
    free = sensed(board([(4, 4), *HOME[1:]], AWAY))
    assert free["mates_in_jail"] == free["jail_dx"] == free["own_flag_carried"] == 0
    alone = sensed(board([(4, 4), JAILED, JAILED, JAILED], AWAY))
    assert (alone["mate_dx"], alone["mate_dy"]) == (0, 0)


def test_both_sides_sense_alike() -> None:
    """After the same steps with the other side moving first, blue senses what red sensed."""
    ground = maps.one(maps.draw(3, 1, maps.SIZES[1]), 0)
    rng = np.random.default_rng(2)
    one, other = begin(ground, RED), begin(ground, BLUE)
    for _ in range(400):
        action = int(rng.choice(5, p=[0.05, 0.15, 0.5, 0.15, 0.15]))
        one, other = step(one, action, on=ground), step(other, action, on=ground)
        assert np.array_equal(_block(ground, one.red, one.blue), _block(ground, other.blue, other.red))
        assert np.array_equal(_block(ground, one.blue, one.red), _block(ground, other.red, other.blue))
