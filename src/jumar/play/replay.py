"""A game as one JSON document: the map, who moved first, every action. The rules make the rest of it again.

In: a ``Result`` whose actions were kept, or a document. Out: ``Replay``, its text, and the states of every tick. The
document says which version of the rules it was played by; another one is refused, and so is one that ends otherwise
than it says.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jumar.play import limits, maps, render, rules
from jumar.play.errors import PlayError
from jumar.play.files import put, take
from jumar.play.maps import Field
from jumar.play.match import Result
from jumar.play.rules import State

FORMAT, VERSION = "jumar.play.replay", 1
_AGAIN = "Play the game again with this version of Jumar, or read it with the one that wrote it."


@dataclass(frozen=True)
class Replay:
    """One game.

    Attributes:
        trees: the rows of the map from the top, # for a tree and . for none, in red's frame.
        flag_row: the row of red's flag; blue's is the same from below.
        first: "red" or "blue", who moved first.
        limit: the tick at which the score decides.
        actions: one digit per tick, in the frame of the side that stepped.
        winner: "red", "blue" or "draw".
        ending: "home", "jailed" or "limit".
        red: who played red, in words.
        blue: who played blue.
    """

    trees: tuple[str, ...]
    flag_row: int
    first: str
    limit: int
    actions: str
    winner: str
    ending: str
    red: str = "red"
    blue: str = "blue"

    def field(self) -> Field:
        """Its map."""
        wood = np.array([[cell == "#" for cell in row] for row in self.trees])
        return maps.one(maps.build(wood[None], np.array([self.flag_row])), 0)

    def start(self) -> State:
        """The game before its first step."""
        state = rules.start(self.field(), WINNERS.index(self.first))
        return state._replace(limit=jnp.int32(self.limit))

    def states(self) -> list[State]:
        """The game before its first step and after each, with arrays of NumPy."""
        actions = np.array([int(digit) for digit in self.actions], np.int32)
        begun = self.start()
        # One compiled length for all games: what is too much are steps after the end, which are none.
        padded = np.zeros(max(2 * rules.ROUNDS * rules.TURN, len(actions)), np.int32)
        padded[: len(actions)] = actions
        trail = jax.tree.map(np.asarray, _trail()(self.field(), begun, padded))
        rest = [jax.tree.map(lambda leaf, i=i: leaf[i], trail) for i in range(len(actions))]
        return [jax.tree.map(np.asarray, begun), *rest]

    def to_json(self) -> str:
        """The document."""
        return json.dumps({"format": FORMAT, "version": VERSION} | asdict(self), indent=1)

    def save(self, path: str | Path) -> None:
        """Write the document.

        Raises:
            PlayError: it cannot be written; what was there before is still there.
        """
        put(path, f"{self.to_json()}\n".encode(), "replay")

    def gif(self, path: str | Path, every: int = maps.PLAYERS) -> None:
        """Write the game as an animated GIF, one picture per ``every`` ticks and one of the end."""
        field, states = self.field(), self.states()
        render.gif([render.image(field, state) for state in [*states[:-1:every], states[-1]]], path)


MOST = 1 << 20  # bytes of a document
MOST_TICKS = 2 * rules.TURN * limits.ROUNDS
WINNERS = ("red", "blue", "draw")
ENDINGS = ("undecided", "home", "jailed", "limit")


@lru_cache(maxsize=1)
def _trail() -> Any:
    def on(field: Field, begun: State, actions: Any) -> State:
        def one(now: State, action: Any) -> tuple[State, State]:
            after = rules.step(field, now, action)
            return after, after

        return jax.lax.scan(one, begun, actions)[1]

    return jax.jit(on)


def of(fields: Field, result: Result, place: tuple[int, int, int], *, red: str = "red", blue: str = "blue") -> Replay:
    """The game at one place of a result, (red, blue, map).

    Raises:
        PlayError: if the actions were not kept.
    """
    if result.actions is None:
        raise PlayError("These games were played without keeping their actions", where="keep",
                        remedy="Play them with keep=True.")  # fmt: skip
    field = maps.one(fields, place[2])
    state = jax.tree.map(lambda leaf: np.asarray(leaf[place]), result.state)
    return written(field, state, np.asarray(result.actions[place])[: int(state.tick)], red=red, blue=blue)


def written(field: Field, state: State, actions: Any, *, red: str = "red", blue: str = "blue") -> Replay:
    """A finished game from its last state and its actions, [ticks]."""
    width = field.way.shape[1]
    return Replay(
        trees=tuple("".join("#" if cell else "." for cell in row) for row in render.wood(field)),
        flag_row=int(field.flag) // width,
        first=WINNERS[int(state.first)],
        limit=int(state.limit),
        actions="".join(map(str, np.asarray(actions).tolist())),
        winner=WINNERS[int(state.winner)],
        ending=ENDINGS[int(state.ending)],
        red=red,
        blue=blue,
    )


def load(path: str | Path) -> Replay:
    """Read a document.

    Raises:
        PlayError: see ``from_json``, or if there is no such file.
    """
    return from_json(take(path, "replay", MOST).decode(errors="replace"), str(path))


def from_json(text: str, where: str = "replay") -> Replay:
    """A replay from its text, played through once.

    Raises:
        PlayError: if the text is no replay, of another version, of no known size, or does not end as it says.
    """
    try:
        given = json.loads(text)
        kind, version = given.pop("format"), given.pop("version")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        kind, version, given = None, None, {}
    if kind != FORMAT:
        raise PlayError(f"This is no replay; one says that its format is {FORMAT!r}", where=where, example=text[:40],
                        remedy="Name a file that Replay.save wrote.")  # fmt: skip
    if version != VERSION:
        raise PlayError(f"This replay is of version {version!r:.40}, and this Jumar plays version {VERSION}",
                        where=where, remedy=_AGAIN)  # fmt: skip
    replay = _checked(given, where)
    state = replay.states()[-1]
    ended = (WINNERS[int(state.winner)] if state.winner >= 0 else None, ENDINGS[int(state.ending)], int(state.tick))
    if ended != (replay.winner, replay.ending, len(replay.actions)):
        raise PlayError(
            f"This replay does not end as it says: {replay.winner}, {replay.ending} after {len(replay.actions)} steps",
            where=where, example=ended, remedy=f"It was changed, or played by other rules. {_AGAIN}",
        )  # fmt: skip
    return replay


def _checked(given: dict[str, Any], where: str) -> Replay:
    """The fields of a document, each of its kind."""
    broken = PlayError("This replay is damaged", where=where, example=sorted(given),
                       remedy="Name a file that Replay.save wrote, as it was written.")  # fmt: skip
    try:
        fields: dict[str, Any] = {**given, "trees": tuple(given["trees"])}
        replay = Replay(**fields)
        size = (len(replay.trees[0]), len(replay.trees))
        words = (replay.actions, replay.red, replay.blue, *replay.trees)
        sound = (
            all(isinstance(word, str) for word in words)
            and all(isinstance(number, int) for number in (replay.flag_row, replay.limit))
            and set("".join(replay.trees)) <= {"#", "."}
            and set(replay.actions) <= set("01234")
            and {len(row) for row in replay.trees} == {size[0]}
            and replay.first in WINNERS[:2]
            and 0 < replay.flag_row < size[1] - 1
            and 0 < replay.limit <= MOST_TICKS
            and len(replay.actions) <= replay.limit
            and all(map(limits.printable, (replay.red, replay.blue)))
        )
    except (TypeError, KeyError, IndexError):
        raise broken from None
    if not sound:
        raise broken
    if size not in maps.SIZES:
        raise PlayError(f"This replay is of a map of {size[0]} × {size[1]}, which is not played here",
                        where=where, remedy=_AGAIN)  # fmt: skip
    return replay
