"""The canary: a promoted policy serves a share of the units, which grows by itself or is taken back.

In: a frozen plan, and each day's joined decisions. Out: a ``Canary``, whose last day says "wait", "widen",
"rollback" or "done", and why. Pure: the caller reads the log, keeps the bytes, and sets the
share. The loop imports this module.

What is compared, and why that may be looked at again and again: "Canary" in docs/statistics.md.
"""

from __future__ import annotations

import datetime
import math
from dataclasses import replace

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jumar.evaluate.capital import Capital, Floats
from jumar.evaluate.two_arms import Bools, Question, capital_of, centres, ratio_evidence, variable
from jumar.release.arms import pilots, places
from jumar.release.canary_plan import (
    FORMAT,
    CanaryDay,
    CanaryDecision,
    CanaryMetric,
    CanaryPlan,
    CanaryRecord,
    MetricLook,
    Stage,
    checked,
)
from jumar.release.canary_state import Canary, added, after_widening, nobody, to_numpy
from jumar.release.documents import ReleaseError

_SHARE_TOLERANCE = 1e-9


def begin(plan: CanaryPlan) -> Canary:
    """A canary before its first day.

    Days that production served alone may be given to ``update`` first, at the share 0: what units brought then takes
    much of the difference between units out of the comparison.

    Raises:
        OptionError: a plan that is none.
    """
    return Canary(CanaryRecord(format=FORMAT, plan=checked(plan)), nobody(len(plan.metrics)))


def update(canary: Canary, date: datetime.date, rows: pa.Table, *, share: float) -> Canary:
    """Count one day's decisions, look if a look is planned, and decide.

    The same date again changes nothing. Days must come in order and none that has decisions may be missing: the units
    of a stage are those that came since it began.

    Args:
        canary: as the day before left it.
        date: of the decisions.
        rows: all decisions of that day with complete rewards: ``unit`` (text; null has no arm), ``policy`` and one
            column of numbers for each metric. Which policy *decided* only matters for counting rows that went astray;
            the comparison goes by arms, so it is never biased by fallbacks.
        share: that was in force at the end of that day. Where it changed during the day, decisions made before dilute
            the comparison and do not bias it.

    Raises:
        ReleaseError: the canary is decided, the date lies before the last one, the share is not one that the canary
            asked for, or rows lack a column or hold what is no number.
    """
    last = canary.last
    if last is not None and date == last.date:
        return canary
    plan = canary.record.plan
    table, values = _read(rows, plan)
    unit = places(table["unit"], plan.salt)
    named = ~np.isnan(unit)
    served = to_numpy(_equal(table["policy"], plan.challenger)), to_numpy(_equal(table["policy"], plan.production))
    expected = np.where(unit < share, *served)
    return observe(canary, date, unit[named], values[named], int((~expected[named]).sum()), share=share)


def observe(canary: Canary, date: datetime.date, place: Floats, values: Floats, astray: int, *, share: float) -> Canary:
    """``update`` for rows whose units are known by their places.

    Args:
        canary, date, share: as in ``update``.
        place: [rows] in [0, 1).
        values: [rows, metrics] finite.
        astray: how many of the rows another policy decided than their arm's.
    """
    record, last = canary.record, canary.last
    if last is not None and date == last.date:
        return canary
    if record.outcome != "open" or (last is not None and date < last.date):
        raise ReleaseError(
            "This canary is decided" if record.outcome != "open" else f"Days up to {last and last.date} were counted",
            example=date.isoformat(),
            remedy="Nothing was counted. Begin another canary, or pass later days in order.",
        )
    earlier, current = record.plan.shares[record.stage : record.stage + 2]
    if record.day == 0 and abs(share - earlier) <= _SHARE_TOLERANCE:
        units = added(canary.units, place, values, earlier, before=True)
        said = f"This day was still served at a share of {earlier:.6g}; it tells units apart from each other."
        return _noted(replace(canary, units=units), date, said)
    if abs(share - current) > _SHARE_TOLERANCE:
        raise ReleaseError(
            f"The share in force that day is not the {current:.6g} that this canary asked for",
            example=share,
            remedy="Let nothing else change the share while a canary runs; nothing was counted.",
        )
    units = added(canary.units, place, values, earlier, before=False)
    grown = msgspec.structs.replace(record, day=record.day + 1)
    if record.day:  # on the first day the share may have changed at any hour
        grown = msgspec.structs.replace(grown, rows=record.rows + place.size, astray=record.astray + astray)
    return _decided(Canary(grown, units), date)


