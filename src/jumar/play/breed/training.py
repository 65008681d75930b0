"""Training: players bred by playing bots, then the champions of their own past.

In: ``Settings``. Out: one ``Row`` for each generation, ``archive``, the champions in their order, and a checkpoint from
which the training goes on as if it had never stopped. Lessons follow each other once they are learned: a field without
trees, then with; against random, then greedy, which gets surer of itself as they do; then all that came before and the
archive. All of a generation meet the same opponents on the same maps, from both sides.

Rosin and Belew, "New Methods for Competitive Coevolution", Evolutionary Computation 5(1), 1997: the archive is what
they call a hall of fame.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
from numpy.typing import NDArray

from jumar.play import limits, sealed
from jumar.play.bots import GREEDY, RANDOM
from jumar.play.breed import breeders, players
from jumar.play.breed.champions import Champion, Written
from jumar.play.breed.grading import versus
from jumar.play.errors import PlayError
from jumar.play.evolve.checkpoints import Checkpoint
from jumar.play.evolve.genome import Floats
from jumar.play.maps import SIZES, TREES, Field, check, draw
from jumar.play.match import Policy
from jumar.play.rules import ROUNDS
from jumar.play.sealed import Sealed

FORMAT = 1
LESSONS = ("empty field", "random", "greedy", "self-play")
PASSED = 0.5  # points of the fittest quarter against random that end a lesson
EASIER, HARDER = -0.5, 0.25  # their points below and above which greedy gets less and more sure of itself
CHANGE, UNSURE = 0.05, 0.5  # of its share of random steps; at first
HELD_OUT = 1_000_000  # seeds of maps below are for judging, those from here on for training
_PER_SEED, _SEEDS = 100_000, 42_000
LAST, FRESH = 12, 6  # champions among which the strongest is chosen, and how often they meet to choose it
GENERATIONS = _PER_SEED - FRESH  # at most: each has maps of its own


@dataclass(frozen=True)
class Settings:
    """How players are trained.

    Attributes:
        kind: one of ``breeders.KINDS``.
        seed: of all chance; below 42,000, as each training has 100,000 seeds of maps of its own.
        population: players in a generation.
        maps: that all of a generation play on, from both sides.
        tests: champions of the past that they meet in self-play.
        rounds: of a game.
        size: of a map.
        blind: whether players do not see their mates.

    Raises:
        PlayError: a number outside its range.
    """

    kind: str = "strategy"
    seed: int = 0
    population: int = 64
    maps: int = 8
    tests: int = 3
    rounds: int = ROUNDS
    size: tuple[int, int] = SIZES[0]
    blind: bool = False

    def __post_init__(self) -> None:
        check(self.seed, self.maps, self.size, TREES)
        limits.within("population", self.population, 4, limits.POPULATION)
        limits.within("tests", self.tests, 1, limits.POPULATION)
        limits.within("rounds", self.rounds, 1, limits.ROUNDS)
        limits.within("seed", self.seed, 0, _SEEDS - 1)  # of later ones no maps would be their own
        if (boards := self.population * self.maps * self.tests) > limits.BOARDS:
            raise PlayError(f"A generation plays on at most {limits.BOARDS:,} boards: population × maps × tests",
                            where="population, maps, tests", example=boards,
                            remedy="Ask for fewer players, or fewer maps.")  # fmt: skip
        if self.kind not in breeders.KINDS:
            raise PlayError("There is no such way to breed players", where="kind", example=self.kind,
                            remedy=f"Choose from {', '.join(breeders.KINDS)}.")  # fmt: skip


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One generation.

    Attributes:
        generation: from 0.
        lesson: one of ``LESSONS``.
        unsure: share of greedy's steps that were random.
        fitness: of the leader, the one that the breeder stands for, and ``mean`` of all.
        points: of the leader, wins less losses over games, against each kind of opponent.
        joined: whether the leader joined the archive.
    """

    generation: int
    lesson: str
    unsure: float
    fitness: float
    mean: float
    points: dict[str, float]
    joined: bool


