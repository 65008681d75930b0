"""Challengers over time: opened, looked at from day to day, released, retired or closed.

In: a folder of gates, a policy, logs that come later. Out: ``Standing`` records. The command line and Python users
import ``Gates`` through ``jumar.release``; which files there are, and in which order they are written, ``store`` knows.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from jumar.errors import OptionError
from jumar.evaluate.asked import Asked, claims_on, several_words
from jumar.evaluate.gate import Gate, GateResult
from jumar.logs import read_for
from jumar.policy import Policy, load_policy
from jumar.release import ledger as books
from jumar.release.arrival import Arrival, Rows, receive, refuse_repeated
from jumar.release.documents import (
    FORMAT,
    Attempt,
    Ledger,
    Look,
    Manifest,
    Outcome,
    ReleaseError,
    Standing,
    State,
    encoded,
    sha256,
    user_name,
    utc,
)
from jumar.release.freeze import AUDITS, checked_log, counting_from, plan_of
from jumar.release.judging import judge
from jumar.release.state import gate_from_json, gate_to_json
from jumar.release.store import Store, policy_folder
from jumar.version import VERSION

CONFIDENCE, ATTEMPTS = 0.999, 52
WAIT_S = 5.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Gates:
    """A folder of challengers and the ledger that they draw on.

    Args:
        folder: where; ``open`` makes it.
        now: the clock, in UTC.
        wait_s: how long to wait for another process that writes.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
        wait_s: float = WAIT_S,
    ) -> None:
        self._store, self._now = Store(folder, wait_s), now

    def open(
        self,
        policy: Policy | str | os.PathLike[str],
        log: Any,
        *,
        rows_planned: int,
        rows_most: int,
        confidence: float | None = None,
        attempts: int | None = None,
        name: str | None = None,
        after: str = "clock",
        margin: float = 0.0,
        gain: float = 0.0,
        guardrail: Sequence[str] = (),
        reduce: Sequence[str] = (),
        budget: str | None = None,
        seed: int = 0,
    ) -> Standing:
        """Freeze a challenger and spend one attempt of the ledger.

        Args:
            policy: a policy, or its folder.
            log: the log that it was learned from, or any other whose decisions lie behind it; its part "validate"
                lays the bets.
            rows_planned: decisions that the gate is expected to see; bets are laid for them.
            rows_most: at the first look at this many that does not pass, the challenger is retired.
            confidence, attempts: of the ledger; by default those it has, or 0.999 and 52.
            name: of the challenger; by default the short name of its policy.
            after: from when on decisions count. "clock": from now on. "log": from the latest decision of ``log`` on;
                then it is for you to know that nothing later influenced the policy, and the manifest says that you
                do. Or a moment (ISO 8601, UTC without a zone), likewise.
            margin, gain, guardrail, reduce, budget: what must be shown, as ``improve`` takes it; by default that the
                policy is not worse.
            seed: recorded in the manifest.

        Raises:
            ReleaseError: the budget is spent or is another one, the name is taken, an audit of the log blocks.
            LogError, PolicyError: log or policy cannot be used.
            OptionError: an argument outside its range.
        """
        if not 1 <= rows_planned <= rows_most:
            raise OptionError(
                "A challenger plans at least one row, and no more than it may see at most",
                example=(rows_planned, rows_most),
                remedy="Say for example --rows-planned 500000 --rows-most 1000000.",
            )
        confidence, attempts = self._budget(confidence, attempts)
        self._admit(self._store.known_ledger(), confidence, attempts, name)
        chosen = policy if isinstance(policy, Policy) else load_policy(policy)
        asked = Asked(margin, gain, several_words(guardrail), several_words(reduce), budget)
        opened = read_for(chosen.card.log_schema, log, need="decisions", metrics=asked.metrics)
        claims = claims_on(opened, asked)
        until = checked_log(chosen, opened)
        alpha = books.share_of(confidence, attempts)
        plan = plan_of(chosen, opened, claims, alpha=alpha, rows_planned=rows_planned, seed=seed)
        with self._store.writing():
            ledger = self._store.known_ledger() or books.empty_ledger(confidence, attempts)
            self._admit(ledger, confidence, attempts, name)
            opened_at = self._clock()
            counted = [row.counted_until for row in ledger.rows if row.counted_until is not None]
            since, said_by = counting_from(after, opened_at, max([until, *counted]))
            manifest = Manifest(
                format=FORMAT,
                name=name or books.free_name(chosen.name[:12], ledger),
                policy_sha256=chosen.card.model_sha256,
                card_sha256="",
                metric=str(chosen.card.log_schema.roles.reward),
                metrics=list(opened.metrics),
                actions=list(chosen.actions),
                unit=chosen.card.log_schema.roles.unit,
                train_units_below=chosen.card.train_units_below,
                confidence=confidence,
                attempts=attempts,
                rows_most=rows_most,
                opened_at=opened_at,
                influence_until=until,
                counts_after=since,
                after=said_by,
                audits=AUDITS,
                plan=plan,
                jumar_version=VERSION,
            )
            source = None if isinstance(policy, Policy) else policy_folder(policy)
            manifest = self._store.write_challenger(manifest, source, chosen)
            row = Attempt(
                name=manifest.name,
                alpha=alpha,
                opened_at=opened_at,
                opened_by=user_name(),
                manifest_sha256=sha256(encoded(manifest)),
                policy_sha256=manifest.policy_sha256,
            )
            self._store.write_row(row, ledger)
        return Standing(attempt=row, manifest=manifest, looks=[])

    def update(self, name: str, log: Any, *, rows: Rows = "all", seen: Callable[[int], None] | None = None) -> Standing:
        """Count later rows for a challenger, and look.

        Looking costs nothing, so do it as often as there are new rows: once a day is usual. All rows are counted or
        none.

        Args:
            name: of the challenger.
            log: decisions made after everything that was counted so far; anything ``read_log`` reads.
            rows: "all" refuses rows of units that the policy may have been learned from; "unseen" leaves them out.
            seen: told how many rows have been judged.

        Raises:
            ReleaseError: rows in a wrong order of events, a changed file, or a challenger that is not open.
            LogError, PolicyError: log or policy cannot be used.
        """
        store = self._store
        attempt = store.open_attempt(name)
        manifest = store.manifest(attempt)
        policy, state = store.policy(manifest), store.state(attempt)
        arrival = receive(policy, log, manifest, attempt, state.looks, rows)
        part, content = judge(policy, arrival.log, manifest.plan, unseen=arrival.learned > 0, seen=seen)
        refuse_repeated(content, state.looks)
        earlier = gate_from_json(state.gate, manifest.plan) if state.looks else Gate(manifest.plan, part.actions)
        total = earlier.merge(part)
        look = _look(attempt.looks + 1, self._clock(), arrival, part.rows, content, total.result())
        looks = [*state.looks, look]
        with store.writing():
            if store.attempt(name) != attempt:
                raise ReleaseError(
                    f"Another process changed '{name}' meanwhile", remedy="Nothing was counted; run it again."
                )
            sums = gate_to_json(total)
            after = State(format=FORMAT, manifest_sha256=attempt.manifest_sha256, looks=looks, gate=sums)
            row = store.write_look(_row_after(attempt, look, manifest), after)
        return Standing(attempt=row, manifest=manifest, looks=looks)

    def status(self, name: str) -> Standing:
        """How a challenger stands; every hash is checked on the way.

        Raises:
            ReleaseError: there is none of that name, or one of its files was changed.
        """
        store = self._store
        while True:
            attempt = store.attempt(name)
            try:
                manifest = store.manifest(attempt)
                store.policy(manifest)
                return Standing(attempt=attempt, manifest=manifest, looks=store.state(attempt).looks)
            except ReleaseError:
                if attempt == store.attempt(name):  # else it was looked at between two reads
                    raise

    def passed(self, policy_sha256: str, card_sha256: str) -> Attempt | None:
        """The challenger with this very policy that has passed, the latest of several; None where none has.

        Args:
            policy_sha256, card_sha256: hashes of ``policy.onnx`` and of ``policy.json``.

        Raises:
            ReleaseError: the ledger, or a file of that challenger, was changed.
        """
        ledger = self.known_ledger()
        for row in reversed(ledger.rows if ledger else []):
            same = row.outcome == "passed" and row.policy_sha256 == policy_sha256
            if same and self.status(row.name).manifest.card_sha256 == card_sha256:
                return row
        return None

    def ledger(self) -> Ledger:
        """All attempts.

        Raises:
            ReleaseError: there is no ledger, or it was changed.
        """
        return self._store.ledger()

    def known_ledger(self) -> Ledger | None:
        """All attempts; None where no challenger was ever opened.

        Raises:
            ReleaseError: the ledger was changed.
        """
        return self._store.known_ledger()

    def close(self, name: str, *, why: str) -> Attempt:
        """Give up a challenger that is open. What it spent stays spent.

        Raises:
            ReleaseError: it is not open.
            OptionError: no reason is given.
        """
        if not why.strip():
            raise OptionError("Closing a challenger takes a reason", remedy='Say for example --why "new production".')
        self._store.open_attempt(name)
        with self._store.writing():
            attempt = self._store.open_attempt(name)
            row = msgspec.structs.replace(attempt, outcome="closed", why=why.strip(), decided_at=self._clock())
            self._store.write_row(row, self._store.ledger())
        return row

    def _clock(self) -> datetime.datetime:
        return utc(self._now())

    def _budget(self, confidence: float | None, attempts: int | None) -> tuple[float, int]:
        known = self._store.known_ledger()
        stated = (CONFIDENCE, ATTEMPTS) if known is None else (known.confidence, known.attempts)
        chosen = (stated[0] if confidence is None else confidence, stated[1] if attempts is None else attempts)
        books.checked_budget(*chosen)
        return chosen

    def _admit(self, ledger: Ledger | None, confidence: float, attempts: int, name: str | None) -> None:
        if name is not None and not _NAME.fullmatch(name):
            raise OptionError(
                "A challenger's name holds letters, digits, '-' and '_', 64 at most",
                example=name,
                remedy="Say for example --name autumn-1.",
            )
        if ledger is not None:
            books.admit(ledger, confidence, attempts, self._clock())
            if any(row.name == name for row in ledger.rows):
                raise ReleaseError(f"There is a challenger '{name}' already", remedy="Choose another --name.")


