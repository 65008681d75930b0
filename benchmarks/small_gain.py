"""Does the whole of ``jumar improve`` certify a gain of five per cent from half a million decisions to judge on?

In: seeds. Out: a line per run, then the share of runs that were certified; it exits 1 below 80%. Production explores
with ε = 0.3 over two actions; 5% of decisions bring a reward, and in half of the contexts the other action brings 11%
more, which is +5% in all while a tenth stays explored.
The negative control is the same log with rewards that do not depend on the action: never certified.
Run: python benchmarks/small_gain.py [--seeds 1 2 …]
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
import pyarrow as pa

import jumar
from table import Row, print_head, print_table, use_cores

CONFIDENCE, BASE, EPSILON, SHARE = 0.999, 0.05, 0.3, 0.8


def log_of(rows: int, seed: int, lift: float) -> pa.Table:
    """Production's favourite is 'a'; where ``better`` holds, 'b' is worth ``lift`` more, elsewhere as much less."""
    rng = np.random.default_rng(seed)
    better = rng.random(rows) < 0.5
    explored = EPSILON / 2
    takes_b = rng.random(rows) < explored
    chance = BASE * (1 + lift * takes_b * np.where(better, 1.0, -1.0))
    return pa.table(
        {
            "decision_id": [f"d{seed}-{i}" for i in range(rows)],
            "unit": [f"u{seed}-{i}" for i in range(rows)],
            "time": 1_700_000_000 + np.arange(rows),
            "better": better,
            "noise": rng.normal(size=rows),
            "action": np.where(takes_b, "b", "a"),
            "propensity": np.where(takes_b, explored, 1 - explored),
            "reward": (rng.random(rows) < chance).astype(float),
        }
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the whole log; half of them judge")
    parser.add_argument("--lift", type=float, default=0.11)
    parser.add_argument("--seeds", type=int, nargs="*", default=list(range(1, 21)))
    given = parser.parse_args()
    use_cores(2)
    print_head()
    verdicts: dict[str, list[bool]] = {"gain": [], "nothing": []}
    for seed in given.seeds:
        for name, lift in (("gain", given.lift), ("nothing", 0.0)):
            if name == "nothing" and seed != given.seeds[0]:
                continue
            start = time.perf_counter()
            result = jumar.improve(jumar.read_log(log_of(given.rows, seed, lift)), confidence=CONFIDENCE, seed=seed)
            certificate = result.certificate
            verdicts[name].append(certificate.verdict == "certified")
            print(
                f"seed {seed}, {name}: {certificate.verdict}, {certificate.rows:,} judged, "
                f"{certificate.relative_estimate or 0:+.2%}, at least {certificate.relative_lower_bound or 0:+.2%}, "
                f"boosted {certificate.boosted}, {time.perf_counter() - start:.0f} s",
                flush=True,
            )
    share = float(np.mean(verdicts["gain"]))
    return print_table(
        [
            Row(f"certified at {CONFIDENCE:.1%}", f"{share:.0%}", f"≥ {SHARE:.0%}", share >= SHARE),
            Row("nothing to gain", "certified" if any(verdicts["nothing"]) else "refused", "refused",
                not any(verdicts["nothing"])),
        ]
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
