"""Small logs whose truth is known, shared by the tests of several floors.

The two-context bandit: in segment "left" action "a" is good and "b" is not, in "right" the other way round.
Production takes "a" nearly everywhere, so that half of all decisions could be better. ``improve`` certifies it
from some thousands of rows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jumar
from jumar.improvement import Improvement
from jumar.logs import Log

GOOD, BAD, EXPLORATION = 0.7, 0.2, 0.3
ROWS = 20_000
MakeBandit = Callable[..., pa.Table]


def bandit(rows: int = ROWS, seed: int = 0, *, effect: float = 1.0, extra: bool = False) -> pa.Table:
    """A log of the two-context bandit.

    Args:
        rows: decisions, two per unit.
        seed: of everything random.
        effect: 1: as described; 0: the action does not matter.
        extra: also hold a missing number, a list of ids and a timestamp.
    """
    rng = np.random.default_rng(seed)
    right = rng.random(rows) < 0.5
    likely = 1 - EXPLORATION / 2
    takes_b = rng.random(rows) >= likely
    propensity = np.where(takes_b, 1 - likely, likely)
    middle, half = (GOOD + BAD) / 2, effect * (GOOD - BAD) / 2
    chance = middle + np.where(right == takes_b, half, -half)
    columns: dict[str, Any] = {
        "decision_id": [f"d{i}" for i in range(rows)],
        "unit": [f"u{i // 2}" for i in range(rows)],
        "segment": np.where(right, "right", "left"),
        "noise": rng.normal(size=rows),
        "action": np.where(takes_b, "b", "a"),
        "propensity": propensity,
        "reward": (rng.random(rows) < chance).astype(float),
    }
    if extra:
        columns["age"] = pa.array(rng.normal(size=rows), mask=rng.random(rows) < 0.2)
        columns["tags"] = [[f"t{k}" for k in rng.integers(0, 30, n)] for n in rng.integers(0, 4, rows)]
        seconds = rng.integers(1_700_000_000, 1_700_600_000, rows)
        columns["when"] = pa.array(seconds * 1_000_000, pa.timestamp("us"))
    return pa.table(columns)


def replaced(table: pa.Table, **columns: Any) -> pa.Table:
    """The table with some columns exchanged or added."""
    for name, given in columns.items():
        values = given if isinstance(given, pa.Array | pa.ChunkedArray) else pa.array(given)
        place = table.schema.get_field_index(name)
        table = table.append_column(name, values) if place < 0 else table.set_column(place, name, values)
    return table


@pytest.fixture(scope="session")
def make_bandit() -> MakeBandit:
    return bandit


@pytest.fixture(scope="session")
def replace_columns() -> Callable[..., pa.Table]:
    return replaced


@pytest.fixture(scope="session")
def bandit_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("logs") / "bandit.parquet"
    pq.write_table(bandit(extra=True), path)
    return path


@pytest.fixture(scope="session")
def bandit_log(bandit_file: Path) -> Log:
    return jumar.read_log(str(bandit_file))


@pytest.fixture(scope="session")
def certified(bandit_log: Log) -> Improvement:
    """The one certified run that many tests look at."""
    return jumar.improve(bandit_log, confidence=0.99)


@pytest.fixture(scope="session")
def run_folder(certified: Improvement, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certified.save(tmp_path_factory.mktemp("result") / "run")
