"""The registry of policies: immutable versions, aliases, and a trail of who changed them, when and why.

In: result folders. Out: ``Registry`` and its records. ``jumar.release`` hands these names on.
"""

from jumar.release.registry.documents import (
    Aliases,
    OvertakenError,
    RegistryRecord,
    UncertifiedError,
    Version,
)
from jumar.release.registry.registry import Registry

__all__ = ["Aliases", "OvertakenError", "Registry", "RegistryRecord", "UncertifiedError", "Version"]
