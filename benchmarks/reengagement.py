"""People who lapse and return: what is a decision worth in the long run, who learns it, and what can be certified?

In: rows and learners. Out: a line per learner with the true long-run value of the policies it leads to, then figures
beside targets; it exits 1 if one was missed. True values are simulated over fresh people, with the same luck for every
policy; "short view" is the best policy of all that look at the day alone, exactly.
- learners: at the end of its path, and at the best point of it, each on the same log at γ = 0.95 per day;
- certificate: ``improve(discount=0.95, per="day")`` at 99% is certified by unit, or refused with the figure; a bound
  that is printed lies below the truth;
- indifferent (the negative control): where messages change nothing, refused.
Run: python benchmarks/reengagement.py [--rows 1000000] [--learners one-step iql …] [--quick]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

import jumar
from jumar import fitting
from jumar.features import read_blocks
from jumar.learn import learners
from jumar.learn.learned import Learned
from jumar.learn.prepare import Prepared, prepare
from jumar.learn.transitions import look_ahead
from jumar.logs import Log, timeline_of
from jumar.worlds import Reengagement
from jumar.worlds.base import Policy
from table import Row, print_head, print_table, use_cores

DISCOUNT, CONFIDENCE, BETTER, SEED, TRUTH_SEED = 0.95, 0.99, 0.1, 1, 20_260_302
POINTS, MINIMUM = 5, 0.02
LOGGED_DAYS = 30  # what a certificate speaks of ends with the log


def opened(world: Reengagement, rows: int, folder: Path) -> Log:
    """The log of a world, in a file."""
    path = folder / f"{world.variant}.parquet"
    world.write(rows, SEED, path)
    return jumar.read_log(path, end="end", metrics=("opted_out:0..1",), reward_range=(0, 1))


def points(log: Log, prepared: Prepared, learned: Learned) -> list[Policy]:
    """Policies along the path of a learner."""
    path = fitting.candidates_of(log, learned, prepared, MINIMUM, POINTS, 1.0, None)
    scorer = path.scorer("pmf")

    def policy(k: int) -> Policy:
        def decide(contexts: pa.Table) -> np.ndarray:
            batches = contexts.combine_chunks().to_batches()
            return np.concatenate([scorer.run(read_blocks(batch, path.spec))[0][:, k] for batch in batches])

        return decide

    return [policy(k) for k in range(len(path.temperatures))]


def learned_by(names: Sequence[str], log: Log, prepared: Prepared) -> dict[str, tuple[Learned, float]]:
    """What each learner finds on the same rows, all from one clone and one set of production's values; and seconds."""
    start = time.perf_counter()
    base = fitting.learn(log, prepared, SEED, 5, "one-step", 0.01, 1_000, MINIMUM, lambda share: None)
    found: dict[str, tuple[Learned, float]] = {"one-step": (base, time.perf_counter() - start)}
    ahead = look_ahead(prepared.chunks, prepared.held_out)
    rows = (prepared.spec, len(log.schema.actions), prepared.chunks, ahead, base)
    for name in names:
        if name != "one-step":
            start = time.perf_counter()
            config = learners.CONFIGS[name](seed=SEED)
            found[name] = learners.LEARNERS[name](*rows, config, None), time.perf_counter() - start
    return {name: found[name] for name in names if name in found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--people", type=int, default=20_000, help="of the simulations")
    parser.add_argument("--learners", nargs="*", default=["one-step", *learners.LEARNERS])
    parser.add_argument("--certify", default="iql", help="the learner whose policy is put to the gate")
    parser.add_argument("--quick", action="store_true", help="a fifth of the rows, two learners, fewer people")
    given = parser.parse_args()
    if given.quick:
        given.rows, given.people, given.learners = given.rows // 5, 4_000, ["one-step", "iql"]
    use_cores(2)
    print_head()
    world = Reengagement(variant="founding")
    with tempfile.TemporaryDirectory() as folder:
        log = opened(world, given.rows, Path(folder))
        prepared = prepare(log, SEED, timeline=timeline_of(DISCOUNT, "day"))
        known = {"production": world.production, "short view": world.greedy, "best known": world.best}
        truth = {name: world.simulate(policy, given.people, TRUTH_SEED) for name, policy in known.items()}
        for name, run in truth.items():
            print(f"{name}: {run.value.mean:.3f} ± {run.value.error:.3f} per person, {run.messages.mean:.1f} messages")
        best = -np.inf
        for name, (learned, seconds) in learned_by(given.learners, log, prepared).items():
            runs = [world.simulate(one, given.people, TRUTH_SEED) for one in points(log, prepared, learned)]
            values = [run.value.mean for run in runs]
            best = max([best, *values])
            print(
                f"{name}: end of the path {values[-1]:.3f} with {runs[-1].messages.mean:.1f} messages, "
                f"best point {max(values):.3f}; {seconds:.0f} s",
                flush=True,
            )
        rows = [
            Row(
                "long-run value over the best short view",
                f"{best / truth['short view'].value.mean - 1:+.1%}",
                f"≥ {BETTER:+.0%}",
                best >= (1 + BETTER) * truth["short view"].value.mean,
            )
        ]
        rows += _certified(world, log, given.certify, given.people)
        nothing = opened(Reengagement(variant="indifferent"), given.rows // 5, Path(folder))
        control = _improved(nothing, given.certify).certificate
        rows.append(Row("indifferent", control.verdict, "refused", control.verdict == "refused"))
    return print_table(rows)


def _improved(log: Log, learner: str) -> jumar.Improvement:
    return jumar.improve(log, confidence=CONFIDENCE, discount=DISCOUNT, per="day", learner=learner, seed=SEED)  # type: ignore[arg-type]


def _certified(world: Reengagement, log: Log, learner: str, people: int) -> list[Row]:
    """The verdict, and where there is a bound, whether it lies below the truth."""
    result = _improved(log, learner)
    certificate = result.certificate
    said = f"{certificate.verdict}, {certificate.relative_estimate or 0:+.2%} per unit"
    if result.policy is None:
        return [Row(f"certificate at {CONFIDENCE:.0%}", said, "certified or refused with the figure", met=True)]
    both = (world.production, result.policy.pmf)
    now, then = (world.simulate(policy, people, TRUTH_SEED, days=LOGGED_DAYS) for policy in both)
    true, bound = then.gain_over(now), certificate.lower_bound or 0.0
    return [
        Row(f"certificate at {CONFIDENCE:.0%}", said, "certified or refused with the figure", met=True),
        Row("gain, at least / true", f"{bound:+.4f} / {true.mean:+.4f} ± {true.error:.4f}", "bound ≤ truth",
            bound <= true.mean + 3 * true.error),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
