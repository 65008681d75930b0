"""How strong trained players of capture the flag are: several seeds, on maps that no training has seen.

In: kinds of breeding, how many seeds, a folder in which trainings lie or are made (`jumar play train`). Out: for each
training its time, the share of games that its champion wins against random and against greedy, both sides, with 95%
intervals by map; and its Elo among all of them. A training that is in the folder already is not made again, and then
its time is not told. Exits 1 if a target was missed.
Run: python benchmarks/play_strength.py [--kinds strategy] [--seeds 5] [--generations 120] [--maps 1000] [--folder DIR]
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from jumar import cli
from jumar.play import draw, roster
from jumar.play.measure import league
from jumar.play.measure.entrants import Entrant
from jumar.play.measure.ratings import Rating, Share
from table import Row, print_head, print_table, use_cores

FIRST = 500_000
RANDOM, GREEDY, MINUTES = 0.95, 0.60, 60.0


def trained(kind: str, seed: int, generations: int, folder: Path) -> tuple[Path, float | None]:
    """The champions of one training, and its minutes if it was made now."""
    place = folder / f"{kind}-{seed}"
    champions = place / "champions.json"
    if champions.exists():
        return champions, None
    start = time.perf_counter()
    words = ["--kind", kind, "--seed", str(seed), "--generations", str(generations), "--out", str(place)]
    if cli.main(["play", "train", *words]):
        sys.exit(2)
    return champions, (time.perf_counter() - start) / 60


def percent(share: Share) -> str:
    return f"{share.mean:.1%} ({share.low:.1%} to {share.high:.1%})"


def rated(rating: Rating) -> str:
    low, high = ("open" if end is None else f"{end:.0f}" for end in (rating.low, rating.high))
    return f"{rating.elo:.0f} ({low} to {high})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", default=["strategy"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--generations", type=int, default=120)
    parser.add_argument("--maps", type=int, default=1_000)
    parser.add_argument("--folder", type=Path, default=Path("strength"))
    options = parser.parse_args()
    use_cores(2)
    entrants: list[Entrant] = []
    minutes: list[float | None] = []
    for kind in options.kinds:
        for seed in range(options.seeds):
            champions, took = trained(kind, seed, options.generations, options.folder)
            entrants.append(replace(roster.named(str(champions)), name=f"{kind}, seed {seed}"))
            minutes.append(took)
    found = league.measure(entrants, draw(FIRST, options.maps), 0)
    print_head()
    print(f"{options.maps:,} maps from number {FIRST:,} on, both sides; 95% intervals by map; Elo of random is 0.")
    rows: list[Row] = []
    for one, took in zip(found.standings[: len(entrants)], minutes, strict=True):
        time_taken = "made before" if took is None else f"{took:.1f} min"
        rows.append(Row(f"{one.name}: training", time_taken, f"<= {MINUTES:.0f} min", took is None or took <= MINUTES))
        for bot, least in (("random", RANDOM), ("greedy", GREEDY)):
            record = one.against[bot]
            told = f"{percent(record.wins)} won, {record.draws.mean:.1%} drawn"
            rows.append(Row(f"{one.name}: against {bot}", told, f">= {least:.0%}", record.wins.mean >= least))
        rows.append(Row(f"{one.name}: Elo", rated(one.rating)))
    rows += [Row(f"{one.name}: Elo", rated(one.rating)) for one in found.standings[len(entrants) :]]
    sys.exit(print_table(rows))


if __name__ == "__main__":
    main()
