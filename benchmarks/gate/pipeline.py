"""Table 7, the whole of ``jumar improve`` on small worlds in which nothing better is there to be found.

In: how many worlds. Out: how often a policy is released that is no better, at 95% and at 99%; the negative control
judges the same candidates on rows that helped to choose them. ``gate_bench.py --pipeline`` runs it: a command of its
own, because every world is a whole job. ``--ahead`` runs it with a discount, on users decided about four times.

All worlds of a kind have the same units, contexts and sum of rewards among the rows that are fitted on, so that what
was compiled for the first one is found again for the others. Actions and rewards of the rows that judge are drawn
freely.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from scipy.stats import norm

from gate.core import Floats, lower_limit, on_all_cores
from gate.tables import Table, rate
from table import Row

KINDS = ("action irrelevant", "production is best", "rare reward", "users differ", "an arm for good")
AHEAD, DISCOUNT = ("what follows",), 0.9
CONFIDENCES = (0.95, 0.99)
ROWS, USER_ROWS = 3_000, 4
WORLDS, AHEAD_WORLDS, QUICK_WORLDS, WORLDS_PER_TASK = 2_000, 1_000, 20, 8
ACTIONS, LETTERS = np.array(["hold", "send"]), np.array(["a", "b", "c", "d"])


@dataclass(frozen=True)
class Judged:
    """What became of one world.

    Attributes:
        kind: of the world.
        reached: the gate was reached; if not, the audits had refused the log.
        false: [confidences] a policy was released whose true gain is not above 0.
        control: [confidences] the best candidate's z on the validation rows, which put it first, is significant.
    """

    kind: str
    reached: bool
    false: tuple[bool, ...]
    control: tuple[bool, ...]


@dataclass(frozen=True)
class World:
    """A log and the truth about it.

    Attributes:
        log: the table.
        contexts: one row for each context; ``share``: of the gate's rows that are of it.
        production, value: [contexts, 2] probabilities and mean rewards of the actions.
    """

    log: pa.Table
    contexts: pa.Table
    share: Floats
    production: Floats
    value: Floats

    def gain(self, policy: Any) -> float:
        """True gain of a policy per decision of the gate."""
        pmf = np.asarray(policy.pmf(self.contexts))
        order = [list(policy.actions).index(name) for name in ACTIONS.tolist()]
        return float(self.share @ ((pmf[:, order] - self.production) * self.value).sum(axis=1))


def world(kind: str, seed: int) -> World:
    """One small world; contexts are two features with four values each."""
    from jumar.logs.split import PARTS

    rng, fixed = np.random.default_rng([11, (*KINDS, *AHEAD).index(kind), seed]), np.random.default_rng(0)
    places = USER_ROWS if kind in ("users differ", "an arm for good", *AHEAD) else 1
    users = ROWS // places
    user = np.repeat(np.arange(users), places)
    context = fixed.integers(0, 16, size=ROWS)  # production looks at x = context // 4, rewards at y = context % 4
    favourite = np.arange(16) // 8
    explored = {"production is best": 0.05, "an arm for good": 0.5}.get(kind, 0.15)
    production = np.where(np.arange(2) == favourite[:, None], 1.0 - explored, explored)
    value = np.full((16, 2), 0.02) if kind == "rare reward" else np.where(np.arange(16) % 4 > 1, 0.4, 0.2)[:, None]
    value = value * np.ones(2)
    if kind == "production is best":
        value[np.arange(16), 1 - favourite] -= 0.15
    luck = np.repeat(rng.random(users), places) if kind == "an arm for good" else rng.random(ROWS)
    action = (luck < production[context, 1]).astype(int)
    mean = value[context, action]
    if places > 1:  # half of the users never click
        mean = mean * 2.0 * np.repeat(rng.random(users) < 0.5, places)
    reward = (rng.random(ROWS) < mean).astype(float)
    part = _place_of_unit(users)[user]
    fit, gate = part < PARTS["fit"][1], part >= PARTS["gate"][0]
    reward[fit] = _of_even_sum(reward[fit], float((production * value).sum(axis=1)[context[fit]].mean()), rng)
    columns = {
        "user": user,
        "x": LETTERS[context // 4],
        "y": LETTERS[context % 4],
        "action": ACTIONS[action],
        "propensity": production[context, action],
        "reward": reward,
    }
    if kind in AHEAD:
        columns["time"] = np.tile(86_400 * np.arange(places), users)
    contexts = pa.table({"x": LETTERS[np.arange(16) // 4], "y": LETTERS[np.arange(16) % 4]})
    share = np.bincount(context[gate], minlength=16) / gate.sum()
    return World(pa.table(columns), contexts, share, production, value)


def _place_of_unit(users: int) -> Floats:
    """[users] the hash that decides the split, as a fraction of its range."""
    from jumar.logs.split import SPLIT_SALT

    digests = [hashlib.md5(f"{SPLIT_SALT}{user}".encode()).hexdigest() for user in range(users)]
    return np.array([int(digest[:8], 16) / 2**32 for digest in digests])


def _of_even_sum(reward: Floats, mean: float, rng: np.random.Generator) -> Floats:
    """The rewards with some flipped, so that they add up to what is expected."""
    reward, wanted = reward.copy(), round(mean * reward.size)
    more = wanted - int(reward.sum())
    flipped = rng.choice(np.flatnonzero(reward == (more < 0)), size=abs(more), replace=False)
    reward[flipped] = 1.0 - reward[flipped]
    return reward


def judge(kind: str, seed: int) -> Judged:
    """Improve on one world. What 99% releases 95% releases as well, so most worlds need only the looser one."""
    import jumar

    one = world(kind, seed)
    log = jumar.read_log(one.log, unit="user", reward="reward", reward_range=(0, 1))
    asked: dict[str, Any] = {"discount": DISCOUNT} if kind in AHEAD else {}
    false = []
    result = None
    for confidence in CONFIDENCES:
        if false and not false[-1]:
            false.append(False)
            continue
        again = jumar.improve(
            log, confidence=confidence, **asked
        )  # one seed of the fit: it is part of what is compiled
        result = result or again
        false.append(again.policy is not None and one.gain(again.policy) <= 1e-9)
    assert result is not None
    best = max((point.validation_z for point in result.summary.walk), default=-np.inf)
    control = tuple(bool(norm.sf(best) <= 1.0 - confidence) for confidence in CONFIDENCES)
    return Judged(kind, bool(result.summary.walk), tuple(false), control)


def run(cache: str, kept: str, kind: str, first: int, count: int) -> list[Judged]:
    """Some worlds of one kind, in a process that shares compiled programs with others by a folder.

    What is found in the folder ``kept`` was judged before, and is not judged again.
    """
    import jax

    file = Path(kept) / f"{kind}-{first}-{count}.json".replace(" ", "-")
    if file.exists():
        return msgspec.json.decode(file.read_bytes(), type=list[Judged])
    jax.config.update("jax_compilation_cache_dir", cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    judged = [judge(kind, seed) for seed in range(first, first + count)]
    file.write_bytes(msgspec.json.encode(judged))
    return judged


def table(quick: bool, workers: int, kept: str | None = None, *, ahead: bool = False) -> tuple[Table, list[Row]]:
    """All worlds, and what became of them; with a folder ``kept`` an interrupted run is taken up again."""
    kinds = AHEAD if ahead else KINDS
    each = -(-(QUICK_WORLDS if quick else AHEAD_WORLDS if ahead else WORLDS) // len(kinds))
    size = min(WORLDS_PER_TASK, each)
    with tempfile.TemporaryDirectory() as cache:
        Path(kept or cache).mkdir(parents=True, exist_ok=True)
        tasks = [
            (cache, kept or cache, kind, first, min(size, each - first))
            for first in range(0, each, size)
            for kind in kinds
        ]
        worlds = [one for some in on_all_cores(run, tasks, workers) for one in some]
    return _as_table(worlds, ahead=ahead), targets(worlds, quick)


def _as_table(worlds: Sequence[Judged], *, ahead: bool = False) -> Table:
    rows = []
    for kind in AHEAD if ahead else (*KINDS, "all"):
        some = [one for one in worlds if kind in (one.kind, "all")]
        figures = [rate(sum(one.false[at] for one in some), len(some)) for at in range(len(CONFIDENCES))]
        control = [f"{sum(one.control[at] for one in some) / len(some):.1%}" for at in range(len(CONFIDENCES))]
        rows.append([kind, f"{len(some):,}", f"{sum(one.reached for one in some) / len(some):.0%}", *figures, *control])
    head = ["world", "runs", "gate reached", *(f"released at {one:.0%}" for one in CONFIDENCES),
            *(f"own validation rows, {one:.0%}" for one in CONFIDENCES)]  # fmt: skip
    name, words = ("ahead", f" --discount {DISCOUNT:g}") if ahead else ("pipeline", "")
    title = f"jumar improve{words} on {ROWS:,} decisions: releases of policies that are no better"
    return Table(name, title, head, rows)


def targets(worlds: Sequence[Judged], quick: bool) -> list[Row]:
    """Within α; the control is not, which few worlds cannot show."""
    rows = []
    for at, confidence in enumerate(CONFIDENCES):
        alpha = 1.0 - confidence
        hits, wrong = (sum(getattr(one, name)[at] for one in worlds) for name in ("false", "control"))
        limit, broken = lower_limit(hits, len(worlds)), lower_limit(wrong, len(worlds))
        said = f"{hits} of {len(worlds):,}"
        rows.append(Row(f"false releases at {confidence:.0%}", said, f"limit ≤ {alpha:.0%}", limit <= alpha + 1e-12))
        met = None if quick else broken > alpha
        said = f"{wrong / len(worlds):.1%}"
        rows.append(Row(f"judged on own rows at {confidence:.0%}", said, f"must break: > {alpha:.0%}", met))
    return rows
