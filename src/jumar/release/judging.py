"""Judging a challenger's rows: one pass that adds to its gate and takes the fingerprint of what was added.

In: a ``Log`` and a frozen plan. Out: a ``Gate`` of those rows alone, and their hash. Only this floor imports it.
"""

# Ibis' annotations know columns only as bare values.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportArgumentType=false

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jumar.evaluate.capital import Floats
from jumar.evaluate.gate import Gate
from jumar.evaluate.plan import GatePlan
from jumar.features import read_blocks
from jumar.learn.data import unit_codes
from jumar.logs import Log
from jumar.logs.schema import ACTION, HASH, ID, PROPENSITY, REWARD, TIME
from jumar.logs.split import unit_hash
from jumar.policy import Policy, Scorer, in_order

OUTPUTS = ("pmf", "clone", "q")
KEY = "__key"
LARGEST_BATCH, NUMBERS_PER_BATCH = 65_536, 8_000_000
_ODD = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB], dtype=np.uint64)


@dataclass(frozen=True)
class Scored:
    """Some logged rows and what the policy says of them.

    Attributes:
        pmf: [rows, actions].
        taken: [rows] the policy's probability of the logged action.
        propensity, action: [rows], as logged.
        reward: [rows] in [0, 1].
        value: [rows] the reward that its model expects under the clone, on [0, 1].
    """

    pmf: Floats
    taken: Floats
    propensity: Floats
    reward: Floats
    action: NDArray[np.int64]
    value: Floats


def scorer_of(policy: Policy) -> Scorer:
    """The policy's graph with all that judging needs."""
    return policy.scorer(*OUTPUTS)


def batch_rows(policy: Policy) -> int:
    """Rows of a batch such that its pmfs stay within a few tens of megabytes."""
    return int(np.clip(NUMBERS_PER_BATCH // (3 * len(policy.actions)), 256, LARGEST_BATCH))


def scored(batch: pa.RecordBatch, policy: Policy, scorer: Scorer) -> Scored:
    """Score one canonical batch."""
    pmf, clone, q = scorer.run(read_blocks(batch, policy.card.features))
    action = np.asarray(batch.column(ACTION)).astype(np.int64)
    return Scored(
        pmf=pmf,
        taken=np.take_along_axis(pmf, action[:, None], axis=1)[:, 0],
        propensity=np.asarray(batch.column(PROPENSITY)),
        reward=np.asarray(batch.column(REWARD)),
        action=action,
        value=(clone * q).sum(axis=1),
    )


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
    scorer = scorer_of(policy)
    names = [str(action) for action in policy.actions]
    table = log.part("gate") if unseen else log.part()
    wanted = [HASH, TIME, ACTION, PROPENSITY, REWARD, *policy.card.features.columns]
    named = log.schema.roles.decision_id is not None
    columns = {name: table[name] for name in wanted} | ({KEY: unit_hash(table[ID])} if named else {})

    def part_of(batch: pa.RecordBatch) -> tuple[Gate, NDArray[np.uint64]]:
        rows = scored(batch, policy, scorer)
        part = Gate(plan, names)
        part.update(
            rows.pmf[:, None, :],
            propensity=rows.propensity,
            reward=rows.reward,
            action=rows.action,
            value=rows.value,
        )
        return part, fingerprint(batch)

    gate, content = Gate(plan, names), np.zeros(2, np.uint64)
    for part, some in in_order(part_of, log.origin.stream(table.select(**columns), batch_rows(policy))):
        gate = gate.merge(part)
        content += some
        if seen is not None:
            seen(gate.rows)
    return gate, hashlib.sha256(content.tobytes() + str(gate.rows).encode()).hexdigest()


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
