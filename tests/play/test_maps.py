"""Maps and lines of sight: the same from both sides, connected, and what trees hide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from boards_of_play import HEIGHT, WIDTH, cell, field

from jumar.play import PlayError, draw, maps
from jumar.play.render import wood
from jumar.play.sight import RADIUS, has, line

each_size = pytest.mark.parametrize("size", maps.SIZES)


@each_size
def test_maps_are_symmetric_connected_and_clear_at_the_back(size: tuple[int, int]) -> None:
    fields = draw(11, 200, size)
    trees = np.stack([wood(maps.one(fields, i)) for i in range(200)])
    assert np.array_equal(trees, trees[:, ::-1, ::-1])
    assert not trees[:, :, :3].any()
    assert not trees[:, :, -3:].any()
    assert trees[:, :, 3:-3].mean() == pytest.approx(0.12, abs=0.02)
    opened = maps.open_cells(trees, np.asarray(fields.flag) // size[0])
    assert np.array_equal(np.asarray(fields.way) < maps.FAR, opened), "every cell leads to the enemy's flag"
    assert len({row.tobytes() for row in trees}) > 190
    assert set(np.asarray(fields.flag) % size[0]) == {1}


def test_a_seed_names_its_maps() -> None:
    few, many = draw(3, 5), draw(3, 40)
    assert all(np.array_equal(a, b[:5]) for a, b in zip(few, many, strict=True))
    assert not np.array_equal(draw(4, 5).trees, few.trees)
    assert not draw(3, 5, trees=0).trees.any()


def test_sight_is_mutual_and_the_same_from_both_sides() -> None:
    fields = draw(5, 20)
    cells = np.arange(260)
    seen = np.stack([[has(rows, cells, 20) for rows in table] for table in np.asarray(fields.see)])
    assert np.array_equal(seen, seen.swapaxes(1, 2))
    assert np.array_equal(seen, seen[:, ::-1, ::-1])
    apart = np.maximum(abs(cells[:, None] % 20 - cells % 20), abs(cells[:, None] // 20 - cells // 20))
    assert not seen[:, apart > RADIUS].any()
    assert seen[:, apart <= 1].all()


@pytest.mark.parametrize(
    ("trees", "target", "visible"),
    [
        ((), (9, 4), True),
        ((), (10, 4), False),
        (((6, 4),), (9, 4), False),
        (((9, 4),), (9, 4), True),
        (((5, 5),), (7, 7), False),
        (((6, 5),), (9, 5), True),
        (((5, 4),), (6, 5), True),
        (((5, 4), (5, 5)), (6, 5), False),
    ],
    ids=["five away", "six away", "behind a tree", "a tree itself", "diagonally behind", "round its edge",
         "between two, one open", "between two, both trees"],
)  # fmt: skip
def test_what_trees_hide(trees: tuple[tuple[int, int], ...], target: tuple[int, int], visible: bool) -> None:
    ground = field(trees)
    assert bool(has(ground.see[cell((4, 4))], np.int32(cell(target)), WIDTH)) is visible


def test_lines() -> None:
    assert line(1, 1) == []
    assert line(4, 0) == [[(1, 0)], [(2, 0)], [(3, 0)]]
    assert line(2, -1) == [[(1, -1), (1, 0)]]
    assert line(3, 1) == [[(1, 0)], [(2, 1)]]


def test_ways_count_steps() -> None:
    way = np.asarray(field().way)
    flag = (12, HEIGHT - 1 - 3)
    assert way[flag[1], flag[0]] == 0
    assert way[4, 4] == abs(12 - 4) + abs(flag[1] - 4)


def test_no_map_is_drawn_by_two_seeds() -> None:
    """Seeds that NumPy would take for two words are refused: the upper word would be an attempt of the lower."""
    assert np.random.default_rng([7, 1]).random() == np.random.default_rng([7 + 2**32, 0]).random()
    held_out, others = (np.concatenate([_told(draw(seed, 60)) for seed in seeds]) for seeds in ((500_000,), range(9)))
    assert len(np.unique(np.concatenate([held_out, others]), axis=0)) == 60 * 10
    small = np.concatenate([_told(draw(seed, 1_000, maps.SIZES[1])) for seed in (0, 1)])
    pairs = 2_000 * 1_999 / 2
    found = np.unique(small, axis=0, return_counts=True)[1]
    assert 1 / 40_000 < (found * (found - 1) / 2).sum() / pairs < 1 / 15_000, "there are not that many small ones"


def _told(fields: maps.Field) -> np.ndarray:
    return np.concatenate([fields.trees, fields.flag[:, None]], axis=1)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"size": (13, 20)}, r"a map is 20 × 13 or 14 × 9 \(size, for example \(13, 20\)\)"),
        ({"seed": -1}, "seed, for example"),
        ({"seed": 2**32}, "at most 4,294,967,295"),
        ({"count": 0}, "count, for example"),
        ({"trees": 0.5}, "would close the field"),
    ],
)
def test_a_map_that_does_not_exist(given: dict[str, Any], told: str) -> None:
    with pytest.raises(PlayError, match=told):
        draw(**{"seed": 0, "count": 1, **given})
