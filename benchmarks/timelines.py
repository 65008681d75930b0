"""Timelines at scale: seconds and memory for what followed each of ten million decisions, in a process of its own.

In: rows. Out: a table; it exits 1 if a target was missed. The log is that of ``plain_log.py`` with 16 features, a time,
and twenty decisions for each unit; written first, not timed. "expression" is ``Log.timelines`` with three features of
the next state, streamed to its end; "unit by unit" the same in the order of units, as learners read it; "learning" is a
fit on timelines that may hold a tenth of its rows at a time.
Run: python benchmarks/timelines.py [--rows 10000000]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import plain_log
from table import Row, print_head, print_table, run_child, use_cores

SECONDS_MOST, GB_MOST, PER_UNIT = 30.0, 2.0, 20

READ = """
import sys, jumar
from jumar.logs import timeline_of
log = jumar.read_log(sys.argv[1], time="when", reward_range=(0, 1))
log.last
import time
start = time.perf_counter()
timeline = timeline_of(0.95, "day", "30d")
table = log.timelines(timeline, following=["measure_0", "kind", "subscriber"])
rows = worth = 0
if sys.argv[2] == "expression":
    wanted = ["__discount", "__reward", "__action", "measure_0", "__next_measure_0", "__next_kind", "__next_subscriber"]
    batches = log.origin.stream(table.select(*wanted), 65_536)
else:
    batches = log.batches(by_unit=True, timeline=timeline, columns=["__hash", "__discount", "__reward", "measure_0"])
for batch in batches:
    rows += batch.num_rows
print(f"{time.perf_counter() - start:.1f} {rows}")
"""

LEARN = """
import sys, time, jumar
from jumar.logs import timeline_of
from jumar.learn import FitConfig, OneStepConfig, fit_one_step
from jumar.learn.prepare import prepare
log = jumar.read_log(sys.argv[1], time="when", reward_range=(0, 1))
start = time.perf_counter()
prepared = prepare(log, 0, device_bytes=int(sys.argv[2]), timeline=timeline_of(0.95, "day", "30d"))
fit = FitConfig(batch_rows=2_048, updates=300, evaluations=4)
config = OneStepConfig(members=2, clone_fit=fit, value_fit=fit, rounds=2)
moments = (prepared.reward_mean, prepared.reward_scale)
learned = fit_one_step(prepared.spec, 2, prepared.chunks, prepared.held_out, moments, config)
assert learned.value_result.loss < 1e3
print(f"{time.perf_counter() - start:.1f} {type(prepared.chunks).__name__}")
"""


def write(path: Path, rows: int) -> None:
    """The plain log with times: a unit's decisions about a day apart."""
    source = path.with_suffix(".plain")
    plain_log.write(source, rows, seed=1)
    rng, writer = np.random.default_rng(0), None
    start = 0
    for batch in pq.ParquetFile(source).iter_batches(131_072):
        row = start + np.arange(batch.num_rows)
        start += batch.num_rows
        when = 1_700_000_000 + 86_400 * (row % PER_UNIT) + rng.integers(0, 80_000, len(row))
        table = pa.Table.from_batches([batch]).append_column("when", pa.array(when))
        unit = pa.array(row // PER_UNIT).cast(pa.string())
        table = table.set_column(table.schema.get_field_index("unit"), "unit", unit)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()
    source.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    given = parser.parse_args()
    use_cores(2)
    print_head()
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.parquet"
        write(log, given.rows)
        for kind in ("expression", "unit by unit"):
            child = run_child([sys.executable, "-c", READ, str(log), kind])
            if child.code:
                print(child.output[-2_000:])
                return 1
            seconds = float(child.output.split()[-2])
            found += [
                Row(
                    f"{kind}, {given.rows:,} rows",
                    f"{seconds:.1f} s",
                    f"≤ {SECONDS_MOST:.0f} s",
                    seconds <= SECONDS_MOST,
                ),
                Row("    peak memory", f"{child.peak_gb:.2f} GB", f"≤ {GB_MOST:.0f} GB", child.peak_gb <= GB_MOST),
            ]
        limit = given.rows * 8  # bytes: about a tenth of what the rows that are fitted on take
        child = run_child([sys.executable, "-c", LEARN, str(log), str(limit)])
        if child.code:
            print(child.output[-2_000:])
        said = " in piles on disk" if "SpilledChunks" in child.output else ""
        found.append(
            Row(
                f"learning within {limit / 1e6:.0f} MB of rows{said}",
                f"{child.seconds:.0f} s",
                "finishes",
                not child.code,
            )
        )
        found.append(Row("    peak memory", f"{child.peak_gb:.2f} GB"))
    return print_table(found)


if __name__ == "__main__":
    sys.exit(main())
