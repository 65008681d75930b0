"""Logs of decisions: read from anywhere, checked, split by unit, streamed in one canonical shape.

In: files, tables, frames. Out: ``Log`` with its ``LogSchema``. The floor that every other floor stands on;
it imports ``jumar.errors`` and ``jumar.records``. Each name is imported when it is first used.
"""

from typing import TYPE_CHECKING

from jumar.lazy import lazily

if TYPE_CHECKING:
    from jumar.logs.arrays import metric_values, production_pmf, unit_starts
    from jumar.logs.audit_overlap import evidence_by_unit
    from jumar.logs.audits import audit
    from jumar.logs.read import Log, read_log
    from jumar.logs.schema import Action, Feature, Kind, LogSchema, Metric, Part, Roles, Timeline
    from jumar.logs.scoring import read_for, scoring_batches
    from jumar.logs.timelines import TimelineCounts, asked_timeline, seconds, timeline_of
    from jumar.logs.units import UnitSizes

__getattr__, __dir__ = lazily(
    __name__,
    {
        "arrays": ("metric_values", "production_pmf", "unit_starts"),
        "audit_overlap": ("evidence_by_unit",),
        "audits": ("audit",),
        "read": ("Log", "read_log"),
        "schema": ("Action", "Feature", "Kind", "LogSchema", "Metric", "Part", "Roles", "Timeline"),
        "scoring": ("read_for", "scoring_batches"),
        "timelines": ("TimelineCounts", "asked_timeline", "seconds", "timeline_of"),
        "units": ("UnitSizes",),
    },
)

__all__ = [
    "Action",
    "Feature",
    "Kind",
    "Log",
    "LogSchema",
    "Metric",
    "Part",
    "Roles",
    "Timeline",
    "TimelineCounts",
    "UnitSizes",
    "asked_timeline",
    "audit",
    "evidence_by_unit",
    "metric_values",
    "production_pmf",
    "read_for",
    "read_log",
    "scoring_batches",
    "seconds",
    "timeline_of",
    "unit_starts",
]
