"""Wall time and peak memory of the whole of ``jumar improve``, each size in a process of its own.

In: sizes. Out: a table; it exits 1 if a target was missed. The log is written first and not timed. A refusal counts
as done (exit code 3), a failure does not. ``--log plain`` is the 16-feature log of ``plain_log.py``, ``founding``
the notifications of ``jumar world``.
Run: python benchmarks/whole_job.py [--rows 100000 1000000 10000000] [--log plain|founding]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import plain_log
from jumar.worlds import Notifications
from table import Child, Row, print_head, print_table, run_child, use_cores

SECONDS_AT, SECONDS_MOST = 1_000_000, 60.0
GB_AT, GB_MOST = 10_000_000, 8.0
MORE_PER_ROW = 1.1  # seconds per row may be this many times those of the next smaller size
DONE = {0: "certified", 3: "not certified"}


def write_log(kind: str, path: Path, rows: int) -> None:
    if kind == "plain":
        plain_log.write(path, rows, seed=1)
    else:
        Notifications().write(rows, 1, path)


def improve(log: Path, out: Path, limit_gb: float | None) -> Child:
    """``jumar improve`` as a user runs it."""
    command = [sys.executable, "-m", "jumar", "improve", str(log), "--reward", "reward", "--out", str(out)]
    return run_child([*command, "--reward-range", "0", "1"], data_limit_gb=limit_gb)


def main(given: argparse.Namespace) -> int:
    use_cores(given.cores)
    print_head()
    rows_of_table: list[Row] = []
    per_row: list[float] = []
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        for rows in sorted(given.rows):
            log, out = Path(folder) / f"{rows}.parquet", Path(folder) / f"run-{rows}"
            write_log(given.log, log, rows)
            child = improve(log, out, given.limit_gb)
            verdict = DONE.get(child.code, f"FAILED with exit code {child.code}")
            if child.code not in DONE:
                print(child.output[-3000:])
            else:
                certificate = json.loads((out / "certificate.json").read_text())
                if certificate["verdict"] == "certified":
                    verdict += f", at least {certificate['relative_lower_bound']:+.1%}"
            print(f"{rows:>12,} rows: {child.seconds:.1f} s, {child.peak_gb:.2f} GB, {verdict}", flush=True)
            log.unlink()
            rows_of_table += judged(rows, child, per_row)
            per_row.append(child.seconds / rows)
    return print_table(rows_of_table)


def judged(rows: int, child: Child, per_row: list[float]) -> list[Row]:
    """One size beside its targets; ``per_row`` are the seconds per row of smaller sizes."""
    done = child.code in DONE
    most = f"≤ {SECONDS_MOST:.0f} s" if rows == SECONDS_AT else ""
    seconds_met = done and child.seconds <= SECONDS_MOST if most else done
    memory = f"≤ {GB_MOST:.0f} GB" if rows == GB_AT else ""
    memory_met = done and child.peak_gb <= GB_MOST if memory else None
    each = child.seconds / rows
    growth = f"≤ {MORE_PER_ROW * per_row[-1] * 1e6:.1f} (not growing)" if per_row else ""
    growth_met = each <= MORE_PER_ROW * per_row[-1] if per_row else None
    return [
        Row(f"{rows:,} rows: seconds", f"{child.seconds:.1f}", most or "done", seconds_met),
        Row(f"{rows:,} rows: peak memory, GB", f"{child.peak_gb:.2f}", memory, memory_met),
        Row(f"{rows:,} rows: microseconds per row", f"{each * 1e6:.1f}", growth, growth_met),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--log", choices=["plain", "founding"], default="plain")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--limit-gb", type=float, help="let the job allocate no more than this (RLIMIT_DATA)")
    parser.add_argument("--work", type=Path, help="folder for logs and results (default: the system's own)")
    sys.exit(main(parser.parse_args()))
