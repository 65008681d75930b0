"""From a challenger that passed to production: the canary, the release, and the watch that comes after.

In: ``Work``. Out: records of the registry, and steps that say why. Each step looks at the registry before it acts, so
that a step which was interrupted after it acted does nothing twice. Only ``day`` imports this module.
"""

from __future__ import annotations

import datetime
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jumar.files import replacing
from jumar.loop.documents import CANARY, WATCH, Step, watch_of
from jumar.loop.work import Work, pc
from jumar.release import ReleaseError, RegistryRecord
from jumar.release.canary import begin, update
from jumar.release.canary_plan import CanaryMetric, CanaryPlan
from jumar.release.canary_state import Canary
from jumar.release.watch import Watch, WatchMetric, WatchPlan, begin_watch, update_watch

KEPT = 0.995  # of the units whose sums are not cut in a canary


def canary_step(work: Work) -> Step:
    """Compare the arms on this day, and let the share grow, stay, or end."""
    state = work.registry.state()
    version = state.aliases.challenger
    known = _read_canary(work)
    if version is None:
        return Step(name="canary", said=["No canary is in progress."])
    canary = known if known is not None and known.record.plan.salt == state.salt else _begun(work, state, version)
    table = _rows(work, work.date, canary.record.plan)
    canary = update(canary, work.date, table, share=work.share_that_day(version))
    _keep(work.folders.root / CANARY, canary.to_bytes())
    last = canary.last
    assert last is not None
    why = " ".join(last.reasons)
    figures = {"share": last.share, "exposed": float(last.exposed), "others": float(last.others)}
    for one in last.metrics:
        named = ("production", "change", "at_least", "at_most")
        figures |= {f"{one.name}.{name}": getattr(one, name) for name in named}
    if last.decision == "rollback":
        work.registry.abandon(why=f"Canary: {why}")
        return Step(name="canary", said=[f"{version} was taken back.", *last.reasons], attention=True, figures=figures)
    if last.decision in ("widen", "done") and not work.held:
        share = 1.0 if last.decision == "done" else last.share
        if state.share < share:
            work.registry.widen(share, why=f"Canary: {why}")
        said = f"{version} serves {share:.4g} of the units from now on."
        return Step(name="canary", said=[said, *last.reasons], figures=figures)
    return Step(name="canary", said=last.reasons, figures=figures)


def release_step(work: Work) -> Step:
    """Let the first challenger in that has passed and was not let in yet."""
    if work.held:
        return Step(name="release", said=["An audit blocks."])
    registry, state, against = work.registry, work.registry.state(), work.comparators()
    let_in = {record.attempt for record in registry.history()}
    for attempt in work.attempts():
        if attempt.outcome != "passed" or attempt.name in let_in or attempt.name not in against:
            continue
        if against[attempt.name] != work.production:
            continue  # compared with what is no longer there
        if state.aliases.challenger is not None:
            return Step(name="release", said=[f"{attempt.name} has passed and waits for the canary to end."])
        version = registry.register(work.gates_folder / attempt.name, why=f"Learned by the loop, {attempt.name}.").version
        staged = work.config.canary and state.aliases.production is not None
        share = work.config.stages[0].share if staged else 1.0
        registry.promote(version, why=f"{attempt.name} passed its gate. {attempt.why}", share=share)
        return Step(name="release", said=[f"{attempt.name} passed; {version} serves {share:.4g} of the units from now on."])
    return Step(name="release", said=["Nothing has passed that is not in already."])


