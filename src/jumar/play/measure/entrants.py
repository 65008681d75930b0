"""Who is measured, and games of everybody against everybody.

In: entrants, a stack of maps, a seed. Out: what everybody made of everybody on every map. ``league`` and ``behaviour``
measure with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jumar.play import limits
from jumar.play.bots import GREEDY, RANDOM
from jumar.play.errors import PlayError
from jumar.play.maps import Field
from jumar.play.match import Policy, outcome, play, pool_size
from jumar.play.rules import RED, ROUNDS

BOARDS = 16_384  # games at once; more take more memory, and no less time each


@dataclass(frozen=True)
class Entrant:
    """Who plays.

    Attributes:
        name: told apart by it.
        generation: from which it is; None for who has no ancestors, such as a bot.
        policy: plays it. Entrants of one policy play as one pool, in one program: give networks of several depths the
            policy of the deepest.
        params: a pool of one.
    """

    name: str
    generation: int | None
    policy: Policy
    params: Any


BOTS = (Entrant("random", None, RANDOM, np.zeros(1)), Entrant("greedy", None, GREEDY, np.zeros(1)))


def games(entrants: Sequence[Entrant], fields: Field, seed: int, *, rounds: int = ROUNDS) -> np.ndarray:
    """[entrants, entrants, maps] what the first makes of the second, moving first: 1 for a win, ½ for a draw.

    Raises:
        PlayError: two of one name, an entrant that is not a pool of one, or a seed that is none.
    """
    limits.within("seed", seed, 0, limits.SEED)
    names = [entrant.name for entrant in entrants]
    if len(set(names)) < len(names):
        raise PlayError("Two entrants have one name", where="entrants", example=sorted(names),
                        remedy=f"Name each differently, and none {' or '.join(bot.name for bot in BOTS)}.")  # fmt: skip
    for entrant in entrants:
        if pool_size(entrant.params, entrant.name) != 1:
            raise PlayError("An entrant is a pool of one", where=entrant.name,
                            remedy="Give arrays with a leading axis of 1.")  # fmt: skip
    scored = np.full((len(names), len(names), len(fields.flag)), 0.5, np.float32)
    pools: dict[Any, list[int]] = {}
    for place, entrant in enumerate(entrants):
        leaves, kind = jax.tree.flatten(entrant.params)
        pools.setdefault((entrant.policy, kind, *(np.shape(leaf) for leaf in leaves)), []).append(place)
    for i, reds in enumerate(pools.values()):
        for j, blues in enumerate(pools.values()):
            if reds != blues or len(reds) > 1:
                key = jax.random.fold_in(jax.random.key(seed), i * len(pools) + j)
                scored[np.ix_(reds, blues)] = _met(entrants, reds, blues, fields, key, rounds)
    return scored


def _met(
    entrants: Sequence[Entrant], reds: list[int], blues: list[int], fields: Field, key: Any, rounds: int
) -> np.ndarray:  # fmt: skip
    """[reds, blues, maps] of two pools, so many maps at a time that all pieces are of one size."""
    count = len(fields.flag)
    pieces = -(-count * len(reds) * len(blues) // BOARDS)
    piece = -(-count // pieces)
    red, blue = (jax.tree.map(lambda *leaf: np.concatenate(leaf), *(entrants[i].params for i in side))
                 for side in (reds, blues))  # fmt: skip
    points = []
    for begin in range(0, count, piece):
        # The last piece is filled up with maps from the front: another size would be another program.
        some = np.arange(begin, begin + piece) % count
        ground = Field(*(jnp.asarray(table[some]) for table in fields))
        result = play(ground, entrants[reds[0]].policy, red, entrants[blues[0]].policy, blue,
                      jax.random.fold_in(key, begin), rounds=rounds)  # fmt: skip
        points.append((np.asarray(outcome(result, RED)) + 1) / 2)
    return np.concatenate(points, axis=2)[:, :, :count]
