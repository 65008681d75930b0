"""One day from its log to what serves tomorrow: the order of the steps, and going on where an earlier run was cut off.

In: a registry, a decision log, a date. Out: ``Day``. The command line and Python users import ``Loop``.

Whatever a step does to the world it does at once (the replacement of a file, a record of the registry, a row of the
ledger) and finds out, when it is run again, that it has been done. ``day.json`` names the steps that are finished; a
run begins with the first that is not.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from pathlib import Path

from jumar.logs import seconds
from jumar.loop.documents import FORMAT, STEPS, Day, LoopConfig, Step, StepName, checked
from jumar.loop.facts import audit_step, join_step
from jumar.loop.folders import LOOP, Folders
from jumar.loop.judging import gates_step, learn_step
from jumar.loop.rollout import canary_step, release_step, watch_step
from jumar.loop.work import Work, production_of
from jumar.release import Gates, Registry, ReleaseError
from jumar.release.registry.registry import GATES
from jumar.serve.join import date_of
from jumar.version import VERSION

LOGGED = "decisions/date=????-??-??"
Told = Callable[[Step], None]


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Loop:
    """Runs days.

    Args:
        registry: folder of the registry; it must lie on this machine, since the ledger of gates lies in it.
        log: folder of the decision log.
        folder: of the loop; by default ``loop`` in the registry's.
        config: how it is set up.
        config_path: the file whose ``[log]`` table says how columns are read; by default ``jumar.toml`` in the current
            folder, if there is one.
        now: the clock, in UTC.
    """

    def __init__(
        self,
        registry: str | os.PathLike[str],
        log: str | os.PathLike[str],
        *,
        folder: str | os.PathLike[str] | None = None,
        config: LoopConfig | None = None,
        config_path: str | os.PathLike[str] | None = None,
        now: Callable[[], datetime.datetime] = _now,
    ) -> None:
        root = Path(registry)
        self.registry = Registry(root, now=now)
        self.gates, self.gates_folder = Gates(root / GATES, now=now), root / GATES
        self.folders = Folders(root / LOOP if folder is None else folder)
        self.log, self.now = Path(log), now
        self.config = checked(config or LoopConfig())
        self.config_path = None if config_path is None else Path(config_path)

    def run(self, date: datetime.date | str, *, told: Told | None = None) -> Day:
        """All steps of a day that are not done yet. A day that is complete is not touched.

        Args:
            date: of the decisions, UTC.
            told: hears each step as it is finished.

        Raises:
            NotYetError: rewards of the day may still come.
            BusyError: another loop is at work in the folder.
            OvertakenError: somebody else changed the registry meanwhile; the same command goes on.
            ReleaseError: an earlier day is not complete, a later one was begun, or a document was changed.
            JumarError: as for the commands that the steps stand for.
        """
        day_of = date_of(date)
        with self.folders.writing():
            self._check_order(day_of)
            day = self.folders.read(day_of)
            if day is None or not day.complete:
                self.folders.sweep(day_of)
            while day is None or not day.complete:
                day = self._next(day_of, day)
                if told is not None:
                    told(day.steps[-1])
        return day

    def last_complete(self) -> datetime.date:
        """The last day whose rewards are complete by now."""
        over = self.now() - datetime.timedelta(seconds=seconds("wait", self.config.wait))
        return over.date() - datetime.timedelta(days=1)

    def pending(self, date: datetime.date | str) -> list[datetime.date]:
        """Days up to a date that are to be run, the earliest first: those that were missed, and the date itself.

        A day was missed if it lies behind the first one that was run, is not complete, and the log holds its decisions.
        """
        day_of = date_of(date)
        known = {one.date: one for one in self.folders.days()}
        missed = [day for day in known if day < day_of and not known[day].complete]
        if known:
            logged = [datetime.date.fromisoformat(path.name[5:]) for path in self.log.glob(LOGGED)]
            missed += [day for day in logged if max(known) < day < day_of]
        return [*sorted(missed), day_of]

    def _next(self, date: datetime.date, day: Day | None) -> Day:
        """The day with one more step done."""
        done = [] if day is None else day.steps
        work = Work(
            registry=self.registry,
            gates=self.gates,
            gates_folder=self.gates_folder,
            log=self.log,
            folders=self.folders,
            config=self.config if day is None else day.config,
            config_path=self.config_path,
            date=date,
            now=self.now,
            judged=production_of(self.registry, self.config) if day is None else day.production,
            held=False if day is None else day.held,
            since=self.registry.state().number if day is None else day.record,
        )
        name = STEPS[len(done)]
        step, opened = learn_step(work) if name == "learn" else (_STEPS[name](work), "")
        state = self.registry.state()
        after = Day(
            format=FORMAT,
            date=date,
            production=work.judged,
            challenger=state.aliases.challenger,
            record=state.number,
            steps=[*done, step],
            opened=opened,
            config=work.config,
            jumar_version=VERSION,
        )
        self.folders.write(after)
        return after

    def _check_order(self, date: datetime.date) -> None:
        """Days are run one after the other: whatever is done on one is judged on the next."""
        days = self.folders.days()
        begun = any(day.date == date for day in days)
        later = [day.date for day in days if day.date > date]
        if later and not begun:
            raise ReleaseError(
                f"The day {later[0]} was run already, and days must come in order",
                example=date.isoformat(),
                remedy="Decisions of earlier days can no longer be counted.",
            )
        missed = self.pending(date)[0]
        if missed != date and not later:
            raise ReleaseError(
                f"The day {missed} is not complete", remedy=f"Run it first: jumar loop … --date {missed}."
            )


_STEPS: dict[StepName, Callable[[Work], Step]] = {
    "join": join_step,
    "audit": audit_step,
    "gates": gates_step,
    "canary": canary_step,
    "watch": watch_step,
    "release": release_step,
}
