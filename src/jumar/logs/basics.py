"""What the checking pass saw: counts, ranges and examples of every column.

In: nothing. Out: the records ``Basics``, ``ColumnBasics`` and ``MetricBasics``. Imported inside ``jumar.logs`` only.
"""

from __future__ import annotations

import datetime
from typing import Any

import msgspec


class ColumnBasics(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass saw of a column: missing values, about how many distinct ones, lowest and highest."""

    nulls: int
    distinct: int | None = None
    low: float | None = None
    high: float | None = None
    infinite: int = 0
    example: Any = None


class MetricBasics(msgspec.Struct, frozen=True, kw_only=True):
    """Range of a metric's values, and how many lie outside the metric's bounds."""

    low: float | None
    high: float | None
    outside: int


class Basics(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of the pass: rows, the columns by their source name, and the metrics in their order."""

    rows: int
    columns: dict[str, ColumnBasics]
    first: datetime.datetime | None = None
    last: datetime.datetime | None = None
    reward_outside: int = 0
    metrics: tuple[MetricBasics, ...] = ()
