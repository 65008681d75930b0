"""Micro-batches: requests that arrive together are scored together, logged together, and answered once they are logged.

In: requests that were read, and what decides now. Out: decisions and rewards that are in the log. Everything here runs
on the event loop but the sink; ``app`` uses it, and ``watching`` exchanges what decides.

While one batch is scored, further requests are read and wait; while it is being written, the next one is scored. Which
version decides about a request is settled when it arrives, so that an exchange meets no request half-way.
"""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from jumar.release.arms import arm
from jumar.serve.counts import DayCounts
from jumar.serve.decider import DAY_US, Decided, Decider
from jumar.serve.journal.sink import REWARDS, Sink
from jumar.serve.messages import DecideRequest, Decision, RewardRequest, new_id
from jumar.serve.metrics import Metrics

_MOST_IN_FLIGHT = 2  # batches: one is written while the next is scored; more would only be smaller
_APART_S = 0.004  # of two batches: much of what one costs is the same for one row and for twenty


class NotNowError(Exception):
    """Nothing decides yet, or more rows wait than the service may hold: try again."""


class UnloggedError(Exception):
    """The log did not take the rows, or not in time: what was decided must not be told."""


@dataclass(frozen=True)
class Serving:
    """What decides.

    Attributes:
        production: for all units but the challenger's.
        challenger: of a canary, or None.
        share: of units that the challenger decides about.
        arms: salt that deals out its units, as the registry says.
        record: of the registry that says so.
    """

    production: Decider
    challenger: Decider | None = None
    share: float = 0.0
    arms: str = ""
    record: int | None = None

    def deciders(self, units: Sequence[str | None]) -> list[Decider]:
        """Who decides about each unit: the same for as long as the canary lasts, and more units as it widens."""
        if self.challenger is None or self.share <= 0.0:
            return [self.production] * len(units)
        return [self.challenger if arm(unit, self.arms, self.share) else self.production for unit in units]


@dataclass
class _Ticket:
    """One request: answers come in by place, and the last one wakes the caller."""

    answers: list[Any]
    missing: int
    future: asyncio.Future[None]

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def arrived(self, rows: int) -> None:
        self.missing -= rows
        if self.missing == 0 and not self.future.done():
            self.future.set_result(None)


