"""A game in a terminal: boards in colour, one over the other.

In: a ``Replay``. Out: text with ANSI escapes, or without where nobody looks at a screen.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

from jumar.play import render
from jumar.play.maps import PLAYERS
from jumar.play.replay import Replay

_PAINT = {"#": "32", **dict.fromkeys("ABCD>", "1;31"), **dict.fromkeys("abcd<", "1;34"), ".": "2", "[": "33", "]": "33"}
LEGEND = "A to D red, a to d blue, * carries a flag, > < flags, # trees, [] jails"
_UP, _CLEAR = "\x1b[{}A", "\x1b[0K"


def boards(replay: Replay, every: int = PLAYERS) -> Iterator[str]:
    """Text boards of a game, one for ``every`` ticks and one of the end; without colours."""
    field, states = replay.field(), replay.states()
    for state in [*states[:-1:every], states[-1]]:
        yield render.text(field, state)


def coloured(board: str) -> str:
    """Red's players and flag in red, blue's in blue, trees in green; the last line, the caption, as it is."""
    *rows, caption = board.split("\n")

    def paint(cell: re.Match[str]) -> str:
        return f"\x1b[{_PAINT[cell[0][0]]}m{cell[0]}\x1b[0m"

    return "\n".join([*(re.sub(r"[A-Da-d]\*?|[#.<>\[\]]", paint, row) for row in rows), f"\x1b[1m{caption}\x1b[0m"])


def show(replay: Replay, write: Callable[[str], object], delay: float, *, screen: bool) -> None:
    """Play a game back.

    Args:
        replay: the game.
        write: is given text.
        delay: seconds between two boards.
        screen: whether boards may be drawn one over the other, in colours; else only the first and the last are.
    """
    write(f"red: {replay.red}   blue: {replay.blue}\n{LEGEND}\n")
    found = list(boards(replay))
    if not screen:
        write(f"{found[0]}\n\n{found[-1]}\n")
        return
    height = found[0].count("\n") + 1
    for place, board in enumerate(found):
        if place:
            time.sleep(delay)
            write(_UP.format(height))
        write("".join(f"{row}{_CLEAR}\n" for row in coloured(board).split("\n")))
