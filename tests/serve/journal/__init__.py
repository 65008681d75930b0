"""Rows of decisions and rewards, shared by the tests of the log."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jumar.serve.journal import decisions_schema

DAY = datetime.date(2026, 1, 5)
START_US = int(datetime.datetime(2026, 1, 5, tzinfo=datetime.UTC).timestamp()) * 1_000_000
SCHEMA = decisions_schema(pa.string(), pa.schema([("age", pa.float64()), ("kind", pa.string())]))


def decisions(numbers: Sequence[int], *, at: int = START_US, **other: Any) -> dict[str, list[Any]]:
    """Plain columns: number i is decided i seconds after ``at``."""
    rows = len(numbers)
    columns: dict[str, list[Any]] = {
        "decision_id": [f"d{i}" for i in numbers],
        "unit": [f"u{i % 5}" for i in numbers],
        "time": [at + 1_000_000 * i for i in numbers],
        "action": ["send" if i % 3 else "hold" for i in numbers],
        "propensity": [0.5] * rows,
        "pmf": [[0.5, 0.5]] * rows,
        "policy": ["v1"] * rows,
        "exploration": ["floor"] * rows,
        "fallback": [False] * rows,
        "fallback_reason": [None] * rows,
        "age": [float(i) for i in numbers],
        "kind": ["new" if i % 2 else None for i in numbers],
    }
    return columns | other


def rewards(numbers: Sequence[int], *, at: int = START_US, value: float | None = 1.0) -> dict[str, list[Any]]:
    """One reward for each, half a second after its decision."""
    return {
        "decision_id": [f"d{i}" for i in numbers],
        "reward_id": [None for _ in numbers],
        "value": [value for _ in numbers],
        "time": [at + 1_000_000 * i + 500_000 for i in numbers],
        "metrics": [{"tapped": float(i % 2)} for i in numbers],
    }


def batch(numbers: Sequence[int], **other: Any) -> pa.RecordBatch:
    """The same decisions as a batch."""
    columns = decisions(numbers, **other)
    return pa.RecordBatch.from_arrays([pa.array(columns[f.name], f.type) for f in SCHEMA], schema=SCHEMA)


def sealed(folder: Path, stream: str = "decisions") -> pa.Table:
    """All sealed rows of a stream, by number."""
    files = sorted((folder / stream).glob("date=*/*.parquet"))
    tables = [pq.ParquetFile(file).read() for file in files]
    if not tables:
        return pa.table({"decision_id": pa.array([], pa.string()), "__sequence": pa.array([], pa.int64())})
    return pa.concat_tables(tables, promote_options="default").sort_by(
        [("__writer", "ascending"), ("__sequence", "ascending")]
    )


def numbers(folder: Path, stream: str = "decisions") -> list[int]:
    """The numbers of all sealed rows, sorted."""
    return sorted(int(name[1:]) for name in sealed(folder, stream)["decision_id"].to_pylist())
