"""One simulated year of the second loop: what decided each day, what it was worth, and what could have been.

In: sizes and a seed. Out: ``Year``: a record for each day, one for each version that was let in. Decisions go through
the batch twin of the service, the journal, the join and the loop, as a user runs them; only the clock is simulated.
``year.py`` prints what this module finds.
"""

from __future__ import annotations

import datetime
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from jumar.fitting import candidates_of, learn, policy_at
from jumar.learn.prepare import prepare
from jumar.logs import read_log
from jumar.loop import Day, Loop, LoopConfig, Step
from jumar.policy.path import exploration_floor
from jumar.release import Registry, RegistryRecord
from jumar.release.canary_plan import Stage
from jumar.serve.journal import Journal
from jumar.serve.journal.sink import REWARDS, decisions_schema
from jumar.serve.recorded import record
from jumar.worlds import DriftingNotifications

pc: Any = pyarrow.compute
START = datetime.datetime(2025, 1, 6, tzinfo=datetime.UTC)
EXPLORATION = 0.2  # of the policies that are learned; the incumbent's is 0.3
KEPT_DAYS = 40  # of logs on the disk
INCUMBENT = 0.3
WEEK = 7
EAGER = 2  # days between two releases of the control, and days that it learns from
BESIDE = ("decision_id", "unit", "time")


