"""Judging a challenger's rows: one pass that adds to its gate and takes the fingerprint of what was added.

In: a ``Log`` and a frozen plan. Out: a ``Gate`` of those rows alone, and their hash. Only this floor imports it.
"""

# Ibis' annotations know columns only as bare values.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportArgumentType=false

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import numpy as np
import onnx
import pyarrow as pa
from numpy.typing import NDArray

from jumar.evaluate.contestants import Contestants
from jumar.evaluate.gate import Gate
from jumar.evaluate.judging import batch_rows, judged
from jumar.evaluate.plan import GatePlan
from jumar.learn.data import unit_codes
from jumar.logs import Log
from jumar.logs.schema import ACTION, HASH, ID, PMF, PROPENSITY, REWARD, TIME
from jumar.logs.split import unit_hash
from jumar.policy import Policy
from jumar.policy.candidates import Candidates

KEY = "__key"
_ODD = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB], dtype=np.uint64)


def alone(policy: Policy) -> Contestants:
    """The policy as the only one that is put to the gate."""
    card = policy.card
    path = Candidates(
        spec=card.features,
        temperatures=(card.temperature,),
        scale=card.advantage_scale,
        pessimism=card.pessimism,
        minimum=tuple(card.minimum),
        models=(policy.model,),
        stacked=onnx.load_model_from_string(policy.model),
        prices=(card.price,),
        costs=tuple(card.costs),
    )
    return Contestants(path, (), tuple(card.actions), (0,))


def judge(
    policy: Policy, log: Log, plan: GatePlan, *, unseen: bool, seen: Callable[[int], None] | None = None
) -> tuple[Gate, str]:
    """The gate of these rows alone, and the hash of their content.

    Args:
        policy: frozen.
        log: rows that were found to be in order.
        plan: frozen with it.
        unseen: leave out units that may have been learned from.
        seen: told how many rows have been judged.
    """
    field, content = alone(policy), np.zeros(2, np.uint64)

    def read() -> Iterator[pa.RecordBatch]:
        for batch in _batches(log, field, unseen=unseen):
            np.add(content, fingerprint(batch), out=content)
            yield batch

    gate = Gate(plan, [str(action) for action in policy.actions])
    for part in judged(log, field, plan, read()):
        gate = gate.merge(part)
        if seen is not None:
            seen(gate.rows)
    return gate, hashlib.sha256(content.tobytes() + str(gate.rows).encode()).hexdigest()


def _batches(log: Log, field: Contestants, *, unseen: bool) -> Iterator[pa.RecordBatch]:
    """Canonical rows with all that judging and fingerprints need."""
    table = log.part("gate") if unseen else log.part()
    pmf = [PMF] if log.schema.roles.pmf is not None else []
    wanted = [HASH, TIME, ACTION, PROPENSITY, REWARD, *pmf, *log.metric_columns, *field.columns]
    columns = {name: table[name] for name in wanted}
    if log.schema.roles.decision_id is not None:
        columns[KEY] = unit_hash(table[ID])
    return log.origin.stream(table.select(**columns), batch_rows(field, len(field.actions)))


def fingerprint(batch: pa.RecordBatch) -> NDArray[np.uint64]:
    """[2] sums over rows of a mix of unit, action, propensity and reward, and of the decision's id or else its time.

    A sum does not depend on the order of the rows, nor on how they are cut into batches. Where decisions have ids,
    times are left out: the same decisions under other dates are still the same.
    """
    key = batch.column(KEY if KEY in batch.schema.names else HASH)
    parts = [unit_codes(batch.column(HASH)).astype(np.uint64), unit_codes(key).astype(np.uint64)]
    parts.append(np.asarray(batch.column(ACTION)).astype(np.uint64))
    parts += [np.asarray(batch.column(name), dtype=np.float64).view(np.uint64) for name in (PROPENSITY, REWARD)]
    if KEY not in batch.schema.names:
        parts.append(batch.column(TIME).cast(pa.timestamp("us")).cast(pa.int64()).to_numpy().view(np.uint64))
    mixed = np.zeros(batch.num_rows, np.uint64)
    for part in parts:
        mixed = _mix(mixed ^ part)
    return np.array([mixed.sum(dtype=np.uint64), _mix(mixed).sum(dtype=np.uint64)], np.uint64)


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scatter 64 bits, [rows] (splitmix64)."""
    value = value + _ODD[0]
    value = (value ^ (value >> np.uint64(30))) * _ODD[1]
    value = (value ^ (value >> np.uint64(27))) * _ODD[2]
    return value ^ (value >> np.uint64(31))
