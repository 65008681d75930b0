"""The founding world, whose truth is known: what is certified, how much of the gain, and is nothing refused wrongly?

In: seeds and sizes. Out: a line per run, then figures beside targets; it exits 1 if one was missed.
- founding: certified at 99.9%, with at least 70% of the greatest gain that any policy could have (one that gives up
  all exploration included), a lower bound below the true gain, and no less deviation at less confidence;
- optimal (production is already the best policy that explores as much) and indifferent (the action does not
  matter): refused for every seed.
True gains are averages of exact values over fresh contexts.
Run: python benchmarks/certify.py [--quick]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

import jumar
from jumar.improvement import Improvement
from jumar.worlds import Notifications
from table import Row, print_head, print_table, use_cores

CONFIDENCE = 0.999
CONFIDENCES = (0.99, 0.999, 0.9999)
SHARE = 0.7
TRUTH_SEED = 20_260_302


@dataclass(frozen=True)
class Truth:
    """Values per decision: of production, and of the best policy of all, which does not explore."""

    production: float
    best: float
    rows: int

    @classmethod
    def of(cls, world: Notifications, rows: int) -> Truth:
        def greedy(contexts: pa.Table) -> np.ndarray:
            return np.eye(2)[world.mean_reward(contexts).argmax(axis=1)]

        now, best = (world.value(policy, rows, TRUTH_SEED) for policy in (world.production, greedy))
        return cls(now, best, rows)


def run(world: Notifications, rows: int, seed: int, confidence: float) -> tuple[Improvement, float]:
    """Write a log, improve on it; the result and the seconds that took."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        world.write(rows, seed, path)
        start = time.perf_counter()
        log = jumar.read_log(path, reward="reward", reward_range=(0, 1))
        return jumar.improve(log, confidence=confidence, seed=seed), time.perf_counter() - start


def founding(rows: int, seeds: list[int], confidences: tuple[float, ...], truth_rows: int) -> list[Row]:
    world = Notifications()
    truth = Truth.of(world, truth_rows)
    most = truth.best - truth.production
    print(f"\nfounding: production {truth.production:.4f}, greatest gain {most:+.4f} ({most / truth.production:+.1%})")
    certified, shares, within, monotone = [], [], [], []
    for seed in seeds:
        changes = []
        for confidence in confidences:
            result, seconds = run(world, rows, seed, confidence)
            certificate, policy = result.certificate, result.policy
            changes.append(certificate.deviation.changed if policy and certificate.deviation else 0.0)
            gain = world.value(policy.pmf, truth.rows, TRUTH_SEED) - truth.production if policy else 0.0
            bound = certificate.lower_bound if policy and certificate.lower_bound is not None else 0.0
            print(
                f"seed {seed}, {confidence:.2%}: {certificate.verdict}, bound {bound:+.4f}, truth {gain:+.4f}, "
                f"{gain / most:.0%} of the greatest gain, {changes[-1]:.1%} changed, {seconds:.0f} s",
                flush=True,
            )
            within.append(bound <= gain)
            if confidence == CONFIDENCE:
                certified.append(certificate.verdict == "certified")
                shares.append(gain / most)
        monotone.append(all(less >= more for less, more in pairwise(changes)))
    runs = len(seeds)
    least = min(shares)
    return [
        Row("founding: certified at 99.9%", f"{sum(certified)}/{runs}", "all", all(certified)),
        Row("founding: least share of the greatest gain", f"{least:.0%}", f"≥ {SHARE:.0%}", least >= SHARE),
        Row("founding: bound at most the true gain", f"{sum(within)}/{len(within)}", "all", all(within)),
        Row("founding: more confidence, no more change", f"{sum(monotone)}/{runs}", "all", all(monotone)),
    ]


def nulls(rows: int, seeds: list[int]) -> list[Row]:
    table = []
    for variant in ("optimal", "indifferent"):
        world = Notifications(variant=variant)
        refused = []
        print(f"\n{variant}: nothing to gain")
        for seed in seeds:
            result, seconds = run(world, rows, seed, CONFIDENCE)
            refused.append(result.certificate.verdict == "refused")
            best = max((point.log_capital for point in result.summary.walk), default=float("-inf"))
            print(
                f"seed {seed}: {result.certificate.verdict}, greatest log capital {best:.1f} "
                f"(released at {np.log(1 / (1 - CONFIDENCE)):.1f}), {seconds:.0f} s",
                flush=True,
            )
        table.append(Row(f"{variant}: refused", f"{sum(refused)}/{len(seeds)}", "all", all(refused)))
    return table


def main(given: argparse.Namespace) -> int:
    use_cores(given.cores)
    print_head()
    rows, truth_rows = given.rows, given.truth_rows
    seeds, null_seeds = given.seeds, given.null_seeds
    if given.quick:
        rows, truth_rows, seeds, null_seeds = 100_000, 200_000, seeds[:1], null_seeds[:1]
        print("quick: 100,000 rows and one seed; the promised share is for 300,000")
    table = founding(rows, seeds, CONFIDENCES, truth_rows) if seeds else []
    return print_table(table + (nulls(rows, null_seeds) if null_seeds else []))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed of each, 100,000 rows")
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3], help="of the founding world")
    parser.add_argument("--null-seeds", type=int, nargs="*", default=list(range(11, 21)))
    parser.add_argument("--truth-rows", type=int, default=1_000_000)
    parser.add_argument("--cores", type=int, default=2)
    sys.exit(main(parser.parse_args()))