class Document(Sealed, frozen=True, kw_only=True):
    """A training on disk."""

    settings: Settings
    generation: int
    lesson: int
    unsure: float
    archive: list[Written]
    rows: list[Row]
    strategy: breeders.Told | None = None
    grown: Checkpoint | None = None


class Training:
    """One training.

    Args:
        settings: how.

    Attributes:
        archive: the champions so far; each matched the one before it.
        rows: one for each generation.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.breeder = breeders.breeder(settings.kind, settings.population, settings.seed)
        self.generation, self.lesson, self.unsure = 0, 0, UNSURE
        self.archive: list[Champion] = []
        self.rows: list[Row] = []

    def advance(self) -> Row:
        """Let a generation play, and breed the next one.

        Raises:
            PlayError: it was the last for which there are maps.
        """
        limits.within("generation", self.generation + 1, 1, GENERATIONS)
        bred = self.breeder.ask()
        policy, pool = players.assembled(bred, self.settings.blind)
        fitness, points = self._met(policy, pool, self.archive, self.generation)
        best = self.breeder.leader(fitness)
        joins = self._joins(points, best)
        if joins:
            self.archive.append(Champion(bred[best], self.generation, self.settings.seed, self.settings.blind))
        row = Row(
            generation=self.generation, lesson=LESSONS[self.lesson], unsure=self.unsure, fitness=float(fitness[best]),
            mean=float(fitness.mean()), points={name: float(one[best]) for name, one in points.items()},
            joined=joins,
        )  # fmt: skip
        self.rows.append(row)
        self.breeder.tell(fitness)
        self._learned(points, np.argsort(-fitness))
        self.generation += 1
        return row

    def _joins(self, points: dict[str, Floats], best: int) -> bool:
        """Whether the leader has matched the newest champion, on the same maps as everybody else."""
        return "newest" not in points or bool(points["newest"][best] >= 0)

    def _met(
        self, policy: Policy, pool: Any, archive: Sequence[Champion], time: int
    ) -> tuple[Floats, dict[str, Floats]]:
        """Fitness [players], the mean of what each opponent gives, and points against each; maps are of the time."""
        settings = self.settings
        key = jax.random.fold_in(jax.random.key(settings.seed), time)
        seed = HELD_OUT + _PER_SEED * settings.seed + time
        fields = draw(seed, settings.maps, settings.size, TREES if self.lesson else 0.0)
        half = Field(*(table[: max(settings.maps // 2, 1)] for table in fields))
        grades, points = [], {}
        for place, (name, opponent, params) in enumerate(self._opponents(self._tests(archive, time))):
            on = half if name == "archive" else fields  # as there are several of them
            graded, won = versus(on, policy, pool, opponent, params, jax.random.fold_in(key, place), settings.rounds)
            grades.append(graded.mean(axis=1))
            points[name] = won.mean(axis=1)
            if name == "archive":
                points["newest"] = won[:, 0]
        return np.mean(grades, axis=0), points

    def _opponents(self, tests: Sequence[Champion]) -> list[tuple[str, Policy, Any]]:
        """Names, policies and pools for the lesson."""
        nobody, lesson = jnp.zeros(1), LESSONS[self.lesson]
        found: list[tuple[str, Policy, Any]] = [("random", RANDOM, nobody)]
        if lesson in ("greedy", "self-play"):
            found.append(("greedy", GREEDY, jnp.full(1, self.unsure)))
            if tests:
                found.append(("archive", *players.assembled([one.bred for one in tests], self.settings.blind)))
        return found

    def _tests(self, archive: Sequence[Champion], time: int) -> list[Champion]:
        """Of an archive the newest, and others by chance."""
        rng = np.random.default_rng([self.settings.seed, time])
        others = rng.choice(len(archive), self.settings.tests - 1) if archive else []
        return [*archive[-1:], *(archive[place] for place in others)]

    def _learned(self, points: dict[str, Floats], order: NDArray[np.int64]) -> None:
        """On to the next lesson, or greedy a little surer or less sure of itself; ``order``: the fittest first."""
        lesson = LESSONS[self.lesson]
        quarter = order[: max(len(order) // 4, 1)]
        if lesson in ("empty field", "random"):
            self.lesson += bool(points["random"][quarter].mean() >= PASSED)
        elif lesson == "greedy":
            found = float(points["greedy"][quarter].mean())
            self.lesson += bool(self.unsure == 0 and found > HARDER)
            change = CHANGE * ((found < EASIER) - float(found > HARDER))
            self.unsure = min(max(round(self.unsure + change, 6), 0.0), 1.0)

    def chosen(self) -> Champion:
        """Of the last champions the one that does best against the opponents of the lesson and each other.

        They meet on maps of which none has seen any, but on few of them: it is the one that was found best, a better
        one may be among them, and how well it did there says too much of it. Measure it on other maps.

        Raises:
            PlayError: no generation has played yet.
        """
        last = self.archive[-min(LAST, self.breeder.size) :]
        if not last:
            raise PlayError("Nobody has been trained yet", where="generations", example=self.generation,
                            remedy="Let a generation or more play.")  # fmt: skip
        # As many as in a generation, so that nothing compiles anew.
        many = [last[place % len(last)].bred for place in range(self.breeder.size)]
        policy, pool = players.assembled(many, self.settings.blind)
        met = [self._met(policy, pool, last, time)[0] for time in range(_PER_SEED - FRESH, _PER_SEED)]
        return last[int(np.mean(met, axis=0)[: len(last)].argmax())]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint.

        Raises:
            PlayError: it cannot be written; what was there before is still there.
        """
        written = self.breeder.written()
        document = Document(
            format=FORMAT, settings=self.settings, generation=self.generation, lesson=self.lesson, unsure=self.unsure,
            archive=[Written.of(one) for one in self.archive], rows=self.rows,
            strategy=written if isinstance(written, breeders.Told) else None,
            grown=written if isinstance(written, Checkpoint) else None,
        )  # fmt: skip
        sealed.save(document, path, "training")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Training:
        """Go on from a checkpoint.

        Raises:
            PlayError: there is none, or it is damaged, or of another version.
        """
        document = sealed.load(path, Document, FORMAT, "training")
        written = document.strategy or document.grown
        if written is None or not _sound(document):
            raise PlayError("The training is damaged: its parts are not of one training", where=str(path),
                            remedy="Restore it, or begin anew.")  # fmt: skip
        training = cls.__new__(cls)
        training.settings = document.settings
        training.generation, training.lesson, training.unsure = document.generation, document.lesson, document.unsure
        with sealed.within(str(path)):
            training.breeder = breeders.read(document.settings.kind, written)
            training.archive, training.rows = [one.champion() for one in document.archive], list(document.rows)
        return training


def _sound(document: Document) -> bool:
    """Whether all parts are of one training, so that it can go on."""
    settings, time = document.settings, document.generation
    times = [one.generation for one in document.archive]
    told, grown = document.strategy, document.grown
    return (
        0 <= time == len(document.rows) <= GENERATIONS
        and 0 <= document.lesson < len(LESSONS)
        and 0 <= document.unsure <= 1
        and all(a < b for a, b in pairwise([*times, time]))
        and {(one.kind, one.seed, one.blind) for one in document.archive}
        <= {(settings.kind, settings.seed, settings.blind)}
        and (told is not None) == (grown is None) == (settings.kind == "strategy")
        and (
            told is None
            or (told.population, told.seed, len(told.fitness)) == (settings.population, settings.seed, time)
        )
        and (grown is None or (grown.settings.population, grown.generation) == (settings.population, time))
    )
