"""The page to watch, in headless Chromium: games are seen, as from above so in the fog, and nothing else happens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest
from chromium_pipe import Browser, browsing
from games_of_play import HOSTILE, walk

from jumar.play import render, rules, senses
from jumar.play.web.watch import page
from jumar.play.web.watched import Ancestors, Graph, Link, Node, Watched

GENERATIONS = (0, 10, 20)
PIXELS = """(() => { const one = document.getElementById("board");
  const at = one.getContext("2d").getImageData(0, 0, one.width, one.height).data, found = new Map();
  for (let i = 0; i < at.length; i += 4) { const c = at.slice(i, i + 3).join(); found.set(c, (found.get(c) || 0) + 1); }
  return [...found].filter(([, count]) => count > 20).length; })()"""
# Of a piece, beside its letter.
CENTRE = """((cell) => { const one = document.getElementById("board"), size = one.width / 14;
  const x = (cell % 14 + 0.22) * size, y = (Math.floor(cell / 14) + 0.5) * size;
  return [...one.getContext("2d").getImageData(x, y, 1, 1).data].slice(0, 3); })"""


def watched() -> Watched:
    nodes = [*(Node(x, 0, "linear", name) for x, name in enumerate(("bias", "x1", "y1"))), Node(1, 1, "gauss", HOSTILE)]
    return Watched(
        [*((generation, walk(3 + i)) for i, generation in enumerate(GENERATIONS)), (HOSTILE, walk(3, red=HOSTILE))],
        title="Bred for twenty generations",
        elo=[(generation, 900.0 + 9 * generation, 850.0, 1150.0) for generation in GENERATIONS],
        anchors={"random": 880.0},
        graph=Graph(nodes, [Link(i, 3, i - 1.0) for i in range(3)]),
        weights=np.random.default_rng(0).normal(size=(4, 25, 196)),
        ancestors=Ancestors(GENERATIONS, GENERATIONS, np.eye(3) / 2),
    )


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("browser")) as one:
        yield one


@pytest.fixture
def shown(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """The page, opened from the disk."""
    path = tmp_path_factory.mktemp("page") / "watch.html"
    path.write_text(page(watched()), encoding="utf-8")
    browser.complaints.clear()
    browser.asked.clear()
    browser.size(1400)
    browser.open(path.as_uri())
    browser.choose("#game", "0")
    return browser


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1400])
def test_the_page_is_whole_at_any_width(shown: Browser, width: int, dark: bool) -> None:
    shown.size(width, dark=dark, sharp=2)
    shown.until(f"document.getElementById('board').width <= 2 * {width}")
    assert shown.overflow() == []
    assert shown.value(PIXELS) >= 6
    assert shown.value("getComputedStyle(document.body).color") == ("rgb(233, 234, 235)" if dark else "rgb(27, 29, 32)")
    assert shown.value("document.querySelectorAll('.sheets canvas').length") == 4
    assert shown.value("[...document.querySelectorAll('figure svg')].every((svg) => svg.children.length > 6)")
    assert shown.complaints == []
    assert all(address.startswith(("file:", "about:", "data:")) for address in shown.asked)


@pytest.mark.browser
def test_the_slider_changes_the_game(shown: Browser) -> None:
    marked = "document.querySelector('#elo line:nth-last-of-type(1)').getAttribute('x1')"
    seen = []
    for place, generation in enumerate(GENERATIONS):
        shown.choose("#game", str(place))
        shown.press("End")
        seen.append((shown.value("el('name').textContent"), shown.value("el('result').textContent"),
                     shown.value(marked), shown.value("el('elo').textContent.includes('Generation')")))  # fmt: skip
        end = walk(3 + place).states()[-1]
        assert seen[-1][:2] == (f"generation {generation}", render.caption(end))
        assert shown.value("el('caption').textContent") == render.caption(end)
    assert len({one[2] for one in seen}) == 3
    assert shown.value("el('elo').textContent").endswith("Generation 20: Elo 1080, between 850 and 1150")
    shown.choose("#game", "3")
    assert shown.value("el('name').textContent") == HOSTILE
    assert shown.value("el('who').textContent") == f"{HOSTILE} against other"
    assert shown.value("typeof window.hacked") == "undefined"


@pytest.mark.browser
def test_keys_and_buttons_move_the_time(shown: Browser) -> None:
    at = "Number(el('time').value)"
    for key, shift, place in (("Right", False, 1), ("Right", True, 13), ("Left", False, 12), ("Left", True, 0)):
        shown.press(f"Arrow{key}", shift=shift)
        assert shown.value(at) == place
    shown.click_on("#on")
    assert shown.value(at) == 1
    shown.choose("#time", "30")
    assert shown.value("el('clock').textContent").startswith("step 30 of ")
    shown.click_on("#events button")
    assert shown.value(at) == shown.value("reel(0).events[0][0]")
    shown.value("document.activeElement.blur()")
    shown.press("Home")
    shown.press(" ")
    assert shown.value("el('play').textContent") == "Pause"
    shown.until(f"{at} > 2")
    shown.press(" ")
    assert shown.value("el('play').textContent") == "Play"
    shown.press("b")
    assert shown.value("document.querySelector('[name=view]:checked').value") == "blue"
    shown.press("]")
    assert shown.value("el('name').textContent") == "generation 10"


def placed(pieces: list[dict[str, Any]], side: int, ghost: bool) -> dict[int, int]:
    return {
        piece["number"]: piece["y"] * 14 + piece["x"]
        for piece in pieces
        if piece["side"] == side and bool(piece.get("ghost")) == ghost
    }


@pytest.mark.browser
def test_fog_shows_what_the_side_sees_and_nothing_else(shown: Browser) -> None:
    game = walk(3)
    states, field = game.states(), game.field()
    see = jax.jit(senses.visible)
    everything = shown.value("Array.from({length: reel(0).ticks + 1}, (_, t) => ['red', 'blue']"
                             ".map((view) => scene(reel(0), t, view).pieces))")  # fmt: skip
    hidden = []
    for tick, state in enumerate(states):
        at = render.cells_of(field, state)
        for number, (mine, theirs) in enumerate(((state.red, state.blue), (state.blue, state.red))):
            sees = np.asarray(see(field, mine, theirs))
            pieces = everything[tick][number]
            expected = {i: int(at[1 - number, i]) for i in range(4) if sees[i]}
            assert placed(pieces, 1 - number, False) == expected
            last = 125 - np.asarray(mine.last) if number else np.asarray(mine.last)
            ghosts = {i: int(last[i]) for i in range(4)
                      if theirs.free[i] and not sees[i] and mine.when[i] > rules.NEVER}  # fmt: skip
            assert placed(pieces, 1 - number, True) == ghosts
            assert placed(pieces, number, False) == {i: int(at[number, i]) for i in range(4) if mine.free[i]}
            unseen = [int(at[1, i]) for i in range(4) if number == 0 and theirs.free[i] and not sees[i]]
            hidden += [(tick, place) for place in unseen if place not in ghosts.values()]
    assert any(piece.get("ghost") for one in everything for pieces in one for piece in pieces)
    tick, cell = hidden[-1]
    shown.choose("#time", str(tick))
    shown.press("e")
    above = shown.value(f"{CENTRE}({cell})")
    shown.press("r")
    assert above == [43, 95, 184]
    assert shown.value(f"{CENTRE}({cell})") != above
