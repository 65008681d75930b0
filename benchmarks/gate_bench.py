"""The benchmark that proves the gate: false releases, a year, power, planner, audits, speed, each with what must break.

In: nothing. Out: tables, figures beside targets, and with --store ``figures.json``, which documents quote; it exits 1
if a target was missed or a negative control did not break. Seeds are fixed.
Run: python benchmarks/gate_bench.py [--quick] [--only NAME …] [--workers 2] [--store]
     python benchmarks/gate_bench.py --pipeline | --ahead [--quick] [--store] [--kept FOLDER]
         the whole of ``jumar improve``, with a discount where ahead
     python benchmarks/gate_bench.py --write-docs | --check           figures in documents
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # a cache of compiled programs speaks of processor features
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # processes share the cores; threads would only wait for each other

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gate import adaptive, audits, boosted, documents, nulls, power, speed, tables, year
from gate.core import on_all_cores
from table import Row, print_head, print_table, use_cores

SECTIONS = ("nulls", "year", "power", "planner", "audits", "speed")


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    runs: int
    long_runs: int  # of cases with many looks or blocks, and of those that go row by row
    years: int
    power_runs: int
    audit_runs: int
    merged_rows: int


FULL = Sizes(200_000, 100_000, 20_000, 4_000, 1_000, 1_000_000)
QUICK = Sizes(4_000, 2_000, 1_000, 600, 40, 100_000)


def work(section: str, *arguments: Any) -> Any:
    """One task, in whatever process."""
    functions: dict[str, Callable[..., Any]] = {
        "case": nulls.run,
        "adaptive": adaptive.run,
        "boosted": boosted.run,
        "year": year.run,
        "power": power.run,
        "planner": power.planned,
        "audits": audits.run,
    }
    return functions[section](*arguments)


def tasks(wanted: list[str], sizes: Sizes, quick: bool) -> list[tuple[Any, ...]]:
    """All tasks, the longest kinds first, so that no core is left over at the end."""
    found: list[tuple[Any, ...]] = []
    if "planner" in wanted:
        found.append(("planner", quick))
    if "nulls" in wanted:
        found += [("adaptive", *task) for task in adaptive.tasks(sizes.long_runs)]
        found += [("boosted", *task) for task in boosted.tasks(sizes.long_runs)]
    if "power" in wanted:
        found += [("power", *task) for task in power.tasks(sizes.power_runs)]
    if "audits" in wanted:
        found += [("audits", *task) for task in audits.tasks(sizes.audit_runs)]
    if "year" in wanted:
        found += [("year", *task) for task in year.tasks(sizes.years)]
    if "nulls" in wanted:
        found += [("case", *task) for task in nulls.tasks(sizes.runs, sizes.long_runs)]
    return found


def report(section: str, results: list[Any], quick: bool, sizes: Sizes) -> tuple[tables.Table | None, list[Row]]:
    """The table and the targets of one section."""
    if section == "nulls":
        lines = sorted(results, key=lambda one: (tables.ORDER.index(one.name), one.rows))
        return tables.null_table(lines), tables.null_targets(lines)
    if section == "year":
        lines = year.joined(results)
        return tables.year_table(lines), tables.year_targets(lines)
    if section == "power":
        lines = sorted(results, key=lambda one: one.base)
        return tables.power_table(lines), tables.power_targets(lines)
    if section == "planner":
        return None, results[0]
    if section == "audits":
        apart = max(audits.difference(which) for which in range(len(audits.NAMES)))
        same = Row("sums of audits against rows fed to them", f"{apart:.0e} nats", "≤ 1e-6", apart <= 1e-6)
        return tables.audit_table(results), [*tables.audit_targets(results), same]
    return None, tables.speed_targets(speed.run(sizes.merged_rows, quick), timed=not quick)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="The benchmark that proves the gate.")
    parser.add_argument("--quick", action="store_true", help="fewer runs, for two minutes instead of thirty")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="NAME")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--store", action="store_true", help="keep the figures for the documents")
    parser.add_argument("--pipeline", action="store_true", help="only the whole of jumar improve on null worlds")
    parser.add_argument("--ahead", action="store_true", help="the same with a discount")
    parser.add_argument("--kept", help="folder of worlds that the pipeline has judged already, to go on from")
    parser.add_argument("--write-docs", action="store_true", help="put the kept figures into the documents")
    parser.add_argument("--check", action="store_true", help="are the documents up to date with the kept figures?")
    asked = parser.parse_args(arguments)
    if asked.write_docs or asked.check:
        changed = documents.write() if asked.write_docs else documents.stale()
        for path in changed:
            print(f"{path.name}: {'renewed' if asked.write_docs else 'not up to date; run --write-docs'}")
        return int(asked.check and bool(changed))
    use_cores(asked.workers)
    print_head()
    start = time.perf_counter()
    words = " --pipeline" * asked.pipeline + " --ahead" * asked.ahead + " --quick" * asked.quick
    command = f"python benchmarks/gate_bench.py{words}"
    if asked.pipeline or asked.ahead:
        from gate import pipeline

        table, rows = pipeline.table(asked.quick, asked.workers, asked.kept, ahead=asked.ahead)
        sections = [(table.name, table, rows)]
    else:
        sections = measured(asked.only, asked.quick, asked.workers)
    for name, table, rows in sections:
        print(f"\n{table.text()}" if table else "")
        if asked.store:
            documents.store(name, table, rows, command)
    code = print_table([row for _, _, rows in sections for row in rows])
    print(f"\n{time.perf_counter() - start:,.0f} s")
    return code


def measured(wanted: list[str], quick: bool, workers: int) -> list[tuple[str, tables.Table | None, list[Row]]]:
    """All sections asked for; what is timed comes last, when nothing else runs."""
    sizes = QUICK if quick else FULL
    work_to_do = tasks(wanted, sizes, quick)
    results = on_all_cores(work, work_to_do, workers)
    kinds = {"case": "nulls", "adaptive": "nulls", "boosted": "nulls"}
    found = []
    for section in [name for name in SECTIONS if name in wanted]:
        own = [one for one, task in zip(results, work_to_do, strict=True) if kinds.get(task[0], task[0]) == section]
        found.append((section, *report(section, own, quick, sizes)))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
