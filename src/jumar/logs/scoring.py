"""Reads rows for a policy that already exists: its features must be there, with the types it learned from.

In: the policy's ``LogSchema`` and a source. Out: a ``Log`` in that schema, or pairs of batches to score and
pass through. The evaluate and serve floors use it through ``jumar.logs``.
"""

# Ibis' annotations know columns only as bare values.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportReturnType=false, reportIndexIssue=false, reportOptionalSubscript=false, reportCallIssue=false

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import msgspec
import pyarrow as pa

from jumar.errors import LogError
from jumar.logs.basics import Basics
from jumar.logs.canonical import action_index, context, numbered
from jumar.logs.checks import actions_of, check_pmf, check_types, look
from jumar.logs.columns import arrow_type, missing_column, refuse_reserved
from jumar.logs.distinct import check_duplicates
from jumar.logs.metrics import bounded, parse_metrics, resolve_metrics
from jumar.logs.options import LogOptions
from jumar.logs.read import Log, missing_roles, reward_bounds
from jumar.logs.schema import ID, UNIFORM, Feature, LogSchema, Metric, Roles
from jumar.logs.source import Source, open_source
from jumar.logs.split import uniform
from jumar.logs.times import time_scale

_EMPTY_TYPES = {
    "number": "float64",
    "boolean": "boolean",
    "category": "string",
    "ids": "array<string>",
    "time": "timestamp(6)",
}


def read_for(
    policy_schema: LogSchema,
    source: Any,
    *,
    need: Literal["features", "decisions"] = "features",
    metrics: Sequence[str | Metric] = (),
) -> Log:
    """Opens rows for a policy.

    Args:
        policy_schema: what the policy was learned from.
        source: as in ``read_log``, or a ``Log`` that is open already.
        need: "features" to score rows: no action, propensity or reward is looked for. "decisions" to
            evaluate: action and reward must be there and sound, by the names of the policy's log.
        metrics: as in ``read_log``, to evaluate; without any, those of a ``Log`` that is open already.

    Raises:
        LogError: a feature is missing or changed its type; an action the policy never saw; and everything
            that ``read_log`` refuses in a role or a metric.
        OptionError: a metric's range that is none.
    """
    origin = source.origin if isinstance(source, Log) else open_source(source, csv_types=_text_types(policy_schema))
    names = list(origin.table.columns)
    refuse_reserved(names)
    origin = _with_features(origin, policy_schema)
    here = {role: name for role, name in msgspec.structs.asdict(policy_schema.roles).items() if name in names}
    if need == "features":
        return _for_scoring(policy_schema, origin, here)
    for role in ("action", "reward"):
        if role not in here:
            raise missing_column(getattr(policy_schema.roles, role) or role, names, f"to be the {role}")
    named = metrics or (source.metrics if isinstance(source, Log) else ())
    return _for_evaluating(policy_schema, origin, Roles(**here), named)


def _for_scoring(policy_schema: LogSchema, origin: Source, here: dict[str, str]) -> Log:
    roles = Roles(decision_id=here.get("decision_id"), unit=here.get("unit"))
    check_types(origin.table, roles)
    asked: dict[str, ir.Value] = {"rows": origin.table.count()}
    if roles.decision_id:
        asked["nameless"] = origin.table[roles.decision_id].isnull().sum()
    action = here.get("action")
    if action is not None:
        column = _as_logged(origin.table[action], policy_schema, action)
        unseen = column.notnull() & action_index(column, policy_schema.actions).isnull()
        asked["unseen"], asked["example"] = unseen.sum(), column.arbitrary(where=unseen)
    answers = origin.one(origin.table.aggregate(**asked))
    if answers.get("nameless"):
        raise LogError(
            "Some rows have no decision id",
            column=roles.decision_id,
            count=answers["nameless"],
            remedy="Fill it in, or drop the column; rows are then named by their position.",
        )
    if answers.get("unseen"):
        raise _unseen_action(str(action), answers["unseen"], answers["example"], policy_schema)
    schema = msgspec.structs.replace(policy_schema, roles=roles)
    notes = () if roles.decision_id else ("No decision id: a row is named by its position in the source.",)
    return Log(schema, origin.name, answers["rows"], notes, origin, Basics(rows=answers["rows"], columns={}))


def _for_evaluating(policy_schema: LogSchema, origin: Source, roles: Roles, metrics: Sequence[str | Metric]) -> Log:
    check_types(origin.table, roles)
    features = [feature.name for feature in policy_schema.features]
    named = resolve_metrics(parse_metrics(metrics), origin.table, roles, features)
    bounds = (policy_schema.reward_low, policy_schema.reward_high)
    basics = look(origin, roles, (), bounds, named)
    *_, said = reward_bounds(roles, basics, LogOptions(reward_range=bounds, cap_reward=policy_schema.cap_reward))
    assert roles.action is not None
    _as_logged(origin.table[roles.action], policy_schema, roles.action)
    _, counts = actions_of(origin, roles.action, basics, at_least=1)
    known = set(policy_schema.actions)
    strange = {action: n for action, n in counts.items() if action not in known}
    if strange:
        raise _unseen_action(roles.action, sum(strange.values()), next(iter(strange)), policy_schema)
    if roles.pmf:
        check_pmf(origin, roles, policy_schema.actions)
    if roles.decision_id:
        check_duplicates(origin, roles.decision_id, basics)
    schema = msgspec.structs.replace(policy_schema, roles=roles)
    measured, assumed = bounded(named, schema, basics)
    scale = time_scale(origin, roles, basics, said)
    said += assumed + missing_roles(roles)
    return Log(schema, origin.name, basics.rows, tuple(said), origin, basics, counts, scale, measured)


