"""Deciding with a released policy: batch scoring now, the decision service next to it later.

In: a policy and rows. Out: decisions with their exact propensities.
"""

from jumar.serve.batch import score

__all__ = ["score"]
