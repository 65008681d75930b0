"""Simulated worlds in which the truth is known: to try Jumar on, and to test it against.

In: a number of rows and a seed. Out: logs as production would have written them, and policies' exact values.
The command line, examples, benchmarks and tests may import this floor; no stage of the pipeline does.
"""

from jumar.worlds.base import Policy, Summary, World
from jumar.worlds.drifting import DriftingNotifications
from jumar.worlds.notifications import Notifications
from jumar.worlds.reengagement import Reengagement
from jumar.worlds.sequential import LongRun, SequentialWorld

__all__ = [
    "DriftingNotifications",
    "LongRun",
    "Notifications",
    "Policy",
    "Reengagement",
    "SequentialWorld",
    "Summary",
    "World",
]
