"""A league: champions and the bots, everybody against everybody, on maps that are in no training.

In: entrants, a stack of maps, a seed. Out: a ``League``: for each entrant its games against the bots, its Elo, and how
many of its ancestors it beats; and the table of everybody against everybody, which shows what a curve of the best
hides, cycling and forgetting, among those who take part: a file of champions ends with the one chosen, and doesn't
hold those who forgot after it. It is one JSON document, which a page shows, and ``table`` for a terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jumar.play.maps import Field
from jumar.play.measure.documents import Kind, Measured, columns, evenly
from jumar.play.measure.entrants import BOTS, Entrant, games
from jumar.play.measure.ratings import Rating, Share, elo, mean
from jumar.play.rules import ROUNDS

COLUMNS = 15  # of everybody against everybody that fit a terminal


@dataclass(frozen=True)
class Record:
    """Shares of the games against one opponent, both sides."""

    wins: Share
    draws: Share
    losses: Share


@dataclass(frozen=True)
class Standing:
    """How one entrant does.

    Attributes:
        name: of the entrant.
        generation: of the entrant.
        rating: Elo from all games, the random bot's being 0.
        beaten: share of the entrants of earlier generations of which it makes more than half the points, and half of
            those of which it makes half, so ½ is what no progress gives on average; None if there are none. With few
            maps it is luck as well: no progress gives 0 and 1 too.
        against: each bot, by name, but itself.
    """

    name: str
    generation: int | None
    rating: Rating
    beaten: float | None
    against: dict[str, Record]


@dataclass(frozen=True)
class League(Measured):
    """Everybody against everybody.

    Attributes:
        size: columns and rows of the maps.
        maps: how many.
        rounds: after which a game is decided by its score.
        seed: of all chance.
        standings: one per entrant, as they came in, then the bots.
        points: [i][j] mean points of i against j over both sides and all maps, 1 for a win and ½ for a draw; None of
            itself.
    """

    size: tuple[int, int]
    maps: int
    rounds: int
    seed: int
    standings: tuple[Standing, ...]
    points: tuple[tuple[float | None, ...], ...]


def measure(entrants: Sequence[Entrant], fields: Field, seed: int, *, rounds: int = ROUNDS) -> League:
    """Let all entrants and both bots play each other on all maps, both sides.

    Args:
        entrants: in the order in which they are told, the oldest first.
        fields: a stack of maps, of a seed below ``training.HELD_OUT`` and thus in no training.
        seed: of all chance.
        rounds: after which a game is decided by its score.

    Raises:
        PlayError: two of one name, or an entrant that is not a pool of one.
    """
    everybody = [*entrants, *BOTS]
    height, width = fields.way.shape[1:]
    scored = games(everybody, fields, seed, rounds=rounds)
    standings, points = told(everybody, scored, seed)
    return League((width, height), len(fields.flag), rounds, seed, standings, points)


def told(
    entrants: Sequence[Entrant], scored: np.ndarray, seed: int
) -> tuple[tuple[Standing, ...], tuple[tuple[float | None, ...], ...]]:
    """What a table of games says: the standings, and the points of everybody against everybody.

    Args:
        entrants: with the bots among them.
        scored: [entrants, entrants, maps], as ``games`` gives it.
        seed: of the bootstrap.
    """
    names = [entrant.name for entrant in entrants]
    ratings = elo(scored, names.index(BOTS[0].name), seed)
    second = 1 - scored.swapaxes(0, 1)
    points = ((scored + second) / 2).mean(axis=2)
    standings = []
    for i, entrant in enumerate(entrants):
        mine = entrant.generation
        ancestors = [j for j, other in enumerate(entrants)
                     if mine is not None and other.generation is not None and other.generation < mine]  # fmt: skip
        against = {
            bot.name: _record(np.stack([scored[i, names.index(bot.name)], second[i, names.index(bot.name)]]))
            for bot in BOTS
            if bot.name != entrant.name
        }
        beaten = float(((np.sign(points[i, ancestors] - 0.5) + 1) / 2).mean()) if ancestors else None
        standings.append(Standing(entrant.name, mine, ratings[i], beaten, against))
    rows = tuple(tuple(None if i == j else float(p) for j, p in enumerate(row)) for i, row in enumerate(points))
    return tuple(standings), rows


def _record(both: np.ndarray) -> Record:
    """Shares of [2, maps] points; both games on a map are one observation, as a map may suit one of the two."""
    return Record(*(mean((both == worth).mean(axis=0)) for worth in (1.0, 0.5, 0.0)))


def _sound(league: League) -> bool:
    count = len(league.standings)
    return len(league.points) == count and all(
        len(row) == count and all((cell is None) == (i == j) for j, cell in enumerate(row))
        for i, row in enumerate(league.points)
    )


DOCUMENT = League.kind = Kind(League, "league", 1, _sound)
load = DOCUMENT.load


def table(league: League) -> str:
    """The league for a terminal, at most 100 columns wide; of many entrants the points of some, evenly chosen."""
    count = len(league.standings)
    rows = [["   entrant", "gen.", "Elo", "95%", "beats", *(f"{bot.name} W/D/L" for bot in BOTS)]]
    for i, one in enumerate(league.standings):
        ends = ("open" if end is None else f"{end:.0f}" for end in (one.rating.low, one.rating.high))
        interval = "fixed" if one.name == BOTS[0].name else " to ".join(ends)
        beats = "–" if one.beaten is None else f"{one.beaten:.0%}"
        generation = "–" if one.generation is None else str(one.generation)
        records = [_in_words(one.against[bot.name]) if bot.name in one.against else "" for bot in BOTS]
        rows.append([f"{i + 1:>3} {one.name[:18]}", generation, f"{one.rating.elo:.0f}", interval, beats, *records])
    shown = evenly(count, COLUMNS)
    grid = [["   points in %", *(f"{j + 1}" for j in shown)]]
    for i in shown:
        cells = (league.points[i][j] for j in shown)
        grid.append([rows[i + 1][0], *("" if cell is None else f"{100 * cell:.0f}" for cell in cells)])
    size = f"{league.size[0]} × {league.size[1]}"
    return (
        f"{league.maps} maps of {size}, both sides, {league.rounds} rounds; 95% intervals by map\n\n{columns(rows)}\n\n"
        "Elo: over random, among these players; where intervals overlap the order may still be sure\n"
        "beats: of its ancestors in this table; 50% on average where there is no progress\n"
        "W/D/L: % won, drawn and lost against the bot (and the interval of won)\n\n"
        f"{columns(grid)}"
    )


def _in_words(record: Record) -> str:
    wins, draws, losses = (f"{100 * part.mean:.0f}" for part in (record.wins, record.draws, record.losses))
    return f"{wins}/{draws}/{losses} ({100 * record.wins.low:.0f}–{100 * record.wins.high:.0f})"
