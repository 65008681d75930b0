"""The canonical table: one shape for every log, as one lazy Ibis expression.

In: the source table and its ``LogSchema``. Out: ``__id``, ``__unit``, ``__hash``, … and the features cast by
kind. Nothing runs here. Imported inside ``jumar.logs`` only.
"""

# Ibis' annotations know columns only as bare values.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportReturnType=false, reportIndexIssue=false, reportOptionalSubscript=false, reportCallIssue=false

from __future__ import annotations

import math
from collections.abc import Sequence

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from jumar.logs.columns import POSITION
from jumar.logs.schema import (
    ACTION,
    END,
    HASH,
    ID,
    METRIC,
    PMF,
    PROPENSITY,
    REWARD,
    TIME,
    UNIT,
    Action,
    Feature,
    LogSchema,
    Metric,
)
from jumar.logs.split import unit_hash


@ibis.udf.scalar.builtin(signature=(("int64",), "timestamp(6)"))
def make_timestamp(micros: ir.Value) -> ir.Value:
    """Microseconds since 1970 as a timestamp (DuckDB's own; Ibis knows seconds and milliseconds only)."""


def feature_value(column: ir.Value, feature: Feature) -> ir.Value:
    """A column cast to the canonical type of its kind; NaN and infinite numbers become missing."""
    if feature.kind == "number":
        return number(column)
    if feature.kind == "boolean":
        return column.cast("boolean")
    if feature.kind == "ids":
        return column.cast("array<string>")
    if feature.kind == "time":
        return column.cast("timestamp(6)")
    return column.cast("string")


def number(column: ir.Value) -> ir.Value:
    """A column as float64 in which null is the only way to be missing."""
    if isinstance(column.type(), dt.String):
        column = column.try_cast("float64")
    elif not isinstance(column.type(), dt.Floating):
        return column.cast("float64")
    value = column.cast("float64")
    # One comparison instead of two tests; NaN sorts above infinity in the engine.
    largest = 1.7976931348623157e308
    return ibis.ifelse(value.abs() <= largest, value, ibis.null("float64"))


def moment(column: ir.Value, scale: float = 1.0) -> ir.Value:
    """The role ``time`` as timestamp('us'); numbers are seconds since 1970 once multiplied by ``scale``."""
    if isinstance(column.type(), dt.Numeric):
        return make_timestamp((column.cast("float64") * (scale * 1e6)).round().cast("int64"))
    if isinstance(column.type(), dt.String):
        return column.try_cast("timestamp(6)")
    return column.cast("timestamp(6)")


def identifier(column: ir.Value) -> ir.StringValue:
    """A decision id or unit as text."""
    return column.cast("string")


def action_index(column: ir.Value, actions: Sequence[Action]) -> ir.Value:
    """Position of the action in the sorted ``actions`` as int32; null for an unknown one.

    Searched in two steps, so that thousands of actions cost about twice the square root of their number.
    """

    def within(start: int, stop: int) -> ir.Value:
        pairs = [(column == actions[i], ibis.literal(i, "int32")) for i in range(start, stop)]
        return ibis.cases(*pairs, else_=ibis.null("int32"))

    width = max(32, math.isqrt(len(actions)))
    starts = range(0, len(actions), width)
    if len(starts) == 1:
        return within(0, len(actions))
    blocks = [
        (column <= actions[min(s + width, len(actions)) - 1], within(s, min(s + width, len(actions)))) for s in starts
    ]
    return ibis.cases(*blocks, else_=ibis.null("int32"))


def pmf_array(column: ir.Value, actions: Sequence[Action]) -> ir.Value:
    """All actions' probabilities as list<double> in the order of ``actions``; maps and structs too."""
    kind = column.type()
    if isinstance(kind, dt.Map):
        looked = [column.get(action, 0.0).cast("float64") for action in actions]
        return ibis.array(looked)
    if isinstance(kind, dt.Struct):
        return ibis.array([column[str(action)].cast("float64") for action in actions])
    return column.cast("array<float64>")


def scaled_reward(column: ir.Value, low: float, high: float) -> ir.Value:
    """The reward moved to [0, 1] by its declared bounds; beyond them it is capped."""
    value = column.cast("int8").cast("float64") if isinstance(column.type(), dt.Boolean) else column.cast("float64")
    return ((value - low) / (high - low)).clip(0.0, 1.0)


def numbered(table: ir.Table, schema: LogSchema) -> ir.Table:
    """The table with the row's position in it, when ids or units must come from there."""
    if schema.roles.decision_id is not None:
        return table
    return table.mutate(**{POSITION: ibis.row_number()})


def context(table: ir.Table, schema: LogSchema) -> dict[str, ir.Value]:
    """``__id`` and the features by canonical name: what is known before the decision.

    ``table`` comes from ``numbered``.
    """
    roles = schema.roles
    values = {ID: identifier(table[roles.decision_id or POSITION])}
    return values | {f.name: feature_value(table[f.name], f) for f in schema.features}


def canonical(table: ir.Table, schema: LogSchema, time_scale: float = 1.0, metrics: Sequence[Metric] = ()) -> ir.Table:
    """The whole canonical table; columns of absent roles are absent, and metrics come after the roles."""
    roles = schema.roles
    table = numbered(table, schema)
    known = context(table, schema)
    values: dict[str, ir.Value] = {ID: known.pop(ID)}
    values[UNIT] = identifier(table[roles.unit]) if roles.unit else values[ID]
    values[HASH] = unit_hash(values[UNIT])
    if roles.time:
        values[TIME] = moment(table[roles.time], time_scale)
    if roles.action:
        values[ACTION] = action_index(table[roles.action], schema.actions)
    if roles.pmf:
        values[PMF] = pmf_array(table[roles.pmf], schema.actions)
    if roles.propensity:
        values[PROPENSITY] = table[roles.propensity].cast("float64")
    elif roles.pmf:
        values[PROPENSITY] = values[PMF][values[ACTION]]
    if roles.reward:
        values[REWARD] = scaled_reward(table[roles.reward], schema.reward_low, schema.reward_high)
    if roles.end:
        values[END] = table[roles.end].cast("boolean")
    for place, metric in enumerate(metrics):
        values[f"{METRIC}{place}"] = scaled_reward(table[metric.name], metric.low, metric.high)
    return table.select(**values, **known)
