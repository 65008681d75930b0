"""The policy: a clone tilted by an advantage at a temperature, above an exploration floor, as one pure function.

In: what the learner fitted. Out: graphs, folders, pmfs, decisions.
"""

from jumar.policy.artifact import Policy, PolicyCard, load_policy
from jumar.policy.graph import build_graph
from jumar.policy.scorer import Scorer, in_order

__all__ = ["Policy", "PolicyCard", "Scorer", "build_graph", "in_order", "load_policy"]
