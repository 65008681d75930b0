"""Learners on logs of Gymnasium environments, beside d3rlpy's at the same network, batch and number of updates.

In: environments, seeds, and an interpreter that has d3rlpy and Gymnasium (``--peer-python``; without it only ours are
run). Out: for each environment the mean return of greedy play for every learner over seeds, updates per second and
seconds; it exits 1 if the best of ours brings less than the best of theirs by more than two standard errors, or makes
fewer than twenty times the updates per second. Logs of 100,000 steps are written by mixtures of hand-made rules of
different quality, each with random actions mixed in, so propensities are exact and the best of them can be beaten.
Run: python benchmarks/environments.py [--envs CartPole-v1 …] [--seeds 1 2 …] [--peer-python PYTHON]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from table import Row, print_head, print_table, run_child, use_cores

STEPS, DISCOUNT, HIDDEN, BATCH, UPDATES, EPISODES = 100_000, 0.99, (64, 64), 256, 10_000, 50
RANGES = {"CartPole-v1": (0.0, 1.0), "Acrobot-v1": (-1.0, 0.0), "LunarLander-v3": (-400.0, 400.0)}
FASTER = 20.0

PEER = """
import json, sys, time, numpy as np, d3rlpy, gymnasium as gym
from d3rlpy.models.encoders import VectorEncoderFactory
name, data, seed, updates, batch, episodes, env_name = sys.argv[1:8]
d3rlpy.seed(int(seed))
rows = np.load(data)
dataset = d3rlpy.dataset.MDPDataset(
    rows["observation"], rows["action"][:, None], rows["reward"][:, None], rows["end"], rows["timeout"],
    action_space=d3rlpy.ActionSpace.DISCRETE, action_size=int(rows["actions"]))
factory = VectorEncoderFactory(hidden_units=[64, 64])
common = dict(batch_size=int(batch), gamma=0.99)
makers = {
    "DiscreteCQL": lambda: d3rlpy.algos.DiscreteCQLConfig(encoder_factory=factory, **common),
    "DiscreteBCQ": lambda: d3rlpy.algos.DiscreteBCQConfig(encoder_factory=factory, **common),
    "DiscreteSAC": lambda: d3rlpy.algos.DiscreteSACConfig(
        actor_encoder_factory=factory, critic_encoder_factory=factory, **common),
}
algo = makers[name]().create(device="cpu:0")
algo.build_with_dataset(dataset)
silent = d3rlpy.logging.NoopAdapterFactory()
algo.fit(dataset, n_steps=50, n_steps_per_epoch=50, logger_adapter=silent, show_progress=False, save_interval=10**9)
start = time.perf_counter()
algo.fit(dataset, n_steps=int(updates), n_steps_per_epoch=int(updates), logger_adapter=silent, show_progress=False,
         save_interval=10**9)
seconds = time.perf_counter() - start
env, returns = gym.make(env_name), []
for episode in range(int(episodes)):
    shown, _ = env.reset(seed=10_000 + episode)
    total = 0.0
    while True:
        shown, reward, ended, cut, _ = env.step(int(algo.predict(np.asarray(shown, np.float32)[None])[0]))
        total += reward
        if ended or cut:
            break
    returns.append(total)
