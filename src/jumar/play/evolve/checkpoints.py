"""An evolution on disk: everything it needs to go on as if it had never stopped.

In: a ``Neat``. Out: one JSON document, put in place as a whole; and an evolution from it. A file that is cut, edited,
of another version or of another shape is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import numpy as np

from jumar.play import sealed
from jumar.play.errors import PlayError
from jumar.play.evolve.genome import ACTIVATIONS, Genome, Innovations, Shape
from jumar.play.evolve.neat import Neat, Settings, State
from jumar.play.evolve.species import Species

FORMAT = 1


Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Weight = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]  # far beyond what is bred, and no sum of them overflows


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A genome in a document; see ``Genome``."""

    nodes: list[Count]
    bias: list[Weight]
    activation: list[Count]
    number: list[Count]
    source: list[Count]
    target: list[Count]
    weight: list[Weight]
    enabled: list[bool]

    @classmethod
    def of(cls, genome: Genome) -> Written:
        """A genome as lists."""
        return cls(**{name: getattr(genome, name).tolist() for name in cls.__struct_fields__})

    def genome(self) -> Genome:
        """Lists as a genome.

        Raises:
            PlayError: they do not fit together.
        """
        nodes = np.array(self.nodes, np.int64)
        whole = (
            len(self.bias) == len(self.activation) == len(nodes)
            and len({*map(len, (self.number, self.source, self.target, self.weight, self.enabled))}) == 1
            and bool((np.diff(nodes) > 0).all())
            and all(a < b for a, b in zip(self.number, self.number[1:], strict=False))
            and np.isin(self.source + self.target, nodes).all()
            and all(one < len(ACTIVATIONS) for one in self.activation)
        )
        if not whole:
            raise PlayError("A genome's lists do not fit together", where="genomes", remedy="Restore the checkpoint.")
        kinds = {"bias": np.float64, "weight": np.float64, "enabled": np.bool_}
        return Genome(**{name: np.array(getattr(self, name), kinds.get(name, np.int64))
                         for name in self.__struct_fields__})  # fmt: skip


class _Kin(msgspec.Struct, frozen=True, kw_only=True):
    """A species; -∞ is null."""

    key: Count
    model: Written
    best: float | None
    improved: Count


class Checkpoint(sealed.Sealed, frozen=True, kw_only=True):
    """The document; see ``State``."""

    shape: Shape
    settings: Settings
    generation: Count
    genomes: list[Written]
    next_node: Count
    links: list[tuple[Count, Count, Count]]
    splits: list[tuple[Count, Count, Count]]
    species: list[_Kin]
    threshold: float
    next_species: Count
    best: Written | None
    best_fitness: float | None
    chance: dict[str, Any]


def save(evolution: Neat, path: str | os.PathLike[str]) -> None:
    """Write a checkpoint as a whole.

    Raises:
        PlayError: it cannot be written; what was there before is still there.
    """
    sealed.save(written(evolution), path, "checkpoint")


def written(evolution: Neat) -> Checkpoint:
    """The evolution as a document."""
    state, book = evolution.state, evolution.state.book
    chance: dict[str, Any] = dict(evolution.rng.bit_generator.state)
    return Checkpoint(
        format=FORMAT,
        shape=evolution.shape,
        settings=evolution.settings,
        generation=state.generation,
        genomes=[Written.of(one) for one in state.genomes],
        next_node=book.next_node,
        links=[(*ends, number) for ends, number in book.links.items()],
        splits=[(*which, node) for which, node in book.splits.items()],
        species=[_Kin(key=one.key, model=Written.of(one.model), best=_finite(one.best), improved=one.improved)
                 for one in state.species],
        threshold=state.threshold,
        next_species=state.next_species,
        best=None if state.best is None else Written.of(state.best),
        best_fitness=_finite(state.best_fitness),
        chance=chance | {"state": {name: str(number) for name, number in chance["state"].items()}},
    )  # fmt: skip


def load(path: str | os.PathLike[str]) -> Neat:
    """The evolution of a checkpoint, where it stood.

    Raises:
        PlayError: there is none, or it is damaged, or of another version.
    """
    return evolution(sealed.load(path, Checkpoint, FORMAT, "checkpoint"))


def evolution(document: Checkpoint) -> Neat:
    """The evolution of a document, where it stood.

    Raises:
        PlayError: its parts do not fit together.
    """
    made = Neat.__new__(Neat)
    made.shape, made.settings = document.shape, document.settings
    made.rng = _chance(document.chance)
    book = Innovations(
        document.next_node,
        {(one, two): number for one, two, number in document.links},
        {(number, times): node for number, times, node in document.splits},
    )
    low = -np.inf
    species = [Species(one.key, one.model.genome(), low if one.best is None else one.best, one.improved)
               for one in document.species]  # fmt: skip
    made.state = State(
        document.generation,
        [one.genome() for one in document.genomes],
        book,
        species,
        document.threshold,
        document.next_species,
        None if document.best is None else document.best.genome(),
        low if document.best_fitness is None else document.best_fitness,
    )
    if not _fits(made):
        raise PlayError("The checkpoint's genomes do not fit its shape, its settings or its book of innovations",
                        where="genomes", remedy="Restore the checkpoint.")  # fmt: skip
    return made


def _chance(told: dict[str, Any]) -> np.random.Generator:
    rng = np.random.default_rng()
    try:
        rng.bit_generator.state = told | {"state": {name: int(number) for name, number in told["state"].items()}}
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise PlayError("The checkpoint's chance is of no generator", where="chance", example=error,
                        remedy="Restore the checkpoint.") from error  # fmt: skip
    return rng


def _fits(made: Neat) -> bool:
    """Whether this evolution could have come about, so that it can go on."""
    state, shape, book = made.state, made.shape, made.state.book
    genomes = [*state.genomes, *(one.model for one in state.species), *([] if state.best is None else [state.best])]

    def one(genome: Genome) -> bool:
        # Keys ascend: those of inputs and outputs are all there if the last of them is in its place.
        return (
            shape.fixed <= len(genome.nodes) <= shape.most_nodes
            and genome.nodes[shape.fixed - 1] == shape.fixed - 1
            and genome.nodes[-1] < book.next_node
            and all(book.links.get(ends) == number for ends, number in _links(genome))
        )

    return (
        len(state.genomes) == made.settings.population
        and sorted(book.links.values()) == list(range(len(book.links)))
        and all(map(one, genomes))
    )


def _links(genome: Genome) -> Iterator[tuple[tuple[int, int], int]]:
    ends = zip(genome.source.tolist(), genome.target.tolist(), strict=True)
    return zip(ends, genome.number.tolist(), strict=True)


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None
