"""Players that are bred: how parameters become what four players do.

In: pools of parameters, as ``breeders`` make them. Out: ``match.Policy`` objects, the same one for the same kind, so
that nothing compiles twice. Three kinds: a NEAT network over the block of senses; a network over sheets whose weights
HyperNEAT has painted; a plain network, a list of weights, for evolution strategies.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jumar.play import senses
from jumar.play.evolve.genome import Shape
from jumar.play.evolve.hyper import Substrate, grid, run
from jumar.play.evolve.networks import Stack, answers
from jumar.play.maps import ACTIONS, PLAYERS, Field
from jumar.play.match import Policy
from jumar.play.rules import NOBODY, Side, jail

LOUD = 4.0  # logits of an output of 1: sure, and yet able to try something else
SLOTS = np.linspace(-1.0, 1.0, PLAYERS, dtype=np.float32)
SIGHT = 2 * senses.REACH + 1
HIDDEN, PLAIN = 5, 16
INPUTS = senses.SIZE + 1  # the block, and which of the four it is


def sensed_with_slot(field: Field, mine: Side, theirs: Side, tick: Any) -> jax.Array:
    """[4, 29] the block of senses and each player's slot, zeros for a prisoner."""
    block = senses.block(field, mine, theirs, tick)
    return jnp.concatenate([block, (SLOTS * mine.free)[:, None]], axis=1)


def far_sheets(field: Field, mine: Side, theirs: Side, tick: Any) -> jax.Array:
    """[4, 7, 7, 4] the sheets; a goal further away than they reach is shown on their edge, in its direction."""
    sheets = senses.sheets(field, mine, theirs, tick)
    width = field.way.shape[1]
    carries = jnp.arange(PLAYERS) == mine.carrier
    flag = jnp.where(senses.knows_flag(field, mine), senses.flag_at(field, mine), mine.at - mine.at % width + width - 1)
    home = mine.at - mine.at % width
    goal = jnp.where(carries, home, jnp.where(mine.carrier == NOBODY, flag, jail(width)))
    dx = jnp.clip(goal % width - mine.at % width, -senses.REACH, senses.REACH) + senses.REACH
    dy = jnp.clip(goal // width - mine.at // width, -senses.REACH, senses.REACH) + senses.REACH
    there = (jnp.arange(SIGHT) == dy[:, None])[:, :, None] & (jnp.arange(SIGHT) == dx[:, None])[:, None, :]
    place = senses.SHEETS.index("goal")
    shown = jnp.maximum(sheets[..., place], there & mine.free[:, None, None])
    return sheets.at[..., place].set(shown)


@cache
def neat_shape(most_nodes: int = 64) -> Shape:
    """Of NEAT genomes."""
    return Shape(INPUTS, len(ACTIONS), "linear", ("tanh", "relu"), most_nodes=most_nodes)


@cache
def neat(steps: int) -> Policy:
    """Plays pools of ``Stack`` with networks no deeper than ``steps``."""
    shape = neat_shape()

    def decide(network: Stack, sensed: Any, mask: Any, key: Any) -> Any:
        return LOUD * jnp.tanh(answers(network, shape, steps, sensed))

    return Policy(decide, sensed_with_slot)


@cache
def substrates() -> tuple[Substrate, ...]:
    """One for each slot: four sheets, a plane, and five steps that lie where they lead to."""
    made = []
    for slot in SLOTS.tolist():
        sheets = np.linspace(-1.0, 1.0, len(senses.SHEETS))
        seen = np.stack([grid(SIGHT, SIGHT, sheet, slot) for sheet in sheets], axis=1).reshape(-1, 4)
        steps = np.array([(0, 0), (0, -1), (1, 0), (0, 1), (-1, 0)], np.float64)
        ends = np.concatenate([steps, np.zeros((5, 1)), np.full((5, 1), slot)], axis=1)
        made.append(Substrate((seen, grid(HIDDEN, HIDDEN, 0.0, slot), ends)))
    return tuple(made)


def painter_shape() -> Shape:
    """Of the genomes that paint."""
    return substrates()[0].painter()


def painted(painters: Stack, steps: int) -> Any:
    """The pool that painters paint: for both pairs of layers weights [genomes, 4, targets, sources] and biases."""
    return _painted(painters, steps)


@partial(jax.jit, static_argnums=1)
def _painted(painters: Stack, steps: int) -> Any:
    def one(painter: Stack) -> Any:
        slots = [substrate.painted(painter, painter_shape(), steps) for substrate in substrates()]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *slots)

    return jax.lax.map(one, painters, batch_size=16)


@cache
def hyperneat() -> Policy:
    """Plays pools of ``painted``."""

    def decide(layers: Any, sensed: Any, mask: Any, key: Any) -> Any:
        rows = sensed.reshape(PLAYERS, -1)
        return LOUD * jnp.tanh(jax.vmap(run)(layers, rows))

    return Policy(decide, far_sheets)


@cache
def plain() -> Policy:
    """Plays pools of lists of weights [genomes, ``PLAIN_WEIGHTS``]."""

    def decide(weights: Any, sensed: Any, mask: Any, key: Any) -> Any:
        first = weights[: INPUTS * PLAIN].reshape(INPUTS, PLAIN)
        bias = weights[INPUTS * PLAIN : (INPUTS + 1) * PLAIN]
        last = weights[(INPUTS + 1) * PLAIN :].reshape(PLAIN, len(ACTIONS))
        return LOUD * (jnp.tanh(sensed @ first + bias) @ last)

    return Policy(decide, sensed_with_slot)


PLAIN_WEIGHTS = (INPUTS + 1) * PLAIN + PLAIN * len(ACTIONS)
