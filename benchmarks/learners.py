"""One-step against direct: which learner gains more, which can prove more, on a bandit world and on digits as a bandit.

In: seeds and sizes. Out: a line per learner and log, a table, and which learner won where; it exits 1 if a promise
was missed.
- founding: the world of notifications, rare rewards, two actions; true gains are exact values over fresh contexts;
- digits: images of ten digits; production guesses them by a weak classifier and explores; the reward for the right one
  is 1. Images are drawn with jitter; truth is the mean probability of the right digit on fresh draws;
- control, on 12,000 digits: g without the bet (λ → 0) and with the bet of α = 0.001, both fitted fast and as long as
  they like on rows that they also stop by. Without the bet TRAIN must promise more that GATE does not keep.
"Share" is the true gain of the candidate that validation rows choose over the greatest gain of any policy; "bound" is
what a gate at 99.9% proves of that one candidate on GATE rows.
Run: python benchmarks/learners.py [--quick]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import jumar
from jumar.evaluate.capital import Capital, default_bets
from jumar.evaluate.sequence import primary_candidate
from jumar.features import read_blocks
from jumar.learn import DirectConfig, FitConfig, OneStep, OneStepConfig, fit_direct, fit_one_step
from jumar.learn.data import MemoryChunks, concatenate, read_columns
from jumar.learn.prepare import Prepared, prepare
from jumar.learn.tilt import tilt
from jumar.logs import Log, Part, read_for, scoring_batches
from jumar.policy.candidates import Candidates, build_candidates
from jumar.policy.path import exploration_floor
from jumar.worlds import Notifications
from table import Row, print_head, print_table, use_cores

ALPHA, NO_BET = 1e-3, 1.0 - 1e-9
EPOCHS, PATH_ROWS, COUNT, PESSIMISM = 60, 20_000, 10, 1.0
TRUTH_SEED = 20_260_302
EXPLORATION, JITTER, SEEN = 0.3, 2.0, 60
CONTROL_ROWS, CONTROL_RATE = 12_000, 5e-3
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A log, and what is true on fresh contexts.

    Attributes:
        log: what is learned from.
        contexts: fresh contexts; mean: [rows, actions] their mean rewards; now: production's value.
    """

    log: Log
    contexts: pa.Table
    mean: Floats
    now: float

    @property
    def greatest(self) -> float:
        """The greatest gain of any policy."""
        return float(self.mean.max(axis=1).mean()) - self.now


def founding(rows: int, seed: int, truth_rows: int) -> Case:
    world = Notifications()
    contexts = world.contexts(truth_rows, TRUTH_SEED)
    mean = world.mean_reward(contexts)
    now = float((world.production(contexts) * mean).sum(axis=1).mean())
    log = jumar.read_log(world.log(rows, seed), reward="reward", reward_range=(0, 1))
    return Case(log, contexts, mean, now)


def digits(rows: int, seed: int, truth_rows: int) -> Case:
    images, labels = (np.asarray(one) for one in load_digits(return_X_y=True))
    few = np.random.default_rng(TRUTH_SEED).permutation(len(labels))[:SEEN]
    weak = LogisticRegression(C=1e-3, max_iter=500).fit(images[few], labels[few])

    def drawn(count: int, rng: np.random.Generator) -> tuple[Floats, NDArray[np.int64], Floats]:
        chosen = rng.integers(0, len(labels), count)
        x = images[chosen] + JITTER * rng.normal(size=(count, images.shape[1]))
        guess = np.eye(10)[np.asarray(weak.predict(x)).astype(int)]
        return x, labels[chosen], (1 - EXPLORATION) * guess + EXPLORATION / 10

    def table(x: Floats) -> pa.Table:
        return pa.table({f"p{k:02d}": x[:, k].astype(np.float32) for k in range(x.shape[1])})

    rng = np.random.default_rng(seed)
    x, label, pmf = drawn(rows, rng)
    action = (rng.random(rows)[:, None] > pmf.cumsum(axis=1)).sum(axis=1).clip(max=9)
    columns = {
        "action": [f"d{a}" for a in action],
        "propensity": pmf[np.arange(rows), action],
        "reward": (action == label).astype(float),
    }
    logged = table(x)
    for name, values in columns.items():
        logged = logged.append_column(name, pa.array(values))
    fresh, truth, production = drawn(truth_rows, np.random.default_rng(TRUTH_SEED))
    mean = np.eye(10)[truth]
    now = float((production * mean).sum(axis=1).mean())
    return Case(jumar.read_log(logged, reward="reward", reward_range=(0, 1)), table(fresh), mean, now)


