"""Do the logged propensities tell the truth, and is there any chance in them to learn from?

In: a ``Log``, its tally per action, a sample by unit. Out: findings. Every test rests on one fact: with true
propensities, 1{A = a}/μ(a|x) has the mean 1 whatever was known before. Used by ``audit`` only.
"""

# Ibis' annotations know columns only as bare values.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportReturnType=false, reportIndexIssue=false, reportOptionalSubscript=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jumar.logs.read import Log
from jumar.logs.schema import ACTION, ID, PROPENSITY, TIME, UNIT
from jumar.records import Finding

CERTAIN = 0.999
SHARED = "shared randomness"
_Z, _OFF = 5.0, 0.02
_SHOWN = 50
_LAGS, _FEW_PAIRS = (1, 2), 100
_FEW_TAKEN = 100


def has_propensity(log: Log) -> bool:
    """Whether canonical rows carry ``__propensity``."""
    return PROPENSITY in log.part().columns


def action_tally(log: Log) -> list[dict[str, Any]]:
    """Per action: rows, and with propensities the least one and the sums of 1/μ and 1/μ²."""
    table = log.part()
    asked: dict[str, Any] = {"rows": ibis._.count()}
    if has_propensity(log):
        inverse = 1.0 / table[PROPENSITY]
        asked |= {
            "least": table[PROPENSITY].min(),
            "inverse": inverse.sum(),
            "square": (inverse * inverse).sum(),
        }
    rows = log.origin.ask(table.group_by(ACTION).aggregate(**asked))
    return sorted(rows, key=lambda row: row[ACTION])


def exploration(log: Log) -> list[Finding]:
    """Whether chance had a say: blocked when every decision was certain."""
    if not has_propensity(log):
        return []
    p = log.part()[PROPENSITY]
    row = log.origin.one(
        log.part().aggregate(
            low=p.min(),
            high=p.max(),
            mean=p.mean(),
            certain=(p >= CERTAIN).mean(),
        )
    )
    certain = row["certain"]
    sentence = f"Propensities run from {row['low']:.3g} to {row['high']:.3g}, {row['mean']:.3g} on average."
    verdict = "ok"
    if certain == 1:
        verdict = "blocked"
        sentence = (
            "Every decision was made with certainty (propensity 0.999 or more), so the log says nothing "
            "about other decisions."
        )
    elif certain > 0.9:
        verdict = "warning"
        sentence += f" {certain:.1%} of the decisions were certain; only the others can teach anything."
    elif row["low"] < 1e-4:
        verdict = "warning"
        sentence += f" Propensities as small as {row['low']:.1g} give single decisions enormous weight."
    figures = {"low": row["low"], "high": row["high"], "mean": row["mean"], "share_certain": certain}
    return [Finding(name="exploration", verdict=verdict, sentence=sentence, figures=figures)]


def calibration(log: Log, tally: list[dict[str, Any]]) -> list[Finding]:
    """Mean of 1{A = a}/μ per action, which is 1 when the propensities are true.

    Given what was known before, each term has mean 1 whether or not decisions share a unit, so the terms
    minus 1 are martingale differences and z is their mean over its standard error. Blocked when some |z| > 5
    and the mean is off by more than 2%. An action that is not always available has a mean below 1 by right;
    then the propensities are true only among the available actions, and the sentence says so.
    """
    if not has_propensity(log):
        return []
    n = log.rows
    means, scores = {}, {}
    for row in tally:
        name = str(log.schema.actions[row[ACTION]])
        mean = row["inverse"] / n
        error = max(row["square"] / n - mean**2, 0.0) ** 0.5 / n**0.5
        means[name] = mean
        # An action taken in every row of a degenerate log has no spread; then only the mean can speak.
        scores[name] = (mean - 1) / error if error > 0 else (0.0 if abs(mean - 1) < 1e-9 else np.sign(mean - 1) * 1e3)
    counted = {str(log.schema.actions[row[ACTION]]): row["rows"] for row in tally}
    off = {a: z for a, z in scores.items() if abs(z) > _Z and abs(means[a] - 1) > _OFF and counted[a] >= 30}
    worst = max(off or scores, key=lambda a: abs(scores[a]))
    figures = {
        "worst_action": worst,
        "worst_mean": means[worst],
        "worst_z": float(scores[worst]),
        "means": dict(list(means.items())[:_SHOWN]),
    }
    if not off:
        sentence = (
            "The propensities agree with how often each action was taken: the mean of 1/propensity per "
            f"action is 1 within chance (largest deviation '{worst}': {means[worst]:.3f}, "
            f"z = {scores[worst]:+.1f})."
        )
        return [Finding(name="calibration", verdict="ok", sentence=sentence, figures=figures)]
    sentence = (
        f"The propensities do not agree with how often actions were taken: for '{worst}' the mean of "
        f"1/propensity is {means[worst]:.3f} where it should be 1 (z = {scores[worst]:+.1f}); "
        f"{len(off)} of {len(means)} actions are off. "
    )
    sentence += (
        "Log the probability of the action at the moment it is drawn."
        if means[worst] > 1
        else "Either they are wrong, or the action is not always available."
    )
    return [Finding(name="calibration", verdict="blocked", sentence=sentence, figures=figures)]


