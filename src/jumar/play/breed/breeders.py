"""Ways to breed players, behind one face: ask for some, tell how fit each was.

In: which kind, a seed, fitness. Out: ``players.Bred``. ``training`` uses them; what is bred here is evolved in
``evolve``, or by the ``cma`` package. A breeder can be written down and read back, and goes on as if nothing had been.

Hansen and Ostermeier, "Completely Derandomized Self-Adaptation in Evolution Strategies", Evolutionary Computation 9(2),
2001; with a diagonal covariance, as in Ros and Hansen, PPSN 2008.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Protocol

import msgspec
import numpy as np

from jumar.play.breed import players
from jumar.play.breed.players import Bred
from jumar.play.errors import PlayError
from jumar.play.evolve import checkpoints
from jumar.play.evolve.genome import Shape
from jumar.play.evolve.neat import Neat, Settings
from jumar.play.evolve.variation import Rates

KINDS = ("strategy", "neat", "hyperneat")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy in a document: what it was told is all that it needs to be again what it was."""

    population: checkpoints.Count
    seed: checkpoints.Count
    fitness: list[list[checkpoints.Weight]]
    last: float


Written = Told | checkpoints.Checkpoint


class Breeder(Protocol):
    """One evolution of players."""

    @property
    def size(self) -> int:
        """How many are asked for at once."""
        ...

    def ask(self) -> list[Bred]:
        """Players to be tried."""
        ...

    def tell(self, fitness: np.ndarray) -> None:
        """How fit each of them was; more is better."""
        ...

    def leader(self, fitness: np.ndarray) -> int:
        """Which of them it stands for, before it is told."""
        ...

    def written(self) -> Written:
        """Itself, for a document; between two generations."""
        ...


class Strategy:
    """An evolution strategy over the weights of a plain network; the first of every generation is its mean.

    Raises:
        PlayError: the ``cma`` package is missing.
    """

    def __init__(self, population: int = 64, seed: int = 0, spread: float = 0.15) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # it misses a library to plot with, which nobody asks for
                import cma
        except ImportError as error:
            raise PlayError("The evolution strategy needs the package cma",
                            remedy="Run: pip install 'jumar[play]', or choose another kind.") from error  # fmt: skip
        rng = np.random.default_rng(seed)
        options = {"popsize": population, "seed": np.nan, "randn": lambda *shape: rng.standard_normal(shape),
                   "CMA_diagonal": True, "verbose": -9, "maxiter": 10**9}  # fmt: skip
        self._strategy = cma.CMAEvolutionStrategy(np.zeros(players.PLAIN_WEIGHTS), spread, options)
        self._asked: list[np.ndarray] = []
        self._population, self._seed = population, seed
        self._told: list[list[float]] = []

    @property
    def size(self) -> int:
        """See ``Breeder``."""
        return 1 + self._population

    def ask(self) -> list[Bred]:
        """See ``Breeder``."""
        self._asked = self._strategy.ask()
        return [Bred("strategy", np.asarray(one, np.float32)) for one in (self._strategy.mean, *self._asked)]

    def tell(self, fitness: np.ndarray) -> None:
        """See ``Breeder``."""
        self._told.append(np.asarray(fitness, np.float64).tolist())
        self._strategy.tell(self._asked, [-one for one in self._told[-1][1:]])

    def leader(self, fitness: np.ndarray) -> int:
        """Its mean, which chance has not picked."""
        return 0

    def written(self) -> Told:
        """See ``Breeder``."""
        return Told(population=self._population, seed=self._seed, fitness=self._told, last=self._sum())

    @classmethod
    def read(cls, told: Told) -> Strategy:
        """The strategy that was told this.

        Raises:
            PlayError: with the ``cma`` that is installed it becomes another one.
        """
        strategy = cls(told.population, told.seed)
        for fitness in told.fitness:
            if len(fitness) != 1 + told.population:
                raise PlayError("The checkpoint is damaged: fitness for another population", where="fitness",
                                example=len(fitness), remedy="Restore it, or begin anew.")  # fmt: skip
            try:
                strategy.ask()
                strategy.tell(np.array(fitness))
            except Exception as error:  # the package has many of them for numbers that no game gives
                raise PlayError("The checkpoint is damaged: no strategy can be told this", where="fitness",
                                example=error, remedy="Restore it, or begin anew.") from error  # fmt: skip
        if not np.isclose(strategy._sum(), told.last, rtol=1e-9, atol=1e-9):
            raise PlayError("The checkpoint does not lead to where it was with this version of the package cma",
                            remedy="Install the version that it was written with, or begin anew.")  # fmt: skip
        return strategy

    def _sum(self) -> float:
        return float(np.sum(self._strategy.mean))


class Grown:
    """NEAT, whose networks play or paint those that play."""

    def __init__(self, kind: str, evolution: Neat) -> None:
        self.kind, self.evolution = kind, evolution

    @classmethod
    def new(cls, kind: str, population: int = 100, seed: int = 0) -> Grown:
        """From the least genomes."""
        painting, shape = kind == "hyperneat", _shape(kind)
        # Small steps from little: games are a noisy judge, and what works must not be lost at once.
        small = Rates(weight=0.4, replaced=0.03, power=0.25, spread=0.4)
        rates = replace(small, add_node=0.05, add_link=0.1, activation=0.05) if painting else small
        return cls(kind, Neat(shape, Settings(population, max(min(8, population // 4), 1), rates=rates), seed))

    @property
    def size(self) -> int:
        """See ``Breeder``."""
        return self.evolution.settings.population

    def ask(self) -> list[Bred]:
        """See ``Breeder``."""
        return [Bred(self.kind, genome) for genome in self.evolution.ask()]

    def tell(self, fitness: np.ndarray) -> None:
        """See ``Breeder``."""
        self.evolution.tell(fitness)

    def leader(self, fitness: np.ndarray) -> int:
        """The fittest."""
        return int(np.argmax(fitness))

    def written(self) -> checkpoints.Checkpoint:
        """See ``Breeder``."""
        return checkpoints.written(self.evolution)


def breeder(kind: str, population: int, seed: int) -> Breeder:
    """A new one of ``KINDS``.

    Raises:
        PlayError: no such kind, or its package is missing.
    """
    if kind not in KINDS:
        raise PlayError("There is no such way to breed players", where="kind", example=kind,
                        remedy=f"Choose from {', '.join(KINDS)}.")  # fmt: skip
    return Strategy(population, seed) if kind == "strategy" else Grown.new(kind, population, seed)


def read(kind: str, written: Written) -> Breeder:
    """The one that was written down.

    Raises:
        PlayError: it does not become what it was.
    """
    if isinstance(written, Told):
        return Strategy.read(written)
    if written.shape != _shape(kind):
        raise PlayError("The checkpoint is of networks of another shape than this version breeds", where="shape",
                        example=written.shape, remedy="Use the version that wrote it, or begin anew.")  # fmt: skip
    return Grown(kind, checkpoints.evolution(written))


def _shape(kind: str) -> Shape:
    return players.painter_shape() if kind == "hyperneat" else players.neat_shape()
