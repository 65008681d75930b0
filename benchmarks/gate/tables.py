"""Results to tables, in plain text and in Markdown, and to figures beside their targets.

In: what the modules of this folder return. Out: ``Table`` and ``Row``. ``gate_bench`` prints and stores them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gate import adaptive, audits, boosted, nulls
from gate.audits import MISPLACED, Alarms
from gate.core import ALPHAS, lower_limit, upper_limit
from gate.nulls import Rates
from gate.power import Needed
from gate.speed import Speed
from gate.year import Years
from table import Row

LEVELS = tuple(f"{alpha:.1%}" for alpha in ALPHAS)


@dataclass(frozen=True)
class Table:
    """A table as it is to be read.

    Attributes:
        name: for markers and for JSON.
        title, note: words above and below it.
        head, rows: cells.
    """

    name: str
    title: str
    head: list[str]
    rows: list[list[str]]
    note: str = ""

    def text(self) -> str:
        """Aligned columns."""
        lines = [self.head, *self.rows]
        wide = [max(len(line[column]) for line in lines) for column in range(len(self.head))]
        numeric = [all(one[:1] in "0123456789<+−-" for one in column) for column in zip(*self.rows, strict=True)]
        shown = [
            "  ".join(f"{c:>{w}}" if right else f"{c:{w}}" for c, w, right in zip(line, wide, numeric, strict=True))
            for line in lines
        ]
        return "\n".join([self.title, "", *(line.rstrip() for line in shown), *([self.note] if self.note else [])])

    def markdown(self) -> str:
        """A Markdown table under its title."""
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        shown = ["| " + " | ".join(line) + " |" for line in lines]
        return "\n".join([f"**{self.title}**", "", *shown, *(["", self.note] if self.note else [])])


def rate(hits: int, runs: int) -> str:
    """A rate in per cent; with no hits the 99% upper limit of what it may be."""
    return f"{hits / runs:.3%}" if hits else f"< {upper_limit(0, runs):.3%}"


def null_table(lines: Sequence[Rates]) -> Table:
    """False releases, and those of the mistake beside it."""
    rows = [
        [one.name, f"{one.rows:,}", *(rate(hits, one.runs) for hits in one.hits), one.control_name or "–",
         *((rate(hits, one.runs) if one.control_name else "–") for hits in one.control_hits)]
        for one in lines
    ]  # fmt: skip
    head = ["case", "rows", *(f"gate, α = {one}" for one in LEVELS), "control", *(f"at {one}" for one in LEVELS)]
    runs = sorted({one.runs for one in lines})
    words = f"{runs[0]:,} to {runs[-1]:,}" if len(runs) > 1 else f"{runs[0]:,}"
    return Table("nulls", f"Releases of policies that are no better; {words} logs in each line", head, rows)


def null_targets(lines: Sequence[Rates]) -> list[Row]:
    """Every cell within α; every control breaks; the kernel is the capital."""
    cells = [(one, alpha, hits) for one in lines for alpha, hits in zip(ALPHAS, one.hits, strict=True)]
    over = [f"{one.name} {one.rows:,} {a:g}" for one, a, hits in cells if lower_limit(hits, one.runs) > a]
    rates = max(hits / one.runs / alpha for one, alpha, hits in cells)
    worst = max(lower_limit(hits, one.runs) / alpha for one, alpha, hits in cells)
    names = list(dict.fromkeys(one.name for one in lines if one.control_name))
    broken = [name for name in names if any(one.breaks for one in lines if one.name == name)]
    silent = [name for name in names if name not in broken]
    apart = max(one.difference for one in lines if one.difference is not None)
    rare = next(one for one in lines if one.name == "rare loss" and one.rows == min(nulls.ROWS))
    limit = lower_limit(rare.control_hits[-1], rare.runs)
    return [
        Row(
            "false releases, 99% lower limits (rates)",
            "; ".join(over) or f"up to {worst:.0%} ({rates:.0%}) of α",
            "≤ α everywhere",
            not over,
        ),
        Row("controls that break", f"{len(broken)} of {len(names)} {'; '.join(silent)}".strip(), "all", not silent),
        Row("t-test, rare loss, 20,000 rows, α = 0.1%", f"{limit:.2%}", "≥ 1%", limit >= nulls.BREAKS_AT),
        Row("counts against rows fed to the capital", f"{apart:.0e} nats", "≤ 1e-9", apart <= 1e-9),
    ]


def year_table(lines: Sequence[Years]) -> Table:
    """Years with a bad release."""
    words = (("shared", "α/52 each"), ("full", "α each"), ("daily", "t-test of a new idea every day"))
    rows = [
        [one.name, said, *(rate(hits, one.years) for hits in getattr(one, key))] for one in lines for key, said in words
    ]
    title = f"Years in which something no better was released; {lines[0].years:,} years of 365 days"
    return Table("year", title, ["candidates", "rule", *(f"α = {one}" for one in LEVELS)], rows)


def year_targets(lines: Sequence[Years]) -> list[Row]:
    """Within α for a year; the habits are not."""
    rows = []
    for one in lines:
        sound = all(lower_limit(hits, one.years) <= alpha for hits, alpha in zip(one.shared, ALPHAS, strict=True))
        worst = max(hits / one.years / alpha for hits, alpha in zip(one.shared, ALPHAS, strict=True))
        rows.append(Row(f"a year, {one.name}", f"up to {worst:.0%} of α", "≤ α", sound))
    for key, words in (("full", "α for each attempt"), ("daily", "t-test every day")):
        hits = getattr(lines[0], key)
        breaks = all(lower_limit(hit, lines[0].years) > alpha for hit, alpha in zip(hits[:2], ALPHAS[:2], strict=True))
        rows.append(Row(f"a year, {words}", f"{hits[0] / lines[0].years:.1%} at α = 5%", "must break", breaks))
    return rows


def power_table(lines: Sequence[Needed]) -> Table:
    """Rows for 80% power."""
    head = ["base rate", "t-test", "mixture, 200 looks", "mixture, 1 look", "with booster", "planner",
            "capped DR / plain"]  # fmt: skip
    rows = [
        [f"{one.base:.0%}", f"{one.t_test:,.0f}",
         *(f"{n:,.0f} ({n / one.t_test:.2f})" for n in (one.daily, one.mixture, one.boosted)),
         f"{one.planned:,} ({one.planned / one.mixture:.2f} of 1 look)", f"{one.robust / one.plain:.2f}"]
        for one in lines
    ]  # fmt: skip
    title = (
        "Rows for 80% power at α = 0.1%: +5%, ε = 0.3, half of the contexts changed (in brackets: times the t-test's)"
    )
    return Table("power", title, head, rows)


def power_targets(lines: Sequence[Needed]) -> list[Row]:
    """The ε-greedy case at a base rate of 5%, and the doubly-robust variable at 50%."""
    usual = next(one for one in lines if one.base == 0.05)
    common = next(one for one in lines if one.base == 0.5)
    rare = min(lines, key=lambda one: one.base)
    daily, once, boost = (n / usual.t_test for n in (usual.daily, usual.mixture, usual.boosted))
    ratio, little = common.robust / common.plain, rare.robust / rare.plain
    return [
        Row("mixture / t-test, 200 looks", f"{daily:.2f}", "≤ 1.40", daily <= 1.40),
        Row("mixture / t-test, 1 look", f"{once:.2f}"),
        Row("with booster / t-test", f"{boost:.2f}", "≤ 1.10", boost <= 1.10),
        Row("capped DR / plain, base rate 50%", f"{ratio:.2f}", "≤ 0.45", ratio <= 0.45),
        Row(f"capped DR / plain, base rate {rare.base:.0%}", f"{little:.2f}", "> 0.45: no use there", little > 0.45),
    ]


def audit_table(lines: Sequence[Alarms]) -> Table:
    """Alarms."""
    rows = [
        [one.name, f"{one.runs:,}", f"{one.large / one.runs:.2%}", f"{one.small / one.runs:.2%}",
         f"{one.within / one.runs:.1%}",
         f"{one.unguided / one.runs:.1%}" if one.name == audits.NAMES[MISPLACED] else "–"]
        for one in lines
    ]  # fmt: skip
    head = [
        "propensities",
        "logs",
        "alarm: too large",
        "alarm: too small",
        "mean weight within 2%",
        "alarm, no guided bets",
    ]
    return Table("audits", "Alarms about weights on logs of 4,000,000 rows, ε = 0.3", head, rows)


def audit_targets(lines: Sequence[Alarms]) -> list[Row]:
    """Loud where it must be, quiet where it must not."""
    clean, small, large, misplaced = lines
    rows = []
    for direction in ("large", "small"):
        hits = getattr(clean, direction)
        rows.append(
            Row(
                f"clean logs, too {direction}",
                f"{hits / clean.runs:.2%}",
                "≤ 1%",
                lower_limit(hits, clean.runs) <= 0.01,
            )
        )
    for one, hits in ((small, small.large), (large, large.small), (misplaced, misplaced.large)):
        rows.append(Row(f"alarm: {one.name}", f"{hits / one.runs:.1%}", "≥ 99%", hits >= 0.99 * one.runs))
    passed, unguided = misplaced.within / misplaced.runs, misplaced.unguided / misplaced.runs
    rows.append(Row("misplaced, mean weight within 2%", f"{passed:.1%} pass", "must miss: ≥ 99%", passed >= 0.99))
    rows.append(Row("misplaced, no guided bets", f"{unguided:.1%} alarm", "must miss: ≤ 50%", unguided <= 0.5))
    return rows


def speed_targets(one: Speed, *, timed: bool) -> list[Row]:
    """Sums that do not depend on order, and seconds, which are held to their targets only where ``timed``."""
    size = f"{one.timed_rows:,} rows × 10"
    rows = [
        Row(f"shards, {one.rows:,} rows × 10", f"{one.merged:.0e}", "≤ 1e-9", one.merged <= 1e-9),
        Row("rows in another order", f"{one.permuted:.0e}", "≤ 1e-9", one.permuted <= 1e-9),
        Row("one row left out", f"{one.control:.0e}", "must differ: > 1e-9", one.control > 1e-9),
    ]
    for name, seconds, most in (("capital", one.capital, 5.0), ("gate", one.gate, 30.0)):
        met = seconds <= most if timed else None
        rows.append(Row(f"{name}, {size}", f"{seconds:.2f} s", f"≤ {most:g} s" if timed else "", met))
    return rows


ORDER = [case.name for case in nulls.CASES] + list(adaptive.NAMES) + list(boosted.NAMES)
