"""Reads a log: opens the source, finds the roles, checks the values, and hands out canonical rows.

In: anything a person keeps decisions in. Out: a ``Log``, which streams. Everything that was assumed on the
way stands in ``Log.notes``. The floors above use it through ``jumar.logs``.
"""

# Ibis' annotations know columns only as bare values.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportReturnType=false, reportIndexIssue=false, reportOptionalSubscript=false, reportCallIssue=false

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from jumar.errors import LogError, OptionError
from jumar.logs.basics import Basics
from jumar.logs.canonical import canonical
from jumar.logs.checks import actions_of, check_pmf, check_types, look
from jumar.logs.columns import feature_columns, missing_column, resolve
from jumar.logs.distinct import check_duplicates, check_identifiers, distinct_count
from jumar.logs.metrics import bounded, parse_metrics, resolve_metrics
from jumar.logs.options import LogOptions, ignoring, options
from jumar.logs.schema import (
    HASH,
    METRIC,
    PLACE,
    REWARD,
    TIME,
    Action,
    Feature,
    LogSchema,
    Metric,
    Part,
    Roles,
    Timeline,
)
from jumar.logs.source import Source, open_source
from jumar.logs.split import PARTS, in_parts
from jumar.logs.timelines import TimelineCounts, check_timeline, counts_table, timelines
from jumar.logs.times import time_scale
from jumar.logs.units import UnitSizes, by_unit, placed, sizes_table, whole_units


