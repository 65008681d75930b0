"""Updates per second of the shared fit loop against d3rlpy's DiscreteCQL, in turns, on the same transitions.

What is compared: one Q-network of two hidden layers of 64, batches of 256, float32, CPU, and per update the same
arithmetic: a Double-DQN target from the next state (online network picks, target network values), a Huber error,
and the conservative term log Σ exp Q − Q(a); gradients; Adam. Ours runs inside ``jumar.learn.loop.fit`` and
includes all that it adds: gradient clipping, AdamW under a cosine, the running average of parameters, and looks at
held-out rows. Its target network stays as it was at the start; d3rlpy copies its own every 8000 updates.
d3rlpy runs its own ``fit`` with logging, progress bar and saving switched off; "update" is its update step alone,
on a batch already drawn. Both are timed with one thread and with its default number, and the faster counts.
Compilation and warm-up are left out on both sides; ours is printed. With ``--one-step`` ours leaves the next state
out, as ``jumar improve`` does, while d3rlpy goes on as before.

In: an interpreter that has d3rlpy (``--peer-python``). Out: a table; it exits 1 below the target.
Run: python benchmarks/learn_speed.py --peer-python PYTHON
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

FEATURES, ACTIONS, HIDDEN, BATCH, STEPS = 16, 2, (64, 64), 256, 10
DISCOUNT, ALPHA, LEARNING_RATE = 0.99, 1.0, 1e-3
TARGET = 20.0
WARM_UP = 30


def make_transitions(rows: int, seed: int) -> dict[str, np.ndarray]:
    """Episodes of ten steps: features drift, the action helps on one side of a line."""
    rng = np.random.default_rng(seed)
    rows -= rows % STEPS
    noise = rng.normal(size=(rows // STEPS, STEPS, FEATURES))
    observation = (noise[:, :1] + 0.3 * noise.cumsum(axis=1)).reshape(rows, FEATURES).astype(np.float32)
    action = rng.integers(0, ACTIONS, rows)
    reward = rng.random(rows) < 1 / (1 + np.exp(-observation[:, 0] * (2 * action - 1)))
    terminal = np.tile(np.arange(STEPS) == STEPS - 1, rows // STEPS)
    following = np.where(terminal[:, None], 0.0, np.roll(observation, -1, axis=0))
    return {
        "observation": observation,
        "action": action.astype(np.int32),
        "reward": reward.astype(np.float32),
        "following": following.astype(np.float32),
        "terminal": terminal.astype(np.float32),
    }


def run_ours(data: dict[str, np.ndarray], updates: int, *, one_step: bool = False) -> dict[str, float]:
    """Updates per second between the first look at held-out rows and the last, and the seconds before."""
    import jax
    import jax.numpy as jnp
    import optax

    from jumar.learn.data import MemoryChunks
    from jumar.learn.loop import FitConfig, fit
    from jumar.learn.networks import apply_stack, init_stack

    params = {"net": init_stack(np.random.default_rng(0), 1, (FEATURES, *HIDDEN, ACTIONS))}
    target = params["net"]

    def loss(params: Any, batch: Any) -> jax.Array:
        taken = batch["action"][:, None]
        q = apply_stack(params["net"], batch["observation"])[0]
        wanted = batch["reward"]
        if not one_step:
            picked = apply_stack(params["net"], batch["following"])[0].argmax(axis=1)[:, None]
            valued = jnp.take_along_axis(apply_stack(target, batch["following"])[0], picked, axis=1)[:, 0]
            wanted += DISCOUNT * (1 - batch["terminal"]) * valued
        own = jnp.take_along_axis(q, taken, axis=1)[:, 0]
        conservative = jax.nn.logsumexp(q, axis=1) - own
        return (optax.huber_loss(own, jax.lax.stop_gradient(wanted)) + ALPHA * conservative).mean()

    kept = len(data["action"]) // 20
    chunks = MemoryChunks.of({name: values[kept:] for name, values in data.items()}, seed=0)
    held_out = {name: jax.device_put(values[:kept]) for name, values in data.items()}
    config = FitConfig(batch_rows=BATCH, learning_rate=LEARNING_RATE, updates=updates, patience=updates)
    looks: list[float] = []
    start = time.perf_counter()
    result = fit(loss, params, chunks, held_out, config, lambda share, loss: looks.append(time.perf_counter()))
    per_look = result.updates // len(looks)
    return {
        "rate": (result.updates - per_look) / (looks[-1] - looks[0]),
        "first": looks[0] - start,
        "updates": result.updates - per_look,
        "loss": result.loss,
    }


def run_peer(data: dict[str, np.ndarray], updates: int, threads: int) -> dict[str, Any]:
    """Updates per second of d3rlpy's ``fit`` and of its update step alone; 0 threads are its default."""
    import logging

    structlog: Any = importlib.import_module("structlog")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    torch: Any = importlib.import_module("torch")
    d3rlpy: Any = importlib.import_module("d3rlpy")
    if threads:
        torch.set_num_threads(threads)
    dataset = d3rlpy.dataset.MDPDataset(
        observations=data["observation"],
        actions=data["action"].reshape(-1, 1),
        rewards=data["reward"].reshape(-1, 1),
        terminals=data["terminal"],
        action_size=ACTIONS,
    )
    learner = d3rlpy.algos.DiscreteCQLConfig(
        batch_size=BATCH,
        gamma=DISCOUNT,
        alpha=ALPHA,
        learning_rate=LEARNING_RATE,
        encoder_factory=d3rlpy.models.VectorEncoderFactory(hidden_units=list(HIDDEN), activation="relu"),
    ).create(device=False)
    quiet = {
        "show_progress": False,
        "logger_adapter": d3rlpy.logging.NoopAdapterFactory(),
        "save_interval": updates,
    }
    learner.fit(dataset, n_steps=WARM_UP, n_steps_per_epoch=WARM_UP, **quiet)
    start = time.perf_counter()
    learner.fit(dataset, n_steps=updates, n_steps_per_epoch=updates, **quiet)
    rate = updates / (time.perf_counter() - start)
    batch = dataset.sample_transition_batch(BATCH)
    start = time.perf_counter()
    for _ in range(updates):
        learner.update(batch)
    alone = updates / (time.perf_counter() - start)
    versions = f"d3rlpy {d3rlpy.__version__}, torch {torch.__version__}"
    return {"rate": rate, "alone": alone, "threads": torch.get_num_threads(), "versions": versions}


