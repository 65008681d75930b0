"""Running the gate: contestants scored on TRAIN rows that fitted nothing, then once on the rows of the gate.

In: a ``Log``, ``Contestants``, a ``GatePlan``. Out: what the plan is made of, and the ``Gate``.
Rows stream; batches are scored on a few threads and their gates merged in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jumar.evaluate.claims import ClaimRows, UnitRows
from jumar.evaluate.contestants import Contestants
from jumar.evaluate.evidence import Fold, fold_of
from jumar.evaluate.gate import Gate
from jumar.evaluate.plan import GatePlan
from jumar.evaluate.sequences.footing import Footing
from jumar.features import Blocks
from jumar.features.raw import stack_blocks
from jumar.learn.data import unit_codes
from jumar.logs import Log, Timeline
from jumar.logs.arrays import metric_values, production_pmf, unit_starts
from jumar.policy import in_order

VALIDATION_ROWS, VALIDATION_NUMBERS = 300_000, 60_000_000
LEAST_ESTIMATE = 1e-6  # an estimated propensity is read as no less: a smaller weight errs towards refusing
LARGEST_BATCH, NUMBERS_PER_BATCH = 65_536, 8_000_000
LEAST_RANGE = 1e-6
Rows = Callable[[int], None]


@dataclass(frozen=True)
class Scored:
    """Some logged rows and what contestants and clone say about them.

    Attributes:
        pmf: [rows, K, actions] of every contestant, in single precision.
        taken: [rows, K] probability of the logged action under each.
        clone, q, advantage: [rows, actions], see ``Scores``.
        propensity: [rows] logged, or the clone's probability of the logged action.
        production: [rows, actions] μ, logged or implied; None where the log does not tell.
        reward: [rows] in [0, 1]; ``action``: [rows]; ``unit``: [rows] codes.
        metrics: [rows, metrics] in [0, 1]; None where there are none.
        implied: production follows from the propensities and was not logged.
        blocks: the features.
        discount, tied: [rows] of what follows, see ``Gate.update``; None without timelines.
    """

    pmf: NDArray[np.float32]
    taken: NDArray[np.float64]
    clone: NDArray[np.float64]
    q: NDArray[np.float64]
    advantage: NDArray[np.float64]
    propensity: NDArray[np.float64]
    production: NDArray[np.float64] | None
    reward: NDArray[np.float64]
    action: NDArray[np.int64]
    unit: NDArray[np.int64]
    metrics: NDArray[np.float64] | None
    implied: bool
    blocks: Blocks
    discount: NDArray[np.float64] | None = None
    tied: NDArray[np.bool_] | None = None

    @cached_property
    def value(self) -> NDArray[np.float64]:
        """[rows] mean reward that the model expects under the clone, on [0, 1]; mean return on timelines."""
        return (self.clone * self.q).sum(axis=1)

    @property
    def value_range(self) -> tuple[float, float]:
        """Low and high predicted values, apart from each other."""
        low, high = (float(f"{x:.6g}") for x in np.quantile(self.value, (0.02, 0.98)))
        return (low, high) if high - low > LEAST_RANGE else (low - 0.5, low + 0.5)

    @cached_property
    def weight(self) -> NDArray[np.float64]:
        """w = π(a|x)/μ(a|x), [rows, K]."""
        return self.taken / self.propensity[:, None]

    @property
    def claim_rows(self) -> ClaimRows:
        """The rows as claims take them."""
        return ClaimRows(
            weight=self.weight,
            reward=self.reward,
            action=self.action,
            metrics=self.metrics,
            pmf=self.pmf,
            production=None if self.implied else self.production,
        )

    def units(self, cap: float, most_per_unit: int, footing: Footing) -> UnitRows:
        """How the rows follow each other, where they came as timelines."""
        assert self.discount is not None
        starts = np.flatnonzero(np.r_[True, self.unit[1:] != self.unit[:-1]])
        return UnitRows(starts, np.nan_to_num(self.discount), cap, most_per_unit, self.tied, footing)

    def fold(self, most_per_unit: int | None) -> Fold:
        """From rows to pieces of evidence."""
        return fold_of(most_per_unit, self.unit, len(self.reward))


def score_validation(
    log: Log, contestants: Contestants, most_per_unit: int | None = None, timeline: Timeline | None = None
) -> Scored:
    """Score the contestants on part "validate", on about ``VALIDATION_ROWS`` rows of it at the most.

    Args:
        log: the log.
        contestants: K of them.
        most_per_unit: where evidence is by unit: rows come unit by unit, no more than so many of each.
        timeline: where returns are claimed: the discount.
    """
    run, actions = contestants.scorer(), len(log.schema.actions)

    def score(batch: pa.RecordBatch) -> tuple[dict[str, NDArray[Any]], Blocks]:
        scores = run(batch)
        action = np.asarray(batch.column("__action")).astype(np.int64)
        found = {
            "pmf": scores.pmf.astype(np.float32),
            "taken": np.take_along_axis(scores.pmf, action[:, None, None], axis=2)[..., 0],
            "clone": scores.clone,
            "q": scores.q if timeline is not None else np.clip(scores.q, 0.0, 1.0),
            "advantage": scores.advantage,
            "propensity": logged_or_estimated(batch, scores.clone, action),
            "reward": np.asarray(batch.column("__reward")),
            "action": action,
            "unit": unit_codes(batch.column("__hash")).astype(np.int64),
        }
        optional = {
            "production": production_pmf(batch, actions) if log.schema.has_propensities else None,
            "metrics": metric_values(batch, len(log.metrics)),
            "discount": discounts_of(batch),
            "tied": ties_of(batch),
        }
        return found | {name: values for name, values in optional.items() if values is not None}, scores.blocks

    most = min(VALIDATION_ROWS, VALIDATION_NUMBERS // (actions * len(contestants)))
    share = min(1.0, most / max(log.rows_in("validate"), 1))
    size = batch_rows(contestants, actions)
    batches = log.batches("validate", batch_rows=size, share=share, **_in_units(most_per_unit, timeline))
    kept = list(in_order(score, batches))
    joined: dict[str, Any] = {name: np.concatenate([piece[name] for piece, _ in kept]) for name in kept[0][0]}
    if most_per_unit is not None:  # codes of 32 bits may meet by chance: units are told apart by where they lie
        joined["unit"] = np.cumsum(np.r_[0, joined["unit"][1:] != joined["unit"][:-1]])
    return Scored(
        production=joined.pop("production", None),
        metrics=joined.pop("metrics", None),
        discount=joined.pop("discount", None),
        tied=joined.pop("tied", None),
        **joined,
        implied=log.schema.roles.pmf is None,
        blocks=stack_blocks([blocks for _, blocks in kept]),
    )


def run_gate(log: Log, contestants: Contestants, plan: GatePlan, seen: Rows | None = None) -> Gate:
    """Pass once over part "gate".

    Args:
        log: the log.
        contestants: what the plan was made for.
        plan: frozen before.
        seen: told how many rows have been judged.
    """
    gate = Gate(plan, [str(action) for action in log.schema.actions])
    for part in judged(log, contestants, plan, _gate_batches(log, contestants, plan)):
        gate = gate.merge(part)
        if seen is not None:
            seen(gate.rows)
    return gate


def judged(log: Log, contestants: Contestants, plan: GatePlan, batches: Iterator[pa.RecordBatch]) -> Iterator[Gate]:
    """A gate for every batch of canonical rows, in order.

    Args:
        log: whose rows they are.
        contestants: what the plan was made for.
        plan: frozen before.
        batches: with all columns that the contestants decide on and the claims look at.
    """
    run, names = contestants.scorer(), [str(action) for action in log.schema.actions]
    told = log.schema.has_propensities and not plan.estimated_propensities

    def judge(numbered: tuple[int, pa.RecordBatch]) -> Gate:
        number, batch = numbered
        scores = run(batch)
        action = np.asarray(batch.column("__action")).astype(np.int64)
        part = Gate(plan, names)
        part.update(
            scores.pmf,
            propensity=logged_or_estimated(batch, scores.clone, action),
            reward=np.asarray(batch.column("__reward")),
            action=action,
            value=(scores.clone * scores.q).sum(axis=1),
            metrics=metric_values(batch, len(log.metrics)),
            production=production_pmf(batch, len(names)) if told else None,
            implied=log.schema.roles.pmf is None,
            q=scores.q,
            unit=_units(batch) if plan.evidence == "unit" else None,
            discount=discounts_of(batch),
            tied=ties_of(batch),
            shuffle=number,
        )
        return part

    return in_order(judge, enumerate(batches))


def batch_rows(contestants: Contestants, actions: int) -> int:
    """Rows of a batch such that its pmfs stay within a few tens of megabytes."""
    return int(np.clip(NUMBERS_PER_BATCH // (len(contestants) * actions), 256, LARGEST_BATCH))


def _gate_batches(log: Log, contestants: Contestants, plan: GatePlan) -> Iterator[pa.RecordBatch]:
    """The gate's rows, with the columns that matter."""
    wanted = ["__action", "__reward", *log.metric_columns, *contestants.columns]
    if log.schema.has_propensities:
        wanted.append("__propensity")
    if log.schema.roles.pmf is not None:
        wanted.append("__pmf")
    if plan.evidence == "unit":
        wanted.append("__hash")
    if plan.timeline is not None:
        wanted += ["__discount", "__wait"]
    size = batch_rows(contestants, len(log.schema.actions))
    return log.batches("gate", columns=wanted, batch_rows=size, **_in_units(plan.counted, plan.timeline))


