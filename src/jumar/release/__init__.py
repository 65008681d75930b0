"""Challengers over time: frozen before their rows exist, judged day by day, released by a ledger or not at all.

In: a policy, the log behind it, and later logs. Out: ``Standing`` records and a folder of gates. The command line and
Python users import these names.
"""

from jumar.release.challenger import Gates
from jumar.release.documents import Attempt, Ledger, Look, Manifest, ReleaseError, Standing

__all__ = ["Attempt", "Gates", "Ledger", "Look", "Manifest", "ReleaseError", "Standing"]
