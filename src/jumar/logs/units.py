"""Rows by unit: in the order in which each unit's decisions were made, and how many each unit has.

In: a canonical table, or its stream in that order. Out: batches that split no unit, a row's place within its unit, and
the distribution of units' sizes. ``jumar.logs.read`` uses it; the floors above meet ``UnitSizes`` through ``Log``.
"""

# Ibis' annotations know columns only as bare values.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportReturnType=false

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jumar.logs.arrays import unit_starts
from jumar.logs.schema import HASH, ID, PLACE, TIME, LogSchema

KEPT_SHARE = 0.99  # of the decisions, where only the first ones of each unit count
WHOLE_UNITS = 0.995  # of the units, where what all of their decisions bring is claimed


@dataclass(frozen=True)
class UnitSizes:
    """How many rows the units of some parts have.

    Attributes:
        sizes: [kinds] the different numbers of rows of a unit, rising.
        units: [kinds] how many units have that many.
    """

    sizes: NDArray[np.int64]
    units: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """Rows of all units."""
        return int((self.sizes * self.units).sum())

    @property
    def count(self) -> int:
        """How many units."""
        return int(self.units.sum())

    @property
    def most(self) -> int:
        """Rows of the largest unit; 0 without any row."""
        return int(self.sizes[-1]) if len(self.sizes) else 0

    @property
    def mean(self) -> float:
        """Rows per unit."""
        return self.rows / self.count if self.count else 0.0

    @property
    def counted_ahead(self) -> int:
        """Decisions of a unit that count where what they bring together is claimed; at least 1."""
        return max(self.cap(KEPT_SHARE), self.quantile(WHOLE_UNITS), 1)

    def quantile(self, share: float) -> int:
        """Least size that at least ``share`` of the units do not exceed; 0 without any row."""
        if not len(self.sizes):
            return 0
        place = int(np.searchsorted(np.cumsum(self.units), share * self.count - 1e-9))
        return int(self.sizes[min(place, len(self.sizes) - 1)])

    def kept(self, most: int) -> float:
        """Share of the rows that is left if only the first ``most`` rows of each unit count."""
        return float((np.minimum(self.sizes, most) * self.units).sum()) / self.rows if self.rows else 1.0

    def cap(self, share: float) -> int:
        """Least number of first rows per unit that keeps at least ``share`` of all rows; 0 without any row.

        What is lost are the late rows of large units only, so a share near 1 bounds the units at little cost.
        """
        if not len(self.sizes):
            return 0
        # Kept rows grow by the number of units that have an m-th row: linear between neighbouring sizes.
        larger = np.cumsum(self.units[::-1])[::-1]
        steps = np.diff(self.sizes, prepend=0)
        reached = np.cumsum(steps * larger)
        wanted = math.ceil(share * self.rows - 1e-9)
        place = min(int(np.searchsorted(reached, wanted)), len(reached) - 1)
        before = int(reached[place - 1]) if place else 0
        start = int(self.sizes[place - 1]) if place else 0
        return max(1, start + math.ceil((wanted - before) / int(larger[place])))


def sizes_table(table: ir.Table) -> ir.Table:
    """Rows of (``size``, ``units``): how many units of the canonical table have how many rows."""
    per_unit = table.group_by(HASH).aggregate(size=ibis._.count())
    return per_unit.group_by("size").aggregate(units=ibis._.count()).order_by("size")


def order_keys(table: ir.Table, schema: LogSchema) -> list[ir.Value]:
    """Within a unit, decisions follow each other by time, then id; ids that are positions count as numbers."""
    named = schema.roles.decision_id is not None
    time = [table[TIME]] if TIME in table.columns else []
    return [*time, table[ID] if named else table[ID].cast("int64")]


def placed(table: ir.Table, schema: LogSchema) -> ir.Table:
    """The canonical table with ``__place``: 0 for the first decision of its unit among these rows, 1 for the next."""
    window = ibis.window(group_by=HASH, order_by=order_keys(table, schema))
    return table.mutate(**{PLACE: ibis.row_number().over(window)})


def by_unit(table: ir.Table, schema: LogSchema) -> ir.Table:
    """The canonical table in the order of units' hashes, and of decisions within each unit."""
    return table.order_by([table[HASH], *order_keys(table, schema)])


def whole_units(
    batches: Iterable[pa.RecordBatch], batch_rows: int, most_per_unit: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Cuts a stream in the order of ``by_unit`` between units, and counts each row's ``__place``.

    Args:
        batches: with ``__hash``.
        batch_rows: most rows of a batch, except for a unit that is larger by itself.
        most_per_unit: rows beyond a unit's first so many are left out, so that no batch exceeds
            ``max(batch_rows, most_per_unit)`` rows.
    """
    kept: list[pa.RecordBatch] = []
    for batch, begins in _counted(batches, most_per_unit):
        kept.append(batch)
        # Within one unit there is nothing to cut.
        if begins and sum(piece.num_rows for piece in kept) > batch_rows:
            *whole, rest = _pieces(pa.concat_batches(kept), batch_rows)
            yield from whole
            kept = [rest]
    if kept:
        yield from (piece for piece in _pieces(pa.concat_batches(kept), batch_rows) if piece.num_rows)


def _counted(batches: Iterable[pa.RecordBatch], most: int | None) -> Iterator[tuple[pa.RecordBatch, bool]]:
    """Batches with ``__place``, cut to each unit's first ``most`` rows, and whether a unit begins in them."""
    unit, seen = None, 0
    for batch in batches:
        if not batch.num_rows:
            continue
        hashes = batch.column(HASH)
        starts = unit_starts(hashes)
        before = np.zeros(len(starts), np.int64)
        before[0] = seen if hashes[0].as_py() == unit else 0
        place = np.arange(batch.num_rows) - np.repeat(starts - before, np.diff(starts, append=batch.num_rows))
        unit, seen = hashes[-1].as_py(), int(place[-1]) + 1
        counted = batch.append_column(PLACE, pa.array(place))
        inside = np.full(len(place), True) if most is None else place < most
        yield counted if inside.all() else counted.filter(pa.array(inside)), bool((place == 0).any())


def _pieces(batch: pa.RecordBatch, batch_rows: int) -> list[pa.RecordBatch]:
    """The batch cut at starts of units, as late as ``batch_rows`` allows; more of the last piece's unit may follow."""
    starts = unit_starts(batch.column(HASH))
    cuts = [0]
    while batch.num_rows - cuts[-1] > batch_rows:
        within = int(np.searchsorted(starts, cuts[-1] + batch_rows, side="right"))
        # A unit that is larger by itself is passed on alone.
        place = max(within - 1, int(np.searchsorted(starts, cuts[-1], side="right")))
        if place >= len(starts) or starts[place] == cuts[-1]:
            break
        cuts.append(int(starts[place]))
    return [batch.slice(start, end - start) for start, end in pairwise([*cuts, batch.num_rows])]
