"""NEAT: networks that begin least and grow, kept apart in species. Ask for a population, tell how fit it was.

In: a shape, settings, a seed, and the fitness of every genome. Out: generations of genomes. Everything an evolution
needs to go on is in its ``state``; ``checkpoints`` writes that to disk.

Stanley and Miikkulainen, "Evolving Neural Networks through Augmenting Topologies", Evolutionary Computation 10(2),
2002.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from jumar.play.errors import PlayError
from jumar.play.evolve.genome import Floats, Genome, Innovations, Shape, least
from jumar.play.evolve.species import Species, shares, sorted_in, threshold_for
from jumar.play.evolve.variation import Rates, crossed, mutated


@dataclass(frozen=True)
class Settings:
    """How a population evolves.

    Attributes:
        population: genomes.
        species: wanted; the threshold of distance moves towards it.
        survival: share of a species that has children.
        crossover: share of children with two parents; ``outside``: of those, with one from another species.
        stagnation: generations without a better best after which a species ends, but for the two best.
        champions: members from which on the best one of a species goes on unchanged.
        rates: of variation.

    Raises:
        PlayError: a number outside its range.
    """

    population: int = 150
    species: int = 8
    survival: float = 0.2
    crossover: float = 0.75
    outside: float = 0.001
    stagnation: int = 15
    champions: int = 5
    rates: Rates = field(default_factory=Rates)

    def __post_init__(self) -> None:
        if not (self.population > 1 and 1 <= self.species <= self.population and 0 < self.survival <= 1):
            told = (self.population, self.species, self.survival)
            raise PlayError("A population holds two genomes or more, and no fewer than species; a share survives",
                            where="population, species, survival", example=told,
                            remedy="Leave them at 150, 8 and 0.2.")  # fmt: skip
        if not (0 <= self.crossover <= 1 and 0 <= self.outside <= 1 and self.champions > 0):
            raise PlayError("Shares lie from 0 to 1, and a best one of 1 member or more goes on",
                            where="crossover, outside, champions",
                            example=(self.crossover, self.outside, self.champions),
                            remedy="Leave them at 0.75, 0.001 and 5.")  # fmt: skip


@dataclass
class State:
    """Where an evolution stands.

    Attributes:
        generation: from 0.
        genomes: the population that was asked for, or will be.
        book: of innovations.
        species: of the last generation that was told.
        threshold: of distance between species.
        next_species: key of the next one.
        best: the fittest genome so far, with ``best_fitness``.
    """

    generation: int
    genomes: list[Genome]
    book: Innovations
    species: list[Species]
    threshold: float = 3.0
    next_species: int = 0
    best: Genome | None = None
    best_fitness: float = -np.inf


class Neat:
    """One evolution.

    Args:
        shape: of all genomes.
        settings: how it evolves.
        seed: of all chance.
    """

    def __init__(self, shape: Shape, settings: Settings | None = None, seed: int = 0) -> None:
        self.shape, self.settings = shape, settings or Settings()
        self.rng = np.random.default_rng(seed)
        book = Innovations(shape.fixed)
        genomes = [least(shape, book, self.rng, self.settings.rates.spread) for _ in range(self.settings.population)]
        self.state = State(0, genomes, book, [])

    def ask(self) -> list[Genome]:
        """The population to be tried."""
        return list(self.state.genomes)

    def tell(self, fitness: Sequence[float] | Floats) -> None:
        """Go on to the next generation.

        Args:
            fitness: of every genome of ``ask``, in its order; more is better.

        Raises:
            PlayError: not one finite number for each.
        """
        state, scores = self.state, np.asarray(fitness, np.float64)
        if scores.shape != (len(state.genomes),) or not np.isfinite(scores).all():
            raise PlayError(f"Fitness is one finite number for each of {len(state.genomes)} genomes", where="fitness",
                            example=scores.shape, remedy="Give them in the order of ask().")  # fmt: skip
        leader = int(scores.argmax())
        if scores[leader] > state.best_fitness:
            state.best, state.best_fitness = state.genomes[leader], float(scores[leader])
        state.species, state.next_species = sorted_in(
            state.genomes, state.species, state.threshold, state.next_species, state.generation
        )
        state.threshold = threshold_for(state.threshold, len(state.species), self.settings.species)
        self._rank(scores)
        state.genomes = self._children(scores)
        state.generation += 1

    def _rank(self, fitness: Floats) -> None:
        """Members best first; species that no longer improve end; a model is a member drawn at random."""
        state = self.state
        for one in state.species:
            one.members.sort(key=lambda place: -fitness[place])
            top = float(fitness[one.members[0]])
            if top > one.best:
                one.best, one.improved = top, state.generation
            one.model = state.genomes[int(self.rng.choice(one.members))]
        state.species.sort(key=lambda one: -fitness[one.members[0]])
        state.species = [
            one
            for place, one in enumerate(state.species)
            if place < 2 or state.generation - one.improved < self.settings.stagnation
        ]

    def _children(self, fitness: Floats) -> list[Genome]:
        """The next population; where there are more species than places, the best go on."""
        state, settings = self.state, self.settings
        state.species = state.species[: settings.population]
        children: list[Genome] = []
        for one, count in zip(state.species, shares(state.species, fitness, settings.population), strict=True):
            kept = one.members[: len(one.members) >= settings.champions]
            children.extend(state.genomes[place] for place in kept)
            parents = one.members[: max(int(np.ceil(settings.survival * len(one.members))), 1)]
            children.extend(self._child(parents, fitness) for _ in range(count - len(kept)))
        return children

    def _child(self, parents: Sequence[int], fitness: Floats) -> Genome:
        state, settings, rng = self.state, self.settings, self.rng
        one = int(rng.choice(parents))
        child = state.genomes[one]
        if rng.random() < settings.crossover:
            pool = parents if rng.random() >= settings.outside else range(len(state.genomes))
            two = int(rng.choice(pool))
            if two != one:
                fitter, other = (one, two) if fitness[one] >= fitness[two] else (two, one)
                child = crossed(state.genomes[fitter], state.genomes[other], settings.rates, rng)
        return mutated(child, self.shape, settings.rates, state.book, rng)
