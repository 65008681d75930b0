"""The second loop: every day from the decision log to what serves tomorrow.

In: a registry and a decision log. Out: days on which policies were learned, judged, let in or taken back. The command
line, the board and Python users import these names, each of which is imported when it is first used; nothing below
imports this floor.
"""

from typing import TYPE_CHECKING

from jumar.lazy import lazily

if TYPE_CHECKING:
    from jumar.loop.day import Loop
    from jumar.loop.documents import Day, LoopConfig, Step, loop_config
    from jumar.loop.facts import NotYetError

__getattr__, __dir__ = lazily(
    __name__,
    {"day": ("Loop",), "documents": ("Day", "LoopConfig", "Step", "loop_config"), "facts": ("NotYetError",)},
)

__all__ = ["Day", "Loop", "LoopConfig", "NotYetError", "Step", "loop_config"]
