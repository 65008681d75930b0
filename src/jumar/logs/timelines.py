"""Timelines: what followed each decision of a unit, how long after, and how much of it still counts.

In: a canonical table with units and times, and a ``Timeline``. Out: the same rows with ``__wait``, ``__discount`` and,
where asked for, the next state, as one lazy Ibis expression; and counts of what was found on the way.
``jumar.logs.read`` uses it; the floors above meet it through ``Log``.

A unit's decisions follow each other by time, ties by decision id. An episode ends after a decision that is flagged, or
that nothing follows within the gap: what comes later counts as nothing (``__discount`` 0). The last decision that a
unit has in the log is neither, unless the log went on for so long without it that nothing which may still come counts:
otherwise it is open (``__discount`` null), and nobody may take the end of the log for the end of the story.
"""

# Ibis' annotations know columns only as bare values.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportReturnType=false, reportIndexIssue=false, reportOptionalSubscript=false, reportCallIssue=false

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from numbers import Real
from typing import Any, TypeGuard

import ibis
import ibis.expr.types as ir

from jumar.errors import LogError, OptionError
from jumar.logs.columns import missing_column
from jumar.logs.schema import DISCOUNT, END, HASH, NEXT, PLACE, SECONDS, TIME, WAIT, LogSchema, Timeline
from jumar.logs.units import order_keys
from jumar.records import Record

NEGLIGIBLE = 0.01  # a discount below which what is still to come is taken as nothing
_SHORT = {name[0]: name for name in SECONDS}
_NAMED = {"unit": "the column of the user with --unit", "time": "the column of the time with --time"}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)?\s*([a-z]+?)s?")


class TimelineCounts(Record, frozen=True, kw_only=True):
    """What was found on the timelines of a log.

    Attributes:
        rows, units: decisions, and who they are about.
        flagged, silent, lapsed, open: ends of episodes: by flag; by silence before a later decision; by the
            silence that lasted to the end of the log; and decisions whose story the log does not tell to its end.
        faded: decisions whose next one comes so late that less than ``NEGLIGIBLE`` of it counts, unless the discount is
            as small as that by itself.
        ties: decisions at the same time as the one before; their ids decide, or else their place in the source.
        after_flag: decisions that follow a flagged one of their unit; each begins a new episode.
        disordered: decisions that stand in the source before an earlier one of their unit.
        alone: units with one decision only; longest: decisions of the largest unit.
    """

    rows: int
    units: int
    flagged: int
    silent: int
    lapsed: int
    open: int
    faded: int
    ties: int
    after_flag: int
    disordered: int
    alone: int
    longest: int

    @property
    def sentences(self) -> list[str]:
        """What a reader should know, in words; nothing where all is plain."""
        told = (
            (self.disordered, "Decisions that stand in the log before an earlier one of their unit: {}. Time rules."),
            (self.ties, "Decisions at the same time as another of their unit: {}. Ids rule, or else the log's order."),
            (self.after_flag, "Decisions after one that was flagged as the last: {}. They begin new episodes."),
            (self.faded, "Decisions whose next one comes so late that less than a hundredth of it counts: {}."),
            (
                self.lapsed,
                "Last decisions of units that the log goes on without so long that they count as ends: {}.",
            ),
            (
                self.open,
                f"Open decisions: {{}} of {self.rows:,}; the log ends before it is known what followed. They are part "
                "of what is judged, but what followed them is not learned from.",
            ),
            (self.alone, f"Units with one decision only: {{}} of {self.units:,}."),
        )
        return [sentence.format(f"{count:,}") for count, sentence in told if count]


def asked_timeline(
    discount: float | None, per: str | float | None = None, gap: str | float | None = None
) -> Timeline | None:
    """The timeline that is asked for; None where every decision counts by itself.

    Raises:
        OptionError: see ``timeline_of``; or a time to count by without a discount.
    """
    if discount is not None:
        return timeline_of(discount, per, gap)
    if per is not None or gap is not None:
        raise OptionError("A time to count by needs a discount", remedy="Add for example --discount 0.95.")
    return None


