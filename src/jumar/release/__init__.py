"""Challengers over time, and the registry: frozen, judged day by day, released by evidence or not at all.

In: a policy, the log behind it, later logs; result folders. Out: ``Standing`` records and a folder of gates; versions,
aliases and their trail. The command line, the service and Python users import these names.
"""

from jumar.release.challenger import Gates
from jumar.release.documents import Attempt, Ledger, Look, Manifest, ReleaseError, Standing
from jumar.release.registry import Aliases, OvertakenError, Registry, RegistryRecord, UncertifiedError, Version

__all__ = [
    "Aliases",
    "Attempt",
    "Gates",
    "Ledger",
    "Look",
    "Manifest",
    "OvertakenError",
    "Registry",
    "RegistryRecord",
    "ReleaseError",
    "Standing",
    "UncertifiedError",
    "Version",
]