def _in_units(most_per_unit: int | None, timeline: Timeline | None) -> dict[str, Any]:
    """How ``Log.batches`` is asked for rows unit by unit."""
    if most_per_unit is None:
        return {}
    return {"by_unit": True, "most_per_unit": most_per_unit, "timeline": timeline}


def discounts_of(batch: pa.RecordBatch) -> NDArray[np.float64] | None:
    """[rows] discounts of what follows, NaN where that is not known; None where there are none."""
    if "__discount" not in batch.schema.names:
        return None
    return batch.column("__discount").to_numpy(zero_copy_only=False).astype(np.float64)


def ties_of(batch: pa.RecordBatch) -> NDArray[np.bool_] | None:
    """[rows] whether a row was made at the moment of the row before, in the same unit; None without timelines."""
    if "__wait" not in batch.schema.names:
        return None
    wait = batch.column("__wait").to_numpy(zero_copy_only=False).astype(np.float64)  # NaN on a unit's last row
    tied = np.r_[False, wait[:-1] == 0.0][: len(wait)]
    tied[unit_starts(batch.column("__hash"))] = False  # a unit's last row here need not be its last
    return tied


def _units(batch: pa.RecordBatch) -> NDArray[np.int64]:
    """[rows] which unit of the batch a row belongs to; rows of a unit lie together."""
    starts = unit_starts(batch.column("__hash"))
    return np.repeat(np.arange(len(starts)), np.diff(starts, append=batch.num_rows))


def logged_or_estimated(
    batch: pa.RecordBatch, clone: NDArray[np.float64], action: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Logged propensities, or the clone's where none are logged."""
    if "__propensity" in batch.schema.names:
        return np.asarray(batch.column("__propensity"))
    return np.maximum(np.take_along_axis(clone, action[:, None], axis=1)[:, 0], LEAST_ESTIMATE)
