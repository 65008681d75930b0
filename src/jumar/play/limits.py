"""How much may be asked for: beyond it, memory or patience would end before the answer comes.

In: a number that a person or a document gave. Out: nothing, or an error that says what may be given. Every room of
``jumar.play`` may import this module.
"""

from __future__ import annotations

from jumar.play.errors import PlayError

SEED = 2**31 - 1  # what a key of chance takes everywhere
MAPS = 32_768  # of one stack; the tables of a large one take 14 KB each
ROUNDS = 1_000  # of a game
BOARDS = 131_072  # that a generation plays on at once
POPULATION = 4_096
NAME = 100  # signs of a player's name


def within(name: str, given: int, least: int, most: int) -> None:
    """Refuse a number that is not in its range.

    Raises:
        PlayError: it is smaller than ``least``, or greater than ``most``.
    """
    if not least <= given <= most:
        raise PlayError(f"A whole number is wanted, {least:,} or more and at most {most:,}", where=name, example=given,
                        remedy=f"Give one from {least} to {most}.")  # fmt: skip


def printable(word: str) -> bool:
    """Whether a name from a document is short, and does nothing to a terminal but to be read."""
    return len(word) <= NAME and word.isprintable()