print(json.dumps({"return": float(np.mean(returns)), "seconds": seconds}))
"""


def rules(environment: str) -> list[tuple[float, Callable[[np.ndarray], np.ndarray] | None]]:
    """Weights and behaviours of a mixture: from random to decent."""

    def greedy(score: Callable[[np.ndarray], np.ndarray], actions: int) -> Callable[[np.ndarray], np.ndarray]:
        return lambda shown: np.eye(actions)[score(shown)]

    if environment == "CartPole-v1":
        lean = greedy(lambda x: (x[:, 2] > 0).astype(int), 2)
        fall = greedy(lambda x: (x[:, 2] + 0.3 * x[:, 3] > 0).astype(int), 2)
        return [(0.3, None), (0.4, lean), (0.3, fall)]
    if environment == "Acrobot-v1":
        pump = greedy(lambda x: np.where(x[:, 5] > 0, 2, 0), 3)
        return [(0.5, None), (0.5, pump)]

    def land(x: np.ndarray) -> np.ndarray:
        tilt = 0.5 * x[:, 4] + x[:, 5] - 0.3 * (x[:, 0] + x[:, 2])
        falling = x[:, 3] < -0.25 - 0.2 * np.maximum(x[:, 1], 0)
        return np.where(falling, 2, np.where(tilt > 0.1, 3, np.where(tilt < -0.1, 1, 0)))

    return [(0.4, None), (0.6, greedy(land, 4))]


def collected(environment: str, seed: int) -> pa.Table:
    """The log of one environment and seed."""
    from jumar.worlds import gym_logs

    return gym_logs.collect(environment, STEPS, rules(environment), epsilon=0.3, seed=seed)


def played(environment: str, decide: Callable[[np.ndarray], np.ndarray]) -> float:
    """Mean return of greedy play, all episodes side by side, on the same starts for everybody."""
    import gymnasium

    envs = [gymnasium.make(environment) for _ in range(EPISODES)]
    shown = np.stack([env.reset(seed=10_000 + place)[0] for place, env in enumerate(envs)])
    total, going = np.zeros(EPISODES), np.ones(EPISODES, bool)
    while going.any():
        action = decide(shown)
        for place in np.flatnonzero(going):
            seen, reward, ended, cut, _ = envs[place].step(int(action[place]))
            shown[place] = seen
            total[place] += float(reward)
            going[place] = not (ended or cut)
    return float(total.mean())


def ours(environment: str, table: pa.Table, seed: int, updates: int) -> dict[str, tuple[float, float, float]]:
    """Return, updates per second without compilation, and seconds with it, of every learner."""
    import jumar
    from jumar.features import Blocks
    from jumar.learn import FitConfig, OneStepConfig, fit_one_step, learners
    from jumar.learn.prepare import prepare
    from jumar.learn.transitions import look_ahead
    from jumar.logs import timeline_of
    from jumar.policy.candidates import build_candidates

    log = jumar.read_log(table, end="end", ignore=("step", "checkpoint", "truncated"), reward_range=RANGES[environment])
    prepared = prepare(log, seed, timeline=timeline_of(DISCOUNT))
    actions, found = len(log.schema.actions), {}
    fit = FitConfig(batch_rows=BATCH, learning_rate=2e-3, updates=updates // 2, evaluations=10, seed=seed)
    moments = (prepared.reward_mean, prepared.reward_scale)
    start = time.perf_counter()
    config = OneStepConfig(members=5, hidden=HIDDEN, clone_hidden=HIDDEN, clone_fit=fit, value_fit=fit, seed=seed)
    base = fit_one_step(prepared.spec, actions, prepared.chunks, prepared.held_out, moments, config)
    made = [("one-step", base, time.perf_counter() - start, 0.0)]
    ahead = look_ahead(prepared.chunks, prepared.held_out)
    for name in learners.LEARNERS:
        if name in ("cloning", "direct"):  # neither is made to go far from production
            continue
        start = time.perf_counter()
        looks: list[float] = []
        steps = learners.CONFIGS[name](members=1 if name not in ("sac-n", "crr") else 5, hidden=HIDDEN, seed=seed)
        steps = replace(steps, fit=replace(steps.fit, batch_rows=BATCH, updates=updates, seed=seed))

        def told(share: float, loss: float, looks: list[float] = looks) -> None:
            looks.append(time.perf_counter())

        learned = learners.LEARNERS[name](prepared.spec, actions, prepared.chunks, ahead, base, steps, told)
        rate = updates * (len(looks) - 1) / len(looks) / (looks[-1] - looks[0]) if len(looks) > 1 else 0.0
        made.append((name, learned, time.perf_counter() - start, rate))
    for name, learned, seconds, rate in made:
        path = build_candidates(learned, prepared.held_out, [0.0] * actions, 1, 0.0)
        scorer, columns = path.scorer("pmf"), [column.name for column in prepared.spec.numbers]
        places = [int(column.removeprefix("obs_")) for column in columns]

        def decide(shown: np.ndarray, scorer: Any = scorer, places: list[int] = places) -> np.ndarray:
            numbers = np.ascontiguousarray(shown[:, places], np.float32)
            return scorer.run(Blocks(numbers, np.zeros((len(shown), 0), np.int32), ()))[0].argmax(axis=1)

        found[name] = (played(environment, decide), rate, seconds)
    return found


def theirs(
    python: str, environment: str, table: pa.Table, seed: int, updates: int
) -> dict[str, tuple[float, float, float]]:
    """Return, updates per second and seconds of d3rlpy's learners."""
    found: dict[str, tuple[float, float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npz"
        width = sum(name.startswith("obs_") for name in table.column_names)
        action = np.asarray(table["action"])
        np.savez(
            path,
            observation=np.stack([np.asarray(table[f"obs_{i}"]) for i in range(width)], axis=1).astype(np.float32),
            action=action,
            reward=np.asarray(table["reward"]).astype(np.float32),
            end=np.asarray(table["end"]).astype(np.float32),
            timeout=np.asarray(table["truncated"]).astype(np.float32),
            actions=len(np.unique(action)),
        )
        for name in ("DiscreteCQL", "DiscreteBCQ", "DiscreteSAC"):
            words = [name, str(path), str(seed), str(updates), str(BATCH), str(EPISODES), environment]
            child = run_child([python, "-c", PEER, *words])
            if child.code:
                print(child.output[-1_500:])
                continue
            said = json.loads(child.output.strip().splitlines()[-1])
            found[name] = said["return"], updates / said["seconds"], said["seconds"]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envs", nargs="*", default=["CartPole-v1", "Acrobot-v1"], choices=list(RANGES))
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3, 4, 5])
    parser.add_argument("--updates", type=int, default=UPDATES)
    parser.add_argument("--peer-python")
    given = parser.parse_args()
    use_cores(2)
    print_head()
    rows: list[Row] = []
    for environment in given.envs:
        mine: dict[str, list[tuple[float, float, float]]] = {}
        peer: dict[str, list[tuple[float, float, float]]] = {}
        for seed in given.seeds:
            table = collected(environment, seed)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "log.parquet"
                pq.write_table(table, path)
                for name, figures in ours(environment, pq.read_table(path), seed, given.updates).items():
                    mine.setdefault(name, []).append(figures)
            if given.peer_python:
                for name, pair in theirs(given.peer_python, environment, table, seed, given.updates).items():
                    peer.setdefault(name, []).append(pair)
        rows += _rows(environment, mine, peer)
    return print_table(rows)


