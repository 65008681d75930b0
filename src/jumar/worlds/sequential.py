"""What every sequential world offers: logs of people who are decided about again and again, and long-run values.

In: what a simulation found for each person. Out: the types of such a world. Only the worlds import this.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jumar.worlds.base import Floats, Policy


class Mean(NamedTuple):
    """A mean per person and its standard error."""

    mean: float
    error: float


@dataclass(frozen=True)
class LongRun:
    """What a policy brings in the long run, by simulation; every mean is per person.

    Attributes:
        people: how many were followed.
        days: for how long.
        discount: what a day counts against the one before it.
        value: the discounted sum of rewards.
        visits, messages: how many, undiscounted.
        opted_out: the share that left for ever.
        decisions: days on which there was something to decide.
        returns: the discounted sum of each person, [people]; equal seeds mean equal people in the same order.
    """

    people: int
    days: int
    discount: float
    value: Mean
    visits: Mean
    messages: Mean
    opted_out: Mean
    decisions: Mean
    returns: NDArray[np.float64] = field(repr=False, compare=False)

    def gain_over(self, other: LongRun) -> Mean:
        """How much more this is worth per person than ``other`` with the same seed: paired, so much more exact."""
        return mean_of(self.returns - other.returns)


class SequentialWorld(Protocol):
    """A simulator of people who are decided about again and again, until they leave.

    Contexts are tables of the features alone. What a decision does to a person's later days is seen in those days'
    contexts only, so no function of one context knows the value of a policy: ``simulate`` does.
    """

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions, in the order of every array with an action axis."""
        ...

    def mean_reward(self, contexts: pa.Table) -> Floats:
        """E[reward of this one decision | context, action], shape [rows, actions]."""
        ...

    def production(self, contexts: pa.Table) -> Floats:
        """The incumbent's probabilities, shape [rows, actions]."""
        ...

    def greedy(self, contexts: pa.Table) -> Floats:
        """The policy that makes the most of every single decision, shape [rows, actions]."""
        ...

    def best(self, contexts: pa.Table, discount: float = 0.95) -> Floats:
        """The best policy known for the long run, shape [rows, actions]."""
        ...

    def log(self, rows: int, seed: int, policy: Policy | None = None) -> pa.Table:
        """Rows by person and time: ``unit``, ``time``, features, ``action``, ``propensity``, ``reward``, ``end``."""
        ...

    def write(self, rows: int, seed: int, path: str | os.PathLike[str], policy: Policy | None = None) -> None:
        """The rows of ``log`` as Parquet."""
        ...

    def simulate(self, policy: Policy, people: int, seed: int, *, discount: float = 0.95, days: int = 120) -> LongRun:
        """Follow people under a policy; equal seeds mean equal people and equal chance under every policy."""
        ...


def mean_of(figures: NDArray[np.float64]) -> Mean:
    """Mean of independent figures, [people], and its standard error; that of a single figure is not a number."""
    spread = float(figures.std(ddof=1)) if len(figures) > 1 else float("nan")
    return Mean(float(figures.mean()), spread / len(figures) ** 0.5)
