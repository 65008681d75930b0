"""Players that are bred: how parameters become what four players do.

In: ``Bred`` players, as ``breeders`` make them. Out: ``assembled``, the ``match.Policy`` that plays them and their pool
of parameters; the same policy for the same kind, so that nothing compiles twice. Three kinds: a NEAT network over
``egocentric.features``; a network over ``egocentric.sheets`` whose weights HyperNEAT has painted; a plain network, a
list of weights, for evolution strategies. Each also plays blind for its mates, which shows what they are to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jumar.play.breed import egocentric
from jumar.play.errors import PlayError
from jumar.play.evolve.genome import Genome, Shape
from jumar.play.evolve.hyper import Substrate, grid
from jumar.play.evolve.networks import Stack, answers, stacked, steps_for
from jumar.play.maps import ACTIONS, PLAYERS
from jumar.play.match import Policy

LOUD = 4.0  # logits of an output of 1: sure, and yet able to try something else
SLOTS = np.linspace(-1.0, 1.0, PLAYERS, dtype=np.float32)
HIDDEN, PLAIN = 3, 12
INPUTS = len(egocentric.NAMES)


@dataclass(frozen=True, eq=False)
class Bred:
    """One player.

    Attributes:
        kind: "strategy", "neat" or "hyperneat".
        body: the weights of a plain network, a genome that plays, or a genome that paints one that does.
    """

    kind: str
    body: Genome | NDArray[np.floating]


def assembled(bred: Sequence[Bred], blind: bool = False) -> tuple[Policy, Any]:
    """A policy and its pool of these players; ``blind``: they do not see their mates.

    Raises:
        PlayError: nobody, or players of several kinds.
    """
    kinds = {one.kind for one in bred}
    if len(kinds) != 1:
        raise PlayError("A pool holds players of one kind, one or more", where="bred", example=sorted(kinds),
                        remedy="Make a pool of each kind.")  # fmt: skip
    kind = bred[0].kind
    genomes = [one.body for one in bred if isinstance(one.body, Genome)]
    if kind == "strategy":
        return plain(blind), np.stack([np.asarray(one.body, np.float32) for one in bred])
    steps = steps_for(genomes)
    if kind == "neat":
        return neat(steps, blind), stacked(genomes, neat_shape().most_nodes)
    return hyperneat(blind), painted(stacked(genomes, painter_shape().most_nodes), steps)


@cache
def neat_shape(most_nodes: int = 64) -> Shape:
    """Of NEAT genomes."""
    return Shape(INPUTS, len(ACTIONS), "linear", ("tanh", "relu"), most_nodes=most_nodes)


@cache
def neat(steps: int, blind: bool) -> Policy:
    """Plays pools of ``Stack``; values pass ``steps`` links."""
    shape = neat_shape()

    def decide(network: Stack, sensed: Any, mask: Any, key: Any) -> Any:
        return LOUD * jnp.tanh(answers(network, shape, steps, sensed))

    return Policy(decide, partial(egocentric.features, blind=blind))


@cache
def substrates() -> tuple[Substrate, ...]:
    """One for each slot: the sheets, a plane, and five steps that lie where they lead to.

    Every sheet leads to the plane and straight to the steps, by a painter's output of its own.
    """
    sheets, steps = len(egocentric.SHEETS), np.array([(0, 0), (0, -1), (1, 0), (0, 1), (-1, 0)], np.float64)
    plane, ends = sheets, sheets + 1
    wires = (*((sheet, target) for target in (plane, ends) for sheet in range(sheets)), (plane, ends))
    made = []
    for slot in SLOTS.tolist():
        seen = grid(egocentric.SIGHT, egocentric.SIGHT, slot)
        out = np.concatenate([steps, np.full((5, 1), slot)], axis=1)
        made.append(Substrate((*[seen] * sheets, grid(HIDDEN, HIDDEN, slot), out), wires))
    return tuple(made)


def painter_shape() -> Shape:
    """Of the genomes that paint."""
    return substrates()[0].painter()


def painted(painters: Stack, steps: int) -> Any:
    """The pool that painters paint: of the plane and the steps, weights [genomes, 4, targets, sources] and biases."""
    return _painted(painters, steps)


@partial(jax.jit, static_argnums=1)
def _painted(painters: Stack, steps: int) -> Any:
    def one(painter: Stack) -> Any:
        slots = [substrate.painted(painter, painter_shape(), steps) for substrate in substrates()]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *slots)

    return jax.lax.map(one, painters, batch_size=16)


@cache
def hyperneat(blind: bool) -> Policy:
    """Plays pools of ``painted``."""

    def decide(layers: Any, sensed: Any, mask: Any, key: Any) -> Any:
        return LOUD * jnp.tanh(jax.vmap(substrates()[0].run)(layers, sensed.reshape(PLAYERS, -1)))

    return Policy(decide, partial(egocentric.sheets, blind=blind))


@cache
def plain(blind: bool) -> Policy:
    """Plays pools of weights [genomes, ``PLAIN_WEIGHTS``]: reflexes, and a layer of hidden nodes beside them."""

    def decide(weights: Any, sensed: Any, mask: Any, key: Any) -> Any:
        reflex, first, bias, last = (
            part.reshape(shape) for part, shape in zip(jnp.split(weights, PLAIN_CUTS), PLAIN_SHAPES, strict=True)
        )
        return LOUD * (sensed @ reflex + jnp.tanh(sensed @ first + bias) @ last)

    return Policy(decide, partial(egocentric.features, blind=blind))


PLAIN_SHAPES = ((INPUTS, len(ACTIONS)), (INPUTS, PLAIN), (PLAIN,), (PLAIN, len(ACTIONS)))
_SIZES = np.cumsum([np.prod(shape) for shape in PLAIN_SHAPES])
PLAIN_CUTS, PLAIN_WEIGHTS = tuple(_SIZES[:-1].tolist()), int(_SIZES[-1])
