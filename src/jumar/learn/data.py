"""Training rows as columns: in device memory when they fit, in shuffled chunks on disk when they do not.

In: a stream of canonical Arrow batches. Out: ``Chunks`` for the fit loop, or one dictionary of arrays.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jumar.features.raw import Blocks, read_blocks
from jumar.features.spec import FeatureSpec

HEX_DIGITS = 32
HASH_DIGITS = 8
Columns = dict[str, NDArray[Any]]


def read_columns(batch: pa.RecordBatch, spec: FeatureSpec) -> Columns:
    """One batch of canonical rows as arrays, keyed as the losses expect them.

    ``numbers``, ``codes``, ``ids:<k>`` hold the features; ``action`` [rows] int32, ``reward`` [rows] float32 in
    [0, 1], ``unit`` [rows] uint32; ``propensity`` [rows] float64 and ``pmf`` [rows, actions] where logged. Of timelines
    also ``gamma`` [rows] float32, the discount of what follows: 0 after an end, NaN where that is not known.
    """
    columns = block_columns(read_blocks(batch, spec))
    columns["action"] = np.asarray(batch.column("__action")).astype(np.int32)
    columns["reward"] = np.asarray(batch.column("__reward")).astype(np.float32)
    columns["unit"] = unit_codes(batch.column("__hash"))
    names = batch.schema.names
    if "__propensity" in names:
        columns["propensity"] = np.asarray(batch.column("__propensity"))
    if "__pmf" in names:
        flat = np.asarray(batch.column("__pmf").flatten())
        columns["pmf"] = flat.reshape(batch.num_rows, -1).astype(np.float32)
    if "__discount" in names:
        columns["gamma"] = batch.column("__discount").to_numpy(zero_copy_only=False).astype(np.float32)
    return columns


def block_columns(blocks: Blocks) -> Columns:
    """Blocks as named columns."""
    named: Columns = {"numbers": blocks.numbers, "codes": blocks.codes}
    return named | {f"ids:{place}": entries for place, entries in enumerate(blocks.ids)}


def unit_codes(hashes: pa.Array) -> NDArray[np.uint32]:
    """The last eight hex digits of each unit's md5 as [rows] uint32; the first ones decide the split."""
    text = hashes.cast(pa.string())
    start = text.offset * HEX_DIGITS
    data = text.buffers()[2]
    if data is None:
        return np.zeros(0, np.uint32)
    digits = np.frombuffer(data, np.uint8)[start : start + len(text) * HEX_DIGITS].reshape(-1, HEX_DIGITS)
    digits = digits[:, -HASH_DIGITS:].astype(np.uint32)
    values = (digits & 0xF) + 9 * (digits >> 6)
    return (values << (4 * np.arange(HASH_DIGITS - 1, -1, -1, dtype=np.uint32))).sum(axis=1, dtype=np.uint32)


def concatenate(pieces: Iterable[Columns]) -> Columns:
    """All pieces as one dictionary of arrays."""
    kept = list(pieces)
    return {name: np.concatenate([piece[name] for piece in kept]) for name in kept[0]}


@dataclass
class MemoryChunks:
    """All rows on the device, shuffled once."""

    columns: dict[str, Any]
    order: NDArray[np.int64]

    @classmethod
    def of(cls, columns: Columns, seed: int) -> MemoryChunks:
        """Shuffle and move to the device."""
        order = _shuffled(columns, np.random.default_rng(seed))
        return cls({name: jax.device_put(values[order]) for name, values in columns.items()}, order)

    def extend(self, more: Callable[[Columns], Columns]) -> None:
        """Add or replace columns that are computed from all rows in the order in which they came."""
        found = more(self._in_order())
        self.columns = self.columns | {name: jax.device_put(values[self.order]) for name, values in found.items()}

    def regrouped(self, more: Callable[[Columns], Columns], seed: int) -> MemoryChunks:
        """Rows computed from all rows in the order in which they came; with ``place``, units stay together."""
        return MemoryChunks.of(more(self._in_order()), seed)

    @property
    def rows(self) -> int:
        """Rows of the one piece."""
        return len(self.columns["action"])

    def visit(self, rng: np.random.Generator) -> Iterator[Mapping[str, Any]]:
        """The one piece."""
        del rng
        yield self.columns

    def _in_order(self) -> Columns:
        """The columns as they came."""
        back = np.empty_like(self.order)
        back[self.order] = np.arange(len(back))
        return {name: np.asarray(values)[back] for name, values in self.columns.items()}


