"""From a challenger that passed to production: the canary, the release, and the watch that comes after.

In: ``Work``. Out: records of the registry, and steps that say why. Each step writes down what it found before it acts,
and asks the registry whether an interrupted run of it has acted, so that nothing is done twice and the same is said.
Only ``day`` imports this module.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jumar.evaluate.claims import Claim
from jumar.loop.documents import Step
from jumar.loop.folders import CANARY, WATCH, keep, read_document
from jumar.loop.served import served_pmf
from jumar.loop.work import Work, columns_of, pc
from jumar.release import Attempt, RegistryRecord, ReleaseError
from jumar.release.canary import begin, update
from jumar.release.canary_plan import CanaryMetric, CanaryPlan
from jumar.release.canary_state import Canary
from jumar.release.watch import Watch, WatchMetric, WatchPlan, begin_watch, update_watch
from jumar.serve.join import REPORT
from jumar.serve.join_report import JoinReport

KEPT = 0.995  # of the units whose sums are not cut in a canary


def canary_step(work: Work) -> Step:
    """Compare the arms on this day, and let the share grow, stay, or end."""
    canary = _canary(work)
    if canary is None:
        return Step(name="canary", said=["No canary is in progress."])
    state, last, plan = work.registry.state(), canary.last, canary.record.plan
    assert last is not None
    running = state.aliases.challenger == plan.challenger and state.salt == plan.salt
    figures = {"share": last.share, "exposed": float(last.exposed), "others": float(last.others)}
    for one in last.metrics:
        named = ("production", "change", "at_least", "at_most")
        figures |= {f"{one.name}.{name}": getattr(one, name) for name in named}
    why = f"Canary: {' '.join(last.reasons)}"
    if last.decision == "rollback":
        if running:
            work.registry.abandon(why=why, expect=state.number)
        said = [f"{plan.challenger} was taken back.", *last.reasons]
        return Step(name="canary", said=said, attention=True, figures=figures)
    grows = running and state.share < last.share
    if grows and work.held:
        said = [*last.reasons, f"An audit blocks: {plan.challenger} goes on serving {state.share:.4g} of the units."]
        return Step(name="canary", said=said, figures=figures)
    if grows:
        work.registry.widen(last.share, why=why, expect=state.number)
    if any(one.version == plan.challenger for one in work.done("widen", "promote")):
        said = [f"{plan.challenger} serves {last.share:.4g} of the units from now on.", *last.reasons]
        return Step(name="canary", said=said, figures=figures)
    return Step(name="canary", said=last.reasons, figures=figures)


def _canary(work: Work) -> Canary | None:
    """The canary with this day in it; None where there is none."""
    path, state = work.folders.root / CANARY, work.registry.state()
    known = Canary.from_bytes(path.read_bytes()) if path.exists() else None
    version = state.aliases.challenger
    if known is not None and known.last is not None:
        ours = known.record.plan.challenger
        if known.last.date == work.date or any(one.version == ours for one in work.done("promote", "abandon")):
            return known  # an earlier run of this step was cut off
    if version is None:
        return None
    canary = known if known is not None and known.record.plan.salt == state.salt else _begun(work, state, version)
    if canary.record.outcome == "open":
        rows = _rows(work, work.folders.joined(work.date), canary.record.plan)
        canary = update(canary, work.date, rows, share=work.share_at_end(version))
        keep(path, canary.to_bytes())
    return canary


def _begun(work: Work, state: RegistryRecord, version: str) -> Canary:
    """A new canary, told apart by the days that came before it."""
    days = [date for date in work.days_of_production(work.config.canary_before + 1) if date < work.date]
    before = [work.folders.joined(date) for date in days]
    plan = CanaryPlan(
        salt=state.salt,
        production=work.production,
        challenger=version,
        metrics=[_canary_metric(work, claim, before) for claim in work.claims()],
        stages=list(work.config.stages),
        watch=None,
        alpha=work.config.alpha,
    )
    canary = begin(plan)
    for date, path in zip(days, before, strict=True):
        canary = update(canary, date, _rows(work, path, plan), share=0.0)
    return canary


def _canary_metric(work: Work, claim: Claim, before: list[Path]) -> CanaryMetric:
    """What units bring of one metric, cut at what nearly all of them stay within in as many days as lie before."""
    low, high, name = min(claim.low, 0.0), max(claim.high, 0.0), _column(claim)
    if before:
        rows = pa.concat_tables([_by_unit(work, path, ["unit", name]) for path in before])
        rows = rows.filter(pc.is_valid(rows["unit"]))
        sums = rows.group_by("unit").aggregate([(name, "sum")])[f"{name}_sum"].to_numpy()
        high = max(high, float(np.quantile(sums, KEPT)))
        low = min(low, float(np.quantile(sums, 1.0 - KEPT)))
    tolerance, days = _tolerance(work, claim, low), max(len(before), 1)
    return CanaryMetric(name=name, low=low, high=high, days=days, better=claim.better, tolerance=tolerance)


def _tolerance(work: Work, claim: Claim, low: float) -> float:
    """What may be lost, as a share of what there is; a share of what may be negative says nothing.

    Of a guardrail that must get better, nothing is: that is the gate's to show.
    """
    margin = work.config.margin if claim.kind == "value" else max(claim.margin, 0.0)
    return margin if low >= 0.0 else 0.0


def _column(claim: Claim) -> str:
    """The column of a joined log that a claim is about: of the gain, whatever is certified as the reward."""
    return claim.metric


def _rows(work: Work, path: Path, plan: CanaryPlan) -> pa.Table:
    """The columns of a canary."""
    return _by_unit(work, path, ["unit", "policy", *(one.name for one in plan.metrics)])


def _by_unit(work: Work, path: Path, names: list[str]) -> pa.Table:
    """Columns of a joined log, the first of which is the unit, as text, and null where a decision had none.

    The join puts the decision's id there, which may look like an exposed unit although production decided.
    """
    table = work.capped(columns_of(path, [*names, "decision_id"]))
    report, unit = read_document(path.with_name(REPORT), JoinReport), table["unit"].cast(pa.string())
    if report is None or report.without_unit:
        nameless = pc.equal(unit, table["decision_id"].cast(pa.string()))
        unit = pc.if_else(nameless, pa.scalar(None, pa.string()), unit)
    return table.set_column(0, "unit", unit).select(names)


def release_step(work: Work) -> Step:
    """Let the first challenger in that has passed and was not let in yet."""
    registry, state, against = work.registry, work.registry.state(), work.comparators()
    begun = work.done("canary", "promote")
    before = {record.attempt for record in registry.history() if record.number <= work.since}
    for attempt in work.attempts():
        if attempt.outcome != "passed" or attempt.name in before or attempt.name not in against:
            continue
        known = next((one for one in begun if one.attempt == attempt.name), None)
        if known is not None:
            return _released(attempt, known)
        if against[attempt.name] != work.production:
            continue  # compared with what is no longer there
        if work.held:
            return Step(name="release", said=[f"{attempt.name} has passed, but an audit of the day blocks."])
        if state.aliases.challenger is not None:
            return Step(name="release", said=[f"{attempt.name} has passed and waits for the canary to end."])
        folder = work.gates_folder / attempt.name
        version = registry.register(folder, why=f"Learned by the loop, {attempt.name}.").version
        staged = work.config.canary and state.aliases.production is not None
        share = work.config.stages[0].share if staged else 1.0
        why = f"{attempt.name} passed its gate. {attempt.why}"
        return _released(attempt, registry.promote(version, why=why, share=share, expect=state.number))
    return Step(name="release", said=["Nothing has passed that is not in already."])


def _released(attempt: Attempt, record: RegistryRecord) -> Step:
    share = record.share if record.what == "canary" else 1.0
    said = f"{attempt.name} passed; {record.version} serves {share:.4g} of the units from now on."
    return Step(name="release", said=[said], figures={"share": share})


def watch_step(work: Work) -> Step:
    """Is production worse than what it replaced, by its own exploration?"""
    path = work.folders.root / WATCH
    watch = read_document(path, Watch)
    if watch is None or not watch.days or watch.days[-1].date != work.date:  # else an earlier run was cut off
        found = _watched(work, watch)
        if isinstance(found, str):
            return Step(name="watch", said=[found])
        watch = found
        keep(path, msgspec.json.encode(watch))
    last, plan = watch.days[-1], watch.plan
    figures = {"day": float(last.day), "log_harm": max(last.log_harm)}
    if last.decision != "rollback":
        return Step(name="watch", said=last.reasons, figures=figures)
    state = work.registry.state()
    if (state.aliases.production, state.aliases.previous) == (plan.current, plan.previous):
        work.registry.rollback(why=f"Watch: {' '.join(last.reasons)}", expect=state.number)
    said = [f"Production went back from {plan.current} to {plan.previous}.", *last.reasons]
    return Step(name="watch", said=said, attention=True, figures=figures)


def _watched(work: Work, watch: Watch | None) -> Watch | str:
    """The watch with this day in it, or why there is nothing to watch."""
    aliases, config = work.registry.state().aliases, work.config
    current, previous = aliases.production, aliases.previous
    if not config.watch_days or current is None or previous is None:
        return "There is nothing to compare production with."
    if work.judged != current:
        return "Production is new; it is watched from the next day on."
    if work.held or not work.folders.rows(work.date):
        return "The day does not count."
    if watch is None or (watch.plan.current, watch.plan.previous) != (current, previous):
        if _came_back(work, current):
            return "Production came back by a rollback; it was watched before."
        metrics = [
            WatchMetric(
                name=_column(claim),
                low=claim.low,
                high=claim.high,
                better=claim.better,
                tolerance=_tolerance(work, claim, claim.low),
            )
            for claim in work.claims()
        ]
        plan = WatchPlan(
            current=current, previous=previous, metrics=metrics, days=config.watch_days, alpha=config.alpha
        )
        watch = begin_watch(plan)
    if watch.outcome != "open":
        return f"The watch ended on {watch.days[-1].date}."
    return update_watch(watch, work.date, *_weights(work, previous, watch.plan))


def _came_back(work: Work, current: str) -> bool:
    """Whether production is what it is by a rollback."""
    changes = [one for one in work.registry.history() if one.what in ("promote", "rollback")]
    return changes[-1].what == "rollback" and changes[-1].aliases.production == current


def _weights(work: Work, previous: str, plan: WatchPlan) -> tuple[np.ndarray, np.ndarray]:
    """w = previous(a|x)/propensity [rows] and values [rows, metrics] of what production decided."""
    policy = work.registry.policy(previous)
    features = [feature.name for feature in policy.card.log_schema.features]
    metrics = [one.name for one in plan.metrics]
    table = work.capped(pq.ParquetFile(work.folders.counted(work.date)).read())
    absent = [name for name in features if name not in table.column_names]
    if absent:
        raise ReleaseError(
            "The previous policy needs a feature that production's log lacks",
            column=absent[0],
            remedy="Log it, or set watch_days = 0 until another version has replaced this one.",
        )
    action = pc.index_in(table["action"], pa.array(policy.actions, table["action"].type)).combine_chunks()
    known = pc.fill_null(action, 0).to_numpy().astype(np.int64)
    pmf = served_pmf(policy, table)
    taken = np.take_along_axis(pmf, known[:, None], axis=1)[:, 0]
    taken = np.where(
        action.is_null().to_numpy(zero_copy_only=False), 0.0, taken
    )  # it never takes what it does not know
    values = np.stack([table[name].to_numpy().astype(np.float64) for name in metrics], axis=1)
    return taken / table["propensity"].to_numpy(), values
