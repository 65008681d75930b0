"""Metrics beside the reward: what a release must keep or lower, such as complaints or minutes.

In: what the user names, the table, the counts of the checking pass. Out: ``Metric`` records with sound bounds.
Imported inside ``jumar.logs`` only.
"""

# Ibis' annotations know columns only as bare values.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportArgumentType=false

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import msgspec

from jumar.errors import LogError, OptionError
from jumar.logs.basics import Basics
from jumar.logs.columns import CONVENTIONS, missing_column
from jumar.logs.schema import LogSchema, Metric, Roles

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"(?P<name>.+):(?P<low>{_NUMBER})\.\.(?P<high>{_NUMBER})", re.DOTALL)


def parse_metrics(given: Sequence[str | Metric]) -> tuple[Metric, ...]:
    """Metrics from ``NAME`` or ``NAME:LOW..HIGH``; without a range [0, 1] is assumed until the values say otherwise.

    Raises:
        OptionError: a range that is none, no name, or a name that comes twice.
    """
    found: list[Metric] = []
    for one in given:
        metric = one if isinstance(one, Metric) else _parsed(one)
        if not (math.isfinite(metric.high - metric.low) and metric.low < metric.high):
            raise OptionError(
                f"The range {metric.low:g} to {metric.high:g} of the metric '{metric.name}' is not a range",
                remedy=f"Give two finite numbers, the lower one first: --metric {metric.name}:0..60.",
            )
        if metric.name in {other.name for other in found}:
            raise OptionError("A metric is named twice", example=metric.name, remedy="Name it once, with its range.")
        found.append(metric)
    return tuple(found)


def _parsed(text: str) -> Metric:
    match = _RANGE.fullmatch(text)
    if match:
        return Metric(name=match["name"], low=float(match["low"]), high=float(match["high"]))
    if not text:
        raise OptionError("A metric has no name", example=text, remedy="Say --metric NAME or --metric NAME:LOW..HIGH.")
    return Metric(name=text, bounds_declared=False)


def resolve_metrics(
    metrics: Sequence[Metric], table: ir.Table, roles: Roles, features: Sequence[str] | None
) -> tuple[Metric, ...]:
    """The metrics as they are, once it is clear that each has a column of its own and a type that can serve.

    Args:
        metrics: as parsed.
        table: the source.
        roles: of the other columns; only the reward may be a metric, too.
        features: columns that must be features, by the user's word.

    Raises:
        LogError: no such column, a column with another role, a named feature, or a type that is no number.
    """
    names = list(table.columns)
    taken = {getattr(roles, role): role for role in CONVENTIONS if role != "reward"}
    for metric in metrics:
        name = metric.name
        if name not in names:
            raise missing_column(name, names, "to be a metric", "A range follows the name as NAME:LOW..HIGH.")
        if name in taken:
            raise LogError(
                f"One column cannot be both the {taken[name].replace('_', ' ')} and a metric",
                column=name,
                remedy=f"Name another column with --metric, or say --ignore {name} so that it has no role.",
            )
        if name in (features or ()):
            raise LogError(
                "A metric comes after the decision, so it cannot also be a feature",
                column=name,
                remedy="Take it out of `features`, or out of the metrics.",
            )
        if not isinstance(table[name].type(), dt.Numeric | dt.Boolean):
            raise LogError(
                f"A metric must be numbers or booleans, but is {table[name].type()}",
                column=name,
                remedy="Cast the column, or name another with --metric.",
            )
    return tuple(metrics)


def bounded(metrics: Sequence[Metric], schema: LogSchema, basics: Basics) -> tuple[tuple[Metric, ...], list[str]]:
    """The metrics with the bounds that they are scaled by, and what was assumed.

    The reward named as a metric without a range is that same column again: its bounds and its cap.

    Raises:
        LogError: values outside the declared range, or outside [0, 1] where none was declared.
    """
    found, notes = [], []
    for place, metric in enumerate(metrics):
        if same_as_reward(metric, schema):
            low, high = schema.reward_low, schema.reward_high
            found.append(msgspec.structs.replace(metric, low=low, high=high, bounds_declared=schema.bounds_declared))
            continue
        seen = basics.metrics[place]
        if seen.outside and metric.bounds_declared:
            raise LogError(
                f"Values of a metric lie outside the declared range {metric.low:g} to {metric.high:g}",
                column=metric.name,
                count=seen.outside,
                example=seen.low if (seen.low or 0.0) < metric.low else seen.high,
                remedy=f"Widen the range: --metric {metric.name}:LOW..HIGH.",
            )
        if seen.outside:
            raise LogError(
                f"The bounds of a metric must be declared; observed are {seen.low:g} to {seen.high:g}",
                column=metric.name,
                remedy=f"Give the range that it can have by its nature: --metric {metric.name}:LOW..HIGH.",
            )
        if not metric.bounds_declared:
            notes.append(
                f"No range was declared for the metric '{metric.name}'; all its values lie in [0, 1], which is assumed."
            )
        found.append(metric)
    return tuple(found), notes


def same_as_reward(metric: Metric, schema: LogSchema) -> bool:
    """Whether the metric is the reward itself, bounds included."""
    if metric.name != schema.roles.reward:
        return False
    same = (metric.low, metric.high) == (schema.reward_low, schema.reward_high)
    return not metric.bounds_declared or same
