"""Deciding with released policies: in batches, and as a service whose every decision is in the log before it is told.

In: a policy or a registry, and rows or requests. Out: decisions with their exact propensities. Each name is imported
when it is first used.
"""

from typing import TYPE_CHECKING

from jumar.lazy import lazily

if TYPE_CHECKING:
    from jumar.serve.batch import score
    from jumar.serve.decider import Decided, Decider
    from jumar.serve.server import Settings, serve

__getattr__, __dir__ = lazily(
    __name__, {"batch": ("score",), "decider": ("Decided", "Decider"), "server": ("Settings", "serve")}
)

__all__ = ["Decided", "Decider", "Settings", "score", "serve"]
