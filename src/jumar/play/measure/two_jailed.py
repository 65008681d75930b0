"""What does a side do once two of its players are in jail? Everybody is asked from the same states.

In: games and their actions. Out: the states in which a side first has two in jail, and ``Answers``: what was done in
the rounds after them, and how it ended, per state.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jumar.play.maps import PLAYERS, Field
from jumar.play.match import Result
from jumar.play.measure.retold import retold, sides
from jumar.play.rules import DRAW, NOBODY, PLAYING, TURN, State, distance, in_own_land, jail

AFTER = 10  # rounds in which an answer counts
NEAR_JAIL, NEAR_FLAG, NEAR_ENEMY, NEAR_GOAL = 4, 6, 3, 8


class Answers(NamedTuple):
    """Of one side, [maps] whether in the rounds after a state something was so, and how the game ended.

    Attributes:
        bails: a free player was within four cells of the jail while it held a mate.
        rescues: one was freed.
        rushes: a free player was within six steps of the enemy's flag, or carried it.
        decoys: a free player was in the enemy's land within three cells of a free enemy, while another free one was
            nearer than eight steps to the flag, or than eight cells to the jail. That any enemy was misled is not said.
        wins: it won in the end.
        draws: it was a draw.
        losses: it lost.
    """

    bails: Any
    rescues: Any
    rushes: Any
    decoys: Any
    wins: Any
    draws: Any
    losses: Any


def first_states(fields: Field, begun: State, actions: Any, chair: int) -> tuple[np.ndarray, State]:
    """The first beginning of a round at which the side in a chair has two in jail, and the other one at most.

    Arguments as in ``retold``.

    Returns:
        [maps] whether there was one, and the states; where there was none, a state that is over, from which
        ``match.play_on`` goes nowhere.
    """
    over = jax.tree.map(jnp.asarray, begun._replace(winner=jnp.full_like(begun.winner, DRAW)))
    found = np.zeros(len(fields.flag), bool)
    notes, _ = retold(fields, begun, actions, _first, (found, over), chair)
    return np.asarray(notes[0]), notes[1]


def _first(notes: tuple[Any, State], field: Field, before: State, after: State, chair: Any) -> tuple[Any, State]:
    found, kept = notes
    mine, theirs = sides(before, chair)
    begins = (before.winner == PLAYING) & (before.tick % (2 * TURN) == 0)
    now = begins & ~found & ((~mine.free).sum() == 2) & ((~theirs.free).sum() <= 1)
    return found | now, jax.tree.map(lambda old, new: jnp.where(now, new, old), kept, before)


def answered(fields: Field, states: State, result: Result, chair: int) -> Answers:
    """What the side in a chair did after the states.

    Args:
        fields: a stack of maps.
        states: [maps], as ``first_states`` gives them.
        result: how ``match.play_on`` went on from them, one red and one blue, with all actions kept.
        chair: ``RED`` or ``BLUE``.
    """
    actions = result.actions[0, 0, :, : AFTER * 2 * TURN]
    done = retold(fields, states, actions, _noted, np.zeros((len(fields.flag), 4), bool), chair)[0]
    bails, rescues, rushes, decoys = np.asarray(done).T
    winner = np.asarray(result.winner[0, 0])
    return Answers(bails, rescues, rushes, decoys, winner == chair, winner == DRAW, winner == 1 - chair)


def _noted(notes: Any, field: Field, before: State, after: State, chair: Any) -> Any:
    """The four answers so far."""
    height, width = field.way.shape
    (mine, theirs), was = sides(after, chair), sides(before, chair)[0]
    way = field.way.reshape(-1)[mine.at]
    to_jail = distance(mine.at, jail(width), width)
    foes = jnp.where(theirs.free, distance(height * width - 1 - theirs.at, mine.at[:, None], width), height + width)
    draws_off = mine.free & ~in_own_land(mine.at, width) & (foes.min(axis=1) <= NEAR_ENEMY)
    goes = mine.free & ((way < NEAR_GOAL) | (to_jail < NEAR_GOAL))
    pairs = draws_off[:, None] & goes & ~jnp.eye(PLAYERS, dtype=bool)
    new = jnp.stack([
        (mine.free & (to_jail <= NEAR_JAIL)).any() & ~was.free.all(),
        mine.rescues > was.rescues,
        (mine.free & (way <= NEAR_FLAG)).any() | (mine.carrier != NOBODY),
        pairs.any(),
    ])  # fmt: skip
    return notes | (new & (before.winner == PLAYING))
