"""A town in which the two-context bandit is decided about day by day, through the real log, registry and loop.

In segment "right" action "b" is better, in "left" action "a"; on the day of ``TURN`` it turns round. The incumbent
mostly takes "a". Gains are so large that a few hundred decisions certify them.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from jumar.loop import Day, Loop, LoopConfig
from jumar.release import Registry
from jumar.release.canary_plan import Stage
from jumar.serve.journal import Journal
from jumar.serve.journal.sink import REWARDS, decisions_schema
from jumar.serve.recorded import record

pc: Any = pyarrow.compute  # its functions are made at run time, which type checkers cannot see
FIRST, TURN, ROWS = datetime.date(2025, 3, 3), 3, 1_600
GOOD, BAD = 0.8, 0.2
CONFIG = LoopConfig(
    wait="1s",
    confidence=0.9,
    attempts=4,
    every=1,
    window=3,
    least_rows=2 * ROWS - ROWS // 4,
    judge_days=2,
    stages=[Stage(share=0.4, looks=[1, 2, 3], units=50)],
    canary_before=2,
    watch_days=2,
)
FEATURES = pa.schema([("segment", pa.string()), ("noise", pa.float64())])


def date_of(day: int) -> datetime.date:
    return FIRST + datetime.timedelta(days=day)


def morning(day: int) -> datetime.datetime:
    """Five seconds past the midnight at which a day ends: its rewards are complete."""
    return datetime.datetime.combine(date_of(day + 1), datetime.time(0, 0, 5), datetime.UTC)


@dataclass
class Town:
    """A folder with a registry and a decision log, and the last day that was lived."""

    root: Path
    config: LoopConfig = CONFIG

    @property
    def registry_folder(self) -> Path:
        return self.root / "registry"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @staticmethod
    def date(day: int) -> datetime.date:
        return date_of(day)

    def registry(self, day: int) -> Registry:
        return Registry(self.registry_folder, now=lambda: morning(day))

    def loop(self, day: int) -> Loop:
        return Loop(self.registry_folder, self.log, config=self.config, now=lambda: morning(day))

    def live(self, day: int, rows: int = ROWS) -> Day:
        """Decide, reward, and run the day."""
        self.decide(day, rows)
        return self.loop(day).run(date_of(day))

    def decide(self, day: int, rows: int = ROWS) -> None:
        """A day of decisions and rewards in the log."""
        rng = np.random.default_rng(100 + day)
        contexts = contexts_of(rng, day, rows)
        registry = Registry(self.registry_folder)
        if registry.state().aliases.production is None:
            by_incumbent(contexts, self.log, rng)
        else:
            record(registry, contexts, self.log)
        reward(self.log, day, contexts, rng)


def contexts_of(rng: np.random.Generator, day: int, rows: int) -> pa.Table:
    start = np.datetime64(date_of(day), "us") + np.timedelta64(60, "s")
    moments = start + np.sort(rng.integers(0, 86_000_000_000, rows)).astype("timedelta64[us]")
    return pa.table(
        {
            "decision_id": [f"{day}-{i}" for i in range(rows)],
            "unit": [f"u{i}" for i in rng.integers(0, 2_000, rows)],
            "time": pa.array(moments, pa.timestamp("us", "UTC")),
            "segment": np.where(rng.random(rows) < 0.5, "right", "left"),
            "noise": rng.normal(size=rows),
        }
    )


def by_incumbent(contexts: pa.Table, log: Path, rng: np.random.Generator) -> None:
    """What the town had before: "a" seven times in ten."""
    rows = contexts.num_rows
    takes_b = rng.random(rows) < 0.3
    made = {
        "action": np.where(takes_b, "b", "a"),
        "propensity": np.where(takes_b, 0.3, 0.7),
        "pmf": [[0.7, 0.3]] * rows,
        "policy": ["incumbent"] * rows,
        "exploration": ["incumbent"] * rows,
        "fallback": [False] * rows,
        "fallback_reason": pa.nulls(rows, pa.string()),
    }
    schema = decisions_schema(pa.string(), FEATURES)
    given = {name: contexts[name].combine_chunks() for name in contexts.column_names}
    columns = {name: pa.array(column) for name, column in (given | made).items()}
    batch = pa.record_batch([columns[name].cast(schema.field(name).type) for name in schema.names], schema=schema)
    journal = Journal(log, writer="incumbent")
    journal.append("decisions", batch, schema).result()
    journal.close()


def reward(log: Path, day: int, contexts: pa.Table, rng: np.random.Generator) -> None:
    """What came of the decisions of a day."""
    files = (log / f"decisions/date={date_of(day)}").glob("*.parquet")
    columns = ["decision_id", "action", "segment", "time"]
    rows = pa.concat_tables([pq.ParquetFile(file).read(columns=columns) for file in files]).sort_by("decision_id")
    right, takes_b = (pc.equal(rows["segment"], "right").to_numpy(), pc.equal(rows["action"], "b").to_numpy())
    good = (right == takes_b) != (day >= TURN)
    came = rng.random(rows.num_rows) < np.where(good, GOOD, BAD)
    some = rows.filter(pa.array(came))
    n = some.num_rows
    batch = pa.record_batch(
        [
            some["decision_id"].combine_chunks(),
            pa.nulls(n, pa.string()),
            pa.array(np.ones(n)),
            some["time"].combine_chunks(),
            pa.nulls(n, REWARDS.field("metrics").type),
        ],
        schema=REWARDS,
    )
    journal = Journal(log, writer="rewards")
    journal.append("rewards", batch).result()
    journal.close()
