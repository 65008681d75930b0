"""Are propensities what they say? Decisions of every mode of exploration are replayed and held against what was logged.

For each mode, decisions with ids of their own are drawn as the service draws them. Printed are χ² of the actions
against their pmfs over all cells of a finite set of contexts (as standard deviations from what chance gives), and the
capital of the gate's own audit of weights, that they average to more or to less than 1 for policies that deviate from
what was logged: 100 would raise the alarm. A control whose logged pmfs are softer than those drawn from must fail both.

    python benchmarks/exploration.py                  # 10,000,000 decisions a mode
    python benchmarks/exploration.py --rows 1000000
"""

from __future__ import annotations

import argparse
import datetime
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jumar.evaluate.gate import GatePlan, plan_gate
from jumar.evaluate.weights import WeightAudit
from jumar.policy.exploration import Exploration, Scores, greedy, odds, parse_exploration, random_turns, softened
from jumar.policy.sampling import draw, hash_key, uniforms
from table import Row, print_head, print_table

Floats = NDArray[np.float64]
FINITE = ("policy", "floor:0.05", "softmax:2", "top-two:0.5", "thompson:0.01", "budget:5")
CONTEXTS, ACTIONS, MEMBERS, CHUNK, PER_UNIT, TARGETS = 40, 4, 8, 500_000, 7, 3
SALT, FIRST_DAY = "replay", datetime.date(2026, 1, 1)


class Replay(NamedTuple):
    """What a mode's replay showed.

    Attributes:
        mode, rows, seconds: of the replay.
        z: χ² less its degrees of freedom, in standard deviations.
        capital: the larger of the two capitals, that weights are too large and too small on average.
        most: random decisions that any unit had on one day, for budget.
    """

    mode: str
    rows: int
    z: float
    capital: float
    most: int
    seconds: float


def scores_of(rng: np.random.Generator, rows: int) -> Scores:
    """A policy, its clone and its ensemble in some contexts."""
    clone = 0.98 * rng.dirichlet(np.full(ACTIONS, 0.8), rows) + 0.02 / ACTIONS
    advantage = rng.normal(size=(rows, ACTIONS))
    members = advantage[:, None, :] + 0.8 * rng.normal(size=(rows, MEMBERS, ACTIONS))
    pmf = clone * np.exp(2.0 * advantage) + 0.01
    return Scores(pmf / pmf.sum(axis=1, keepdims=True), clone, members, np.full(ACTIONS, 0.01))


def chi_square_z(seen: Any, expected: Any) -> float:
    """χ² of counts [cells] against expected ones, in standard deviations of its law."""
    seen, expected = np.asarray(seen, float), np.asarray(expected, float)
    freedom = seen.size - 1
    return float((((seen - expected) ** 2 / expected).sum() - freedom) / np.sqrt(2 * freedom))


