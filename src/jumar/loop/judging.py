"""The gates of a day, and what is frozen for the days to come.

In: ``Work``. Out: looks at open challengers; a policy that was learned and screened, opened as the next one. Only
``day`` imports this module.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from jumar.improvement import Improvement, improve
from jumar.loop.documents import LEARNED, Step
from jumar.loop.work import Work
from jumar.release import ReleaseError

WINDOW = "window"
REPLACED = "production was replaced"
SEEN_SHARE = 0.5  # of units, about, that a policy was not fitted on


def gates_step(work: Work) -> Step:
    """Every open challenger sees the day; those of an earlier production are closed."""
    said, figures = [], {}
    against, production = work.comparators(), work.production
    for attempt in work.attempts():
        if attempt.outcome != "open":
            continue
        if against.get(attempt.name, production) != production:
            work.gates.close(attempt.name, why=REPLACED)
            said.append(f"{attempt.name} was closed: {REPLACED}, and with it what it was compared with.")
            continue
        if not work.folders.rows(work.date):
            continue
        standing = work.gates.status(attempt.name)
        if not (standing.looks and standing.looks[-1].last.date() >= work.date):  # else it saw the day already
            standing = work.gates.update(attempt.name, work.folders.counted(work.date), rows="unseen")
        look = standing.looks[-1]
        figures |= {f"{attempt.name}.rows": float(look.rows_so_far), f"{attempt.name}.log_capital": look.log_capital}
        said.append(
            f"{attempt.name}: {standing.attempt.outcome} after {look.rows_so_far:,} decisions; gain "
            f"{look.estimate:+.4g} a decision, {look.log_capital:.1f} nats of evidence."
        )
    return Step(name="gates", said=said or ["No challenger is open."], figures=figures)


def learn_step(work: Work) -> tuple[Step, str]:
    """Learn from the last days, and freeze what was learned; the name of the challenger beside it, or nothing."""
    waits = _why_not(work)
    if waits:
        return Step(name="learn", said=[waits]), ""
    days = work.days_of_production(work.config.window)
    name = f"d{work.date:%Y%m%d}"
    if any(attempt.name == name for attempt in work.attempts()):  # opened before the step could be written down
        return Step(name="learn", said=[f"{name} was opened."]), name
    window = work.folders.window(days, work.place / WINDOW)
    try:
        config, log = work.config, work.counted_log(window)
        found = improve(
            log,
            confidence=config.screening,
            seed=config.seed,
            margin=config.margin,
            gain=config.gain,
            guardrail=config.guardrail,
            reduce=config.reduce,
            budget=config.budget,
            learner=config.learner,
        )
        found.save(work.place / LEARNED)
        figures = {"days": float(len(days)), "rows": float(log.rows)}
        if found.policy is None:
            said = [f"Nothing was learned from {log.rows:,} decisions that is worth an attempt.", *found.certificate.reasons]
            return Step(name="learn", said=said, figures=figures), ""
        return _opened(work, name, window, found, figures)
    finally:
        shutil.rmtree(window, ignore_errors=True)


def _opened(work: Work, name: str, window: Path, found: Improvement, figures: dict[str, float]) -> tuple[Step, str]:
    config = work.config
    daily = max(work.folders.rows(work.date), 1) * SEEN_SHARE
    planned = max(round(daily * config.judge_days), 1)
    try:
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
    except ReleaseError as error:
        return Step(name="learn", said=[f"A policy was learned, but not opened: {error}"], figures=figures), ""
    gain = found.certificate.relative_estimate
    promised = "" if gain is None else f", which promises {gain:+.1%}"
    said = f"{name} was opened{promised}; about {planned:,} decisions will judge it."
    return Step(name="learn", said=[said], figures=figures | {"rows_planned": float(planned)}), name


def _why_not(work: Work) -> str:
    """Why nothing is learned today; empty if it is."""
    config, state = work.config, work.registry.state()
    if work.held:
        return "An audit blocks."
    still = [attempt.name for attempt in work.attempts() if attempt.outcome == "open"]
    if still:
        return f"{still[0]} is being judged."
    if state.aliases.challenger is not None:
        return "A canary is in progress."
    tried = [day.date for day in work.folders.days() if day.date < work.date and (day.step("learn") is not None)]
    learned = [date for date in tried if (work.folders.of(date) / LEARNED).exists()]
    if learned and (work.date - learned[-1]).days < config.every:
        return f"The last attempt was made on {learned[-1]}; the next is due {config.every} days later."
    days = work.days_of_production(config.window)
    rows = sum(work.folders.rows(date) for date in days)
    if rows < config.least_rows:
        return f"{work.production} has made {rows:,} decisions so far; {config.least_rows:,} are asked for."
    return ""
