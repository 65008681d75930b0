"""Capture the flag as a plain NumPy loop: one game at a time, the same rules and senses as ``jumar.play``.

In: a map, actions or networks. Out: the same games as from the compiled rules, which `tests/play/test_plain.py` holds
it to; `play_speed.py` measures against it. Written as one would without a compiler, from the description of the rules;
only the table of lines of sight is the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jumar.play.maps import PLAYERS, Field
from jumar.play.render import wood

NEVER = -1_000_000
MOVES = ((0, 0), (0, -1), (1, 0), (0, 1), (-1, 0))


class PlainSide:
    """One side in its own frame; places are columns and rows."""

    def __init__(self, homes: np.ndarray, nearest: int, shape: tuple[int, int]) -> None:
        self.at = homes.copy()
        self.free = np.ones(PLAYERS, bool)
        self.carrier = -1
        self.grabbed = False
        self.nearest = nearest
        self.explored = np.zeros(shape, bool)
        self.last = np.zeros((PLAYERS, 2), int)
        self.when = np.full(PLAYERS, NEVER)


class PlainGame:
    """A game from its first step to its last."""

    def __init__(self, field: Field, rounds: int = 60) -> None:
        self.height, self.width = field.way.shape
        self.trees = wood(field)
        self.way = np.asarray(field.way)
        rows = np.asarray(field.see).reshape(self.height, self.width, self.height, 1)
        self.views = (rows >> np.arange(self.width, dtype=np.uint32) & 1).astype(bool)
        self.flag = self._place(int(field.flag))
        self.homes = np.array([self._place(int(home)) for home in field.homes])
        self.goal = self.turned(self.flag)
        self.prison = np.array([self.width - 1, 0])
        self.tick, self.limit, self.winner = 0, rounds * 24, -1
        nearest = int(min(self.way[y, x] for x, y in self.homes))
        self.sides = [PlainSide(self.homes, nearest, (self.height, self.width)) for _ in range(2)]
        for side in self.sides:
            for home in self.homes:
                side.explored |= self.view(home)

    def _place(self, cell: int) -> np.ndarray:
        return np.array([cell % self.width, cell // self.width])

    def turned(self, places: np.ndarray) -> np.ndarray:
        """Places in the frame of the other side."""
        return np.array([self.width - 1, self.height - 1]) - places

    def sees(self, one: np.ndarray, other: np.ndarray) -> bool:
        return bool(self.views[one[1], one[0], other[1], other[0]])

    def view(self, one: np.ndarray) -> np.ndarray:
        """[height, width] what is seen from a place."""
        return self.views[one[1], one[0]]

    def stands(self, place: np.ndarray) -> bool:
        """Whether one may ever stand there."""
        x, y = place
        if not (0 <= x < self.width and 0 <= y < self.height) or self.trees[y, x]:
            return False
        closed = (self.prison, self.turned(self.prison), self.flag)
        return not any(np.array_equal(place, other) for other in closed)

    def legal(self, side: PlainSide, player: int, action: int) -> bool:
        if action == 0:
            return True
        there = side.at[player] + MOVES[action]
        return bool(side.free[player] and self.stands(there) and not (side.free & (side.at == there).all(axis=1)).any())

    def mask(self, number: int) -> np.ndarray:
        side = self.sides[number]
        return np.array([[self.legal(side, player, action) for action in range(5)] for player in range(PLAYERS)])

    def step(self, action: int) -> None:
        """One step of the player whose step it is."""
        if self.winner >= 0:
            return
        number, player = self.tick // 12 % 2, self.tick % PLAYERS
        mine, theirs = self.sides[number], self.sides[1 - number]
        if mine.free[player]:
            self._move(number, mine, theirs, player, action)
        self.tick += 1
        if self.winner < 0 and self.tick >= self.limit:
            red, blue = self.score(0), self.score(1)
            self.winner = 0 if red > blue else 1 if blue > red else 2

    def _move(self, number: int, mine: PlainSide, theirs: PlainSide, player: int, action: int) -> None:
        there = mine.at[player] + MOVES[action] if self.legal(mine, player, action) else mine.at[player].copy()
        at_home = there[0] < self.width // 2
        foes = self.turned(theirs.at)
        met = theirs.free & (foes == there).all(axis=1)
        if met.any() and not at_home:
            self._jail(mine, theirs, player)
            if not mine.free.any():
                self.winner = 1 - number
            return
        mine.at[player] = there
        for foe in np.flatnonzero(met).tolist():
            self._jail(theirs, mine, foe)
        if np.array_equal(there, self.goal) and mine.carrier < 0:
            mine.carrier, mine.grabbed = player, True
        if abs(there - self.prison).max() <= 1:
            self._free(mine, theirs)
        mine.nearest = min(mine.nearest, int(self.way[there[1], there[0]]))
        mine.explored |= self.view(there)
        for foe in np.flatnonzero(theirs.free):
            if self.sees(there, foes[foe]):
                mine.last[foe], mine.when[foe] = foes[foe], self.tick
                theirs.last[player], theirs.when[player] = self.turned(there), self.tick
        if (mine.carrier == player and at_home) or not theirs.free.any():
            self.winner = number

    def _jail(self, side: PlainSide, other: PlainSide, player: int) -> None:
        side.free[player] = False
        side.at[player] = self.prison
        other.when[player] = NEVER
        if side.carrier == player:
            side.carrier = -1

    def _free(self, mine: PlainSide, theirs: PlainSide) -> None:
        taken = {tuple(place) for place in mine.at[mine.free]}
        vacant = [home for home in self.homes if tuple(home) not in taken]
        for player in np.flatnonzero(~mine.free):
            mine.at[player], mine.free[player] = vacant.pop(0), True
            for foe in np.flatnonzero(theirs.free & (self.turned(theirs.at) == mine.at[player]).all(axis=1)).tolist():
                self._jail(theirs, mine, foe)

    def score(self, number: int) -> tuple[bool, int, int]:
        mine, theirs = self.sides[number], self.sides[1 - number]
        return mine.grabbed, int((~theirs.free).sum()), -mine.nearest

    def sense(self, number: int) -> np.ndarray:
        """[4, 28] what the players of a side sense."""
        mine, theirs = self.sides[number], self.sides[1 - number]
        scale = np.array([self.width - 1, self.height - 1])
        foes, mask = self.turned(theirs.at), self.mask(number)
        seen = [
            foe for foe in range(PLAYERS)
            if theirs.free[foe] and any(self.sees(mine.at[i], foes[foe]) for i in np.flatnonzero(mine.free))
        ]  # fmt: skip
        known = mine.explored[self.goal[1], self.goal[0]]
        target = self.goal if mine.carrier < 0 else mine.at[mine.carrier]
        jailed = int((~mine.free).sum())
        block = np.zeros((PLAYERS, 28), np.float32)
        for i in np.flatnonzero(mine.free):
            here, row = mine.at[i], block[i]
            row[:5] = 1, *(2 * here / scale - 1), here[0] >= self.width // 2, mine.carrier == i
            row[5:9] = ~mask[i, 1:]
            near = sorted(seen, key=lambda foe: abs(foes[foe] - here).sum())[:2]
            for k, foe in enumerate(near):
                apart = foes[foe] - here
                row[9 + 5 * k : 14 + 5 * k] = 1, *(apart / scale), 1 / abs(apart).sum(), foes[foe][0] < self.width // 2
            if known:
                row[19:22] = 1, *((target - here) / scale)
            row[22], row[23] = theirs.carrier >= 0, jailed / 3
            if jailed:
                row[24:26] = (self.prison - here) / scale
            mates = [j for j in np.flatnonzero(mine.free) if j != i]
            if mates:
                mate = min(mates, key=lambda j: abs(mine.at[j] - here).sum())
                row[26:28] = (mine.at[mate] - here) / scale
        return block


def play_plain(field: Field, networks: tuple[Any, Any], rng: np.random.Generator, rounds: int = 60) -> PlainGame:
    """A whole game of two networks, (weights, weights) each, whose actions are drawn by their softmax."""
    game = PlainGame(field, rounds)
    while game.winner < 0:
        number = game.tick // 12 % 2
        first, second = networks[number]
        logits = np.where(game.mask(number), np.tanh(game.sense(number) @ first) @ second, -np.inf)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        below = weights.cumsum(axis=1)
        for action in (below <= rng.random((PLAYERS, 1)) * below[:, -1:]).sum(axis=1):
            game.step(int(action))
    return game
