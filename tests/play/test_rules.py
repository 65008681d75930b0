"""Every rule of the game, on boards set up by hand; blue's frame is the mirror image of red's."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from boards_of_play import (
    CELLS,
    EAST,
    JAILED,
    NORTH,
    SOUTH,
    STAY,
    WEST,
    WIDTH,
    Place,
    begin,
    board,
    cell,
    field,
    step,
    where,
)

from jumar.play import maps, rules
from jumar.play.rules import BLUE, DRAW, LIMIT, NEVER, NOBODY, PLAYING, RED

# Out of everybody's way: red's players at home on the left, blue's on the right.
REDS = [(2, 1), (2, 3), (2, 5), (2, 7)]
BLUES = [(11, 7), (11, 5), (11, 3), (11, 1)]


def reds(*places: Place) -> list[Place]:
    return [*places, *REDS[len(places) :]]


def blues(*places: Place) -> list[Place]:
    return [*places, *BLUES[len(places) :]]


def test_the_start() -> None:
    state = begin(field())
    assert [where(state, False, p) for p in range(4)] == REDS
    assert [where(state, True, p) for p in range(4)] == BLUES
    assert int(state.limit) == 60 * 24
    assert int(state.winner) == PLAYING


def test_four_players_take_turns_three_times_and_then_the_other_side() -> None:
    state, order = begin(field()), []
    for _ in range(26):
        order.append((int(rules.on_turn(state)), int(rules.player_on_turn(state))))
        state = step(state, STAY)
    turn = [0, 1, 2, 3] * 3
    assert order == [(0, p) for p in turn] + [(1, p) for p in turn] + [(0, 0), (0, 1)]
    assert int(rules.on_turn(begin(field(), BLUE))) == BLUE


@pytest.mark.parametrize(
    ("action", "place"), [(STAY, (4, 4)), (NORTH, (4, 3)), (EAST, (5, 4)), (SOUTH, (4, 5)), (WEST, (3, 4))]
)
def test_steps_of_red(action: int, place: tuple[int, int]) -> None:
    assert where(step(board(reds((4, 4)), BLUES), action), False, 0) == place


@pytest.mark.parametrize(
    ("action", "place"), [(STAY, (9, 4)), (NORTH, (9, 5)), (EAST, (8, 4)), (SOUTH, (9, 3)), (WEST, (10, 4))]
)
def test_steps_of_blue_are_in_its_own_frame(action: int, place: tuple[int, int]) -> None:
    assert where(step(board(REDS, blues((9, 4)), first=BLUE), action), True, 0) == place


@pytest.mark.parametrize(
    ("place", "action"),
    [((0, 4), WEST), ((13, 4), EAST), ((4, 0), NORTH), ((4, 8), SOUTH), ((4, 4), EAST), ((12, 0), EAST), ((1, 8), WEST),
     ((2, 3), WEST)],
)  # fmt: skip
def test_an_illegal_step_is_a_stay(place: tuple[int, int], action: int) -> None:
    """Edges, a tree at (5, 4), both jails, one's own flag at (1, 3)."""
    ground = field(((5, 4),))
    before = board([place, (2, 1), (2, 5), (2, 7)], BLUES)
    after = step(before, action, on=ground)
    assert where(after, False, 0) == place
    assert int(after.tick) == 1
    assert not rules.mask(ground, before.red)[0, action]


def test_mates_block() -> None:
    before = board(reds((4, 4), (5, 4)), BLUES)
    assert where(step(before, EAST), False, 0) == (4, 4)
    assert rules.mask(field(), before.red)[0].tolist() == [True, True, False, True, True]


def test_a_prisoner_blocks_nobody_and_stays() -> None:
    before = board(reds(JAILED, (4, 4)), BLUES)
    after = step(before, SOUTH)
    assert not after.red.free[0]
    assert int(after.red.at[0]) == rules.jail(WIDTH)
    assert rules.mask(field(), before.red)[0].tolist() == [True, False, False, False, False]


def test_a_defender_tags_an_intruder() -> None:
    after = step(board(reds((4, 4)), blues((5, 4))), EAST)
    assert where(after, False, 0) == (5, 4)
    assert after.blue.free.tolist() == [False, True, True, True]
    assert where(after, True, 0) == (0, 8), "blue's players are jailed in red's back corner"
    assert (int(after.red.tags), int(after.blue.tags)) == (1, 0)


def test_an_intruder_that_meets_a_defender_is_jailed_whoever_moved() -> None:
    after = step(board(reds((8, 4)), blues((9, 4))), EAST)
    assert after.red.free.tolist() == [False, True, True, True]
    assert after.blue.free.all()
    assert where(after, True, 0) == (9, 4)
    assert (int(after.red.tags), int(after.blue.tags)) == (0, 1)


@pytest.mark.parametrize(("red", "blue", "caught"), [((6, 4), (7, 4), "red"), ((5, 4), (6, 4), "blue")])
def test_the_midline_parts_the_territories(red: tuple[int, int], blue: tuple[int, int], caught: str) -> None:
    """Column 6 is red's last and column 7 blue's first."""
    after = step(board(reds(red), blues(blue)), EAST)
    assert (not after.red.free[0], not after.blue.free[0]) == (caught == "red", caught == "blue")


