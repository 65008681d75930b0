"""The story's first learner on this game: change a network a little, and keep the change if it then wins more.

In: maps and an opponent. Out: ``wins_more``, which ``evolve.hill.climb`` asks. It is here to be read, and as the mark
that ``training`` has to beat.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from jumar.play.breed import players
from jumar.play.breed.grading import versus
from jumar.play.breed.players import Bred
from jumar.play.evolve.genome import Floats
from jumar.play.evolve.hill import Wins
from jumar.play.maps import Field
from jumar.play.match import Policy
from jumar.play.rules import ROUNDS


def nothing_yet() -> Floats:
    """The numbers of a plain network that moves at random, ``players.PLAIN_WEIGHTS`` of them."""
    return np.zeros(players.PLAIN_WEIGHTS)


def wins_more(fields: Field, opponent: Policy, params: Any, *, seed: int = 0, rounds: int = ROUNDS) -> Wins:
    """Whether one plain network does better than another against an opponent, on the same maps, from both sides.

    Args:
        fields: a stack of maps.
        opponent: whom both meet.
        params: its pool of one.
        seed: of all chance; every question is asked with new chance.
        rounds: of a game.
    """
    asked = 0

    def wins(one: Floats, two: Floats) -> bool:
        nonlocal asked
        asked += 1
        key = jax.random.fold_in(jax.random.key(seed), asked)
        policy, pool = players.assembled([Bred("strategy", one), Bred("strategy", two)])
        graded, _ = versus(fields, policy, pool, opponent, params, key, rounds)
        return bool(graded[0, 0] > graded[1, 0])

    return wins
