"""An evolution on disk: everything it needs to go on as if it had never stopped.

In: a ``Neat``. Out: one JSON document, put in place as a whole; and an evolution from it. A file that is cut, edited,
of another version or of another shape is refused.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from jumar.play.errors import PlayError
from jumar.play.evolve.genome import ACTIVATIONS, Genome, Innovations, Shape
from jumar.play.evolve.neat import Neat, Settings, State
from jumar.play.evolve.species import Species
from jumar.play.files import put

FORMAT = 1


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A genome in a document; see ``Genome``."""

    nodes: list[int]
    bias: list[float]
    activation: list[int]
    number: list[int]
    source: list[int]
    target: list[int]
    weight: list[float]
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
            and all(0 <= one < len(ACTIVATIONS) for one in self.activation)
            and np.isfinite(self.weight + self.bias).all()
        )
        if not whole:
            raise PlayError("A genome's lists do not fit together", where="genomes", remedy="Restore the checkpoint.")
        kinds = {"bias": np.float64, "weight": np.float64, "enabled": np.bool_}
        return Genome(**{name: np.array(getattr(self, name), kinds.get(name, np.int64))
                         for name in self.__struct_fields__})  # fmt: skip


class _Kin(msgspec.Struct, frozen=True, kw_only=True):
    """A species; -∞ is null."""

    key: int
    model: Written
    best: float | None
    improved: int


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The document; see ``State``. ``sha256`` is of the document with this field empty."""

    format: int
    shape: Shape
    settings: Settings
    generation: int
    genomes: list[Written]
    next_node: int
    links: list[tuple[int, int, int]]
    splits: list[tuple[int, int, int]]
    species: list[_Kin]
    threshold: float
    next_species: int
    best: Written | None
    best_fitness: float | None
    chance: dict[str, Any]
    sha256: str = ""


def save(evolution: Neat, path: str | os.PathLike[str]) -> None:
    """Write a checkpoint as a whole.

    Raises:
        PlayError: it cannot be written; what was there before is still there.
    """
    state, book = evolution.state, evolution.state.book
    chance: dict[str, Any] = dict(evolution.rng.bit_generator.state)
    document = Checkpoint(
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
    put(path, msgspec.json.encode(msgspec.structs.replace(document, sha256=_seal(document))), "checkpoint")


def load(path: str | os.PathLike[str]) -> Neat:
    """The evolution of a checkpoint, where it stood.

    Raises:
        PlayError: there is none, or it is damaged, or of another version.
    """
    place, remedy = str(path), "Restore it, or begin the evolution anew."
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise PlayError(f"The checkpoint cannot be read ({error.strerror})", where=place, remedy="Name the file that "
                        "an evolution wrote.") from error  # fmt: skip
    try:
        known = msgspec.json.decode(content)
        version = known.get("format") if isinstance(known, dict) else None
    except (msgspec.DecodeError, RecursionError) as error:
        raise PlayError(f"This is no checkpoint, or it was cut ({error})", where=place, remedy=remedy) from error
    if version != FORMAT:
        raise PlayError(f"The checkpoint has format {version!r}, and this version reads {FORMAT}", where=place,
                        remedy="Use the version that wrote it, or begin the evolution anew.")  # fmt: skip
    try:
        document = msgspec.convert(known, Checkpoint)
    except (msgspec.ValidationError, PlayError) as error:
        raise PlayError(f"The checkpoint is damaged ({error})", where=place, remedy=remedy) from error
    if document.sha256 != _seal(document):
        raise PlayError("The checkpoint has been changed since it was written", where=place, remedy=remedy)
    return _evolution(document)


def _evolution(document: Checkpoint) -> Neat:
    evolution = Neat.__new__(Neat)
    evolution.shape, evolution.settings = document.shape, document.settings
    numbers = {name: int(number) for name, number in document.chance["state"].items()}
    evolution.rng = np.random.default_rng()
    evolution.rng.bit_generator.state = document.chance | {"state": numbers}
    book = Innovations(
        document.next_node,
        {(one, two): number for one, two, number in document.links},
        {(number, times): node for number, times, node in document.splits},
    )
    low = -np.inf
    species = [Species(one.key, one.model.genome(), low if one.best is None else one.best, one.improved)
               for one in document.species]  # fmt: skip
    evolution.state = State(
        document.generation,
        [one.genome() for one in document.genomes],
        book,
        species,
        document.threshold,
        document.next_species,
        None if document.best is None else document.best.genome(),
        low if document.best_fitness is None else document.best_fitness,
    )
    return evolution


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def _seal(document: Checkpoint) -> str:
    return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(document, sha256=""))).hexdigest()
