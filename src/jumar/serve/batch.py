"""Batch scoring: a table in, the same table with ``action``, ``propensity`` and ``pmf`` out.

In: a policy, a source, a path. Out: a Parquet file, streamed, complete or not there at all. Reading, scoring and
writing overlap; a rerun with the same policy, ids and seed decides the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jumar.errors import OutputError
from jumar.files import replacing
from jumar.logs import read_for
from jumar.policy import Policy

ADDED = ("action", "propensity", "pmf")
OUTCOME = ("reward", "value")
LOGGED_PREFIX = "logged_"
ROWS_PER_GROUP = 131_072
Rows = Callable[[int], None]


def score(
    policy: Policy,
    source: Any,
    out: str | os.PathLike[str],
    *,
    seed: int | None = None,
    seen: Rows | None = None,
) -> int:
    """Decide for every row of a source and write the decisions.

    Columns of the source are kept in front. Where a log is being scored, what was decided then and what came of it
    become ``logged_action``, ``logged_propensity``, ``logged_pmf``, ``logged_reward``: the old reward must not be
    read as if it had come of the new action.

    Args:
        policy: what decides.
        source: anything ``read_log`` reads.
        out: a Parquet file; an older one is replaced when the new one is complete.
        seed: changes all draws; see ``Policy.salt``.
        seen: told how many rows have been written.

    Returns:
        Rows written.

    Raises:
        LogError: the rows do not fit the policy.
        OutputError: the file cannot be written.
    """
    target = Path(out)
    if target.suffix not in (".parquet", ".pq"):
        raise OutputError(f"'{target}' does not end in .parquet", remedy="Scores are written as Parquet.")
    log = read_for(policy.card.log_schema, source, need="features")
    files = {Path(file).resolve() for file in log.origin.files}
    if len(files) > 1 and target.resolve() in files:
        raise OutputError(
            f"'{target}' is one of the files that are scored, so a second run would score its own output",
            remedy="Write to another folder.",
        )
    outcome = {*OUTCOME, policy.card.log_schema.roles.reward}
    rows = 0
    writer: pq.ParquetWriter | None = None
    with replacing(target) as temporary:
        try:
            for original, known, pmf in policy.scored(log, policy.salt(log, seed), ROWS_PER_GROUP):
                batch = _joined(original, policy.decisions(known, pmf), outcome)
                if writer is None:
                    writer = _writer(temporary, batch.schema)
                writer.write_batch(batch, row_group_size=ROWS_PER_GROUP)
                rows += batch.num_rows
                if seen is not None:
                    seen(rows)
            if writer is None:
                names = log.origin.table.schema().to_pyarrow()
                nothing = _joined(_empty(names), _empty(policy.decisions_schema()), outcome)
                writer = _writer(temporary, nothing.schema)
        finally:
            if writer is not None:
                writer.close()
    return rows


def _joined(original: pa.RecordBatch, decided: pa.RecordBatch, outcome: Collection[str | None]) -> pa.RecordBatch:
    """The source's columns with the decisions behind them."""
    taken = set(original.schema.names)
    past = {*ADDED, *outcome}
    names = [_free(LOGGED_PREFIX + name, taken) if name in past else name for name in original.schema.names]
    columns = [*original.columns, *(decided.column(name) for name in ADDED)]
    return pa.RecordBatch.from_arrays(columns, names=[*names, *ADDED])


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    """No rows."""
    return pa.RecordBatch.from_pylist([], schema=schema)


def _free(name: str, taken: set[str]) -> str:
    """A name that the source does not hold yet."""
    while name in taken:
        name += "_"
    return name


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Snappy, dictionaries only where values repeat: what is fast to write and to read."""
    dictionaries: Any = [
        field.name for field in schema if pa.types.is_string(field.type) and field.name not in ("decision_id", "unit")
    ]
    return pq.ParquetWriter(path, schema, compression="snappy", use_dictionary=dictionaries, write_statistics=False)
