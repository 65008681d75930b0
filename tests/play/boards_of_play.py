"""Boards set up by hand, shared by the tests of the game: places are (column, row) in the frame of the red side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jumar.play import maps, rules
from jumar.play.maps import Field
from jumar.play.rules import NOBODY, RED, Side, State

WIDTH, HEIGHT = maps.SIZES[1]
CELLS = WIDTH * HEIGHT
FLAG_ROW = 3
STAY, NORTH, EAST, SOUTH, WEST = range(5)
JAILED = None
Place = tuple[int, int] | None
jitted_step, begin, fresh = jax.jit(rules.step), jax.jit(rules.start), jax.jit(rules.fresh)


@lru_cache
def field(trees: tuple[tuple[int, int], ...] = ()) -> Field:
    """A small field with trees at these places and at their mirror images."""
    wood = np.zeros((1, HEIGHT, WIDTH), bool)
    for x, y in trees:
        wood[0, y, x] = wood[0, HEIGHT - 1 - y, WIDTH - 1 - x] = True
    return jax.tree.map(jnp.asarray, maps.one(maps.build(wood, np.array([FLAG_ROW])), 0))


def cell(place: tuple[int, int]) -> int:
    return place[1] * WIDTH + place[0]


def side(places: Sequence[Place], blue: bool, **changes: Any) -> Side:
    """A side whose players stand at these places; None is in jail."""
    at = [rules.jail(WIDTH) if place is None else CELLS - 1 - cell(place) if blue else cell(place) for place in places]
    begun = fresh(field())
    free = jnp.array([place is not None for place in places])
    return begun._replace(at=jnp.array(at, jnp.int32), free=free, **changes)


def board(red: Sequence[Place], blue: Sequence[Place], *, player: int = 0, first: int = RED, carries: int = NOBODY,
          loses: int = NOBODY, rounds: int = 60) -> State:  # fmt: skip
    """A game in which ``player`` of the side that moves first steps next.

    Args:
        carries: which red player has blue's flag.
        loses: which blue player has red's flag.
    """
    state = begin(field(), first, rounds)
    return state._replace(
        red=side(red, False, carrier=jnp.int32(carries)),
        blue=side(blue, True, carrier=jnp.int32(loses)),
        tick=jnp.int32(player),
    )


def step(state: State, *actions: int, on: Field | None = None) -> State:
    """The game after these steps, with NumPy's arrays."""
    ground = field() if on is None else on
    for action in actions:
        state = jitted_step(ground, state, jnp.int32(action))
    return jax.tree.map(np.asarray, state)


def where(state: State, blue: bool, player: int) -> tuple[int, int]:
    """The place of a player in the frame of red."""
    at = int((state.blue if blue else state.red).at[player])
    at = CELLS - 1 - at if blue else at
    return at % WIDTH, at // WIDTH
