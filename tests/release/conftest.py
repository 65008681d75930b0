"""A certified policy of the two-context bandit, and decisions that production makes after it."""

from __future__ import annotations

import datetime
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jumar
from jumar.release import Gates

MONDAY = datetime.datetime(2026, 3, 2, tzinfo=datetime.UTC)
WEEK = datetime.timedelta(days=7)
DAY = datetime.timedelta(days=1)
MakeBandit = Callable[..., pa.Table]
Later = Callable[..., pa.Table]


def in_training_half(units: list[str]) -> np.ndarray:
    """[rows] whether a policy may have learned from the unit, by the definition in the documents."""
    digests = [hashlib.md5(f"jumar-split:{unit}".encode()).hexdigest() for unit in units]
    return np.array([int(digest[:8], 16) < 2**31 for digest in digests])


def dated(table: pa.Table, start: datetime.datetime, days: float = 1.0) -> pa.Table:
    """The table with times spread over some days, the first a second after ``start``."""
    first = int(start.timestamp() * 1e6) + 1_000_000
    moments = np.linspace(first, first + days * 86_000e6, table.num_rows).astype(np.int64)
    column = pa.array(moments, pa.timestamp("us"))
    if "time" in table.column_names:
        return table.set_column(table.schema.get_field_index("time"), "time", column)
    return table.append_column("time", column)


@pytest.fixture(scope="session")
def past(make_bandit: MakeBandit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A week of decisions to learn from."""
    path = tmp_path_factory.mktemp("past") / "past.parquet"
    pq.write_table(dated(make_bandit(20_000), MONDAY, 7), path)
    return path


@pytest.fixture(scope="session")
def run(past: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was learned from it."""
    result = jumar.improve(jumar.read_log(str(past)), confidence=0.99)
    return result.save(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="session")
def later(make_bandit: MakeBandit) -> Later:
    """Decisions of some day after that week, of units that nothing was learned from unless asked for."""

    def make(
        day: int, rows: int = 2_000, *, seed: int | None = None, effect: float = 1.0, learned: bool = False
    ) -> pa.Table:
        seed = 100 + day if seed is None else seed
        table = make_bandit(4 * rows, seed, effect=effect)
        units = [f"{seed}-{unit}" for unit in table["unit"].to_pylist()]
        table = table.set_column(table.schema.get_field_index("unit"), "unit", pa.array(units))
        ids = pa.array([f"{seed}-{one}" for one in table["decision_id"].to_pylist()])
        table = table.set_column(table.schema.get_field_index("decision_id"), "decision_id", ids)
        if not learned:
            table = table.filter(pa.array(~in_training_half(units)))
        return dated(table.slice(0, rows), MONDAY + WEEK + day * DAY)

    return make


@pytest.fixture(scope="session")
def opened(run: Path, past: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of gates with one challenger, frozen at the end of the log that it was learned from."""
    folder = tmp_path_factory.mktemp("opened") / "gates"
    clock = MONDAY + 30 * DAY
    Gates(folder, now=lambda: clock).open(run, str(past), rows_planned=3_000, rows_most=6_000, name="one", after="log")
    return folder


@pytest.fixture
def gates(opened: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(opened, tmp_path / "gates"))


def snapshot(folder: Path) -> dict[str, bytes]:
    """All files with their bytes, but for the lock."""
    files = [file for file in folder.rglob("*") if file.is_file() and file.name != ".lock"]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}
