"""The one family of errors a user may see.

In: what was wrong, where, an example, what to do. Out: an exception whose text says all four.
Every floor may import this module; it imports nothing of ours.
"""

from __future__ import annotations


class JumarError(Exception):
    """Something the user can mend: it says what is wrong, where, for example, and what to do.

    Args:
        what: one sentence, without a full stop, that says what was found and what was expected.
        column: the column concerned.
        count: how many rows are affected.
        example: one offending value; without a column or a count, the only one.
        remedy: what to do about it; a flag or a command where there is one.
    """

    def __init__(
        self,
        what: str,
        *,
        remedy: str,
        column: str | None = None,
        count: int | None = None,
        example: object = None,
    ) -> None:
        self.what, self.remedy = what, remedy
        self.column, self.count, self.example = column, count, example
        super().__init__(str(self))

    def __str__(self) -> str:
        where = []
        if self.column is not None:
            where.append(f"column '{self.column}'")
        if self.count is not None:
            where.append(f"{self.count:,} row{'' if self.count == 1 else 's'}")
        if self.example is not None:
            where.append(f"{'for example' if where else 'here'} {self.example!r:.120}")
        place = f" ({', '.join(where)})" if where else ""
        return f"{self.what}{place}. {self.remedy}"


class LogError(JumarError):
    """The log of decisions cannot be read, or holds values that no decision log can hold."""


class PolicyError(JumarError):
    """A policy folder is missing, damaged, or does not fit the rows it is asked about."""


class OutputError(JumarError):
    """A result cannot be written where the user asked for it."""


class GameError(JumarError):
    """The game was asked for something that is not there: a map, a player, a replay, a training."""


class OptionError(JumarError):
    """A flag, an argument or a line of jumar.toml has a value outside its range."""
