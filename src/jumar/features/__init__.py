"""Raw columns to vectors: statistics fitted on TRAIN, then pure functions that ship inside the policy.

In: canonical rows. Out: a ``FeatureSpec``, blocks of numbers and codes, dense vectors.
"""

from jumar.features.fit import fit_features
from jumar.features.raw import Blocks, read_blocks
from jumar.features.spec import FeatureSpec

__all__ = ["Blocks", "FeatureSpec", "fit_features", "read_blocks"]
