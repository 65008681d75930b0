"""Decisions and what came of them, put together for one date: the log from which ``jumar improve`` learns.

In: the folder of a decision log. Out: OUT/date=D/log.parquet, whose rows are decisions that are decided for good, the
rewards that came too late or for unknown decisions beside it, and ``_report.json`` with every count. The command line
and the loop use ``join``.

The same rows and rules give the same bytes, whatever the number of threads or the order of segments.
"""

# Ibis' annotations know columns only as bare values.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportReturnType=false, reportIndexIssue=false, reportOptionalSubscript=false, reportCallIssue=false

from __future__ import annotations

import datetime
import math
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import duckdb
import ibis
import ibis.expr.types as ir
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.common.exceptions import IbisError

from jumar.errors import LogError, OptionError
from jumar.files import check_free, replacing_folder
from jumar.logs import seconds
from jumar.logs.source import NOT_FEATURES
from jumar.serve import join_tables as tables
from jumar.serve.join_report import JoinReport
from jumar.serve.join_tables import AT, FATE, NAMELESS, OWN, REWARDED, Aggregation, Rules
from jumar.serve.journal.reading import LogFiles, log_files
from jumar.serve.journal.sink import REWARDS, SEQUENCE, WRITER

LOG, LATE, UNKNOWN, REPORT = "log.parquet", "_late.parquet", "_unknown.parquet", "_report.json"
MOST_WAIT_DAYS = 366  # each day more is one more day of the log that is read
_MOST_METRICS = 200
_ROWS = 65_536
_BASE = ("decision_id", "unit", "time", "action", "propensity", "pmf", "reward", *OWN)
_OPTIONAL = {"unit": "string", "pmf": "array<float64>", **dict.fromkeys(OWN, "string"), "fallback": "boolean"}


def join(
    folder: str | os.PathLike[str],
    date: datetime.date | str,
    *,
    out: str | os.PathLike[str],
    wait: str | float = "24h",
    reward: Aggregation = "sum",
    default: float = 0.0,
    watermark: datetime.datetime | None = None,
    fallbacks: bool = True,
    activation: Literal["reported", "required"] = "reported",
) -> JoinReport:
    """Join the decisions of a date with their rewards.

    Args:
        folder: of the decision log; it may be written to meanwhile.
        date: of the decisions, in UTC.
        out: folder of joined logs; OUT/date=DATE is replaced as a whole.
        wait: how long after its decision a reward still counts, its last moment included: "24h", "7d", or seconds.
        reward: what several rewards of one decision become: their sum, the first, the last or the greatest.
        default: the reward of a decision that had none when its window closed.
        watermark: everything up to this moment has reached the log; by default now. A decision is written only when its
            window had closed by then.
        fallbacks: whether decisions of the fallback are written.
        activation: "reported": decisions are left out whose rewards report their metric "activated" as 0, and none as
            more; "required": all are left out that none reports as more than 0.

    Returns:
        The counts, which also lie in ``_report.json``.

    Raises:
        LogError: no decisions of that date, or a file that cannot be read.
        JournalError: a damaged file, or one segment in two files.
        OptionError: an argument outside its range.
        OutputError: ``out`` cannot be written.
    """
    place = Path(folder)
    rules = _rules(date, wait, reward, default, watermark, fallbacks, activation)
    target = Path(out) / f"date={_date(rules.day)}"
    with (
        log_files(place, "decisions", rules.decision_days) as decisions,
        log_files(place, "rewards", rules.reward_days) as rewards,
        _engine() as engine,
    ):
        if rules.day not in decisions.by_day:
            raise LogError(
                f"'{folder}' holds no decision of {_date(rules.day)}",
                remedy="Check the folder and the date; dates are in UTC.",
            )
        check_free(target, (LOG, LATE, UNKNOWN, REPORT))
        try:
            return _Join(engine, rules, decisions, rewards).write(target)
        except (duckdb.Error, IbisError) as error:
            raise LogError(
                f"The log in '{folder}' cannot be joined: {str(error).splitlines()[0]:.200}",
                remedy="If a file is damaged, restore it from a copy, or move it out of the log.",
            ) from error


