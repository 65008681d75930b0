"""Is every value one that a log of decisions can hold? Asked in one pass over the source.

In: a source, its roles and features. Out: ``Basics``, the counts of that pass, or the ``LogError`` that the
first impossible column deserves. Imported inside ``jumar.logs`` only.
"""

# Ibis' annotations know columns only as bare values.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportReturnType=false, reportIndexIssue=false, reportOptionalSubscript=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import msgspec

from jumar.errors import LogError
from jumar.logs.basics import Basics, ColumnBasics, MetricBasics
from jumar.logs.canonical import action_index, feature_value, moment, number, pmf_array
from jumar.logs.schema import MAX_ACTIONS, Action, Feature, Metric, Roles
from jumar.logs.source import Source
from jumar.logs.times import FIRST_SECOND, LAST_SECOND

_PMF_TOLERANCE = 1e-6
# Whatever a policy gives less chance is not seen once in 10^8 decisions among 10^4 actions: it is no probability.
_LEAST_PROPENSITY = 1e-15


class _Asked:
    """Collects aggregates under short names, so that hostile column names never meet the engine."""

    def __init__(self) -> None:
        self.aggregates: dict[str, ir.Value] = {}
        self.answers: dict[str, Any] = {}

    def ask(self, key: str, value: ir.Value) -> None:
        self.aggregates[key] = value

    def bad(self, key: str, wrong: ir.Value, example: ir.Value) -> None:
        """Asks how many rows are wrong, and for one of them."""
        self.ask(f"{key}_count", wrong.sum())
        self.ask(f"{key}_example", example.arbitrary(where=wrong))

    def count(self, key: str) -> int:
        return int(self.answers.get(f"{key}_count") or 0)

    def example(self, key: str) -> Any:
        return self.answers.get(f"{key}_example")


def check_types(table: ir.Table, roles: Roles) -> None:
    """Refuses roles whose column has a type that can never serve."""
    number_or_flag = (dt.Numeric, dt.Boolean)
    allowed: dict[str, tuple[type, ...]] = {
        "decision_id": (dt.String, dt.Integer, dt.UUID),
        "unit": (dt.String, dt.Integer, dt.UUID),
        "time": (dt.Timestamp, dt.Date, dt.Integer, dt.Floating, dt.String),
        "action": (dt.String, dt.Integer, dt.Boolean),
        "propensity": (dt.Floating, dt.Integer, dt.Decimal),
        "pmf": (dt.Array, dt.Map, dt.Struct),
        "reward": number_or_flag,
        "end": (dt.Boolean, dt.Integer),
    }
    wanted = {
        "decision_id": "text or integers",
        "unit": "text or integers",
        "time": "timestamps, dates, or seconds since 1970",
        "action": "text, integers or booleans",
        "propensity": "numbers in (0, 1]",
        "pmf": "lists of numbers",
        "reward": "numbers or booleans",
        "end": "booleans, or integers 0 and 1",
    }
    for role, types in allowed.items():
        name = getattr(roles, role)
        if name is not None and not isinstance(table[name].type(), types):
            raise LogError(
                f"The {role.replace('_', ' ')} must be {wanted[role]}, but is {table[name].type()}",
                column=name,
                remedy=f"Cast the column, or name another with --{role.replace('_', '-')}.",
            )


