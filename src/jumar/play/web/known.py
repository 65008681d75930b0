"""What one side knows of a game: all that a person who commands it is told, and the only source of it.

In: a ``Field``, a ``State``, a side. Out: ``Known``, in that side's own frame; and the same in JSON's kinds.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jumar.play import maps, render, rules, senses
from jumar.play.maps import Field
from jumar.play.rules import BLUE, NEVER, NOBODY, State
from jumar.play.web.parts import bits, rows_to_cells


class Known(NamedTuple):
    """One side's view; cells are numbered in its own frame, ``NOBODY`` stands for what it does not know.

    Attributes:
        at: [4] the cells of its players.
        free: [4] whether they are out of jail.
        carrier: who carries the enemy's flag.
        explored: [height] rows of bits, the cells ever seen.
        seen: [height] rows of bits, the cells in sight now.
        foes: [4] the cells of the enemies in sight.
        held: [4] which enemies are in jail.
        ghosts: [4] where enemies that are out of sight were last seen.
        ages: [4] how many ticks ago that was.
        goal: the place of the enemy's flag.
        lost: whether an enemy carries its flag.
        thief: which one, if that is in sight.
    """

    at: Any
    free: Any
    carrier: Any
    explored: Any
    seen: Any
    foes: Any
    held: Any
    ghosts: Any
    ages: Any
    goal: Any
    lost: Any
    thief: Any


def known(field: Field, state: State, side: Any) -> Known:
    """What a side knows of one board."""
    height, width = field.way.shape
    last = height * width - 1
    mine, theirs = rules.swap(side == BLUE, state.red, state.blue)
    in_sight = senses.visible(field, mine, theirs)
    looks = jnp.where(mine.free[:, None], jnp.asarray(field.see)[mine.at], jnp.uint32(0))
    haunts = ~in_sight & theirs.free & (mine.when > NEVER)
    steals = in_sight & (jnp.arange(maps.PLAYERS) == theirs.carrier)
    return Known(
        at=mine.at,
        free=mine.free,
        carrier=mine.carrier,
        explored=mine.explored,
        seen=jax.lax.reduce(looks, jnp.uint32(0), jax.lax.bitwise_or, (0,)),
        foes=jnp.where(in_sight, last - theirs.at, NOBODY),
        held=~theirs.free,
        ghosts=jnp.where(haunts, mine.last, NOBODY),
        ages=jnp.where(haunts, state.tick - mine.when, 0),
        goal=jnp.where(senses.knows_flag(field, mine), last - field.flag, NOBODY),
        lost=theirs.carrier != NOBODY,
        thief=jnp.where(steals.any(), theirs.carrier, NOBODY),
    )


def told(field: Field, one: Known, caption: str) -> dict[str, Any]:
    """The same in JSON's kinds, with sets of cells as ``parts.bits``.

    Returns:
        all of ``Known``; and "trees" and "open", of the explored cells those with trees and those to stand on, and
        "caption", how the game stands.
    """
    width = field.way.shape[1]
    wood = render.wood(field)
    explored = rows_to_cells(one.explored, width)
    opened = maps.open_cells(wood[None], np.array([int(field.flag) // width]))[0].reshape(-1)
    sets = {
        "explored": explored,
        "seen": rows_to_cells(one.seen, width),
        "trees": explored & wood.reshape(-1),
        "open": explored & opened,
    }
    plain = {name: np.asarray(value).tolist() for name, value in one._asdict().items() if name not in sets}
    return {**plain, **{name: bits(cells) for name, cells in sets.items()}, "caption": caption}
