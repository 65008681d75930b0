"""What players sense: the same block of numbers for each of the four, in the frame of their own side.

In: a ``Field`` and the two sides of a ``State``, one's own first. Out: ``block`` [4, 28], zeros
for a prisoner. It holds only what the side may know: enemies in sight of any free player, cells ever seen.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jumar.play import rules
from jumar.play.maps import PLAYERS, Field
from jumar.play.rules import NOBODY, Side, in_own_land, jail
from jumar.play.sight import has

NAMES = (
    "alive", "x", "y", "in_enemy_land", "carrying",
    "blocked_north", "blocked_east", "blocked_south", "blocked_west",
    "enemy_seen", "enemy_dx", "enemy_dy", "enemy_closeness", "enemy_intrudes",
    "enemy2_seen", "enemy2_dx", "enemy2_dy", "enemy2_closeness", "enemy2_intrudes",
    "flag_known", "flag_dx", "flag_dy",
    "own_flag_carried",
    "mates_in_jail", "jail_dx", "jail_dy", "mate_dx", "mate_dy",
)  # fmt: skip
SIZE = len(NAMES)


def visible(field: Field, mine: Side, theirs: Side) -> jax.Array:
    """[4] which free enemies any of my free players sees now."""
    height, width = field.way.shape
    foes = height * width - 1 - theirs.at
    rows = field.see[mine.at[:, None], foes // width]
    seen = rows >> (foes % width).astype(jnp.uint32) & 1 == 1
    return (seen & mine.free[:, None]).any(axis=0) & theirs.free


def knows_flag(field: Field, side: Side) -> jax.Array:
    """Whether the place of the enemy's flag has been seen."""
    height, width = field.way.shape
    return has(side.explored, height * width - 1 - jnp.asarray(field.flag), width)


def flag_at(field: Field, side: Side) -> jax.Array:
    """Where the enemy's flag is, in one's own frame: with whoever carries it, or in its place."""
    cells = field.way.shape[0] * field.way.shape[1]
    carried = jnp.arange(PLAYERS) == side.carrier
    return jnp.where(side.carrier == NOBODY, cells - 1 - field.flag, jnp.where(carried, side.at, 0).sum())


def block(field: Field, mine: Side, theirs: Side, tick: Any = 0) -> jax.Array:
    """[4, 28] numbers from −1 to 1, named by ``NAMES``.

    Places are 0 in the middle of the field; dx and dy are parts of its width and height, positive towards the enemy and
    towards the lower edge. Enemies are the two that are nearest in steps, of those in sight.
    """
    height, width = field.way.shape
    x, y = mine.at % width, mine.at // width
    foes = height * width - 1 - theirs.at

    def apart(cell: Any) -> tuple[Any, Any]:
        return (cell % width - x) / (width - 1), (cell // width - y) / (height - 1)

    known = knows_flag(field, mine)
    flag = apart(flag_at(field, mine))
    prison = apart(jail(width))
    prisoners = (~mine.free).sum()
    mate_dx, mate_dy = _nearest_mate(mine, width, height)
    blocked = ~rules.mask(field, mine)[:, 1:]
    ones = jnp.ones(PLAYERS)
    columns = [
        ones, 2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1, ~in_own_land(mine.at, width),
        jnp.arange(PLAYERS) == mine.carrier, *blocked.T,
        *_two_enemies(mine, foes, visible(field, mine, theirs), width, height),
        known * ones, known * flag[0], known * flag[1],
        (theirs.carrier != NOBODY) * ones,
        prisoners / (PLAYERS - 1) * ones, *((prisoners > 0) * part for part in prison), mate_dx, mate_dy,
    ]  # fmt: skip
    table = jnp.stack([column.astype(jnp.float32) for column in columns], axis=1)
    return jnp.where(mine.free[:, None], table, 0.0)


def _two_enemies(mine: Side, foes: Any, seen: Any, width: int, height: int) -> list[Any]:
    """Ten columns about the two nearest enemies in sight of the team, from where each of my players stands."""
    dx = foes % width - (mine.at % width)[:, None]
    dy = foes // width - (mine.at // width)[:, None]
    left = jnp.broadcast_to(seen, (PLAYERS, PLAYERS))
    columns = []
    for _ in range(2):
        nearest = jnp.where(left, abs(dx) + abs(dy), 2 * (width + height)).argmin(axis=1)
        chosen = left & (jnp.arange(PLAYERS) == nearest[:, None])

        def of_chosen(values: Any, chosen: Any = chosen) -> Any:
            return jnp.where(chosen, values, 0).sum(axis=1)

        there = chosen.any(axis=1)
        columns += [
            there, of_chosen(dx) / (width - 1), of_chosen(dy) / (height - 1),
            there / jnp.maximum(of_chosen(abs(dx) + abs(dy)), 1), of_chosen(in_own_land(foes, width)),
        ]  # fmt: skip
        left = left & ~chosen
    return columns


def _nearest_mate(mine: Side, width: int, height: int) -> tuple[Any, Any]:
    """Where the nearest free mate is from each player; zeros where there is none."""
    dx = mine.at % width - (mine.at % width)[:, None]
    dy = mine.at // width - (mine.at // width)[:, None]
    others = mine.free & ~jnp.eye(PLAYERS, dtype=bool)
    nearest = jnp.where(others, abs(dx) + abs(dy), 2 * (width + height)).argmin(axis=1)
    chosen = others & (jnp.arange(PLAYERS) == nearest[:, None])
    return jnp.where(chosen, dx, 0).sum(axis=1) / (width - 1), jnp.where(chosen, dy, 0).sum(axis=1) / (height - 1)