def test_an_intruder_in_a_trap_is_lost_whatever_it_does() -> None:
    """Three defenders around it, its mate behind it: every step meets a defender, and staying is no way out."""
    defenders = [(9, 3), (10, 4), (9, 5), (11, 1)]
    for action in (NORTH, EAST, SOUTH):
        assert not step(board(reds((9, 4), (8, 4)), defenders), action).red.free[0]
    for action in (WEST, STAY):
        stays = board(reds((9, 4), (8, 4)), defenders)
        stays = step(stays, action, *[STAY] * 11)
        assert where(stays, False, 0) == (9, 4)
        tagged = step(stays, NORTH)  # blue's north is down for red: from (9, 3) to (9, 4)
        assert not tagged.red.free[0]
        assert int(tagged.blue.packs) == 1, "three hunters within three cells are a pack"


def test_a_tag_by_one_is_no_pack() -> None:
    assert int(step(board(reds((4, 4), (0, 0), (0, 1), (0, 2)), blues((5, 4))), EAST).red.packs) == 0


def test_taking_the_flag() -> None:
    after = step(board(reds((11, 5)), blues((8, 0), (8, 1), (8, 2), (8, 3))), EAST)
    assert int(after.red.carrier) == 0
    assert after.red.grabbed
    assert int(after.red.nearest) == 0
    assert int(after.winner) == PLAYING


def test_the_flag_is_taken_by_one_only() -> None:
    after = step(board(reds((11, 5), (9, 5)), blues((8, 0), (8, 1), (8, 2), (8, 3)), carries=1), EAST)
    assert int(after.red.carrier) == 1
    assert where(after, False, 0) == (12, 5)


@pytest.mark.parametrize("tagged_by_a_step_of", ["carrier", "defender"])
def test_the_flag_returns_when_its_carrier_is_tagged(tagged_by_a_step_of: str) -> None:
    if tagged_by_a_step_of == "carrier":
        after = step(board(reds((8, 4)), blues((9, 4)), carries=0), EAST)
    else:
        after = step(board(reds((8, 4)), blues((9, 4)), carries=0, first=BLUE), EAST)
    assert int(after.red.carrier) == NOBODY
    assert not after.red.free[0]
    # It stands in its place again, and can be taken from there.
    reaching = after.red._replace(at=jnp.array([rules.jail(WIDTH), cell((11, 5)), *after.red.at[2:]]))
    away = board(REDS, blues((8, 0), (8, 1), (8, 2), (8, 3))).blue
    again = step(after._replace(tick=np.int32(1), first=np.int32(RED), red=reaching, blue=away), EAST)
    assert int(again.red.carrier) == 1


def test_a_mate_who_is_tagged_leaves_the_flag_with_its_carrier() -> None:
    after = step(board(reds((8, 4), (10, 1)), blues((9, 4)), carries=1), EAST)
    assert not after.red.free[0]
    assert int(after.red.carrier) == 1


def test_carrying_the_flag_home_wins() -> None:
    after = step(board(reds((7, 4)), BLUES, carries=0), WEST)
    assert (int(after.winner), int(after.ending)) == (RED, rules.HOME)
    after = step(board(REDS, blues((6, 4)), loses=0, first=BLUE), WEST)
    assert (int(after.winner), int(after.ending)) == (BLUE, rules.HOME)


def test_coming_home_without_the_flag_wins_nothing() -> None:
    assert int(step(board(reds((7, 4), (9, 4)), BLUES, carries=1), WEST).winner) == PLAYING


def test_jailing_all_four_wins() -> None:
    after = step(board(reds((4, 4)), [(5, 4), JAILED, JAILED, JAILED]), EAST)
    assert (int(after.winner), int(after.ending)) == (RED, rules.JAILED)
    after = step(board([(8, 4), JAILED, JAILED, JAILED], blues((9, 4))), EAST)
    assert (int(after.winner), int(after.ending)) == (BLUE, rules.JAILED)


def test_nothing_moves_after_the_end() -> None:
    over = step(board(reds((7, 4)), BLUES, carries=0), WEST)
    after = step(over, EAST, EAST, NORTH)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(over), jax.tree.leaves(after), strict=True))


@pytest.mark.parametrize(
    ("start", "action", "frees"),
    [((11, 1), EAST, True), ((12, 2), NORTH, True), ((12, 1), STAY, True), ((10, 0), EAST, False),
     ((13, 3), NORTH, False)],
)  # fmt: skip
def test_a_free_mate_within_one_cell_frees_all(start: tuple[int, int], action: int, frees: bool) -> None:
    """The jail of red is the corner (13, 0)."""
    before = board([start, JAILED, JAILED, (2, 3)], blues((8, 0), (8, 1), (8, 2), (8, 3)))
    after = step(before, action)
    assert after.red.free.tolist() == [True, frees, frees, True]
    assert int(after.red.rescues) == 2 * frees
    if frees:
        # A mate stands on the second home, so they take the first and the third.
        assert [where(after, False, p) for p in (1, 2)] == [(2, 1), (2, 5)]


