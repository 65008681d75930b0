"""Did the world or the logging change while the log was written?

In: a ``Log`` with times and its sample. Out: one finding about ten periods of equal size. Used by ``audit`` only.
"""

# Ibis' annotations know columns only as bare values.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportReturnType=false, reportIndexIssue=false, reportOptionalSubscript=false, reportCallIssue=false

from __future__ import annotations

import datetime

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from jumar.logs.read import Log
from jumar.logs.schema import ACTION, REWARD, TIME
from jumar.records import Finding

PERIODS = 10
_LARGE, _LARGE_FEATURE, _Z = 0.1, 0.25, 5.0
_ACTIONS = 20


def drift(log: Log, sample: pa.Table) -> list[Finding]:
    """Compares reward, action rates and features between ten periods of about equal size.

    A shift is |mean of a period − mean of all| / standard deviation of all. It is reported as a warning when
    it exceeds 0.1 for the reward or an action, 0.25 for a feature, and five standard errors of the period's
    mean.
    """
    if log.schema.roles.time is None:
        return []
    micros = sample[TIME].combine_chunks().cast(pa.int64()).to_numpy()
    edges = np.unique(np.quantile(micros, np.linspace(0, 1, PERIODS + 1)[1:-1]).astype(np.int64))
    table = log.part()
    watched = _watched(log, table)
    time = table[TIME]
    steps = [(time < _moment(int(edge)), i) for i, edge in enumerate(edges)]
    asked: dict[str, ir.Value] = {"n": table.count()}
    for i, (_, value) in enumerate(watched):
        asked |= {f"n{i}": value.count(), f"s{i}": value.sum(), f"q{i}": (value * value).sum()}
    rows = log.origin.ask(table.group_by(period=ibis.cases(*steps, else_=len(edges))).aggregate(**asked))
    rows.sort(key=lambda row: row["period"])
    shifts, scores, periods = {}, {}, {}
    for i, (what, _) in enumerate(watched):
        shifts[what], scores[what], periods[what] = _largest(rows, i)
    alarming = [
        what
        for what, shift in shifts.items()
        if scores[what] > _Z and shift > (_LARGE_FEATURE if what.startswith("feature") else _LARGE)
    ]
    top = max(alarming or shifts, key=lambda what: shifts[what])
    said = f"{top} lies {shifts[top]:.2f} standard deviations from its mean in period {periods[top] + 1} of {len(rows)}"
    rewards = [row["s0"] / row["n0"] for row in rows]
    width, low = log.schema.reward_high - log.schema.reward_low, log.schema.reward_low
    sentence = (
        f"Things changed while the log was written: {said}"
        + (f", and {len(alarming) - 1} more shift as well." if len(alarming) > 1 else ".")
        + " A policy learned from old periods may not fit the next one."
        if alarming
        else f"Nothing shifts much over time; at most, {said}."
    )
    shown = dict(sorted(shifts.items(), key=lambda pair: -pair[1])[:50])
    figures = {
        "shifts": shown,
        "mean_rewards": [low + width * r for r in rewards],
        "rows": [float(r["n"]) for r in rows],
    }
    return [Finding(name="drift", verdict="warning" if alarming else "ok", sentence=sentence, figures=figures)]


def _moment(micros: int) -> ir.Value:
    return ibis.literal(datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=micros))


def _watched(log: Log, table: ir.Table) -> list[tuple[str, ir.Value]]:
    """What is followed over time, as numbers: the reward, frequent actions, numeric and boolean features."""
    watched: list[tuple[str, ir.Value]] = [("the reward", table[REWARD])]
    frequent = sorted(log.action_counts, key=lambda a: -log.action_counts[a])[:_ACTIONS]
    for action in frequent:
        index = log.schema.actions.index(action)
        watched.append((f"the rate of action '{action}'", (table[ACTION] == index).cast("float64")))
    for feature in log.schema.features:
        if feature.kind in ("number", "boolean"):
            value = table[feature.name]
            value = value.cast("int8") if feature.kind == "boolean" else value
            watched.append((f"feature '{feature.name}'", value.cast("float64")))
    return watched


def _largest(rows: list[dict[str, float]], i: int) -> tuple[float, float, int]:
    """Largest standardised shift of watched value ``i``, its z-score, and the period."""
    n, s, q = (np.array([row[f"{key}{i}"] or 0.0 for row in rows], dtype=float) for key in "nsq")
    if n.sum() == 0:
        return 0.0, 0.0, 0
    mean = s.sum() / n.sum()
    deviation = max(q.sum() / n.sum() - mean**2, 0.0) ** 0.5
    # Sums of squares of large, nearly constant numbers leave only rounding.
    if deviation <= 1e-6 * abs(mean) or not np.isfinite(deviation):
        return 0.0, 0.0, 0
    shift = np.where(n > 0, np.abs(s / np.maximum(n, 1) - mean) / deviation, 0.0)
    worst = int(shift.argmax())
    return float(shift[worst]), float(shift[worst] * n[worst] ** 0.5), worst
