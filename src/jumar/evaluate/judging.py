"""Running the gate: candidates scored on TRAIN rows that fitted nothing, then once on the rows of the gate.

In: a ``Log``, ``Candidates``, a ``GatePlan``. Out: what the plan is made of, and the ``GateResult``.
Rows stream; batches are scored on a few threads and their gates merged in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jumar.evaluate.gate import Gate
from jumar.evaluate.plan import GatePlan
from jumar.features import Blocks, read_blocks
from jumar.features.raw import stack_blocks
from jumar.learn.data import unit_codes
from jumar.logs import Log
from jumar.policy import in_order
from jumar.policy.candidates import Candidates
from jumar.policy.scorer import Scorer

VALIDATION_ROWS, VALIDATION_NUMBERS = 300_000, 20_000_000
LEAST_ESTIMATE = 1e-6  # an estimated propensity is read as no less: a smaller weight errs towards refusing
LARGEST_BATCH, NUMBERS_PER_BATCH = 65_536, 8_000_000
LEAST_RANGE = 1e-6
OUTPUTS = ("pmf", "clone", "q")
Rows = Callable[[int], None]


@dataclass(frozen=True)
class Scored:
    """Some logged rows and what candidates and clone say about them.

    Attributes:
        taken: [rows, K] probability of the logged action under each candidate.
        clone: [rows, actions].
        value: [rows] mean reward that the model expects under the clone, on [0, 1].
        propensity: [rows] logged, or the clone's probability of the logged action.
        reward: [rows] in [0, 1]; ``action``: [rows]; ``unit``: [rows] codes.
        blocks: the features.
    """

    taken: NDArray[np.float64]
    clone: NDArray[np.float64]
    value: NDArray[np.float64]
    propensity: NDArray[np.float64]
    reward: NDArray[np.float64]
    action: NDArray[np.int64]
    unit: NDArray[np.int64]
    blocks: Blocks

    @property
    def value_range(self) -> tuple[float, float]:
        """Low and high predicted values, apart from each other."""
        low, high = (float(f"{x:.6g}") for x in np.quantile(self.value, (0.02, 0.98)))
        return (low, high) if high - low > LEAST_RANGE else (low - 0.5, low + 0.5)

    @property
    def weight(self) -> NDArray[np.float64]:
        """w = π(a|x)/μ(a|x), [rows, K]."""
        return self.taken / self.propensity[:, None]

    @property
    def gain(self) -> NDArray[np.float64]:
        """d = (w − 1)·r, [rows, K]."""
        return (self.weight - 1.0) * self.reward[:, None]


def score_validation(log: Log, candidates: Candidates) -> Scored:
    """Score the candidates on part "validate", on about ``VALIDATION_ROWS`` rows of it at the most."""
    scorer = candidates.scorer(*OUTPUTS)

    def score(batch: pa.RecordBatch) -> Scored:
        blocks = read_blocks(batch, candidates.spec)
        pmf, clone, q = scorer.run(blocks)
        action = np.asarray(batch.column("__action")).astype(np.int64)
        policies = pmf.reshape(len(pmf), len(candidates.temperatures), -1)
        return Scored(
            taken=np.take_along_axis(policies, action[:, None, None], axis=2)[..., 0],
            clone=clone,
            value=(clone * q).sum(axis=1),
            propensity=_propensity(batch, clone, action),
            reward=np.asarray(batch.column("__reward")),
            action=action,
            unit=unit_codes(batch.column("__hash")).astype(np.int64),
            blocks=blocks,
        )

    most = min(VALIDATION_ROWS, VALIDATION_NUMBERS // len(log.schema.actions))
    share = min(1.0, most / max(log.rows_in("validate"), 1))
    size = batch_rows(candidates, len(log.schema.actions))
    kept = list(in_order(score, log.batches("validate", batch_rows=size, share=share)))
    names = ("taken", "clone", "value", "propensity", "reward", "action", "unit")
    joined = {name: np.concatenate([getattr(piece, name) for piece in kept]) for name in names}
    return Scored(**joined, blocks=stack_blocks([piece.blocks for piece in kept]))


def run_gate(log: Log, candidates: Candidates, plan: GatePlan, seen: Rows | None = None) -> Gate:
    """Pass once over part "gate".

    Args:
        log: the log.
        candidates: what the plan was made for.
        plan: frozen before.
        seen: told how many rows have been judged.
    """
    scorer: Scorer = candidates.scorer(*OUTPUTS)
    names = [str(action) for action in log.schema.actions]

    def judge(batch: pa.RecordBatch) -> Gate:
        pmf, clone, q = scorer.run(read_blocks(batch, candidates.spec))
        action = np.asarray(batch.column("__action")).astype(np.int64)
        part = Gate(plan, names)
        part.update(
            pmf.reshape(len(pmf), len(candidates.temperatures), -1),
            propensity=_propensity(batch, clone, action),
            reward=np.asarray(batch.column("__reward")),
            action=action,
            value=(clone * q).sum(axis=1),
        )
        return part

    gate = Gate(plan, names)
    for part in in_order(judge, _gate_batches(log, candidates)):
        gate = gate.merge(part)
        if seen is not None:
            seen(gate.rows)
    return gate


def batch_rows(candidates: Candidates, actions: int) -> int:
    """Rows of a batch such that its pmfs stay within a few tens of megabytes."""
    return int(np.clip(NUMBERS_PER_BATCH // (len(candidates.temperatures) * actions), 256, LARGEST_BATCH))


def _gate_batches(log: Log, candidates: Candidates) -> Iterator[pa.RecordBatch]:
    """The gate's rows, with the columns that matter."""
    wanted = ["__action", "__reward", *candidates.spec.columns]
    columns = ["__propensity", *wanted] if log.schema.has_propensities else wanted
    return log.batches("gate", columns=columns, batch_rows=batch_rows(candidates, len(log.schema.actions)))


def _propensity(batch: pa.RecordBatch, clone: NDArray[np.float64], action: NDArray[np.int64]) -> NDArray[np.float64]:
    """Logged propensities, or the clone's where none are logged."""
    if "__propensity" in batch.schema.names:
        return np.asarray(batch.column("__propensity"))
    return np.maximum(np.take_along_axis(clone, action[:, None], axis=1)[:, 0], LEAST_ESTIMATE)
