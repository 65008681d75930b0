"""Counts of a log's decisions by propensity and reward, as the planner needs them, with or without a policy at hand.

In: a ``Log`` and perhaps a policy. Out: ``Tally`` and ``Measured``. One aggregate pass in the engine, or one over the
validation part. Only TRAIN rows are looked at: planning is no attempt at the gate. ``plan_log`` imports this module.
"""

# Ibis' annotations know columns only as bare values.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportReturnType=false, reportIndexIssue=false, reportOptionalSubscript=false, reportCallIssue=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jumar.errors import LogError, PolicyError
from jumar.evaluate.capital import Floats
from jumar.evaluate.planning.law import Law, Tally
from jumar.evaluate.robust import kappa_for, robust_bound, robust_variable
from jumar.features import read_blocks
from jumar.logs import Log
from jumar.logs.arrays import production_pmf
from jumar.logs.schema import ACTION, PMF, PROPENSITY, REWARD, TIME, Part
from jumar.logs.split import PARTS
from jumar.policy import Policy, in_order

TRAIN: tuple[Part, ...] = ("fit", "stop", "validate")
MOST_ROWS, MOST_NUMBERS, BATCH_NUMBERS = 300_000, 30_000_000, 4_000_000
LEAST_ESTIMATE = 1e-6
_FINE = 0.05  # see ``law``
_LEAST = 1e-6
_SECONDS_PER_DAY = 86_400.0
_NOTHING = -10_000  # the step of a reward of zero


def tally_of(log: Log) -> Tally:
    """Count the decisions of TRAIN.

    Where no propensity was logged, the share in which each action was taken stands in for it.

    Raises:
        LogError: TRAIN holds no decision.
    """
    rows = log.part(*TRAIN)
    reward: Any = rows[REWARD]
    asked: dict[str, ir.Value] = {"reward": reward.mean(), "count": rows.count()}
    keys: dict[str, ir.Value] = {"by_reward": ibis.ifelse(reward > 0, _step(reward), _NOTHING)}
    told = log.schema.has_propensities
    if told:
        mu: Any = rows[PROPENSITY]
        favourite = rows[ACTION] == rows[PMF].index(rows[PMF].maxs()) if log.schema.roles.pmf else mu > 0.5
        # Favourites are told apart by what is left to the other actions.
        keys |= {"favourite": favourite, "by_propensity": _step(ibis.ifelse(favourite, 1.0 - mu, mu))}
        asked["propensity"] = mu.mean()
    else:
        keys["action"] = rows[ACTION]
    found = log.origin.arrow(rows.group_by(**keys).aggregate(**asked).order_by(list(keys)))
    if not found.num_rows:
        raise LogError(
            "No decision is left to plan from: all belong to units that are kept for judging",
            count=log.rows,
            remedy="Plan from a longer log.",
        )
    count = _floats(found["count"])
    if told:
        propensity, known = _floats(found["propensity"]), np.asarray(found["favourite"], dtype=bool)
    else:
        taken = np.asarray(found["action"], dtype=np.int64)
        share = np.bincount(taken, count) / count.sum()
        propensity, known = share[taken], taken == int(share.argmax())
    return Tally(
        propensity=np.clip(propensity, 0.0, 1.0),
        favourite=known,
        reward=_floats(found["reward"]),
        count=count,
        actions=len(log.schema.actions),
    )


def _step(value: Any) -> ir.Value:
    """Cells of about equal ratio."""
    return (ibis.greatest(value, _LEAST).ln() / _FINE).floor().cast("int32")


def _floats(column: Any) -> Floats:
    """Ten significant digits: sums of parallel threads differ in the last ones from run to run."""
    values = np.asarray(column, dtype=np.float64)
    with np.errstate(divide="ignore"):
        unit = 10.0 ** (np.floor(np.log10(np.abs(values))) - 9.0)
    unit = np.where(values == 0, 1.0, unit)
    return np.round(values / unit) * unit


