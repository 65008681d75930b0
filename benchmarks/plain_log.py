"""A plain log of any size: 16 features (ten measures, two counts, a flag, three categories), two actions.

In: rows and a seed. Out: a Parquet file, written block by block. Production prefers one action by a rule on three
features and explores with a tenth; which action is better depends on two others, so there is something to learn.
Run: python benchmarks/plain_log.py log.parquet --rows 1000000 --seed 1
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

BLOCK = 131_072
EXPLORATION = 0.1
DECISIONS_PER_UNIT = 4
CITIES = np.array([f"city-{place:02d}" for place in range(40)])
KINDS = np.array(["new", "returning", "lapsed", "vip"])
SURFACES = np.array(["web", "ios", "android"])


def write(path: Path, rows: int, seed: int) -> None:
    """Write a log; a longer one with the same seed starts with the shorter one."""
    with pq.ParquetWriter(path, _block(seed, 0).schema) as writer:
        for start in range(0, rows, BLOCK):
            writer.write_table(_block(seed, start).slice(0, min(BLOCK, rows - start)))


def _block(seed: int, start: int) -> pa.Table:
    """Rows ``start`` to ``start + BLOCK``."""
    rng = np.random.default_rng([seed, start])
    measures = rng.normal(size=(BLOCK, 10)).astype(np.float32)
    counts = rng.poisson([0.7, 30.0], size=(BLOCK, 2))
    flag = rng.random(BLOCK) < 0.3
    kind, surface = rng.integers(0, len(KINDS), BLOCK), rng.integers(0, len(SURFACES), BLOCK)
    city = np.minimum(rng.geometric(0.08, BLOCK) - 1, len(CITIES) - 1)

    favours = measures[:, 0] + 0.5 * measures[:, 1] + 0.4 * (kind == 3) > 0
    p_send = np.where(favours, 1 - EXPLORATION / 2, EXPLORATION / 2)
    send = rng.random(BLOCK) < p_send
    effect = 0.8 * np.tanh(measures[:, 2]) + 0.5 * (kind == 2) - 0.3 * flag
    mean = 1 / (1 + np.exp(1.0 - 0.5 * measures[:, 3] - 0.2 * (city % 3) - send * effect))
    reward = (rng.random(BLOCK) < mean).astype(np.float64)

    row = start + np.arange(BLOCK)
    columns: dict[str, pa.Array] = {
        "decision_id": pa.array(row).cast(pa.string()),
        "unit": pa.array(row // DECISIONS_PER_UNIT).cast(pa.string()),
        **{f"measure_{place}": pa.array(measures[:, place]) for place in range(10)},
        "visits": pa.array(counts[:, 0]),
        "minutes": pa.array(counts[:, 1]),
        "subscriber": pa.array(flag),
        "kind": _text(kind, KINDS),
        "surface": _text(surface, SURFACES),
        "city": _text(city, CITIES),
        "action": _text(send.astype(np.int64), np.array(["hold", "send"])),
        "propensity": pa.array(np.where(send, p_send, 1 - p_send)),
        "reward": pa.array(reward),
    }
    return pa.table(columns)


def _text(codes: np.ndarray, values: np.ndarray) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(values)).cast(pa.string())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    write(given.path, given.rows, given.seed)
