"""Variation: what a child differs by from its parents.

In: genomes, settings, chance. Out: new genomes; the innovations they use are entered in the book. ``neat`` uses it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jumar.play.errors import PlayError
from jumar.play.evolve.genome import ACTIVATIONS, Floats, Genome, Innovations, Ints, Shape

_MOST = 1_000
_TRIES = 20  # to find a link that is not there yet


@dataclass(frozen=True)
class Rates:
    """How often things change; each a probability for a genome, but for those of a weight.

    Attributes:
        weight: that a weight or bias changes; ``replaced``: that it is then drawn anew instead of moved.
        power: standard deviation of a move; ``spread``: of a new one; ``most``: greatest absolute value.
        add_node, add_link: that one comes.
        toggle: that a link is switched on or off.
        activation: that a hidden node computes something else.
        disabled: that a child has a link disabled which one parent has disabled.

    Raises:
        PlayError: a number outside its range.
    """

    weight: float = 0.8
    replaced: float = 0.1
    power: float = 0.5
    spread: float = 1.0
    most: float = 8.0
    add_node: float = 0.03
    add_link: float = 0.05
    toggle: float = 0.01
    activation: float = 0.0
    disabled: float = 0.75

    def __post_init__(self) -> None:
        shares = (self.weight, self.replaced, self.add_node, self.add_link, self.toggle, self.activation, self.disabled)
        sizes = (self.power, self.spread, self.most)
        if not (all(0 <= one <= 1 for one in shares) and all(0 <= one <= _MOST for one in sizes)):
            raise PlayError(f"Rates are probabilities from 0 to 1, and sizes from 0 to {_MOST:,}", where="Rates",
                            example=(*shares, *sizes), remedy="Leave them as they are.")  # fmt: skip


def mutated(genome: Genome, shape: Shape, rates: Rates, book: Innovations, rng: np.random.Generator) -> Genome:
    """A copy with changes."""
    if rng.random() < rates.add_node:
        genome = with_node(genome, shape, book, rng)
    if rng.random() < rates.add_link:
        genome = with_link(genome, shape, rates, book, rng)
    changes: dict[str, Any] = {"weight": _moved(genome.weight, rates, rng), "bias": _moved(genome.bias, rates, rng)}
    changes["bias"][: shape.inputs] = 0.0
    if len(genome.number) and rng.random() < rates.toggle:
        enabled = genome.enabled.copy()
        place = rng.integers(len(enabled))
        enabled[place] = not enabled[place]
        changes["enabled"] = enabled
    if len(genome.nodes) > shape.fixed and rng.random() < rates.activation:
        activation = genome.activation.copy()
        activation[rng.integers(shape.fixed, len(activation))] = ACTIVATIONS.index(rng.choice(shape.hidden))
        changes["activation"] = activation
    return replace(genome, **changes)


def _moved(values: Floats, rates: Rates, rng: np.random.Generator) -> Floats:
    """Some of the values moved, some drawn anew."""
    chance = rng.random(len(values))
    fresh, move = rng.normal(0.0, rates.spread, len(values)), rng.normal(0.0, rates.power, len(values))
    new = np.where(
        chance < rates.weight * rates.replaced, fresh, np.where(chance < rates.weight, values + move, values)
    )
    return np.clip(new, -rates.most, rates.most)


def with_node(genome: Genome, shape: Shape, book: Innovations, rng: np.random.Generator) -> Genome:
    """A link is split by a new node, and nearly the same is computed: 1 into the node, the old weight out of it."""
    able = np.flatnonzero(genome.enabled)
    if not len(able) or len(genome.nodes) >= shape.most_nodes:
        return genome
    place = int(rng.choice(able))
    key = book.split(int(genome.number[place]), genome.nodes)
    at = int(np.searchsorted(genome.nodes, key))
    enabled = genome.enabled.copy()
    enabled[place] = False
    grown = replace(
        genome,
        nodes=np.insert(genome.nodes, at, key),
        bias=np.insert(genome.bias, at, 0.0),
        activation=np.insert(genome.activation, at, ACTIVATIONS.index(rng.choice(shape.hidden))),
        enabled=enabled,
    )
    source, target = int(genome.source[place]), int(genome.target[place])
    grown = linked(grown, source, key, 1.0, book)
    return linked(grown, key, target, float(genome.weight[place]), book)


def with_link(genome: Genome, shape: Shape, rates: Rates, book: Innovations, rng: np.random.Generator) -> Genome:
    """A link between two nodes that have none; one that is disabled is switched on instead."""
    ends = set(zip(genome.source.tolist(), genome.target.tolist(), strict=True))
    for _ in range(_TRIES):
        source, target = int(rng.choice(genome.nodes)), int(rng.choice(genome.nodes[shape.inputs :]))
        if (source, target) in ends:
            continue
        if not shape.recurrent and (source == target or _reaches(genome, target, source)):
            continue
        return linked(genome, source, target, float(rng.normal(0.0, rates.spread)), book)
    return genome


def linked(genome: Genome, source: int, target: int, weight: float, book: Innovations) -> Genome:
    """The genome with one link more."""
    number = book.link(source, target)
    at = int(np.searchsorted(genome.number, number))
    return replace(
        genome,
        number=np.insert(genome.number, at, number),
        source=np.insert(genome.source, at, source),
        target=np.insert(genome.target, at, target),
        weight=np.insert(genome.weight, at, weight),
        enabled=np.insert(genome.enabled, at, True),
    )


def _reaches(genome: Genome, start: int, end: int) -> bool:
    """Whether a way leads from one node to another, along links enabled or not: those off may come on again."""
    seen, front = {start}, {start}
    while front:
        front = set(genome.target[np.isin(genome.source, list(front))].tolist()) - seen
        if end in front:
            return True
        seen |= front
    return start == end


def crossed(fitter: Genome, other: Genome, rates: Rates, rng: np.random.Generator) -> Genome:
    """A child: what both have from either, what only the fitter has from it; its nodes are the fitter's.

    A child of two circle-free genomes has no circle, because its links are the fitter's.
    """
    mine, theirs = _common(fitter.number, other.number)
    weight, enabled = fitter.weight.copy(), fitter.enabled.copy()
    from_other = rng.random(len(mine)) < 0.5
    weight[mine[from_other]] = other.weight[theirs[from_other]]
    off = ~fitter.enabled[mine] | ~other.enabled[theirs]
    enabled[mine] = ~(off & (rng.random(len(mine)) < rates.disabled))
    bias, activation = fitter.bias.copy(), fitter.activation.copy()
    mine, theirs = _common(fitter.nodes, other.nodes)
    from_other = rng.random(len(mine)) < 0.5
    bias[mine[from_other]] = other.bias[theirs[from_other]]
    activation[mine[from_other]] = other.activation[theirs[from_other]]
    return replace(fitter, weight=weight, enabled=enabled, bias=bias, activation=activation)


def _common(one: Ints, two: Ints) -> tuple[Ints, Ints]:
    """Places of what two ascending lists have in common."""
    _, mine, theirs = np.intersect1d(one, two, assume_unique=True, return_indices=True)
    return mine, theirs


def distance(one: Genome, two: Genome, structure: float = 1.0, weights: float = 0.5) -> float:
    """How different two genomes are: the share of links that only one has, and what the weights of the others differ.

    Args:
        one, two: genomes of one evolution.
        structure: what counts a share of 1 of links that only one has.
        weights: what counts a mean difference of 1, of weights and of biases.
    """
    mine, theirs = _common(one.number, two.number)
    longest = max(len(one.number), len(two.number), 1)
    apart = (len(one.number) + len(two.number) - 2 * len(mine)) / longest
    moved = np.abs(one.weight[mine] - two.weight[theirs]).mean() if len(mine) else 0.0
    here, there = _common(one.nodes, two.nodes)
    biased = np.abs(one.bias[here] - two.bias[there]).mean()
    other = (one.activation[here] != two.activation[there]).mean()
    return float(structure * (apart + other) + weights * (moved + biased))
