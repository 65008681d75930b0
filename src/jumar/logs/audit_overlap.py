"""Is the reward of a decision finished before the unit's next decision is drawn, or do their windows overlap?

In: a ``Log`` and its sample by unit. Out: one finding, and whether evidence must be counted by unit. Used by ``audit``,
and by the floors above through ``jumar.logs``.
"""

# Ibis' annotations know columns only as bare values.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportArgumentType=false

from __future__ import annotations

from collections.abc import Iterable
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jumar.logs.audit_propensity import has_propensity, unit_order
from jumar.logs.read import Log
from jumar.logs.schema import ACTION, END, PROPENSITY, REWARD, UNIT
from jumar.records import Finding

OVERLAP, ENDS = "overlapping rewards", "ends told afterwards"
_FALSE_ALARM = 2.9e-7  # one side of five standard deviations, shared by all actions
_LARGE = 0.02
_FEW_PAIRS, _FEW_TAKEN = 100, 30


def evidence_by_unit(findings: Iterable[Finding]) -> bool:
    """Whether a finding says that the decisions of one unit are not independent pieces of evidence."""
    return any(bool(finding.figures.get("by_unit")) for finding in findings)


def overlap(log: Log, sample: pa.Table) -> list[Finding]:
    """Do rewards depend on what was drawn for the unit's *next* decision, as when their windows overlap?

    For consecutive decisions i, i+1 of a unit and an action a, let T = (1{A_{i+1} = a}/μ_{i+1}(a) − 1)·(r_i − c).
    If r_i was known before A_{i+1} was drawn, and the draw followed the logged propensities, then given all that was
    known before that draw r_i and μ_{i+1}(a) are constants and 1{A_{i+1} = a}/μ_{i+1}(a) has the mean 1, so that
    E[T] = 0 whatever the contexts, the users and the policy are: the T are martingale differences. A reward that the
    next decision helps to cause moves with its action, and E[T] ≠ 0 for some a. Only the propensity of the action
    taken is needed. c is the mean reward, which makes T small and moves a sum of n terms by a term of order 1 only.

    z is ΣT over its standard deviation, the larger of √ΣT² and the one that holds if ratio and reward are independent:
    sums of few large terms would look too certain otherwise. Warns, with ``by_unit``, where for some action |z| is
    beyond what chance does once in 1.7 million logs, all actions together, and |mean T| is above 0.02 standard
    deviations of the reward. Smaller overlaps than that go unseen. Without a time there is no next decision.
    """
    roles = log.schema.roles
    if not has_propensity(log) or roles.unit is None or roles.time is None:
        return []
    rows = unit_order(sample, (ACTION, PROPENSITY, REWARD))
    unit = rows[UNIT].combine_chunks().dictionary_encode().indices.to_numpy()
    pairs = unit[1:] == unit[:-1]
    reward = rows[REWARD].to_numpy()[:-1][pairs]
    action, p = rows[ACTION].to_numpy()[1:][pairs], rows[PROPENSITY].to_numpy()[1:][pairs]
    n, spread = len(reward), float(reward.std()) if len(reward) else 0.0
    if n < _FEW_PAIRS or spread == 0:
        sentence = "Too few units decide twice to tell whether the rewards of their decisions overlap."
        return [Finding(name=OVERLAP, verdict="ok", sentence=sentence, figures={"pairs": n})]
    loud, said, figures = _loudest(log, reward, action, p)
    if not loud:
        sentence = f"Rewards do not depend on the unit's next draw ({n:,} pairs; at most {said})."
        return [Finding(name=OVERLAP, verdict="ok", sentence=sentence, figures=figures)]
    sentence = (
        f"Rewards depend on what was drawn for the unit's next decision ({said}; {n:,} pairs): their windows overlap, "
        "or a reward is counted for several decisions. Evidence is counted by unit, not by decision."
    )
    return [Finding(name=OVERLAP, verdict="warning", sentence=sentence, figures=figures | {"by_unit": 1})]


