"""What every step of a day has at hand: the registry as it stands, the gates, the folders, the day so far.

In: places and a date. Out: ``Work``, and small questions to it that more than one step asks. Only this floor imports
it.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.compute
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from jumar.logs import Log, read_log
from jumar.loop.documents import LoopConfig
from jumar.loop.folders import Folders
from jumar.release import Attempt, Gates, Registry, RegistryRecord

pc: Any = pyarrow.compute  # its functions are made at run time, which type checkers cannot see


@dataclass(frozen=True)
class Work:
    """One day at work.

    Attributes:
        registry, gates: which policies there are, and what judges them; ``gates_folder`` is where the latter lie.
        log: folder of the decision log.
        folders: of the loop.
        config: how it is set up; ``config_path`` holds the ``[log]`` table, None for the usual place.
        date: of the decisions.
        now: the clock, in UTC.
        judged: the production whose decisions of this day are counted; steps of the day may put another in its place.
        held: an audit blocks: nothing new is opened or promoted today.
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
    held: bool = False

    @cached_property
    def history(self) -> list[RegistryRecord]:
        """All records of the registry, as they were when the step began."""
        return self.registry.history()

    @property
    def production(self) -> str:
        """What the log calls the policy that is in production now: a version, or the incumbent."""
        return production_of(self.registry, self.config)

    @property
    def place(self) -> Path:
        """Folder of the day."""
        return self.folders.of(self.date)

    def counted_log(self, source: Path | None = None) -> Log:
        """The decisions of production on this day, or of several days in one folder."""
        place = self.folders.counted(self.date) if source is None else source
        guardrails = [one.split(":")[0] for one in self.config.guardrail]
        log = read_log(place, config=self.config_path)
        missing = [name for name in guardrails if name not in {metric.name for metric in log.metrics}]
        if not missing:
            return log
        named = [*log.metrics, *missing]
        return read_log(place, metrics=named, config=self.config_path)

    def attempts(self) -> list[Attempt]:
        """Rows of the ledger of gates; none where no challenger was ever opened."""
        ledger = self.gates.known_ledger()
        return list(ledger.rows) if ledger else []

    def comparators(self) -> dict[str, str]:
        """Which production each challenger that this loop opened is judged against."""
        return {day.opened: day.production for day in self.folders.days() if day.opened}

    def days_of_production(self, most: int) -> list[datetime.date]:
        """The last days, this one among them, on which the same production as now was judged, the earliest first."""
        known = [date for date in self.folders.dates() if date <= self.date]
        judged = {date: day.production for date in known if (day := self.folders.read(date))} | {self.date: self.judged}
        return [date for date in known if judged[date] == self.production and self.folders.rows(date)][-most:]

    def share_that_day(self, version: str) -> float | None:
        """Share of units that a version served on the date; None where it changed between two decisions."""
        span = pc.min_max(pq.read_table(self.folders.joined(self.date), columns=["time"])["time"]).as_py()
        before = [one for one in self.history if one.at <= span["min"]]
        within = [one for one in self.history if span["min"] < one.at < span["max"]]
        shares = {_share_of(one, version) for one in (*before[-1:], *within)} or {0.0}
        return shares.pop() if len(shares) == 1 else None


def production_of(registry: Registry, config: LoopConfig) -> str:
    """What the log calls the policy in production: a version, or the incumbent where the registry has none."""
    return registry.state().aliases.production or config.incumbent


def _share_of(record: RegistryRecord, version: str) -> float:
    if record.aliases.challenger == version:
        return record.share
    return 1.0 if record.aliases.production == version else 0.0


def production_rows(path: Path, production: str) -> ds.Scanner:
    """Joined decisions that a policy made, without fallbacks, as they stream from a file."""
    wanted = (ds.field("policy") == production) & ~ds.field("fallback")
    return ds.dataset(path, format="parquet").scanner(filter=wanted, batch_size=65_536)

