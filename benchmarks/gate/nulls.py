"""Table 1: how often is a policy released that is no better, in every case and at every confidence?

In: the number of runs. Out: rates of false releases with 99% limits, beside those of a mistake that must break.
``gate_bench`` prints them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gate.cases import CASES
from gate.core import ALPHAS, chunks, draw, expanded, lower_limit

ROWS = (20_000, 100_000, 500_000)
MANY_LOOKS = 100
BREAKS_AT = 0.01  # what the t-test must reach in the rare-loss case at α = 0.001 and 20,000 rows


@dataclass(frozen=True)
class Rates:
    """One line of the table.

    Attributes:
        name, control_name: of the case.
        rows, runs: of each log, and how many logs.
        hits, control_hits: [alphas] false releases of the gate and of the control.
        difference: between the kernel and ``Capital`` on the same rows, in nats; None where another check is made.
    """

    name: str
    control_name: str
    rows: int
    runs: int
    hits: list[int]
    control_hits: list[int]
    difference: float | None = None

    @property
    def sound(self) -> bool:
        """The 99% lower limits of the gate's rates lie within α."""
        return all(lower_limit(hits, self.runs) <= alpha for hits, alpha in zip(self.hits, ALPHAS, strict=True))

    @property
    def breaks(self) -> bool:
        """The 99% lower limit of the control's rate exceeds an α."""
        return any(lower_limit(hits, self.runs) > alpha for hits, alpha in zip(self.control_hits, ALPHAS, strict=True))


def run(index: int, rows: int, runs: int) -> Rates:
    """One case at one size; the seed follows from both."""
    case = CASES[index]
    pieces = rows // case.rows_per_piece
    outcomes = case.outcomes(pieces)
    bets = outcomes.bets(pieces)
    rng = np.random.default_rng([1, index, rows])
    hits, control_hits = np.zeros(len(ALPHAS), np.int64), np.zeros(len(ALPHAS), np.int64)
    parts, size = outcomes.chance.shape
    for count in chunks(runs, parts * max(size, 64)):
        counts = draw(rng, outcomes, pieces, count)
        hits += (case.gate(counts, outcomes, bets)[:, None] <= np.array(ALPHAS)).sum(axis=0)
        control_hits += (case.control(counts, outcomes, bets)[:, None] <= np.array(ALPHAS)).sum(axis=0)
    difference = expanded(outcomes, min(pieces, 3_000), index)
    return Rates(case.name, case.control_name, rows, runs, hits.tolist(), control_hits.tolist(), difference)


def tasks(runs: int, long_runs: int) -> list[tuple[int, int, int]]:
    """All cases at all sizes; those that are looked at every day see fewer logs."""
    parts = [len(case.outcomes(min(ROWS)).chance) for case in CASES]
    return [
        (index, rows, long_runs if parts[index] > MANY_LOOKS else runs) for index in range(len(CASES)) for rows in ROWS
    ]
