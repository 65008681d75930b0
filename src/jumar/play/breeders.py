"""Ways to breed players, behind one face: ask for a pool, tell how fit it was.

In: which kind, a seed, fitness. Out: pools of parameters for ``match.play``, and the policies that play them.
``training`` uses them; what is bred here is evolved in ``evolve``, or by the ``cma`` package.

Hansen and Ostermeier, "Completely Derandomized Self-Adaptation in Evolution Strategies", Evolutionary Computation 9(2),
2001; with a diagonal covariance, as in Ros and Hansen, PPSN 2008.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import jax
import numpy as np

from jumar.play import players
from jumar.play.errors import PlayError
from jumar.play.evolve.genome import Genome
from jumar.play.evolve.neat import Neat, Settings
from jumar.play.evolve.networks import stacked, steps_for
from jumar.play.evolve.variation import Rates
from jumar.play.match import Policy


class Breeder(Protocol):
    """One evolution of players."""

    @property
    def policy(self) -> Policy:
        """Plays the pool of the last ``ask``."""
        ...

    def ask(self) -> Any:
        """A pool to be tried."""
        ...

    def tell(self, fitness: np.ndarray) -> None:
        """How fit each of the pool was; more is better."""
        ...


class Strategy:
    """An evolution strategy over the weights of a plain network.

    Raises:
        PlayError: the ``cma`` package is missing.
    """

    def __init__(self, population: int = 64, seed: int = 0, spread: float = 0.3) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # it misses a library to plot with, which nobody asks for
                import cma
        except ImportError as error:
            raise PlayError("The evolution strategy needs the package cma", remedy="Install 'jumar[play]'.") from error
        options = {"popsize": population, "seed": seed + 1, "CMA_diagonal": True, "verbose": -9, "maxiter": 10**9}
        start = np.random.default_rng(seed).normal(0.0, 0.1, players.PLAIN_WEIGHTS)
        self._strategy = cma.CMAEvolutionStrategy(start, spread, options)
        self._asked: list[np.ndarray] = []

    @property
    def policy(self) -> Policy:
        """See ``Breeder``."""
        return players.plain()

    def ask(self) -> Any:
        """See ``Breeder``."""
        self._asked = self._strategy.ask()
        return np.asarray(self._asked, np.float32)

    def tell(self, fitness: np.ndarray) -> None:
        """See ``Breeder``."""
        self._strategy.tell(self._asked, (-np.asarray(fitness, np.float64)).tolist())

    @property
    def mean(self) -> np.ndarray:
        """What the strategy holds for best."""
        return np.asarray(self._strategy.mean, np.float32)


class Grown:
    """NEAT, whose networks play or paint those that play."""

    def __init__(self, kind: str, population: int = 100, seed: int = 0) -> None:
        painting = kind == "hyperneat"
        rates = Rates(add_node=0.05, add_link=0.1, activation=0.05 if painting else 0.0)
        shape = players.painter_shape() if painting else players.neat_shape()
        self.evolution = Neat(shape, Settings(population, max(min(8, population // 4), 1), rates=rates), seed)
        self._painting, self._steps = painting, 1

    @property
    def policy(self) -> Policy:
        """See ``Breeder``."""
        return players.hyperneat() if self._painting else players.neat(self._steps)

    def ask(self) -> Any:
        """See ``Breeder``."""
        return self.pool(self.evolution.ask())

    def pool(self, genomes: list[Genome]) -> Any:
        """Genomes as a pool."""
        self._steps = steps_for(genomes)
        stack = stacked(genomes, self.evolution.shape.most_nodes)
        return players.painted(stack, self._steps) if self._painting else stack

    def tell(self, fitness: np.ndarray) -> None:
        """See ``Breeder``."""
        self.evolution.tell(fitness)


BREEDERS: dict[str, Callable[[int, int], Breeder]] = {
    "strategy": Strategy,
    "neat": partial(Grown, "neat"),
    "hyperneat": partial(Grown, "hyperneat"),
}


def one_of(pool: Any, place: int) -> Any:
    """A pool of one."""
    return jax.tree.map(lambda leaf: np.asarray(leaf[place : place + 1]), pool)
