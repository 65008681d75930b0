"""Where episodes lie among rows, and scans along them without a Python step per row.

In: the index of each episode's first row; columns of numbers. Out: ``Episodes``, running sums, running products and
discounted returns within episodes, and columns that have passed their checks. The other files of this room import it.

Scans double their reach with every pass: after pass j each row has taken in the 2^j rows before it. An episode of
10^6 rows takes 20 passes, and a pass touches only rows that lie deep enough in their episode.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jumar.evaluate.capital import Floats, GateError
from jumar.evaluate.estimators.sums import checked_units, checked_vector
from jumar.logs.returns import discounted_sums

_TOGETHER = 128  # rows that are added one after another before their sums are: keeps rounding near 1e-14
_TOLERANCE = 1e-12

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Episodes:
    """Whole episodes, one after another, the rows of each in the order of time.

    Attributes:
        starts: [units] index of each episode's first row.
        lengths: [units] rows of each.
        position: [rows] how many rows of the same episode lie before.
    """

    starts: Indices
    lengths: Indices
    position: Indices

    @classmethod
    def of(cls, starts: ArrayLike, rows: int) -> Episodes:
        """Episodes that begin at ``starts`` [units] among so many rows.

        Raises:
            GateError: starts that are not whole numbers, do not begin at 0, do not rise, or lie beyond the rows.
        """
        first = np.asarray(starts)
        if first.ndim != 1 or (first.size and first.dtype.kind not in "iu"):
            raise GateError(
                "starts of episodes must be a vector of whole numbers",
                example=(first.shape, str(first.dtype)),
                remedy="Pass the index of each episode's first row.",
            )
        first = first.astype(np.int64)
        ends = np.append(first, rows)
        lengths = np.diff(ends)
        if ends[0] != 0 or (lengths <= 0).any():
            raise GateError(
                f"episodes must begin at row 0, one after another, and end within the {rows:,} rows",
                count=int((lengths <= 0).sum()),
                example=first[:8].tolist(),
                remedy="Sort the rows by episode and time; np.flatnonzero finds where the episode changes.",
            )
        return cls(first, lengths, np.arange(rows) - np.repeat(first, lengths))

    @property
    def last(self) -> Indices:
        """[units] index of each episode's last row."""
        return self.starts + self.lengths - 1

    @property
    def rows(self) -> int:
        """Rows of all episodes."""
        return self.position.size

    @property
    def units(self) -> int:
        """How many episodes."""
        return self.starts.size

    def before(self) -> Iterator[tuple[int, Indices]]:
        """Distances 1, 2, 4, …, each with the rows that have so many rows of their episode before them."""
        return _doubling(self.position)


def _doubling(depth: Indices) -> Iterator[tuple[int, Indices]]:
    step, rows = 1, np.flatnonzero(depth >= 1)
    while rows.size:
        yield step, rows
        step *= 2
        rows = rows[depth[rows] >= step]


def sums_to_date(values: Floats, episodes: Episodes) -> Floats:
    """[rows] Σ_{s≤t} of values [rows] since the episode began."""
    total = np.array(values, dtype=np.float64)
    for step, at in episodes.before():
        total[at] += total[at - step]
    return total


def sums_to_go(values: Floats, discount: Floats | None, episodes: Episodes) -> Floats:
    """[rows] G_t = v_t + γ_t·G_{t+1} of values [rows], from each row to the end of its episode; γ = 1 where not given.

    The last row's discount is not used.
    """
    reach = np.ones(episodes.rows) if discount is None else np.array(discount, dtype=np.float64)
    reach[episodes.last] = 0.0
    return discounted_sums(values, reach)


def sums_by_episode(values: Floats, episodes: Episodes) -> Floats:
    """[units] sums of values [rows] over whole episodes, in steps of 128 so that roundings do not pile up."""
    if not episodes.units:
        return np.zeros(0)
    position = episodes.position
    while True:
        heads = np.flatnonzero(position % _TOGETHER == 0)
        values = np.add.reduceat(values, heads)
        if heads.size == episodes.units:
            return values
        position = position[heads] // _TOGETHER


def checked_weights(weight: ArrayLike, rows: int) -> Floats:
    """[rows] or [rows, K] float64 weights.

    Raises:
        GateError: another shape, or weights that are negative or not finite.
    """
    w = np.asarray(weight, dtype=np.float64)
    if w.ndim not in (1, 2) or w.shape[0] != rows:
        raise GateError(
            f"weights must be [rows] or [rows, candidates] with {rows:,} rows",
            example=w.shape,
            remedy="Pass the same rows as the rewards.",
        )
    bad = ~((w >= 0) & (w < np.inf))
    if bad.any():
        raise GateError(
            "weights must be finite and not negative",
            count=int(bad.sum() if w.ndim == 1 else bad.any(axis=1).sum()),
            example=float(w[bad][0]),
            remedy="Propensities must be above 0; find out where these rows come from.",
        )
    return w


def checked_rewards(reward: ArrayLike, rows: int) -> Floats:
    """[rows] float64 rewards in [0, 1].

    Raises:
        GateError: another shape, or rewards outside of it.
    """
    r = checked_vector(reward, rows, "rewards", low=0.0)
    if (high := r > 1.0 + _TOLERANCE).any():
        raise GateError(
            "rewards must lie within their declared bounds, rescaled to [0, 1]",
            count=int(high.sum()),
            example=float(r[high][0]),
            remedy="Rescale rewards by their declared bounds.",
        )
    return r


def checked_discount(discount: ArrayLike, episodes: Episodes) -> Floats:
    """[rows] float64 discounts from each row to the next of its episode; 0 on last rows, where none is used.

    Raises:
        GateError: another shape, or discounts outside [0, 1] on rows that have a next one.
    """
    given = np.array(discount, dtype=np.float64)
    if given.shape == (episodes.rows,):
        given[episodes.last] = 0.0
    gamma = checked_vector(given, episodes.rows, "discounts", low=0.0)
    if (high := gamma > 1.0).any():
        raise GateError(
            "discounts must lie in [0, 1]",
            count=int(high.sum()),
            example=float(gamma[high][0]),
            remedy="Pass γ, or γ to the power of the time between the rows.",
        )
    return gamma


def unit_of_episodes(unit: ArrayLike | None, episodes: Episodes) -> tuple[Indices, int]:
    """[units] a number for each episode, from 0 on, the same for those of one unit; and how many there are.

    Raises:
        GateError: units that are not one whole number for each episode.
    """
    if unit is None:
        return np.arange(episodes.units), episodes.units
    names, index = np.unique(checked_units(unit, episodes.units), return_inverse=True)
    return index.astype(np.int64), names.size
