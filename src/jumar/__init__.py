"""Jumar: learn better decisions from the log of decisions already made, and certify them before anyone sees them.

import jumar
log = jumar.read_log("decisions.parquet", reward="value", reward_range=(0, 1))
result = jumar.improve(log, confidence=0.999)
result.policy.decide(rows)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jumar.errors import JumarError
from jumar.version import VERSION

__version__ = VERSION

if TYPE_CHECKING:
    from jumar.evaluate.planning.plan_log import plan as plan
    from jumar.evaluate.policies import evaluate as evaluate
    from jumar.improvement import Improvement as Improvement
    from jumar.improvement import improve as improve
    from jumar.logs import Log as Log
    from jumar.logs import audit as audit
    from jumar.logs import read_log as read_log
    from jumar.policy import Policy as Policy
    from jumar.policy import load_policy as load_policy

# Each name is imported when it is first used: the command line answers --help without loading a compiler.
_HOMES = {
    "Improvement": "jumar.improvement",
    "Log": "jumar.logs",
    "Policy": "jumar.policy",
    "audit": "jumar.logs",
    "improve": "jumar.improvement",
    "load_policy": "jumar.policy",
    "plan": "jumar.evaluate.planning.plan_log",
    "read_log": "jumar.logs",
}

__all__ = [
    "Improvement",
    "JumarError",
    "Log",
    "Policy",
    "__version__",
    "audit",
    "evaluate",
    "improve",
    "load_policy",
    "plan",
    "read_log",
]


def __getattr__(name: str) -> Any:
    if name == "evaluate":  # the package is callable; see its __init__
        return import_module("jumar.evaluate")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'jumar' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
