"""The page to watch games on, as one self-contained HTML file.

In: ``Watched``. Out: the page as a string; it opens from a disk, asks nobody for anything, and escapes every name.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from jumar.play.web.films import film, ground
from jumar.play.web.parts import assembled
from jumar.play.web.watched import Ancestors, Graph, Watched

_LOUDEST = 127


def page(watched: Watched) -> str:
    """The whole page."""
    captions: dict[str, int] = {}
    places: dict[tuple[Any, ...], int] = {}
    maps, games = [], []
    for name, replay in watched.games:
        here = (replay.trees, replay.flag_row)
        if here not in places:
            places[here] = len(maps)
            maps.append(ground(replay.field()))
        generation = None if isinstance(name, str) else int(name)
        label = name if isinstance(name, str) else f"generation {name}"
        games.append({"name": label, "generation": generation, "map": places[here], **film(replay, captions)})
    data = {
        "title": watched.title,
        "maps": maps,
        "games": games,
        "captions": list(captions),
        "elo": sorted([int(row[0]), *(round(float(part), 1) for part in row[1:])] for row in watched.elo),
        "anchors": [[str(name), round(float(rating), 1)] for name, rating in watched.anchors.items()],
        "graph": None if watched.graph is None else _graph(watched.graph),
        "weights": [_sheet(label, sheet) for label, sheet in watched.sheets()],
        "ancestors": None if watched.ancestors is None else _ancestors(watched.ancestors),
    }
    return assembled("watch.html", ("board.js", "charts.js", "watch.js"), data, title=watched.title)


def _graph(graph: Graph) -> dict[str, Any]:
    return {
        "name": graph.name,
        "nodes": [[float(node.x), float(node.y), node.activation, node.label] for node in graph.nodes],
        "links": [[int(link.source), int(link.target), round(float(link.weight), 4)] for link in graph.links],
    }


def _sheet(label: str, sheet: np.ndarray) -> dict[str, Any]:
    """Weights as bytes, as parts of the greatest of them."""
    most = float(np.abs(sheet).max())
    parts = np.rint(sheet / (most or 1.0) * _LOUDEST).astype(np.int8)
    return {
        "label": label,
        "rows": sheet.shape[0],
        "columns": sheet.shape[1],
        "most": round(most, 3),
        "parts": base64.b64encode(parts.tobytes()).decode(),
    }


def _ancestors(given: Ancestors) -> dict[str, Any]:
    wins = np.asarray(given.wins, np.float64)
    return {
        "generations": [int(one) for one in given.generations],
        "against": [int(one) for one in given.against],
        "wins": [[None if np.isnan(share) else round(float(share), 3) for share in row] for row in wins],
    }
