"""Is this log fit to learn from? What is there, what is missing, and what looks wrong, in plain sentences.

In: a ``Log``. Out: a list of ``Finding``. A few aggregates run on the engine; whatever needs rows in memory
sees a sample of at most about 200,000, taken by unit. The floors above use it through ``jumar.logs``.
"""

# Ibis' annotations know columns only as bare values.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportReturnType=false, reportIndexIssue=false, reportOptionalSubscript=false, reportCallIssue=false

from __future__ import annotations

from typing import Any

import ibis
import msgspec
import numpy as np
import pyarrow as pa

from jumar.logs.audit_drift import drift
from jumar.logs.audit_leakage import filled_afterwards, knows_the_action, knows_the_reward
from jumar.logs.audit_overlap import ends, overlap
from jumar.logs.audit_propensity import action_tally, calibration, exploration, persistence, support
from jumar.logs.read import Log
from jumar.logs.schema import HASH, REWARD, TIME, UNIT
from jumar.logs.split import PARTS, hex_bound
from jumar.records import Finding

SAMPLE_ROWS = 200_000
_FEW_ROWS = 1_000


def audit(log: Log, *, ahead: bool = False) -> list[Finding]:
    """All findings about a log, in the order a person would ask.

    Args:
        log: the log.
        ahead: what follows a decision is to count, too: rewards that are all alike then still tell long from short.

    Raises:
        LogError: the source broke off.
    """
    sample = take_sample(log)
    tally = action_tally(log)
    found = [
        contents(log),
        roles(log),
        *exploration(log),
        *calibration(log, tally),
        support(log, tally),
        *persistence(log, sample),
        *overlap(log, sample),
        *(ends(log, sample) if ahead else []),
        rewards(log, ahead=ahead),
        missing(log),
        duplicates(log),
        knows_the_reward(log, sample),
        knows_the_action(log, sample),
        filled_afterwards(log, sample),
        *drift(log, sample),
        split_shares(log, sample),
    ]
    return [steady(finding) for finding in found]


def steady(finding: Finding) -> Finding:
    """Figures to ten significant digits: sums of parallel threads differ in the last ones from run to run."""

    def rounded(value: Any) -> Any:
        if isinstance(value, float):
            return float(f"{value:.10g}")
        if isinstance(value, list):
            return [rounded(one) for one in value]
        return {key: rounded(one) for key, one in value.items()} if isinstance(value, dict) else value

    return msgspec.structs.replace(finding, figures=rounded(finding.figures))


def take_sample(log: Log, rows: int = SAMPLE_ROWS) -> pa.Table:
    """Whole units whose hash falls below a bound, about ``rows`` rows of them, in canonical columns.

    Low hashes belong to the part that fits, so that an audit of a large log never looks at rows of the gate.
    With too few units for that, the first rows.
    """
    table = log.part()
    share = rows / log.rows
    if share >= 1:
        return log.origin.arrow(table)
    some = log.origin.arrow(table.filter(table[HASH] < hex_bound(share)).limit(2 * rows))
    enough = some.num_rows >= min(rows, log.rows) / 4
    return some if enough else log.origin.arrow(table.limit(rows))


def contents(log: Log) -> Finding:
    """Rows, units, time span, and features by kind."""
    kinds: dict[str, float] = {}
    for feature in log.schema.features:
        kinds[feature.kind] = kinds.get(feature.kind, 0) + 1
    words = ", ".join(f"{int(n)} {kind}" for kind, n in kinds.items())
    first, last, span = _time_span(log)
    few = log.rows < _FEW_ROWS
    sentence = (
        f"{log.rows:,} decisions of {log.units:,} units{span}; {len(log.schema.actions)} actions; "
        f"{len(log.schema.features)} features ({words})."
    )
    if few:
        sentence += " So few decisions can hardly certify anything."
    return Finding(
        name="contents",
        verdict="warning" if few else "ok",
        sentence=sentence,
        figures={
            "rows": log.rows,
            "units": log.units,
            "actions": len(log.schema.actions),
            "features": len(log.schema.features),
            "kinds": kinds,
            "first": first,
            "last": last,
        },
    )


def _time_span(log: Log) -> tuple[str | None, str | None, str]:
    if log.schema.roles.time is None:
        return None, None, ""
    time = log.part()[TIME]
    row = log.origin.one(log.part().aggregate(first=time.min(), last=time.max()))
    first, last = (f"{row[key]:%Y-%m-%d %H:%M}" for key in ("first", "last"))
    return first, last, f" from {first} to {last}"


def roles(log: Log) -> Finding:
    """Which roles have no column, and what that costs."""
    costs = {
        "propensity": "propensities must be estimated, so a certificate will be conditional",
        "unit": "every row counts as its own unit, which is wrong if one user decides several rows",
        "time": "no timelines, and no drift over time is looked for",
        "decision_id": "decisions are named by their position in the source",
    }
    absent = [role for role in costs if getattr(log.schema.roles, role) is None]
    if log.schema.roles.pmf is not None and "propensity" in absent:
        absent.remove("propensity")
    if not absent:
        return Finding(name="roles", verdict="ok", sentence="Every role has its column.", figures={"missing": ""})
    said = "; ".join(f"no {role.replace('_', ' ')}: {costs[role]}" for role in absent)
    serious = "propensity" in absent or "unit" in absent
    return Finding(
        name="roles",
        verdict="warning" if serious else "ok",
        sentence=f"{said[0].upper()}{said[1:]}.",
        figures={"missing": ", ".join(absent)},
    )