@dataclass(frozen=True)
class Found:
    """What a learner came to: true share of the greatest gain, bound, true gain, deviation, seconds."""

    share: float
    bound: float
    gain: float
    moved: float
    seconds: float


def config_of(prepared: Prepared, seed: int) -> OneStepConfig:
    """As the main job sets it."""
    batch = int(np.clip(2 ** round(np.log2(prepared.rows / 100)), 64, 2048))
    pace: dict[str, Any] = {
        "batch_rows": batch,
        "updates": int(np.clip(EPOCHS * prepared.rows / batch, 300, 3000)),
        "seed": seed,
    }
    return OneStepConfig(
        clone_fit=FitConfig(**pace, learning_rate=4e-3), value_fit=FitConfig(**pace, weight_decay=2.0), seed=seed
    )


def direct_config(log: Log, base: OneStepConfig, minimum: float, alpha: float = ALPHA) -> DirectConfig:
    slow = replace(base.value_fit, learning_rate=1e-3, weight_decay=0.0)
    return DirectConfig(alpha, log.rows_in("fit", "stop", "validate"), minimum, base, slow)


def compare(case: Case, seed: int) -> dict[str, Found]:
    """Both learners on one log."""
    log, actions = case.log, len(case.log.schema.actions)
    prepared = prepare(log, seed)
    minimum, config = exploration_floor(actions, prepared.propensities, None), config_of(prepared, seed)
    given = (prepared.spec, actions, prepared.chunks, prepared.held_out, (prepared.reward_mean, prepared.reward_scale))
    learners: dict[str, Callable[[], OneStep]] = {
        "one-step": lambda: fit_one_step(*given, config),
        "direct": lambda: fit_direct(*given, direct_config(log, config, minimum)),
    }
    found = {}
    for name, learn in learners.items():
        start = time.perf_counter()
        learned = learn()
        seconds = time.perf_counter() - start
        rows = next(iter(prepared.chunks.visit(np.random.default_rng(0))))
        some = {column: values[:PATH_ROWS] for column, values in rows.items()}
        found[name] = judged(case, build_candidates(learned, some, [minimum] * actions, COUNT, PESSIMISM), seconds)
    return found


def judged(case: Case, path: Candidates, seconds: float) -> Found:
    """Choose on validation rows, prove on GATE rows, look up the truth."""
    log, scorer, count = case.log, path.scorer("pmf", "clone"), len(path.temperatures)

    def gains(part: Part) -> Iterator[Floats]:
        for batch in log.batches(part):
            pmf, _ = scorer.run(read_blocks(batch, path.spec))
            action = np.asarray(batch.column("__action")).astype(np.int64)
            taken = np.take_along_axis(pmf.reshape(len(pmf), count, -1), action[:, None, None], axis=2)[..., 0]
            ratio = taken / np.asarray(batch.column("__propensity"))[:, None]
            yield (ratio - 1.0) * np.asarray(batch.column("__reward"))[:, None]

    d = np.concatenate(list(gains("validate")))
    moment, planned = np.square(d).mean(axis=0) + 1 / len(d), log.rows_in("fit", "stop", "validate")
    k = primary_candidate(d.mean(axis=0), moment, planned, ALPHA)
    capital = Capital(default_bets(float(moment[k]), planned, ALPHA))
    for batch in gains("gate"):
        capital.update(batch[:, k])
    pieces = []
    for _, known in scoring_batches(read_for(log.schema, case.contexts, need="features")):
        pmf, clone = scorer.run(read_blocks(known, path.spec))
        pieces.append((pmf.reshape(len(pmf), count, -1)[:, k], clone))
    pmf, clone = (np.concatenate(column) for column in zip(*pieces, strict=True))
    gain = float((pmf * case.mean).sum(axis=1).mean()) - case.now
    moved = float(0.5 * np.abs(pmf - clone).sum(axis=1).mean())
    return Found(gain / case.greatest, capital.lower_bound(ALPHA), gain, moved, seconds)


