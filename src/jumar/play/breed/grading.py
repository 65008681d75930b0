"""What games are worth to those who learn from them.

In: two pools and maps, or results. Out: grades and points. ``training`` and ``climbing`` use it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jumar.play.evolve.genome import Floats
from jumar.play.maps import Field
from jumar.play.match import Policy, Result, outcome, play
from jumar.play.rules import BLUE, RED


def versus(
    fields: Field, policy: Policy, pool: Any, opponent: Policy, params: Any, key: Any, rounds: int
) -> tuple[Floats, Floats]:
    """[players, opponents] the mean ``grade`` and the mean ``outcome`` of the games on all maps, from both sides."""
    ahead, behind = jax.random.split(key)
    first = play(fields, policy, pool, opponent, params, ahead, rounds=rounds)
    second = play(fields, opponent, params, policy, pool, behind, rounds=rounds)
    graded, won = _means(first, second)
    return np.asarray(graded, np.float64), np.asarray(won, np.float64)


@jax.jit
def _means(first: Result, second: Result) -> tuple[jax.Array, jax.Array]:
    def both(what: Callable[[Result, int], jax.Array]) -> jax.Array:
        return (what(first, RED).mean(axis=2) + what(second, BLUE).mean(axis=2).T) / 2

    return both(grade), both(outcome)


def grade(result: Result, side: int) -> jax.Array:
    """What a game was worth to a side: 1, 0 or −1 for how it ended, and a little for how it went.

    The little is up to 0.4: for tags, for prisoners at the end, for the flag grabbed, and for how close to it each
    came; so there is something to climb before the first game is won.
    """
    mine, theirs = (result.state.red, result.state.blue)[:: 1 if side == RED else -1]
    prisoners = (~theirs.free).sum(axis=-1) - (~mine.free).sum(axis=-1)
    grabbed = mine.grabbed.astype(jnp.float32) - theirs.grabbed.astype(jnp.float32)
    came = (theirs.nearest - mine.nearest) / 20
    went = jnp.tanh((mine.tags - theirs.tags) / 4) + prisoners / 4 + grabbed + came
    return outcome(result, side) + 0.1 * went