def ask_peer(python: str, path: Path, updates: int, threads: int) -> dict[str, Any]:
    """``run_peer`` in its own interpreter."""
    command = [python, __file__, "--as-peer", str(path), "--peer-updates", str(updates), "--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{python} could not run d3rlpy; see benchmarks/README.md\n{done.stderr[-1500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main(given: argparse.Namespace) -> int:
    from table import Row, print_head, print_table, use_cores

    use_cores(given.cores)
    print_head()
    data = make_transitions(given.rows, seed=1)
    pairs: list[tuple[float, float]] = []
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "transitions.npz"
        np.savez(path, allow_pickle=False, **data)
        for place in range(given.pairs):
            ours = run_ours(data, given.updates, one_step=given.one_step)
            peers = [ask_peer(given.peer_python, path, given.peer_updates, threads) for threads in (1, 0)]
            if place == 0:
                print(f"{given.rows:,} transitions of {FEATURES} features; {peers[0]['versions']}")
            fastest = max(peers, key=lambda peer: peer["rate"])
            alone = max(peer["alone"] for peer in peers)
            pairs.append((ours["rate"] / fastest["rate"], ours["rate"] / alone))
            print(
                f"pair {place + 1}: ours {ours['rate']:,.0f} updates/s ({ours['updates']:,} of them; "
                f"{ours['first']:.1f} s to compile and for the first look), d3rlpy {fastest['rate']:,.0f} "
                f"(threads: {fastest['threads']}), its update alone {alone:,.0f}; "
                f"ratio {pairs[-1][0]:.1f}, to the update alone {pairs[-1][1]:.1f}",
                flush=True,
            )
    ratio, strict = np.median(np.array(pairs), axis=0)
    rows.append(Row("updates per second, ours / d3rlpy, median", f"{ratio:.1f}", f"≥ {TARGET:.0f}", ratio >= TARGET))
    rows.append(Row("the same against its update step alone", f"{strict:.1f}"))
    return print_table(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter that has d3rlpy")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--updates", type=int, default=40_000, help="of ours, in each pair")
    parser.add_argument("--peer-updates", type=int, default=2_000, help="of d3rlpy, in each pair and for each timing")
    parser.add_argument("--one-step", action="store_true", help="ours looks at no next state")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--as-peer", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.as_peer:
        loaded = dict(np.load(arguments.as_peer))
        print(json.dumps(run_peer(loaded, arguments.peer_updates, arguments.threads)))
    else:
        sys.exit(main(arguments))
