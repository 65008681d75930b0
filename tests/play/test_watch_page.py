"""The page to watch: it holds the games tick by tick, escapes what it is given, and refuses what cannot be drawn."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from games_of_play import HOSTILE, walk

from jumar.play import PlayError, Replay, draw, maps, render, rules, sight
from jumar.play.web import events
from jumar.play.web.films import film, ground
from jumar.play.web.parts import bits, rows_to_cells
from jumar.play.web.watch import page
from jumar.play.web.watched import Ancestors, Graph, Link, Node, Watched


def data_of(html: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def spread(changes: list[int], ticks: int) -> np.ndarray:
    values = np.zeros(ticks + 1, int)
    for tick, value in zip(changes[::2], changes[1::2], strict=True):
        values[tick:] = value
    return values


def test_a_film_holds_what_the_replay_holds() -> None:
    game, captions = walk(3), {}
    made, states = film(game, captions), game.states()
    ticks, cells = made["ticks"], 14 * 9
    assert ticks == len(states) - 1
    tracks = np.stack([spread(track, ticks) for track in made["tracks"]])
    carriers = [spread(carrier, ticks) for carrier in made["carriers"]]
    told = spread(made["captions"], ticks)
    seen_last = [[spread(one, ticks) for one in side] for side in made["sightings"]]
    for tick, state in enumerate(states):
        free = np.concatenate([state.red.free, state.blue.free])
        at = np.concatenate([state.red.at, cells - 1 - np.asarray(state.blue.at)])
        assert tracks[:, tick].tolist() == np.where(free, at, -1 - at).tolist()
        assert [carriers[0][tick], carriers[1][tick]] == [state.red.carrier, state.blue.carrier]
        assert list(captions)[told[tick]] == render.caption(state)
        for number, side in enumerate((state.red, state.blue)):
            explored = rows_to_cells(side.explored, 14)
            firsts = np.array(made["explored"][number])
            assert ((firsts >= 0) & (firsts <= tick)).tolist() == (explored[::-1] if number else explored).tolist()
            last = cells - 1 - np.asarray(side.last) if number else np.asarray(side.last)
            known = np.where(side.when > rules.NEVER, last, -1)
            assert [one[tick] for one in seen_last[number]] == known.tolist()
    assert np.ptp(told) > 4
    assert (np.stack(seen_last) >= 0).any()


def test_events_are_told_in_words() -> None:
    free = np.ones((2, 4), bool)
    jailed = free.copy()
    jailed[1, 2] = jailed[0, 0] = jailed[0, 1] = False
    assert [event.text for event in events.between(free, jailed, [False, True], [True, False])] == [
        "red A is jailed", "red B is jailed", "red’s flag is taken", "blue c is jailed", "blue’s flag is back",
    ]  # fmt: skip
    assert events.between(jailed, free, [True, True], [True, True]) == [
        (events.FREED, 0, "red A, B freed"), (events.FREED, 1, "blue c freed"),
    ]  # fmt: skip
    assert events.between(free, free, [False, False], [False, False]) == []


def test_the_table_of_sight_is_in_the_page_bit_by_bit() -> None:
    field = maps.one(draw(3, 1, maps.SIZES[1]), 0)
    told = ground(field)
    packed = np.frombuffer(base64.b64decode(told["see"]), np.uint8).reshape(14 * 9, -1)
    unpacked = np.unpackbits(packed, axis=1, bitorder="little")[:, : 14 * 9].astype(bool)
    for cell in (0, 44, 125):
        assert unpacked[cell].tolist() == sight.has(field.see[cell], np.arange(14 * 9), 14).tolist()
    assert told["jails"] == [13, 8 * 14]
    assert bits(np.array([True] + [False] * 8 + [True])) == "AQI="


def test_a_page_is_self_contained_and_always_the_same() -> None:
    shown = Watched([(0, walk(3)), ("the last", walk(3)), (2, walk(4))], title="Bred")
    html = page(shown)
    assert html == page(shown)
    assert set(re.findall(r"https?://[^\"'` ]+", html)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(link|img|iframe|script|style)[^>]*(src|href)=[\"'](?!data:,)", html)
    assert "default-src &#x27;none&#x27;" in html
    told = data_of(html)
    assert [game["map"] for game in told["games"]] == [0, 0, 1]
    assert len(told["maps"]) == 2
    assert [game["name"] for game in told["games"]] == ["generation 0", "the last", "generation 2"]
    assert [game["generation"] for game in told["games"]] == [0, None, 2]


def test_fifty_long_games_fit_in_two_megabytes() -> None:
    actions = "".join(map(str, np.random.default_rng(0).integers(0, 5, 1440)))
    empty = Replay(trees=("." * 20,) * 13, flag_row=4, first="red", limit=1440, actions=actions, winner="draw",
                   ending="limit")  # fmt: skip
    captions: dict[str, int] = {}
    size = len(json.dumps(film(empty, captions), separators=(",", ":"))) + len(ground(empty.field())["see"])
    assert 50 * size + len(json.dumps(list(captions))) + 100_000 < 2_000_000


def test_texts_from_outside_cannot_break_out() -> None:
    game = walk(3, red=HOSTILE, blue=HOSTILE)
    graph = Graph([Node(0, 0, HOSTILE, HOSTILE)], [], name=HOSTILE)
    watched = Watched([(HOSTILE, game)], title=HOSTILE, anchors={HOSTILE: 3.0}, elo=[(0, 1.0, 0.0, 2.0)], graph=graph,
                      weights=[(HOSTILE, np.ones((1, 1)))])  # fmt: skip
    html = page(watched)
    assert html.count("<script") == html.count("</script") == 2
    assert "<img" not in html
    assert "\u2028" not in html.replace("<title>", "", 1).split("</title>")[1]
    told = data_of(html)
    assert {told["title"], told["games"][0]["red"], told["games"][0]["name"], told["graph"]["name"],
            told["anchors"][0][0], told["weights"][0]["label"]} == {HOSTILE}  # fmt: skip


def test_what_is_beside_the_games() -> None:
    elo = [(10, 1100.04, 1050.0, 1150.0), (0, 1000.0, 950.0, 1050.0)]
    weights = np.array([[[0.5, -1.0]], [[0.0, 0.0]]])
    wins = [[0.5, math.nan], [1.0, 0.5]]
    graph = Graph([Node(0, 0, "linear", "x"), Node(0, 1, "sine")], [Link(0, 1, -0.5)])
    watched = Watched([(0, walk(3))], elo=elo, anchors={"random": 900.0}, graph=graph, weights=weights,
                      ancestors=Ancestors([0, 10], [0, 10], wins))  # fmt: skip
    told = data_of(page(watched))
    assert told["elo"] == [[0, 1000.0, 950.0, 1050.0], [10, 1100.0, 1050.0, 1150.0]]
    assert told["graph"]["links"] == [[0, 1, -0.5]]
    assert [sheet["label"] for sheet in told["weights"]] == ["player A", "player B"]
    assert [(sheet["parts"], sheet["most"]) for sheet in told["weights"]] == [("QIE=", 1.0), ("AAA=", 0.0)]
    assert told["ancestors"]["wins"] == [[0.5, None], [1.0, 0.5]]


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: Watched([]), "no games"),
        (lambda: Watched([(0, walk(3))], elo=[(0, 1.0, 2.0, 3.0)]), "lies in its interval"),
        (lambda: Watched([(0, walk(3))], elo=[(0, math.nan, 2.0, 3.0)]), "Only numbers"),
        (lambda: Watched([(0, walk(3))], anchors={"x": math.inf}), "Only numbers"),
        (lambda: Watched([(0, walk(3))], graph=Graph([Node(0, 0, "sine")], [Link(0, 1, 1.0)])), "from node to node"),
        (lambda: Watched([(0, walk(3))], graph=Graph([Node(0, math.nan, "sine")], [])), "Only numbers"),
        (lambda: Watched([(0, walk(3))], weights=np.ones(3)), "targets and sources"),
        (lambda: Watched([(0, walk(3))], weights=[("x", np.ones((0, 2)))]), "targets and sources"),
        (lambda: Watched([(0, walk(3))], weights=[("x", np.full((1, 1), np.nan))]), "Only numbers"),
        (lambda: Watched([(0, walk(3))], ancestors=Ancestors([0], [0, 1], [[0.5]])), "a row per generation"),
        (lambda: Watched([(0, walk(3))], ancestors=Ancestors([0], [0], [[1.5]])), "between 0 and 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(made: Callable[[], Watched], told: str) -> None:
    with pytest.raises(PlayError, match=told) as refused:
        made()
    assert refused.value.remedy
