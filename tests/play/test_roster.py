"""Who can be named, and what a training's champions look like on a page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jumar.play import PlayError, draw, roster, terminal
from jumar.play.breed import champions, players
from jumar.play.breed.breeders import KINDS, breeder
from jumar.play.breed.champions import Champion
from jumar.play.measure.entrants import games
from jumar.play.measure.league import League, told
from jumar.play.web import portraits
from jumar.play.web.watch import page

SMALL = (14, 9)


def some(kind: str, count: int = 3) -> list[Champion]:
    bred = breeder(kind, 8, 1)
    for _ in range(4):
        bred.tell(np.random.default_rng(0).random(len(bred.ask())))
    return [Champion(one, 10 * place, 1) for place, one in enumerate(bred.ask()[:count])]


def test_names(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    champions.save(some("neat"), path, "a test")
    assert [roster.named(name).name for name in ("random", "greedy", str(path))] == ["random", "greedy", "mine"]
    assert roster.named(str(path)).generation == 20
    with pytest.raises(PlayError, match="Nobody has this name"):
        roster.named("somebody")


def test_champions_of_one_training_play_as_one_pool() -> None:
    found = roster.entrants(some("strategy"))
    assert [one.name for one in found] == ["generation 0", "generation 10", "generation 20"]
    assert len({id(one.policy) for one in found}) == 1
    alone = some("strategy")[2].pool()
    assert np.array_equal(found[2].params, alone[1])


def test_a_game_of_two_names_is_the_same_again() -> None:
    one, two = roster.entrants(some("strategy"))[:2]
    game = roster.played(one, two, 4, SMALL)
    assert game == roster.played(one, two, 4, SMALL)
    assert (game.red, game.blue, len(game.trees)) == ("generation 0", "generation 10", 9)


@pytest.mark.parametrize("kind", KINDS)
def test_portraits_of_every_kind(kind: str) -> None:
    champion = some(kind)[-1]
    graph, weights = portraits.graph(champion), portraits.weights(champion)
    if kind == "strategy":
        assert graph is None
        assert sum(sheet.size for _, sheet in weights) == players.PLAIN_WEIGHTS - players.PLAIN
        return
    assert graph is not None
    body = champion.bred.body
    assert len(graph.links) == int(body.enabled.sum())  # type: ignore[union-attr]
    assert all(graph.nodes[link.source].x < graph.nodes[link.target].x for link in graph.links)
    assert len({(node.x, node.y) for node in graph.nodes}) == len(graph.nodes)
    assert len(weights) == (16 if kind == "hyperneat" else 0)


def test_a_page_of_champions() -> None:
    kept = some("strategy")
    entrants = roster.entrants(kept)
    scored = np.random.default_rng(0).choice([0.0, 0.5, 1.0], (5, 5, 6))
    standings, points = told([*entrants, roster.named("random"), roster.named("greedy")], scored, 0)
    league = League(SMALL, 6, 60, 0, standings, points)
    game = roster.played(entrants[0], entrants[1], 4, SMALL)
    shown = portraits.of_champions([(0, game), (20, game)], kept[-1], league)
    assert [generation for generation, *_ in shown.elo] == [0, 10, 20]
    assert set(shown.anchors) == {"random", "greedy"}
    assert shown.ancestors is not None
    assert np.isnan(np.asarray(shown.ancestors.wins)).sum() == 3
    assert "generation" in page(shown)
    assert page(portraits.of_champions([(0, game)], kept[-1], None)).startswith("<!doctype html>")
    assert games(entrants[:1], draw(1, 1, SMALL), 0, rounds=1).shape == (1, 1, 1)


def test_boards_in_a_terminal() -> None:
    one, two = roster.entrants(some("strategy"))[:2]
    game = roster.played(one, two, 4, SMALL)
    told: list[str] = []
    terminal.show(game, told.append, 0.0, screen=False)
    assert "\x1b" not in "".join(told)
    assert "".join(told).startswith("red: generation 0   blue: generation 10\n")
    told.clear()
    terminal.show(game, told.append, 0.0, screen=True)
    boards = list(terminal.boards(game))
    assert len(told) == 2 * len(boards)
    assert told[2] == "\x1b[10A", "up over nine rows and the caption"
    plain = "".join(told[1:2]).replace("\x1b[0K", "")
    assert "\x1b[1;31mA" in plain
    assert "\x1b[1;34ma" in plain
