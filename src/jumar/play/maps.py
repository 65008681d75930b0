"""Fields to play on: seeded, point-symmetric, connected, with everything about them that never changes.

In: a seed, how many, a size. Out: ``Field``, one or a stack of them, whose tables the rules, senses and bots look up.
Cells are numbered row by row. Each side looks at the field in its own frame, its home at the left and the enemy at the
right; turning the field around maps cell c to cells − 1 − c and leaves every table as it is, so both frames share them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jumar.play import limits
from jumar.play.errors import PlayError
from jumar.play.sight import sight_table, to_rows

SIZES = ((20, 13), (14, 9))
TREES = 0.12
CLEAR = 3
PLAYERS = 4
ACTIONS = ("stay", "north", "east", "south", "west")
FAR = 10_000
SEEDS = (
    2**32
)  # a greater seed would be two words to NumPy, the upper one like an attempt of the lower: maps drawn twice


class Field(NamedTuple):
    """One map, or with a leading axis many, in the frame of either side.

    Attributes:
        trees: [height] rows of bits, where trees stand.
        exits: [cells] in bit a: whether action a leads to a cell on which one may stand.
        see: [cells, height] rows of bits, what is seen from each cell.
        way: [height, width] steps to the enemy's flag; ``FAR`` where nobody can stand.
        flag: the cell of one's own flag.
        homes: [4] the cells on which players start.
    """

    trees: Any
    exits: Any
    see: Any
    way: Any
    flag: Any
    homes: Any


def offsets(width: int) -> tuple[int, ...]:
    """What each action adds to a cell."""
    return (0, -width, 1, width, -1)


def draw(seed: int, count: int, size: tuple[int, int] = SIZES[0], trees: float = TREES) -> Field:
    """A stack of maps; the first of them are the same however many there are.

    Args:
        seed: 0 or more, and below ``SEEDS``; seeds share no chance. Maps of two seeds may still be equal:
            on 20 × 13 next to never, but on 14 × 9, of which there are few, one of 25,000 pairs is.
        count: how many maps.
        size: columns and rows, one of ``SIZES``.
        trees: share of cells with trees outside the clear columns; 0 is an empty field.

    Raises:
        PlayError: for any other size, a seed that is none, no maps or too many, or a share outside 0 to 0.3.
    """
    check(seed, count, size, trees)
    width, height = size
    wood = np.zeros((count, height, width), bool)
    flag_row = np.zeros(count, np.int64)
    waiting = np.ones(count, bool)
    attempt = 0
    while waiting.any():
        # Row i of an attempt does not depend on how many rows follow it.
        chance = np.random.default_rng([seed, attempt]).random((count, height * width // 2 + 1))
        half = (chance[:, 1:] < trees).astype(bool)
        drawn = np.concatenate([half, half[:, ::-1]], axis=1).reshape(count, height, width)
        drawn[:, :, :CLEAR] = drawn[:, :, width - CLEAR :] = False
        rows = 2 + (chance[:, 0] * (height - 4)).astype(np.int64)
        fits = waiting.copy()
        fits[waiting] = _connected(drawn[waiting], rows[waiting])
        wood[fits], flag_row[fits] = drawn[fits], rows[fits]
        waiting &= ~fits
        attempt += 1
    return build(wood, flag_row)


def build(trees: np.ndarray, flag_row: np.ndarray) -> Field:
    """Fields from where trees stand, [maps, height, width], and the row of one's own flag, [maps]."""
    maps, height, width = trees.shape
    opened = open_cells(trees, flag_row)
    exits = np.zeros((maps, height, width), np.int32)
    padded = np.pad(opened, ((0, 0), (1, 1), (1, 1)))
    for action, (dx, dy) in enumerate(((0, 0), (0, -1), (1, 0), (0, 1), (-1, 0))):
        reached = padded[:, 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        exits |= np.where(reached | (action == 0), 1 << action, 0).astype(np.int32)
    rows = height // 2 + np.array([-3, -1, 1, 3])
    return Field(
        trees=to_rows(trees),
        exits=exits.reshape(maps, -1),
        see=sight_table(trees),
        way=_way(opened, flag_row),
        flag=(flag_row * width + 1).astype(np.int32),
        homes=np.tile((rows * width + 2).astype(np.int32), (maps, 1)),
    )


def open_cells(trees: np.ndarray, flag_row: np.ndarray) -> np.ndarray:
    """Where a side may stand: neither on trees, nor in a jail, nor on its own flag. [maps, height, width]."""
    opened = ~trees
    opened[:, 0, -1] = opened[:, -1, 0] = False
    opened[np.arange(len(trees)), flag_row, 1] = False
    return opened


def one(fields: Field, index: int) -> Field:
    """One map of a stack."""
    return Field(*(table[index] for table in fields))


def _way(opened: np.ndarray, flag_row: np.ndarray) -> np.ndarray:
    """Steps to the enemy's flag by the shortest way, [maps, height, width]."""
    maps, height, width = opened.shape
    reached = np.zeros_like(opened)
    reached[np.arange(maps), height - 1 - flag_row, width - 2] = True
    steps = np.where(reached, 0, FAR).astype(np.int32)
    for distance in range(1, height * width):
        spread = np.pad(reached, ((0, 0), (1, 1), (1, 1)))
        spread = spread[:, :-2, 1:-1] | spread[:, 2:, 1:-1] | spread[:, 1:-1, :-2] | spread[:, 1:-1, 2:]
        fresh = spread & opened & ~reached
        if not fresh.any():
            break
        steps[fresh] = distance
        reached |= fresh
    return steps


def _connected(trees: np.ndarray, flag_row: np.ndarray) -> np.ndarray:
    """Whether every cell on which a side may stand leads to the enemy's flag, per map."""
    opened = open_cells(trees, flag_row)
    return ((_way(opened, flag_row) < FAR) == opened).all(axis=(1, 2))


def check(seed: int, count: int, size: tuple[int, int], trees: float) -> None:
    """Whether such maps can be drawn; arguments and errors as in ``draw``."""
    known = " or ".join(f"{w} × {h}" for w, h in SIZES)
    if tuple(size) not in SIZES:
        raise PlayError(
            f"There is no map of this size; a map is {known}", where="size", example=size, remedy=f"Give {SIZES[0]}."
        )
    limits.within("seed", seed, 0, SEEDS - 1)
    limits.within("count", count, 1, limits.MAPS)
    if not 0 <= trees <= 0.3:
        raise PlayError("Trees take a share of 0 to 0.3 of the cells; more would close the field", where="trees",
                        example=trees, remedy=f"Leave it out for {TREES}.")  # fmt: skip
