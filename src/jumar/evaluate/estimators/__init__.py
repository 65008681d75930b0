"""What a policy is worth on rows that another policy logged: every estimator, with honest errors.

In: importance weights, rewards, predictions where there are any. Out: ``Estimate`` records. It stands on ``capital``
alone; anything above may import it, and inside the house from the file that defines a name.
"""

from jumar.evaluate.estimators.estimator import (
    MOST_CONFIDENCE,
    Estimate,
    Estimator,
    PairedGain,
    dm,
    dr,
    dros,
    ips,
    mips,
    paired_gain,
    sndr,
    snips,
    switch_dr,
    unbiased_bets,
)
from jumar.evaluate.estimators.least_squares import MoreRobust, more_robust, mrdr
from jumar.evaluate.estimators.sums import BUCKETS, ClusteredSums, bucket_of
from jumar.evaluate.estimators.table import estimator_table, marginal_weights

__all__ = [
    "BUCKETS",
    "MOST_CONFIDENCE",
    "ClusteredSums",
    "Estimate",
    "Estimator",
    "MoreRobust",
    "PairedGain",
    "bucket_of",
    "dm",
    "dr",
    "dros",
    "estimator_table",
    "ips",
    "marginal_weights",
    "mips",
    "more_robust",
    "mrdr",
    "paired_gain",
    "sndr",
    "snips",
    "switch_dr",
    "unbiased_bets",
]
