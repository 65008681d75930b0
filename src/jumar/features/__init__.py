"""Raw columns to vectors: statistics fitted on TRAIN, then pure functions that ship inside the policy.

In: canonical rows. Out: a ``FeatureSpec``, blocks of numbers and codes, dense vectors. Each name is imported when it is
first used.
"""

from typing import TYPE_CHECKING

from jumar.lazy import lazily

if TYPE_CHECKING:
    from jumar.features.fit import fit_features
    from jumar.features.raw import Blocks, read_blocks
    from jumar.features.spec import FeatureSpec

__getattr__, __dir__ = lazily(
    __name__, {"fit": ("fit_features",), "raw": ("Blocks", "read_blocks"), "spec": ("FeatureSpec",)}
)

__all__ = ["Blocks", "FeatureSpec", "fit_features", "read_blocks"]