def _row_after(attempt: Attempt, look: Look, manifest: Manifest) -> Attempt:
    """The challenger's row after a look, but for the hash of its state."""
    outcome: Outcome = "open"
    why = ""
    if look.verdict == "certified":
        outcome, why = "passed", f"Its capital reached 1/α at look {look.number}, and no audit blocks."
    elif look.rows_so_far >= manifest.rows_most:
        outcome, why = "retired", f"It did not pass on the {manifest.rows_most:,} decisions that it was given."
    return msgspec.structs.replace(
        attempt,
        outcome=outcome,
        why=why,
        decided_at=None if outcome == "open" else look.at,
        looks=look.number,
        rows=look.rows_so_far,
        counted_until=look.last,
    )


def _look(number: int, at: datetime.datetime, arrival: Arrival, rows: int, content: str, result: GateResult) -> Look:
    return Look(
        number=number,
        at=at,
        source=arrival.log.source,
        rows=rows,
        left_out=arrival.rows - rows,
        first=arrival.first,
        last=arrival.last,
        content_sha256=content,
        rows_so_far=result.rows,
        log_capital=min(one.log_capital for one in result.claims if one.required),
        estimate=result.estimate,
        lower_bound=result.lower_bound,
        production_value=result.production_value,
        claims=result.claims,
        verdict=result.verdict,
        reasons=_reasons(result),
    )


def _reasons(result: GateResult) -> list[str]:
    """Why not yet: what blocks, and how many decisions would be enough."""
    if result.verdict == "certified":
        return []
    blocked = [finding.sentence for finding in result.findings if finding.verdict == "blocked"]
    if result.rows_needed is None or result.rows_needed <= result.rows:
        return blocked
    return [*blocked, f"About {result.rows_needed:,} decisions in all would be enough by what was seen so far."]
