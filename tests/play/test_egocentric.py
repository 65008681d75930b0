"""What bred players make of their senses: prey and threats, ways as shares, and what is far on the edge."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import numpy as np
import pytest
from boards_of_play import HEIGHT, JAILED, STAY, WIDTH, board, field, step

from jumar.play import maps, rules
from jumar.play.breed import egocentric
from jumar.play.breed.egocentric import NAMES, REACH, SHEETS, SIGHT
from jumar.play.maps import Field
from jumar.play.rules import State

HOME = [(2, 1), (2, 3), (2, 5), (2, 7)]
AWAY = [(11, 7), (11, 5), (11, 3), (11, 1)]


@cache
def _compiled(what: str, blind: bool) -> Any:
    function = getattr(egocentric, what)
    return jax.jit(lambda ground, mine, theirs: function(ground, mine, theirs, 0, blind=blind))


def told(state: State, player: int = 0, blind: bool = False) -> dict[str, float]:
    table = np.asarray(_compiled("features", blind)(field(), state.red, state.blue))
    assert table.shape == (4, len(NAMES))
    assert np.abs(table).max() <= 1
    return dict(zip(NAMES, table[player].tolist(), strict=True))


def seen(state: State, player: int = 0, blind: bool = False, on: Field | None = None) -> dict[str, np.ndarray]:
    table = np.asarray(_compiled("sheets", blind)(field() if on is None else on, state.red, state.blue))
    assert table.shape == (4, len(SHEETS), SIGHT, SIGHT)
    return dict(zip(SHEETS, table[player], strict=True))


def cells(sheet: np.ndarray) -> list[list[int]]:
    """(columns to the right, rows down) of what is on a sheet."""
    return (np.argwhere(sheet)[:, ::-1] - REACH).tolist()


def test_prey_is_in_ones_own_land_and_threats_are_not() -> None:
    now = told(board([(5, 4), *HOME[1:]], [(6, 5), (8, 4), *AWAY[2:]]))
    assert (now["prey_seen"], now["prey_closeness"]) == (1, pytest.approx(1 / 2))
    assert (now["prey_east"], now["prey_south"]) == pytest.approx((1 / 2, 1 / 2))
    assert (now["threat_seen"], now["threat_east"], now["threat_south"]) == (1, 1, 0)
    assert now["threat_closeness"] == pytest.approx(1 / 3)
    alone = told(board([(5, 4), *HOME[1:]], [(8, 4), *AWAY[1:]]))
    assert [alone[f"prey_{what}"] for what in ("seen", "east", "south", "closeness")] == [0] * 4


def test_the_goal_is_the_east_the_flag_or_home() -> None:
    assert (told(board(HOME, AWAY))["goal_east"], told(board(HOME, AWAY))["goal_south"]) == (1, 0)
    state = step(board([(9, 4), *HOME[1:]], [(11, 1), (11, 2), (13, 3), (13, 2)]), STAY)
    now = told(state)  # the flag is at (12, 5)
    assert (now["flag_known"], now["goal_east"], now["goal_south"]) == pytest.approx((1, 3 / 4, 1 / 4))
    carries = told(board([(9, 4), *HOME[1:]], AWAY, carries=0))
    assert (carries["carrying"], carries["goal_east"], carries["goal_south"]) == (1, -1, 0)


def test_mates_the_jail_and_who_one_is() -> None:
    state = board([(4, 4), JAILED, (4, 6), (2, 7)], AWAY)
    now = told(state)
    assert (now["mate_east"], now["mate_south"]) == (0, 1)
    assert (now["jail_east"], now["jail_south"]) == pytest.approx((9 / 13, -4 / 13))
    assert now["mates_in_jail"] == pytest.approx(1 / 3)
    assert [now[f"slot_{slot}"] for slot in range(4)] == [1, 0, 0, 0]
    assert [told(state, 3)[f"slot_{slot}"] for slot in range(4)] == [0, 0, 0, 1]
    assert set(told(state, 1).values()) == {0.0}
    blind = told(state, blind=True)
    hidden = {"mate_east", "mate_south", "jail_east", "jail_south", "mates_in_jail"}
    assert {name for name in NAMES if blind[name] != now[name]} == hidden - {"mate_east"}
    assert all(blind[name] == 0 for name in hidden)


def test_sheets_around_a_player() -> None:
    ground = field(((4, 2),))
    state = step(board([(2, 2), (1, 0), JAILED, (9, 1)], [(5, 3), *AWAY[1:]]), STAY, on=ground)
    now = seen(state, on=ground)
    blocked = now["blocked"]
    assert blocked[:, 0].all(), "beyond the left edge"
    assert blocked[0].all(), "beyond the upper edge"
    assert blocked[3, 5], "the tree two to the right"
    assert blocked[4, 2], "its own flag, at (1, 3)"
    assert not blocked[3, 3]
    assert cells(now["prey"]) == [[3, 1]]
    assert cells(now["mate"]) == [[-1, -2]]
    assert not now["threat"].any()
    assert not now["enemy_land"].any()
    assert not any(sheet.any() for sheet in seen(state, 2, on=ground).values()), "a prisoner sees nothing"
    east = seen(state, 3, on=ground)
    assert (east["enemy_land"][2:, 1:] > 0).all(), "from column 7 on, within the field"
    assert not east["enemy_land"][:, 0].any()
    assert not east["enemy_land"][:2].any(), "nothing is beyond the edge"
    assert (WIDTH, HEIGHT) == (14, 9)


def test_what_is_far_lies_on_the_edge() -> None:
    """Nobody knows the flag: the way leads east. Prey in sight of a mate is shown in its direction."""
    state = board([(1, 4), (3, 7), (2, 5), (2, 0)], [(6, 8), *AWAY[1:]])
    now = seen(state)
    assert cells(now["goal"]) == [[REACH, 0]]
    assert cells(now["prey"]) == [[REACH, REACH]]
    assert cells(seen(state, 1)["prey"]) == [[3, 1]]
    carries = seen(board([(12, 4), *HOME[1:]], AWAY, carries=0))
    assert cells(carries["goal"]) == [[-REACH, 0]]
    near = seen(board([(8, 4), *HOME[1:]], AWAY, carries=0))
    assert (near["goal"][:, :2] == 1).all(), "its own land, from column 6 to the left"


def test_a_prison_that_holds_a_mate_is_a_goal_unless_one_is_blind() -> None:
    state = board([(11, 1), JAILED, *HOME[2:]], [(9, 8), (9, 7), (8, 8), (8, 7)])
    jail = [rules.jail(WIDTH) % WIDTH - 11, rules.jail(WIDTH) // WIDTH - 1]
    assert jail in cells(seen(state)["goal"])
    assert jail not in cells(seen(state, blind=True)["goal"])
    assert not any(seen(state, player, blind=True)["mate"].any() for player in range(4))


def test_both_sides_see_alike() -> None:
    """On a map that is the same from both sides, at the start."""
    ground = jax.tree.map(np.asarray, maps.one(maps.draw(3, 1, maps.SIZES[1]), 0))
    state = rules.start(ground)
    for what in ("features", "sheets"):
        ours = _compiled(what, False)(ground, state.red, state.blue)
        assert np.array_equal(ours, _compiled(what, False)(ground, state.blue, state.red))
