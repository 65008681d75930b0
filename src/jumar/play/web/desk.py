"""Where games of persons are kept, each under a token that only its page knows.

In: what pages ask, as parsed JSON of any kind whatever. Out: answers in JSON's kinds, or ``RefusedError``.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from jumar.play import limits
from jumar.play.errors import PlayError
from jumar.play.render import SIDES
from jumar.play.rules import ROUNDS
from jumar.play.web import watch
from jumar.play.web.commands import Game, Opponent, checked
from jumar.play.web.watched import Watched

KEPT = 64


class RefusedError(PlayError):
    """What a page asked is not done; ``status`` is HTTP's number for it."""

    def __init__(self, status: int, what: str, remedy: str) -> None:
        self.status = status
        super().__init__(what, remedy=remedy)


class Desk:
    """The games; those that were used last are kept. Safe to ask from several threads.

    Args:
        opponents: who can be played against.
        sizes: of maps that are offered.
        kept: how many games at most.
    """

    def __init__(self, opponents: Sequence[Opponent], sizes: Sequence[tuple[int, int]], kept: int = KEPT) -> None:
        self._opponents = {opponent.name: opponent for opponent in opponents}
        self._sizes, self._kept = list(sizes), kept
        self._games: OrderedDict[str, tuple[threading.Lock, Game]] = OrderedDict()
        self._lock = threading.Lock()

    def offers(self) -> dict[str, Any]:
        """What a new game may be."""
        return {"opponents": list(self._opponents), "sizes": self._sizes, "sides": SIDES, "rounds": ROUNDS,
                "most_seed": limits.SEED}  # fmt: skip

    def begin(self, asked: Any) -> dict[str, Any]:
        """A new game: its token and its view.

        Args:
            asked: a dictionary with any of "opponent", "side", "size", "seed" and "rounds".
        """
        wanted = asked if isinstance(asked, dict) else {"": asked}
        if unknown := set(wanted) - {"opponent", "side", "size", "seed", "rounds"}:
            raise RefusedError(400, f"A new game has no {min(unknown)!r:.40}",
                          "Give any of opponent, side, size, seed, rounds.")  # fmt: skip
        opponent = _one_of(wanted, "opponent", list(self._opponents))
        side = _one_of(wanted, "side", list(SIDES))
        size = _one_of(wanted, "size", [list(size) for size in self._sizes])
        rounds = _number(wanted, "rounds", 1, ROUNDS, ROUNDS)
        seed = _number(wanted, "seed", 0, limits.SEED, secrets.randbelow(limits.SEED))
        game = Game(self._opponents[opponent], side=side, seed=seed, size=(size[0], size[1]), rounds=rounds,
                    chance=secrets.randbits(31), secret=wanted.get("seed") is None)  # fmt: skip
        token = secrets.token_urlsafe(16)
        with self._lock:
            self._games[token] = (threading.Lock(), game)
            while len(self._games) > self._kept:
                self._games.popitem(last=False)
        return {"token": token, **game.view()}

    def look(self, token: str) -> dict[str, Any]:
        """The view of a game."""
        lock, game = self._game(token)
        with lock:
            return {"token": token, **game.view()}

    def turn(self, token: str, asked: Any) -> dict[str, Any]:
        """A person's turn; the view after it.

        Args:
            token: of the game.
            asked: a dictionary with "steps", as in ``Game.turn``.
        """
        lock, game = self._game(token)
        steps = asked.get("steps") if isinstance(asked, dict) else None
        checked(steps)
        with lock:
            if game.over:
                raise RefusedError(409, "This game has ended", "Begin a new one.")
            game.turn(steps or [])
            return {"token": token, **game.view()}

    def replay(self, token: str) -> str:
        """A game that has ended, as a document."""
        return self._ended(token).replay().to_json()

    def watch(self, token: str) -> str:
        """A game that has ended, as a page."""
        game = self._ended(token)
        return watch.page(Watched([("your game", game.replay())], title=f"You against {game.opponent.name}"))

    def _ended(self, token: str) -> Game:
        lock, game = self._game(token)
        with lock:
            if not game.over:
                raise RefusedError(409, "This game goes on", "Play it to its end first.")
        return game

    def _game(self, token: str) -> tuple[threading.Lock, Game]:
        with self._lock:
            if token not in self._games:
                raise RefusedError(404, "There is no such game, or it was given up for newer ones", "Begin a new one.")
            self._games.move_to_end(token)
            return self._games[token]


def _one_of(asked: dict[str, Any], name: str, known: list[Any]) -> Any:
    """What was chosen; the first if nothing was."""
    given = asked.get(name, known[0])
    if given not in known:
        raise RefusedError(400, f"There is no such {name}: {given!r:.60}", f"Choose from {known}.")
    return known[known.index(given)]


def _number(asked: dict[str, Any], name: str, least: int, most: int, otherwise: int) -> int:
    given = asked.get(name)
    if given is None:
        return otherwise
    if type(given) is not int or not least <= given <= most:
        raise RefusedError(
            400, f"A number is wrong: {name} = {given!r:.60}", f"Give a whole number from {least} to {most}."
        )
    return given
