"""Logs of decisions: read from anywhere, checked, split by unit, streamed in one canonical shape.

In: files, tables, frames. Out: ``Log`` with its ``LogSchema``. The floor that every other floor stands on;
it imports ``jumar.errors`` and ``jumar.records``.
"""

from jumar.logs.audit import audit
from jumar.logs.read import Log, read_log
from jumar.logs.schema import Action, Feature, Kind, LogSchema, Part, Roles
from jumar.logs.scoring import read_for, scoring_batches

__all__ = [
    "Action",
    "Feature",
    "Kind",
    "Log",
    "LogSchema",
    "Part",
    "Roles",
    "audit",
    "read_for",
    "read_log",
    "scoring_batches",
]
