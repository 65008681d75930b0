"""What every step of a day has at hand: the registry as it stands, the gates, the folders, the day so far.

In: places and a date. Out: ``Work``, and small questions to it that more than one step asks. Only this floor imports
it.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from jumar.evaluate.asked import Asked, claims_on
from jumar.evaluate.claims import Claim
from jumar.logs import Log, read_log
from jumar.logs.options import options
from jumar.logs.source import NOT_FEATURES
from jumar.loop.documents import Day, LoopConfig
from jumar.loop.folders import Folders
from jumar.release import Attempt, Gates, Registry, RegistryRecord

pc: Any = pyarrow.compute  # its functions are made at run time, which type checkers cannot see
ROWS_SEEN = ".rows"  # figure of a gate: decisions that a challenger has counted


@dataclass(frozen=True)
class Work:
    """One step of a day at work.

    Attributes:
        registry, gates: which policies there are, and what judges them; ``gates_folder`` is where the latter lie.
        log: folder of the decision log.
        folders: of the loop.
        config: how it is set up; ``config_path`` holds the ``[log]`` table, None for the usual place.
        date: of the decisions.
        now: the clock, in UTC.
        judged: the production whose decisions of this day are counted; steps of the day may put another in its place.
        held: an audit blocks: the day is no evidence, and nothing new is opened or promoted.
        since: number of the registry's record when the step before was finished.
    """

    registry: Registry
    gates: Gates
    gates_folder: Path
    log: Path
    folders: Folders
    config: LoopConfig
    config_path: Path | None
    date: datetime.date
    now: Callable[[], datetime.datetime]
    judged: str
    held: bool
    since: int

    @property
    def production(self) -> str:
        """What the log calls the policy that is in production now: a version, or the incumbent."""
        return production_of(self.registry, self.config)

    @property
    def place(self) -> Path:
        """Folder of the day."""
        return self.folders.of(self.date)

    @cached_property
    def days(self) -> list[Day]:
        """All days that were begun, the earliest first."""
        return self.folders.days()

    def done(self, *what: str) -> list[RegistryRecord]:
        """Records of some kinds since the step before: where an earlier run of this step was cut off, what it did."""
        return [one for one in self.registry.history() if one.number > self.since and one.what in what]

    @property
    def asked(self) -> Asked:
        """What a challenger must show."""
        one = self.config
        return Asked(one.margin, one.gain, tuple(one.guardrail), tuple(one.reduce), one.budget)

    def counted_log(self, source: Path | None = None) -> Log:
        """The decisions of production on this day, or of several days in one folder."""
        place = self.folders.counted(self.date) if source is None else source
        log = read_log(place, config=self.config_path)
        known = {metric.name for metric in log.metrics}
        missing = [one for one in self.asked.metrics if one.partition(":")[0] not in known]
        return read_log(place, metrics=[*log.metrics, *missing], config=self.config_path) if missing else log

    @property
    def metrics(self) -> list[str]:
        """Columns beside the reward that guardrails name."""
        return [one.partition(":")[0] for one in self.asked.metrics]

    def claims(self) -> list[Claim]:
        """The reward and each guardrail, with bounds, direction and margin."""
        return claims_on(self.counted_log(), Asked(guardrail=self.asked.guardrail))

    def capped(self, table: pa.Table) -> pa.Table:
        """Joined decisions with the reward as it is certified: moved to its bounds where the settings say so."""
        chosen = options({}, self.config_path)
        name = chosen.reward or "reward"
        if not chosen.cap_reward or chosen.reward_range is None or name not in table.column_names:
            return table
        within = np.clip(table[name].to_numpy().astype(np.float64), *chosen.reward_range)
        return table.set_column(table.column_names.index(name), name, pa.array(within))

    def attempts(self) -> list[Attempt]:
        """Rows of the ledger of gates; none where no challenger was ever opened."""
        ledger = self.gates.known_ledger()
        return list(ledger.rows) if ledger else []

    def comparators(self) -> dict[str, str]:
        """Which production each challenger that this loop opened is judged against."""
        return {day.opened: day.production for day in self.days if day.opened}

    def seen_under(self) -> dict[str, str]:
        """The production on whose decisions each challenger, also one that was opened by hand, was judged first."""
        found: dict[str, str] = {}
        for day in self.days:
            step = day.step("gates")
            for name in step.figures if step else ():
                if name.endswith(ROWS_SEEN):
                    found.setdefault(name.removesuffix(ROWS_SEEN), day.production)
        return found | self.comparators()

    def days_of_production(self, most: int) -> list[datetime.date]:
        """Days back, this one among them, on which production as it is now was judged and no audit blocked."""
        first = self.date - datetime.timedelta(days=most - 1)
        production = self.production
        mine = [
            day.date
            for day in self.days
            if first <= day.date <= self.date and day.production == production and not day.held
        ]
        return [date for date in mine if self.folders.rows(date)]

    def share_at_end(self, version: str) -> float:
        """Share of units that a version served when the last decision of the date was made."""
        last = pc.max(pq.read_table(self.folders.joined(self.date), columns=["time"])["time"]).as_py()
        before = [one for one in self.registry.history() if one.at <= last]
        return _share_of(before[-1], version) if before else 0.0


def production_of(registry: Registry, config: LoopConfig) -> str:
    """What the log calls the policy in production: a version, or the incumbent where the registry has none."""
    return registry.state().aliases.production or config.incumbent


def _share_of(record: RegistryRecord, version: str) -> float:
    if record.aliases.challenger == version:
        return record.share
    return 1.0 if record.aliases.production == version else 0.0


def columns_of(path: Path, names: Sequence[str]) -> pa.Table:
    """Some columns of a joined log; a metric that no reward of the day reported is 0 for all."""
    file = pq.ParquetFile(path)
    table = file.read(columns=[name for name in names if name in file.schema_arrow.names])
    for name in names:
        if name not in table.column_names:
            table = table.append_column(name, pa.array(np.zeros(table.num_rows)))
    return table.select(list(names))


def production_rows(path: Path, production: str, metrics: Sequence[str]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Joined decisions that a policy made, no fallbacks, a column for every metric: their schema, and they."""
    joined = ds.dataset(path, format="parquet")
    absent = [name for name in metrics if name not in joined.schema.names]
    columns = {name: ds.field(name) for name in joined.schema.names} | {name: ds.scalar(0.0) for name in absent}
    wanted = (ds.field("policy") == production) & ~ds.field("fallback")
    scanner = joined.scanner(columns=columns, filter=wanted, batch_size=65_536)
    told = msgspec.json.decode((joined.schema.metadata or {}).get(NOT_FEATURES, b"[]"))
    metadata = {NOT_FEATURES: msgspec.json.encode([*told, *absent])}
    return scanner.projected_schema.with_metadata(metadata), scanner.to_batches()
