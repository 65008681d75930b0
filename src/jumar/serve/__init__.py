"""Deciding with a released policy, and the log of what was decided: batch scoring, the durable log, the join.

In: a policy and rows. Out: decisions with their exact propensities, on disk. A name is imported when it is first used:
a process that only writes the log loads no compiler.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jumar.serve.batch import score as score

__all__ = ["score"]


def __getattr__(name: str) -> Any:
    if name == "score":
        return import_module("jumar.serve.batch").score
    raise AttributeError(f"module 'jumar.serve' has no attribute '{name}'")
