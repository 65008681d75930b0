"""What a certificate will take: rows, days and exploration, told before anything is judged.

In: a gain that is hoped for; the law of d, or a log to take it from. Out: rows, gains, exploration rates, a
``GainPlan``. The names here are those of ``law`` and ``rows``, which the gate's reasons use. ``outlook`` and
``plan_log`` stand above the gate: whoever plans from a log imports them by file, and this file must not.
"""

from jumar.evaluate.planning.law import Law, Tally, predicted, supposed
from jumar.evaluate.planning.rows import (
    detectable_gain,
    exploration_second_moment,
    rows_for,
    rows_needed,
    rows_to_explore,
)

__all__ = [
    "Law",
    "Tally",
    "detectable_gain",
    "exploration_second_moment",
    "predicted",
    "rows_for",
    "rows_needed",
    "rows_to_explore",
    "supposed",
]
