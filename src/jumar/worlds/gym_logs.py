"""Logs with exact propensities from Gymnasium environments with discrete actions, and tables from Minari datasets.

In: the name of an environment and who plays in it; or a dataset. Out: one row per step, in the columns that
``jumar.read_log`` reads. Gymnasium and Minari are imported where they are used: nothing else needs them.
The command line, benchmarks and tests import it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from jumar.errors import OptionError
from jumar.worlds import base

pc: Any = pyarrow.compute  # its functions come into being on import, where no type checker sees them

START_S = 1_772_409_600  # Monday 2 March 2026, 00:00 UTC
MOST_LANES = 64
MOST_NUMBERS = 1_024  # of an observation: each is a column

Behaviour = Callable[[NDArray[Any]], NDArray[Any]]
"""Observations [n, numbers] to probabilities [n, actions], in the order of the environment's actions."""
Behaviours = Sequence[tuple[float, Behaviour | None]]
"""Who plays: weights and behaviours; None plays all actions alike."""
Environment = str | Callable[[], Any]
"""The name of a Gymnasium environment, or a function that makes one."""

RANDOM: Behaviours = ((1.0, None),)


@dataclass(frozen=True)
class Spaces:
    """What an environment shows and takes.

    Attributes:
        numbers: length of an observation.
        dtype: of its numbers.
        first, actions: actions are the whole numbers from ``first`` on; how many there are.
        longest: steps after which an episode is truncated, where that is known.
    """

    numbers: int
    dtype: np.dtype[Any]
    first: int
    actions: int
    longest: int | None

    @property
    def schema(self) -> pa.Schema:
        """Columns of a log."""
        episode = {"unit": pa.string(), "step": pa.int64(), "time": pa.int64(), "decision_id": pa.string()}
        shown = {f"obs_{i}": pa.from_numpy_dtype(self.dtype) for i in range(self.numbers)}
        chosen = {"action": pa.int64(), "propensity": pa.float64(), "pmf": pa.list_(pa.float64())}
        outcome = {"reward": pa.float64(), "end": pa.bool_(), "truncated": pa.bool_()}
        return pa.schema(episode | {"checkpoint": pa.int64()} | shown | chosen | outcome)


def spaces_of(environment: Environment) -> Spaces:
    """What an environment shows and takes.

    Raises:
        OptionError: no Gymnasium, no such environment, actions that are not discrete, observations without a shape.
    """
    env = _make(environment)
    try:
        return _spaces(env)
    finally:
        env.close()


