"""Rows per second of batch scoring, from Parquet to Parquet: through ``jumar.serve.score`` and as a process.

In: a number of rows. Out: a table; it exits 1 below the target. A policy is first learned from a small log of the
same kind; neither that nor the writing of the source is timed. The function is timed in this process after one
round to warm up (best and median); the process includes starting Python and loading the policy.
Run: python benchmarks/score_speed.py [--rows 3000000] [--log plain|founding]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

import jumar
from jumar.serve import score
from table import Row, print_head, print_table, run_child, use_cores
from whole_job import improve, write_log

TARGET = 700_000
TRAIN_ROWS = 200_000


def learn_policy(kind: str, folder: Path) -> Path:
    """A policy folder, learned from a small log."""
    log = folder / "train.parquet"
    write_log(kind, log, TRAIN_ROWS)
    child = improve(log, folder / "run", None)
    if child.code != 0:
        sys.exit(f"no policy was certified to score with (exit code {child.code})\n{child.output[-2000:]}")
    return folder / "run" / "policy"


def main(given: argparse.Namespace) -> int:
    use_cores(given.cores)
    print_head()
    with tempfile.TemporaryDirectory(dir=given.work) as name:
        folder = Path(name)
        place = given.policy or learn_policy(given.log, folder)
        source, out = folder / "rows.parquet", folder / "scored.parquet"
        write_log(given.log, source, given.rows)
        policy = jumar.load_policy(place)
        features = len(policy.card.log_schema.features)
        print(f"{given.rows:,} rows of {features} features, {source.stat().st_size / 1e6:.0f} MB of Parquet")
        score(policy, source, out)
        seconds = []
        for _ in range(given.rounds):
            start = time.perf_counter()
            score(policy, source, out)
            seconds.append(time.perf_counter() - start)
        assert pq.read_metadata(out).num_rows == given.rows
        out.unlink()
        child = run_child([sys.executable, "-m", "jumar", "score", str(place), str(source), str(out)])
        if child.code != 0 or pq.read_metadata(out).num_rows != given.rows:
            sys.exit(f"scoring failed with exit code {child.code}\n{child.output[-2000:]}")
    median = given.rows / statistics.median(seconds)
    return print_table(
        [
            Row("rows per second, median", f"{median:,.0f}", f"≥ {TARGET:,}", median >= TARGET),
            Row("rows per second, best", f"{given.rows / min(seconds):,.0f}"),
            Row("rows per second of the whole process", f"{given.rows / child.seconds:,.0f}"),
            Row("seconds of the whole process", f"{child.seconds:.2f}"),
            Row("peak memory of the process, GB", f"{child.peak_gb:.2f}"),
        ]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--log", choices=["plain", "founding"], default="plain")
    parser.add_argument("--policy", type=Path, help="a policy folder of that log to score with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--work", type=Path, help="folder for logs and results (default: the system's own)")
    sys.exit(main(parser.parse_args()))
