"""From documents to the board: who was let in, on what grounds, what came of it, what is going on.

In: ``Documents``, the time. Out: ``Board``. The server and the command line import ``gather``; what asks for a person
``notices`` knows.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable

from jumar.board.notices import notices
from jumar.board.reading import Documents
from jumar.board.view import (
    BeforeAfter,
    Board,
    CanaryGain,
    CanaryView,
    ChallengerView,
    DayView,
    Gain,
    Guardrail,
    LedgerView,
    PolicyView,
    Role,
    WalkLook,
    WatchView,
)
from jumar.evaluate.certificate import Certificate, ClaimResult
from jumar.loop.documents import Day, LoopConfig
from jumar.release.canary_plan import CanaryRecord, MetricLook
from jumar.release.documents import YEAR, Attempt, Look, Manifest
from jumar.release.ledger import share_of, spent
from jumar.release.registry.documents import RegistryRecord
from jumar.release.watch import Watch

COMPARED = 14  # days on either side of a change
REWARD, SHARE = "reward", "share:"


def gather(found: Documents, at: datetime.datetime) -> Board:
    """The board.

    Args:
        found: what was read.
        at: now, in UTC.
    """
    days = [_day(day) for day in found.days]
    challengers = _challengers(found)
    canary, watch = _canary(found), _watch(found.watch)
    ledger = _ledger(found, at)
    policies = _policies(found, days, {one.name: one for one in challengers})
    shown = [*challengers[:1], *(one for one in challengers[1:] if one.outcome == "open")]
    return Board(
        at=at,
        registry=found.registry,
        folder=found.folder,
        unread=sorted(found.unread),
        incumbent=found.days[-1].config.incumbent if found.days else LoopConfig().incumbent,
        state=found.state,
        notices=notices(found, at, ledger=ledger, canary=canary, watch=watch),
        policies=policies,
        challengers=challengers,
        canary=canary,
        watch=watch,
        guardrails=_guardrails(shown, found.canary, canary, found.watch),
        ledger=ledger,
        days=days,
        trail=found.history[::-1],
    )


# policies


def _policies(found: Documents, days: list[DayView], known: dict[str, ChallengerView]) -> list[PolicyView]:
    """Every version that was let in, the latest first."""
    first: dict[str, RegistryRecord] = {}
    for record in found.history:
        if record.version and record.what in ("canary", "promote"):
            first.setdefault(record.version, record)
    canaries = _canary_gains(found.days)
    policies = []
    for number, (version, record) in enumerate(first.items(), 1):
        held, challenger = found.versions.get(version), known.get(record.attempt)
        certificate = held.certificate if held else None
        run = certificate or found.learned.get(record.attempt)
        gain = challenger.gain if challenger and challenger.gain else _promised(certificate)
        policies.append(
            PolicyView(
                number=number,
                version=version,
                role=_role(version, found.history),
                at=record.at,
                who=record.who,
                why=record.why,
                record=record.number,
                forced=record.forced,
                attempt=record.attempt,
                alpha=record.alpha,
                certified=gain,
                canary=canaries.get(version),
                served=_served(version, days),
                deviation=run.deviation if run else None,
                days=sum(day.production == version for day in days),
            )
        )
    return policies[::-1]


def _role(version: str, history: list[RegistryRecord]) -> Role:
    """What a version is now."""
    aliases = history[-1].aliases
    for role in ("production", "challenger", "previous"):
        if getattr(aliases, role) == version:
            return role
    before = None
    role: Role = "replaced"
    for record in history:
        if record.what == "abandon" and record.version == version:
            role = "taken back"
        elif record.what == "rollback" and before is not None and version in (before.production, before.challenger):
            role = "rolled back"
        elif version in (record.aliases.production, record.aliases.challenger):
            role = "replaced"
        before = record.aliases
    return role


def _promised(certificate: Certificate | None) -> Gain | None:
    """What a certificate says about the gain."""
    c = certificate
    if c is None or c.estimate is None or c.lower_bound is None:
        return None
    return Gain(
        estimate=c.estimate,
        lower_bound=c.lower_bound,
        production=c.production_value,
        confidence=c.confidence,
        rows=c.rows,
        source="certificate",
        passed=c.verdict == "certified",
    )


def _canary_gains(days: list[Day]) -> dict[str, CanaryGain]:
    """What the last look of each canary showed of the reward, by version; steps remember it."""
    gains, serving = {}, None
    for day in days:
        step = day.step("canary")
        names = ("production", "change", "at_least", "at_most")
        figures = [step.figures.get(f"{REWARD}.{name}") for name in names] if step else [None]
        version = serving or day.challenger
        if version and all(one is not None for one in figures):
            gains[version] = CanaryGain(date=day.date, **dict(zip(names, figures, strict=True)))  # type: ignore[arg-type]
        serving = day.challenger
    return gains


def _served(version: str, days: list[DayView]) -> BeforeAfter | None:
    """Mean reward before and after a version became production."""
    mine = [i for i, day in enumerate(days) if day.production == version]
    if not mine or not mine[0]:
        return None
    earlier = days[mine[0] - 1].production
    before = [day for day in days[: mine[0]] if day.production == earlier and day.reward is not None][-COMPARED:]
    after = [days[i] for i in mine if days[i].reward is not None][:COMPARED]
    if not before or not after:
        return None
    return BeforeAfter(before=_mean(before), after=_mean(after), days_before=len(before), days_after=len(after))


def _mean(days: list[DayView]) -> float:
    """Mean reward per decision of several days."""
    weights = [day.counted or 0 for day in days]
    total = sum(weights)
    if not total:
        return math.fsum(day.reward or 0.0 for day in days) / len(days)
    return math.fsum((day.reward or 0.0) * weight for day, weight in zip(days, weights, strict=True)) / total


# the gates


def _challengers(found: Documents) -> list[ChallengerView]:
    against = {day.opened: day.production for day in found.days if day.opened}
    rows = found.ledger.rows if found.ledger else []
    views = [
        _challenger(
            row,
            found.manifests.get(row.name),
            found.looks.get(row.name, []),
            found.learned.get(row.name),
            against.get(row.name, ""),
        )
        for row in rows
    ]
    return views[::-1]


def _challenger(
    row: Attempt, manifest: Manifest | None, looks: list[Look], learned: Certificate | None, against: str
) -> ChallengerView:
    needs, last = -math.log(row.alpha), looks[-1] if looks else None
    return ChallengerView(
        name=row.name,
        outcome=row.outcome,
        why=row.why,
        opened_at=row.opened_at,
        decided_at=row.decided_at,
        against=against,
        alpha=row.alpha,
        needs=needs,
        rows=row.rows,
        rows_planned=manifest.plan.rows_planned if manifest else None,
        rows_most=manifest.rows_most if manifest else None,
        promise=_promised(learned),
        deviation=learned.deviation if learned else None,
        gain=_judged(last, row) if last else None,
        walk=[
            WalkLook(
                date=look.last.date(),
                rows=look.rows_so_far,
                log_capital=look.log_capital,
                estimate=look.estimate,
                lower_bound=look.lower_bound,
            )
            for look in looks
        ],
        claims=last.claims if last else [],
        reasons=last.reasons if last else [],
        closest=min(max(last.log_capital / needs, 0.0), 1.0) if last else 0.0,
    )


def _judged(look: Look, row: Attempt) -> Gain:
    return Gain(
        estimate=look.estimate,
        lower_bound=look.lower_bound,
        production=look.production_value,
        confidence=1.0 - row.alpha,
        rows=look.rows_so_far,
        source="gate",
        passed=row.outcome == "passed",
    )


def _ledger(found: Documents, at: datetime.datetime) -> LedgerView | None:
    ledger = found.ledger
    if ledger is None:
        return None
    taken = spent(ledger, at)
    each = share_of(ledger.confidence, ledger.attempts)
    left = max(ledger.attempts - len(taken), 0)
    return LedgerView(
        confidence=ledger.confidence,
        attempts=ledger.attempts,
        spent=len(taken),
        left=left,
        alpha=each * ledger.attempts,
        alpha_spent=each * len(taken),
        alpha_left=each * left,
        next_free=taken[0] + YEAR if taken else None,
        rows=ledger.rows,
    )


# canary and watch


def _canary(found: Documents) -> CanaryView | None:
    record = found.canary
    if record is None:
        return None
    plan, last = record.plan, record.days[-1] if record.days else None
    looked = next((day for day in reversed(record.days) if day.metrics), None)
    state = found.state
    stage = plan.all_stages[min(record.stage, len(plan.all_stages) - 1)]
    running = state is not None and state.salt == plan.salt and record.outcome == "open"
    return CanaryView(
        production=plan.production,
        challenger=plan.challenger,
        outcome=record.outcome,
        running=running,
        shares=[one.share for one in plan.all_stages],
        stage=record.stage,
        day=record.day,
        share=state.share if running and state else last.share if last else 0.0,
        next_look=next((day for day in stage.looks if day > record.day), None),
        exposed=last.exposed if last else 0,
        others=last.others if last else 0,
        astray=last.astray if last else 0.0,
        most_astray=plan.most_astray,
        log_ratio=last.log_ratio if last else 0.0,
        ratio_needs=-math.log(plan.ratio_alpha),
        looked=looked.date if looked else None,
        metrics=looked.metrics if looked else [],
        reasons=last.reasons if last else [],
        days=len(record.days),
    )


def _watch(watch: Watch | None) -> WatchView | None:
    if watch is None:
        return None
    return WatchView(
        current=watch.plan.current,
        previous=watch.plan.previous,
        outcome=watch.outcome,
        metrics=[one.name for one in watch.plan.metrics],
        days_planned=watch.plan.days,
        days=watch.days,
    )


# metrics beside the reward


def _guardrails(
    challengers: Iterable[ChallengerView], record: CanaryRecord | None, canary: CanaryView | None, watch: Watch | None
) -> list[Guardrail]:
    rows = [_claimed(one.name, claim) for one in challengers for claim in one.claims if claim.kind == "metric"]
    if record is not None and canary is not None:
        better = {one.name: one.better for one in record.plan.metrics[1:]}
        rows += [_compared(look, better[look.name]) for look in canary.metrics if look.name in better]
    if watch is not None and watch.days:
        last = watch.days[-1]
        rows += [
            Guardrail(
                metric=one.name,
                better=one.better,
                where="watch",
                production=None,
                change=None,
                bound=None,
                log_harm=harm,
                harm_needs=last.needs,
                state="harm" if harm >= last.needs else "no harm",
            )
            for one, harm in list(zip(watch.plan.metrics, last.log_harm, strict=True))[1:]
        ]
    return sorted(rows, key=lambda row: row.metric)


def _claimed(name: str, claim: ClaimResult) -> Guardrail:
    """A claim of the gate. Exceeding it by ``lower_bound`` at least bounds the change on the worse side."""
    sign = 1.0 if claim.better == "higher" else -1.0
    return Guardrail(
        metric=claim.metric,
        better=claim.better,
        where=f"gate, {name}",
        production=claim.production,
        change=claim.change,
        bound=claim.change + sign * (claim.lower_bound - claim.estimate),
        log_harm=None,
        harm_needs=None,
        state="shown" if claim.verdict == "passed" else "open",
    )


def _compared(look: MetricLook, better: str) -> Guardrail:
    harmed = look.log_harm >= look.harm_needs
    proven = look.log_proof is not None and look.proof_needs is not None and look.log_proof >= look.proof_needs
    return Guardrail(
        metric=look.name,
        better="higher" if better == "higher" else "lower",
        where="canary",
        production=look.production,
        change=look.change,
        bound=look.at_least if better == "higher" else look.at_most,
        log_harm=look.log_harm,
        harm_needs=look.harm_needs,
        state="harm" if harmed else "shown" if proven else "no harm",
    )


# days


def _day(day: Day) -> DayView:
    step = day.step("join")
    figures = step.figures if step else {}
    counted = figures.get("counted")
    return DayView(
        date=day.date,
        production=day.production,
        challenger=day.challenger,
        opened=day.opened,
        complete=day.complete,
        attention=day.attention,
        counted=None if counted is None else round(counted),
        reward=figures.get(REWARD),
        shares={name.removeprefix(SHARE): part for name, part in figures.items() if name.startswith(SHARE)},
        steps=day.steps,
    )
