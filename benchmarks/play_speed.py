"""How fast capture the flag is played, against a plain NumPy loop of the same rules and against PettingZoo's face.

In: sizes. Out: full games per second with senses and one network per genome, from 64 boards to 16,384, beside the NumPy
loop (`plain_game.py`) with the same networks; steps per second through the environment, one by one and all at once,
whose games must be those of the compiled rules; and how the bots do on 1,000 maps. All on two cores, compilation left
out and printed by itself. Exits 1 if a target was missed.
Run: python benchmarks/play_speed.py [--quick]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jumar.play import GREEDY, RANDOM, Policy, capture_the_flag_v0, draw, maps, play, rules, senses
from jumar.play.aec import AGENTS, CYCLES
from jumar.play.match import outcome
from jumar.play.rules import DRAW, LIMIT, RED
from plain_game import play_plain
from table import Row, print_head, print_table, use_cores

HIDDEN, FASTER = 16, 10.0
BOARDS = (64, 256, 1_024, 4_096, 16_384)
ONE = jnp.zeros(1)


def network(params: Any, sensed: Any, mask: Any, key: Any) -> jax.Array:
    return jnp.tanh(sensed @ params[0]) @ params[1]


NETWORK = Policy(network)


def genomes(count: int, seed: int) -> tuple[jax.Array, jax.Array]:
    """Networks of random weights, one per genome."""
    first, second = jax.random.split(jax.random.key(seed))
    wide = jax.random.normal(first, (count, senses.SIZE, HIDDEN)), jax.random.normal(second, (count, HIDDEN, 5))
    return wide[0] / 5, wide[1] / 4


def timed(run: Callable[[], Any], repeats: int = 2) -> tuple[float, float]:
    """Seconds of the first run, which compiles, and of the fastest of those that follow."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        jax.block_until_ready(run())
        seconds.append(time.perf_counter() - start)
    return seconds[0], min(seconds[1:])


def compiled(boards: int) -> tuple[float, float]:
    """Games per second of 64 maps and as many genomes as fill the boards, each against a network of its own."""
    per_genome = min(16, boards)
    count = boards // per_genome
    fields = jax.device_put(draw(1, per_genome))
    reds, blues = genomes(count, 1), genomes(count, 2)
    first, best = timed(lambda: play(fields, NETWORK, reds, NETWORK, blues, jax.random.key(0), paired=True).winner)
    return boards / best, first - best


def plain(seconds: float) -> float:
    """Games per second of the NumPy loop."""
    reds, blues = (tuple(np.asarray(part) for part in genomes(64, seed)) for seed in (1, 2))
    fields, rng, played, start = draw(1, 64), np.random.default_rng(0), 0, time.perf_counter()
    while played < 2 or time.perf_counter() - start < seconds:
        red, blue = ((side[0][played % 64], side[1][played % 64]) for side in (reds, blues))
        play_plain(maps.one(fields, played % 64), (red, blue), rng)
        played += 1
    return played / (time.perf_counter() - start)


@jax.jit
def last_state(field: maps.Field, actions: Any) -> rules.State:
    begun = rules.start(field)
    return jax.lax.scan(lambda now, action: (rules.step(field, now, action), None), begun, actions)[0]


def through_the_face(steps: int, at_once: bool) -> tuple[float, bool]:
    """Steps of agents per second through PettingZoo, and whether every game was that of the compiled rules."""
    env: Any = capture_the_flag_v0.parallel_env() if at_once else capture_the_flag_v0.raw_env()
    rng, done, seconds, same, number = np.random.default_rng(6), 0, 0.0, True, 0
    while done < steps:
        number += 1
        actions = rng.choice(5, p=[0.1, 0.15, 0.4, 0.15, 0.2], size=(CYCLES, 8))
        env.reset(options={"map": number})
        start = time.perf_counter()
        cycle = 0
        while env.agents and (at_once or not env.terminations[AGENTS[0]]):
            if at_once:
                env.step(dict(zip(AGENTS, actions[cycle].tolist(), strict=True)))
            else:
                for action in actions[cycle].tolist():
                    env.last()
                    env.step(action)
            cycle += 1
        seconds += time.perf_counter() - start
        done += 8 * cycle
        reds_turn = (np.arange(CYCLES) // rules.STEPS % 2 == 0)[:, None]
        taken = np.where(reds_turn, actions[:, :4], actions[:, 4:]).reshape(-1)
        ours = last_state(maps.one(draw(number, 1), 0), taken)
        same &= all(map(np.array_equal, jax.tree.leaves(ours), jax.tree.leaves(env.unwrapped.game)))
    return done / seconds, same


def bots(count: int) -> list[Row]:
    """How greedy does against random and itself, and how fast it is."""
    fields, rows = jax.device_put(draw(2_026, count)), []
    for name, red, blue in (("first", GREEDY, RANDOM), ("second", RANDOM, GREEDY)):
        result = play(fields, red, ONE, blue, ONE, jax.random.key(0))
        won = float((outcome(result, RED if red is GREEDY else 1 - RED) == 1).mean())
        rows.append(Row(f"greedy beats random, moving {name}, {count:,} maps", f"{won:.1%}", "≥ 95%", won >= 0.95))
    first, best = timed(lambda: play(fields, GREEDY, ONE, GREEDY, ONE, jax.random.key(0)).winner, 1)
    mirror = play(fields, GREEDY, ONE, GREEDY, ONE, jax.random.key(0))
    drawn, late = float((mirror.winner == DRAW).mean()), float((mirror.ending == LIMIT).mean())
    second = float((outcome(mirror, 1 - RED) == 1).mean())
    return [
        *rows,
        Row(f"greedy against itself: draws, {count:,} maps", f"{drawn:.1%}", "≤ 25%", drawn <= 0.25),
        Row("greedy against itself: decided by the score", f"{late:.1%}"),
        Row("greedy against itself: the second mover wins", f"{second:.1%}"),
        Row("greedy against itself: games per second", f"{count / best:,.0f}"),
        Row("greedy against itself: seconds to compile", f"{first - best:.1f}"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps, up to 1,024 boards, 200 maps")
    quick = parser.parse_args().quick
    use_cores(2)
    print_head()
    loop = plain(3 if quick else 20)
    rows, fastest = [Row("plain NumPy loop: games per second", f"{loop:.2f}")], 0.0
    for boards in BOARDS[:3] if quick else BOARDS:
        speed, compiling = compiled(boards)
        fastest = max(fastest, speed)
        times = speed / loop
        rows.append(Row(f"compiled, {boards:,} boards: games per second (compiled in {compiling:.1f} s)",
                        f"{speed:,.0f}", f"{times:,.0f} × the loop, ≥ {FASTER:.0f} ×", times >= FASTER))  # fmt: skip
    steps = 10_000 if quick else 100_000
    for at_once in (False, True):
        speed, same = through_the_face(steps, at_once)
        face = "all at once" if at_once else "one by one"
        rows.append(Row(f"PettingZoo, {face}: steps per second", f"{speed:,.0f}"))
        rows.append(
            Row(f"PettingZoo, {face}: {steps:,} steps make the same games", "yes" if same else "NO", "yes", same)
        )
    rows.append(Row("compiled: steps per second, had every game all 1,440", f"{fastest * 1_440:,.0f}"))
    return print_table([*rows, *bots(200 if quick else 1_000)])


if __name__ == "__main__":
    sys.exit(main())
