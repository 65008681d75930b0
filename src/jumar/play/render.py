"""Boards as pictures: text for a terminal, an array of colours, an animated GIF.

In: a ``Field`` and a ``State`` or many of them. Out: all of it from above, in the frame of the red side. Nothing here
needs a screen; only ``gif`` needs Pillow.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

from jumar.play.errors import PlayError
from jumar.play.files import put
from jumar.play.maps import PLAYERS, Field
from jumar.play.rules import BLUE, DRAW, HOME, JAILED, NOBODY, PLAYING, STEPS, TURN, State

SIDES = ("red", "blue")
NAMES = ("ABCD", "abcd")
SCALE = 16
GROUND = ((232, 222, 214), (214, 222, 232))
TREE, JAIL = (58, 110, 66), (150, 150, 150)
COLOURS = ((204, 51, 51), (51, 85, 204))
_ENDINGS = {HOME: "carries the flag home", JAILED: "has jailed all four", 3: "has the better score"}


def cells_of(field: Field, state: State) -> np.ndarray:
    """[2, 4] the cells of all players in red's frame."""
    cells = field.way.shape[0] * field.way.shape[1]
    return np.stack([np.asarray(state.red.at), cells - 1 - np.asarray(state.blue.at)])


def flags_of(field: Field, state: State) -> tuple[int, int]:
    """The cells of red's and of blue's flag in red's frame: with their carriers, or in their places."""
    cells = field.way.shape[0] * field.way.shape[1]
    at, flag = cells_of(field, state), int(field.flag)
    red_carrier, blue_carrier = int(state.red.carrier), int(state.blue.carrier)
    return (
        flag if blue_carrier == NOBODY else int(at[BLUE, blue_carrier]),
        cells - 1 - flag if red_carrier == NOBODY else int(at[0, red_carrier]),
    )


def wood(field: Field) -> np.ndarray:
    """[height, width] where trees stand."""
    width = field.way.shape[1]
    return (np.asarray(field.trees)[:, None] >> np.arange(width) & 1).astype(bool)


def text(field: Field, state: State) -> str:
    """The board, two characters per cell: trees #, red A to D, blue a to d, flags > and <, * on whoever carries one."""
    height, width = field.way.shape
    board = np.where(wood(field), "# ", ". ").astype("<U2").reshape(-1)
    board[[width - 1, height * width - width]] = "[]"
    at, flags = cells_of(field, state), flags_of(field, state)
    board[flags[0]], board[flags[1]] = "> ", "< "
    for number, side in enumerate((state.red, state.blue)):
        for player in range(PLAYERS):
            if side.free[player]:
                board[at[number, player]] = NAMES[number][player] + ("*" if player == int(side.carrier) else " ")
    rows = ["".join(row).rstrip() for row in board.reshape(height, width)]
    return "\n".join([*rows, caption(state)])


def caption(state: State) -> str:
    """How the game stands, in one line."""
    jailed = [int((~np.asarray(side.free)).sum()) for side in (state.red, state.blue)]
    tick, winner = int(state.tick), int(state.winner)
    if winner == PLAYING:
        side, part = (tick // TURN + int(state.first)) % 2, tick // PLAYERS % STEPS + 1
        now = f"round {tick // (2 * TURN) + 1}, {SIDES[side]} makes step {part} of {STEPS}"
    elif winner == DRAW:
        now = "a draw"
    else:
        now = f"{SIDES[winner]} {_ENDINGS[int(state.ending)]}"
    return f"{now}; in jail: {jailed[0]} red, {jailed[1]} blue"


def image(field: Field, state: State, scale: int = SCALE) -> np.ndarray:
    """[height × scale, width × scale, 3] colours, as bytes."""
    height, width = field.way.shape
    ground = np.where(np.arange(width)[:, None] < width // 2, GROUND[0], GROUND[1])
    board = np.broadcast_to(ground, (height, width, 3)).copy()
    board[wood(field)] = TREE
    board[0, -1] = board[-1, 0] = JAIL
    picture = np.kron(board, np.ones((scale, scale, 1))).astype(np.uint8)
    at, flags = cells_of(field, state), flags_of(field, state)
    for number, side in enumerate((state.red, state.blue)):
        for player in range(PLAYERS):
            _disc(picture, at[number, player], COLOURS[number], scale, 0.42 if side.free[player] else 0.2)
    for number, cell in enumerate(flags):
        _pennant(picture, cell, COLOURS[number], scale)
    return picture


def _patch(picture: np.ndarray, cell: int, scale: int) -> np.ndarray:
    width = picture.shape[1] // scale
    top, left = cell // width * scale, cell % width * scale
    return picture[top : top + scale, left : left + scale]


def _disc(picture: np.ndarray, cell: int, colour: tuple[int, int, int], scale: int, radius: float) -> None:
    y, x = (np.mgrid[:scale, :scale] + 0.5) / scale - 0.5
    _patch(picture, cell, scale)[x**2 + y**2 <= radius**2] = colour


def _pennant(picture: np.ndarray, cell: int, colour: tuple[int, int, int], scale: int) -> None:
    y, x = (np.mgrid[:scale, :scale] + 0.5) / scale
    patch = _patch(picture, cell, scale)
    patch[(x > 0.18) & (x < 0.28) & (y > 0.1) & (y < 0.9)] = (30, 30, 30)
    cloth = (x > 0.28) & (y > 0.1) & (x - 0.28 < 1.2 * (0.3 - abs(y - 0.32)))
    patch[cloth] = colour
    # A light edge, so that a flag is seen on a player of its own colour.
    patch[(x > 0.14) & (x < 0.18) & (y > 0.1) & (y < 0.9)] = (250, 250, 250)


def gif(images: Sequence[np.ndarray], path: str | Path, milliseconds: int = 120) -> None:
    """Write pictures as one animated GIF.

    Raises:
        PlayError: if Pillow is not installed, there are no pictures, or the file cannot be written.
    """
    try:
        from PIL import Image
    except ImportError:
        raise PlayError("An animated GIF needs Pillow, which is not installed",
                        remedy="Run: pip install 'jumar[play]'.") from None  # fmt: skip
    if not images:
        raise PlayError("There are no pictures to write", where="images", remedy="Give one or more.")
    frames = [Image.fromarray(picture) for picture in images]
    content = BytesIO()
    frames[0].save(content, format="GIF", save_all=True, append_images=frames[1:], duration=milliseconds, loop=0)
    put(path, content.getvalue(), "picture")
