"""Running genomes: a population of networks as one stack of dense arrays, all in one compiled program.

In: genomes. Out: ``Stack``, a tree of arrays with a leading axis of genomes, and functions of one genome's part of it,
to be mapped over the axis. Networks without circles are run until nothing changes; others one step at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jumar.play.evolve.genome import ACTIVATIONS, Genome, Shape

_ROUND = 8  # nodes are padded to a multiple, so that growth seldom compiles anew
_STEEP = 4.9  # of the sigmoid, as NEAT has it


class Stack(NamedTuple):
    """Networks of one shape; arrays [genomes, nodes, …], padded with nodes that nothing leads to.

    Attributes:
        weights: [genomes, targets, sources].
        bias: [genomes, nodes].
        activation: [genomes, nodes] places in ``ACTIVATIONS``.
    """

    weights: Any
    bias: Any
    activation: Any


def stacked(genomes: Sequence[Genome], nodes: int | None = None) -> Stack:
    """Genomes as arrays, with room for at least so many nodes."""
    most = max([len(genome.nodes) for genome in genomes] + [nodes or 0])
    size = -(-most // _ROUND) * _ROUND
    weights = np.zeros((len(genomes), size, size), np.float32)
    bias, activation = np.zeros((len(genomes), size), np.float32), np.zeros((len(genomes), size), np.int8)
    for place, genome in enumerate(genomes):
        source, target = genome.ends
        on = genome.enabled
        weights[place, target[on], source[on]] = genome.weight[on]
        bias[place, : len(genome.nodes)] = genome.bias
        activation[place, : len(genome.nodes)] = genome.activation
    return Stack(weights, bias, activation)


def steps_for(genomes: Sequence[Genome]) -> int:
    """Steps after which no network of these changes any more: a power of two, so that growth seldom compiles anew."""
    return 1 << max(max(genome.depth for genome in genomes) - 1, 0).bit_length()


def answers(network: Stack, shape: Shape, steps: int, inputs: Any) -> jax.Array:
    """Outputs [..., outputs] of one network without circles for inputs [..., inputs]."""
    values = nothing(network, inputs.shape[:-1])
    for _ in range(steps):
        values = step(network, shape, values, inputs)
    return outputs(shape, values)


def nothing(network: Stack, rows: tuple[int, ...] = ()) -> jax.Array:
    """The values of a network that has seen nothing."""
    return jnp.zeros((*rows, network.bias.shape[-1]))


def step(network: Stack, shape: Shape, values: Any, inputs: Any) -> jax.Array:
    """Values [..., nodes] of one network one step later."""
    values = values.at[..., : shape.inputs].set(inputs)
    return activated(network.activation, values @ network.weights.T + network.bias)


def outputs(shape: Shape, values: Any) -> jax.Array:
    """What the output nodes say."""
    return values[..., shape.inputs : shape.fixed]


def activated(activation: Any, sums: Any) -> jax.Array:
    """Every node's function of its sum."""
    found = [
        jax.nn.sigmoid(_STEEP * sums),
        jnp.tanh(sums),
        jnp.exp(-jnp.square(sums) * 2.0),
        jnp.sin(sums),
        sums,
        jnp.abs(sums),
        jax.nn.relu(sums),
        (sums > 0).astype(sums.dtype),
    ]
    assert len(found) == len(ACTIVATIONS)
    return jnp.select([activation == place for place in range(len(found))], found)
