"""Species: genomes that are alike compete with each other first, so that something new has time to become good.

In: genomes with their fitness. Out: who belongs together, and how many children each species has. ``neat`` uses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from jumar.play.evolve.genome import Floats, Genome
from jumar.play.evolve.variation import distance

_STEP, _LEAST = 1.1, 1e-3  # by which the threshold moves in a generation, and its least value


@dataclass
class Species:
    """One species.

    Attributes:
        key: which.
        model: the genome that newcomers are compared with.
        best: the greatest fitness so far; ``improved``: the generation it was reached in.
        members: places in the population.
    """

    key: int
    model: Genome
    best: float = -np.inf
    improved: int = 0
    members: list[int] = field(default_factory=list)


def sorted_in(
    genomes: Sequence[Genome], species: Sequence[Species], threshold: float, next_key: int, generation: int
) -> tuple[list[Species], int]:
    """Put every genome into the first species whose model is near enough, or into a new one.

    Args:
        genomes: the population.
        species: of the generation before; those that nobody belongs to end.
        threshold: of ``distance``.
        next_key: of the next new species.
        generation: now.

    Returns:
        The species, and the next key.
    """
    found = [Species(one.key, one.model, one.best, one.improved) for one in species]
    for place, genome in enumerate(genomes):
        home = next((one for one in found if distance(genome, one.model) < threshold), None)
        if home is None:
            home = Species(next_key, genome, improved=generation)
            found.append(home)
            next_key += 1
        home.members.append(place)
    return [one for one in found if one.members], next_key


def threshold_for(threshold: float, have: int, wanted: int) -> float:
    """The next threshold: wider where there are more species than wanted."""
    if have == wanted:
        return threshold
    return max(threshold * (_STEP if have > wanted else 1 / _STEP), _LEAST)


def shares(species: Sequence[Species], fitness: Floats, children: int) -> list[int]:
    """How many children each species has: by its mean fitness above the worst of all, and never none.

    Args:
        species: at least one, none without members.
        fitness: [population].
        children: of all together, no fewer than there are species.
    """
    means = np.array([fitness[one.members].mean() for one in species]) - fitness.min()
    total = means.sum()
    wanted = means / total * children if total > 0 else np.full(len(species), children / len(species))
    given = np.maximum(np.floor(wanted).astype(int), 1)
    while given.sum() > children:
        given[np.argmax(np.where(given > 1, given - wanted, -np.inf))] -= 1
    while given.sum() < children:
        given[np.argmax(wanted - given)] += 1
    return given.tolist()