def _decided(canary: Canary, date: datetime.date) -> Canary:
    """The day's decision, and the canary after it."""
    record, plan = canary.record, canary.record.plan
    stage, seen = plan.all_stages[record.stage], canary.units.rows > 0
    exposed = canary.units.place[seen] < stage.share
    counts = int(exposed.sum()), int((~exposed).sum())
    log_ratio = record.log_ratio_before + ratio_evidence(*counts, plan.chance(record.stage))
    looked = _looks(canary) if record.day in stage.looks else []
    decision, reasons = _decide(record, looked, counts[0], log_ratio)
    position = record.stage + 1 + (decision in ("widen", "done")) if decision != "rollback" else 0
    day = CanaryDay(
        date=date,
        stage=record.stage,
        day=record.day,
        decision=decision,
        share=plan.shares[position],
        reasons=reasons,
        exposed=counts[0],
        others=counts[1],
        astray=record.astray / max(record.rows, 1),
        log_ratio=log_ratio,
        metrics=looked,
    )
    record = msgspec.structs.replace(record, days=[*record.days, day])
    if decision == "wait":
        return Canary(record, canary.units)
    if decision in ("rollback", "done"):
        return Canary(msgspec.structs.replace(record, outcome=decision), nobody(len(plan.metrics)))
    fresh = msgspec.structs.replace(record, stage=record.stage + 1, day=0, rows=0, astray=0, log_ratio_before=log_ratio)
    return Canary(fresh, after_widening(canary.units, stage.share))


def _looks(canary: Canary) -> list[MetricLook]:
    """Every metric of the stage so far."""
    record, plan, units = canary.record, canary.record.plan, canary.units
    seen = units.rows > 0
    place, known = units.place[seen], units.rows_before[seen] > 0
    arms = place < plan.all_stages[record.stage].share
    return [
        _look(
            canary, one, arms, pilots(place), units.sums[seen, k], np.where(known, units.sums_before[seen, k], np.nan)
        )
        for k, one in enumerate(metric.at_day(record.day) for metric in plan.metrics)
    ]


def _look(canary: Canary, metric: CanaryMetric, arms: Bools, pilot: Bools, sums: Floats, before: Floats) -> MetricLook:
    """One metric: the pilot tells what to expect, the other units are tested."""
    plan, share = canary.record.plan, canary.record.plan.chance(canary.record.stage)
    total = (np.clip(sums, metric.low, metric.high) - metric.low) / metric.scale
    then = (np.clip(before, metric.low, metric.high) - metric.low) / metric.scale
    centre, spread = centres(total, then, pilot)
    tested = ~pilot
    given = total[tested], arms[tested], centre[tested]
    alpha, up, down = plan.harm_alpha, Question(1.0), Question(-1.0)

    def capital(asked: Question, level: float) -> Capital:
        return capital_of(*given, spread, share=share, alpha=level, asked=asked)

    known = {asked: capital(asked, alpha) for asked in {up, down, metric.harm}}
    proving = metric.margin is not None and canary.record.stage == len(plan.stages) - 1
    return MetricLook(
        name=metric.name,
        production=_mean(sums[~arms], metric),
        challenger=_mean(sums[arms], metric),
        change=float(variable(*given, share, up).mean()) * metric.scale if tested.any() else 0.0,
        at_least=float(known[up].lower_bound(alpha)) * metric.scale,
        at_most=-float(known[down].lower_bound(alpha)) * metric.scale,
        cut=int(((sums < metric.low) | (sums > metric.high)).sum()),
        log_harm=float(known[metric.harm].log_value),
        harm_needs=-math.log(alpha),
        log_proof=float(capital(metric.proof, plan.proof_alpha).log_value) if proving else None,
        proof_needs=-math.log(plan.proof_alpha) if proving else None,
    )