def timeline_of(discount: float, per: str | float | None = None, gap: str | float | None = None) -> Timeline:
    """A timeline from words.

    Args:
        discount: γ in [0, 1).
        per: what γ is meant for: "decision" or None, "hour", "day", "7d", or seconds.
        gap: silence that ends an episode, in the same words.

    Raises:
        OptionError: γ is none, or a duration is not understood.
    """
    if not _is_number(discount) or not (math.isfinite(discount) and 0 <= discount < 1):
        raise OptionError(
            "A discount is a number from 0 to below 1",
            example=discount,
            remedy="Say for example --discount 0.95 --per day; 0 looks at the decision's own reward only.",
        )
    each = None if per in (None, "decision") else seconds("per", per)
    return Timeline(discount=float(discount), per=each, gap=None if gap is None else seconds("gap", gap))


def _is_number(value: object) -> TypeGuard[float]:
    """Numbers of Python and NumPy; True is none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def seconds(name: str, words: str | float | None, *, most_days: float = math.inf) -> float:
    """Seconds of "day", "7d", "12 hours", or of a number.

    Args:
        name: of the flag, for the error.
        words: the duration.
        most_days: how long it may be.

    Raises:
        OptionError: no duration, none above 0, or a longer one.
    """
    found: float | None = None
    if _is_number(words):
        found = float(words)
    elif isinstance(words, str) and (match := _DURATION.fullmatch(words.strip().lower())):
        unit = _SHORT.get(match[2], match[2])
        found = float(match[1] or 1) * SECONDS[unit] if unit in SECONDS else None
    if found is None or not (math.isfinite(found) and found > 0):
        raise OptionError(
            f"--{name} takes a time above 0",
            example=words,
            remedy=f"Say for example --{name} day, --{name} 12h or --{name} 7d.",
        )
    if found > most_days * SECONDS["day"]:
        raise OptionError(f"--{name} is {most_days:g} days at most", example=words, remedy="Give a shorter time.")
    return found


@ibis.udf.scalar.builtin(signature=(("timestamp(6)",), "int64"))
def epoch_us(moment: ir.Value) -> ir.Value:
    """Microseconds since 1970 of a timestamp (DuckDB's own; Ibis knows seconds only)."""


def check_timeline(schema: LogSchema) -> None:
    """Refuses a log that has no timelines.

    Raises:
        LogError: no unit, or no time.
    """
    missing = [role for role in ("unit", "time") if getattr(schema.roles, role) is None]
    if missing:
        raise LogError(
            f"A discount needs to know what followed each decision, and this log has no {' and no '.join(missing)}",
            remedy=f"Name {' and '.join(_NAMED[role] for role in missing)}.",
        )


def timelines(
    table: ir.Table, schema: LogSchema, timeline: Timeline, last: Any, following: Sequence[str] = ()
) -> ir.Table:
    """The canonical rows, each with what followed it.

    Args:
        table: canonical rows of whole units.
        schema: of the log.
        timeline: the discount, and what ends an episode.
        last: time of the last decision of the whole log.
        following: columns whose value at the unit's next decision is wanted, as ``__next_<column>``; null where the
            episode ended or is open.

    Returns:
        ``table`` with ``__wait`` (seconds to the unit's next decision, null for its last), ``__discount`` (of what
        follows, 0 after the end of an episode, null where it is open) and the following columns. In no order.

    Raises:
        LogError: a following column that does not exist.
    """
    for name in following:
        if name not in table.columns:
            raise missing_column(name, table.columns, "in the canonical log")
    keys = order_keys(table, schema)
    window = ibis.window(group_by=HASH, order_by=keys)
    wait = (epoch_us(table[TIME].lead().over(window)) - epoch_us(table[TIME])).cast("float64") / 1e6
    ahead = {f"{NEXT}{name}": table[name].lead().over(window) for name in following}
    placed = table.mutate(**{WAIT: wait}, **ahead)
    flagged = placed[END] if END in placed.columns else ibis.literal(value=False)
    silence = (epoch_us(ibis.literal(last, "timestamp(6)")) - epoch_us(placed[TIME])).cast("float64") / 1e6
    step = _step(placed[WAIT], timeline)
    over = ibis.literal(value=False) if timeline.gap is None else placed[WAIT] > timeline.gap
    lapsed = silence > limit if (limit := patience(timeline)) is not None else ibis.literal(value=False)
    nothing = ibis.null("float64")
    discount = ibis.cases(
        (flagged, ibis.literal(0.0)),
        (placed[WAIT].isnull(), ibis.ifelse(lapsed, ibis.literal(0.0), nothing)),
        (over, ibis.literal(0.0)),
        else_=step,
    )
    found = placed.mutate(**{DISCOUNT: discount})
    if not following:
        return found
    known = ibis.coalesce(found[DISCOUNT] > 0, False)
    return found.mutate(**{name: ibis.ifelse(known, found[name], ibis.null(found[name].type())) for name in ahead})


def patience(timeline: Timeline) -> float | None:
    """Seconds of silence up to the end of the log after which a unit's last decision counts as an end.

    That is the gap, or the time after which the discount leaves less than ``NEGLIGIBLE`` of anything that may still
    come; None where neither is known.
    """
    limits = [] if timeline.gap is None else [timeline.gap]
    if timeline.per is not None:
        worth = timeline.per * math.log(NEGLIGIBLE) / math.log(timeline.discount) if timeline.discount > 0 else 0.0
        limits.append(worth)
    return min(limits, default=None)


def _step(wait: ir.Value, timeline: Timeline) -> ir.Value:
    """Discount from a decision to the unit's next one."""
    if timeline.per is None or timeline.discount == 0:
        return ibis.literal(timeline.discount, "float64")
    return (wait * (math.log(timeline.discount) / timeline.per)).exp()


def counts_table(table: ir.Table, schema: LogSchema, timeline: Timeline) -> ir.Table:
    """One row with the fields of ``TimelineCounts``.

    Args:
        table: of ``timelines``; where it has ``__place``, the rows' position in the source, disorder is counted.
        schema: of the log.
        timeline: as given to ``timelines``.
    """
    never = ibis.literal(value=False)
    early = never
    if PLACE in table.columns:
        window = ibis.window(group_by=HASH, order_by=order_keys(table, schema))
        early = ibis.coalesce(table[PLACE].lead().over(window) < table[PLACE], False)
    flagged = table[END] if END in table.columns else never
    last = table[WAIT].isnull()
    ended = ibis.coalesce(table[DISCOUNT] == 0, False) & ~flagged
    silent = never if timeline.gap is None else ended & (table[WAIT] > timeline.gap)
    faded = never
    if timeline.discount > NEGLIGIBLE:
        faded = ibis.coalesce(table[DISCOUNT] <= NEGLIGIBLE, False) & ~flagged & ~silent & ~last
    kinds = {
        "flagged": flagged,
        "silent": silent,
        "lapsed": ended & last,
        "open": table[DISCOUNT].isnull(),
        "faded": faded,
        "ties": ibis.coalesce(table[WAIT] == 0, False),
        "after_flag": flagged & ~last,
        "disordered": early,
    }
    marked = table.select(HASH, **{name: kind.cast("int64") for name, kind in kinds.items()})
    sums = {name: marked[name].sum() for name in kinds}
    per_unit = marked.group_by(HASH).aggregate(size=ibis._.count(), **sums)
    return per_unit.aggregate(
        rows=per_unit["size"].sum(),
        units=per_unit.count(),
        alone=(per_unit["size"] == 1).sum(),
        longest=per_unit["size"].max(),
        **{name: per_unit[name].sum() for name in kinds},
    )
