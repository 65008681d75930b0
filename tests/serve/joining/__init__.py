"""Decisions and rewards at hours of a day, shared by the tests of the join."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jumar.serve.join import join
from jumar.serve.journal import REWARDS, Journal, Stream, decisions_schema

UTC = datetime.UTC
DATE = "2026-01-05"
START = datetime.datetime(2026, 1, 5, tzinfo=UTC)
HOUR = 3_600_000_000
START_US = int(START.timestamp()) * 1_000_000
SCHEMA = decisions_schema(pa.string(), pa.schema([("age", pa.float64())]))
COLUMNS = ["decision_id", "unit", "time", "action", "propensity", "pmf", "reward"]
OWN = ["policy", "exploration", "fallback", "fallback_reason"]


def decision(name: str, hours: float = 0.0, **other: Any) -> dict[str, Any]:
    row = {
        "decision_id": name,
        "unit": f"u-{name}",
        "time": START_US + round(hours * HOUR),
        "action": "send",
        "propensity": 0.5,
        "pmf": [0.5, 0.5],
        "policy": "v1",
        "exploration": "floor",
        "fallback": False,
        "fallback_reason": None,
        "age": 40.0,
    }
    return row | other


def reward(name: str, hours: float, value: float | None = 1.0, **other: Any) -> dict[str, Any]:
    row = {
        "decision_id": name,
        "reward_id": None,
        "value": value,
        "time": START_US + round(hours * HOUR),
        "metrics": {},
    }
    return row | other


def log(folder: Path, decisions: list[dict[str, Any]], rewards: list[dict[str, Any]]) -> Path:
    """A decision log with these rows, in this order."""
    with Journal(folder, durable=False) as journal:
        streams: tuple[tuple[Stream, Any, pa.Schema], ...] = (
            ("decisions", decisions, SCHEMA),
            ("rewards", rewards, REWARDS),
        )
        for stream, rows, schema in streams:
            if rows:
                columns = {name: [row[name] for row in rows] for name in schema.names}
                journal.append(stream, columns, schema).result(30)
    return folder


def at(hours: float) -> datetime.datetime:
    return START + datetime.timedelta(hours=hours)


def joined(folder: Path, **rules: Any) -> tuple[Any, list[dict[str, Any]]]:
    """The report, and the rows of the log."""
    report = join(folder, DATE, out=folder / "joined", **rules)
    return report, pq.ParquetFile(folder / "joined" / f"date={DATE}" / "log.parquet").read().to_pylist()


def aside(folder: Path, what: str) -> list[str]:
    return pq.ParquetFile(folder / "joined" / f"date={DATE}" / f"_{what}.parquet").read()["decision_id"].to_pylist()
