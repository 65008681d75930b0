"""The expressions of the join: which decision is the first of its id, which rewards count for it, what they come to.

In: tables of decisions and rewards on DuckDB, and ``Rules``. Out: Ibis expressions. Only ``jumar.serve.join`` imports
this module.

Moments are whole microseconds since 1970 here (``__at``), so that a window's edge is exact.
"""

# Ibis' annotations know columns only as bare values.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportReturnType=false, reportIndexIssue=false, reportOptionalSubscript=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import quote

import ibis
import ibis.expr.types as ir

from jumar.records import Record
from jumar.serve.journal.groups import DAY_US
from jumar.serve.journal.sink import SEQUENCE, WRITER

Aggregation = Literal["sum", "first", "last", "max"]
ACTIVATED = "activated"
AT, DECIDED, FATE, PLACE, DONE = "__at", "__decided", "__fate", "__place", "__activated"
REWARD, REWARDED, NAMELESS = "__reward", "__rewarded", "__nameless"  # a context's column never begins like this
OWN = ("policy", "exploration", "fallback", "fallback_reason")
_ORDER = (AT, WRITER, SEQUENCE)


class Rules(Record, frozen=True, kw_only=True):
    """How decisions and rewards are put together.

    Attributes:
        day: of the decisions, since 1970.
        wait_us: how long after its decision a reward still counts.
        watermark_us: everything up to this moment has reached the log.
        aggregation: what several rewards of a decision become.
        default: the reward of a decision without one.
        fallbacks: whether decisions of the fallback are kept.
        activation: "reported": decisions reported as not activated are left out; "required": all that were not reported
            as activated.
    """

    day: int
    wait_us: int
    watermark_us: int
    aggregation: Aggregation
    default: float
    fallbacks: bool
    activation: Literal["reported", "required"]

    @property
    def reach(self) -> int:
        """Days after the day on which its last window closes."""
        return 1 + self.wait_us // DAY_US

    @property
    def decision_days(self) -> range:
        """Days on which the decision of a reward of this day is looked for, and the first of several with one id."""
        return range(self.day - self.reach, self.day + 2)

    @property
    def reward_days(self) -> range:
        """Days on which rewards of this day's decisions are looked for: from the day before, should a clock be off."""
        return range(self.day - 1, self.day + self.reach + 1)

    @property
    def final_us(self) -> int:
        """Watermark from which on another run finds nothing new."""
        return (self.day + self.reach + 1) * DAY_US


@ibis.udf.scalar.builtin(signature=(("timestamp('UTC', 6)",), "int64"))
def epoch_us(moment: ir.Value) -> ir.Value:
    """Microseconds since 1970 (DuckDB's own; Ibis knows seconds only)."""
    ...


def placed(table: ir.Table) -> ir.Table:
    """Rows with ``__at``."""
    return table.mutate(**{AT: epoch_us(table.time)})


def firsts(decisions: ir.Table) -> ir.Table:
    """Which row is the first of each decision id: by time, then writer and number."""
    keys = placed(decisions).select("decision_id", *_ORDER)
    ranked = keys.mutate(**{PLACE: ibis.row_number().over(group_by="decision_id", order_by=_ORDER)})
    return ranked.filter(ranked[PLACE] == 0).drop(PLACE)


def events(rewards: ir.Table, known: ir.Table, rules: Rules) -> ir.Table:
    """Every reward with what becomes of it.

    Two rewards are one, delivered twice, if they name the same decision and the same ``reward_id``; without one, if
    they agree in decision, time, value and metrics. The first counts.

    Args:
        rewards: of the days that matter.
        known: first rows of decision ids, from ``firsts``.
        rules: of the join.

    Returns:
        The rewards' columns, ``unusable`` (the value is no finite number), ``__decided`` (the decision's moment), and
        ``__fate``: used, late, unknown (of this day, and no such decision), repeated, ahead (after the watermark); null
        for what other days' runs account for.
    """
    rows = placed(rewards)
    finite = ibis.coalesce(~(rows.value.isnan() | rows.value.isinf()), False)
    rows = rows.mutate(value=finite.ifelse(rows.value, ibis.null("float64")), unusable=rows.value.notnull() & ~finite)
    nameless = rows.reward_id.isnull()
    same = {
        "same_at": nameless.ifelse(rows[AT], ibis.null("int64")),
        "same_value": nameless.ifelse(rows.value, ibis.null("float64")),
        "same_metrics": nameless.ifelse(rows.metrics.cast("string"), ibis.null("string")),
    }
    rows = rows.mutate(**same)
    window = ibis.window(group_by=["decision_id", "reward_id", *same], order_by=_ORDER)
    rows = rows.mutate(**{PLACE: ibis.row_number().over(window)}).drop(*same)
    found = _beside(rows, known.select("decision_id", **{DECIDED: known[AT]}))
    decided, at = found[DECIDED], found[AT]
    fate = ibis.cases(
        (decided.notnull() & ~_on(decided, rules.day), ibis.null("string")),
        (decided.isnull() & ~_on(at, rules.day), ibis.null("string")),
        (at > rules.watermark_us, "ahead"),
        (found[PLACE] > 0, "repeated"),
        (decided.isnull(), "unknown"),
        (at <= decided + rules.wait_us, "used"),
        else_="late",
    )
    return found.mutate(**{FATE: fate}).drop(PLACE)