def test_who_is_caught_beside_the_jail_frees_nobody() -> None:
    after = step(board([(11, 1), JAILED, (2, 1), (2, 3)], blues((12, 1))), EAST)
    assert after.red.free.tolist() == [False, False, True, True]


def test_an_enemy_at_home_is_tagged_by_who_restarts_there() -> None:
    after = step(board([(11, 1), JAILED, (5, 0), (5, 1)], blues((2, 1)), loses=0), EAST)
    assert after.red.free.all()
    assert after.blue.free.tolist() == [False, True, True, True]
    assert int(after.blue.carrier) == NOBODY


@pytest.mark.parametrize(
    ("change", "winner"),
    [
        ({}, DRAW),
        ({"red": {"nearest": 3}}, RED),
        ({"red": {"nearest": 0, "grabbed": False}, "prisoners": "red"}, BLUE),
        ({"blue": {"grabbed": True}, "prisoners": "blue"}, BLUE),
        ({"blue": {"nearest": 4}, "red": {"nearest": 5}}, BLUE),
    ],
)
def test_the_limit_and_the_graded_score(change: dict[str, Any], winner: int) -> None:
    """The flag grabbed counts more than prisoners, and these more than the closest approach."""
    red, blue = reds(), blues()
    if "prisoners" in change:
        (red if change["prisoners"] == "red" else blue)[3] = JAILED
    state = board(red, blue, rounds=60)
    for name in ("red", "blue"):
        side = getattr(state, name)
        values = {key: np.asarray(value, side._asdict()[key].dtype) for key, value in change.get(name, {}).items()}
        state = state._replace(**{name: side._replace(**values)})
    before = step(state._replace(tick=state.limit - 2), STAY)
    assert int(before.winner) == PLAYING
    after = step(before, STAY)
    assert (int(after.winner), int(after.ending)) == (winner, LIMIT)


def test_the_second_side_plays_the_mirrored_game() -> None:
    """The same actions with blue moving first: all that red had is blue's, and the other way round."""
    ground = jax.tree.map(jnp.asarray, maps.one(maps.draw(3, 1, maps.SIZES[1]), 0))
    rng = np.random.default_rng(0)
    one, other, ended = begin(ground, RED), begin(ground, BLUE), 0
    for _ in range(1_500):
        action = int(rng.choice(5, p=[0.05, 0.15, 0.5, 0.15, 0.15]))
        one, other = step(one, action, on=ground), step(other, action, on=ground)
        pairs = zip(jax.tree.leaves((one.red, one.blue)), jax.tree.leaves((other.blue, other.red)), strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs)
        assert int(other.winner) == {RED: BLUE, BLUE: RED}.get(int(one.winner), int(one.winner))
        if one.winner != PLAYING:
            one, other, ended = begin(ground, RED), begin(ground, BLUE), ended + 1
    assert ended


def test_what_always_holds() -> None:
    """No two mates on one cell, no enemies on one cell, nobody on a tree, and a flag only with somebody free."""
    ground = jax.tree.map(jnp.asarray, maps.one(maps.draw(4, 1, maps.SIZES[1]), 0))
    rng = np.random.default_rng(1)
    state = begin(ground)
    opened = np.asarray(ground.way).reshape(-1) < maps.FAR
    for _ in range(1_500):
        state = step(state, int(rng.choice(5, p=[0.05, 0.15, 0.5, 0.15, 0.15])), on=ground)
        standing = [*state.red.at[state.red.free], *(CELLS - 1 - state.blue.at[state.blue.free])]
        assert len(set(standing)) == len(standing)
        for mine in (state.red, state.blue):
            assert opened[mine.at[mine.free]].all()
            assert mine.carrier == NOBODY or mine.free[mine.carrier]
            assert (mine.at[~mine.free] == rules.jail(WIDTH)).all()
        if state.winner != PLAYING:
            state = begin(ground)


def test_memory_of_enemies() -> None:
    """An enemy is remembered where it was last seen, also by a look in passing, and forgotten once it is jailed."""
    state = step(board(reds((4, 4)), blues((9, 4))), STAY)
    assert int(state.red.last[0]) == cell((9, 4))
    assert int(state.red.when[0]) == 0
    assert int(state.red.when[1]) == NEVER
    assert int(state.blue.last[0]) == CELLS - 1 - cell((4, 4))
    # Blue walks out of sight in its turn: the last place in sight is kept.
    state = step(state._replace(tick=np.int32(12)), WEST)
    assert int(state.red.last[0]) == cell((9, 4))
    passing = step(board(reds((4, 4)), blues((10, 4)), first=BLUE), EAST, STAY, STAY, STAY, WEST)
    assert (int(passing.red.last[0]), int(passing.red.when[0])) == (cell((9, 4)), 0)
    caught = step(board(reds((4, 4)), blues((5, 4))), EAST)
    assert int(caught.red.when[0]) == NEVER