def _rows(
    environment: str,
    mine: dict[str, list[tuple[float, float, float]]],
    peer: dict[str, list[tuple[float, float, float]]],
) -> list[Row]:
    """Lines of one environment, and its targets where there is a peer."""
    print(f"\n{environment}: mean return by seed, updates per second, seconds")
    means = {}
    for name, runs in (*mine.items(), *peer.items()):
        returns = [run[0] for run in runs]
        means[name] = float(np.mean(returns)), float(np.std(returns) / np.sqrt(len(returns)))
        rate, seconds = (float(np.mean([run[place] for run in runs])) for place in (1, 2))
        each = " ".join(f"{one:.0f}" for one in returns)
        print(f"  {name:12} {means[name][0]:8.1f}  {each:30} {rate:9,.0f}/s {seconds:6.1f} s")
    if not peer:
        return [Row(f"{environment}: best of ours", f"{max(means[name][0] for name in mine):.1f}")]
    best, other = max(mine, key=lambda name: means[name][0]), max(peer, key=lambda name: means[name][0])
    error = float(np.hypot(means[best][1], means[other][1]))
    ratio = np.mean([run[1] for run in mine["cql"]]) / np.mean([run[1] for run in peer["DiscreteCQL"]])
    return [
        Row(
            f"{environment}: {best} against {other}",
            f"{means[best][0]:.1f} / {means[other][0]:.1f}",
            "no less",
            means[best][0] >= means[other][0] - 2 * error,
        ),
        Row(f"{environment}: updates, cql / DiscreteCQL", f"{ratio:.1f}", f"≥ {FASTER:.0f}", bool(ratio >= FASTER)),
    ]


if __name__ == "__main__":
    sys.exit(main())
