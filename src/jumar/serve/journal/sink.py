"""What every log of decisions takes: streams, the columns they share, and the protocol that all sinks keep.

In: nothing. Out: ``Sink``, ``Stream``, schemas, ``JournalError``. The modules of this room and of ``serve`` import it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Literal, Protocol

import pyarrow as pa

from jumar.errors import JumarError

Stream = Literal["decisions", "rewards"]
STREAMS: tuple[Stream, ...] = ("decisions", "rewards")
WRITER, SEQUENCE = "__writer", "__sequence"
MOMENT = pa.timestamp("us", "UTC")
Columns = Mapping[str, Sequence[Any]]
"Plain values by column, all of one length; moments may be datetimes or whole microseconds since 1970."

REWARDS = pa.schema(
    [
        ("decision_id", pa.string()),
        ("reward_id", pa.string()),
        ("value", pa.float64()),
        ("time", MOMENT),
        ("metrics", pa.map_(pa.string(), pa.float64())),
    ]
)
"Columns of the stream of rewards. ``value`` may be null where an event carries metrics only; ``reward_id`` mostly is."


class JournalError(JumarError):
    """Rows cannot be written to the log of decisions, or a part of it cannot be read."""


class Sink(Protocol):
    """Where decisions and rewards go."""

    def append(self, stream: Stream, batch: pa.RecordBatch | Columns, schema: pa.Schema | None = None) -> Future[None]:
        """Hand over rows.

        Args:
            stream: decisions or rewards.
            batch: the rows, as a batch or as plain columns.
            schema: of plain columns; a batch has its own, and rewards without one have ``REWARDS``.

        Returns:
            A future that is done when the rows are durable, and that holds the exception if they are not.
        """
        ...

    def close(self) -> None:
        """Make everything durable that was handed over, then stop."""
        ...


def decisions_schema(action: pa.DataType, features: pa.Schema) -> pa.Schema:
    """Columns of the stream of decisions.

    Args:
        action: type of the actions.
        features: the context's columns, as the policy's card names and types them.

    Raises:
        JournalError: a feature is named like one of the log's own columns.
    """
    own = pa.schema(
        [
            ("decision_id", pa.string()),
            ("unit", pa.string()),
            ("time", MOMENT),
            ("action", action),
            ("propensity", pa.float64()),
            ("pmf", pa.list_(pa.float64())),
            ("policy", pa.string()),
            ("exploration", pa.string()),
            ("fallback", pa.bool_()),
            ("fallback_reason", pa.string()),
        ]
    )
    if twin := next((name for name in features.names if name.lower() in ("reward", "date")), None):
        raise JournalError("A feature is named like a column of the joined log", column=twin, remedy="Rename it.")
    return checked_schema(pa.schema([*own, *features]))


def checked_schema(schema: pa.Schema) -> pa.Schema:
    """The schema without metadata, once it is clear that the log can hold it.

    Raises:
        JournalError: no decision id or time of the right type, two columns named alike, a name of the log's own, or
            dictionaries.
    """
    remedy = "See docs/decision-log.md for the columns of each stream."
    seen: set[str] = set()
    for field in schema:
        if field.name.startswith("__") or field.name.lower() in seen:
            reason = "begins with two underscores" if field.name.startswith("__") else "occurs twice"
            raise JournalError(f"A column's name {reason}", column=field.name, remedy=remedy)
        if pa.types.is_dictionary(field.type):
            raise JournalError("A column holds dictionaries", column=field.name, remedy="Cast it to its values.")
        seen.add(field.name.lower())
    for name, kind in (("decision_id", pa.string()), ("time", MOMENT)):
        if name not in schema.names or schema.field(name).type != kind:
            raise JournalError(f"The log needs a column of type {kind}", column=name, remedy=remedy)
    return schema.remove_metadata()