def look(
    source: Source,
    roles: Roles,
    features: Sequence[Feature],
    bounds: tuple[float, float] | None,
    metrics: Sequence[Metric] = (),
) -> Basics:
    """One aggregate over all rows, and every complaint that needs no more than it.

    Args:
        bounds: declared reward bounds; None leaves rewards unchecked against any.
        metrics: columns to check like rewards; how many values lie outside their bounds is only counted.

    Raises:
        LogError: an empty log; a null, NaN or impossible value in a role; a feature without any value.
    """
    table, asked = source.table, _Asked()
    asked.ask("rows", table.count())
    _ask_roles(asked, table, roles, bounds)
    for i, feature in enumerate(features):
        _ask_feature(asked, f"f{i}", table[feature.name], feature)
    for i, metric in enumerate(metrics):
        _ask_metric(asked, f"m{i}", table[metric.name], (metric.low, metric.high))
    asked.answers = source.one(table.aggregate(**asked.aggregates))
    rows = asked.answers["rows"]
    if rows == 0:
        raise LogError(f"'{source.name}' has no rows", remedy="Point at a log that holds decisions.")
    _judge_roles(asked, roles)
    _judge_metrics(asked, metrics)
    columns = {f.name: _seen(asked, f"f{i}") for i, f in enumerate(features)}
    for role in msgspec.structs.fields(Roles):
        name = getattr(roles, role.name)
        if name is not None:
            columns[name] = _seen(asked, role.name)
    _judge_features(features, columns, rows, asked)
    return Basics(
        rows=rows,
        columns=columns,
        first=asked.answers.get("time_first"),
        last=asked.answers.get("time_last"),
        reward_outside=asked.count("reward_outside"),
        metrics=tuple(
            MetricBasics(
                low=asked.answers[f"m{i}_low"],
                high=asked.answers[f"m{i}_high"],
                outside=asked.count(f"m{i}_outside"),
            )
            for i in range(len(metrics))
        ),
    )


def _ask_roles(asked: _Asked, table: ir.Table, roles: Roles, bounds: tuple[float, float] | None) -> None:
    for role in ("decision_id", "unit", "action"):
        name = getattr(roles, role)
        if name is not None:
            asked.ask(f"{role}_nulls", table[name].isnull().sum())
            asked.ask(f"{role}_distinct", table[name].approx_nunique())
            asked.ask(f"{role}_seen", table[name].arbitrary())
    if roles.time is not None:
        column = table[roles.time]
        if isinstance(column.type(), dt.Numeric):
            clean = number(column)
            asked.ask("time_low", clean.min())
            asked.ask("time_high", clean.max())
            asked.bad("time_bad", clean.isnull(), column)
        else:
            value = moment(column)
            seconds = value.epoch_seconds()
            known = ibis.coalesce((seconds >= FIRST_SECOND) & (seconds <= LAST_SECOND), False)
            asked.ask("time_first", value.min(where=known))
            asked.ask("time_last", value.max(where=known))
            asked.bad("time_bad", ~known, column.cast("string"))
            asked.ask("time_nulls", value.isnull().sum())
    if roles.propensity is not None:
        p = table[roles.propensity].cast("float64")
        wrong = p.isnull() | p.isnan() | (p < _LEAST_PROPENSITY) | (p > 1)
        asked.bad("propensity", wrong, p)
        _ask_range(asked, "propensity", p)
    if roles.end is not None:
        flag = table[roles.end].cast("int64")
        asked.bad("end", flag.isnull() | ~flag.isin([0, 1]), flag)
    if roles.reward is not None:
        _ask_metric(asked, "reward", table[roles.reward], bounds)


def _ask_metric(asked: _Asked, key: str, raw: ir.Value, bounds: tuple[float, float] | None) -> None:
    """What a reward, or any other metric, must be: a finite number within its bounds."""
    r = raw.cast("int8").cast("float64") if isinstance(raw.type(), dt.Boolean) else raw.cast("float64")
    clean = number(r)
    asked.bad(key, clean.isnull(), r)
    _ask_range(asked, key, clean)
    if bounds is not None:
        asked.bad(f"{key}_outside", (clean < bounds[0]) | (clean > bounds[1]), clean)


def _ask_range(asked: _Asked, key: str, value: ir.Value) -> None:
    asked.ask(f"{key}_nulls", value.isnull().sum())
    asked.ask(f"{key}_low", value.min())
    asked.ask(f"{key}_high", value.max())


