"""Batches of decisions into the decision log: the service's decisions without its requests.

In: a registry, rows to decide about, the folder of a decision log. Out: rows of the log, decided by production and, in
a canary, by the challenger for its units. The command line, the loop's simulations and Python users use it.

Every row is decided as the service would decide it: by the same decider, from the same numbers, into the same log. A
second run with the same ids writes the same decisions again, which the join counts once.
"""

from __future__ import annotations

import datetime
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
import pyarrow as pa

from jumar.errors import LogError, OptionError, PolicyError
from jumar.logs import Log, read_for, scoring_batches
from jumar.policy.exploration import Exploration
from jumar.release.arms import places
from jumar.release.registry.registry import Registry
from jumar.serve.decider import AS_CERTIFIED, Decider
from jumar.serve.journal import Journal
from jumar.serve.journal.sink import MOMENT

WRITER, SALT = "batch", "jumar"
BATCH_ROWS, AHEAD = 32_768, 2  # rows of a batch, and batches that may wait for the disk


def record(
    registry: Registry,
    source: Any,
    folder: str | os.PathLike[str],
    *,
    exploration: Exploration = AS_CERTIFIED,
    salt: str = SALT,
    default: str | int | bool | None = None,
) -> dict[str, int]:
    """Decide about every row of a source, and log it.

    Args:
        registry: what decides is what it has in production, and its challenger for the challenger's units.
        source: anything ``read_log`` reads, with the features of both policies, a decision id, a unit where their logs
            had one, and the time of each decision, in the column of their logs or in ``time``; without it, it is now.
        folder: of the decision log; made if it is not there.
        exploration: as of the service.
        salt: of all draws, as of the service.
        default: action to fall back to; by default what production is likeliest to do.

    Returns:
        Rows by version, once all are on disk.

    Raises:
        OptionError: an exploration that counts.
        PolicyError: the registry has no production.
        LogError: a feature, the decision id or the time is missing, or values have changed their type.
        JournalError, OutputError: the log cannot be written.
    """
    if exploration.turns:
        raise OptionError(
            "A budget of random decisions counts each unit's day, which only the service does",
            example=str(exploration),
            remedy="Say for example floor:0.05.",
        )
    state = registry.state()
    if state.aliases.production is None:
        raise PolicyError(
            f"'{registry.url}' has no production, so nothing decides", remedy="Promote a version first: jumar promote."
        )
    versions = [state.aliases.production, *([state.aliases.challenger] if state.aliases.challenger else [])]
    deciders = [
        Decider(registry.policy(version), exploration, salt, version=version, default=default) for version in versions
    ]
    logs = [read_for(one.policy.card.log_schema, source, need="features") for one in deciders]
    unit = next((log.schema.roles.unit for log in logs if log.schema.roles.unit is not None), None)
    counts = dict.fromkeys(versions, 0)
    journal = Journal(folder, writer=WRITER)
    try:
        waiting: deque[Future[None]] = deque()
        for place, (decider, log) in enumerate(zip(deciders, logs, strict=True)):
            for rows, ids in _rows_of(log):
                mine = _mine(rows, unit, state.salt, state.share, challenger=place == 1, alone=len(deciders) == 1)
                batch = _decided(decider, unit, rows.filter(mine), ids.filter(mine))
                counts[versions[place]] += batch.num_rows
                if len(waiting) == AHEAD:
                    waiting.popleft().result()
                if batch.num_rows:
                    waiting.append(journal.append("decisions", batch, decider.schema))
        for one in waiting:
            one.result()
    finally:
        journal.close()
    return counts


def _rows_of(log: Log) -> Iterator[tuple[pa.RecordBatch, pa.Array]]:
    """Rows as they came, and their ids."""
    if log.schema.roles.decision_id is None:
        raise LogError("Decisions that are logged need an id", column="decision_id", remedy="Add a unique id to each.")
    for original, known in scoring_batches(log, salt=None, batch_rows=BATCH_ROWS):
        yield original, known.column("__id")


def _mine(
    rows: pa.RecordBatch, unit: str | None, salt: str, share: float, *, challenger: bool, alone: bool
) -> pa.Array:
    """[rows] whether a row is decided by this version; both must be told the same column of units."""
    if alone or unit is None:
        return pa.array(np.full(rows.num_rows, not challenger))
    exposed = places(rows.column(unit).cast(pa.string()), salt) < share
    return pa.array(exposed if challenger else ~exposed)


def _decided(decider: Decider, unit: str | None, rows: pa.RecordBatch, ids: pa.Array) -> pa.RecordBatch:
    contexts = decider.reader.of_log(rows)
    units = rows.column(unit).cast(pa.string()).to_pylist() if unit is not None else [None] * rows.num_rows
    times = _times(rows, decider.policy.card.log_schema.roles.time or "time")
    decided = decider.decide(contexts, units, ids.to_pylist())
    return decided.record_batch(contexts, times, decider.schema)


def _times(rows: pa.RecordBatch, name: str) -> pa.Array:
    """When each row is decided: what its time column says, or now where there is none.

    Raises:
        LogError: the column holds no moments, or lacks some.
    """
    if name not in rows.schema.names:
        return pa.array([datetime.datetime.now(datetime.UTC)] * rows.num_rows, MOMENT)
    column = rows.column(name)
    if not pa.types.is_timestamp(column.type):
        raise LogError(
            f"The time of a decision is a timestamp, but the column is {column.type}",
            column=name,
            remedy="Cast it, or leave it out: then it is now.",
        )
    if column.null_count:
        raise LogError("Some rows have no time", column=name, count=column.null_count, remedy="Fill it in.")
    return column.cast(MOMENT, safe=False)  # of nanoseconds, the last three digits
