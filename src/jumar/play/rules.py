"""The rules of capture the flag: what one step of one player does. There is no second implementation of them.

In: a ``Field``, a ``State`` and an action. Out: the next ``State``. All functions are pure, written for one board, and
batched by ``vmap``. Each ``Side`` is kept in its own frame: home at the left, the enemy at the right, so that rules,
senses and bots are written once, for "mine" and "theirs"; a cell c of mine is cell ``cells − 1 − c`` of theirs.
A side's prisoners sit in the enemy's back corner, which in its own frame is at the upper right.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jumar.play.maps import ACTIONS, PLAYERS, Field, offsets
from jumar.play.sight import has

STEPS = 3
ROUNDS = 60
TURN = STEPS * PLAYERS
NOBODY = -1
NEVER = -1_000_000
# Who won; a game that goes on has no winner yet.
PLAYING, RED, BLUE, DRAW = -1, 0, 1, 2
# How it ended: the flag carried home, all four jailed, or the limit of rounds.
UNDECIDED, HOME, JAILED, LIMIT = 0, 1, 2, 3
# A tag by a pack: so many of the tagging side within so many cells.
PACK, PACK_REACH = 3, 3
# What a step may lead to, for the side that made it; 0 is nothing.
_CAME_HOME, _ALL_TAGGED, _ALL_LOST = 1, 2, 3
# The graded score: no sum of the lesser reaches one of the greater.
_GRAB, _PRISONER = 100_000, 10_000


class Side(NamedTuple):
    """One side in its own frame.

    Attributes:
        at: [4] the cells of its players; of a prisoner, the jail.
        free: [4] whether they are out of jail.
        carrier: who carries the enemy's flag, or ``NOBODY``.
        grabbed: whether the enemy's flag was ever taken.
        nearest: the fewest steps from the enemy's flag that any player ever was.
        explored: [height] rows of bits, the cells ever seen.
        last: [4] where each enemy was last seen.
        when: [4] the tick at which that was, or ``NEVER``; an enemy that is jailed is forgotten.
        tags: how many enemies it has jailed.
        packs: how many of these while three or more of its players were within three cells.
        rescues: how many of its players it has freed.
    """

    at: Any
    free: Any
    carrier: Any
    grabbed: Any
    nearest: Any
    explored: Any
    last: Any
    when: Any
    tags: Any
    packs: Any
    rescues: Any


class State(NamedTuple):
    """A game: both sides, which of them moves first, and how far the game is.

    Attributes:
        red: one side.
        blue: the other.
        first: ``RED`` or ``BLUE``, whose turn is the first.
        tick: steps of single players so far, those of prisoners included.
        limit: the tick at which the game ends by its score.
        winner: ``PLAYING``, ``RED``, ``BLUE`` or ``DRAW``.
        ending: ``UNDECIDED``, ``HOME``, ``JAILED`` or ``LIMIT``.
    """

    red: Side
    blue: Side
    first: Any
    tick: Any
    limit: Any
    winner: Any
    ending: Any


def start(field: Field, first: Any = RED, rounds: Any = ROUNDS) -> State:
    """The game before its first step; all eight players at home."""
    side = fresh(field)
    ticks = jnp.int32(rounds) * 2 * TURN
    return State(side, side, jnp.int32(first), jnp.int32(0), ticks, jnp.int32(PLAYING), jnp.int32(UNDECIDED))


def fresh(field: Field) -> Side:
    """A side at home that has seen what can be seen from there."""
    homes = jnp.asarray(field.homes)
    looks = jnp.asarray(field.see)[homes]
    return Side(
        at=homes,
        free=jnp.ones(PLAYERS, bool),
        carrier=jnp.int32(NOBODY),
        grabbed=jnp.bool_(False),
        nearest=jnp.asarray(field.way).reshape(-1)[homes].min(),
        explored=jax.lax.reduce(looks, jnp.uint32(0), jax.lax.bitwise_or, (0,)),
        last=jnp.zeros(PLAYERS, jnp.int32),
        when=jnp.full(PLAYERS, NEVER, jnp.int32),
        tags=jnp.int32(0),
        packs=jnp.int32(0),
        rescues=jnp.int32(0),
    )


def on_turn(state: State) -> jax.Array:
    """``RED`` or ``BLUE``."""
    return (state.tick // TURN + state.first) % 2


def player_on_turn(state: State) -> jax.Array:
    """Which of its players steps next, 0 to 3."""
    return state.tick % PLAYERS


def step(field: Field, state: State, action: Any) -> State:
    """One step of the player whose step it is; a step of a prisoner, an illegal one and one after the end are stays.

    Args:
        field: the map.
        state: the game.
        action: 0 to 4, an index of ``maps.ACTIONS``, in the frame of the side on turn.
    """
    side = on_turn(state)
    return _turned(_step(field, _turned(state, side), side, player_on_turn(state), action), side)


def sweep(field: Field, state: State, side: Any, actions: Any) -> State:
    """One step of each of the four players of the side on turn; three of them are a turn.

    Args:
        field: the map.
        state: the game, with player 0 of ``side`` to step, or ended.
        side: ``RED`` or ``BLUE``.
        actions: [4].
    """
    actions = jnp.asarray(actions)
    state = _turned(state, side)
    state = jax.lax.fori_loop(0, PLAYERS, lambda p, now: _step(field, now, side, p, actions[p]), state)
    return _turned(state, side)


def turn(field: Field, state: State, actions: Any) -> State:
    """A whole turn: actions [3, 4], one row per sweep."""
    side = on_turn(state)
    return jax.lax.fori_loop(0, STEPS, lambda i, now: sweep(field, now, side, jnp.asarray(actions)[i]), state)


def swap(turned: Any, one: Any, other: Any) -> tuple[Any, Any]:
    """The two, the other one first where ``turned``."""
    if isinstance(turned, bool):
        return (other, one) if turned else (one, other)
    return (
        jax.tree.map(lambda a, b: jnp.where(turned, b, a), one, other),
        jax.tree.map(lambda a, b: jnp.where(turned, a, b), one, other),
    )


def _turned(state: State, side: Any) -> State:
    """The state with the side on turn in the first place; the same again brings it back."""
    red, blue = swap(side == BLUE, state.red, state.blue)
    return state._replace(red=red, blue=blue)


def _step(field: Field, state: State, side: Any, player: Any, action: Any) -> State:
    """A step on a state that has the side on turn in the first place."""
    playing = state.winner == PLAYING
    mine, theirs, led_to = move(field, state.red, state.blue, player, action, state.tick, playing)
    tick = state.tick + playing
    gap = score(mine, theirs) - score(theirs, mine)
    at_limit = jnp.where(gap == 0, DRAW, jnp.where(gap > 0, side, 1 - side))
    decided, late = led_to > 0, tick >= state.limit
    winner = jnp.where(decided, jnp.where(led_to == _ALL_LOST, 1 - side, side), jnp.where(late, at_limit, PLAYING))
    ending = jnp.where(decided, jnp.where(led_to == _CAME_HOME, HOME, JAILED), jnp.where(late, LIMIT, UNDECIDED))
    return State(
        mine, theirs, state.first, tick, state.limit,
        jnp.where(playing, winner, state.winner), jnp.where(playing, ending, state.ending),
    )  # fmt: skip


def move(
    field: Field, mine: Side, theirs: Side, player: Any, action: Any, tick: Any, playing: Any
) -> tuple[Side, Side, Any]:
    """One step of one of my players: where it comes to stand, who is tagged, what is taken, who is freed.

    Returns:
        both sides, each in its own frame, and what that led to for the game.
    """
    height, width = field.way.shape
    cells = height * width
    me = jnp.arange(PLAYERS) == player
    here = jnp.where(me, mine.at, 0).sum()
    acts = playing & (me & mine.free).any()
    there = here + jnp.asarray(offsets(width))[action]
    legal = acts & (field.exits[here] >> action & 1 == 1) & ~(mine.free & (mine.at == there)).any()
    there = jnp.where(legal, there, here)
    in_mine = in_own_land(there, width)
    foes = cells - 1 - theirs.at

    # Enemies that meet: the one in the other's territory is jailed.
    met = acts & theirs.free & (foes == there)
    caught = met.any() & ~in_mine
    goes_on = acts & ~caught
    mine_on = mine._replace(at=jnp.where(me, jnp.where(caught, jail(width), there), mine.at),
                            free=mine.free & ~(me & caught))  # fmt: skip
    mine_on, freed = _rescued(field, mine_on, there, goes_on)
    tagged = (met & in_mine) | (theirs.free & (freed & (mine_on.at == foes[:, None])).any(axis=1))

    # The flag: taken where it stands, lost with whoever carries it, home once its carrier is.
    takes = goes_on & (there == cells - 1 - field.flag) & (mine.carrier == NOBODY)
    carrier = jnp.where(takes, player, jnp.where(caught & (mine.carrier == player), NOBODY, mine.carrier))
    their_carrier_tagged = (tagged & (jnp.arange(PLAYERS) == theirs.carrier)).any()

    # Who sees whom: sight is mutual, so one look from the new place answers for both sides.
    looks = field.see[there]
    in_sight = goes_on & theirs.free & ~tagged & has(looks, foes, width)
    mine_on = mine_on._replace(
        carrier=carrier,
        grabbed=mine.grabbed | takes,
        nearest=jnp.where(goes_on, jnp.minimum(mine.nearest, field.way.reshape(-1)[there]), mine.nearest),
        explored=jnp.where(goes_on, mine.explored | looks, mine.explored),
        last=jnp.where(in_sight, foes, mine.last),
        when=jnp.where(in_sight, tick, jnp.where(tagged, NEVER, mine.when)),
        tags=mine.tags + tagged.sum(),
        packs=mine.packs + (tagged & _by_pack(mine_on, foes, width)).sum(),
    )
    seen = in_sight.any()
    pack = caught & _by_pack(theirs, cells - 1 - there, width)
    theirs_on = theirs._replace(
        at=jnp.where(tagged, jail(width), theirs.at),
        free=theirs.free & ~tagged,
        carrier=jnp.where(their_carrier_tagged, NOBODY, theirs.carrier),
        last=jnp.where(me & seen, cells - 1 - there, theirs.last),
        when=jnp.where(me & seen, tick, jnp.where(me & caught, NEVER, theirs.when)),
        tags=theirs.tags + caught,
        packs=theirs.packs + pack,
    )
    jailed = jnp.where(~theirs_on.free.any(), _ALL_TAGGED, jnp.where(~mine_on.free.any(), _ALL_LOST, 0))
    led_to = jnp.where(goes_on & (carrier == player) & in_mine, _CAME_HOME, jailed)
    return mine_on, theirs_on, led_to


def _rescued(field: Field, mine: Side, there: Any, goes_on: Any) -> tuple[Side, Any]:
    """All prisoners back at home if the player that came to stand there is within one cell of the jail.

    They take the homes on which no mate stands, in order: there are always enough, as the rescuer is not at home.

    Returns:
        the side, and [4] who was freed.
    """
    width = field.way.shape[1]
    bails = goes_on & (distance(there, jail(width), width) <= 1)
    freed = bails & ~mine.free
    vacant = ~(mine.free & (mine.at == field.homes[:, None])).any(axis=1)
    # The n-th of the freed goes to the n-th vacant home.
    n_th, place = jnp.cumsum(freed), jnp.cumsum(vacant)
    home = jnp.where(vacant & (place == n_th[:, None]), field.homes, 0).sum(axis=1)
    side = mine._replace(
        at=jnp.where(freed, home, mine.at), free=mine.free | freed, rescues=mine.rescues + freed.sum()
    )  # fmt: skip
    return side, freed


def _by_pack(hunters: Side, prey: Any, width: int) -> Any:
    """Whether three or more free players stand within three cells of a cell, in the hunters' frame; for each cell."""
    near = distance(hunters.at, jnp.asarray(prey)[..., None], width) <= PACK_REACH
    return (near & hunters.free).sum(axis=-1) >= PACK


