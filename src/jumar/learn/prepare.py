"""From a log to what a learner needs: features fitted on TRAIN, training rows on the device, held-out rows.

In: a ``Log``. Out: ``Prepared``. Nothing here touches a row of the gate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import pyarrow as pa

from jumar.features import FeatureSpec, fit_features
from jumar.learn.data import Columns, MemoryChunks, SpilledChunks, concatenate, read_columns
from jumar.learn.loop import Batch, Chunks
from jumar.logs import Log, Timeline
from jumar.logs.split import PARTS, hex_bound

QUANTILE_ROWS = 200_000
HELD_OUT_ROWS = 60_000
DEVICE_BYTES = 2 * 2**30
FIT = PARTS["fit"]


@dataclass(frozen=True)
class Prepared:
    """Training rows, ready to fit on.

    Attributes:
        spec: fitted features.
        chunks: the rows of part "fit".
        held_out: rows of part "stop", on the device.
        rows: rows in ``chunks``.
        reward_mean, reward_scale: of the fit rows' rewards on [0, 1].
        counts: [actions] how often TRAIN's fit and stop rows hold each action.
        propensities: logged propensities of a sample of fit rows, or None where none are logged.
        least_propensity: the smallest of all of them; 1 where none are logged.
    """

    spec: FeatureSpec
    chunks: Chunks
    held_out: Batch
    rows: int
    reward_mean: float
    reward_scale: float
    counts: np.ndarray
    propensities: np.ndarray | None
    least_propensity: float


class _Tally:
    """What is counted while the rows stream by."""

    def __init__(self, actions: int) -> None:
        self.rows, self.total, self.squares = 0, 0.0, 0.0
        self.counts = np.zeros(actions, np.int64)
        self.propensities: list[np.ndarray] = []
        self.least = 1.0

    def see(self, pieces: Iterator[Columns]) -> Iterator[Columns]:
        """Count, and pass on without what only the tally needs in double precision."""
        for piece in pieces:
            reward = piece["reward"].astype(np.float64)
            self.rows += len(reward)
            self.total += float(reward.sum())
            self.squares += float((reward**2).sum())
            self.counts += np.bincount(piece["action"], minlength=len(self.counts))
            if "propensity" in piece:
                self.least = min(self.least, float(piece["propensity"].min(initial=1.0)))
                if self.rows <= 2 * QUANTILE_ROWS:
                    self.propensities.append(piece["propensity"])
                piece["propensity"] = piece["propensity"].astype(np.float32)
            yield piece


def prepare(
    log: Log,
    seed: int,
    device_bytes: int = DEVICE_BYTES,
    outcome: str | None = None,
    timeline: Timeline | None = None,
) -> Prepared:
    """Fit the features and load the training rows.

    Args:
        log: the log.
        seed: shuffles rows.
        device_bytes: most bytes of training rows on the device; beyond that they stream from disk in chunks.
        outcome: canonical column of another outcome that rows carry along as ``outcome``.
        timeline: rows come as timelines of whole units, with the discount of what follows as ``gamma``.
    """
    fit_rows = log.rows_in("fit")
    share = min(1.0, QUANTILE_ROWS / max(fit_rows, 1))
    table = log.part("fit")
    unit_hash: Any = table["__hash"]
    sample = unit_hash < hex_bound(FIT[0] + share * (FIT[1] - FIT[0])) if share < 1 else None
    spec = fit_features(table, log.schema.features, sample)
    tally = _Tally(len(log.schema.actions))
    asked: dict[str, Any] = {} if timeline is None else {"by_unit": True, "timeline": timeline}
    pieces = tally.see(_columns(batch, spec, outcome) for batch in log.batches("fit", **asked))
    bytes_per_row = _bytes_per_row(spec, log) * (1 if timeline is None else 2)  # the next state, and returns
    if fit_rows * bytes_per_row <= device_bytes:
        chunks: Chunks = MemoryChunks.of(concatenate(pieces), seed)
    else:
        count = int(np.ceil(fit_rows * bytes_per_row / (0.8 * device_bytes)))
        chunks = SpilledChunks.of(pieces, count, seed, by_unit=timeline is not None)
    fitted, total, squares = tally.rows, tally.total, tally.squares
    held_out = _held_out(log, spec, tally, outcome, asked)
    mean = total / fitted
    deviation = max(squares / fitted - mean**2, 0.0) ** 0.5
    return Prepared(
        spec=spec,
        chunks=chunks,
        held_out=held_out,
        rows=fitted,
        reward_mean=_rounded(mean),
        reward_scale=_rounded(deviation),
        counts=tally.counts,
        propensities=np.concatenate(tally.propensities) if tally.propensities else None,
        least_propensity=tally.least,
    )


def _columns(batch: pa.RecordBatch, spec: FeatureSpec, outcome: str | None) -> Columns:
    """A batch's columns, with another outcome beside the reward if there is one."""
    columns = read_columns(batch, spec)
    if outcome is not None:
        columns["outcome"] = np.asarray(batch.column(outcome)).astype(np.float32)
    return columns


def _held_out(log: Log, spec: FeatureSpec, tally: _Tally, outcome: str | None, asked: dict[str, Any]) -> Batch:
    """Rows of part "stop": all of them, or a fair sample of their units that is enough to stop by."""
    share = min(1.0, HELD_OUT_ROWS / max(log.rows_in("stop"), 1))
    pieces = tally.see(_columns(batch, spec, outcome) for batch in log.batches("stop", share=share, **asked))
    return {name: jax.device_put(values) for name, values in concatenate(pieces).items()}


def _bytes_per_row(spec: FeatureSpec, log: Log) -> int:
    """Bytes of one training row on the device, as it is read."""
    entries = len(spec.numbers) + len(spec.categories) + sum(column.length for column in spec.ids) + 4
    return 4 * (entries + (len(log.schema.actions) if log.schema.roles.pmf else 0))


def _rounded(value: float) -> float:
    """Six significant digits."""
    return float(f"{value:.6g}")
