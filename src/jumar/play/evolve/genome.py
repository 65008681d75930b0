"""Genomes: networks as lists of nodes and links whose numbers tell where each came from.

In: how many inputs and outputs, and what nodes may compute. Out: ``Genome``, the book of innovations that all genomes
of one evolution share, and the least genome to begin with. ``variation`` changes genomes, ``networks`` runs them.

Stanley and Miikkulainen, "Evolving Neural Networks through Augmenting Topologies", Evolutionary Computation 10(2),
2002.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from jumar.play.errors import PlayError

ACTIVATIONS = ("sigmoid", "tanh", "gauss", "sine", "linear", "abs", "relu", "step")

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """What all genomes of one evolution have in common.

    Attributes:
        inputs, outputs: how many; nodes 0 to inputs − 1, and those after them.
        output: activation of the output nodes.
        hidden: activations that a new node may have.
        recurrent: whether links may close circles; values then pass one link a step.
        most_nodes: beyond which no node is added.

    Raises:
        PlayError: no input or output, or an activation that is none.
    """

    inputs: int
    outputs: int
    output: str = "sigmoid"
    hidden: tuple[str, ...] = ("sigmoid",)
    recurrent: bool = False
    most_nodes: int = 64

    def __post_init__(self) -> None:
        if self.inputs < 1 or self.outputs < 1 or self.most_nodes < self.inputs + self.outputs:
            sizes = (self.inputs, self.outputs, self.most_nodes)
            raise PlayError("A network needs an input, an output, and room for both", where="Shape",
                            example=sizes, remedy="Give each at least one, and most_nodes no fewer.")  # fmt: skip
        for name in (self.output, *self.hidden):
            if name not in ACTIVATIONS:
                raise PlayError("There is no such activation", where="output, hidden", example=name,
                                remedy=f"Choose from {', '.join(ACTIVATIONS)}.")  # fmt: skip
        if not self.hidden:
            raise PlayError("A new node needs an activation", where="hidden", remedy="Name at least one.")

    @property
    def fixed(self) -> int:
        """Inputs and outputs."""
        return self.inputs + self.outputs


@dataclass(frozen=True, eq=False)
class Genome:
    """One network. Arrays are never changed; a variation makes new ones.

    Attributes:
        nodes: [n] keys in ascending order: inputs, outputs, then hidden nodes as they were invented.
        bias: [n]; of inputs 0.
        activation: [n] places in ``ACTIVATIONS``.
        number: [m] innovation numbers of links, ascending.
        source, target: [m] keys of nodes.
        weight: [m].
        enabled: [m]; a link that was split stays, disabled.
    """

    nodes: Ints
    bias: Floats
    activation: Ints
    number: Ints
    source: Ints
    target: Ints
    weight: Floats
    enabled: NDArray[np.bool_]

    @cached_property
    def ends(self) -> tuple[Ints, Ints]:
        """Places in ``nodes`` of the sources and targets of all links."""
        return np.searchsorted(self.nodes, self.source), np.searchsorted(self.nodes, self.target)

    @cached_property
    def depth(self) -> int:
        """Links on the longest way through what is enabled: after so many steps nothing changes any more.

        With circles there is no such number; the count of nodes is returned.
        """
        source, target = (ends[self.enabled] for ends in self.ends)
        level = np.zeros(len(self.nodes), np.int64)
        for _ in range(len(self.nodes)):
            new = level.copy()
            np.maximum.at(new, target, level[source] + 1)
            if (new == level).all():
                return int(level.max(initial=0))
            level = new
        return len(self.nodes)


@dataclass
class Innovations:
    """Numbers of links and keys of nodes: the same change is the same innovation, whoever makes it and whenever.

    Attributes:
        links: (source, target): number.
        splits: (number of the link, how many nodes split it before in this genome): key of the node.
        next_node: key that the next new node gets.
    """

    next_node: int
    links: dict[tuple[int, int], int] = field(default_factory=dict)
    splits: dict[tuple[int, int], int] = field(default_factory=dict)

    def link(self, source: int, target: int) -> int:
        """The number of a link."""
        return self.links.setdefault((source, target), len(self.links))

    def split(self, number: int, have: Ints) -> int:
        """The key of the node that splits a link in a genome with these nodes."""
        times = 0
        while (node := self.splits.get((number, times))) is not None and node in have:
            times += 1
        if node is None:
            node = self.splits[number, times] = self.next_node
            self.next_node += 1
        return node


def least(shape: Shape, innovations: Innovations, rng: np.random.Generator, spread: float = 1.0) -> Genome:
    """The least genome: every input linked to every output, with normal weights of this standard deviation."""
    nodes = np.arange(shape.fixed)
    source = np.repeat(np.arange(shape.inputs), shape.outputs)
    target = np.tile(np.arange(shape.inputs, shape.fixed), shape.inputs)
    number = np.array([innovations.link(int(one), int(two)) for one, two in zip(source, target, strict=True)])
    order = np.argsort(number)
    activation = np.full(shape.fixed, ACTIVATIONS.index("linear"))
    activation[shape.inputs :] = ACTIVATIONS.index(shape.output)
    bias = rng.normal(0.0, spread, shape.fixed)
    bias[: shape.inputs] = 0.0
    weight = rng.normal(0.0, spread, len(number))
    return Genome(
        nodes, bias, activation, number[order], source[order], target[order], weight, np.ones(len(number), bool)
    )
