"""What a bred player makes of its senses: the world as it lies around it, in steps and directions.

In: a ``Field`` and the two sides, one's own first, as for ``senses``. Out: ``features`` [4, 29], numbers for networks
without a geometry, or ``sheets`` [4, 6, 7, 7] for those with one; zeros for a prisoner. Both hold
only what the side may know; they part enemies into prey, which one may tag, and threats, which tag.
``players`` uses them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jumar.play import senses
from jumar.play.maps import PLAYERS, Field
from jumar.play.rules import NOBODY, Side, in_own_land, jail
from jumar.play.ways import columns, rows_of

NAMES = (
    "x", "y", "in_enemy_land", "carrying", "blocked_north", "blocked_east", "blocked_south", "blocked_west",
    "flag_known", "own_flag_carried", "mates_in_jail",
    "prey_seen", "prey_east", "prey_south", "prey_closeness",
    "threat_seen", "threat_east", "threat_south", "threat_closeness",
    "goal_east", "goal_south", "jail_east", "jail_south", "mate_east", "mate_south",
    "slot_0", "slot_1", "slot_2", "slot_3",
)  # fmt: skip
SHEETS = ("blocked", "enemy_land", "prey", "threat", "mate", "goal")
COUNT = (1 / 3, 1 / 7, 1.0, 1.0, 1.0, 1.0)  # what a cell counts; of the first two many are there at once
REACH = 3
SIGHT = 2 * REACH + 1
MATES = ("mates_in_jail", "jail_dx", "jail_dy", "mate_dx", "mate_dy")  # of ``senses.NAMES``
_OF = {name: place for place, name in enumerate(senses.NAMES)}


def features(field: Field, mine: Side, theirs: Side, tick: Any, *, blind: bool = False) -> jax.Array:
    """[4, 29] numbers from −1 to 1, named by ``NAMES``.

    East and south are parts of the way to go, |east| + |south| = 1, whatever the distance; closeness is one over the
    distance. The goal is home for a carrier, the enemy's flag once it is known, and the east until then. With
    ``blind``, all that is about mates is 0.
    """
    block = senses.block(field, mine, theirs, tick)
    if blind:
        block = block.at[:, jnp.array([_OF[name] for name in MATES])].set(0.0)
    height, width = field.way.shape

    def told(name: str) -> jax.Array:
        return block[:, _OF[name]]

    def way(thing: str) -> tuple[jax.Array, jax.Array]:
        return _share(told(f"{thing}_dx") * (width - 1), told(f"{thing}_dy") * (height - 1))

    seen, second = told("enemy_seen") > 0, told("enemy2_seen") > 0
    intrudes, also = told("enemy_intrudes") > 0, told("enemy2_intrudes") > 0
    flag, carries = way("flag"), told("carrying") > 0
    knows = told("flag_known") > 0
    told_all = [
        *(told(name) for name in NAMES[:11]),
        *_nearer(told, way, intrudes, also), *_nearer(told, way, seen & ~intrudes, second & ~also),
        jnp.where(carries, -1.0, jnp.where(knows, flag[0], 1.0)), jnp.where(carries | ~knows, 0.0, flag[1]),
        *way("jail"), *way("mate"), *jnp.eye(PLAYERS),
    ]  # fmt: skip
    return jnp.where(mine.free[:, None], jnp.stack(told_all, axis=1), 0.0)


def _share(dx: Any, dy: Any) -> tuple[jax.Array, jax.Array]:
    """A way as shares of its length; nothing for no way."""
    length = jnp.maximum(abs(dx) + abs(dy), 1e-6)
    return dx / length, dy / length


def _nearer(told: Callable[[str], Any], way: Callable[[str], Any], first: Any, second: Any) -> list[jax.Array]:
    """Seen, east, south and closeness of the nearer of two enemies, among those that are meant."""
    one, two = (*way("enemy"), told("enemy_closeness")), (*way("enemy2"), told("enemy2_closeness"))
    chosen = [jnp.where(first, a, jnp.where(second, b, 0.0)) for a, b in zip(one, two, strict=True)]
    return [(first | second).astype(jnp.float32), *chosen]


def sheets(field: Field, mine: Side, theirs: Side, tick: Any, *, blind: bool = False) -> jax.Array:
    """[4, 6, 7, 7] what lies around each player: by sheet, named by ``SHEETS``, row, column; 0, or its ``COUNT``.

    Blocked are edges, jails, one's own flag and the trees seen so far. The goal is one's own land for a carrier; for
    others the enemy's flag once it is known, and the jail while it holds a mate. It is also shown on the edge, in its
    direction, if it lies further away, and so is the prey that is nearest. With ``blind`` no mate is shown, and no
    jail as a goal.
    """
    height, width = field.way.shape
    cells = height * width
    foes = cells - 1 - theirs.at
    seen = senses.visible(field, mine, theirs)
    trap = jnp.int32(jail(width))
    prisoners = jnp.bool_(False) if blind else (~mine.free).any()
    carries = jnp.arange(PLAYERS) == mine.carrier
    place = cells - 1 - field.flag

    def board(cell: Any, chosen: Any) -> jax.Array:
        return rows_of(jnp.atleast_1d(cell), jnp.atleast_1d(chosen), width, height)

    shut = jnp.stack([trap, cells - 1 - trap, field.flag])
    beyond = jnp.full(height, columns(width // 2, width), jnp.uint32)
    enemies = board(foes, seen)
    stands = senses.knows_flag(field, mine) & (mine.carrier == NOBODY)
    boards = [
        mine.explored & field.trees | board(shut, jnp.ones(3, bool)), beyond, enemies & ~beyond, enemies & beyond,
        board(mine.at, mine.free & (not blind)), board(place, stands) | board(trap, prisoners),
        jnp.full(height, columns(0, width // 2), jnp.uint32) | board(trap, prisoners),
    ]  # fmt: skip
    around = _around(jnp.stack(boards), mine.at % width, mine.at // width, width)
    blocked, land, prey, threat, mate, goal, home = around
    prey |= _nearest_prey(mine, foes, seen & in_own_land(foes, width), width)
    mate = mate.at[:, REACH, REACH].set(False)  # oneself
    goal = jnp.where(carries[:, None, None], home, goal) | _far_goal(field, mine, prisoners)
    stack = jnp.stack([blocked, land, prey, threat, mate, goal], axis=1)
    counted = jnp.array(COUNT, jnp.float32)[:, None, None]
    return jnp.where(mine.free[:, None, None, None], stack * counted, 0.0)


def _around(boards: Any, x: Any, y: Any, width: int) -> jax.Array:
    """[boards, 4, 7, 7] what of rows of bits [boards, height] lies around (x, y); outside the first is full."""
    outside = jnp.where(jnp.arange(len(boards)) == 0, jnp.uint32(0xFFFFFFFF), jnp.uint32(0))[:, None]
    inner = jnp.uint32(columns(REACH, REACH + width))
    wide = jnp.where(outside > 0, boards << REACH | ~inner, boards << REACH & inner)
    edge = jnp.broadcast_to(outside, (len(boards), REACH))
    rows = jnp.concatenate([edge, wide, edge], axis=1)[:, y[:, None] + jnp.arange(SIGHT)]
    near = rows >> x[:, None].astype(jnp.uint32)
    return near[..., None] >> jnp.arange(SIGHT, dtype=jnp.uint32) & 1 == 1


def _nearest_prey(mine: Side, foes: Any, hunted: Any, width: int) -> jax.Array:
    """[4, 7, 7] the intruder in sight that is nearest to each player; on the edge if it is further than the sheet."""
    dx = foes % width - (mine.at % width)[:, None]
    dy = foes // width - (mine.at // width)[:, None]
    steps = jnp.where(hunted, abs(dx) + abs(dy), jnp.iinfo(jnp.int32).max)
    chosen = hunted & (jnp.arange(PLAYERS) == steps.argmin(axis=1)[:, None])
    return _shown(jnp.where(chosen, dx, 0).sum(axis=1), jnp.where(chosen, dy, 0).sum(axis=1)) & hunted.any()


def _far_goal(field: Field, mine: Side, prisoners: Any) -> jax.Array:
    """[4, 7, 7] home for a carrier; else the flag, or the east; home, or the jail, while somebody else has the flag."""
    width = field.way.shape[1]
    carries = jnp.arange(PLAYERS) == mine.carrier
    home = mine.at - mine.at % width
    flag = jnp.where(senses.knows_flag(field, mine), senses.flag_at(field, mine), home + width - 1)
    others = jnp.where(prisoners, jail(width), home)
    goal = jnp.where(carries, home, jnp.where(mine.carrier == NOBODY, flag, others))
    return _shown(goal % width - mine.at % width, goal // width - mine.at // width)


def _shown(dx: Any, dy: Any) -> jax.Array:
    """[4, 7, 7] one cell each, (dx, dy) away or on the edge in that direction."""
    column, row = jnp.clip(dx, -REACH, REACH) + REACH, jnp.clip(dy, -REACH, REACH) + REACH
    return (jnp.arange(SIGHT) == row[:, None])[:, :, None] & (jnp.arange(SIGHT) == column[:, None])[:, None, :]
