"""HyperNEAT: a small network paints the weights of a large one from where its nodes lie.

In: a ``Substrate``, layers of points in space; stacks of painters (CPPNs). Out: weights of whole layers, and what the
painted networks answer. A painter sees the coordinates of both ends of a link, and what lies between them.

Stanley, D'Ambrosio and Gauci, "A Hypercube-Based Encoding for Evolving Large-Scale Neural Networks", Artificial Life
15(2), 2009. A link is left out where the painter says little, as in Gauci and Stanley, "Autonomous Evolution of
Topographic Regularities in Artificial Neural Networks", Neural Computation 22(7), 2010.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jumar.play.errors import PlayError
from jumar.play.evolve.genome import Floats, Shape
from jumar.play.evolve.networks import Stack, answers

HIDDEN = ("sigmoid", "tanh", "gauss", "sine", "linear", "abs")


@dataclass(frozen=True, eq=False)
class Substrate:
    """A layered network whose nodes have places.

    Attributes:
        layers: [nodes, dimensions] of each layer, from the inputs to the outputs; coordinates within about [−1, 1].
        least: a link whose painted value is smaller than this is left out.
        reach: the greatest weight.

    Raises:
        PlayError: fewer than two layers, or points of different dimensions.
    """

    layers: tuple[Floats, ...]
    least: float = 0.2
    reach: float = 3.0

    def __post_init__(self) -> None:
        shapes = [layer.shape for layer in self.layers]
        if len(shapes) < 2 or any(len(shape) != 2 or shape[1] != shapes[0][1] or not shape[0] for shape in shapes):
            raise PlayError("A substrate has two layers or more, of points with the same number of coordinates",
                            where="layers", example=shapes, remedy="Give arrays [nodes, dimensions].")  # fmt: skip
        if not (0 <= self.least < 1 and self.reach > 0):
            raise PlayError("Links are left out below a value in [0, 1), and weights reach above 0",
                            where="least, reach", example=(self.least, self.reach),
                            remedy="Leave them at 0.2 and 3.")  # fmt: skip

    @property
    def dimensions(self) -> int:
        """Coordinates of a node."""
        return self.layers[0].shape[1]

    @property
    def links(self) -> int:
        """All that may be painted."""
        return sum(len(one) * len(two) for one, two in self._pairs)

    @property
    def _pairs(self) -> list[tuple[Floats, Floats]]:
        return list(zip(self.layers, self.layers[1:], strict=False))

    def painter(self, *, most_nodes: int = 32, hidden: Sequence[str] = HIDDEN) -> Shape:
        """The shape of painters of this substrate: an output for each pair of layers, and one for the biases of each.

        Inputs are the source's coordinates, the target's, their differences, and the distance.
        """
        return Shape(3 * self.dimensions + 1, 2 * len(self._pairs), "tanh", tuple(hidden), most_nodes=most_nodes)

    @cached_property
    def _seen(self) -> list[tuple[Floats, Floats]]:
        """For every pair of layers what painters see: [targets, sources, inputs], and [targets, inputs] for biases."""
        found = []
        for sources, targets in self._pairs:
            two, one = np.broadcast_arrays(targets[:, None, :], sources[None, :, :])
            here = np.concatenate([np.zeros_like(targets), targets, np.zeros_like(targets), targets[:, :1] * 0], axis=1)
            found.append((_between(one, two), here))
        return found

    def painted(self, painter: Stack, shape: Shape, steps: int) -> list[tuple[jax.Array, jax.Array]]:
        """Weights [targets, sources] and biases [targets] of every pair of layers, as one painter wants them."""
        made = []
        for place, (links, biases) in enumerate(self._seen):
            weights = answers(painter, shape, steps, jnp.asarray(links, jnp.float32))[..., 2 * place]
            bias = answers(painter, shape, steps, jnp.asarray(biases, jnp.float32))[..., 2 * place + 1]
            made.append((self._strength(weights), self._strength(bias)))
        return made

    def _strength(self, value: Any) -> jax.Array:
        """Nothing for little, then growing from 0 to the reach."""
        size = jnp.abs(value)
        return jnp.where(size > self.least, jnp.sign(value) * (size - self.least) / (1 - self.least) * self.reach, 0.0)


def _between(one: Floats, two: Floats) -> Floats:
    """[…, 3 dimensions + 1] what a painter sees of two points."""
    apart = two - one
    return np.concatenate([one, two, apart, np.sqrt((apart**2).sum(axis=-1, keepdims=True))], axis=-1)


def run(layers: Sequence[tuple[Any, Any]], inputs: Any) -> jax.Array:
    """Outputs [..., outputs] of one painted network: tanh between layers, and sums at the end.

    Args:
        layers: from ``Substrate.painted``.
        inputs: [..., inputs].
    """
    values = inputs
    for place, (weights, bias) in enumerate(layers):
        values = values @ weights.T + bias
        if place < len(layers) - 1:
            values = jnp.tanh(values)
    return values


def grid(width: int, height: int, *more: float) -> Floats:
    """[width · height, 2 + more] points of a grid over [−1, 1]², row by row, each with the same further coordinates."""
    across, down = (
        np.linspace(-1, 1, width) if width > 1 else [0.0],
        np.linspace(-1, 1, height) if height > 1 else [0.0],
    )
    points = np.array([(x, y) for y in down for x in across], np.float64)
    return np.concatenate([points, np.tile(more, (len(points), 1))], axis=1) if more else points
