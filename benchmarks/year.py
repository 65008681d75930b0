"""A year of the second loop on the founding world with drift in it: value, releases, refusals, rollbacks, seconds.

Every day some 20,000 decisions are made, logged, joined with their rewards, audited and judged; what is learned is let
in by gate and canary, and watched. Prints the months, and figures beside their targets; `--out` keeps days and releases
as CSV, everything as JSON, and a plot. `--days 30 --rows 4000` is a quick look; `--seeds 0 1 2` runs several years,
`--jobs` at once; `--control` lets in whatever was learned last, without a gate, which must let worse policies in.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, fields
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from jumar.loop import Day
from table import Row, print_head, print_table
from year_run import Lived, Release, Run, Year

MONTH, TURN_SHARE = 28, 0.49  # people turn when so much of the year is over
LONG = 300  # days from which on there is a target for the gain


def run(seed: int, options: argparse.Namespace) -> Year:
    """One year."""

    def told(lived: Lived, day: Day) -> None:
        if options.verbose or lived.happened:
            share = (lived.served - lived.incumbent) / (lived.best - lived.incumbent)
            print(f"  seed {seed} {lived.date}: {lived.happened or '-'} ({share:.0%} of the gain today)", flush=True)
        if options.verbose:
            for step in day.steps:
                print(f"    {step.name}: {' '.join(step.said)[:200]}", flush=True)

    turn = round(options.days * TURN_SHARE)
    return Run(options.rows, seed, turn, control=options.control).live(options.days, told)


def print_year(year: Year) -> None:
    """A line for each month, one for each release."""
    print(f"\nseed {year.seed}: value of a decision, by {MONTH} days")
    print("days        incumbent   served     best   share of the gain")
    for first in range(0, len(year.days), MONTH):
        days = year.days[first : first + MONTH]
        now, served, best = (sum(getattr(one, name) for one in days) / len(days) for name in
                             ("incumbent", "served", "best"))  # fmt: skip
        span = f"{first:3}–{first + len(days) - 1:3}"
        print(f"{span}   {now:10.4f} {served:8.4f} {best:8.4f}   {_share(now, served, best)}")
    for one in year.releases:
        print(f"day {one.day:3}: {one.version} for {one.replaced}, true gain {one.gain:+.5f} ± {one.error:.5f}")


def _share(now: float, served: float, best: float) -> str:
    return f"{(served - now) / (best - now):.0%}"


def targets(years: list[Year], options: argparse.Namespace) -> list[Row]:
    """Figures beside what was asked for."""
    days = [day for year in years for day in year.days]
    releases = [one for year in years for one in year.releases]
    worse = [one for one in releases if one.gain < 0.0]
    shares = [year.share(MONTH) for year in years]
    told = ", ".join(f"{share:.0%}" for share in shares)
    whole = options.days >= LONG and not options.control
    events = [word for day in days for word in day.happened.split(", ") if word]
    counts = ", ".join(f"{events.count(word)} {word}" for word in dict.fromkeys(events)) or "nothing"
    attempts: dict[str, int] = {}
    for year in years:
        for outcome, n in year.attempts.items():
            attempts[outcome] = attempts.get(outcome, 0) + n
    ledger = ", ".join(f"{n} {outcome}" for outcome, n in attempts.items()) or "none"
    seconds = max(year.wall for year in years)
    busy = sum(year.seconds for year in years) / max(len(days), 1)
    promised = 0.001 * len(years)
    rows = [
        Row("share of the possible gain, last 28 days", told, "≥ 80%" if whole else "",
            all(share >= 0.8 for share in shares) if whole else None),
        Row("the same against a best that explores nothing", _beyond(years)),
        Row("let in", f"{len(releases)} versions"),
        Row("truly worse when let in", f"{len(worse)}",
            "≥ 1: the control breaks" if options.control else f"{promised:.3g} expected at most",
            (len(worse) > 0) if options.control and options.days >= MONTH else None if options.control else not worse),
        Row("what happened", counts),
        Row("attempts of the ledger", ledger),
        Row("seconds of the longest year", f"{seconds:.0f}", "≤ 1,200, two quiet cores" if whole else "",
            seconds <= 1_200 if whole and options.jobs == 1 and options.rows <= 20_000 else None),
        Row("CPU seconds of the loop by step", _steps(years)),
        Row("CPU seconds a day", f"{busy:.2f}, {sum(d.loop_seconds for d in days) / len(days):.2f} of them the loop"),
    ]  # fmt: skip
    return rows


def _steps(years: list[Year]) -> str:
    total: dict[str, float] = {}
    for year in years:
        for name, seconds in year.steps.items():
            total[name] = total.get(name, 0.0) + seconds
    return ", ".join(f"{name} {seconds:.0f}" for name, seconds in total.items())


def _beyond(years: list[Year]) -> str:
    days = [day for year in years for day in year.days[-MONTH:]]
    served, now, best = (sum(getattr(day, name) for day in days) for name in ("served", "incumbent", "best_of_all"))
    return _share(now, served, best)


def write(years: list[Year], out: Path) -> None:
    """Days, releases, everything, and the plot of the first year."""
    out.mkdir(parents=True, exist_ok=True)
    for name, kind in (("days", Lived), ("releases", Release)):
        with (out / f"{name}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            names = [one.name for one in fields(kind)]
            table.writerow(["seed", *names])
            for year in years:
                table.writerows([year.seed, *(getattr(one, column) for column in names)] for one in getattr(year, name))
    (out / "year.json").write_text(json.dumps([asdict(year) for year in years], indent=1))
    (out / "year.svg").write_text(plot(years[0]))


def plot(year: Year) -> str:
    """Value by day, as a mean of seven, with a mark for each release and each step back: SVG."""
    import altair as alt

    def smooth(name: str, place: int) -> float:
        first = min(max(place - 3, 0), max(len(year.days) - 7, 0))  # always whole weeks, or weekends show at the ends
        some = year.days[first : first + 7]
        return sum(getattr(one, name) for one in some) / len(some)

    lines = {"incumbent": ("frozen incumbent", "#d9822b"), "served": ("served", "#1a73e8"),
             "best": ("best possible", "#9aa0a6")}  # fmt: skip
    kinds = {"released": "released", "abandoned": "step back", "rolled back": "step back"}
    rows = [{"day": place, "value": smooth(name, place), "of": told}
            for name, (told, _) in lines.items() for place in range(len(year.days))]  # fmt: skip
    marks = [{"day": place, "value": smooth("served", place), "what": kinds[word]}
             for place, one in enumerate(year.days) for word in one.happened.split(", ") if word in kinds]  # fmt: skip
    x = alt.X("day:Q", title="day", axis=alt.Axis(grid=False, tickCount=12),
              scale=alt.Scale(domain=[0, len(year.days)], nice=False))  # fmt: skip
    y = alt.Y("value:Q", title="reward per decision, mean of seven days", scale=alt.Scale(zero=False))
    top = alt.Legend(orient="top")
    names, colours = zip(*lines.values(), strict=True)
    colour = alt.Color("of:N", title=None, legend=top, scale=alt.Scale(domain=list(names), range=list(colours)))
    shapes = alt.Scale(domain=["released", "step back"], range=["circle", "triangle-down"])
    shape = alt.Shape("what:N", title=None, legend=top, scale=shapes)
    layers = [
        alt.Chart(alt.Data(values=[{"day": year.turn}])).mark_rule(strokeDash=[4, 3], stroke="#5f6368").encode(x=x),
        alt.Chart(alt.Data(values=rows)).mark_line(strokeWidth=2).encode(x=x, y=y, color=colour),
        alt.Chart(alt.Data(values=marks))
        .mark_point(size=60, filled=True, opacity=1)
        .encode(x=x, y=y, shape=shape, color=alt.value("#202124")),
    ]
    sink = io.StringIO()
    alt.LayerChart(layer=layers).properties(width=880, height=360, background="white").save(sink, format="svg")
    return sink.getvalue()


def parsed(words: list[str] | None = None) -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--rows", type=int, default=20_000, help="decisions a day, about")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--jobs", type=int, default=1, help="years at once")
    parser.add_argument("--control", action="store_true", help="let in whatever was learned last, without a gate")
    parser.add_argument("--out", type=Path, help="folder for CSV, JSON and the plot")
    parser.add_argument("--verbose", action="store_true", help="what each step of each day said")
    return parser.parse_args(words)


def main() -> int:
    """Run the years, print, and say whether the targets were met."""
    options = parsed()
    print_head()
    begun = time.perf_counter()
    if options.jobs > 1 and len(options.seeds) > 1:
        with ProcessPoolExecutor(min(options.jobs, os.cpu_count() or 1), get_context("spawn")) as pool:
            years = list(pool.map(partial(run, options=options), options.seeds))
    else:
        years = [run(seed, options) for seed in options.seeds]
    for year in years:
        print_year(year)
    if options.out is not None:
        write(years, options.out)
        print(f"\n{options.out / 'year.svg'}")
    code = print_table(targets(years, options))
    print(f"{time.perf_counter() - begun:.0f} seconds in all")
    return code


if __name__ == "__main__":
    sys.exit(main())