def _rules(
    date: datetime.date | str,
    wait: str | float,
    reward: Aggregation,
    default: float,
    watermark: datetime.datetime | None,
    fallbacks: bool,
    activation: Literal["reported", "required"],
) -> Rules:
    day = date_of(date)
    if reward not in get_args(Aggregation):
        raise OptionError("Rewards cannot be added up so", example=reward, remedy="Say sum, first, last or max.")
    if activation not in ("reported", "required"):
        raise OptionError("--activation is not known", example=activation, remedy="Say reported or required.")
    if not math.isfinite(default):
        raise OptionError("The default reward must be a number", example=default, remedy="Say for example 0.")
    number = (day - datetime.date(1970, 1, 1)).days
    rules = Rules(
        day=number,
        wait_us=round(seconds("wait", wait, most_days=MOST_WAIT_DAYS) * 1e6),
        watermark_us=0,
        aggregation=reward,
        default=float(default),
        fallbacks=fallbacks,
        activation=activation,
    )
    now = time.time_ns() // 1_000
    if watermark is not None:
        now = (_utc(watermark) - _EPOCH) // datetime.timedelta(microseconds=1)
    # Beyond the last moment that matters nothing changes, so every later run gives the same bytes.
    return msgspec.structs.replace(rules, watermark_us=min(now, rules.final_us))


def date_of(date: datetime.date | str) -> datetime.date:
    """A date as it is given.

    Raises:
        OptionError: it is none.
    """
    if isinstance(date, datetime.date):
        return date
    try:
        return datetime.date.fromisoformat(date)
    except ValueError as error:
        raise OptionError("--date takes a date", example=date, remedy="Say for example 2026-01-31.") from error


def moment(text: str) -> datetime.datetime:
    """A moment as a person writes it; UTC where it names no other zone.

    Raises:
        OptionError: it is none.
    """
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise OptionError(
            "--watermark takes a moment", example=text, remedy="Say for example 2026-01-31T12:00."
        ) from error
    return _utc(found)


def _utc(found: datetime.datetime) -> datetime.datetime:
    """A moment in UTC, which it is in where it names no zone."""
    try:
        return found.astimezone(datetime.UTC) if found.tzinfo else found.replace(tzinfo=datetime.UTC)
    except OverflowError as error:
        raise OptionError(
            "--watermark lies beyond the years 1 to 9999 in UTC",
            example=found.isoformat(),
            remedy="Say for example 2026-01-31T12:00.",
        ) from error


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def _date(day: int) -> str:
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=day)).isoformat()


@contextmanager
def _engine() -> Iterator[Any]:
    """An engine that spills to a folder of its own, and keeps time in UTC."""
    with tempfile.TemporaryDirectory(prefix="jumar-join-") as spill:
        engine = ibis.duckdb.connect()
        try:
            engine.con.execute("SET enable_progress_bar = false")
            engine.con.execute("SET TimeZone = 'UTC'")
            engine.con.execute(f"SET temp_directory = '{spill.replace(chr(39), chr(39) * 2)}'")
            yield engine
        finally:
            engine.disconnect()


