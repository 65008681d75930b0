"""Who can be named: the bots, the champion that comes with the package, and champions in files.

In: a name as a person types it. Out: a ``measure.entrants.Entrant``, and games between two of them. The command
line is what a person types to.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from jumar.play import limits, replay
from jumar.play.breed import champions, players
from jumar.play.breed.champions import Champion
from jumar.play.errors import PlayError
from jumar.play.maps import draw
from jumar.play.match import Policy, play
from jumar.play.measure.entrants import BOTS, Entrant
from jumar.play.replay import Replay

CHAMPION = "champion"
FILE = "champions.json"  # in the folder of a training


def entrants(kept: Sequence[Champion]) -> list[Entrant]:
    """Champions of one training, with one policy for all, so that they play as one pool."""
    policy, pool = players.assembled([one.bred for one in kept], kept[0].blind)
    return [Entrant(f"generation {one.generation}", one.generation, policy, _alone(pool, place))
            for place, one in enumerate(kept)]  # fmt: skip


def _alone(pool: Any, place: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[place : place + 1], pool)


def kept(name: str | Path | None = None) -> list[Champion]:
    """The champions of a file, or without a name those that come with the package; the last is the strongest.

    Raises:
        PlayError: there is no such file, or it is damaged.
    """
    if name is None:
        return list(champions.shipped())
    return champions.load(Path(name) / FILE if Path(name).is_dir() else name)


def named(name: str) -> Entrant:
    """Random, greedy, champion, or the last of a file of champions.

    Raises:
        PlayError: it is none of these.
    """
    for bot in BOTS:
        if name == bot.name:
            return bot
    if name != CHAMPION and not os.path.exists(name):
        raise PlayError("Nobody has this name", where="player", example=name,
                        remedy="Say champion, greedy, random, or a file of champions.")  # fmt: skip
    champion = kept(None if name == CHAMPION else name)[-1]
    policy, pool = champion.pool()
    return Entrant(CHAMPION if name == CHAMPION else _title(name), champion.generation, policy, pool)


def _title(path: str) -> str:
    """The name of a file, as far as it can be shown."""
    return "".join(sign if sign.isprintable() else "?" for sign in Path(path).stem)[: limits.NAME]


def blinded(champion: Champion) -> tuple[Entrant, Policy]:
    """A champion, and the policy that plays it without showing it its mates."""
    policy, pool = champion.pool()
    return Entrant(CHAMPION, champion.generation, policy, pool), players.assembled([champion.bred], blind=True)[0]


def played(red: Entrant, blue: Entrant, seed: int, size: tuple[int, int]) -> Replay:
    """One game on one map, all of its chance from the map's seed."""
    limits.within("map", seed, 0, limits.SEED)
    fields = draw(seed, 1, size)
    result = play(fields, red.policy, red.params, blue.policy, blue.params, jax.random.key(seed), keep=True)
    return replay.of(fields, result, (0, 0, 0), red=red.name, blue=blue.name)
