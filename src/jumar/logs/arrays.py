"""Canonical batches as NumPy arrays: what judging needs beside the features.

In: canonical Arrow batches. Out: production's probabilities, metrics, and where units begin. Pure functions; the floors
above use them through ``jumar.logs``.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jumar.logs.schema import ACTION, METRIC, PMF, PROPENSITY


def production_pmf(batch: pa.RecordBatch, actions: int) -> NDArray[np.float64] | None:
    """Probabilities of all actions when each row was decided, where the log tells them.

    Args:
        batch: canonical rows with ``__pmf``, or with ``__propensity`` and ``__action``.
        actions: how many there are.

    Returns:
        [rows, actions] in the order of ``LogSchema.actions``: the logged pmf, or of two actions what the propensity
        implies; None where only the probability of the action taken is known.
    """
    names = batch.schema.names
    if PMF in names:
        return np.asarray(batch.column(PMF).flatten(), np.float64).reshape(batch.num_rows, actions)
    if actions != 2 or PROPENSITY not in names or ACTION not in names:
        return None
    taken = np.asarray(batch.column(PROPENSITY), np.float64)
    second = np.where(np.asarray(batch.column(ACTION)) == 1, taken, 1.0 - taken)
    return np.stack([1.0 - second, second], axis=1)


def metric_values(batch: pa.RecordBatch, metrics: int) -> NDArray[np.float64] | None:
    """[rows, metrics] on [0, 1] in the order of ``Log.metrics``; None where there are none."""
    if not metrics:
        return None
    return np.stack([np.asarray(batch.column(f"{METRIC}{place}")) for place in range(metrics)], axis=1)


def unit_starts(hashes: pa.Array) -> NDArray[np.int64]:
    """Positions of rows whose ``__hash`` differs from the row's before, the first one included.

    In a batch in the order of units each is the first row of a unit, so ``np.add.reduceat(values, starts)`` sums by
    unit.
    """
    if not len(hashes):
        return np.zeros(0, np.int64)
    changed = pc.call_function("not_equal", [hashes[1:], hashes[:-1]])
    return np.concatenate([[0], np.flatnonzero(np.asarray(changed)) + 1])