def rewards(log: Log, *, ahead: bool = False) -> Finding:
    """Where the rewards lie between their bounds."""
    schema, r = log.schema, log.part()[REWARD]
    row = log.origin.one(
        log.part().aggregate(
            mean=r.mean(),
            at_low=(r == 0).mean(),
            at_high=(r == 1).mean(),
            low=r.min(),
            high=r.max(),
        )
    )
    width = schema.reward_high - schema.reward_low
    low, high, mean = (schema.reward_low + width * row[key] for key in ("low", "high", "mean"))
    figures: dict[str, float | int | str | list[float] | dict[str, float] | None] = {
        "mean": mean,
        "observed_low": low,
        "observed_high": high,
        "declared_low": schema.reward_low,
        "declared_high": schema.reward_high,
        "share_at_low": row["at_low"],
        "share_at_high": row["at_high"],
    }
    verdict, sentence = (
        "ok",
        (
            f"The mean reward is {mean:.4g}; rewards run from {low:.4g} to {high:.4g} within the bounds "
            f"{schema.reward_low:g} to {schema.reward_high:g}; {row['at_low']:.1%} lie at the lower bound, "
            f"{row['at_high']:.1%} at the upper."
        ),
    )
    if row["low"] == row["high"] and ahead:
        verdict, sentence = (
            "warning",
            f"Every reward is {low:.4g}: a policy can only be better by how many of them follow.",
        )
    elif row["low"] == row["high"]:
        verdict, sentence = (
            "blocked",
            f"Every reward is {low:.4g}, so nothing can be better than anything else.",
        )
    elif row["high"] - row["low"] < 0.2:
        verdict = "warning"
        sentence += " Much of the declared range is never used; narrower bounds that are true would certify sooner."
    return Finding(name="rewards", verdict=verdict, sentence=sentence, figures=figures)


def missing(log: Log) -> Finding:
    """Features with many missing values."""
    nulls = {
        f.name: log.basics.columns[f.name].nulls / log.rows for f in log.schema.features if f.name in log.basics.columns
    }
    gaps = dict(sorted(((n, s) for n, s in nulls.items() if s > 0), key=lambda pair: -pair[1]))
    bad = {name: share for name, share in gaps.items() if share > 0.5}
    if bad:
        listed = ", ".join(f"'{name}' ({share:.0%})" for name, share in list(bad.items())[:5])
        sentence = f"More than half of the values are missing in {len(bad)} of {len(nulls)} features: {listed}."
    elif gaps:
        name, share = next(iter(gaps.items()))
        sentence = f"{len(gaps)} of {len(nulls)} features have gaps, most of all '{name}' ({share:.1%})."
    else:
        sentence = "No feature has a missing value."
    shown = dict(list(gaps.items())[:50])
    return Finding(
        name="missing values",
        verdict="warning" if bad else "ok",
        sentence=sentence,
        figures={"shares": shown},
    )


def duplicates(log: Log) -> Finding:
    """Rows that equal another row in everything but the decision id.

    Counted on the rows whose own hash is divisible by a number that leaves about a million, so that equal
    rows are looked at together.
    """
    table, id_name = log.origin.table, log.schema.roles.decision_id
    columns = {f"c{i}": table[name] for i, name in enumerate(table.columns) if name != id_name}
    hashed = ibis.struct(columns).hash()
    every = max(1, log.rows // 1_000_000)
    kept = table.select(h=hashed)
    row = log.origin.one(kept.filter(kept.h % every == 0).aggregate(rows=ibis._.count(), distinct=ibis._.h.nunique()))
    share = 1 - row["distinct"] / row["rows"] if row["rows"] else 0.0
    timed = log.schema.roles.time is not None and log.schema.roles.unit is not None
    # Without a unit and a time, equal rows may come of coarse features; of fine ones they would be rare.
    fine = any(
        feature.kind in ("number", "time") and "int" not in feature.arrow_type for feature in log.schema.features
    )
    bad = share > 0 if timed else share > 0.01 and (fine or share < 0.3)
    about = "" if every == 1 else "about "
    if share == 0:
        sentence = "No two rows are equal."
    else:
        sentence = f"{about}{share:.2%} of the rows repeat another row in everything but the decision id"
        sentence = sentence[0].upper() + sentence[1:]
        sentence += "; if they were logged twice, a certificate would count them twice." if bad else "."
    return Finding(
        name="duplicates",
        verdict="warning" if bad else "ok",
        sentence=sentence,
        figures={"share": share, "rows_looked_at": row["rows"]},
    )


def split_shares(log: Log, sample: pa.Table) -> Finding:
    """Sample ratio: does the share of rows in the gate fit the share of units that it should hold?

    Rows of a unit go together, so the variance of the share is that of ``rows / design effect`` independent
    draws, with the design effect Σn²/Σn over the units' row counts n (from the sample). Warns beyond five
    standard deviations.
    """
    counts = np.unique(sample[UNIT].combine_chunks().dictionary_encode().indices.to_numpy(), return_counts=True)[1]
    effect = float((counts.astype(float) ** 2).sum() / counts.sum())
    gate = log.rows_in("gate") / log.rows
    low, high = PARTS["gate"]
    expected = high - low
    deviation = (expected * (1 - expected) * effect / log.rows) ** 0.5
    z = (gate - expected) / deviation
    shares = {part: log.rows_in(part) / log.rows for part in PARTS}
    bad = abs(z) > 5 or min(shares["gate"], shares["fit"]) == 0
    sentence = (
        f"The gate holds {gate:.1%} of the rows and {expected:.0%} of the units' hashes (z = {z:+.1f}); "
        "the other rows train."
    )
    if bad:
        sentence += " A few units hold most of the rows, or the unit is not what it seems."
    return Finding(
        name="sample ratio",
        verdict="warning" if bad else "ok",
        sentence=sentence,
        figures={"z": z, "shares": {str(k): v for k, v in shares.items()}, "design_effect": effect},
    )
