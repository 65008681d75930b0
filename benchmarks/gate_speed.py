"""Seconds for capitals and for the whole gate: 10⁷ rows × 10 candidates × 43 bets, no d equal to zero.

In: nothing. Out: two lines of seconds. Run: python benchmarks/gate_speed.py [--quick]
"""

from __future__ import annotations

import sys
import time

import numpy as np

from jumar.evaluate import Capital, Gate, default_bets, plan_gate

CANDIDATES, ACTIONS, BATCH = 10, 20, 65_536


def main(quick: bool) -> None:
    rows = 1_000_000 if quick else 10_000_000
    rng = np.random.default_rng(0)
    propensity = rng.uniform(0.1, 0.9, BATCH)
    taken = np.clip(propensity[:, None] * rng.uniform(0.5, 1.5, (BATCH, CANDIDATES)), 0.0, 1.0)
    reward, action = rng.random(BATCH), rng.integers(0, ACTIONS, BATCH)
    d = (taken / propensity[:, None] - 1.0) * reward[:, None]

    capital = Capital([default_bets(float(np.square(d[:, k]).mean()), rows, 0.001) for k in range(CANDIDATES)])
    start = time.perf_counter()
    for _ in range(0, rows, BATCH):
        capital.update(d)
    seconds = (time.perf_counter() - start) * rows / capital.count
    print(f"capital: {seconds:.2f} s for {rows:,} rows × {CANDIDATES}")

    plan = plan_gate(
        validation_d=d,
        temperatures=list(range(CANDIDATES)),
        policy_sha256=[""] * CANDIDATES,
        rows_planned=rows,
        supported=[True] * ACTIONS,
        confidence=0.999,
        propensity_floor=0.1,
    )
    gate = Gate(plan)
    start = time.perf_counter()
    for _ in range(0, rows, BATCH):
        gate.update(taken, propensity=propensity, reward=reward, action=action)
    print(f"gate:    {(time.perf_counter() - start) * rows / gate.rows:.2f} s for {rows:,} rows × {CANDIDATES}")


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
