"""The board: what a registry and its loop have come to, as one page to look at every morning.

In: a registry, the folder of a loop. Out: ``Board``, a page, a small server of it. Only the command line and Python
users import this floor; it reads, and writes nothing.
"""

from typing import TYPE_CHECKING

from jumar.lazy import lazily

if TYPE_CHECKING:
    from jumar.board.gathered import gather
    from jumar.board.page import render
    from jumar.board.reading import Reader
    from jumar.board.server import BoardApp
    from jumar.board.view import Board

__getattr__, __dir__ = lazily(
    __name__,
    {
        "gathered": ("gather",),
        "page": ("render",),
        "reading": ("Reader",),
        "server": ("BoardApp",),
        "view": ("Board",),
    },
)

__all__ = ["Board", "BoardApp", "Reader", "gather", "render"]
