"""Do players hunt in packs? Tags by three or more, held against how often three or more are about anyway.

In: games and their actions. Out: ``Hunts``, counts per map. A side that walks in a clump tags with three near without
hunting; so every chance of a tag is counted as well, and whether three were about it. The more players stand next to an
enemy, the likelier it is that one of them meets it, by accident too; so each of them is a chance of its own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jumar.play.maps import Field
from jumar.play.measure.retold import retold, sides
from jumar.play.rules import PACK, PACK_REACH, PLAYING, State, distance, in_own_land, on_turn


class Hunts(NamedTuple):
    """Counts of one side, [maps]; a tag by a pack has three or more of the side within three cells of the prey.

    Attributes:
        tags: enemies it has jailed.
        packs: of these, by a pack.
        chances: once per sweep of either side, those that ended in a tag among them, and per pair of one of the side
            and an enemy of which one step would make a tag.
        packs_about: of these, with three or more of the side within three cells of where the two would meet.
    """

    tags: Any
    packs: Any
    chances: Any
    packs_about: Any


def counted(fields: Field, begun: State, actions: Any, chair: int) -> Hunts:
    """Counts of the side in a chair; arguments as in ``retold``."""
    zeros = Hunts(*np.zeros((4, len(fields.flag)), np.int32))
    return Hunts(*map(np.asarray, retold(fields, begun, actions, _look, zeros, chair)[0]))


def _look(notes: Hunts, field: Field, before: State, after: State, chair: Any) -> Hunts:
    height, width = field.way.shape
    (mine, theirs), (later, _) = sides(before, chair), sides(after, chair)
    prey, me = height * width - 1 - theirs.at, mine.at[:, None]
    steps = abs(me % width - prey % width) + abs(me // width - prey // width)
    # Whoever is on turn makes the step, so the two meet where the other one stands.
    where = jnp.where(on_turn(before) == chair, prey, me)
    both = mine.free[:, None] & theirs.free & (before.winner == PLAYING)
    chances = both & (steps == 1) & in_own_land(where, width)
    near = (distance(mine.at, where[..., None], width) <= PACK_REACH) & mine.free
    about = near.sum(axis=-1) >= PACK
    seen = (later.tags - mine.tags, later.packs - mine.packs, chances.sum(), (chances & about).sum())
    return Hunts(*(old + new for old, new in zip(notes, seen, strict=True)))
