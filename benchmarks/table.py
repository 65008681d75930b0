"""What the benchmarks share: a head that says what ran where, figures beside their targets, measured children.

In: figures. Out: plain text, and an exit code: 0 if every target was met, 1 if not.
"""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LIMITED = (
    "import os, resource, sys; most = int(sys.argv[1]); "
    "resource.setrlimit(resource.RLIMIT_DATA, (most, most)); os.execv(sys.argv[2], sys.argv[2:])"
)


@dataclass(frozen=True)
class Row:
    """A figure as it is to be read, and its target; ``met`` is None where nothing was promised."""

    what: str
    figure: str
    target: str = ""
    met: bool | None = None


@dataclass(frozen=True)
class Child:
    """How a finished child process went: its exit code, wall time, and peak resident memory."""

    code: int
    seconds: float
    peak_gb: float
    output: str


def use_cores(count: int) -> None:
    """Keep this process and its children on the first ``count`` cores it may use, where the system lets it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def print_head() -> None:
    """The command line, and the machine in words."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    print(f"$ {shlex.join(['python', 'benchmarks/' + Path(sys.argv[0]).name, *sys.argv[1:]])}")
    print(f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {cores} cores{load}")


def print_table(rows: Sequence[Row]) -> int:
    """Print figures beside targets; returns 1 if any was missed."""
    wide = max(len(row.what) for row in rows)
    long = max(len(row.figure) for row in rows)
    print()
    for row in rows:
        mark = {True: "met", False: "MISSED", None: ""}[row.met]
        print(f"{row.what:{wide}}  {row.figure:>{long}}  {row.target:<24} {mark}".rstrip())
    return 1 if any(row.met is False for row in rows) else 0


def run_child(command: Sequence[str], *, data_limit_gb: float | None = None) -> Child:
    """Run a command to its end and measure it.

    Args:
        command: program and arguments.
        data_limit_gb: the most that it may allocate (RLIMIT_DATA), in 10⁹ bytes.
    """
    if data_limit_gb is not None:
        command = [sys.executable, "-c", LIMITED, str(int(data_limit_gb * 1e9)), *command]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    return Child(process.returncode, time.perf_counter() - start, usage.ru_maxrss * unit / 1e9, output)
