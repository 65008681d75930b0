"""The counts of a join: what became of every decision and every reward of a date.

In: counts. Out: ``JoinReport``, which is ``_report.json``. ``jumar.serve.join`` fills it; all floors
above may read it.
"""

from __future__ import annotations

import datetime

from jumar.records import Record


class JoinReport(Record, frozen=True, kw_only=True):
    """What became of every decision and every reward of a date.

    Attributes:
        date: of the decisions. wait_seconds, aggregation, default, fallbacks, activation: the rules.
        watermark: everything up to this moment counts as known.
        final: the watermark is so late that another run finds nothing new.
        decisions: rows of the date in the log, each of which is one of these:
        duplicate: same id as an earlier one, conflicting: of them, those of this date with another action,
            propensity or policy;
        held_back: their window is still open at the watermark;
        fallback_excluded: decided by the fallback, and these were not wanted;
        never_activated: they never took effect;
        written: rows of the log; rewarded: with a reward; defaulted: with the default.
        fallback: written decisions of the fallback; without_unit: whose id stands for their unit.
        rewards_used: deliveries that count, early: of them, before their decision.
        rewards_late: kept aside in ``_late.parquet``; rewards_unknown: in ``_unknown.parquet``.
        rewards_repeated: deliveries of the same reward again; rewards_ahead: after the watermark.
        rewards_unusable: used, but their value is no finite number and counts as none.
        policies: written decisions by policy version.
        metrics: columns of the log by name of the metric.
        features: columns of the context.
        pmf: whether the probabilities of all actions can be read; else the propensity alone.
        open_segments: read before they were sealed.
        gaps: sequence numbers missing, by "stream/writer".
    """

    date: str
    wait_seconds: float
    aggregation: str
    default: float
    fallbacks: bool
    activation: str
    watermark: datetime.datetime
    final: bool
    decisions: int
    duplicate: int
    conflicting: int
    held_back: int
    fallback_excluded: int
    never_activated: int
    written: int
    rewarded: int
    defaulted: int
    fallback: int
    without_unit: int
    rewards_used: int
    rewards_early: int
    rewards_late: int
    rewards_unknown: int
    rewards_repeated: int
    rewards_ahead: int
    rewards_unusable: int
    policies: dict[str, int]
    metrics: dict[str, str]
    features: list[str]
    pmf: bool
    open_segments: int
    gaps: dict[str, int]
