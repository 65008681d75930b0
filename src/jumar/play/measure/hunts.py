"""Do players hunt in packs? Tags by three or more, held against how often three or more are about anyway.

In: games and their actions. Out: ``Hunts``, counts per map. A side that walks in a clump tags with three near without
hunting; so it is also counted how often three are near an enemy whom nobody tags, in sight of them, or within reach.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jumar.play import senses
from jumar.play.maps import Field
from jumar.play.measure.retold import retold, sides
from jumar.play.rules import PACK, PACK_REACH, PLAYING, State, distance, in_own_land


class Hunts(NamedTuple):
    """Counts of one side, [maps]; a tag by a pack has three or more of the side within three cells of the prey.

    Attributes:
        tags: enemies it has jailed.
        packs: of these, by a pack.
        in_sight: once per sweep of either side in which it tags nobody and per free enemy in sight.
        packs_in_sight: of these, with three or more of the side within three cells.
        in_reach: of those in sight, the intruders with one of the side within one cell: as near as a tag begins.
        packs_in_reach: of these, with three or more of the side within three cells.
    """

    tags: Any
    packs: Any
    in_sight: Any
    packs_in_sight: Any
    in_reach: Any
    packs_in_reach: Any


def counted(fields: Field, begun: State, actions: Any, chair: int) -> Hunts:
    """Counts of the side in a chair; arguments as in ``retold``."""
    zeros = Hunts(*np.zeros((6, len(fields.flag)), np.int32))
    return Hunts(*map(np.asarray, retold(fields, begun, actions, _look, zeros, chair)[0]))


def _look(notes: Hunts, field: Field, before: State, after: State, chair: Any) -> Hunts:
    height, width = field.way.shape
    (mine, theirs), (later, _) = sides(before, chair), sides(after, chair)
    tags, packs = later.tags - mine.tags, later.packs - mine.packs
    prey = height * width - 1 - theirs.at
    apart = jnp.where(mine.free, distance(mine.at, prey[:, None], width), height + width)
    about = (apart <= PACK_REACH).sum(axis=1) >= PACK
    idle = (before.winner == PLAYING) & (tags == 0)
    in_sight = idle & senses.visible(field, mine, theirs)
    in_reach = in_sight & in_own_land(prey, width) & (apart <= 1).any(axis=1)
    seen = (tags, packs, in_sight.sum(), (in_sight & about).sum(), in_reach.sum(), (in_reach & about).sum())
    return Hunts(*(old + new for old, new in zip(notes, seen, strict=True)))
