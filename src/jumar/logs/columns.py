"""Who is who in the table: the role of each column, and the kind of each feature.

In: an Ibis schema and the options. Out: ``Roles``, candidate ``Feature``s, and notes on what was assumed.
No value is looked at here. Imported inside ``jumar.logs`` only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import ibis
import ibis.expr.datatypes as dt

from jumar.errors import LogError
from jumar.logs.options import LogOptions, nearest
from jumar.logs.schema import CANONICAL, METRIC, NEXT, Feature, Kind, Metric, Roles

POSITION = "__position"

CONVENTIONS: dict[str, tuple[str, ...]] = {
    "decision_id": ("decision_id", "event_id", "impression_id", "request_id"),
    "unit": ("unit", "unit_id", "user_id", "user", "visitor_id", "member_id", "customer_id", "page_id"),
    "time": ("time", "timestamp", "decided_at", "event_time", "decision_time"),
    "action": ("action", "action_id", "arm"),
    "propensity": (
        "propensity",
        "propensity_score",
        "action_prob",
        "action_probability",
        "action_propensity",
        "logging_probability",
        "pscore",
    ),
    "pmf": ("pmf", "action_pmf", "action_probs"),
    "reward": ("reward", "value"),
    "end": (),  # never guessed: a feature of that name would silently cut timelines
}
_FLAG = {role: "--" + role.replace("_", "-") for role in CONVENTIONS}


def missing_column(name: str, names: Sequence[str], what: str, remedy: str = "") -> LogError:
    """The error for a column that is not there, naming the nearest one that is."""
    near = nearest(name, names)
    listed = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    hint = f"Did you mean '{near}'?" if near else f"The columns are: {listed}."
    return LogError(f"There is no column '{name}' {what}", column=name, remedy=f"{hint} {remedy}".strip())


def resolve(schema: ibis.Schema, options: LogOptions) -> tuple[Roles, list[str]]:
    """Gives every role its column: by argument, else by conventional name.

    Raises:
        LogError: a named column does not exist, two roles claim one column, or action or reward has none.
    """
    names, notes = list(schema), []
    named = {role: getattr(options, role) for role in CONVENTIONS if getattr(options, role)}
    for role, name in named.items():
        if name not in names:
            raise missing_column(name, names, f"to be the {role.replace('_', ' ')}")
        twin = next((r for r, n in named.items() if n == name and r != role), None)
        if twin:
            raise LogError(
                f"One column cannot be both {twin} and {role}",
                column=name,
                remedy=f"Name another column with {_FLAG[role]}.",
            )
    taken = set(named.values()) | set(options.ignore) | set(options.features or ())
    lower = {name.lower(): name for name in reversed(names)}
    found: dict[str, str] = dict(named)
    for role, words in CONVENTIONS.items():
        exact = (word for word in words if word in names)
        others = (lower[word] for word in words if word in lower)
        matches = [m for m in dict.fromkeys((*exact, *others)) if m not in taken]
        if role in found or not matches:
            continue
        found[role] = matches[0]
        taken.add(matches[0])
        if len(matches) == 1 and matches[0] != role:
            notes.append(f"'{matches[0]}' is taken as the {role.replace('_', ' ')}.")
        if len(matches) > 1:
            rest = ", ".join(f"'{m}'" for m in matches[1:])
            notes.append(f"'{matches[0]}' is taken as the {role.replace('_', ' ')}; {rest} stays a feature.")
    for role in ("action", "reward"):
        if role not in found:
            other = next((r for r, name in named.items() if name.lower() in CONVENTIONS[role]), None)
            if other is not None:
                raise LogError(
                    f"The column of the {other.replace('_', ' ')} is named like the {role}, which no other column is",
                    column=named[other],
                    remedy=f"Name another column with {_FLAG[other]} or with {_FLAG[role]}.",
                )
            raise missing_column(role, names, f"and none was named as the {role}", f"Name it with {_FLAG[role]}.")
    return Roles(**found), notes


def feature_columns(
    schema: ibis.Schema, roles: Roles, options: LogOptions, metrics: Sequence[Metric] = ()
) -> tuple[Feature, ...]:
    """Every column that is neither a role, nor a metric, nor ignored, with its kind, in the order of the source.

    Raises:
        LogError: a named column does not exist, a type that is no feature, a reserved name, or no feature
            left.
    """
    names = list(schema)
    for option in ("ignore", "categorical", "numeric", "features"):
        for name in getattr(options, option) or ():
            if name not in names:
                raise missing_column(name, names, f"(named in `{option}`)")
    refuse_reserved(names)
    used = {name for name in (getattr(roles, role) for role in CONVENTIONS) if name}
    wanted = options.features if options.features is not None else names
    out = used | set(options.ignore) | {metric.name for metric in metrics}
    chosen = [n for n in names if n in set(wanted) and n not in out]
    for name in options.features or ():
        if name in used:
            raise LogError(
                "A column with a role cannot also be a feature",
                column=name,
                remedy="Take it out of `features`, or give the role another column.",
            )
    if not chosen:
        raise LogError(
            "The log has no features: at least one is needed to decide on",
            remedy="Add columns that describe the situation before the decision, or ignore fewer.",
        )
    return tuple(
        Feature(name=name, kind=kind_of(name, schema[name], options), arrow_type=arrow_type(schema[name]))
        for name in chosen
    )


def arrow_type(dtype: dt.DataType) -> str:
    """The Arrow name of an Ibis type."""
    try:
        return str(dtype.to_pyarrow())
    except Exception:  # Ibis has no single error for types that Arrow lacks.
        return str(dtype)


def kind_of(name: str, dtype: dt.DataType, options: LogOptions) -> Kind:
    """How a column of this type is treated.

    Raises:
        LogError: a type that cannot be a feature.
    """
    if name in options.categorical:
        if isinstance(dtype, dt.Integer | dt.Boolean | dt.String):
            return "category"
        raise _no_kind(name, dtype, "Only text, integers and booleans can be categories; cast it first.")
    if name in options.numeric:
        if isinstance(dtype, dt.Numeric | dt.String):
            return "number"
        raise _no_kind(name, dtype, "Only numbers, and text that spells numbers, can be numeric; cast it first.")
    kind = natural_kind(dtype)
    if kind is None:
        raise _no_kind(name, dtype, f"Leave it out with --ignore {name}, or flatten it into columns.")
    return kind


def natural_kind(dtype: dt.DataType) -> Kind | None:
    """The kind that a type has by itself; None when it cannot be a feature."""
    if isinstance(dtype, dt.Boolean):
        return "boolean"
    if isinstance(dtype, dt.Numeric):
        return "number"
    if isinstance(dtype, dt.String | dt.UUID):
        return "category"
    if isinstance(dtype, dt.Date | dt.Timestamp):
        return "time"
    if isinstance(dtype, dt.Array) and isinstance(dtype.value_type, dt.String | dt.Integer):
        return "ids"
    return None


def _no_kind(name: str, dtype: dt.DataType, remedy: str) -> LogError:
    return LogError(f"A column of type {arrow_type(dtype):.60} cannot be a feature", column=name, remedy=remedy)


def refuse_reserved(names: Iterable[str]) -> None:
    """Refuses columns named like a canonical one."""
    for name in names:
        if name.lower() in {*CANONICAL, POSITION} or name.lower().startswith((METRIC, NEXT)):
            raise LogError("Names with these two underscores are Jumar's own", column=name, remedy="Rename the column.")