def settings(rows: int) -> LoopConfig:
    """How the loop is set up for so many decisions a day."""
    return LoopConfig(
        wait="1s",
        confidence=0.999,
        attempts=26,
        every=10,
        window=28,
        least_rows=3 * rows - rows // 2,
        screening=0.9,
        exploration=EXPLORATION,
        judge_days=10,
        stages=[
            Stage(share=0.01, looks=[1, 2, 3, 5, 7, 14], units=rows // 200),
            Stage(share=0.05, looks=[1, 2, 3, 5, 7, 14], units=rows // 60),
            Stage(share=0.25, looks=[1, 2, 3, 5, 7, 14], units=rows // 20, days=3),
        ],
        watch_days=14,
    )


@dataclass(frozen=True)
class Lived:
    """A day: rewards per decision, exact for the pmfs that decided, and what happened.

    Attributes:
        day: from 0; ``date`` of it.
        served: by what decided; ``incumbent``: had nothing ever changed; ``best``: by the best policy that explores as
            the learned ones do; ``best_of_all``: that explores nothing.
        rows: decisions.
        happened: "released", "canary", "abandoned", "rolled back", "refused", or nothing, by commas.
        seconds: CPU of the loop, and of everything.
    """

    day: int
    date: str
    served: float
    incumbent: float
    best: float
    best_of_all: float
    rows: int
    happened: str
    loop_seconds: float
    seconds: float


@dataclass(frozen=True)
class Release:
    """A version that was let in.

    Attributes:
        day: on which it was let in; ``attempt``: of the ledger.
        version, replaced: what came, and what decided before.
        gain: the truth on the week's decisions: its value less that of what decided before.
        error: standard error of ``gain`` over contexts.
    """

    day: int
    attempt: str
    version: str
    replaced: str
    gain: float
    error: float


@dataclass
class Year:
    """Everything that was found; ``turn``: when people turned; ``steps``: CPU seconds of the loop by step."""

    seed: int
    rows: int
    control: bool
    turn: int = 0
    days: list[Lived] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=dict)
    steps: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    wall: float = 0.0

    def share(self, last: int) -> float:
        """Share of the possible gain over the last days."""
        days = self.days[-last:]
        served, now, best = (sum(getattr(day, name) for day in days) for name in ("served", "incumbent", "best"))
        return (served - now) / (best - now)


class Run:
    """A year at work.

    Args:
        rows: decisions a day, about.
        seed: of the year.
        turn: the day on which people turn.
        control: let in whatever was learned last, without a gate.
    """

    def __init__(self, rows: int, seed: int, turn: int, *, control: bool) -> None:
        self.rows, self.seed, self.turn, self.control = rows, seed, turn, control
        self.root = Path(tempfile.mkdtemp(prefix="jumar-year-"))
        self.clock = START
        self.registry = Registry.create(self.root / "registry", now=lambda: self.clock)
        config = settings(rows)
        if control:
            config = LoopConfig(wait="1s", least_rows=10**12, window=config.window, watch_days=0)
        self.loop = Loop(self.root / "registry", self.root / "log", config=config, now=lambda: self.clock)
        self.rng = np.random.default_rng(seed)
        self.year = Year(seed, rows, control, turn)
        self._week: tuple[int, pa.Table] | None = None

    def live(self, days: int, told: Callable[[Lived, Day], None]) -> Year:
        """Run the days; the folder is removed at the end."""
        begun, wall = time.process_time(), time.perf_counter()
        try:
            for day in range(days):
                self._day(day, told)
            ledger = self.loop.gates.known_ledger()
            for row in ledger.rows if ledger else []:
                self.year.attempts[row.outcome] = self.year.attempts.get(row.outcome, 0) + 1
        finally:
            shutil.rmtree(self.root, ignore_errors=True)
        self.year.seconds, self.year.wall = time.process_time() - begun, time.perf_counter() - wall
        return self.year

    def _day(self, day: int, told: Callable[[Lived, Day], None]) -> None:
        begun = time.process_time()
        world = DriftingNotifications(exploration=INCUMBENT, day=day, turn=self.turn)
        week = self._people(world)
        contexts, date = world.today(week), (START + datetime.timedelta(days=day)).date()
        self.clock = START + datetime.timedelta(days=day)
        self._decide(world, contexts)
        served = self._reward(world, contexts, date)
        known = len(self.registry.history())
        self.clock += datetime.timedelta(days=1, seconds=2)
        looped = time.process_time()
        found = self.loop.run(date, told=self._timed())
        if self.control and day % EAGER == EAGER - 1:
            self._let_in(date)
        looped = time.process_time() - looped
        news = self.registry.history()[known:]
        self._note_releases(day, world, week, known, news)
        learned = found.step("learn")
        refused = learned is not None and "rows" in learned.figures and not found.opened
        words = {"promote": "released", "canary": "canary", "abandon": "abandoned", "rollback": "rolled back"}
        happened = [words[one.what] for one in news if one.what in words] + (["refused"] if refused else [])
        mean = world.mean_reward(contexts)

        def value(pmf: Any) -> float:
            return float((pmf * mean).sum(axis=1).mean())

        lived = Lived(
            day=day,
            date=date.isoformat(),
            served=value(served),
            incumbent=value(world.production(contexts)),
            best=value(DriftingNotifications(EXPLORATION, day=day, turn=self.turn).best(contexts)),
            best_of_all=value(DriftingNotifications(0.0, day=day, turn=self.turn).best(contexts)),
            rows=contexts.num_rows,
            happened=", ".join(happened),
            loop_seconds=looped,
            seconds=time.process_time() - begun,
        )
        self.year.days.append(lived)
        told(lived, found)
        self._tidy(date)

    def _timed(self) -> Callable[[Step], None]:
        """Who is told of each step adds up what it took."""
        last = [time.process_time()]

        def told(step: Step) -> None:
            now = time.process_time()
            self.year.steps[step.name] = self.year.steps.get(step.name, 0.0) + now - last[0]
            last[0] = now

        return told

    def _people(self, world: DriftingNotifications) -> pa.Table:
        week = world.day // WEEK
        if self._week is None or self._week[0] != week:
            self._week = (week, world.moments(WEEK * self.rows, self.seed))
        return self._week[1]

    def _decide(self, world: DriftingNotifications, contexts: pa.Table) -> None:
        """By the incumbent, as some program logs it, or by what the registry says."""
        log = self.root / "log"
        if self.registry.state().aliases.production is not None:
            record(self.registry, contexts, log)
            return
        rows, pmf = contexts.num_rows, world.production(contexts)
        action = (self.rng.random(rows) < pmf[:, 1]).astype(np.int64)
        features = pa.schema([one for one in contexts.schema if one.name not in BESIDE])
        schema = decisions_schema(pa.string(), features)
        columns: dict[str, Any] = {name: contexts[name] for name in contexts.column_names} | {
            "action": pa.array(np.array(world.actions)[action]),
            "propensity": pa.array(pmf[np.arange(rows), action]),
            "pmf": pa.array(list(pmf)),
            "policy": pa.array(["incumbent"] * rows),
            "exploration": pa.array(["policy"] * rows),
            "fallback": pa.array([False] * rows),
            "fallback_reason": pa.nulls(rows, pa.string()),
        }
        journal = Journal(log, writer="incumbent")
        for batch in pa.table({name: columns[name] for name in schema.names}).cast(schema).to_batches():
            journal.append("decisions", batch, schema).result()
        journal.close()

    def _reward(self, world: DriftingNotifications, contexts: pa.Table, date: datetime.date) -> Any:
        """Log what came of the day's decisions; their pmfs, in the order of ``contexts``."""
        files = sorted((self.root / "log/decisions" / f"date={date}").glob("*.parquet"))
        columns = ["decision_id", "action", "pmf"]
        rows = pa.concat_tables([pq.ParquetFile(file).read(columns=columns) for file in files])
        rows = rows.take(pc.index_in(contexts["decision_id"], rows["decision_id"].combine_chunks()))
        action = pc.equal(rows["action"], world.actions[1]).to_numpy().astype(np.int64)
        reward = world.outcomes(contexts, action, self.rng)
        some = pa.array(reward > 0)
        given = {
            "decision_id": contexts["decision_id"].combine_chunks().filter(some),
            "reward_id": pa.nulls(int((reward > 0).sum()), REWARDS.field("reward_id").type),
            "value": pa.array(reward[reward > 0]),
            "time": contexts["time"].combine_chunks().filter(some).cast(REWARDS.field("time").type),
            "metrics": pa.nulls(int((reward > 0).sum()), REWARDS.field("metrics").type),
        }
        journal = Journal(self.root / "log", writer="rewards")
        journal.append("rewards", pa.record_batch([given[name] for name in REWARDS.names], schema=REWARDS)).result()
        journal.close()
        return np.array(pc.list_flatten(rows["pmf"]).to_numpy()).reshape(-1, len(world.actions))

    def _note_releases(
        self, day: int, world: DriftingNotifications, week: pa.Table, known: int, news: list[RegistryRecord]
    ) -> None:
        """The truth about every version that was let in on the day, to all or in part."""
        before = self.registry.history()[:known]
        replaced = before[-1].aliases.production if before else None
        for one in news:
            first = one.what == "canary" or (one.what == "promote" and one.version not in {r.version for r in before})
            if not first:
                continue
            mean = world.mean_reward(week)
            was = world.production(week) if replaced is None else self.registry.policy(replaced).pmf(week)
            gain = ((self.registry.policy(str(one.version)).pmf(week) - was) * mean).sum(axis=1)
            self.year.releases.append(
                Release(
                    day=day,
                    attempt=one.attempt,
                    version=str(one.version),
                    replaced=replaced or "incumbent",
                    gain=float(gain.mean()),
                    error=float(gain.std() / np.sqrt(len(gain))),
                )
            )

    def _let_in(self, date: datetime.date) -> None:
        """The control: what a team does that releases whatever it learned last, as far as the path goes."""
        folders, config = self.loop.folders, self.loop.config
        production = self.registry.state().aliases.production or config.incumbent
        days = [one.date for one in folders.days() if one.production == production][-EAGER:]
        window = folders.window(days, self.root / "window")
        log = read_log(window)
        prepared = prepare(log, self.year.seed)
        minimum = exploration_floor(len(log.schema.actions), prepared.propensities, EXPLORATION)
        learned = learn(log, prepared, self.year.seed, 1, "one-step", 0.5, prepared.rows, minimum, lambda share: None)
        path = candidates_of(log, learned, prepared, minimum, 10, 0.0, None)
        policy_at(log, prepared, path, len(path.models) - 1).save(self.root / "learned")
        version = self.registry.register(self.root / "learned").version
        if version != production:
            self.registry.promote(version, why="it was learned last", forced=True)
        shutil.rmtree(self.root / "learned")

    def _tidy(self, date: datetime.date) -> None:
        """Logs of long ago make room: nobody reads them again."""
        old = f"date={date - datetime.timedelta(days=KEPT_DAYS)}"
        for folder in ("log/decisions", "log/rewards", "registry/loop/joined"):
            shutil.rmtree(self.root / folder / old, ignore_errors=True)
        (self.loop.folders.of(date - datetime.timedelta(days=KEPT_DAYS)) / "counted.parquet").unlink(missing_ok=True)