def outcomes(used: ir.Table, aggregation: Aggregation, metrics: Sequence[str]) -> ir.Table:
    """What the used rewards of each decision come to.

    Args:
        used: events that count.
        aggregation: sum, first, last or max, by time; of the value and of each metric.
        metrics: names.

    Returns:
        ``decision_id``, ``__reward`` (null where no event has a value), ``__activated`` (null where no event says), and
        ``__metric_<place>`` for each metric, null where no event has it.
    """
    values = {REWARD: used.value, **{column: _metric(used, name) for column, name in metric_columns(metrics).items()}}
    lists = {name: value.collect(order_by=_ORDER) for name, value in values.items()}
    found = used.group_by("decision_id").aggregate(**lists, **{DONE: (_metric(used, ACTIVATED) > 0).max()})
    return found.mutate(**{name: _aggregate(found[name], aggregation) for name in lists})


def metric_columns(metrics: Sequence[str]) -> dict[str, str]:
    """Metrics by the name of their column in ``outcomes``, which no column of a context can have."""
    return {f"__metric_{place}": name for place, name in enumerate(metrics)}


def joined(
    wide: ir.Table, known: ir.Table, found: ir.Table, rules: Rules, metrics: Mapping[str, str], features: Sequence[str]
) -> ir.Table:
    """Each decision of the day once, with its outcome and what becomes of it.

    Args:
        wide: all rows of the day, with all columns.
        known: first rows of decision ids.
        found: from ``outcomes``.
        rules: of the join.
        metrics: columns of the log by those of ``outcomes``.
        features: columns of the context.

    Returns:
        The columns of a log, in order of time and id, then ``__fate``: written, held_back, fallback, never_activated;
        ``__rewarded``; ``__nameless`` (no unit: the decision's id stands for it).
    """
    today = known.filter(_on(known[AT], rules.day))
    rows = placed(wide).semi_join(today, ["decision_id", WRITER, SEQUENCE])
    rows = _beside(rows, found)
    active = ibis.coalesce(rows[DONE], ibis.literal(rules.activation == "reported"))
    fate = ibis.cases(
        (rows[AT] + rules.wait_us > rules.watermark_us, "held_back"),
        (ibis.coalesce(rows.fallback, False) & (not rules.fallbacks), "fallback"),
        (~active, "never_activated"),
        else_="written",
    )
    return rows.select(
        "decision_id",
        "time",
        "action",
        "propensity",
        "pmf",
        *features,
        *OWN,
        unit=ibis.coalesce(rows.unit, rows.decision_id),
        reward=ibis.coalesce(rows[REWARD], rules.default),
        **{name: ibis.coalesce(rows[column], 0.0) for column, name in metrics.items()},
        **{AT: rows[AT], FATE: fate, REWARDED: rows[REWARD].notnull(), NAMELESS: rows.unit.isnull()},
    )


def _beside(left: ir.Table, right: ir.Table) -> ir.Table:
    """All rows of the left, with what the right knows of their decision ids."""
    return left.left_join(right, "decision_id", rname="__right_{name}").drop("__right_decision_id")


def _on(at: ir.Value, day: int) -> ir.Value:
    return (at >= day * DAY_US) & (at < (day + 1) * DAY_US)


def _metric(table: ir.Table, name: str) -> ir.Value:
    value = table.metrics.get(_text(name))
    return (value.isnan() | value.isinf()).ifelse(ibis.null("float64"), value)


@ibis.udf.scalar.builtin(signature=(("string",), "string"))
def url_decode(text: ir.Value) -> ir.Value:
    """Text without its percent signs (DuckDB's own)."""
    ...


def _text(words: str) -> ir.Value:
    """A literal; the engine's statements end at a NUL, so words that hold one are spelt otherwise."""
    return url_decode(ibis.literal(quote(words, safe=""))) if "\0" in words else ibis.literal(words)


def _aggregate(values: ir.Value, aggregation: Aggregation) -> ir.Value:
    """Of a list in the order of time, so that the same rewards give the same bits."""
    if aggregation == "sum":
        return values.sums()
    if aggregation == "max":
        return values.maxs()
    return values[0] if aggregation == "first" else values[-1]
