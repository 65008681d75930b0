"""Follows the registry: what is promoted there decides here a second later, without a request noticing.

In: a registry. Out: the desk's ``Serving``, exchanged between two requests. A version is loaded, checked and tried
beside the one that decides; if anything about it is broken, the old one goes on and the problem is told. If the
registry cannot be reached, what was last known goes on.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from jumar.errors import JumarError
from jumar.policy.artifact import Policy
from jumar.serve.decider import Decider
from jumar.serve.desk import Desk, Serving
from jumar.serve.metrics import Metrics

_WARMING = (1, 8, 64)
_LONGEST_WAIT_S = 60.0
_LATE_S = 10.0  # after which a look that has not ended is told


class Followed(Protocol):
    """What is asked of a registry."""

    def state(self) -> Any:
        """The last record: ``number``, ``aliases`` with ``production`` and ``challenger``, ``share``."""
        ...

    def policy(self, version_or_alias: str) -> Policy:
        """A version, every hash checked."""
        ...


class Watcher:
    """Keeps a desk at what the registry says.

    Args:
        open_registry: opens it; tried again for as long as it fails.
        desk: what decides.
        make: from a policy and its version to a decider.
        metrics: what is counted.
        interval_s: between two looks.

    Attributes:
        problems: what failed at the last look, by what failed.
    """

    def __init__(
        self,
        open_registry: Callable[[], Followed],
        desk: Desk,
        make: Callable[[Policy, str], Decider],
        metrics: Metrics,
        interval_s: float = 1.0,
    ) -> None:
        self.problems: dict[str, str] = {}
        self._open, self._desk, self._make, self._metrics, self._interval_s = (
            open_registry,
            desk,
            make,
            metrics,
            interval_s,
        )
        self._registry: Followed | None = None
        self._failures: list[str] = []
        self._broken: dict[str, tuple[float, float]] = {}  # version: when to try again, and how long to wait after that

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            late = asyncio.get_running_loop().call_later(_LATE_S, self._hangs)
            try:
                new = await _aside(self.look)
            finally:
                late.cancel()
            self.problems.pop("look", None)
            self.apply(new)

    def look(self) -> Serving | None:
        """What the registry says should decide, loaded and tried; None where nothing is to be changed.

        Nothing is exchanged yet, so this may run on any thread while the desk goes on.
        """
        self._failures = []
        try:
            if self._registry is None:
                self._registry = self._open()
            state = self._registry.state()
        except Exception as error:
            self._failed("registry", error)
            return None
        self.problems.pop("registry", None)
        serving, aliases = self._desk.serving, state.aliases
        wanted = (aliases.production, aliases.challenger)
        self._broken = {version: when for version, when in self._broken.items() if version in wanted}
        if serving is not None and serving.record == state.number and not self._broken:
            return None
        production = self._decider("production", aliases.production, serving)
        if production is None:
            return None
        challenger = None
        if aliases.challenger is None:
            self.problems.pop("challenger", None)
        else:  # one that is broken decides about nobody, and neither does one that the registry no longer names
            challenger = self._decider("challenger", aliases.challenger, serving)
        share = state.share if challenger else 0.0
        new = Serving(production, challenger, share, state.salt, state.number)
        return None if new == serving else new

    def _hangs(self) -> None:
        self.problems["look"] = f"registry: it has not answered for {_LATE_S:.0f} seconds"

    def apply(self, new: Serving | None) -> None:
        """Exchange what decides, between two requests, and count what happened at the last look."""
        metrics, old = self._metrics, self._desk.serving
        for what in self._failures:
            metrics.add("jumar_watch_failures_total", what=what)
        if new is None:
            return
        self._desk.serving = new
        if old is None or (old.production, old.challenger) != (new.production, new.challenger):
            metrics.add("jumar_swaps_total")
        metrics.clear("jumar_policy_info")
        for alias, decider in (("production", new.production), ("challenger", new.challenger)):
            if decider is not None:
                metrics.set("jumar_policy_info", 1, version=decider.version, alias=alias)
        metrics.set("jumar_registry_record", new.record or 0)
        metrics.set("jumar_challenger_share", new.share)

    def _decider(self, alias: str, version: str | None, serving: Serving | None) -> Decider | None:
        """The decider of a version, the very one that decides already where there is one; None if it is broken."""
        if version is None:
            self._failed(alias, JumarError(f"The registry has no {alias}", remedy="Promote a version."))
            return None
        for known in () if serving is None else (serving.production, serving.challenger):
            if known is not None and known.version == version:
                self.problems.pop(alias, None)
                return known
        again, wait = self._broken.get(version, (0.0, self._interval_s))
        if time.monotonic() < again:
            return None
        try:
            assert self._registry is not None
            decider = self._make(self._registry.policy(version), version)
            warm(decider)
        except Exception as error:
            self._failed(alias, error)
            self._broken[version] = (time.monotonic() + wait, min(2 * wait, _LONGEST_WAIT_S))
            return None
        self.problems.pop(alias, None)
        self._broken.pop(version, None)
        return decider

    def _failed(self, what: str, error: Exception) -> None:
        told = str(error) if isinstance(error, JumarError) else f"{type(error).__name__}: {error}"
        self.problems[what] = f"{what}: {told}"[:500]
        self._failures.append(what)


async def _aside(look: Callable[[], Serving | None]) -> Serving | None:
    """Look on a thread that holds up no end: a disk that does not answer may keep it for ever."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    found: list[Serving | None] = []

    def work() -> None:
        try:
            found.append(look())
        finally:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(done.set)

    threading.Thread(target=work, daemon=True).start()
    await done.wait()
    return found[0] if found else None


def warm(decider: Decider) -> None:
    """Run a decider on rows of missing values, so that it is known to work and its first caller does not wait.

    Raises:
        ValueError: it falls back where it should decide.
    """
    for rows in _WARMING:
        contexts = decider.reader.columns([decider.reader.missing] * rows)
        decided = decider.decide(contexts, [None] * rows, [f"warming-{row}" for row in range(rows)])
        if any(decided.faults):
            raise ValueError(f"The policy cannot decide: {decided.faults[0]}")
