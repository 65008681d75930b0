"""Who sees what: a table of lines of sight for every cell of a map, and sets of cells as rows of bits.

In: where trees stand, as booleans in NumPy. Out: for every cell the cells it sees, one word per row of the field, in
which bit x stands for column x. ``has`` reads such sets in NumPy and in JAX alike.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import Any

import numpy as np

RADIUS = 5
Offset = tuple[int, int]


def line(dx: int, dy: int) -> list[list[Offset]]:
    """The places strictly between a cell and the one that lies (dx, dy) away.

    Returns:
        one entry per place: the one cell that the line crosses there, or the two between which it passes exactly.
    """
    steps = max(abs(dx), abs(dy))
    places = []
    for k in range(1, steps):
        x, y = Fraction(k * dx, steps), Fraction(k * dy, steps)
        # The longer side is whole; the other falls on a cell, or on the border of two.
        places.append(sorted({(_near(x, up), _near(y, up)) for up in (False, True)}))
    return places


def _near(value: Fraction, up: bool) -> int:
    """The nearest whole number; of two that are equally near the higher or the lower one."""
    half = Fraction(1, 2)
    return floor(value + half) if up else -floor(-value + half)


LINES = {
    (dx, dy): line(dx, dy)
    for dx in range(-RADIUS, RADIUS + 1)
    for dy in range(-RADIUS, RADIUS + 1)
}  # fmt: skip


def to_rows(cells: np.ndarray) -> np.ndarray:
    """Booleans [..., height, width] as rows of bits [..., height]."""
    weights = np.uint32(1) << np.arange(cells.shape[-1], dtype=np.uint32)
    return np.where(cells, weights, np.uint32(0)).sum(axis=-1, dtype=np.uint32)


def has(rows: Any, cell: Any, width: int) -> Any:
    """Whether a set of cells, as rows of bits [height], holds a cell; cells of any shape."""
    return (rows[cell // width] >> (cell % width).astype(rows.dtype)) & 1 != 0


def sight_table(trees: np.ndarray) -> np.ndarray:
    """What is seen from every cell within ``RADIUS`` columns and rows, trees in between being opaque.

    A tree that ends a line is seen itself. Where a line passes exactly between two cells it is open if one of them is:
    so sight is mutual, and the same if the map is turned around.

    Args:
        trees: [maps, height, width], booleans.

    Returns:
        [maps, height × width, height] rows of bits.
    """
    maps, height, width = trees.shape
    around = np.pad(trees, ((0, 0), (RADIUS, RADIUS), (RADIUS, RADIUS)))

    def moved(dx: int, dy: int) -> np.ndarray:
        top, left = RADIUS + dy, RADIUS + dx
        return around[:, top : top + height, left : left + width]

    table = np.zeros((maps, height, width, height), np.uint32)
    for (dx, dy), places in LINES.items():
        open_line = np.ones_like(trees)
        for place in places:
            open_line &= ~np.logical_and.reduce([moved(*offset) for offset in place])
        # Only where both ends lie on the field.
        rows, columns = _both_ends(height, dy), _both_ends(width, dx)
        bits = np.uint32(1) << (columns + dx).astype(np.uint32)
        for row in rows:
            table[:, row, columns, row + dy] |= np.where(open_line[:, row, columns], bits, np.uint32(0))
    return table.reshape(maps, height * width, height)


def _both_ends(length: int, step: int) -> np.ndarray:
    places = np.arange(length)
    return places[(places + step >= 0) & (places + step < length)]
