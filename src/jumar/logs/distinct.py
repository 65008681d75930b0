"""Counting distinct values exactly, however many: what an identifier is, and whether one repeats.

In: a source and the estimates of the checking pass. Out: exact counts, or the ``LogError`` they
deserve. Memory is bounded by looking at one slice of the values' hashes at a time. Imported inside ``jumar.logs`` only.
"""

# Ibis' annotations know columns only as bare values.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportReturnType=false, reportIndexIssue=false, reportOptionalSubscript=false, reportCallIssue=false

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import ibis
import ibis.expr.types as ir

from jumar.errors import LogError
from jumar.logs.basics import Basics
from jumar.logs.schema import Feature
from jumar.logs.source import Source

MANY_VALUES, SOME_VALUES = 100_000, 1_000
_IDS_AT_ONCE = 4_000_000


def check_identifiers(source: Source, features: Sequence[Feature], basics: Basics) -> None:
    """Refuses categories that name the row instead of describing it; says so about all of them at once."""
    found = []
    for feature in features:
        seen = basics.columns[feature.name]
        about = seen.distinct or 0
        # The engine's estimate may be a third off; only suspects are counted exactly.
        suspect = about > 0.6 * MANY_VALUES or (about > 0.6 * SOME_VALUES and about > 0.3 * basics.rows)
        if feature.kind != "category" or not suspect:
            continue
        exact = distinct_count(source, source.table[feature.name], about)
        if exact > MANY_VALUES or (exact > SOME_VALUES and exact > basics.rows / 2):
            found.append((feature.name, exact, seen.example))
    if found:
        listed = "; ".join(f"'{n}' has {d:,} distinct values, such as {str(e)!r:.40}" for n, d, e in found[:8])
        flags = " ".join(f"--ignore {name}" for name, *_ in found)
        look = "y looks like an identifier" if len(found) == 1 else "ies look like identifiers"
        raise LogError(
            f"{len(found)} categor{look}: {listed}",
            column=found[0][0],
            count=basics.rows,
            example=found[0][2],
            remedy=f"Leave out with {flags}, or declare one as --unit or --decision-id.",
        )


def hash_slices(column: ir.Value, about: int) -> Iterator[tuple[ir.Value, ir.Value]]:
    """The column's 64-bit hash with conditions that cut it into slices small enough for memory."""
    slices = max(1, math.ceil(1.3 * about / _IDS_AT_ONCE))
    hashed = column.hash()
    for i in range(slices):
        yield hashed, (hashed % slices).abs() == i


def distinct_count(source: Source, column: ir.Value, about: int) -> int:
    """How many distinct values, counted exactly (up to a 64-bit collision), slice by slice."""
    total = 0
    for hashed, here in hash_slices(column, about):
        part = source.table.filter(here) if about > _IDS_AT_ONCE / 1.3 else source.table
        total += source.one(part.aggregate(n=hashed.nunique()))["n"]
    return total


def check_duplicates(source: Source, name: str, basics: Basics) -> None:
    """Refuses a log in which two rows carry one decision id."""
    column = source.table[name]
    if distinct_count(source, column, basics.rows) == basics.rows:
        return
    repeated, example = 0, None
    for hashed, here in hash_slices(column, basics.rows):
        groups = source.table.filter(here).group_by(h=hashed).aggregate(n=ibis._.count(), id=column.arbitrary())
        found = source.one(groups.filter(groups.n > 1).aggregate(n=ibis._.n.sum(), id=ibis._.id.min()))
        repeated += found["n"] or 0
        example = found["id"] if example is None else example
    raise LogError(
        "A decision id must be unique, but some rows share theirs",
        column=name,
        count=repeated,
        example=example,
        remedy="Remove the repeated rows, or name another column with --decision-id.",
    )