@dataclass(frozen=True)
class Measured:
    """A policy on the validation part.

    Attributes:
        tally: its rows, with the policy's probabilities.
        changed: total variation distance from production: the share of decisions that come out differently.
        pmf, production, predicted: [rows, actions] of the policy, of production and predicted rewards; None where
            production's probabilities of all actions are not known.
        action: [rows].
    """

    tally: Tally
    changed: float
    pmf: NDArray[np.floating] | None
    production: NDArray[np.floating] | None
    predicted: NDArray[np.floating] | None
    action: NDArray[np.int64]

    def robust(self, second_moment: float, rows: int) -> Law:
        """The law of the doubly-robust variable as a gate of so many rows would lay it out.

        Args:
            second_moment: E[d²] of the plain variable.
            rows: of the gate.
        """
        assert self.pmf is not None
        assert self.production is not None
        assert self.predicted is not None
        kappa = kappa_for(second_moment, rows)
        y = robust_variable(
            pmf=self.pmf[:, None, :],
            production=np.asarray(self.production, np.float64),
            predicted=self.predicted,
            action=self.action,
            reward=self.tally.reward,
            kappa=[kappa],
        )[:, 0]
        assert self.tally.policy is not None
        w = self.tally.policy / self.tally.propensity
        return Law.of(w, self.tally.reward, 1.0, y - (w - 1.0) * self.tally.reward, bound=robust_bound(kappa))


def measured(log: Log, policy: Policy) -> Measured:
    """Score a policy on part "validate", on about ``MOST_ROWS`` rows of it at the most.

    Raises:
        LogError: that part holds no decision.
        PolicyError: the policy was fitted under another split of the units.
    """
    if policy.card.train_units_below != PARTS["gate"][0]:
        raise PolicyError(
            "The policy was fitted under another split of the units than this version knows",
            remedy="Plan with the version of its card, or without a policy.",
        )
    scorer, actions = policy.scorer("pmf", "clone", "q"), len(policy.actions)

    def score(batch: pa.RecordBatch) -> dict[str, NDArray[Any]]:
        pmf, clone, q = scorer.run(read_blocks(batch, policy.card.features))
        action = np.asarray(batch.column(ACTION)).astype(np.int64)
        at = action[:, None]
        told = PROPENSITY in batch.schema.names
        mu = np.asarray(batch.column(PROPENSITY)) if told else np.take_along_axis(clone, at, axis=1)[:, 0]
        production = production_pmf(batch, actions) if told else None
        leading = clone if production is None else production
        taken = {
            "policy": np.take_along_axis(pmf, at, axis=1)[:, 0],
            "propensity": np.maximum(mu, LEAST_ESTIMATE) if not told else mu,
            "favourite": action == leading.argmax(axis=1) if production is not None or not told else mu > 0.5,
            "reward": np.asarray(batch.column(REWARD)),
            "action": action,
        }
        if production is not None:
            whole = {"pmf": pmf, "production": production, "predicted": np.clip(q, 0.0, 1.0)}
            taken |= {name: values.astype(np.float32) for name, values in whole.items()}
        return taken

    share = min(1.0, min(MOST_ROWS, MOST_NUMBERS // actions) / max(log.rows_in("validate"), 1))
    size = int(np.clip(BATCH_NUMBERS // actions, 256, 65_536))
    pieces = list(in_order(score, log.batches("validate", batch_rows=size, share=share)))
    if not any(len(piece["action"]) for piece in pieces):
        raise LogError("No decision is left to measure the policy on", count=log.rows, remedy="Plan from a longer log.")
    joined: dict[str, Any] = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    tally = Tally(
        propensity=joined["propensity"],
        favourite=joined["favourite"],
        reward=joined["reward"],
        count=np.ones(len(joined["reward"])),
        actions=actions,
        policy=joined["policy"],
    )
    moved = float(np.maximum(1.0 - tally.policy / tally.propensity, 0.0).mean()) if tally.policy is not None else 0.0
    return Measured(
        tally=tally,
        changed=moved,
        pmf=joined.get("pmf"),
        production=joined.get("production"),
        predicted=joined.get("predicted"),
        action=joined["action"],
    )


def rows_per_day(log: Log) -> float | None:
    """Decisions per day of the log's span; None without times, or where all are the same."""
    if log.schema.roles.time is None:
        return None
    time: Any = log.canonical[TIME]
    found = log.origin.one(log.canonical.aggregate(first=time.min(), last=time.max(), whole=_whole_days(time)))
    seconds = (found["last"] - found["first"]).total_seconds()
    # Times that are dates stand for whole days, the last one included.
    days = seconds / _SECONDS_PER_DAY + (1.0 if found["whole"] else 0.0)
    return log.rows / days if days > 0 else None


def _whole_days(time: Any) -> Any:
    return (time.truncate("D") == time).all()
