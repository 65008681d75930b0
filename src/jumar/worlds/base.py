"""What every simulated world offers, and the block machinery that all of them share.

In: a world's blocks of rows. Out: the types of a world, checked policies, Parquet files whole or absent.
Rows come in blocks of fixed size with a seed each: a longer log starts with the rows of the shorter one, and
memory does not grow with the number of rows. Only the worlds import this.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jumar.errors import OptionError, OutputError

BLOCK_ROWS = 16_384
BLOCKS_PER_ROW_GROUP = 6
WEEKS_MOST = 52_000

Floats = NDArray[np.float64]
Policy = Callable[[pa.Table], NDArray[Any]]
"""Contexts, a table of n rows, to probabilities, [n, actions], in the order of ``World.actions``."""


@dataclass(frozen=True)
class Summary:
    """What a world holds for whoever learns in it; values are mean rewards per decision.

    Attributes:
        rows: contexts averaged over.
        production_value: value of the incumbent.
        best_value: the greatest value of any policy that keeps the incumbent's exploration.
        gain: best_value − production_value.
        relative_gain: gain / production_value.
        production_rates: how often the incumbent takes each action, in the order of ``World.actions``.
        best_rates: the same for the best policy.
    """

    rows: int
    production_value: float
    best_value: float
    gain: float
    relative_gain: float
    production_rates: tuple[float, ...]
    best_rates: tuple[float, ...]


class World(Protocol):
    """A simulator of one-step decisions whose true values are known exactly given the context."""

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions, in the order of every array with an action axis."""
        ...

    def contexts(self, rows: int, seed: int) -> pa.Table:
        """Draw decisions to be made: features, ``unit``, ``time``, ``decision_id``."""
        ...

    def mean_reward(self, contexts: pa.Table) -> Floats:
        """E[reward | context, action], shape [rows, actions]."""
        ...

    def production(self, contexts: pa.Table) -> Floats:
        """The incumbent's probabilities, shape [rows, actions]."""
        ...

    def best(self, contexts: pa.Table) -> Floats:
        """Probabilities of the best policy that keeps the incumbent's exploration, shape [rows, actions]."""
        ...

    def log(self, rows: int, seed: int, policy: Policy | None = None) -> pa.Table:
        """Contexts with ``action``, ``propensity`` and ``reward``, decided by production or by ``policy``."""
        ...


def block_sizes(rows: int) -> Iterator[tuple[int, int]]:
    """Number and size of each block of a log of ``rows`` rows; only the last is shorter than BLOCK_ROWS."""
    if rows < 1:
        raise OptionError("A world was asked for fewer than one row", example=rows, remedy="Ask for rows ≥ 1.")
    for block in range(-(-rows // BLOCK_ROWS)):
        yield block, min(BLOCK_ROWS, rows - block * BLOCK_ROWS)


def check_week(week: int) -> None:
    """Refuses weeks whose times no calendar can hold.

    Raises:
        OptionError: more than a thousand years from now.
    """
    if abs(week) > WEEKS_MOST:
        raise OptionError(
            "A world lies within a thousand years", example=week, remedy=f"Choose a week within ±{WEEKS_MOST:,}."
        )


def block_rng(seed: int, block: int, stream: int) -> np.random.Generator:
    """The generator of one block; contexts and outcomes have a stream each, so policies share contexts."""
    if seed < 0:
        raise OptionError("A seed is a whole number from 0 on", example=seed, remedy="Pass seed ≥ 0.")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(block, stream))))


def checked_pmf(pmf: NDArray[Any], rows: int, actions: int) -> Floats:
    """``pmf`` as float64 [rows, actions], or an error if it is not one distribution per row (to 1e-5).

    Raises:
        OptionError: wrong shape, a probability outside [0, 1], or rows that do not sum to one.
    """
    found = np.asarray(pmf, dtype=np.float64)
    remedy = "A policy maps a table of n contexts to an array [n, actions] of probabilities."
    if found.shape != (rows, actions):
        raise OptionError(f"A policy answered with shape {found.shape}, not {(rows, actions)}", remedy=remedy)
    wrong = ~((found >= 0).all(axis=1) & (np.abs(found.sum(axis=1) - 1) <= 1e-5))
    if wrong.any():
        example = found[np.argmax(wrong)].tolist()
        count = int(wrong.sum())
        raise OptionError("A policy's probabilities must sum to 1", count=count, example=example, remedy=remedy)
    return found


def write_parquet(tables: Iterable[pa.Table], schema: pa.Schema, path: str | os.PathLike[str]) -> None:
    """Stream tables into one Parquet file that appears whole, synced to disk, or not at all.

    Args:
        tables: blocks in order; BLOCKS_PER_ROW_GROUP of them make a row group.
        schema: the schema of every block.
        path: the file to write; an existing one is replaced at the end, in one step.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    target = Path(path)
    if target.is_dir() or not target.name:
        raise OutputError(f"'{path}' is a folder", remedy="Name a Parquet file to write to.")
    temporary: Path | None = None
    try:
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
        with open(temporary, "xb") as sink:
            with pq.ParquetWriter(sink, schema, compression="snappy") as writer:
                for group in _grouped(tables):
                    writer.write_table(pa.concat_tables(group), row_group_size=BLOCKS_PER_ROW_GROUP * BLOCK_ROWS)
            sink.flush()
            os.fsync(sink.fileno())
        os.replace(temporary, target)
        temporary = None
        _sync_folder(target.parent)
    except OSError as error:
        raise OutputError(
            f"Cannot write the log: {error.strerror or error}",
            example=str(target),
            remedy="Choose another path, or make room.",
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def _grouped(tables: Iterable[pa.Table]) -> Iterator[list[pa.Table]]:
    group: list[pa.Table] = []
    for table in tables:
        group.append(table)
        if len(group) == BLOCKS_PER_ROW_GROUP:
            yield group
            group = []
    if group:
        yield group


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable; a file system that cannot sync folders is left as it is."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
