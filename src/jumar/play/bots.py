"""Two fixed players: one that steps at random, and a greedy one that is worth beating.

In: what a side may know. Out: ``RANDOM`` and ``GREEDY``, policies for ``match.play``. Of the first, parameters mean
nothing; of the second, they are the share of steps that it makes at random instead, 0 for all its strength.
Greedy has roles. Two attack, two defend; carriers run home; whoever is at home and sees an intruder hunts it; once two
players of either side are jailed, all turn to attack and rescue. Ways are the shortest through what it has explored,
round known trees, mates, and, where there is a choice, out of the reach of enemies in sight.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jumar.play import senses
from jumar.play.maps import PLAYERS, Field, offsets
from jumar.play.match import Policy
from jumar.play.rules import NOBODY, STEPS, TURN, Side, in_own_land, jail
from jumar.play.sight import has
from jumar.play.ways import columns, rows_of, spread, ways

ALL_OUT = 2
RECENT = 3 * TURN
LATE = 30
# Greedy's logits: steps on a way are so much likelier than others that others are never drawn while there is a way.
SURE = 60.0


class Outlook(NamedTuple):
    """What a side may know of a board, in its own frame.

    Attributes:
        mine: its own players and memory.
        trees: [height] rows of bits, the trees seen so far.
        flag: cell of its own flag.
        goal: cell of the enemy's flag, and ``known`` whether its place is.
        known: whether the enemy's flag has been seen.
        foes: [4] where enemies were last seen, ``seen`` now, ``recent`` not long ago; those in jail are ``held``.
        lost: whether an enemy carries its flag.
        tick: how far the game is.
        width: an array [width], of no content.
    """

    mine: Side
    trees: Any
    flag: Any
    goal: Any
    known: Any
    foes: Any
    seen: Any
    recent: Any
    held: Any
    lost: Any
    tick: Any
    width: Any


def outlook(field: Field, mine: Side, theirs: Side, tick: Any) -> Outlook:
    """What ``GREEDY`` is given."""
    height, width = field.way.shape
    seen = senses.visible(field, mine, theirs)
    known = senses.knows_flag(field, mine)
    return Outlook(
        mine=mine,
        trees=field.trees & mine.explored,
        flag=field.flag,
        goal=jnp.where(known, height * width - 1 - field.flag, 0),
        known=known,
        foes=mine.last,
        seen=seen,
        recent=theirs.free & (tick - mine.when <= RECENT),
        held=~theirs.free,
        lost=theirs.carrier != NOBODY,
        tick=tick,
        width=jnp.zeros(width),
    )


def _anything(params: Any, sensed: Any, mask: Any, key: Any) -> jax.Array:
    return jnp.zeros(mask.shape)


def _nothing(field: Field, mine: Side, theirs: Side, tick: Any) -> None:
    return None


def _greedy(params: Any, sensed: Outlook, mask: Any, key: Any) -> jax.Array:
    """Logits [4, 5]: even among the first steps of the shortest ways, and next to nothing elsewhere."""
    height, width = sensed.trees.shape[0], sensed.width.shape[0]
    mine = sensed.mine
    goals, home_only = _goals(sensed, width, height)
    ours = jnp.uint32(columns(0, width // 2))
    # Beyond the midline an enemy's own cell is never entered, and the reach of its next turn only for want of better.
    foes = rows_of(sensed.foes, sensed.seen, width, height)
    reach = foes
    for _ in range(STEPS):
        reach = spread(reach)
    passable = _free_cells(sensed, width, height) & ~(foes & ~ours)
    passable = jnp.where(home_only[:, None], passable & ours, passable)
    safe = passable & ~(reach & ~ours)
    steps = ways(mine.at, goals, safe, passable, width, width + 2 * height) & mask
    targets = jnp.clip(mine.at[:, None] + jnp.asarray(offsets(width)), 0, width * height - 1)
    risky = has(reach & ~ours, targets, width)
    steps = steps & (~risky | _dares(sensed, width, key)[:, None])
    stay = jnp.arange(mask.shape[1]) == 0
    steps = jnp.where(steps.any(axis=1, keepdims=True), steps, stay)
    astray = jax.random.uniform(jax.random.fold_in(key, 1), (PLAYERS,)) < params
    return jnp.where(steps & ~astray[:, None], SURE, 0.0)


def _free_cells(sensed: Outlook, width: int, height: int) -> jax.Array:
    """[4, height] where each player can go, as far as known: unexplored cells are taken for free."""
    mine = sensed.mine
    board = jnp.full(height, columns(0, width), jnp.uint32)
    cells = width * height
    closed = jnp.stack([jnp.int32(jail(width)), jnp.int32(cells - 1 - jail(width)), sensed.flag])
    shut = rows_of(closed, jnp.ones(3, bool), width, height) | sensed.trees
    others = mine.free & ~jnp.eye(PLAYERS, dtype=bool)
    return board & ~shut & ~rows_of(jnp.broadcast_to(mine.at, (PLAYERS, PLAYERS)), others, width, height)


def _dares(sensed: Outlook, width: int, key: Any) -> jax.Array:
    """[4] who goes on though no way is safe: whoever is beyond the midline, one in ten, and all when all are out."""
    mine = sensed.mine
    beyond = ~in_own_land(mine.at, width)
    urge = jax.random.uniform(key, (PLAYERS,)) < 0.1
    return beyond | urge | _all_out(sensed)


def _all_out(sensed: Outlook) -> Any:
    return ((~sensed.mine.free).sum() >= ALL_OUT) | (sensed.held.sum() >= ALL_OUT)


def _goals(sensed: Outlook, width: int, height: int) -> tuple[jax.Array, jax.Array]:
    """[4, height] where each player wants to go, and [4] who stays in its own land on the way."""
    mine = sensed.mine
    ours = jnp.uint32(columns(0, width // 2))
    slots = jnp.arange(PLAYERS)
    prisoners = ~mine.free
    # Attack: the flag, or where it may be as long as that is unknown; and the jail, if a mate is there.
    lies = rows_of(sensed.goal[None], sensed.known[None], width, height)
    may_lie = ~mine.explored & jnp.uint32(columns(width - 2, width - 1))
    wanted = jnp.where(mine.carrier != NOBODY, jnp.uint32(0), jnp.where(sensed.known, lies, may_lie))
    corner = jnp.where(jnp.arange(height) < 2, jnp.uint32(columns(width - 2, width)), jnp.uint32(0))
    attack = wanted | jnp.where(prisoners.any(), corner, jnp.uint32(0))
    # Defence: intruders in sight, or where they were a moment ago; else a post of one's own.
    near = in_own_land(sensed.foes, width)
    intruders = jnp.where((sensed.seen & near).any(), rows_of(sensed.foes, sensed.seen & near, width, height),
                          rows_of(sensed.foes, sensed.recent & near, width, height))  # fmt: skip
    alarm = (intruders != 0).any()
    post = _posts(sensed, width, height)
    defend = jnp.where(alarm, intruders, post)
    rounds = sensed.tick // (2 * TURN)
    attackers = jnp.where(_all_out(sensed), PLAYERS, jnp.where(rounds >= LATE, 3, 2))
    attacks = slots >= PLAYERS - attackers
    attacks = attacks & (attack != 0).any()
    hunts = in_own_land(mine.at, width) & (sensed.seen & near).any()
    carries = slots == mine.carrier
    goals = jnp.where((attacks & ~hunts)[:, None], attack, defend)
    goals = jnp.where(carries[:, None], ours, goals)
    return goals, ~carries & (~attacks | hunts)


def _posts(sensed: Outlook, width: int, height: int) -> jax.Array:
    """[4, height] where a defender waits: the even ones near the flag, the odd ones before the midline."""
    row = sensed.flag // width
    lines = jnp.arange(height)
    slots = jnp.arange(PLAYERS)[:, None]
    near = jnp.where(abs(lines - row) <= 1, jnp.uint32(columns(3, 5)), jnp.uint32(0))
    front = jnp.where(abs(lines - height // 2) <= 1, jnp.uint32(columns(width // 2 - 3, width // 2 - 1)), jnp.uint32(0))
    return jnp.where(slots % 2 == 0, near, front)


RANDOM = Policy(_anything, _nothing)
GREEDY = Policy(_greedy, outlook)
