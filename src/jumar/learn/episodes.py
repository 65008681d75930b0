"""What the gate counts of training rows: the first episode of each unit, and what of its rewards fits under a cap.

In: columns of whole units in order, with ``gamma``. Out: columns of the rows that count, unit after unit, which
``Chunks.regrouped`` keeps together. ``learn.direct_ahead`` imports it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from jumar.learn.data import Columns
from jumar.learn.transitions import NEXT

RETURNS_KEPT, LEAST_CAP = 0.995, 1e-6


def first_episodes(columns: Columns, most_per_unit: int | None = None) -> Columns:
    """The rows of each unit up to the end of its first episode or of the log, and where in it they stand.

    Args:
        columns: ``unit``, ``reward`` and ``gamma`` [rows], and whatever else describes a row.
        most_per_unit: rows of a unit that count at the most; None: all.

    Returns:
        The columns without next states, and [rows] ``place``, how many rows of the unit lie before; ``length``, how
        many it has; ``worth``, γ_{0:t}; ``earlier``, Σ_{s<t} γ_{0:s}·r_s.
    """
    unit, gamma = columns["unit"], np.nan_to_num(columns["gamma"].astype(np.float64))
    rows = np.arange(len(unit))
    heads = np.maximum.accumulate(np.where(np.r_[True, unit[1:] != unit[:-1]][: len(unit)], rows, 0))
    ends = (gamma <= 0).astype(np.float64)
    counts = (_before(ends, heads) == 0) & (rows - heads < (most_per_unit or len(unit)))
    kept = {name: values[counts] for name, values in columns.items() if not name.startswith(NEXT)}
    place = (rows - heads)[counts]
    starts = np.flatnonzero(place == 0)
    lengths = np.diff(starts, append=len(place))
    heads = np.repeat(starts, lengths)
    worth = np.exp(_before(np.log(np.where(gamma > 0, gamma, 1.0))[counts], heads))
    earlier = _before(worth * kept["reward"].astype(np.float64), heads)
    whole = {"place": place.astype(np.int32), "length": np.repeat(lengths, lengths).astype(np.int32)}
    return kept | whole | {"worth": worth, "earlier": earlier}


def cap_of(columns: Columns) -> float:
    """The discounted rewards that all but the richest in two hundred units stay below; from ``first_episodes``."""
    last = columns["place"] == columns["length"] - 1
    found = (columns["earlier"] + columns["worth"] * columns["reward"].astype(np.float64))[last]
    return max(float(np.quantile(found, RETURNS_KEPT)) if found.size else 0.0, LEAST_CAP)


def under_cap(columns: Columns, cap: float) -> Columns:
    """What rewards count, as shares of the cap: the gate's c_t, which knows the past only.

    Args:
        columns: from ``first_episodes``.
        cap: the most that a unit counts.

    Returns:
        The columns, without ``reward``, ``gamma`` and ``earlier``; ``worth`` [rows] γ_{0:t}/cap; ``room`` [rows] what
        still fits under the cap; ``counted`` [rows] c_t/cap = min(γ_{0:t}·r_t, room)/cap.
    """
    worth = columns["worth"] / cap
    room = np.maximum(1.0 - columns["earlier"] / cap, 0.0)
    counted = np.minimum(worth * columns["reward"].astype(np.float64), room)
    kept = {name: values for name, values in columns.items() if name not in ("reward", "gamma", "earlier")}
    found = {"worth": worth, "room": room, "counted": counted}
    return kept | {name: values.astype(np.float32) for name, values in found.items()}


def rows_for(lengths: NDArray[np.int32], units: int, least: int) -> int:
    """Rows of a batch that holds about so many whole units, and even the longest one twice.

    Args:
        lengths: [units] rows of some units.
        units: how many there should be.
        least: rows that there should be anyway.
    """
    if not lengths.size:
        return least
    return max(least, math.ceil(units * float(lengths.mean())), 2 * int(lengths.max()))


def _before(values: NDArray[np.float64], heads: NDArray[np.int64]) -> NDArray[np.float64]:
    """Σ of the values of earlier rows, from each row's head on."""
    total = np.cumsum(values) - values
    return total - total[heads]
