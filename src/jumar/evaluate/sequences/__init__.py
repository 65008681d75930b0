"""What policies are worth over whole episodes: variables for the gate, estimates, and ranks.

In: columns over the rows of whole episodes and the index of each one's first row. Out: D [units, K] that a capital
may weigh, and records of estimates. It stands on ``capital`` and ``estimators``; anything above may import it, and
inside the house from the file that defines a name.
"""

from jumar.evaluate.sequences.budget import (
    WithinBudget,
    chi_square,
    chi_square_sums,
    product_second_moment,
    within_budget,
)
from jumar.evaluate.sequences.estimates import (
    logged_return,
    per_decision,
    sequence_table,
    sequential_dr,
    weighted_dr,
    weighted_per_decision,
)
from jumar.evaluate.sequences.fitted import FittedQ, fitted_q, ridge_regression
from jumar.evaluate.sequences.linear import FittedValue, linear_fitted_q
from jumar.evaluate.sequences.ranks import RankIntervals, rank_intervals
from jumar.evaluate.sequences.returns import capped_rewards, cumulative_discount, returns_to_go, running_products
from jumar.evaluate.sequences.variables import (
    LARGEST_PRODUCT,
    episode_cost_variable,
    episode_variable,
    mixture_gain,
    single_deviation_variable,
    variable_bound,
)

__all__ = [
    "LARGEST_PRODUCT",
    "FittedQ",
    "FittedValue",
    "RankIntervals",
    "WithinBudget",
    "capped_rewards",
    "chi_square",
    "chi_square_sums",
    "cumulative_discount",
    "episode_cost_variable",
    "episode_variable",
    "fitted_q",
    "linear_fitted_q",
    "logged_return",
    "mixture_gain",
    "per_decision",
    "product_second_moment",
    "rank_intervals",
    "returns_to_go",
    "ridge_regression",
    "running_products",
    "sequence_table",
    "sequential_dr",
    "single_deviation_variable",
    "variable_bound",
    "weighted_dr",
    "weighted_per_decision",
    "within_budget",
]
