"""A game in which a person commands one side: the whole of it, without a page and without a network.

In: an ``Opponent``, a side, a map; then a turn of the person's at a time. Out: what the person's side could see of it,
step by step, and in the end a replay. Rules and opponents are compiled once for each size of map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jumar.play import maps, render, replay, rules
from jumar.play.errors import PlayError
from jumar.play.maps import ACTIONS, PLAYERS, Field
from jumar.play.match import Policy, choose, pool_size
from jumar.play.render import SIDES
from jumar.play.replay import Replay
from jumar.play.rules import BLUE, NOBODY, PLAYING, RED, ROUNDS, STEPS, TURN, State, jail
from jumar.play.web.events import between
from jumar.play.web.known import Known, known, told

YOU = "you"


@dataclass(frozen=True, eq=False)
class Opponent:
    """Who a person can play against.

    Attributes:
        name: in words.
        policy: how it decides.
        params: its parameters, a pool of one.

    Raises:
        PlayError: for a pool of more.
    """

    name: str
    policy: Policy
    params: Any

    def __post_init__(self) -> None:
        if (size := pool_size(self.params, "params")) != 1:
            raise PlayError("A person plays against one at a time", where="params", example=size,
                            remedy="Give a pool of one: every array with a leading axis of 1.")  # fmt: skip


@jax.jit
def _obeyed(field: Field, state: State, actions: Any, side: Any) -> tuple[State, tuple[State, Known]]:
    """The state after these actions, and after each of them the state and what the side then knows."""

    def one(now: State, action: Any) -> tuple[State, tuple[State, Known]]:
        after = rules.step(field, now, action)
        return after, (after, known(field, after, side))

    return jax.lax.scan(one, state, actions)


@partial(jax.jit, static_argnames="policy")
def _answered(policy: Policy, params: Any, field: Field, state: State, side: Any, key: Any) -> Any:
    """A turn of the opponent: its actions [12], the state after it, and the trail as in ``_obeyed``."""
    alone = jax.tree.map(lambda leaf: leaf[0], params)

    def one_sweep(now: State, _: Any) -> tuple[State, Any]:
        actions = choose(1 - side, policy, alone, field, now, key, now.tick)
        after, trail = _obeyed(field, now, actions, side)
        return after, (actions, trail)

    after, (actions, trail) = jax.lax.scan(one_sweep, state, None, length=STEPS)
    return actions.reshape(-1), after, jax.tree.map(lambda leaf: leaf.reshape(TURN, *leaf.shape[2:]), trail)


@partial(jax.jit, static_argnames="rounds")
def _begun(field: Field, rounds: int, side: Any) -> tuple[State, Known]:
    state = rules.start(field, RED, rounds)
    return state, known(field, state, side)


class Game:
    """One game of a person's. Red moves first; the person sees the field in the frame of its own side.

    Args:
        opponent: who plays the other side.
        side: "red" or "blue", the person's.
        seed: of the map.
        size: of the map.
        rounds: after which the score decides.
        chance: a seed of all that the opponent draws.
        secret: the person did not choose the seed, and is told it only in the end, for the whole map follows from it.

    Attributes:
        over: whether it has ended.
        frames: what was seen of the latest turns, the last of them as it stands now; see ``turn``.

    Raises:
        PlayError: for a side, a map or a length that does not exist.
    """

    def __init__(self, opponent: Opponent, *, side: str = "red", seed: int = 0, size: tuple[int, int] = maps.SIZES[0],
                 rounds: int = ROUNDS, chance: int = 0, secret: bool = False) -> None:  # fmt: skip
        if side not in SIDES:
            raise PlayError("A person plays one of two sides", where="side", example=side,
                            remedy="Give red, which moves first, or blue.")  # fmt: skip
        if not 1 <= rounds <= ROUNDS:
            raise PlayError(f"A game lasts 1 to {ROUNDS} rounds", where="rounds", example=rounds,
                            remedy=f"Leave it out for {ROUNDS}.")  # fmt: skip
        self.opponent, self.seed, self.size, self.rounds = opponent, seed, size, rounds
        self._side, self._secret = SIDES.index(side), secret
        self._field = maps.one(maps.draw(seed, 1, size), 0)
        self._key = jax.random.key(chance)
        self._actions: list[int] = []
        state, view = _begun(self._field, rounds, self._side)
        self._state = _plain(state)
        self.frames = [told(self._field, _plain(view), render.caption(self._state)) | {"events": []}]
        if self._side == BLUE:
            self.frames += self._answer()

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return int(self._state.winner) != PLAYING

    def turn(self, sweeps: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
        """The person's turn, and then the opponent's.

        Args:
            sweeps: [3][4] an action per sweep and player, in the frame of the person's side. An illegal one is a stay.

        Returns:
            a frame per step, up to the end of the game: ``known.told``, and "events", each (kind, side, text).

        Raises:
            PlayError: if the game has ended, or the actions are none.
        """
        if self.over:
            raise PlayError("This game has ended", remedy="Begin a new one.")
        actions = checked(sweeps)
        after, trail = _obeyed(self._field, self._state, jnp.asarray(actions, jnp.int32), self._side)
        self.frames = self._recorded(actions, after, trail)
        if not self.over:
            self.frames += self._answer()
        return self.frames

    def view(self) -> dict[str, Any]:
        """All that the person's side may know, with the frames since its last turn.

        Returns:
            "side", "opponent", "seed", "size", "rounds"; "flag", the place of one's own, and "jails", where one's own
            players and the enemy's are jailed; "over", None or the winner and how it won in words; "frames".
        """
        height, width = self._field.way.shape
        over = None
        if self.over:
            winner = replay.WINNERS[int(self._state.winner)]
            over = {"winner": winner, "text": render.caption(self._state).split(";", maxsplit=1)[0]}
        return {
            "side": SIDES[self._side],
            "opponent": self.opponent.name,
            "seed": None if self._secret and not self.over else self.seed,
            "size": [width, height],
            "rounds": self.rounds,
            "flag": int(self._field.flag),
            "jails": [jail(width), height * width - 1 - jail(width)],
            "over": over,
            "frames": self.frames,
        }

    def replay(self) -> Replay:
        """The game as a document.

        Raises:
            PlayError: as long as it goes on; it would tell what the person may not know.
        """
        if not self.over:
            raise PlayError("This game goes on", remedy="Play it to its end first.")
        names = (YOU, self.opponent.name) if self._side == RED else (self.opponent.name, YOU)
        return replay.written(self._field, self._state, np.array(self._actions), red=names[0], blue=names[1])

    def _answer(self) -> list[dict[str, Any]]:
        one = self.opponent
        actions, after, trail = _answered(one.policy, one.params, self._field, self._state, self._side, self._key)
        return self._recorded(np.asarray(actions).tolist(), after, trail)

    def _recorded(self, actions: list[int], after: State, trail: tuple[State, Known]) -> list[dict[str, Any]]:
        """Keep what was done, and make frames of it."""
        before, self._state = self._state, _plain(after)
        steps = int(self._state.tick) - int(before.tick)
        self._actions += actions[:steps]
        states, views = _plain(trail)
        frames = []
        for step in range(steps):
            now = jax.tree.map(lambda leaf, step=step: leaf[step], states)
            view = Known(*(leaf[step] for leaf in views))
            events = [list(event) for event in between(*_public(before, now))]
            frames.append(told(self._field, view, render.caption(now)) | {"events": events})
            before = now
        return frames


def prepare(opponents: Sequence[Opponent], sizes: Sequence[tuple[int, int]] = maps.SIZES) -> None:
    """Compile the rules and the thinking of all opponents, by letting each of them make a turn on each size."""
    stays = [[0] * PLAYERS] * STEPS
    for size in sizes:
        for opponent in opponents:
            Game(opponent, size=size).turn(stays)


def checked(sweeps: Any) -> list[int]:
    """The actions of a turn as one list.

    Raises:
        PlayError: if they are not three lists of four whole numbers from 0 to 4.
    """
    rows = sweeps if isinstance(sweeps, list | tuple) else []
    shaped = len(rows) == STEPS and all(isinstance(row, list | tuple) and len(row) == PLAYERS for row in rows)
    flat = [action for row in rows for action in row] if shaped else []
    if not shaped or not all(type(action) is int and 0 <= action < len(ACTIONS) for action in flat):
        raise PlayError(f"A turn is {STEPS} lists of {PLAYERS} actions, whole numbers from 0 to {len(ACTIONS) - 1}",
                        where="steps", example=sweeps, remedy=f"They mean {', '.join(ACTIONS)}.")  # fmt: skip
    return flat


def _plain(tree: Any) -> Any:
    return jax.tree.map(np.asarray, tree)


def _public(before: State, after: State) -> tuple[Any, ...]:
    """Who is free and whose flag is carried, before and after: both sides know."""
    free = [(state.red.free, state.blue.free) for state in (before, after)]
    carried = [(state.blue.carrier != NOBODY, state.red.carrier != NOBODY) for state in (before, after)]
    return (*free, *carried)