class Cells:
    """Counts of actions by context and pmf."""

    def __init__(self) -> None:
        self.seen: dict[tuple[int, float], Floats] = {}
        self.pmf: dict[tuple[int, float], Floats] = {}

    def add(self, context: NDArray[np.int64], chance: Floats, pmf: Floats, action: NDArray[np.int64]) -> None:
        """Rows whose pmf follows from the context and, for budget, from the chance of a turn."""
        levels, level = np.unique(chance, return_inverse=True)
        key = (level * CONTEXTS + context) * ACTIONS + action
        counts = np.bincount(key, minlength=len(levels) * CONTEXTS * ACTIONS).reshape(len(levels), CONTEXTS, ACTIONS)
        first = np.full(len(levels) * CONTEXTS, -1)
        first[(level * CONTEXTS + context)[::-1]] = np.arange(len(context))[::-1]
        for place, row in enumerate(first):
            if row >= 0:
                cell = (place % CONTEXTS, float(levels[place // CONTEXTS]))
                self.seen[cell] = self.seen.get(cell, np.zeros(ACTIONS)) + counts[place // CONTEXTS, place % CONTEXTS]
                self.pmf[cell] = pmf[row]

    def z(self) -> float:
        """Of all cells together; those without a choice must hold what they say."""
        total, freedom = 0.0, 0
        for cell, seen in self.seen.items():
            pmf, rows = self.pmf[cell], seen.sum()
            assert not seen[pmf == 0.0].any(), "an action without probability was taken"
            possible = rows * pmf >= 5.0
            if possible.sum() > 1:
                rest = seen[~possible].sum(), (rows * pmf)[~possible].sum()
                total += float(((seen - rows * pmf)[possible] ** 2 / (rows * pmf)[possible]).sum())
                total += (rest[0] - rest[1]) ** 2 / rest[1] if rest[1] > 0 else 0.0
                freedom += int(possible.sum()) - (rest[1] <= 0)
        return (total - freedom) / np.sqrt(2 * max(freedom, 1))


def counts_in_day(chunk: int, rows: int) -> tuple[list[str], NDArray[np.int64], datetime.date]:
    """Units, each decision's number of its unit and day, and the day: every chunk is one day."""
    place = np.arange(rows)
    units = [f"u{unit}" for unit in place % max(rows // PER_UNIT, 1)]  # everyone comes in turn, round after round
    return units, place // max(rows // PER_UNIT, 1) + 1, FIRST_DAY + datetime.timedelta(days=chunk)


def weights(pmf: Floats, tilts: Floats, context: NDArray[np.int64], action: NDArray[np.int64]) -> Floats:
    """π/μ of the taken actions [rows, TARGETS] for policies that tilt what was logged."""
    powers = pmf[:, None, :] * tilts[context]
    total = powers.sum(axis=2)
    return np.take_along_axis(tilts[context], action[:, None, None], axis=2)[:, :, 0] / total


def decisions(
    explore: Exploration, scores: Scores, rows: int, seed: int
) -> Iterator[tuple[NDArray[np.int64], Floats, Floats, NDArray[np.int64], int]]:
    """Chunks of contexts, chances of a turn, logged pmfs, actions, and the most random decisions of a unit and day."""
    rng, mode = np.random.default_rng(seed), str(explore)
    for chunk, start in enumerate(range(0, rows, CHUNK)):
        size = min(CHUNK, rows - start)
        context, most = rng.integers(0, CONTEXTS, size), 0
        chance, source = np.zeros(size), None
        here = Scores(scores.pmf[context], scores.clone[context], None, scores.minimum)
        if explore.turns:
            units, numbers, day = counts_in_day(chunk, size)
            turns = random_turns(SALT, day, units, explore.turns)
            chance = odds(numbers, turns, explore.turns)
            explores = numbers == turns
            source = np.where(explores[:, None], here.pmf, greedy(here.pmf))
            most = int(np.unique(np.array(units)[explores], return_counts=True)[1].max(initial=0))
            pmf = explore.pmf(here, odds=chance)
        else:
            pmf = explore.pmf(scores)[context]
        ids = [f"{mode}:{seed}:{row}" for row in range(start, start + size)]
        action, _ = draw(pmf if source is None else source, uniforms(hash_key("draw", SALT, mode), ids))
        yield context, chance, pmf, action, most


def capital_of(audit: WeightAudit) -> float:
    """The larger capital of the audits of weights."""
    found = {finding.name: finding.figures for finding in audit.findings()}
    logs = [float(str(found[name]["log_capital"])) for name in ("weights too large", "weights too small")]
    return float(np.exp(max(logs)))


def replayed(mode: str, rows: int, seed: int = 0, lie: float = 0.0) -> Replay:
    """Replay a mode.

    Args:
        mode: as ``jumar serve`` takes it.
        rows: decisions.
        seed: of the contexts.
        lie: what is logged is softer than what was drawn from, by this temperature; 0: it is the same.
    """
    began = time.perf_counter()
    explore, rng = parse_exploration(mode), np.random.default_rng(seed)
    scores = scores_of(rng, CONTEXTS)
    tilts = np.exp(rng.normal(size=(CONTEXTS, TARGETS, ACTIONS)) * np.linspace(0.3, 1.5, TARGETS)[:, None])
    value = rng.random(CONTEXTS)
    cells, audit, most = Cells(), None, 0
    for context, chance, drawn_from, action, random in decisions(explore, scores, rows, seed):
        pmf = softened(drawn_from, lie) if lie else drawn_from
        most = max(most, random)
        cells.add(context, chance, pmf, action)
        choice = (pmf > 0.0).all(axis=1)
        w = weights(pmf, tilts, context, action)[choice]
        propensity = np.take_along_axis(pmf, action[:, None], axis=1)[choice, 0]
        d = (w - 1.0) * value[context][choice, None]
        if audit is None:
            audit = WeightAudit(plan_of(w, d, rows, float(propensity.min())))
        audit.update(w, d, propensity, action[choice], None, value[context][choice])
    assert audit is not None
    return Replay(mode, rows, cells.z(), capital_of(audit), most, time.perf_counter() - began)


def plan_of(w: Floats, d: Floats, rows: int, floor: float) -> GatePlan:
    """A gate's plan, whose bounds the audit uses."""
    return plan_gate(
        temperatures=[None] * TARGETS,
        policy_sha256=["0" * 64] * TARGETS,
        rows_planned=rows,
        supported=np.ones(ACTIONS, np.bool_),
        validation_d=d[:50_000],
        validation_w=w[:50_000],
        confidence=0.999,
        propensity_floor=floor,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--modes", nargs="+", default=[*FINITE])
    given = parser.parse_args()
    print_head()
    rows = []
    for mode in given.modes:
        found = replayed(mode, given.rows, given.seed)
        print(f"{mode}: {found.rows:,} decisions in {found.seconds:.0f} s", flush=True)
        rows.append(Row(f"{mode}: χ², standard deviations", f"{found.z:.2f}", "< 4.5", found.z < 4.5))
        rows.append(Row(f"{mode}: capital of E[w] = 1", f"{found.capital:.3g}", "< 100", found.capital < 100.0))
        if found.most:
            most = found.most
            rows.append(Row(f"{mode}: random decisions of a unit and day", f"at most {most}", "≤ 1", most <= 1))
    control = replayed("softmax:2", min(given.rows, 1_000_000), given.seed, lie=1.1)
    broken = control.z > 6.0 and control.capital > 100.0
    told = f"{control.z:.0f}, {control.capital:.3g}"
    rows.append(Row("control, logged too soft: both", told, "> 6, > 100", broken))
    raise SystemExit(print_table(rows))


if __name__ == "__main__":
    main()
