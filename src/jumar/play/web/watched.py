"""What can be shown beside games: the strength of generations, a network, the weights it paints, wins over ancestors.

In: numbers as they were measured. Out: ``Watched``, which is checked once, so that the page need not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jumar.play.errors import PlayError
from jumar.play.maps import PLAYERS
from jumar.play.render import NAMES
from jumar.play.replay import Replay


@dataclass(frozen=True)
class Node:
    """A node of a network: where it is drawn, x to the right and y downwards in any unit, and what it computes."""

    x: float
    y: float
    activation: str
    label: str = ""


@dataclass(frozen=True)
class Link:
    """A link between two nodes, by their places in the list of nodes."""

    source: int
    target: int
    weight: float


@dataclass(frozen=True)
class Graph:
    """A network as a picture.

    Attributes:
        nodes: in any order.
        links: enabled ones.
        name: what it is, in words.
    """

    nodes: Sequence[Node]
    links: Sequence[Link]
    name: str = "The network that paints the weights"


@dataclass(frozen=True)
class Ancestors:
    """How generations do against others.

    Attributes:
        generations: of the rows.
        against: of the columns.
        wins: [rows, columns] shares of games won, a draw as half, from 0 to 1; NaN where nothing was played.
    """

    generations: Sequence[int]
    against: Sequence[int]
    wins: Any


@dataclass(frozen=True)
class Watched:
    """All that one page shows.

    Attributes:
        games: (generation or name, game), in the order of the slider.
        title: of the page.
        elo: (generation, rating, low, high), the latter an interval; an end that is the rating itself is open.
        anchors: names of fixed players and their ratings.
        graph: a network.
        weights: (label, [targets, sources]) each; or an array [slots, targets, sources].
        ancestors: a matrix of wins.

    Raises:
        PlayError: for no games, numbers that are none, links to nowhere, arrays of another shape.
    """

    games: Sequence[tuple[int | str, Replay]]
    title: str = "Capture the flag"
    elo: Sequence[tuple[int, float, float, float]] = ()
    anchors: Mapping[str, float] = field(default_factory=dict)
    graph: Graph | None = None
    weights: Any = ()
    ancestors: Ancestors | None = None

    def __post_init__(self) -> None:
        if not self.games:
            raise PlayError("There are no games to watch", where="games", remedy="Give one replay or more.")
        _finite("elo", [number for row in self.elo for number in row])
        _finite("anchors", list(self.anchors.values()))
        for _, rating, low, high in self.elo:
            if not low <= rating <= high:
                raise PlayError("A rating lies in its interval", where="elo", example=(rating, low, high),
                                remedy="Give (generation, rating, low, high).")  # fmt: skip
        if self.graph is not None:
            _check_graph(self.graph)
        for label, sheet in self.sheets():
            _finite(f"weights of {label}", sheet)
        if self.ancestors is not None:
            _check_ancestors(self.ancestors)

    def sheets(self) -> list[tuple[str, np.ndarray]]:
        """Painted weights, each with a label and of two dimensions."""
        given = self.weights
        if isinstance(given, np.ndarray) or hasattr(given, "ndim"):
            labels = [f"player {NAMES[0][i]}" if i < PLAYERS else f"slot {i + 1}" for i in range(len(given))]
            pairs = list(zip(labels, np.asarray(given, np.float64), strict=True))
        else:
            pairs = [(str(label), np.asarray(sheet, np.float64)) for label, sheet in given]
        for label, sheet in pairs:
            if sheet.ndim != 2 or not sheet.size:
                raise PlayError("Weights are arrays of targets and sources", where=f"weights of {label}",
                                example=sheet.shape, remedy="Give an array [slots, targets, sources].")  # fmt: skip
        return pairs


def _finite(where: str, numbers: Any) -> None:
    values = np.asarray(numbers, np.float64)
    if not np.isfinite(values).all():
        raise PlayError("Only numbers can be drawn", where=where, example=float(values[~np.isfinite(values)][0]),
                        remedy="Leave out what was not measured.")  # fmt: skip


def _check_graph(graph: Graph) -> None:
    _finite("graph", [number for node in graph.nodes for number in (node.x, node.y)])
    _finite("graph", [link.weight for link in graph.links])
    for link in graph.links:
        if not (0 <= link.source < len(graph.nodes) and 0 <= link.target < len(graph.nodes)):
            raise PlayError("A link leads from node to node", where="graph", example=link,
                            remedy="Name nodes by their places in the list, from 0.")  # fmt: skip


def _check_ancestors(given: Ancestors) -> None:
    wins = np.asarray(given.wins, np.float64)
    if wins.shape != (len(given.generations), len(given.against)):
        raise PlayError("A matrix has a row per generation and a column per opponent", where="ancestors",
                        example=wins.shape, remedy="Make both lists as long as the matrix.")  # fmt: skip
    if (np.isinf(wins) | (wins < 0) | (wins > 1)).any():
        raise PlayError("Shares of wins lie between 0 and 1", where="ancestors", example=float(np.nanmax(wins)),
                        remedy="Give shares of the games, a draw as half.")  # fmt: skip
