"""What asks for a person, gathered from everywhere: it stands at the top of the page.

In: ``Documents`` and what was made of them. Out: ``Notice`` values, the worst first. Only ``gathered`` imports this
module.
"""

from __future__ import annotations

import datetime

from jumar.board.reading import Documents
from jumar.board.view import CanaryView, LedgerView, Notice, WatchView
from jumar.errors import JumarError
from jumar.logs.timelines import seconds

RECENT = datetime.timedelta(days=7)
NEAR = 0.5  # of the evidence that takes something back
FEW = 0.1  # of a year's attempts


def notices(
    found: Documents,
    at: datetime.datetime,
    *,
    ledger: LedgerView | None,
    canary: CanaryView | None,
    watch: WatchView | None,
) -> list[Notice]:
    """All of them, bad ones first, each kind from the latest on."""
    told = [_unreadable(found), *_records(found, at), *_days(found), _silence(found, at), _spent(ledger)]
    told += [_canary(canary), _watch(watch)]
    kept = [one for one in told if one is not None]
    latest = sorted(kept, key=lambda one: one.at or datetime.date.max, reverse=True)
    return sorted(latest, key=lambda one: one.level != "bad")


def _unreadable(found: Documents) -> Notice | None:
    if not found.troubles:
        return None
    return Notice(level="bad", at=None, what="Could not be read", said=list(dict.fromkeys(found.troubles)))


def _records(found: Documents, at: datetime.datetime) -> list[Notice]:
    """What was taken back of late; and production, for as long as nothing certifies it."""
    told = [
        Notice(
            level="bad",
            at=one.at.date(),
            what=f"Rolled back to {one.version}" if one.what == "rollback" else f"Canary of {one.version} was ended",
            said=[one.why],
        )
        for one in found.history
        if one.what in ("rollback", "abandon") and one.at > at - RECENT
    ]
    aliases = found.state.aliases if found.state else None
    for version in (aliases.production, aliases.challenger) if aliases else ():
        let_in = next((one for one in reversed(found.history) if one.version == version), None)
        if version is not None and let_in is not None and let_in.forced:
            said = [f"{let_in.who} forced it in: {let_in.why}"]
            told.append(Notice(level="warn", at=None, what=f"Nothing certifies {version}, which decides", said=said))
    return told


def _days(found: Documents) -> list[Notice]:
    """Steps of the last days that say so; a day that was begun and not ended."""
    if not found.days:
        return []
    last, told = found.days[-1].date, []
    for day in found.days:
        if day.date <= last - RECENT:
            continue
        for step in day.steps:
            if step.attention:
                told.append(
                    Notice(
                        level="bad" if day.date == last else "warn",
                        at=day.date,
                        what=f"The step '{step.name}' asks for a look",
                        said=step.said,
                    )
                )
        if not day.complete:
            done = ", ".join(step.name for step in day.steps)
            said = [f"Done so far: {done}. Run the day again; it goes on where it stopped."]
            told.append(Notice(level="warn", at=day.date, what="The day is not complete", said=said))
    return told


def _silence(found: Documents, at: datetime.datetime) -> Notice | None:
    """Days that could have been run by now, with a day's grace."""
    done = [day for day in found.days if day.complete]
    if not done:
        return None
    try:
        wait = datetime.timedelta(seconds=seconds("wait", done[-1].config.wait))
    except (JumarError, OverflowError):
        return None
    due = (at - wait).date() - datetime.timedelta(days=1)
    missing = (due - done[-1].date).days
    if missing < 2:
        return None
    said = [f"{missing} days could have been run since. Look at whatever runs jumar loop every day."]
    return Notice(level="warn", at=None, what=f"No day was finished after {done[-1].date}", said=said)


def _spent(ledger: LedgerView | None) -> Notice | None:
    if ledger is None or ledger.left > FEW * ledger.attempts:
        return None
    free = f"The next one is free on {ledger.next_free:%Y-%m-%d}." if ledger.next_free else ""
    what = f"{ledger.left} of {ledger.attempts} attempts are left" if ledger.left else "All attempts are spent"
    return Notice(level="warn", at=None, what=what, said=[free] if free else [])


def _canary(canary: CanaryView | None) -> Notice | None:
    if canary is None or not canary.running:
        return None
    near = [one for one in canary.metrics if NEAR <= one.log_harm / one.harm_needs < 1.0]
    said = [
        f"'{one.name}': {one.log_harm:.1f} nats of evidence for harm; {one.harm_needs:.1f} take it back."
        for one in near
    ]
    if canary.log_ratio >= NEAR * canary.ratio_needs:
        said.append("The arms do not have the sizes that chance gives them; decisions of one may be missing.")
    if canary.astray > canary.most_astray:
        said.append(f"{canary.astray:.1%} of its rows were decided by another policy than their arm's.")
    if not said:
        return None
    return Notice(level="warn", at=None, what=f"The canary of {canary.challenger} is not going well", said=said)


def _watch(watch: WatchView | None) -> Notice | None:
    if watch is None or watch.outcome != "open" or not watch.days:
        return None
    last = watch.days[-1]
    said = [
        f"'{name}': {harm:.1f} of the {last.needs:.1f} nats that roll back."
        for name, harm in zip(watch.metrics, last.log_harm, strict=True)
        if NEAR <= harm / last.needs < 1.0
    ]
    if not said:
        return None
    return Notice(level="warn", at=None, what=f"{watch.current} may be worse than {watch.previous}", said=said)
