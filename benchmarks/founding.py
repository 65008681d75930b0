"""The founding result: a fifth fewer notifications at no loss of value, certified; and the best within a budget.

In: seeds and sizes. Out: a line per run, then figures beside targets; it exits 1 if one was missed.
- reduce: ``improve(reduce=["send=0.2"])`` is certified at 99.9%; in truth the policy sends a fifth less and loses
  nothing;
- budget: ``improve(budget="send=0.4")`` is certified; in truth it sends in at most 40% of the decisions, and comes near
  the best policy within that budget that keeps the exploration;
- impossible (the negative control): the same demand where production is already the best policy for any share of sends
  is refused.
True figures are averages of exact values over fresh contexts.
Run: python benchmarks/founding.py [--quick]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import jumar
from jumar.improvement import Improvement
from jumar.worlds import Notifications
from jumar.worlds.base import Policy
from table import Row, print_head, print_table, use_cores

CONFIDENCE, FEWER, BUDGET, SHARE = 0.999, 0.2, 0.4, 0.6
TRUTH_SEED = 20_260_302


@dataclass(frozen=True)
class Truth:
    """Mean reward per decision, and the share of decisions in which it sends."""

    value: float
    sends: float

    @classmethod
    def of(cls, world: Notifications, policy: Policy, rows: int) -> Truth:
        contexts = world.contexts(rows, TRUTH_SEED)
        pmf = policy(contexts)
        return cls(float((pmf * world.mean_reward(contexts)).sum(axis=1).mean()), float(pmf[:, 1].mean()))


def best_within(world: Notifications, sends: float, rows: int) -> Truth:
    """The best policy that keeps the exploration and sends in at most that share: a threshold on the true gap."""

    def policy(contexts: pa.Table) -> np.ndarray:
        mean = world.mean_reward(contexts)
        gap = mean[:, 1] - mean[:, 0]
        floor = world.exploration / 2
        free = (sends - floor) / (1 - 2 * floor)
        send = gap > max(float(np.quantile(gap, 1 - free)), 0.0)
        return np.where(send[:, None], [floor, 1 - floor], [1 - floor, floor])

    return Truth.of(world, policy, rows)


def run(world: Notifications, rows: int, seed: int, **asked: Any) -> tuple[Improvement, float]:
    """Write a log, improve on it; the result and the seconds that took."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        world.write(rows, seed, path)
        start = time.perf_counter()
        log = jumar.read_log(path, reward="reward", reward_range=(0, 1))
        return jumar.improve(log, confidence=CONFIDENCE, seed=seed, **asked), time.perf_counter() - start


def told(name: str, seed: int, result: Improvement, truth: Truth | None, now: Truth, seconds: float) -> None:
    """One line of a run."""
    certificate = result.certificate
    real = "no policy" if truth is None else (
        f"truth {truth.value / now.value - 1:+.2%} value with {truth.sends / now.sends - 1:+.1%} sends"
    )  # fmt: skip
    bound = certificate.relative_lower_bound
    print(
        f"{name}, seed {seed}: {certificate.verdict}, at least {bound if bound is None else format(bound, '+.2%')}; "
        f"{real}; {seconds:.0f} s",
        flush=True,
    )
    for claim in certificate.claims:
        if claim.required:
            print(f"    {claim.verdict}: {claim.claim} by {claim.estimate:+.4f}, at least {claim.lower_bound:+.4f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--truth-rows", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="one seed, 400,000 decisions")
    given = parser.parse_args()
    rows, seeds = (400_000, [1]) if given.quick else (given.rows, given.seeds)
    use_cores(2)
    print_head()
    world = Notifications()
    now = Truth.of(world, world.production, given.truth_rows)
    best = best_within(world, BUDGET, given.truth_rows)
    most = best.value - now.value
    print(f"production: {now.value:.4f}, sends {now.sends:.1%}; best with at most {BUDGET:.0%}: {most:+.4f}")
    figures: dict[str, list[bool]] = {name: [] for name in ("reduce", "reduce true", "budget", "budget true", "bound")}
    shares = []
    for seed in seeds:
        for name, asked in (("reduce", {"reduce": [f"send={FEWER}"]}), ("budget", {"budget": f"send={BUDGET}"})):
            result, seconds = run(world, rows, seed, **asked)
            truth = None if result.policy is None else Truth.of(world, result.policy.pmf, given.truth_rows)
            told(name, seed, result, truth, now, seconds)
            figures[name].append(result.certificate.verdict == "certified")
            if truth is None:
                continue
            limit = (1 - FEWER) * now.sends if name == "reduce" else BUDGET
            figures[f"{name} true"].append(truth.sends <= limit and truth.value >= now.value)
            figures["bound"].append((result.certificate.lower_bound or 0.0) <= truth.value - now.value)
            if name == "budget":
                shares.append((truth.value - now.value) / most)
    optimal = Notifications(variant="optimal")
    control, seconds = run(optimal, rows // 4, seeds[0] if seeds else 1, reduce=[f"send={FEWER}"])
    told("impossible", seeds[0] if seeds else 1, control, None, now, seconds)

    def all_of(name: str) -> str:
        return f"{sum(figures[name])}/{len(figures[name])}"

    return print_table(
        [
            Row("20% fewer sends at no loss, certified at 99.9%", all_of("reduce"), "all", all(figures["reduce"])),
            Row("in truth 20% fewer and no loss", all_of("reduce true"), "all", all(figures["reduce true"])),
            Row("best within 40% sends, certified at 99.9%", all_of("budget"), "all", all(figures["budget"])),
            Row("in truth within 40% and no loss", all_of("budget true"), "all", all(figures["budget true"])),
            Row("share of the best gain within 40%", ", ".join(f"{s:.0%}" for s in shares), f"≥ {SHARE:.0%}",
                all(s >= SHARE for s in shares)),
            Row("lower bound ≤ truth", all_of("bound"), "all", all(figures["bound"])),
            Row("20% fewer where that costs value", control.certificate.verdict, "refused",
                control.certificate.verdict == "refused"),
        ]
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