def _decide(
    record: CanaryRecord, looked: list[MetricLook], exposed: int, log_ratio: float
) -> tuple[CanaryDecision, list[str]]:
    """What a day leads to, and why."""
    plan = record.plan
    stage, watching = plan.all_stages[record.stage], record.stage >= len(plan.stages)
    if not looked:
        coming = next(day for day in stage.looks if day > record.day)
        return "wait", [f"Day {record.day} of this stage; the next look is at the end of day {coming}."]
    harm = [_harm(one) for one in looked if one.log_harm >= one.harm_needs]
    if log_ratio >= -math.log(plan.ratio_alpha):
        harm.append("The arms do not have the sizes that chance gives them: decisions of one arm are missing.")
    if harm:
        return "rollback", harm
    ended = record.day == stage.looks[-1]
    missing = _missing(record, stage, looked, exposed)
    if watching:
        if not ended:
            return "wait", [f"No harm after day {record.day} of the watch, which lasts {stage.looks[-1]} days."]
        return "done", [f"No harm was found in the {record.day} days of the watch.", *missing]
    if missing:
        late = [f"The stage ends after {record.day} days without what it takes to go on."] if ended else []
        return "rollback" if ended else "wait", [*late, *missing]
    proven = [f"'{one.name}' is within its margin." for one in looked if one.log_proof is not None]
    said = [f"No harm was found among {exposed:,} units that are new to the challenger.", *proven]
    last = record.stage + 1 == len(plan.all_stages)
    return "done" if last else "widen", said


def _missing(record: CanaryRecord, stage: Stage, looked: list[MetricLook], exposed: int) -> list[str]:
    """Why the share cannot grow yet."""
    found = []
    if record.day < stage.days:
        found.append(f"At least {stage.days} days must pass; this was day {record.day}.")
    if exposed < stage.units:
        found.append(f"Only {exposed:,} units that are new to the challenger were seen; {stage.units:,} are asked for.")
    if record.astray > record.plan.most_astray * record.rows:
        found.append(
            f"{record.astray:,} of {record.rows:,} decisions were made by another policy than their arm's, more than "
            f"{100 * record.plan.most_astray:.3g}%."
        )
    for one in looked:
        if one.log_proof is not None and one.proof_needs is not None and one.log_proof < one.proof_needs:
            found.append(
                f"'{one.name}' has not been shown to be within its margin: {one.log_proof:.1f} of "
                f"{one.proof_needs:.1f} nats."
            )
    return found


def _harm(one: MetricLook) -> str:
    return (
        f"'{one.name}' is worse than is tolerated: {one.change:+.4g} per unit, where production's units bring "
        f"{one.production:.4g} ({one.log_harm:.1f} nats of evidence, {one.harm_needs:.1f} are enough)."
    )


def _noted(canary: Canary, date: datetime.date, why: str) -> Canary:
    """A day that is not compared."""
    record = canary.record
    day = CanaryDay(
        date=date,
        stage=record.stage,
        day=record.day,
        decision="wait",
        share=record.plan.shares[record.stage + 1],
        reasons=[why],
        exposed=0,
        others=0,
        astray=0.0,
        log_ratio=record.log_ratio_before,
    )
    return replace(canary, record=msgspec.structs.replace(record, days=[*record.days, day]))


def _mean(sums: Floats, metric: CanaryMetric) -> float:
    return float(np.clip(sums, metric.low, metric.high).mean()) if sums.size else 0.0


def _read(rows: pa.Table, plan: CanaryPlan) -> tuple[pa.Table, Floats]:
    """The columns needed, and metrics [rows, metrics] as numbers."""
    names = ["unit", "policy", *(one.name for one in plan.metrics)]
    absent = [name for name in names if name not in rows.column_names]
    if absent:
        raise ReleaseError("A canary's rows lack a column", column=absent[0], remedy="Pass joined decisions.")
    values = np.zeros((rows.num_rows, len(plan.metrics)))
    for k, one in enumerate(plan.metrics):
        try:
            values[:, k] = np.asarray(rows[one.name].cast(pa.float64()), np.float64)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ReleaseError(
                "A metric must be numbers", column=one.name, example=str(error), remedy="Cast the column."
            ) from error
        wrong = ~np.isfinite(values[:, k])
        if wrong.any():
            raise ReleaseError(
                "A metric is missing or not a number",
                column=one.name,
                count=int(wrong.sum()),
                remedy="Pass a day only when its rewards are complete; a default counts as a reward.",
            )
    return rows.select(names), values


def _equal(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    return pc.call_function(
        "coalesce", [pc.call_function("equal", [column.cast(pa.string()), pa.scalar(name)]), pa.scalar(False)]
    )