@dataclass
class _Rows:
    """Rows of several requests for one decider, column by column."""

    tickets: list[tuple[_Ticket, int]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    units: list[str | None] = field(default_factory=list)
    values: list[tuple[Any, ...]] = field(default_factory=list)
    faults: list[str | None] = field(default_factory=list)
    candidates: list[Any] = field(default_factory=list)


class Desk:
    """Takes requests and answers them from the log's other side.

    Args:
        sink: the decision log.
        metrics: what is counted.
        counts: of units, where exploration asks for them.
        most_rows: scored together.
        most_waiting: rows that may wait for the log; beyond them requests are refused.
        patience_s: how long the log may take.

    Attributes:
        serving: what decides; exchanged from outside.
        waiting: rows that are not in the log yet.
        trouble: why the log refused the last rows, None where it took them.
    """

    def __init__(
        self,
        sink: Sink,
        metrics: Metrics,
        *,
        counts: DayCounts | None = None,
        most_rows: int = 1_024,
        most_waiting: int = 50_000,
        patience_s: float = 10.0,
    ) -> None:
        self.serving: Serving | None = None
        self.waiting = 0
        self.trouble: str | None = None
        self._sink, self._metrics, self._counts = sink, metrics, counts
        self._most_rows, self._most_waiting, self._patience_s = most_rows, most_waiting, patience_s
        self._pending: dict[Decider, _Rows] = {}
        self._rewards: tuple[list[RewardRequest], list[tuple[_Ticket, int]]] = ([], [])
        self._scheduled = self._rewards_scheduled = False
        self._in_flight = 0
        self._scored = 0.0

    async def decide(self, requests: Sequence[DecideRequest]) -> list[Decision]:
        """Decide, log, and only then answer.

        Raises:
            MalformedError, OptionError: a context that no policy could read, an action that is none.
            NotNowError: too much is waiting, or nothing decides yet.
            UnloggedError: the decisions may not be in the log.
        """
        serving = self.serving
        if serving is None:
            raise NotNowError("No policy decides yet: the registry has no production version")
        ids = [one.decision_id or new_id() for one in requests]
        deciders = serving.deciders([one.unit for one in requests])
        read = [decider.reader.row(one.context) for decider, one in zip(deciders, requests, strict=True)]
        for decider, one in zip(deciders, requests, strict=True):
            if one.candidates is not None:
                decider.allowed([one.candidates])  # refuses what is no action before anything waits
        ticket = self._ticket(len(requests))
        for place, (decider, one) in enumerate(zip(deciders, requests, strict=True)):
            rows = self._pending.get(decider)
            if rows is None:
                rows = self._pending[decider] = _Rows()
            rows.tickets.append((ticket, place))
            rows.ids.append(ids[place])
            rows.units.append(one.unit)
            rows.values.append(read[place][0])
            rows.faults.append(read[place][1])
            rows.candidates.append(one.candidates)
        self._schedule()
        await ticket.future
        return ticket.answers

    async def reward(self, requests: Sequence[RewardRequest]) -> None:
        """Log rewards.

        Raises:
            NotNowError, UnloggedError: as for ``decide``.
        """
        ticket = self._ticket(len(requests))
        self._rewards[0].extend(requests)
        self._rewards[1].append((ticket, len(requests)))
        if not self._rewards_scheduled:
            self._rewards_scheduled = True
            asyncio.get_running_loop().call_soon(self._write_rewards)
        await ticket.future

    async def drained(self) -> None:
        """Wait until nothing waits."""
        while self.waiting:
            await asyncio.sleep(0.005)

    def _ticket(self, rows: int) -> _Ticket:
        if self.waiting + rows > self._most_waiting:
            raise NotNowError(f"More than {self._most_waiting:,} rows wait to be written")
        self.waiting += rows
        return _Ticket([None] * rows, rows, asyncio.get_running_loop().create_future())

    def _schedule(self) -> None:
        """Score what waits as soon as the loop has read what is there, unless the log is busy with earlier batches."""
        if self._pending and not self._scheduled and self._in_flight < _MOST_IN_FLIGHT:
            self._scheduled = True
            loop = asyncio.get_running_loop()
            loop.call_at(max(self._scored + _APART_S, loop.time()), self._score)

    def _score(self) -> None:
        self._scheduled = False
        self._scored = asyncio.get_running_loop().time()
        pending, self._pending = self._pending, {}
        for decider, rows in pending.items():
            for start in range(0, len(rows.ids), self._most_rows):
                part = slice(start, start + self._most_rows)
                self._decide(decider, _Rows(*(getattr(rows, name)[part] for name in _Rows.__dataclass_fields__)))

    def _decide(self, decider: Decider, rows: _Rows) -> None:
        """Score rows and hand them to the log."""
        try:
            now = time.time_ns() // 1_000
            day = datetime.datetime.fromtimestamp(now // DAY_US * 86_400, datetime.UTC).date()
            counts = self._counts and self._counts.count(rows.units, rows.ids, day)
            contexts = decider.reader.columns(rows.values)
            decided = decider.decide(
                contexts,
                rows.units,
                rows.ids,
                allowed=decider.allowed(rows.candidates),
                faults=rows.faults,
                counts=counts,
                day=day,
            )
            future = self._sink.append(
                "decisions", decided.columns(contexts, [now] * len(rows.ids)), schema=decider.schema
            )
        except Exception as error:
            self._refuse(rows.tickets, [1] * len(rows.ids), error)
            return
        self._metrics.add("jumar_batches_total")
        self._when_logged(future, rows.tickets, [1] * len(rows.ids), lambda: self._answer(rows, decided))

    def _answer(self, rows: _Rows, decided: Decided) -> None:
        told = zip(decided.ids, decided.actions, decided.propensity.tolist(), decided.pmf.tolist(),
                   decided.exploration, decided.faults, rows.tickets, strict=True)  # fmt: skip
        for one, action, propensity, pmf, exploration, fault, (ticket, place) in told:
            ticket.answers[place] = Decision(
                one, action, propensity, pmf, decided.policy, exploration, fault is not None, fault
            )
        back = [fault for fault in decided.faults if fault is not None]
        for fault in back:
            self._metrics.add("jumar_fallbacks_total", what=fault.partition(":")[0])
        for fell, count in ((False, len(decided.ids) - len(back)), (True, len(back))):
            if count:
                self._metrics.add("jumar_decisions_total", count, policy=decided.policy, fallback=str(fell).lower())

    def _write_rewards(self) -> None:
        self._rewards_scheduled = False
        (rewards, tickets), self._rewards = self._rewards, ([], [])
        counts = [count for _, count in tickets]
        columns = {
            "decision_id": [one.decision_id for one in rewards],
            "reward_id": [one.reward_id for one in rewards],
            "value": [one.value for one in rewards],
            "time": [time.time_ns() // 1_000] * len(rewards),
            "metrics": [list(one.metrics.items()) for one in rewards],
        }
        try:
            future = self._sink.append("rewards", columns, schema=REWARDS)
        except Exception as error:
            self._refuse(tickets, counts, error)
            return
        self._when_logged(future, tickets, counts, lambda: self._metrics.add("jumar_rewards_total", len(rewards)))

    def _when_logged(
        self,
        future: Future[None],
        tickets: Sequence[tuple[_Ticket, int]],
        counts: Sequence[int],
        answer: Callable[[], None],
    ) -> None:
        """Answer callers when the log has their rows, or tell them that it may not."""
        loop = asyncio.get_running_loop()

        released = False

        def release() -> None:
            nonlocal released
            self._in_flight -= not released
            released = True
            self._schedule()

        def late() -> None:
            for ticket, _ in tickets:
                ticket.fail(UnloggedError(f"The log took more than {self._patience_s:g} seconds"))
            release()

        def done() -> None:
            timer.cancel()
            release()
            error = future.exception()
            if error is not None:
                self._refuse(tickets, counts, error)
                return
            self.waiting -= sum(counts)
            self.trouble = None
            answer()
            for (ticket, _), rows in zip(tickets, counts, strict=True):
                ticket.arrived(rows)

        self._in_flight += 1
        timer = loop.call_later(self._patience_s, late)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(done))

    def _refuse(self, tickets: Sequence[tuple[_Ticket, int]], counts: Sequence[int], error: BaseException) -> None:
        rows = sum(counts)
        self.waiting -= rows
        self._metrics.add("jumar_unlogged_total", rows)
        self.trouble = f"log: {error}"[:500]
        for ticket, _ in tickets:
            ticket.fail(UnloggedError(f"The log did not take the rows: {error}"[:500]))