def levelling(unit: NDArray[np.uint32], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """[rows] the pile of each row such that piles of these sizes become as level as whole units allow.

    Args:
        unit: [rows] of a piece, the rows of each unit together.
        sizes: [piles] rows that lie there already.
    """
    rows = len(unit)
    starts = np.flatnonzero(np.append(True, unit[1:] != unit[:-1])) if rows else np.zeros(0, np.int64)
    order = np.argsort(sizes, kind="stable")
    rising = sizes[order]
    # Filling the k smallest piles up to one level takes this many rows before the next one would get any.
    needed = np.arange(len(rising)) * rising - np.append(0, np.cumsum(rising)[:-1])
    lowest = int(np.searchsorted(needed, rows, side="left"))
    level = (rows + rising[:lowest].sum()) / max(lowest, 1)
    ends = np.cumsum(level - rising[:lowest])
    middle = (starts + np.append(starts[1:], rows)) / 2
    place = np.minimum(np.searchsorted(ends, middle, side="right"), max(lowest - 1, 0))
    return np.repeat(order[place], np.diff(starts, append=rows))


@dataclass
class SpilledChunks:
    """Rows dealt at random into ``count`` piles on disk, each of which fits the device; whole units where asked.

    A unit is never cut, so a pile is as large as its largest unit at the least, and with few units some stay empty.
    """

    count: int
    seed: int
    layout: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = field(default_factory=dict)
    sizes: NDArray[np.int64] | None = None
    folder: str = field(default_factory=lambda: tempfile.mkdtemp(prefix="jumar-chunks-"))

    def __post_init__(self) -> None:
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    @classmethod
    def of(cls, pieces: Iterable[Columns], count: int, seed: int, *, by_unit: bool = False) -> SpilledChunks:
        """Deal a stream of columns into piles; by unit, all rows of one lie in one pile, in the order they came.

        Args:
            pieces: columns; by unit, of whole units, which come in the order of their hashes and so at random already.
            count: of piles.
            seed: of the deal, where it is not by unit.
            by_unit: level the piles as far as whole units allow.
        """
        sizes = np.zeros(count, np.int64)
        chunks = cls(count=count, seed=seed, sizes=sizes)
        rng = np.random.default_rng(seed)
        for piece in pieces:
            rows = len(piece["action"])
            chunks._deal(piece, levelling(piece["unit"], sizes) if by_unit else rng.integers(0, count, rows))
        return chunks

    def extend(self, more: Callable[[Columns], Columns]) -> None:
        """Add or replace columns that are computed pile by pile from rows in the order in which they came."""
        found: Columns = {}
        for pile in self._filled:
            found = more(self._pile(pile))
            for name, values in found.items():
                values.tofile(self._path(pile, name))
        self.layout |= {name: (values.dtype, values.shape[1:]) for name, values in found.items()}

    def regrouped(self, more: Callable[[Columns], Columns], seed: int) -> SpilledChunks:
        """Rows computed pile by pile from whole units in the order in which they came; with ``place``, they stay so."""
        pieces = (more(self._pile(pile)) for pile in range(self.count))
        return SpilledChunks.of(pieces, self.count, seed, by_unit=True)

    @property
    def rows(self) -> int:
        """Rows of every piece: those of the smallest pile, so that one compiled loop serves all."""
        assert self.sizes is not None
        return int(self.sizes[self._filled].min())

    def visit(self, rng: np.random.Generator) -> Iterator[Mapping[str, Any]]:
        """Each pile once, in random order, shuffled anew."""
        assert self.sizes is not None
        for pile in rng.permutation(self._filled).tolist():
            columns = self._pile(pile)
            order = _shuffled(columns, rng)[: self.rows]
            yield {name: jax.device_put(values[order]) for name, values in columns.items()}

    @property
    def _filled(self) -> list[int]:
        """Piles that hold any row."""
        assert self.sizes is not None
        return np.flatnonzero(self.sizes).tolist()

    def _pile(self, pile: int) -> Columns:
        """One pile as it came."""
        return {name: self._read(pile, name) for name in self.layout}

    def _read(self, pile: int, name: str) -> NDArray[Any]:
        """A column of one pile."""
        dtype, shape = self.layout[name]
        assert self.sizes is not None
        return np.fromfile(self._path(pile, name), dtype).reshape(int(self.sizes[pile]), *shape)

    def _deal(self, piece: Columns, pile: NDArray[np.int64]) -> None:
        """Append the rows of one piece to the piles."""
        assert self.sizes is not None
        self.layout = {name: (values.dtype, values.shape[1:]) for name, values in piece.items()}
        for place in range(self.count):
            chosen = pile == place
            self.sizes[place] += int(chosen.sum())
            for name, values in piece.items():
                with self._path(place, name).open("ab") as file:
                    values[chosen].tofile(file)

    def _path(self, pile: int, name: str) -> Path:
        return Path(self.folder) / f"{pile:04d}-{name.replace(':', '-')}.bin"


def _shuffled(columns: Columns, rng: np.random.Generator) -> NDArray[np.int64]:
    """A random order of the rows; with ``place``, of the units, the rows of each in the order of their places."""
    rows = len(columns["action"])
    if "place" not in columns:
        return rng.permutation(rows)
    starts = np.flatnonzero(np.asarray(columns["place"]) == 0)
    units = rng.permutation(len(starts))
    lengths = np.diff(starts, append=rows)[units]
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts[units] - before, lengths) + np.arange(rows)
