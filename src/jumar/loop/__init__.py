"""The second loop: every day from the decision log to what serves tomorrow.

In: a registry and a decision log. Out: days on which policies were learned, judged, let in or taken back. The command
line and Python users import ``Loop``; nothing below imports this floor.
"""

from jumar.loop.day import Loop
from jumar.loop.documents import Day, LoopConfig, Step, loop_config
from jumar.loop.facts import NotYetError

__all__ = ["Day", "Loop", "LoopConfig", "NotYetError", "Step", "loop_config"]
