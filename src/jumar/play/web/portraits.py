"""A champion as pictures: the network that paints, or plays, as a graph, and its weights as sheets.

In: a ``Champion``. Out: ``watched.Graph``, and labelled arrays of weights for ``watched.Watched``.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from jumar.play.breed import egocentric, players
from jumar.play.breed.champions import Champion
from jumar.play.evolve.genome import ACTIVATIONS, Genome
from jumar.play.maps import ACTIONS, PLAYERS
from jumar.play.measure.league import League
from jumar.play.render import NAMES
from jumar.play.replay import Replay
from jumar.play.web.watched import Ancestors, Graph, Link, Node, Watched

_AXES = ("x", "y", "slot")
SEEN = (
    *(f"{axis} of source" for axis in _AXES), *(f"{axis} of target" for axis in _AXES),
    *(f"{axis} between" for axis in _AXES), "distance",
)  # fmt: skip
PAINTED = (
    *(f"{sheet} to plane" for sheet in egocentric.SHEETS), *(f"{sheet} to step" for sheet in egocentric.SHEETS),
    "plane to step", "bias of plane", "bias of step",
)  # fmt: skip


def graph(champion: Champion) -> Graph | None:
    """The network that was grown, inputs at the left and outputs at the right; None for a plain network."""
    body = champion.bred.body
    if not isinstance(body, Genome):
        return None
    painting = champion.bred.kind == "hyperneat"
    inputs, outputs = (SEEN, PAINTED) if painting else (egocentric.NAMES, ACTIONS)
    column = _columns(body, len(inputs), len(outputs))
    nodes = []
    for place, x in enumerate(column):
        beside = np.flatnonzero(column == x)
        y = (int(np.searchsorted(beside, place)) + 0.5) / len(beside)
        names = (*inputs, *outputs)
        nodes.append(
            Node(float(x), y, ACTIVATIONS[int(body.activation[place])], names[place] if place < len(names) else "")
        )
    source, target = body.ends
    links = [Link(int(source[i]), int(target[i]), float(body.weight[i])) for i in np.flatnonzero(body.enabled)]
    return Graph(nodes, links, "The network that paints the weights" if painting else "The network that plays")


def _columns(genome: Genome, inputs: int, outputs: int) -> np.ndarray:
    """[nodes] from 0 to 1 how far each is on the way from the inputs to the outputs."""
    source, target = (ends[genome.enabled] for ends in genome.ends)
    level = np.zeros(len(genome.nodes))
    for _ in range(len(genome.nodes)):
        np.maximum.at(level, target, level[source] + 1)
    ends = np.arange(inputs, inputs + outputs)
    ends = ends[~np.isin(ends, source)]  # one that leads on stays where it is
    others = np.delete(level, ends)
    level[ends] = max(level[ends].max(initial=1), others.max() + 1)
    return level / level.max()


def weights(champion: Champion) -> list[tuple[str, np.ndarray]]:
    """What a champion's network holds: painted weights by player, from sheets to steps; or a plain network's layers."""
    body = champion.bred.body
    if champion.bred.kind == "strategy":
        parts = np.split(np.asarray(body), players.PLAIN_CUTS)
        reflex, first, _, last = (part.reshape(shape) for part, shape in zip(parts, players.PLAIN_SHAPES, strict=True))
        return [("reflexes: senses to steps", reflex.T), ("senses to hidden", first.T), ("hidden to steps", last.T)]
    if champion.bred.kind == "neat":
        return []
    _, pool = champion.pool()
    (_, _), (steps, _) = jax.tree.map(lambda leaf: np.asarray(leaf)[0], pool)
    sheets = len(egocentric.SHEETS) * egocentric.SIGHT**2
    found = []
    for player in range(PLAYERS):
        for place, step in enumerate(ACTIONS[1:], 1):
            painted = steps[player, place, :sheets].reshape(len(egocentric.SHEETS), egocentric.SIGHT, egocentric.SIGHT)
            rows = np.concatenate(list(painted), axis=1)  # one sheet beside the other
            found.append((f"player {NAMES[0][player]}, {step}: {', '.join(egocentric.SHEETS)}", rows))
    return found


def of_champions(games: Sequence[tuple[int, Replay]], last: Champion, league: League | None) -> Watched:
    """All there is to see of a training: games by generation, the last champion's networks, and a league."""
    named = [] if league is None else [(place, one) for place, one in enumerate(league.standings)]
    rated = [(place, one, one.generation) for place, one in named if one.generation is not None]
    elo = [(generation, one.rating.elo, _end(one.rating.low, one.rating.elo), _end(one.rating.high, one.rating.elo))
           for _, one, generation in rated]  # fmt: skip
    ancestors = None
    if league is not None and rated:
        places = [place for place, *_ in rated]
        wins = np.array([[np.nan if (p := league.points[i][j]) is None else p for j in places] for i in places])
        generations = [generation for *_, generation in rated]
        ancestors = Ancestors(generations, generations, wins)
    anchors = {one.name: one.rating.elo for _, one in named if one.generation is None}
    return Watched(games, elo=elo, anchors=anchors, graph=graph(last), weights=weights(last), ancestors=ancestors)


def _end(end: float | None, rating: float) -> float:
    """An end of an interval; the rating itself where the games do not bound it."""
    return rating if end is None else end