def _ask_feature(asked: _Asked, key: str, column: ir.Value, feature: Feature) -> None:
    value = feature_value(column, feature)
    if feature.kind == "number":
        _ask_range(asked, key, value)
        if isinstance(column.type(), dt.Floating):
            asked.ask(f"{key}_infinite", column.isinf().sum())
        if isinstance(column.type(), dt.String):
            asked.bad(f"{key}_text", value.isnull() & column.notnull(), column)
        return
    asked.ask(f"{key}_nulls", column.isnull().sum())
    if feature.kind in ("boolean", "time"):
        asked.ask(f"{key}_low", _seconds(value.min()))
        asked.ask(f"{key}_high", _seconds(value.max()))
        return
    asked.ask(f"{key}_distinct", value.approx_nunique())
    asked.ask(f"{key}_seen", value.arbitrary())


def _seconds(value: ir.Value) -> ir.Value:
    if isinstance(value.type(), dt.Timestamp):
        return value.epoch_seconds().cast("float64")
    return value.cast("int8").cast("float64")


def _seen(asked: _Asked, key: str) -> ColumnBasics:
    get = asked.answers.get
    return ColumnBasics(
        nulls=int(get(f"{key}_nulls") or 0),
        distinct=get(f"{key}_distinct"),
        low=get(f"{key}_low"),
        high=get(f"{key}_high"),
        infinite=int(get(f"{key}_infinite") or 0),
        example=get(f"{key}_seen"),
    )


def _judge_roles(asked: _Asked, roles: Roles) -> None:
    for role in ("decision_id", "unit", "action"):
        name, nulls = getattr(roles, role), int(asked.answers.get(f"{role}_nulls") or 0)
        if name is not None and nulls:
            raise LogError(
                f"Every decision needs its {role.replace('_', ' ')}, but some rows have none",
                column=name,
                count=nulls,
                remedy="Fill it in, or leave those rows out of the log.",
            )
    if asked.count("time_bad") or asked.answers.get("time_nulls"):
        raise LogError(
            "The time of a decision is missing or is no time",
            column=roles.time,
            count=asked.count("time_bad") or int(asked.answers["time_nulls"]),
            example=asked.example("time_bad"),
            remedy="Mend the column, or leave it out with `ignore`; then there are no timelines.",
        )
    if asked.count("propensity"):
        raise LogError(
            f"A propensity must be a number above 0, {_LEAST_PROPENSITY:g} at the least, and at most 1",
            column=roles.propensity,
            count=asked.count("propensity"),
            example=_shown(asked.example("propensity")),
            remedy="Log the probability with which the action was drawn, or leave the column out with "
            "`ignore`; then certificates are conditional.",
        )
    if asked.count("end"):
        raise LogError(
            "Whether a decision was the last of its episode is missing, or neither 0 nor 1",
            column=roles.end,
            count=asked.count("end"),
            example=_shown(asked.example("end")),
            remedy="Flag the last decisions with true, and all others with false.",
        )
    if asked.count("reward"):
        raise LogError(
            "A reward is missing, not a number, or infinite",
            column=roles.reward,
            count=asked.count("reward"),
            example=_shown(asked.example("reward")),
            remedy="Join the rewards first, or leave out decisions whose reward is not known yet.",
        )


def _judge_metrics(asked: _Asked, metrics: Sequence[Metric]) -> None:
    for i, metric in enumerate(metrics):
        if asked.count(f"m{i}"):
            raise LogError(
                "A metric is missing, not a number, or infinite",
                column=metric.name,
                count=asked.count(f"m{i}"),
                example=_shown(asked.example(f"m{i}")),
                remedy="Join the metric first, or leave out decisions whose metric is not known yet.",
            )


def _shown(value: Any) -> Any:
    # An example of None would not be printed; the word says what is in the cell.
    return "null" if value is None else value


def _judge_features(features: Sequence[Feature], columns: dict[str, ColumnBasics], rows: int, asked: _Asked) -> None:
    for i, feature in enumerate(features):
        text = asked.count(f"f{i}_text")
        if text:
            raise LogError(
                "A column named in `numeric` holds text that spells no number",
                column=feature.name,
                count=text,
                example=asked.example(f"f{i}_text"),
                remedy="Take it out of `numeric`, or mend those values.",
            )
    empty = [f.name for f in features if columns[f.name].nulls == rows]
    if empty:
        raise LogError(
            f"No row has a value in {_names(empty)}",
            column=empty[0],
            count=rows,
            remedy="Fill the columns, or leave them out with "
            + " ".join(f"--ignore {name}" for name in empty[:5])
            + ".",
        )