def overfit(seed: int) -> dict[str, float]:
    """What TRAIN promises less what GATE keeps of the tilt by g itself, with and without the bet."""
    log, actions = digits(CONTROL_ROWS, seed, 1_000).log, 10
    prepared = prepare(log, seed)
    assert isinstance(prepared.chunks, MemoryChunks)
    minimum = exploration_floor(actions, prepared.propensities, None)
    trained = dict(prepared.chunks.columns)
    gate = judged_rows(log, prepared)
    gaps = {}
    for name, alpha in (("with the bet", ALPHA), ("without", NO_BET)):
        config = direct_config(log, config_of(prepared, seed), minimum, alpha)
        config = replace(config, fit=replace(config.fit, patience=10_000, learning_rate=CONTROL_RATE))
        moments = (prepared.reward_mean, prepared.reward_scale)
        learned = fit_direct(prepared.spec, actions, prepared.chunks, trained, moments, config)

        @jax.jit
        def gain(rows: Any, learned: Any = learned) -> Any:
            logits, _ = learned.outputs(rows)
            pmf = tilt(logits, learned.advantage(rows, 0.0) / learned.unit, 1.0, jnp.full(actions, minimum))
            taken = jnp.take_along_axis(pmf, rows["action"][:, None], axis=1)[:, 0]
            return ((taken / rows["propensity"] - 1.0) * rows["reward"]).mean()

        promised, kept = float(gain(trained)), float(gain(gate))
        print(f"control, seed {seed}, {name}: TRAIN {promised:+.4f}, GATE {kept:+.4f}", flush=True)
        gaps[name] = promised - kept
    return gaps


def judged_rows(log: Log, prepared: Prepared) -> dict[str, Any]:
    """GATE rows as a learner sees rows; only the control looks at them so."""
    columns = concatenate(read_columns(batch, prepared.spec) for batch in log.batches("gate"))
    return {name: jnp.asarray(values) for name, values in columns.items()}


def main(given: argparse.Namespace) -> int:
    use_cores(given.cores)
    print_head()
    cases = {
        "founding": (founding, given.rows, given.seeds),
        "digits": (digits, given.digits_rows, given.digits_seeds),
    }
    if given.quick:
        cases = {"founding": (founding, 60_000, given.seeds[:1]), "digits": (digits, 12_000, given.digits_seeds[:1])}
    table = []
    for world, (make, rows, seeds) in cases.items():
        found: dict[str, list[Found]] = {"one-step": [], "direct": []}
        for seed in seeds:
            case = make(rows, seed, given.truth_rows)
            for name, one in compare(case, seed).items():
                found[name].append(one)
                print(
                    f"{world}, {rows:,} rows, seed {seed}, {name}: bound {one.bound:+.4f}, truth {one.gain:+.4f}, "
                    f"{one.share:.0%} of the greatest gain ({case.greatest:+.4f} on {case.now:.4f}), "
                    f"{one.moved:.1%} moved, {one.seconds:.0f} s",
                    flush=True,
                )
        table += rows_of(world, found)
    gaps = [overfit(seed) for seed in cases["digits"][2]]
    bet, none = (float(np.mean([gap[name] for gap in gaps])) for name in ("with the bet", "without"))
    figure = f"{bet:+.4f}, {none:+.4f}"
    table.append(Row("control: TRAIN − GATE with the bet, without", figure, "more without", none > bet))
    return print_table(table)


def rows_of(world: str, found: dict[str, list[Found]]) -> list[Row]:
    """Averages over seeds, who won, and the promise that no bound lies above its truth."""
    shares = {name: float(np.mean([one.share for one in runs])) for name, runs in found.items()}
    bounds = {name: float(np.mean([one.bound for one in runs])) for name, runs in found.items()}
    runs = [one for several in found.values() for one in several]
    within = [one.bound <= one.gain for one in runs]

    def pair(values: dict[str, float], form: str) -> str:
        return ", ".join(f"{values[name]:{form}}" for name in ("one-step", "direct"))

    return [
        Row(f"{world}: share of the greatest gain, one-step, direct", pair(shares, ".0%"), winner(shares, ".0%")),
        Row(f"{world}: bound at 99.9%, one-step, direct", pair(bounds, "+.4f"), winner(bounds, "+.4f")),
        Row(f"{world}: bound at most the true gain", f"{sum(within)}/{len(within)}", "all", all(within)),
    ]


def winner(values: dict[str, float], form: str) -> str:
    """Who has the greater value, as far as it is printed."""
    one, other = (f"{values[name]:{form}}" for name in ("one-step", "direct"))
    return "even" if one == other else f"{max(values, key=lambda name: values[name])} wins"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed of each, small logs")
    parser.add_argument("--rows", type=int, default=300_000, help="of the founding world")
    parser.add_argument("--digits-rows", type=int, default=40_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of the founding world")
    parser.add_argument("--digits-seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--truth-rows", type=int, default=100_000)
    parser.add_argument("--cores", type=int, default=2)
    sys.exit(main(parser.parse_args()))
