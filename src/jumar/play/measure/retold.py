"""Games again, from their actions, to look at what happened on the way. The rules play them; nothing is added to them.

In: maps, the states from which games went on, their actions, and a look: what to note at each sweep. Out: the notes.
``hunts`` and ``two_jailed`` look with it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jumar.play import rules
from jumar.play.maps import PLAYERS, Field
from jumar.play.rules import BLUE, STEPS, Side, State

# (notes, field, before, after, chair) → notes, for one sweep of one game; ``chair`` is the side that is looked at.
Look = Callable[[Any, Field, State, State, Any], Any]


@partial(jax.jit, static_argnames="look")
def retold(fields: Field, begun: State, actions: Any, look: Look, notes: Any, chair: Any) -> tuple[Any, State]:
    """Look at every sweep of games, and at the sweeps of either side.

    Args:
        fields: a stack of maps.
        begun: [maps] the states at the beginning of a round, red to move.
        actions: [maps, ticks] as ``match.play`` and ``match.play_on`` keep them.
        look: what is noted; the same object for every call, or each call compiles anew.
        notes: of every game before its first sweep, a tree of arrays [maps, ...].
        chair: ``RED`` or ``BLUE``.

    Returns:
        the notes after the last sweep, and the last states.
    """

    def one(field: Field, begun: State, actions: Any, notes: Any) -> tuple[Any, State]:
        sweeps = actions.reshape(-1, PLAYERS).astype(jnp.int32)

        def on(carry: tuple[Any, State], sweep: tuple[Any, Any]) -> tuple[tuple[Any, State], None]:
            told, before = carry
            after = rules.sweep(field, before, sweep[0], sweep[1])
            return (look(told, field, before, after, chair), after), None

        side = jnp.arange(len(sweeps)) // STEPS % 2
        return jax.lax.scan(on, (notes, begun), (side, sweeps))[0]

    return jax.vmap(one)(fields, begun, actions, notes)


def sides(state: State, chair: Any) -> tuple[Side, Side]:
    """The side that is looked at, and the other."""
    return rules.swap(chair == BLUE, state.red, state.blue)
