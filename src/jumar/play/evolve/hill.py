"""The story's first learner: make a subtle change, and keep it if it wins more.

In: numbers, and something that says which of two lists of numbers wins. Out: numbers that win more. It is here to be
read: everything larger in this folder is this loop with a population, a memory, and a better idea of a change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from jumar.play.evolve.genome import Floats

Wins = Callable[[Floats, Floats], bool]


class Climb(NamedTuple):
    """Where the climb is: ``steps`` tried, ``kept`` of them, and the numbers now."""

    steps: int
    kept: int
    numbers: Floats


def climb(numbers: Floats, wins: Wins, *, subtle: float = 0.1, seed: int = 0) -> Iterator[Climb]:
    """Climb for as long as it is asked to.

    Args:
        numbers: to begin with.
        wins: whether the first list of numbers beats the second.
        subtle: standard deviation of a change.
        seed: of the changes.
    """
    rng = np.random.default_rng(seed)
    numbers, steps, kept = np.asarray(numbers, np.float64), 0, 0
    while True:
        changed = numbers + rng.normal(0.0, subtle, numbers.shape)
        steps += 1
        if wins(changed, numbers):
            numbers, kept = changed, kept + 1
        yield Climb(steps, kept, numbers)


def network(numbers: Floats, x: Floats, hidden: int = 6) -> Floats:
    """A network of one input, ``hidden`` tanh nodes and one output, whose weights are 3 · hidden + 1 numbers."""
    first, second, third = numbers[: 3 * hidden].reshape(3, hidden)
    return np.tanh(np.multiply.outer(x, first) + second) @ third + numbers[-1]


def closer_to(function: Callable[[Floats], Floats], low: float = -1.0, high: float = 1.0, points: int = 41) -> Wins:
    """Wins by being closer to a function, such as ``np.square``, in the mean of squares."""
    x = np.linspace(low, high, points)
    y = function(x)

    def wins(one: Floats, two: Floats) -> bool:
        return bool(np.square(network(one, x) - y).mean() < np.square(network(two, x) - y).mean())

    return wins
