"""Champions: players that a training kept, as documents, and the one that comes with the package.

In: ``Champion``s, or files of them. Out: the same, and ``shipped``, the one to play against at once. ``training``
keeps them; ``cli_play`` shows them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np

from jumar.play import sealed
from jumar.play.breed import players
from jumar.play.breed.players import Bred
from jumar.play.errors import PlayError
from jumar.play.evolve import checkpoints
from jumar.play.evolve.genome import Genome
from jumar.play.match import Policy
from jumar.play.sealed import Sealed

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Champion:
    """A player and where it comes from.

    Attributes:
        bred: the player.
        generation: the one that it was the best of.
        seed: of its training.
        blind: whether it was trained without seeing its mates, and plays so.
    """

    bred: Bred
    generation: int
    seed: int
    blind: bool = False

    def pool(self) -> tuple[Policy, Any]:
        """Its policy, and a pool of one."""
        return players.assembled([self.bred], self.blind)


class Written(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A champion in a document: weights or a genome."""

    kind: str
    generation: checkpoints.Count
    seed: checkpoints.Count
    blind: bool = False
    weights: list[checkpoints.Weight] | None = None
    genome: checkpoints.Written | None = None

    @classmethod
    def of(cls, champion: Champion) -> Written:
        """A champion as lists."""
        body = champion.bred.body
        grown = isinstance(body, Genome)
        # The fewest digits that tell one weight from the next.
        weights = None if grown else [float(str(weight)) for weight in body.astype(np.float32)]
        return cls(
            kind=champion.bred.kind, generation=champion.generation, seed=champion.seed, blind=champion.blind,
            weights=weights, genome=checkpoints.Written.of(body) if grown else None,
        )  # fmt: skip

    def champion(self) -> Champion:
        """Lists as a champion.

        Raises:
            PlayError: they are of no kind of player.
        """
        return Champion(Bred(self.kind, self._body()), self.generation, self.seed, self.blind)

    def _body(self) -> Genome | np.ndarray:
        shapes = {"neat": players.neat_shape, "hyperneat": players.painter_shape}
        if self.kind == "strategy" and self.weights is not None and len(self.weights) == players.PLAIN_WEIGHTS:
            return np.array(self.weights, np.float32)
        if self.kind in shapes and self.genome is not None:
            genome, shape = self.genome.genome(), shapes[self.kind]()
            if len(genome.nodes) <= shape.most_nodes and genome.nodes[: shape.fixed].tolist() == [*range(shape.fixed)]:
                return genome
        raise PlayError("This champion is of no kind that this version plays, or has another size", where="kind",
                        example=self.kind, remedy="Use the version that bred it, or breed another.")  # fmt: skip


class Kept(Sealed, frozen=True, kw_only=True):
    """The document: champions in the order of their generations, and in words how they were made."""

    made_by: str
    champions: list[Written]


def save(champions: Sequence[Champion], path: str | os.PathLike[str], made_by: str) -> None:
    """Write champions as one document.

    Args:
        champions: in the order of their generations.
        path: where to.
        made_by: the command that made them.

    Raises:
        PlayError: it cannot be written; what was there before is still there.
    """
    document = Kept(format=FORMAT, made_by=made_by, champions=[Written.of(one) for one in champions])
    sealed.save(document, path, "file of champions")


def load(path: str | os.PathLike[str]) -> list[Champion]:
    """Read champions, one or more.

    Raises:
        PlayError: there is no such file, or it is damaged, or of another version.
    """
    return _champions(sealed.load(path, Kept, FORMAT, "file of champions"), str(path))


def _champions(document: Kept, where: str) -> list[Champion]:
    if not document.champions:
        raise PlayError("There is no champion in this file", where=where, remedy="Train one: jumar play train.")
    kinds = {(one.kind, one.seed, one.blind) for one in document.champions}
    times = [one.generation for one in document.champions]
    if len(kinds) > 1 or any(a >= b for a, b in pairwise(times)):
        raise PlayError("Champions of a file are of one training, each of a later generation than the one before",
                        where=where, example=times, remedy="Restore it, or train anew: jumar play train.")  # fmt: skip
    with sealed.within(where):
        return [one.champion() for one in document.champions]


@cache
def shipped() -> tuple[Champion, ...]:
    """The champions that come with the package, in the order of their generations; the last is the strongest."""
    content = files("jumar.play").joinpath("champions.json").read_bytes()
    return tuple(_champions(sealed.read(content, Kept, FORMAT, "file of champions", "champions.json"), "jumar.play"))