def collect(
    environment: Environment, steps: int, policies: Behaviours = RANDOM, *, epsilon: float = 0.3, seed: int = 0
) -> pa.Table:
    """Play episodes and log every step.

    An episode is played by one of the policies, drawn by weight, which takes a uniformly random action in a share
    ``epsilon`` of its steps. Episodes have a seed each and stand in order: a longer log starts with the shorter one.

    Args:
        environment: the name of a Gymnasium environment, or a function that makes one.
        steps: rows; the last episode is cut there.
        policies: weights and behaviours.
        epsilon: the share of random actions.
        seed: a whole number ≥ 0.

    Returns:
        ``unit`` (the episode), ``step`` (from 0 on), ``time`` (seconds since 1970; a step takes one, and episodes
        follow one another), ``decision_id``, ``checkpoint`` (the position in ``policies``), ``obs_0`` and so on,
        ``action`` (whole numbers), ``propensity`` and ``pmf`` (exact, given the checkpoint), ``reward``, ``end`` (the
        environment terminated: nothing follows), ``truncated`` (cut by a time limit or by the end of the log).

    Raises:
        OptionError: as in ``spaces_of``; a number outside its range; an answer that is not one distribution per row.
    """
    spaces = spaces_of(environment)
    weights = _checked(steps, policies, epsilon)
    # Lanes play different episodes at the same time, so that a policy is asked about many steps at once. What they
    # play beyond the last row is thrown away: so each must have room for several episodes.
    lanes = 1 if spaces.longest is None else min(max(steps // (4 * spaces.longest), 1), MOST_LANES)
    envs: list[Any] = []
    try:
        for _ in range(lanes):
            envs.append(_make(environment))
        rows = _play(_Lanes(envs, spaces, weights, seed), [who for _, who in policies], steps, epsilon)
    finally:
        for env in envs:
            env.close()
    return _table(rows, spaces, seed)


def write(
    environment: Environment,
    steps: int,
    path: str | os.PathLike[str],
    policies: Behaviours = RANDOM,
    *,
    epsilon: float = 0.3,
    seed: int = 0,
) -> None:
    """Write the rows of ``collect`` as Parquet; the file is opened before the first step is played.

    Raises:
        OutputError: the file cannot be written; then what stood at ``path`` still does.
    """
    schema = spaces_of(environment).schema
    tables = (collect(environment, steps, policies, epsilon=epsilon, seed=seed) for _ in range(1))
    base.write_parquet(tables, schema, path)


def from_minari(dataset: Any) -> pa.Table:
    """The steps of a Minari dataset as rows, without propensities: nobody logged them.

    Args:
        dataset: its name, or a dataset that is open already.

    Returns:
        ``unit``, ``step``, ``time``, ``decision_id``, ``obs_0`` and so on, ``action``, ``reward``, ``end`` and
        ``truncated``, as in ``collect``.

    Raises:
        OptionError: no Minari, no such dataset, no step in it, actions that are not discrete, observations without a
            shape.
    """
    opened = _opened(dataset) if isinstance(dataset, str) else dataset
    pieces: list[dict[str, NDArray[Any]]] = []
    for episode in opened.iterate_episodes():
        action, shown, length = np.asarray(episode.actions), np.asarray(episode.observations), len(episode.rewards)
        if action.ndim != 1 or not np.issubdtype(action.dtype, np.integer):
            raise _not_discrete(f"{action.dtype} of shape {action.shape[1:]}")
        if not np.issubdtype(shown.dtype, np.number):
            raise _no_shape(shown.dtype)
        pieces.append(
            {
                "episode": np.full(length, episode.id),
                "step": np.arange(length),
                "shown": shown[:length].reshape(length, -1),  # the last observation has no decision
                "action": action,
                "reward": np.asarray(episode.rewards, np.float64),
                "end": np.asarray(episode.terminations, bool),
                "truncated": np.asarray(episode.truncations, bool),
            }
        )
    if not sum(len(piece["step"]) for piece in pieces):
        raise OptionError("The dataset holds no step", example=str(dataset), remedy="Choose another dataset.")
    rows = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    return pa.table(_identity(rows, "episode") | _shown(rows["shown"]) | _outcome(rows, rows["action"]))


class _Lanes:
    """Environments side by side, each in an episode of its own."""

    def __init__(self, envs: list[Any], spaces: Spaces, weights: NDArray[np.float64], seed: int) -> None:
        self.envs, self.spaces, self.weights, self.seed = envs, spaces, weights, seed
        self.shown = np.empty((len(envs), spaces.numbers), spaces.dtype)
        self.step, self.episode, self.checkpoint = np.zeros((3, len(envs)), np.int64)
        self.chance: list[np.random.Generator] = [np.random.default_rng(0)] * len(envs)
        self._begun = self._first_open = self._rows_ended = 0
        self._ended: dict[int, int] = {}  # rows of the episodes that ended while an earlier one was open
        for lane in range(len(envs)):
            self._begin(lane)

    def rows_in_order(self) -> int:
        """Rows of the episodes that have ended before the first one still open, and of that one so far."""
        return self._rows_ended + int(self.step[self.episode == self._first_open].sum())

    def draws(self) -> NDArray[np.float64]:
        """One uniform number from the chance of each episode, [lanes]."""
        return np.array([chance.random() for chance in self.chance])

    def take(self, action: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """One step in every lane; what it was, and what came of it."""
        before = {"episode": self.episode, "step": self.step, "checkpoint": self.checkpoint, "shown": self.shown}
        row = {name: part.copy() for name, part in before.items()} | {"action": action}
        reward, end, truncated = np.zeros(len(action)), np.zeros(len(action), bool), np.zeros(len(action), bool)
        self.step += 1
        for lane, env in enumerate(self.envs):
            shown, reward[lane], end[lane], truncated[lane], _ = env.step(int(action[lane]) + self.spaces.first)
            if end[lane] or truncated[lane]:
                self._ended[int(self.episode[lane])] = int(self.step[lane])
                self._begin(lane)
            else:
                self.shown[lane] = np.ravel(shown)
        while self._first_open in self._ended:
            self._rows_ended += self._ended.pop(self._first_open)
            self._first_open += 1
        return row | {"reward": reward, "end": end, "truncated": truncated & ~end}

    def _begin(self, lane: int) -> None:
        chance = base.block_rng(self.seed, self._begun, stream=0)
        self.chance[lane], self.episode[lane], self.step[lane] = chance, self._begun, 0
        self.checkpoint[lane] = np.searchsorted(np.cumsum(self.weights)[:-1], chance.random(), side="right")
        self.shown[lane] = np.ravel(self.envs[lane].reset(seed=int(chance.integers(2**31)))[0])
        self._begun += 1


def _play(lanes: _Lanes, behaviours: list[Behaviour | None], steps: int, epsilon: float) -> dict[str, NDArray[Any]]:
    """The first rows by episode and step, as arrays [steps, ...]."""
    width, actions = len(lanes.envs), lanes.spaces.actions
    held: dict[str, NDArray[Any]] = {}
    filled = 0
    while lanes.rows_in_order() < steps:
        pmf = np.full((width, actions), 1 / actions)
        for place, behaviour in enumerate(behaviours):
            who = np.flatnonzero(lanes.checkpoint == place)
            if behaviour is not None and len(who):
                pmf[who] = base.checked_pmf(behaviour(lanes.shown[who]), len(who), actions)
        # What is drawn from is what is logged: first rounded off to a sum of one, then mixed, then both.
        pmf = (1 - epsilon) * pmf / pmf.sum(axis=1, keepdims=True) + epsilon / actions
        action = (np.cumsum(pmf, axis=1)[:, :-1] <= lanes.draws()[:, None]).sum(axis=1)
        row = lanes.take(action) | {"pmf": pmf}
        if filled + width > len(held.get("step", ())):
            more = max(steps, width)
            held = {name: _longer(held.get(name), part, more) for name, part in row.items()}
        for name, part in row.items():
            held[name][filled : filled + width] = part
        filled += width
    order = np.lexsort((held["step"][:filled], held["episode"][:filled]))[:steps]
    return {name: part[order] for name, part in held.items()}


def _longer(held: NDArray[Any] | None, like: NDArray[Any], more: int) -> NDArray[Any]:
    """Room for so many more rows."""
    room = np.empty((more, *like.shape[1:]), like.dtype)
    return room if held is None else np.concatenate([held, room])


def _table(rows: dict[str, NDArray[Any]], spaces: Spaces, seed: int) -> pa.Table:
    taken, pmf = (np.arange(len(rows["action"])), rows["action"]), rows["pmf"]
    offsets = pa.array(np.arange(len(pmf) + 1, dtype=np.int32) * spaces.actions)
    columns = _identity(rows, f"episode{seed}") | {"checkpoint": pa.array(rows["checkpoint"])} | _shown(rows["shown"])
    columns |= _outcome(rows, rows["action"] + spaces.first)
    columns["propensity"] = pa.array(pmf[taken])
    columns["pmf"] = pa.ListArray.from_arrays(offsets, pa.array(pmf.reshape(-1)))
    return pa.table(columns).select(spaces.schema.names)


def _identity(rows: dict[str, NDArray[Any]], prefix: str) -> dict[str, pa.Array]:
    unit = pc.binary_join_element_wise(prefix, pa.array(rows["episode"]).cast(pa.string()), "-")
    step = pa.array(rows["step"].astype(np.int64))
    time = pa.array(START_S + np.arange(len(step)))
    name = pc.binary_join_element_wise(unit, step.cast(pa.string()), "-")
    return {"unit": unit, "step": step, "time": time, "decision_id": name}


def _shown(shown: NDArray[Any]) -> dict[str, pa.Array]:
    return {f"obs_{i}": pa.array(np.ascontiguousarray(shown[:, i])) for i in range(shown.shape[1])}


def _outcome(rows: dict[str, NDArray[Any]], action: NDArray[Any]) -> dict[str, pa.Array]:
    end, episode = rows["end"], rows["episode"]
    last = np.append(episode[1:] != episode[:-1], True)
    return {
        "action": pa.array(action.astype(np.int64)),
        "reward": pa.array(rows["reward"]),
        "end": pa.array(end),
        "truncated": pa.array(rows["truncated"] | (last & ~end)),  # whatever ends without an end was cut
    }


def _gymnasium() -> Any:
    try:
        import gymnasium
    except ImportError as error:
        raise OptionError(
            "Environments need Gymnasium, which is not installed", remedy="Install it: pip install 'jumar[gym]'."
        ) from error
    return gymnasium


def _make(environment: Environment) -> Any:
    gym = _gymnasium()
    if not isinstance(environment, str):
        return environment()
    try:
        return gym.make(environment, disable_env_checker=True)
    except (gym.error.Error, ImportError) as error:
        raise OptionError(
            f"Gymnasium cannot make this environment: {str(error).strip().rstrip('.')}",
            example=environment,
            remedy="Name one of python -c 'import gymnasium; gymnasium.pprint_registry()', with what it needs.",
        ) from error


def _spaces(env: Any) -> Spaces:
    gym, taken, shown = _gymnasium(), env.action_space, env.observation_space
    if not isinstance(taken, gym.spaces.Discrete):
        raise _not_discrete(taken)
    numbers = -1 if shown.shape is None else int(np.prod(shown.shape))
    if not 1 <= numbers <= MOST_NUMBERS:
        raise _no_shape(shown)
    longest = None if env.spec is None else env.spec.max_episode_steps
    return Spaces(numbers, np.dtype(shown.dtype), int(taken.start), int(taken.n), longest)


def _opened(name: str) -> Any:
    try:
        import minari  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise OptionError(
            "Minari datasets need Minari, which is not installed", remedy="Install it: pip install 'minari[hdf5]'."
        ) from error
    try:
        return minari.load_dataset(name)
    except (OSError, ValueError, ImportError) as error:
        raise OptionError(
            f"Minari cannot open this dataset: {str(error).strip().rstrip('.')}",
            example=name,
            remedy="Download it first: minari download NAME.",
        ) from error


def _not_discrete(found: object) -> OptionError:
    return OptionError(
        "Only environments with one discrete action per step can be logged",
        example=str(found),
        remedy="Choose such an environment, or wrap it so that its actions are numbered.",
    )


def _no_shape(found: object) -> OptionError:
    return OptionError(
        f"Only observations of 1 to {MOST_NUMBERS:,} numbers can be logged",
        example=str(found),
        remedy="Wrap the environment, for example in gymnasium.wrappers.FlattenObservation.",
    )


def _checked(steps: int, policies: Behaviours, epsilon: float) -> NDArray[np.float64]:
    """Weights of the policies that sum to one, [policies]."""
    if steps < 1:
        raise OptionError("A log was asked for fewer than one step", example=steps, remedy="Ask for steps ≥ 1.")
    if not 0 <= epsilon <= 1:
        raise OptionError("The exploration is a probability", example=epsilon, remedy="Choose one within [0, 1].")
    weights = np.array([weight for weight, _ in policies], np.float64)
    if not (len(weights) and np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
        raise OptionError(
            "Weights say how often each policy plays", example=weights.tolist(), remedy="Give positive numbers."
        )
    return weights / weights.sum()
