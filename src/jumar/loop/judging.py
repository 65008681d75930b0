"""The gates of a day, and what is frozen for the days to come.

In: ``Work``. Out: looks at open challengers; a policy that was learned and screened, opened as the next one. Each step
finds out what an interrupted run of it has done, does the rest, and says the same. Only ``day`` imports this module.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from jumar.errors import LogError
from jumar.evaluate import Certificate
from jumar.improvement import CERTIFICATE_FILE, improve
from jumar.loop.documents import Step
from jumar.loop.folders import LEARNED, SCREENING, read_document
from jumar.loop.work import ROWS_SEEN, Work
from jumar.release import Attempt, BusyError, NothingLeftError, ReleaseError
from jumar.release.documents import YEAR
from jumar.release.ledger import admit, spent

WINDOW = "window"
REPLACED = "production was replaced"
SEEN_SHARE = 0.5  # of units, about, that a policy was not fitted on


def gates_step(work: Work) -> Step:
    """Every open challenger sees the day; those of an earlier production are closed."""
    said, figures = [], {}
    against, production = work.seen_under(), work.production
    told = {name for day in work.days if (step := day.step("gates")) for name in step.figures}
    for attempt in work.attempts():
        closed = f"{attempt.name}.closed"
        stale = against.get(attempt.name, production) != production
        if (attempt.outcome == "open" and stale) or (attempt.why == REPLACED and closed not in told):
            if attempt.outcome == "open":
                work.gates.close(attempt.name, why=REPLACED)
            figures[closed] = 1.0
            said.append(f"{attempt.name} was closed: {REPLACED}, and with it what it was compared with.")
        elif attempt.outcome == "open" or _saw(work, attempt):
            said.append(_looked(work, attempt, figures))
    return Step(name="gates", said=said or ["No challenger is open."], figures=figures)


def _saw(work: Work, attempt: Attempt) -> bool:
    """Whether a challenger has counted the day."""
    return attempt.counted_until is not None and attempt.counted_until.date() >= work.date


def _looked(work: Work, attempt: Attempt, figures: dict[str, float]) -> str:
    """One challenger after the day, in words."""
    name, standing = attempt.name, work.gates.status(attempt.name)
    if not _saw(work, attempt):
        if work.held:
            return f"{name} does not count the day: an audit blocks."
        if not work.folders.rows(work.date) or standing.manifest.counts_after.date() >= work.date:
            return f"{name}: the day holds no decision that it can count."
        try:
            standing = work.gates.update(name, work.folders.counted(work.date), rows="unseen")
        except NothingLeftError:
            return f"{name}: it may have learned from all units of the day."
    look = standing.looks[-1]
    figures |= {f"{name}{ROWS_SEEN}": float(look.rows_so_far), f"{name}.log_capital": look.log_capital}
    return (
        f"{name}: {standing.attempt.outcome} after {look.rows_so_far:,} decisions; gain {look.estimate:+.4g} a "
        f"decision, {look.log_capital:.1f} nats of evidence."
    )


def learn_step(work: Work) -> tuple[Step, str]:
    """Learn from the last days, and freeze what was learned; the name of the challenger beside it, or nothing."""
    name = f"d{work.date:%Y%m%d}"
    opened = any(attempt.name == name for attempt in work.attempts())  # before the step could be written down
    waits = "" if opened else _why_not(work)
    if waits:
        return Step(name="learn", said=[waits]), ""
    window = work.place / WINDOW
    try:
        return _learned(work, name, window)
    finally:
        shutil.rmtree(window, ignore_errors=True)


def _learned(work: Work, name: str, window: Path) -> tuple[Step, str]:
    days = work.days_of_production(work.config.window)
    rows = sum(work.folders.rows(date) for date in days)
    figures = {"days": float(len(days)), "rows": float(rows)}
    result = work.place / LEARNED
    certificate = read_document(result / SCREENING, Certificate)
    if certificate is None:
        certificate = _improved(work, work.folders.window(days, window), result)
    if certificate.verdict != "certified":
        said = [f"Nothing was learned from {rows:,} decisions that is worth an attempt.", *certificate.reasons]
        return Step(name="learn", said=said, figures=figures), ""
    planned = max(round(work.folders.rows(work.date) * SEEN_SHARE * work.config.judge_days), 1)
    if all(attempt.name != name for attempt in work.attempts()):
        try:
            _open(work, name, window if window.exists() else work.folders.window(days, window), planned)
        except BusyError:
            raise
        except (LogError, ReleaseError) as error:
            said = [f"A policy was learned, but cannot be judged day by day: {error}"]
            return Step(name="learn", said=said, figures=figures, attention=True), ""
    gain = certificate.relative_estimate
    promised = "" if gain is None else f", which promises {gain:+.1%}"
    said = [f"{name} was opened{promised}; about {planned:,} decisions will judge it."]
    return Step(name="learn", said=said, figures=figures | {"rows_planned": float(planned)}), name


def _improved(work: Work, window: Path, result: Path) -> Certificate:
    config = work.config
    found = improve(
        work.counted_log(window),
        confidence=config.screening,
        seed=config.seed,
        exploration=config.exploration,
        margin=config.margin,
        gain=config.gain,
        guardrail=config.guardrail,
        reduce=config.reduce,
        budget=config.budget,
        learner=config.learner,
    )
    found.save(result)
    (result / CERTIFICATE_FILE).rename(result / SCREENING)
    return found.certificate


def _open(work: Work, name: str, window: Path, planned: int) -> None:
    config = work.config
    work.gates.open(
        work.place / LEARNED,
        window,
        rows_planned=planned,
        rows_most=2 * planned,
        confidence=config.confidence,
        attempts=config.attempts,
        name=name,
        after="log",
        margin=config.margin,
        gain=config.gain,
        guardrail=config.guardrail,
        reduce=config.reduce,
        budget=config.budget,
        seed=config.seed,
    )


def _why_not(work: Work) -> str:
    """Why nothing is learned today; empty if it is.

    Raises:
        ReleaseError: the ledger was begun with another budget than the settings state.
    """
    config, state = work.config, work.registry.state()
    if work.held:
        return "An audit blocks."
    still = [attempt.name for attempt in work.attempts() if attempt.outcome == "open"]
    if still:
        return f"{still[0]} is being judged."
    if state.aliases.challenger is not None:
        return "A canary is in progress."
    if work.judged != work.production:
        return f"{work.production} is new; it has made no decision that counts."
    tried = [day.date for day in work.days if (step := day.step("learn")) is not None and "rows" in step.figures]
    if tried and (work.date - tried[-1]).days < config.every:
        return f"The last attempt was made on {tried[-1]}; the next is due {config.every} days later."
    days = work.days_of_production(config.window)
    rows = sum(work.folders.rows(date) for date in days)
    if rows < config.least_rows:
        return f"{work.production} has made {rows:,} decisions so far; {config.least_rows:,} are asked for."
    return _spent(work)


def _spent(work: Work) -> str:
    """Why the ledger has no attempt left; empty if it has, or was not begun yet."""
    config, ledger, now = work.config, work.gates.known_ledger(), work.now()
    if ledger is None:
        return ""
    taken = spent(ledger, now)
    if (ledger.confidence, ledger.attempts) == (config.confidence, config.attempts) and len(taken) >= config.attempts:
        free = taken[-config.attempts] + YEAR
        return f"All {config.attempts} attempts of a year are spent; the next is free on {free:%Y-%m-%d}."
    admit(ledger, config.confidence, config.attempts, now)
    return ""