def _as_logged(column: ir.Value, schema: LogSchema, name: str) -> ir.Value:
    """Refuses an action column whose type differs from that of the policy's actions."""
    first = schema.actions[0]
    wanted = dt.Boolean if isinstance(first, bool) else dt.Integer if isinstance(first, int) else dt.String
    if not isinstance(column.type(), wanted):
        raise LogError(
            f"The actions of the policy are of type {type(first).__name__}, but the column is {column.type()}",
            column=name,
            example=first,
            remedy="Cast the column to the type that the policy learned from.",
        )
    return column


def _unseen_action(column: str, count: int, example: Any, schema: LogSchema) -> LogError:
    listed = ", ".join(str(action) for action in schema.actions[:8])
    return LogError(
        f"The rows hold actions that the policy never saw (it knows {listed:.100})",
        column=column,
        count=count,
        example=example,
        remedy="Leave those rows out, or learn a policy from a log that holds the action.",
    )


def _text_types(schema: LogSchema) -> dict[str, str]:
    """Columns of a CSV that must stay text although they may look like numbers."""
    text = {f.name: "VARCHAR" for f in schema.features if f.kind == "category"}
    if schema.roles.action and schema.actions and isinstance(schema.actions[0], str):
        text[schema.roles.action] = "VARCHAR"
    return text


def _with_features(origin: Source, schema: LogSchema) -> Source:
    """The source with every feature of the policy in a type that fits.

    Raises:
        LogError: a feature is missing, or its type does not fit.
    """
    table, names, empty = origin.table, list(origin.table.columns), {}
    for feature in schema.features:
        if feature.name not in names:
            raise missing_column(
                feature.name,
                names,
                "that the policy decides on",
                "Add it; rows without a value may hold null.",
            )
        found = table[feature.name].type()
        if fits(feature, found):
            continue
        # A column without any value has whatever type the file format gave it.
        if origin.one(table.aggregate(n=table[feature.name].count()))["n"]:
            raise LogError(
                f"The policy learned from a {feature.kind} column of type {feature.arrow_type}, "
                f"but the rows hold {arrow_type(found)}",
                column=feature.name,
                remedy=f"Cast the column to {feature.arrow_type}, or learn the policy again.",
            )
        empty[feature.name] = ibis.null(_EMPTY_TYPES[feature.kind])
    return dataclasses.replace(origin, table=table.mutate(**empty)) if empty else origin


def fits(feature: Feature, found: dt.DataType) -> bool:
    """Whether a column of type ``found`` means the same as what the policy learned from."""
    learned, flag = feature.arrow_type, isinstance(found, dt.Boolean)
    if feature.kind == "number":
        number = isinstance(found, dt.Numeric) and flag == (learned == "bool")
        return number or (isinstance(found, dt.String) and learned in ("string", "large_string"))
    if feature.kind == "category":
        whole = isinstance(found, dt.Integer) and "int" in learned
        return isinstance(found, dt.String | dt.UUID) or whole or (flag and learned == "bool")
    if feature.kind == "boolean":
        return flag
    if feature.kind == "time":
        return isinstance(found, dt.Date | dt.Timestamp)
    return isinstance(found, dt.Array) and isinstance(found.value_type, dt.String | dt.Integer)


def scoring_batches(
    log: Log, *, salt: str | None = None, batch_rows: int = 65_536
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Streams (original columns, canonical columns), row for row, out of one query.

    The canonical batch holds ``__id``, the features, and with a ``salt`` also ``__uniform``: the decision's
    own number in [0, 1), see ``jumar.logs.split.uniform``. Numbers keep the source's own type, which saves a copy;
    infinite ones count as missing there, too.

    Args:
        log: from ``read_for`` or ``read_log``.
        salt: names the policy and the purpose of the random number.
        batch_rows: most rows in a batch.

    Raises:
        LogError: the source broke off, or its engine lacks md5 words.
    """
    origin, schema = log.origin, log.schema
    if salt is not None and origin.backend.name != "duckdb":
        raise LogError(
            f"Drawing actions needs the DuckDB engine, but the table lives on {origin.backend.name}",
            remedy="Write the rows to Parquet first.",
        )
    table = numbered(origin.table, schema)
    known = context(table, schema)
    if salt is not None:
        known[UNIFORM] = uniform(salt, known[ID])
    originals = list(origin.table.columns)
    numbers = {feature.name for feature in schema.features if feature.kind == "number"}
    asked: dict[str, ir.Value] = {f"o{i}": table[name] for i, name in enumerate(originals)}
    places = []
    for i, (name, value) in enumerate(known.items()):
        plain = name in numbers and isinstance(table[name].type(), dt.Integer | dt.Floating)
        if name in originals and (plain or table[name].type() == value.type()):
            places.append(originals.index(name))
        else:
            asked[f"c{i}"] = value
            places.append(len(asked) - 1)
    names = list(known)

    for batch in origin.stream(table.select(**asked), batch_rows):
        columns = batch.columns
        yield (
            pa.RecordBatch.from_arrays(columns[: len(originals)], names=originals),
            pa.RecordBatch.from_arrays([columns[place] for place in places], names=names),
        )