def ends(log: Log, sample: pa.Table) -> list[Finding]:
    """Does it depend on a unit's *next* draw whether a decision lies behind the end of an episode?

    Whether decision i counts must be known before A_{i+1} is drawn, as ``overlap`` asks of rewards, with 1 in place of
    r_i where no earlier decision of the unit is flagged, else 0. An end that was flagged afterwards, in view of what
    was drawn two decisions later, takes rewards out of a unit's return whose weights know nothing of that draw.
    """
    if not has_propensity(log) or None in (log.schema.roles.unit, log.schema.roles.time, log.schema.roles.end):
        return []
    rows = unit_order(sample, (ACTION, PROPENSITY, END))
    unit = rows[UNIT].combine_chunks().dictionary_encode().indices.to_numpy()
    flagged = np.asarray(rows[END].to_numpy(zero_copy_only=False), dtype=np.int64)
    before = np.cumsum(flagged) - flagged
    first = np.r_[True, unit[1:] != unit[:-1]]
    going = (before == before[np.maximum.accumulate(np.where(first, np.arange(unit.size), 0))]).astype(np.float64)
    pairs = ~first[1:]
    action, p, going = rows[ACTION].to_numpy()[1:][pairs], rows[PROPENSITY].to_numpy()[1:][pairs], going[:-1][pairs]
    if len(going) < _FEW_PAIRS or float(going.std()) == 0:
        return []
    loud, said, figures = _loudest(log, going, action, p)
    if not loud:
        sentence = (
            f"Where episodes end does not depend on the unit's later draws ({len(going):,} pairs; at most {said})."
        )
        return [Finding(name=ENDS, verdict="ok", sentence=sentence, figures=figures)]
    sentence = (
        f"Where an episode ended depends on what was drawn for the unit later ({said}; {len(going):,} pairs): ends "
        "were flagged afterwards. Flag an end when it is known, before the next decision."
    )
    return [Finding(name=ENDS, verdict="warning", sentence=sentence, figures=figures | {"by_unit": 1})]


def _loudest(
    log: Log, value: NDArray[np.float64], action: NDArray[np.integer], p: NDArray[np.float64]
) -> tuple[bool, str, dict[str, Any]]:
    """Whether values [pairs] depend on the next draw, the worst action in words, and its figures."""
    means, scores = follow(value, action, p, len(log.schema.actions))
    effects = means / float(value.std())
    limit = -NormalDist().inv_cdf(_FALSE_ALARM / len(log.schema.actions))
    loud = (np.abs(scores) > limit) & (np.abs(effects) > _LARGE)
    worst = int(np.argmax(np.where(loud, np.abs(scores), 0.0) if loud.any() else np.abs(scores)))
    name, effect, z = str(log.schema.actions[worst]), float(effects[worst]), float(scores[worst])
    figures: dict[str, Any] = {"pairs": len(value), "action": name, "effect": effect, "z": z}
    return bool(loud.any()), f"{effect:+.2f} standard deviations before '{name}', z = {z:+.1f}", figures


def follow(
    reward: NDArray[np.float64], action: NDArray[np.integer], p: NDArray[np.float64], actions: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Per action the mean of T and its z-score, [actions] each; z is 0 for an action that hardly ever came next.

    Args:
        reward: [pairs] of the earlier decision.
        action, p: [pairs] of the later decision, and the propensity it had.
        actions: how many there are.
    """
    n, centred = len(reward), reward - reward.mean()

    def per_action(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(action, weights=values, minlength=actions).astype(np.float64)

    taken, inverse = per_action(np.ones(n)), 1.0 / p
    # Rows with another action have T = −(r − c), and these sum to 0 with those of the action itself.
    total = per_action(inverse * centred)
    squares = per_action(((inverse - 1.0) ** 2 - 1.0) * centred**2) + (centred**2).sum()
    apart = (per_action((inverse - 1.0) ** 2 - 1.0) + n) * (centred**2).mean()
    deviation = np.sqrt(np.maximum(squares, apart))
    return total / n, np.where(taken >= _FEW_TAKEN, total / np.maximum(deviation, 1e-300), 0.0)
