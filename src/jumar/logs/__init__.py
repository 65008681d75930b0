"""Logs of decisions: read from anywhere, checked, split by unit, streamed in one canonical shape.

In: files, tables, frames. Out: ``Log`` with its ``LogSchema``. The floor that every other floor stands on;
it imports ``jumar.errors`` and ``jumar.records``.
"""

from jumar.logs.arrays import metric_values, production_pmf, unit_starts
from jumar.logs.audit import audit
from jumar.logs.audit_overlap import evidence_by_unit
from jumar.logs.read import Log, read_log
from jumar.logs.schema import Action, Feature, Kind, LogSchema, Metric, Part, Roles
from jumar.logs.scoring import read_for, scoring_batches
from jumar.logs.timelines import Timeline, TimelineCounts, seconds, timeline_of
from jumar.logs.units import UnitSizes

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
