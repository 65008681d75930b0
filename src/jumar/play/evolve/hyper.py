"""HyperNEAT: a small network paints the weights of a large one from where its nodes lie.

In: a ``Substrate``, layers of points in space; stacks of painters (CPPNs). Out: weights of whole layers, and what the
painted networks answer. A painter sees the coordinates of both ends of a link, and what lies between them.

Stanley, D'Ambrosio and Gauci, "A Hypercube-Based Encoding for Evolving Large-Scale Neural Networks", Artificial Life
15(2), 2009. Several input layers, each with painters' outputs of its own, as in Pugh and Stanley, "Evolving Multimodal
Controllers with HyperNEAT", GECCO 2013. A link is left out where the painter says little, as in Gauci and Stanley,
"Autonomous Evolution of Topographic Regularities in Artificial Neural Networks", Neural Computation 22(7), 2010.
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
            Those to which nothing leads are inputs; the last is the output.
        wires: which layers are linked, (source, target) by place, sources before targets; by default each to the next.
        least: a link whose painted value is smaller than this is left out.
        reach: the greatest weight.

    Raises:
        PlayError: fewer than two layers, points of different dimensions, or wires that lead nowhere or back.
    """

    layers: tuple[Floats, ...]
    wires: tuple[tuple[int, int], ...] = ()
    least: float = 0.2
    reach: float = 3.0

    def __post_init__(self) -> None:
        shapes = [layer.shape for layer in self.layers]
        if len(shapes) < 2 or any(len(shape) != 2 or shape[1] != shapes[0][1] or not shape[0] for shape in shapes):
            raise PlayError("A substrate has two layers or more, of points with the same number of coordinates",
                            where="layers", example=shapes, remedy="Give arrays [nodes, dimensions].")  # fmt: skip
        last = len(self.layers) - 1
        if not self.wires:
            object.__setattr__(self, "wires", tuple(zip(range(last), range(1, last + 1), strict=True)))
        ends = {target for _, target in self.wires}
        if not all(0 <= one < two <= last for one, two in self.wires) or last not in ends or 0 in ends:
            raise PlayError("A wire leads from a layer to a later one, and one leads to the last", where="wires",
                            example=self.wires, remedy="Name layers by place, (source, target).")  # fmt: skip
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
        return sum(len(self.layers[one]) * len(self.layers[two]) for one, two in self.wires)

    @cached_property
    def _targets(self) -> list[tuple[int, list[int]]]:
        """Every layer that something leads to, and from where."""
        ends = sorted({target for _, target in self.wires})
        return [(target, [one for one, two in self.wires if two == target]) for target in ends]

    def painter(self, *, most_nodes: int = 32, hidden: Sequence[str] = HIDDEN) -> Shape:
        """The shape of painters of this substrate: an output for each wire, then one for the biases of each target.

        Inputs are the source's coordinates, the target's, their differences, and the distance.
        """
        outputs = len(self.wires) + len(self._targets)
        return Shape(3 * self.dimensions + 1, outputs, "tanh", tuple(hidden), most_nodes=most_nodes)

    def painted(self, painter: Stack, shape: Shape, steps: int) -> list[tuple[jax.Array, jax.Array]]:
        """Weights [targets, sources] and biases [targets] of every layer that something leads to, as a painter wants.

        Sources are those of all its wires, one layer after another.
        """

        def said(seen: Floats, output: int) -> jax.Array:
            return self._strength(answers(painter, shape, steps, jnp.asarray(seen, jnp.float32))[..., output])

        made = []
        for place, (target, sources) in enumerate(self._targets):
            ends = self.layers[target]
            weights = [
                said(_between(*np.broadcast_arrays(self.layers[source][None], ends[:, None])),
                     self.wires.index((source, target)))
                for source in sources
            ]  # fmt: skip
            here = np.concatenate([np.zeros_like(ends), ends, np.zeros_like(ends), ends[:, :1] * 0], axis=1)
            made.append((jnp.concatenate(weights, axis=-1), said(here, len(self.wires) + place)))
        return made

    def run(self, painted: Sequence[tuple[Any, Any]], inputs: Any) -> jax.Array:
        """Outputs [..., outputs] of one painted network: tanh between layers, and sums at the end.

        Args:
            painted: as ``painted`` returns it.
            inputs: [..., inputs] of all input layers, one after another.
        """
        ends = [target for target, _ in self._targets]
        values: dict[int, Any] = {}
        taken = 0
        for place in (place for place in range(len(self.layers)) if place not in ends):
            values[place] = inputs[..., taken : taken + len(self.layers[place])]
            taken += len(self.layers[place])
        for (target, sources), (weights, bias) in zip(self._targets, painted, strict=True):
            sums = jnp.concatenate([values[source] for source in sources], axis=-1) @ weights.T + bias
            values[target] = sums if target == len(self.layers) - 1 else jnp.tanh(sums)
        return values[len(self.layers) - 1]

    def _strength(self, value: Any) -> jax.Array:
        """Nothing for little, then growing from 0 to the reach."""
        size = jnp.abs(value)
        return jnp.where(size > self.least, jnp.sign(value) * (size - self.least) / (1 - self.least) * self.reach, 0.0)


def _between(one: Floats, two: Floats) -> Floats:
    """[…, 3 dimensions + 1] what a painter sees of two points."""
    apart = two - one
    return np.concatenate([one, two, apart, np.sqrt((apart**2).sum(axis=-1, keepdims=True))], axis=-1)


def grid(width: int, height: int, *more: float) -> Floats:
    """[width · height, 2 + more] points of a grid over [−1, 1]², row by row, each with the same further coordinates."""
    across, down = (
        np.linspace(-1, 1, width) if width > 1 else [0.0],
        np.linspace(-1, 1, height) if height > 1 else [0.0],
    )
    points = np.array([(x, y) for y in down for x in across], np.float64)
    return np.concatenate([points, np.tile(more, (len(points), 1))], axis=1) if more else points
