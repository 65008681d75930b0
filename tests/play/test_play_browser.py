"""The page to play, in headless Chromium: a whole game with real keys and clicks, and what is to be seen of it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import jax.numpy as jnp
import pytest
from chromium_pipe import Browser, browsing

from jumar.play import GREEDY, RANDOM, maps
from jumar.play.web.commands import Opponent
from jumar.play.web.server import Service

NAME = "</script><script>window.hacked = 1</script>"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    opponents = [Opponent("greedy", GREEDY, jnp.zeros(1)), Opponent(NAME, RANDOM, jnp.zeros(1))]
    with Service(opponents, port=0, sizes=[maps.SIZES[1]]) as service:
        yield service.address


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("browser")) as one:
        yield one


@pytest.fixture
def page(chromium: Browser, address: str) -> Browser:
    chromium.complaints.clear()
    chromium.asked.clear()
    chromium.size(1400)
    chromium.open(address)
    chromium.choose("#pace", "0")
    return chromium


def begin(page: Browser, side: str = "red", rounds: int = 4, opponent: str = "greedy") -> None:
    for field, value in (("opponent", opponent), ("side", side), ("rounds", str(rounds)), ("seed", "3")):
        page.choose(f"#{field}", value)
    page.click_on("#start")
    page.until("game && !busy && !el('game').hidden")


def click_cell(page: Browser, cell: int) -> None:
    page.value("el('board').scrollIntoView({block: 'center'})")
    left, top, width = page.value("(() => { const b = el('board').getBoundingClientRect();"
                                  "return [b.left, b.top, b.width]; })()")  # fmt: skip
    size = width / 14
    page.click(left + (cell % 14 + 0.5) * size, top + (cell // 14 + 0.5) * size)


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1400])
def test_a_whole_game_by_keys_and_clicks(page: Browser, address: str, width: int) -> None:
    page.size(width)
    assert page.overflow() == []
    begin(page, side="blue" if width == 390 else "red")
    assert page.value("frame.at.map((cell) => cell % 14)") == [2, 2, 2, 2]
    turns = 0
    while not page.value("Boolean(game.over)"):
        assert turns < 4
        click_cell(page, page.value("frame.at[frame.free.indexOf(true)]"))
        click_cell(page, page.value("game.size[0] - 2 + 14 * 4"))
        assert page.value("orders[chosen].target") == 14 * 4 + 12
        assert page.value("plans[chosen].length") > 0
        if page.value("frame.free[3]"):
            page.press("4")
            page.press("d")
            page.press("ArrowRight")
            # Two steps, if no tree stands in the way.
            assert page.value("orders[3].steps") in ([], [2], [2, 2])
        before = page.value("frame.at")
        assert page.overflow() == []
        page.press("Enter" if turns % 2 else " ")
        page.until("!busy")
        assert page.value("JSON.stringify(frame.at)") != json.dumps(before, separators=(",", ":"))
        turns += 1
    said = page.value("el('winner').textContent")
    assert said.startswith(("You win: ", "You lose: ", "Nobody wins: "))
    assert page.value("el('winner').getBoundingClientRect().width") > 0
    assert page.overflow() == []
    assert page.complaints == []
    assert all(asked.startswith((address, "data:", "about:")) for asked in page.asked)
    page.open(page.value("el('watch').href"))
    assert page.value("el('title').textContent") == "You against greedy"
    page.press("End")
    assert page.value("el('caption').textContent").split(";")[0] in said
    assert page.complaints == []


@pytest.mark.browser
def test_orders_are_kept_undone_and_given_up(page: Browser) -> None:
    begin(page)
    page.press("1")
    page.press("ArrowUp")
    page.press("a")
    assert page.value("orders[0].steps") == [1, 4]
    page.press("u")
    assert page.value("orders[0].steps") == [1]
    page.press("x")
    assert page.value("plans[0]") == []
    page.click_on("#undo")
    assert page.value("orders[0].steps") == [1]
    page.value("el('board').focus()")
    for _ in range(3):
        page.press("ArrowLeft")
    assert page.value("[orders[0].steps.length, el('hint').textContent]") == [3, "Three steps are a turn."]
    page.press("Tab")
    assert page.value("chosen") == 1
    page.press("Tab", shift=True)
    assert page.value("chosen") == 0
    far = page.value("(() => { for (let c = 0; c < 126; c++) if (has(frame.open, c)"
                     " && route(frame.at[0], c, new Set(frame.at.slice(1))).length > 3) return c; })()")  # fmt: skip
    click_cell(page, far)
    page.click_on("#end")
    page.until("!busy")
    assert page.value("orders[0].target") == far
    assert page.value("plans[0].length") > 0
    assert page.value("el('undo').disabled")
    page.press("4")
    page.click_on("#cancel")
    assert page.value("orders[0].target") == far


@pytest.mark.browser
def test_a_page_that_is_loaded_again_goes_on(page: Browser, address: str) -> None:
    begin(page, opponent=NAME)
    assert page.value("el('who').textContent").startswith(f"you against {NAME}, map 3")
    page.press("Enter")
    page.until("!busy")
    at, here = page.value("frame.at"), page.value("location.href")
    page.open(here)
    page.until("game && !busy && frame.caption.startsWith('round 2')")
    assert page.value("frame.at") == at
    page.open(f"{address}#gone")
    page.until("!el('wrong').hidden")
    assert page.value("el('wrong').textContent").startswith("There is no such game")
    assert page.value("typeof window.hacked") == "undefined"


@pytest.mark.browser
def test_moves_are_shown_one_after_the_other(page: Browser) -> None:
    begin(page)
    page.choose("#pace", "45")
    page.value("(window.seen = new Set(), window.watching = setInterval(() => seen.add(frame.caption), 5))")
    page.value("el('board').focus()")
    page.press("Enter")
    page.until("!busy")
    assert page.value("(clearInterval(watching), seen.size)") >= 6


@pytest.mark.browser
def test_no_enemy_is_drawn_that_is_not_in_sight(page: Browser) -> None:
    begin(page)
    blue = """(() => { const one = el("board"), pen = one.getContext("2d");
      const at = pen.getImageData(0, 0, one.width, one.height).data;
      let count = 0; const want = [43, 95, 184];
      for (let i = 0; i < at.length; i += 4) if (want.every((c, k) => at[i + k] === c)) count += 1;
      return count; })()"""
    assert page.value("frame.foes") == [-1, -1, -1, -1]
    assert page.value(blue) == 0
    assert page.value("(frame.foes = [60, -1, -1, -1], draw())") is None
    assert page.value(blue) > 100
