"""Challengers over time, and the registry: frozen, judged day by day, released by evidence or not at all.

In: a policy, the log behind it, later logs; result folders. Out: ``Standing`` records and a folder of gates; versions,
aliases and their trail. The command line, the service and Python users import these names, each of which is imported
when it is first used.
"""

from typing import TYPE_CHECKING

from jumar.lazy import lazily

if TYPE_CHECKING:
    from jumar.release.challenger import Gates
    from jumar.release.documents import (
        Attempt,
        BusyError,
        Ledger,
        Look,
        Manifest,
        NothingLeftError,
        ReleaseError,
        Standing,
    )
    from jumar.release.registry.documents import Aliases, OvertakenError, RegistryRecord, UncertifiedError, Version
    from jumar.release.registry.registry import Registry

__getattr__, __dir__ = lazily(
    __name__,
    {
        "challenger": ("Gates",),
        "documents": (
            "Attempt",
            "BusyError",
            "Ledger",
            "Look",
            "Manifest",
            "NothingLeftError",
            "ReleaseError",
            "Standing",
        ),
        "registry.documents": ("Aliases", "OvertakenError", "RegistryRecord", "UncertifiedError", "Version"),
        "registry.registry": ("Registry",),
    },
)

__all__ = [
    "Aliases",
    "Attempt",
    "BusyError",
    "Gates",
    "Ledger",
    "Look",
    "Manifest",
    "NothingLeftError",
    "OvertakenError",
    "Registry",
    "RegistryRecord",
    "ReleaseError",
    "Standing",
    "UncertifiedError",
    "Version",
]
