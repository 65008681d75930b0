"""The policy: a clone tilted by an advantage at a temperature, above an exploration floor, as one pure function.

In: what the learner fitted. Out: graphs, folders, pmfs, decisions. Each name is imported when it is first used.
"""

from typing import TYPE_CHECKING

from jumar.lazy import lazily

if TYPE_CHECKING:
    from jumar.policy.artifact import Policy, PolicyCard, load_policy
    from jumar.policy.graph import build_graph
    from jumar.policy.scorer import Scorer, in_order

__getattr__, __dir__ = lazily(
    __name__,
    {
        "artifact": ("Policy", "PolicyCard", "load_policy"),
        "graph": ("build_graph",),
        "scorer": ("Scorer", "in_order"),
    },
)

__all__ = ["Policy", "PolicyCard", "Scorer", "build_graph", "in_order", "load_policy"]
