"""The first steps of a day: what was decided and what came of it, and whether that can be relied on.

In: ``Work``. Out: ``log.parquet`` and ``counted.parquet`` of the day, and steps that say what was found. Only ``day``
imports this module.
"""

from __future__ import annotations

import datetime

import pyarrow.parquet as pq

from jumar.errors import LogError
from jumar.files import replacing, unwritable
from jumar.logs import audit, seconds
from jumar.loop.documents import Step
from jumar.loop.folders import COUNTED, in_lines, keep
from jumar.loop.work import Work, pc, production_rows
from jumar.serve.join import join

AUDIT = "audit.json"
MOST_ACTIONS = 50
FEW = 1_000  # decisions; fewer may be all alike, and that is no fault of the log
ALIKE = "rewards"
HELD = "The day is neither learned from nor judged by, and nothing is opened or promoted."


class NotYetError(LogError):
    """Rewards of the day may still come; the same command works later."""


def join_step(work: Work) -> Step:
    """Decisions and rewards of the day, and of them what the present production decided.

    Raises:
        NotYetError: the windows of some decisions are still open.
        LogError: the log holds no decision of that day, or is damaged.
    """
    config, now = work.config, work.now()
    if work.date >= (now - datetime.timedelta(seconds=seconds("wait", config.wait))).date():
        raise NotYetError(
            f"The day {work.date} is not over: rewards of its decisions may still come",
            remedy=f"Run it again when {config.wait} have passed since its end, which is at midnight UTC.",
        )
    report = join(
        work.log,
        work.date,
        out=work.folders.joins,
        wait=config.wait,
        reward=config.reward,
        default=config.default,
        watermark=now,
    )
    counted = _count(work)
    gaps = sum(report.gaps.values())
    said = [f"{report.written:,} decisions with {report.rewarded:,} rewards; {counted:,} of them by {work.judged}."]
    if report.fallback:
        said.append(f"{report.fallback:,} decisions were fallbacks; they are neither learned from nor judged.")
    if gaps:
        said.append(f"{gaps:,} rows that were numbered are missing from the log.")
    named = ("decisions", "written", "rewarded", "fallback", "duplicate", "never_activated")
    figures = {name: float(getattr(report, name)) for name in named}
    late = {"rewards_late": float(report.rewards_late), "rewards_unknown": float(report.rewards_unknown)}
    return Step(
        name="join",
        said=said,
        attention=gaps > 0,
        figures=figures | late | {"counted": float(counted), "gaps": float(gaps)} | _rates(work),
    )


def _rates(work: Work) -> dict[str, float]:
    """Mean reward of what production decided, as "reward", and how often it took each action, as "share:<action>"."""
    table = pq.read_table(work.folders.counted(work.date), columns=["reward", "action"])
    if not table.num_rows:
        return {}
    counted = sorted(table["action"].value_counts().to_pylist(), key=lambda one: -one["counts"])[:MOST_ACTIONS]
    shares = {f"share:{one['values']}": one["counts"] / table.num_rows for one in counted}
    return {"reward": float(pc.mean(table["reward"]).as_py())} | shares


def _count(work: Work) -> int:
    """Write what production decided on this day; how many decisions that is."""
    schema, batches = production_rows(work.folders.joined(work.date), work.judged, work.metrics)
    target, rows = work.place / COUNTED, 0
    try:
        work.place.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary, pq.ParquetWriter(temporary, schema) as writer:
            for batch in batches:
                rows += batch.num_rows
                writer.write_batch(batch.replace_schema_metadata(schema.metadata))
    except OSError as error:
        raise unwritable(target, error) from error
    return rows


def audit_step(work: Work) -> Step:
    """The usual audit, of what production decided."""
    if not work.folders.rows(work.date):
        return Step(name="audit", said=["Production decided nothing on this day."])
    try:
        findings = audit(work.counted_log())
    except LogError as error:
        if work.folders.rows(work.date) >= FEW:
            raise
        said = [f"Production decided too little on this day to audit it: {error}", HELD]
        return Step(name="audit", said=said, figures={"blocked": 1.0})
    keep(work.place / AUDIT, in_lines(findings))
    # Rewards that are all alike are no reason: whether they are comes of the draws, and to leave such days out would
    # choose what judges by its outcome.
    blocked = [one.sentence for one in findings if one.verdict == "blocked" and one.name != ALIKE]
    said = [*blocked, HELD] if blocked else ["No finding blocks."]
    warned = sum(one.verdict not in ("ok", "blocked") for one in findings)
    return Step(
        name="audit",
        said=said,
        attention=bool(blocked),
        figures={"blocked": float(len(blocked)), "warned": float(warned)},
    )