def _names(names: Sequence[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return ", ".join(quoted[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def actions_of(
    source: Source, name: str, basics: Basics, *, at_least: int = 2
) -> tuple[tuple[Action, ...], dict[Action, int]]:
    """The distinct actions, sorted, and how often each was taken.

    Raises:
        LogError: fewer actions than ``at_least``, or more than 10,000.
    """
    column, seen = source.table[name], basics.columns[name]
    if (seen.distinct or 0) > 2 * MAX_ACTIONS:
        raise _too_many(name, f"about {seen.distinct:,}", seen.example)
    table = source.table.select(a=column).group_by("a").aggregate(n=ibis._.count())
    counts = {row["a"]: row["n"] for row in source.ask(table)}
    if len(counts) > MAX_ACTIONS:
        raise _too_many(name, f"{len(counts):,}", seen.example)
    if len(counts) < at_least:
        raise LogError(
            "The log holds one action only, so there is nothing to choose between",
            column=name,
            count=basics.rows,
            example=next(iter(counts)),
            remedy="Log at least two actions, or name another column with --action.",
        )
    actions = tuple(sorted(counts))
    return actions, {action: counts[action] for action in actions}


def _too_many(name: str, number: str, example: Any) -> LogError:
    return LogError(
        f"The log holds {number} actions; {MAX_ACTIONS:,} are the most that Jumar can choose between",
        column=name,
        example=example,
        remedy="Group rare actions, or name another column with --action.",
    )


def check_pmf(source: Source, roles: Roles, actions: Sequence[Action]) -> None:
    """Refuses pmf lists of the wrong length, that do not sum to 1, or contradict the propensity."""
    name = roles.pmf
    assert name is not None
    assert roles.action is not None
    table, asked = source.table, _Asked()
    kind = table[name].type()
    if isinstance(kind, dt.Struct) and set(kind.names) != {str(action) for action in actions}:
        raise LogError(
            "The fields of the pmf are not the actions of the log",
            column=name,
            example=", ".join(kind.names),
            remedy="Name one field after each action, or log a list in the order of the sorted actions.",
        )
    pmf = pmf_array(table[name], actions)
    text = table[name].cast("string")
    length = pmf.length()
    asked.bad("length", table[name].isnull() | (length != len(actions)), text)
    negative = pmf.mins() < 0
    off = (pmf.sums() - 1).abs() > _PMF_TOLERANCE
    if isinstance(kind, dt.Map):  # a key that is no action takes its share from those that are
        off = off | ((table[name].values().cast("array<float64>").sums() - 1).abs() > _PMF_TOLERANCE)
    asked.bad("sum", ibis.coalesce(off | negative, True), text)
    taken = pmf[action_index(table[roles.action], actions)]
    asked.bad("impossible", ibis.coalesce(taken < _LEAST_PROPENSITY, True), text)
    if roles.propensity is not None:
        told = table[roles.propensity].cast("float64")
        asked.bad("taken", ibis.coalesce((taken - told).abs() > _PMF_TOLERANCE, True), text)
    asked.answers = source.one(table.aggregate(**asked.aggregates))
    complaints = {
        "length": f"A pmf must list {len(actions)} probabilities, one per action",
        "sum": "A pmf must be probabilities that sum to 1",
        "impossible": "A pmf gives no probability to the action that was taken",
        "taken": "A pmf must give the action taken the logged propensity",
    }
    for key, what in complaints.items():
        if asked.count(key):
            raise LogError(
                what,
                column=name,
                count=asked.count(key),
                example=_shown(asked.example(key)),
                remedy=f"List the probabilities in the order of the sorted actions, or --ignore {name}.",
            )
