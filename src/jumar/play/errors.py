"""The one error of the game that a user may see; the island has its own because it imports nothing of the house.

In: what was wrong, where, an example, what to do. Out: an exception whose text says all four.
Every room of ``jumar.play`` may import this module; it imports nothing of ours.
"""

from __future__ import annotations


class PlayError(Exception):
    """Something the user can mend: it says what is wrong, where, for example, and what to do.

    Args:
        what: one sentence, without a full stop, that says what was found and what was expected.
        where: the argument, the key or the file concerned.
        example: one offending value.
        remedy: what to do about it.
    """

    def __init__(self, what: str, *, remedy: str, where: str | None = None, example: object = None) -> None:
        self.what, self.remedy, self.where, self.example = what, remedy, where, example
        super().__init__(str(self))

    def __str__(self) -> str:
        about = [] if self.where is None else [self.where]
        if self.example is not None:
            about.append(f"for example {self.example!r:.120}")
        place = f" ({', '.join(about)})" if about else ""
        return f"{self.what}{place}. {self.remedy}"
