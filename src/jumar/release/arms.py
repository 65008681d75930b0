"""Arms: which units the challenger serves, decided by the unit and a salt alone.

In: units, a salt, a share. Out: a number in [0, 1) for each unit, and whether it lies below the share. Whoever serves
decides with ``arm``; whoever reads the log finds the same bits with ``places``. Anything may import this module.

A larger share takes in all units of a smaller one: who has met the challenger keeps it.
"""

from __future__ import annotations

import hashlib
import math

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_BITS = 53  # of a float64's mantissa: every place is exact


def place(unit: str | None, salt: str) -> float:
    """The unit's number in [0, 1): the top 53 bits of the md5 of ``arm:SALT:UNIT``, NaN without a unit.

    Args:
        unit: who is decided about.
        salt: of one canary, never used before: otherwise the same units would be the first to meet every challenger,
            and what they met earlier would tell their arms apart.
    """
    if unit is None:
        return math.nan
    digest = hashlib.md5(f"arm:{salt}:{unit}".encode(), usedforsecurity=False).digest()
    return (int.from_bytes(digest, "little") >> (128 - _BITS)) / 2**_BITS


def places(units: pa.Array | pa.ChunkedArray, salt: str) -> NDArray[np.float64]:
    """``place`` of every unit [rows], bit for bit, some ten million a second."""
    table = pa.table({"unit": units.cast(pa.string())})
    with duckdb.connect() as engine:
        engine.register("given", table)
        query = f"SELECT (md5_number(? || unit) >> {128 - _BITS})::UBIGINT::DOUBLE / {2**_BITS} AS place FROM given"
        found = engine.execute(query, [f"arm:{salt}:"]).to_arrow_table()["place"]
    return found.combine_chunks().to_numpy(zero_copy_only=False)


def arm(unit: str | None, salt: str, share: float) -> bool:
    """Whether the challenger serves this unit.

    Decisions without a unit cannot keep an arm: production serves them until the share is 1.
    """
    return share >= 1.0 or place(unit, salt) < share


def pilots(numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Every tenth unit, by the low bits of its place, which say nothing about its arm."""
    return np.fmod(numbers * 2.0**_BITS, 10.0) == 0.0