def support(log: Log, tally: list[dict[str, Any]]) -> Finding:
    """How often each action was taken, and with what least propensity."""
    counts = {str(log.schema.actions[row[ACTION]]): float(row["rows"]) for row in tally}
    figures: dict[str, Any] = {"counts": dict(sorted(counts.items(), key=lambda pair: pair[1])[:_SHOWN])}
    if has_propensity(log):
        least = {str(log.schema.actions[row[ACTION]]): row["least"] for row in tally}
        figures["least_propensity"] = dict(sorted(least.items(), key=lambda pair: pair[1])[:_SHOWN])
    rare = {action: n for action, n in counts.items() if n < _FEW_TAKEN}
    scarce = min(counts, key=lambda action: counts[action])
    if rare:
        sentence = (
            f"{len(rare)} of {len(counts)} actions were taken fewer than {_FEW_TAKEN} times, "
            f"least of all '{scarce}' ({counts[scarce]:.0f}); little can be learned about them."
        )
    else:
        sentence = f"Each of {len(counts)} actions was taken {counts[scarce]:,.0f} times or more."
    return Finding(name="support", verdict="warning" if rare else "ok", sentence=sentence, figures=figures)


def _repeats(unit: np.ndarray, action: np.ndarray, p: np.ndarray, lag: int) -> tuple[int, float, float, float] | None:
    """Pairs, mean T, its z-score and the share of repeats, ``lag`` decisions of a unit apart; None for few pairs."""
    pairs = unit[lag:] == unit[:-lag]
    same = (action[lag:] == action[:-lag])[pairs]
    n = int(pairs.sum())
    if n < _FEW_PAIRS:
        return None
    t = same / p[lag:][pairs] - 1.0
    norm = float(np.sqrt((t * t).sum()))
    return n, float(t.mean()), float(t.sum() / norm) if norm > 0 else 0.0, float(same.mean())


def persistence(log: Log, sample: pa.Table) -> list[Finding]:
    """Do decisions of one unit share their randomness, as when each user is assigned one arm for good?

    If so, the rows of a unit are one draw, and evidence may be counted by unit only: a warning with ``by_unit``.

    For consecutive decisions of a unit, with the previous action a' = A_{i−1}, look at T_i = 1{A_i =
    a'}/μ_i(a') − 1. If decision i was drawn afresh with the logged propensities, T_i has mean zero given
    everything before it, also when the propensities themselves depend on a'; only the propensity of the
    action taken is needed. The T_i are martingale differences, so z = ΣT/√ΣT² is about standard normal. A
    persistent arm makes every T_i = 1/μ_i − 1 > 0. Warns at |z| > 5 and |mean T| > 0.05. A mean below zero may
    be right (an action that may not be repeated has μ = 0, and the test cannot see that), but arms that take turns
    look the same, and to count by unit is right in both cases. The decision before the last is looked at as well, so
    that two interleaved streams of decisions do not hide each other's.
    """
    if not has_propensity(log) or log.schema.roles.unit is None:
        return []
    rows = unit_order(sample, (ACTION, PROPENSITY))
    unit = rows[UNIT].combine_chunks().dictionary_encode().indices.to_numpy()
    action, p = rows[ACTION].to_numpy(), rows[PROPENSITY].to_numpy()
    looks = [look for lag in _LAGS if (look := _repeats(unit, action, p, lag)) is not None]
    if not looks:
        sentence = "Too few units decide twice to tell whether their decisions share their randomness."
        return [Finding(name=SHARED, verdict="ok", sentence=sentence)]
    worst = max(looks, key=lambda look: abs(look[2]))
    n, mean, z, repeated = worst if abs(worst[2]) > _Z else looks[0]
    figures = {"pairs": n, "mean": mean, "z": z, "share_repeated": repeated}
    if z > _Z and mean > 0.05:
        sentence = (
            f"Decisions of one unit share their randomness: an earlier action is repeated in {repeated:.1%} of {n:,} "
            f"pairs, {mean:+.0%} more than the propensities allow (z = {z:+.1f}). Evidence is counted by unit, not by "
            "decision; if each unit keeps its arm, one row per unit would say as much."
        )
    elif z < -_Z and mean < -0.05:
        sentence = (
            f"Units repeat their last action {-mean:.0%} less often than the propensities say (z = {z:+.1f}); right "
            "only if an action may be unavailable after it was taken. Evidence is counted by unit, not by decision."
        )
    else:
        sentence = (
            f"Consecutive decisions of a unit look freshly drawn ({n:,} pairs, off by {mean:+.1%}, z = {z:+.1f})."
        )
        return [Finding(name=SHARED, verdict="ok", sentence=sentence, figures=figures)]
    return [Finding(name=SHARED, verdict="warning", sentence=sentence, figures=figures | {"by_unit": 1})]


def unit_order(sample: pa.Table, columns: Sequence[str]) -> pa.Table:
    """The sample's units together, each unit's decisions by time, then id, with some of the columns and ``__unit``."""
    keys = [name for name in (UNIT, TIME, ID) if name in sample.column_names]
    rows = sample.select(list(dict.fromkeys((*keys, *columns))))
    return rows.take(pc.sort_indices(rows, sort_keys=[(name, "ascending") for name in keys]))