def score(mine: Side, theirs: Side) -> Any:
    """What counts at the limit: the flag grabbed, then prisoners, then the closest approach. Greater is better."""
    return mine.grabbed * _GRAB + (~theirs.free).sum(axis=-1) * _PRISONER - mine.nearest


def mask(field: Field, side: Side) -> jax.Array:
    """[4, 5] which steps are legal now; for a prisoner only to stay. Stepping onto an enemy is legal everywhere."""
    width = field.way.shape[1]
    targets = side.at[:, None] + jnp.asarray(offsets(width))
    exits = field.exits[side.at][:, None] >> jnp.arange(len(ACTIONS)) & 1 == 1
    mates = (side.free & (targets[..., None] == side.at)).any(axis=-1)
    stays = jnp.arange(len(ACTIONS)) == 0
    return stays | (exits & ~mates & side.free[:, None])


def jail(width: int) -> int:
    """The cell in which one's own players are jailed."""
    return width - 1


def distance(one: Any, other: Any, width: int) -> Any:
    """Columns or rows between two cells, whichever are more."""
    return jnp.maximum(abs(one % width - other % width), abs(one // width - other // width))


def in_own_land(cell: Any, width: int) -> Any:
    """Whether a cell lies on one's own side of the midline."""
    return cell % width < width // 2