@dataclass(frozen=True)
class Log:
    """A log of decisions that was read and found sound.

    Attributes:
        schema: roles, reward bounds, features and actions.
        source: what the user calls it.
        rows: how many decisions.
        notes: everything that was assumed, one sentence each.
        origin: the opened source.
        basics: counts per source column from the checking pass.
        action_counts: how often each action was taken; empty where the actions were not counted.
        time_scale: what turns a numeric ``time`` into seconds.
        metrics: columns beside the reward that a release may have to keep, with their bounds.
    """

    schema: LogSchema
    source: str
    rows: int
    notes: tuple[str, ...]
    origin: Source
    basics: Basics
    action_counts: Mapping[Action, int] = field(default_factory=dict)
    time_scale: float = 1.0
    metrics: tuple[Metric, ...] = ()

    @cached_property
    def canonical(self) -> ir.Table:
        """All rows in canonical columns, lazily."""
        return canonical(self.origin.table, self.schema, self.time_scale, self.metrics)

    @property
    def metric_columns(self) -> tuple[str, ...]:
        """Canonical columns of ``metrics``, on [0, 1], in the same order."""
        return tuple(f"{METRIC}{place}" for place in range(len(self.metrics)))

    @cached_property
    def units(self) -> int:
        """How many distinct units; the number of rows where no column is the unit."""
        name = self.schema.roles.unit
        if name is None:
            return self.rows
        return distinct_count(self.origin, self.origin.table[name], self.basics.columns[name].distinct or 0)

    @cached_property
    def _rows_by_part(self) -> dict[str, int]:
        ask = {part: in_parts(self.canonical[HASH], (part,)).sum() for part in PARTS}
        return self.origin.one(self.canonical.aggregate(**ask))

    def rows_in(self, *parts: Part) -> int:
        """How many rows the parts hold together; all rows when none is named."""
        if not parts:
            return self.rows
        in_parts(ibis.literal(""), parts)  # refuses unknown names
        return sum(self._rows_by_part[part] for part in set(parts))

    def units_in(self, *parts: Part) -> int:
        """How many distinct units the parts hold together."""
        table = self.part(*parts)
        return int(self.origin.one(table.aggregate(n=table[HASH].nunique()))["n"])

    def units_repeat(self, *parts: Part) -> bool:
        """Whether any unit has more than one row in the parts."""
        return self.schema.roles.unit is not None and self.units_in(*parts) < self.rows_in(*parts)

    def rows_per_unit(self, *parts: Part) -> UnitSizes:
        """How many rows the units of the parts have; one pass."""
        found = self.origin.arrow(sizes_table(self.part(*parts)))
        return UnitSizes(*(found[name].to_numpy().astype("int64") for name in ("size", "units")))

    def placed(self, *parts: Part, share: float = 1.0) -> ir.Table:
        """``part`` with ``__place``: how many decisions of its unit came before, among these rows. In no order."""
        return placed(self.part(*parts, share=share), self.schema)

    @cached_property
    def last(self) -> datetime.datetime:
        """When the last decision of all was made.

        Raises:
            LogError: the log has no time.
        """
        if self.schema.roles.time is None:
            raise LogError("The log has no time", remedy="Name its column with --time.")
        return self.origin.one(self.canonical.aggregate(last=self.canonical[TIME].max()))["last"]

    def timelines(
        self, timeline: Timeline, *parts: Part, share: float = 1.0, following: Sequence[str] = ()
    ) -> ir.Table:
        """``part`` with what followed each decision, lazily: ``__wait``, ``__discount``, ``__next_<column>``.

        Args:
            timeline: the discount and what ends an episode, from ``timeline_of``.
            parts, share: see ``part``.
            following: canonical columns whose value at the unit's next decision is wanted.

        Raises:
            LogError: the log has no units or no time.
        """
        check_timeline(self.schema)
        return timelines(self.part(*parts, share=share), self.schema, timeline, self.last, following)

    def timeline_counts(self, timeline: Timeline) -> TimelineCounts:
        """Ends, open decisions, ties and disorder on the timelines of the whole log; one pass.

        Raises:
            LogError: the log has no units or no time.
        """
        check_timeline(self.schema)
        rows = self.canonical.mutate(**{PLACE: ibis.row_number()}) if self.origin.owned else self.canonical
        table = timelines(rows, self.schema, timeline, self.last)
        found = self.origin.one(counts_table(table, self.schema, timeline))
        return TimelineCounts(**{name: int(count or 0) for name, count in found.items()})

    @cached_property
    def reward_moments(self) -> tuple[float, float]:
        """Mean and mean square of all rewards on [0, 1]."""
        reward: Any = self.canonical[REWARD]
        found = self.origin.one(self.canonical.aggregate(mean=reward.mean(), square=(reward * reward).mean()))
        return float(f"{found['mean']:.10g}"), float(f"{found['square']:.10g}")

    def part(self, *parts: Part, share: float = 1.0) -> ir.Table:
        """Canonical rows of some parts, lazily; of all when none is named.

        Args:
            parts: fit, stop, validate, gate.
            share: keep only the units in this share of each part's hash range, a fair sample of them.

        Raises:
            OptionError: a part that does not exist.
        """
        table = self.canonical
        return table.filter(in_parts(table[HASH], parts, share)) if parts else table

    def batches(
        self,
        *parts: Part,
        columns: Sequence[str] | None = None,
        batch_rows: int = 65_536,
        share: float = 1.0,
        by_unit: bool = False,
        timeline: Timeline | None = None,
        most_per_unit: int | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Streams canonical rows in the order of the source, in memory that does not grow with the rows.

        Args:
            parts: fit, stop, validate, gate; none for all rows.
            columns: canonical names to keep, in this order; None for all.
            batch_rows: most rows in a batch.
            share: see ``part``.
            by_unit: in the order of the units' hashes instead, and of time within a unit; the engine sorts, on disk
                where memory does not suffice. No unit is split between two batches, so one that is larger than
                ``batch_rows`` makes a batch of its own. Rows may then also have the column ``__place``: 0 for a unit's
                first decision among these rows, 1 for its next.
            timeline: only with ``by_unit``: rows may then also have what ``timelines`` adds.
            most_per_unit: only with ``by_unit``: how many first decisions of a unit are kept.

        Raises:
            LogError: a column that does not exist, or the source broke off.
            OptionError: ``most_per_unit`` below 1 or without ``by_unit``.
        """
        if most_per_unit is not None and (most_per_unit < 1 or not by_unit):
            raise OptionError(
                "Only the decisions of units in order can be limited, to one or more",
                example=most_per_unit,
                remedy="Pass by_unit=True and most_per_unit ≥ 1.",
            )
        if timeline is not None and not by_unit:
            raise OptionError("Timelines are streamed unit by unit", remedy="Pass by_unit=True.")
        table = self.part(*parts, share=share) if timeline is None else self.timelines(timeline, *parts, share=share)
        wanted = list(columns) if columns is not None else [*table.columns, *([PLACE] if by_unit else [])]
        for name in wanted:
            if name not in table.columns and not (by_unit and name == PLACE):
                raise missing_column(name, table.columns, "in the canonical log")
        if not by_unit:
            return self.origin.stream(table.select(*wanted), batch_rows)
        return self._unit_batches(table, wanted, batch_rows, most_per_unit)

    def _unit_batches(
        self, table: ir.Table, wanted: Sequence[str], batch_rows: int, most_per_unit: int | None
    ) -> Iterator[pa.RecordBatch]:
        asked = [name for name in dict.fromkeys((*wanted, HASH)) if name != PLACE]
        rows = self.origin.stream(by_unit(table, self.schema).select(*asked), batch_rows)
        for batch in whole_units(rows, batch_rows, most_per_unit):
            yield batch.select(list(wanted))


def read_log(
    source: Any,
    *,
    reward: str | None = None,
    reward_range: tuple[float, float] | None = None,
    cap_reward: bool = False,
    action: str | None = None,
    propensity: str | None = None,
    pmf: str | None = None,
    unit: str | None = None,
    time: str | None = None,
    decision_id: str | None = None,
    end: str | None = None,
    ignore: Sequence[str] = (),
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    features: Sequence[str] | None = None,
    metrics: Sequence[str | Metric] = (),
    config: str | os.PathLike[str] | None = None,
) -> Log:
    """Reads and checks a log of decisions. Rows stay where they are; a few aggregates run over them.

    Args:
        source: Parquet, CSV or Arrow file, glob or folder; ``file.duckdb`` or ``file.duckdb::table``; a
            pandas or polars frame; a ``pyarrow.Table``; an Ibis table.
        reward: the column of what came of the decision; by default ``reward`` or ``value``.
        reward_range: (low, high), the bounds the reward has by its nature, in its own units.
        cap_reward: move rewards beyond the bounds to the bounds; the capped reward is what gets certified.
        action, propensity, pmf, unit, time, decision_id: columns of these roles; by default the conventional
            names. ``pmf`` lists the probabilities of all actions in sorted order of the actions.
        end: the column that flags a decision after which nothing follows that it could have changed, for timelines;
            never guessed from a name.
        ignore: columns to leave out.
        categorical: integer columns that are names, not numbers.
        numeric: text columns that spell numbers.
        features: the only columns to decide on; by default all that are left.
        metrics: columns beside the reward that a release may have to keep or lower, no features: ``NAME`` with values
            in [0, 1], ``NAME:LOW..HIGH`` with the bounds it has by its nature, or ``Metric``.
        config: a TOML file with a ``[log]`` table of these same names; by default ``jumar.toml`` in the
            current folder. Arguments win over it.

    Raises:
        LogError: the source cannot be read, or holds what no log of decisions can hold.
        OptionError: an argument, or a line of the file, is outside its range.
    """
    given = {
        "reward": reward, "reward_range": reward_range, "cap_reward": cap_reward, "action": action,
        "propensity": propensity, "pmf": pmf, "unit": unit, "time": time, "decision_id": decision_id, "end": end,
        "ignore": tuple(ignore) if not isinstance(ignore, str) else ignore,
        "categorical": tuple(categorical) if not isinstance(categorical, str) else categorical,
        "numeric": tuple(numeric) if not isinstance(numeric, str) else numeric,
        "features": tuple(features) if features is not None and not isinstance(features, str) else features,
        "metrics": (metrics,) if isinstance(metrics, str | Metric) else tuple(metrics),
    }  # fmt: skip
    origin = open_source(source)
    chosen = ignoring(options(given, config), origin.not_features)
    roles, notes = resolve(origin.table.schema(), chosen)
    if not origin.owned and roles.decision_id is None and roles.unit is None:
        raise LogError(
            "A table of a database has no order of its own, so its rows need a name",
            remedy="Name a column with --decision-id or --unit.",
        )
    named = resolve_metrics(parse_metrics(chosen.metrics), origin.table, roles, chosen.features)
    wanted = feature_columns(origin.table.schema(), roles, chosen, named)
    check_types(origin.table, roles)
    basics = look(origin, roles, wanted, chosen.reward_range, named)
    low, high, said = reward_bounds(roles, basics, chosen)
    notes += said
    kept = _varying(wanted, basics, notes)
    check_identifiers(origin, kept, basics)
    assert roles.action is not None
    actions, counts = actions_of(origin, roles.action, basics)
    if roles.pmf:
        check_pmf(origin, roles, actions)
    if roles.decision_id:
        check_duplicates(origin, roles.decision_id, basics)
    schema = LogSchema(
        roles=roles,
        reward_low=low,
        reward_high=high,
        cap_reward=chosen.cap_reward,
        bounds_declared=chosen.reward_range is not None,
        features=kept,
        actions=actions,
    )
    measured, said = bounded(named, schema, basics)
    notes += said
    scale = time_scale(origin, roles, basics, notes)
    notes += missing_roles(roles) + infinite_values(kept, basics)
    return Log(schema, origin.name, basics.rows, tuple(notes), origin, basics, counts, scale, measured)


def reward_bounds(roles: Roles, basics: Basics, chosen: LogOptions) -> tuple[float, float, list[str]]:
    """The bounds of the reward, declared or assumed, and what to say about them.

    Raises:
        LogError: bounds are needed, or do not hold.
    """
    assert roles.reward is not None
    seen = basics.columns[roles.reward]
    low, high = seen.low or 0.0, seen.high or 0.0
    if chosen.reward_range is None:
        if low >= 0 and high <= 1:
            return 0.0, 1.0, ["No reward range was declared; all rewards lie in [0, 1], which is assumed."]
        raise LogError(
            f"The bounds of the reward must be declared; observed are {low:g} to {high:g}",
            column=roles.reward,
            remedy="Give the range that the reward can have by its nature: --reward-range LOW HIGH.",
        )
    bounds, outside = chosen.reward_range, basics.reward_outside
    if not outside:
        return *bounds, []
    if not chosen.cap_reward:
        raise LogError(
            f"Rewards lie outside the declared range {bounds[0]:g} to {bounds[1]:g}",
            column=roles.reward,
            count=outside,
            example=low if low < bounds[0] else high,
            remedy="Widen --reward-range, or cap the reward with --cap-reward.",
        )
    said = f"{outside:,} rewards beyond {bounds[0]:g} to {bounds[1]:g} were capped"
    return *bounds, [f"{said}; the capped reward is what is certified."]


def _varying(features: tuple[Feature, ...], basics: Basics, notes: list[str]) -> tuple[Feature, ...]:
    kept, constant = [], []
    for feature in features:
        seen = basics.columns[feature.name]
        alike = seen.distinct == 1 if seen.distinct is not None else seen.low == seen.high
        (constant if alike and not seen.nulls else kept).append(feature)
    if constant:
        names = ", ".join(f"'{feature.name}'" for feature in constant)
        notes.append(f"Left out because all rows hold the same value: {names}.")
    if not kept:
        raise LogError(
            "No feature varies: at least one that does is needed to decide on",
            column=constant[0].name,
            count=basics.rows,
            remedy="Add columns that describe the situation before the decision.",
        )
    return tuple(kept)


def missing_roles(roles: Roles) -> list[str]:
    """What absent roles cost, in words."""
    said = []
    if roles.decision_id is None:
        said.append("No decision id: a decision is named by its position in the source.")
    if roles.unit is None:
        said.append("No unit: every row counts as its own unit.")
    if roles.time is None:
        said.append("No time: there are no timelines and no drift over time is looked for.")
    if roles.propensity is None:
        said.append(
            "No propensity: it is taken from the pmf."
            if roles.pmf
            else "No propensity: it will be estimated from the log, and a certificate will be conditional."
        )
    return said


def infinite_values(features: Sequence[Feature], basics: Basics) -> list[str]:
    """A note for every feature with infinite numbers."""
    counts = {f.name: basics.columns[f.name].infinite for f in features}
    return [f"{n:,} infinite values of '{name}' count as missing." for name, n in counts.items() if n]
