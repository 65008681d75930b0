"""Replays as frames that a page draws without knowing the rules: who stood where when, who had seen what by when.

In: a ``Replay``. Out: dictionaries of JSON's kinds, everything in red's frame. What changes seldom is written as
``changes``, a flat list of ticks and values.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jumar.play import render, rules
from jumar.play.maps import PLAYERS, Field
from jumar.play.replay import Replay
from jumar.play.rules import NEVER, NOBODY, Side, State, jail
from jumar.play.web.events import between
from jumar.play.web.parts import bits, rows_to_cells


def ground(field: Field) -> dict[str, Any]:
    """A map: its size, trees, flags, where red's and blue's prisoners sit, and the table of what is seen from where."""
    height, width = field.way.shape
    cells, flag = height * width, int(field.flag)
    return {
        "width": width,
        "height": height,
        "trees": bits(rows_to_cells(field.trees, width)),
        "see": bits(rows_to_cells(field.see, width)),
        "flags": [flag, cells - 1 - flag],
        "jails": [jail(width), cells - 1 - jail(width)],
    }


def film(replay: Replay, captions: dict[str, int]) -> dict[str, Any]:
    """A game, tick by tick.

    Args:
        replay: the game.
        captions: all captions so far and their numbers; new ones are added. Games share most of them.

    Returns:
        "tracks" [8] changes of cells, red's players first, −1 − cell for prisoners; "carriers" [2] changes of who
        carries the other side's flag; "sightings" [2][4] changes of where each side has last seen each enemy, −1 for
        never; "explored" [2][cells] the tick at which a side first saw a cell, or −1; "captions" changes of their
        numbers; "events" of [tick, kind, side, text]; "ticks", "result", "red" and "blue".
    """
    states = replay.states()
    height, width = replay.field().way.shape
    cells = height * width
    free = np.stack([_over(states, "red", "free"), _over(states, "blue", "free")], axis=1)
    carriers = np.stack([_over(states, "red", "carrier"), _over(states, "blue", "carrier")], axis=1)
    at = np.stack([_over(states, "red", "at"), cells - 1 - _over(states, "blue", "at")], axis=1)
    tracks = np.where(free, at, -1 - at).reshape(len(states), 2 * PLAYERS)
    told = [captions.setdefault(render.caption(state), len(captions)) for state in states]
    # The flag of red is carried by blue, and the other way round.
    carried = carriers[:, ::-1] != NOBODY
    return {
        "red": replay.red,
        "blue": replay.blue,
        "ticks": len(states) - 1,
        "turn": rules.TURN,
        "result": render.caption(states[-1]),
        "tracks": [changes(track) for track in tracks.T],
        "carriers": [changes(carrier) for carrier in carriers.T],
        "sightings": [_sightings(states, "red", 0), _sightings(states, "blue", cells)],
        "explored": [_explored(states, "red", width).tolist(), _explored(states, "blue", width)[::-1].tolist()],
        "captions": changes(np.array(told)),
        "events": [
            [tick, *event]
            for tick in range(1, len(states))
            for event in between(free[tick - 1], free[tick], carried[tick - 1], carried[tick])
        ],
    }


def changes(values: np.ndarray) -> list[int]:
    """[ticks] as a flat list: the tick, and the value from then on."""
    starts = np.flatnonzero(np.diff(values, prepend=values[0] - 1))
    return np.stack([starts, values[starts]], axis=1).reshape(-1).tolist()


def _over(states: list[State], side: str, name: str) -> np.ndarray:
    sides: list[Side] = [getattr(state, side) for state in states]
    return np.stack([np.asarray(getattr(one, name)) for one in sides])


def _sightings(states: list[State], side: str, cells: int) -> list[list[int]]:
    """Per enemy; the cells of blue, whose number of cells is given, are turned around."""
    last = _over(states, side, "last")
    places = np.where(_over(states, side, "when") > NEVER, cells - 1 - last if cells else last, -1)
    return [changes(place) for place in places.T]


def _explored(states: list[State], side: str, width: int) -> np.ndarray:
    seen = rows_to_cells(_over(states, side, "explored"), width)
    return np.where(seen[-1], seen.argmax(axis=0), -1)
