"""The durable log of decisions and rewards: appended in groups, sealed by date, recovered after anything.

In: rows. Out: a folder of segments and Parquet, or messages to Kafka (``jumar.serve.journal.kafka``). ``serve`` and the
command line use these names.
"""

from jumar.serve.journal.journal import Journal, JournalCounts
from jumar.serve.journal.recovery import Recovery, recover
from jumar.serve.journal.sink import REWARDS, Columns, JournalError, Sink, Stream, decisions_schema

__all__ = [
    "REWARDS",
    "Columns",
    "Journal",
    "JournalCounts",
    "JournalError",
    "Recovery",
    "Sink",
    "Stream",
    "decisions_schema",
    "recover",
]