def watch_step(work: Work) -> Step:
    """Is production worse than what it replaced, by its own exploration?"""
    state = work.registry.state()
    current, previous = state.aliases.production, state.aliases.previous
    if not work.config.watch_days or current is None or previous is None:
        return Step(name="watch", said=["There is nothing to compare production with."])
    if work.judged != current:
        return Step(name="watch", said=["Production is new; it is watched from tomorrow on."])
    path = work.folders.root / WATCH
    watch = _read_watch(path)
    if watch is None or (watch.plan.current, watch.plan.previous) != (current, previous):
        metrics = [WatchMetric(name=name, low=low, high=high, better=better) for name, low, high, better in _metrics(work)]
        plan = WatchPlan(
            current=current, previous=previous, metrics=metrics, days=work.config.watch_days, alpha=work.config.alpha
        )
        watch = begin_watch(plan)
    if watch.outcome == "open" and work.folders.rows(work.date):
        watch = update_watch(watch, work.date, *_weights(work, previous, watch.plan))
        _keep(path, msgspec.json.encode(watch))
    if not watch.days:
        return Step(name="watch", said=["The watch has not begun."])
    last = watch.days[-1]
    if last.decision == "rollback":
        work.registry.rollback(why=f"Watch: {' '.join(last.reasons)}")
        said = [f"Production went back from {current} to {previous}.", *last.reasons]
        return Step(name="watch", said=said, attention=True)
    return Step(name="watch", said=last.reasons, figures={"day": float(last.day), "log_harm": max(last.log_harm)})


def _begun(work: Work, state: RegistryRecord, version: str) -> Canary:
    """A new canary, told apart by the days that production served alone."""
    days = [date for date in work.days_of_production(work.config.canary_before + 1) if date < work.date]
    before = {date: pq.read_table(work.folders.joined(date)) for date in days}
    metrics = [
        CanaryMetric(name=name, low=min(low, 0.0), high=_cap(list(before.values()), name, high), better=better)
        for name, low, high, better in _metrics(work)
    ]
    plan = CanaryPlan(
        salt=state.salt,
        production=work.production,
        challenger=version,
        metrics=metrics,
        stages=list(work.config.stages),
        watch=None,
        alpha=work.config.alpha,
    )
    canary = begin(plan)
    for date, table in before.items():
        canary = update(canary, date, _chosen(table, plan), share=0.0)
    return canary


def _cap(before: list[pa.Table], name: str, high: float) -> float:
    """What nearly all units stay below in as many days as came before."""
    tables = [table.select(["unit", name]) for table in before]
    if not tables:
        return max(high, 0.0) or 1.0
    sums = pa.concat_tables(tables).group_by("unit").aggregate([(name, "sum")])[f"{name}_sum"]
    return max(float(np.quantile(sums.to_numpy(), KEPT)), high, 1e-9)


def _metrics(work: Work) -> list[tuple[str, float, float, str]]:
    """Column, bounds and direction of the reward and of each guardrail."""
    schema, log = work.counted_log().schema, work.counted_log()
    found = [("reward", schema.reward_low, schema.reward_high, "higher")]
    for word in work.config.guardrail:
        name, better = word.split(":")[:2]
        metric = next(one for one in log.metrics if one.name == name)
        found.append((name, metric.low, metric.high, better))
    return found


def _rows(work: Work, date: datetime.date, plan: CanaryPlan) -> pa.Table:
    return _chosen(pq.read_table(work.folders.joined(date)), plan)


def _chosen(table: pa.Table, plan: CanaryPlan) -> pa.Table:
    """The columns of a canary, units as text."""
    names = ["unit", "policy", *(one.name for one in plan.metrics)]
    chosen = table.select(names)
    return chosen.set_column(0, "unit", chosen["unit"].cast(pa.string()))


def _weights(work: Work, previous: str, plan: WatchPlan) -> tuple[np.ndarray, np.ndarray]:
    """w = previous(a|x)/propensity [rows] and values [rows, metrics] of what production decided."""
    table = pq.read_table(work.folders.counted(work.date))
    policy = work.registry.policy(previous)
    action = pc.index_in(table["action"], pa.array(policy.actions, table["action"].type)).combine_chunks()
    if action.null_count:
        raise ReleaseError("Production took an action that its predecessor does not know", remedy="End the watch.")
    pmf = policy.pmf(table)
    taken = np.take_along_axis(pmf, action.to_numpy().astype(np.int64)[:, None], axis=1)[:, 0]
    values = np.stack([table[one.name].to_numpy().astype(np.float64) for one in plan.metrics], axis=1)
    return taken / table["propensity"].to_numpy(), values


def _read_canary(work: Work) -> Canary | None:
    path = work.folders.root / CANARY
    return Canary.from_bytes(path.read_bytes()) if path.exists() else None


def _read_watch(path: Path) -> Watch | None:
    if not path.exists():
        return None
    return watch_of(path.read_bytes(), str(path))


def _keep(path: Path, data: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(data)