class _Join:
    """One date's tables, asked one after the other."""

    def __init__(self, engine: Any, rules: Rules, decisions: LogFiles, rewards: LogFiles) -> None:
        self.engine, self.rules = engine, rules
        self.decisions, self.rewards = decisions, rewards
        self.wide = self._decisions_of_the_day()
        self.features = [name for name in self.wide.columns if name not in (*_BASE, WRITER, SEQUENCE)]
        every = self._read(decisions.of(rules.decision_days)).select("decision_id", "time", WRITER, SEQUENCE)
        self.known = engine.create_table("known", tables.firsts(every), temp=True)
        self.events = engine.create_table("events", tables.events(self._rewards(), self.known, rules), temp=True)
        used = self.events.filter(self.events[FATE] == "used")
        names = self._metric_names(used)
        free = _free_names(names, (*_BASE, *self.features, "date"))
        self.metrics = dict(zip(names, free, strict=True))
        found = tables.outcomes(used, rules.aggregation, names)
        columns = dict(zip(tables.metric_columns(names), free, strict=True))
        self.rows = engine.create_table(
            "joined", tables.joined(self.wide, self.known, found, rules, columns, self.features), temp=True
        )

    def write(self, target: Path) -> JoinReport:
        """Everything into one folder, at once."""
        pmf = self._pmf_is_plain()
        beside = [*OWN, *self.metrics.values(), "date", *([] if pmf else ["pmf"])]
        written = self.rows.filter(self.rows[FATE] == "written").order_by([AT, "decision_id"])
        columns = ["decision_id", "unit", "time", "action", "propensity", "pmf", "reward"]
        log = written.select(*columns, *self.features, *self.metrics.values(), *OWN)
        report = self._report(pmf)
        with replacing_folder(target) as place:
            self._write(log, place / LOG, {NOT_FEATURES: msgspec.json.encode(beside)})
            for fate, file in (("late", LATE), ("unknown", UNKNOWN)):
                kept = self.events.filter(self.events[FATE] == fate).order_by([AT, "decision_id", WRITER, SEQUENCE])
                self._write(kept.select(*REWARDS.names, WRITER, SEQUENCE), place / file, {})
            (place / REPORT).write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
        return report

    def _read(self, files: Sequence[Path]) -> ir.Table:
        return self.engine.read_parquet([str(file) for file in files], union_by_name=True, hive_partitioning=False)

    def _decisions_of_the_day(self) -> ir.Table:
        table = self._read(self.decisions.of([self.rules.day]))
        for name in ("action", "propensity"):
            if name not in table.columns:
                raise LogError("The decisions lack a column", column=name, remedy="See docs/decision-log.md.")
        absent = {name: ibis.null(kind) for name, kind in _OPTIONAL.items() if name not in table.columns}
        return table.mutate(**absent)

    def _rewards(self) -> ir.Table:
        files = self.rewards.of(self.rules.reward_days)
        if not files:
            schema = pa.schema([*REWARDS, pa.field(WRITER, pa.string()), pa.field(SEQUENCE, pa.int64())])
            return self.engine.create_table("no_rewards", schema.empty_table(), temp=True)
        table = self._read(files)
        absent = {
            name: ibis.null(kind)
            for name, kind in {"reward_id": "string", "metrics": "map<string, float64>"}.items()
            if name not in table.columns
        }
        return table.mutate(**absent).select(*REWARDS.names, WRITER, SEQUENCE)

    def _metric_names(self, used: ir.Table) -> list[str]:
        keys = used.select(name=used.metrics.keys().unnest()).distinct()
        names = sorted(name for name in self.engine.to_pyarrow(keys)["name"].to_pylist() if name != tables.ACTIVATED)
        if len(names) > _MOST_METRICS:
            raise LogError(
                f"Rewards carry {len(names):,} metrics; {_MOST_METRICS} are the most",
                example=names[0],
                remedy="Name metrics after what they measure, not after what they belong to.",
            )
        return names

    def _pmf_is_plain(self) -> bool:
        """Whether every pmf lists as many actions as were taken, so that the log alone says which is which."""
        rows = self.rows.filter(self.rows[FATE] == "written")
        length = rows.pmf.length()
        asked = rows.aggregate(
            short=length.min(), long=length.max(), missing=rows.pmf.isnull().sum(), actions=rows.action.nunique()
        )
        told = self._one(asked)
        return not told["missing"] and told["short"] == told["long"] == told["actions"]

    def _report(self, pmf: bool) -> JoinReport:
        rules, rows, events = self.rules, self.rows, self.events
        written = rows[FATE] == "written"
        fates = {fate: (rows[FATE] == fate).sum() for fate in ("held_back", "never_activated", "written")}
        sums = {
            **fates,
            "fallback_excluded": (rows[FATE] == "fallback").sum(),
            "rewarded": (written & rows[REWARDED]).sum(),
            "fallback": (written & ibis.coalesce(rows.fallback, False)).sum(),
            "without_unit": (written & rows[NAMELESS]).sum(),
        }
        told = self._counts(rows.aggregate(**sums))
        seen = {fate: (events[FATE] == fate).sum() for fate in ("used", "late", "unknown", "repeated", "ahead")}
        used = events[FATE] == "used"
        seen |= {
            "early": (used & (events[AT] < events[tables.DECIDED])).sum(),
            "unusable": (used & events.unusable).sum(),
        }
        all_rows = int(self._one(self.wide.aggregate(n=self.wide.count()))["n"])
        ours = int(self._one(rows.aggregate(n=rows.count()))["n"])
        by_policy = rows.filter(written).group_by(name=ibis.coalesce(ibis._.policy, "")).aggregate(n=ibis._.count())
        versions = {row["name"]: int(row["n"]) for row in self.engine.to_pyarrow(by_policy).to_pylist()}
        gaps = {f"decisions/{writer}": n for writer, n in self.decisions.gaps.items()}
        gaps |= {f"rewards/{writer}": n for writer, n in self.rewards.gaps.items()}
        return JoinReport(
            date=_date(rules.day),
            wait_seconds=rules.wait_us / 1e6,
            aggregation=rules.aggregation,
            default=rules.default,
            fallbacks=rules.fallbacks,
            activation=rules.activation,
            watermark=_EPOCH + datetime.timedelta(microseconds=rules.watermark_us),
            final=rules.watermark_us >= rules.final_us,
            decisions=all_rows,
            duplicate=all_rows - ours,
            conflicting=self._conflicting(),
            **told,
            defaulted=told["written"] - told["rewarded"],
            **{f"rewards_{name}": n for name, n in self._counts(events.aggregate(**seen)).items()},
            policies=dict(sorted(versions.items())),
            metrics=self.metrics,
            features=self.features,
            pmf=pmf,
            open_segments=self.decisions.open_segments + self.rewards.open_segments,
            gaps=dict(sorted(gaps.items())),
        )

    def _conflicting(self) -> int:
        """Duplicates that do not say what the first row of the day with their id says."""
        wide = self.wide.select("decision_id", "action", "propensity", "policy", WRITER, SEQUENCE)
        first = self.rows.select("decision_id", a=self.rows.action, p=self.rows.propensity, v=self.rows.policy)
        pairs = wide.inner_join(first, "decision_id")
        other = (pairs.action != pairs.a) | (pairs.propensity != pairs.p)
        other = other | ~pairs.policy.identical_to(pairs.v)
        return int(self._one(pairs.aggregate(n=other.sum()))["n"] or 0)

    def _one(self, expr: ir.Table) -> dict[str, Any]:
        return self.engine.to_pyarrow(expr).to_pylist()[0]

    def _counts(self, expr: ir.Table) -> dict[str, int]:
        return {name: int(n or 0) for name, n in self._one(expr).items()}

    def _write(self, table: ir.Table, path: Path, metadata: dict[bytes, bytes]) -> None:
        """Stream a table to Parquet, in row groups whose size does not depend on how the engine cuts."""
        schema = table.schema().to_pyarrow()
        with pq.ParquetWriter(path, schema.with_metadata(metadata or None), compression="zstd") as writer:
            waiting: list[pa.RecordBatch] = []
            for batch in self.engine.raw_sql(self.engine.compile(table)).to_arrow_reader(_ROWS):
                waiting.append(batch)
                while sum(one.num_rows for one in waiting) >= _ROWS:
                    whole = pa.Table.from_batches(waiting)
                    writer.write_table(whole.slice(0, _ROWS).cast(schema), row_group_size=_ROWS)
                    waiting = whole.slice(_ROWS).to_batches()
            rest = pa.Table.from_batches(waiting, schema=waiting[0].schema if waiting else schema)
            writer.write_table(rest.cast(schema), row_group_size=_ROWS)


def _free_names(names: Sequence[str], taken: Sequence[str]) -> list[str]:
    """Columns for metrics: their own names, unless something else has them."""
    used, found = {name.lower() for name in taken}, []
    for name in names:
        plain = name.replace("\0", "\N{SYMBOL FOR NULL}")  # the engine's names end at a NUL
        column = plain if plain and not plain.startswith("__") else f"metric_{plain}"
        while column.lower() in used:
            column = f"metric_{column}"
        used.add(column.lower())
        found.append(column)
    return found
