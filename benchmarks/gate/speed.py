"""Table 6: seconds for ten million rows, and that shards and order do not matter.

In: sizes. Out: figures. ``gate_speed.py`` does the timing in a process of its own.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jumar.evaluate.capital import Capital, default_bets
from table import run_child

CANDIDATES, SHARDS = 10, 37


@dataclass(frozen=True)
class Speed:
    """Figures.

    Attributes:
        rows: of the merge.
        merged: the largest difference in log capital between one batch and shards, relative to 1 or to its size.
        permuted: the same between rows in one order and in another.
        control: the same between all rows and all but one.
        capital, gate: seconds for ten candidates, as ``gate_speed.py`` prints them; ``timed_rows`` rows.
    """

    rows: int
    merged: float
    permuted: float
    control: float
    capital: float
    gate: float
    timed_rows: int


def run(rows: int, quick: bool) -> Speed:
    """Merge, permute, and time."""
    rng = np.random.default_rng(10)
    propensity = rng.uniform(0.05, 0.95, rows)
    w = rng.random((rows, CANDIDATES)) / propensity[:, None]
    d = (w - 1.0) * (rng.random(rows) < 0.1)[:, None]
    bets = [default_bets(float(np.square(d[:, k]).mean()), rows, 0.001) for k in range(CANDIDATES)]
    whole = Capital(bets).update(d).log_value
    merged = Capital(bets)
    for part in np.array_split(np.arange(rows), SHARDS):
        merged = merged + Capital(bets).update(d[part])
    permuted = Capital(bets).update(d[rng.permutation(rows)]).log_value
    lacking = Capital(bets).update(np.delete(d, int(np.argmax(d[:, 0])), axis=0)).log_value
    script = Path(__file__).resolve().parents[1] / "gate_speed.py"
    output = run_child([sys.executable, str(script), *["--quick"] * quick]).output
    seconds = re.findall(r"^(?:capital|gate): +([\d.]+) s for ([\d,]+) rows", output, re.MULTILINE)
    assert len(seconds) == 2, output

    def apart(other: np.ndarray) -> float:
        return float((np.abs(other - whole) / np.maximum(np.abs(whole), 1.0)).max())

    timed = int(seconds[0][1].replace(",", ""))
    figures = apart(merged.log_value), apart(permuted), apart(lacking)
    return Speed(rows, *figures, float(seconds[0][0]), float(seconds[1][0]), timed)
