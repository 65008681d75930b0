"""The page: what comes from documents is inert, what is missing is said, and nothing but its own script may run."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from board_days import write_loop
from board_kit import board_of, populated
from board_papers import HOSTILE, NOW, V, at, record, steps, write_registry

from jumar.board import wording
from jumar.board.gathered import gather
from jumar.board.page import headline, render, security, tiles
from jumar.board.reading import Documents
from jumar.board.view import Board
from jumar.release import Aliases, RegistryRecord

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Reading(HTMLParser):
    """Tags with their attributes, words, and whether every tag is closed where it should be."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.ids: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    return board_of(populated(tmp_path_factory.mktemp("page") / "registry"))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    return render(board_of(populated(tmp_path_factory.mktemp("hostile") / "registry", hostile=True)))


def records(*given: dict) -> list[RegistryRecord]:
    rest = {"format": 1, "previous_sha256": "", "token": "", "jumar_version": ""}
    return [RegistryRecord(number=number, **rest | fields) for number, fields in enumerate(given, 1)]


def small(*given: dict) -> Board:
    trail = records(*given)
    return gather(Documents(registry="r", state=trail[-1], history=trail), NOW)


def test_markup_in_names_and_reasons_is_inert(hostile: str) -> None:
    read = Reading(hostile)
    assert hostile.count("<script") == 0
    assert hostile.count("&lt;script&gt;") >= 5
    assert read.text.count(HOSTILE) >= 5
    assert {tag for tag, _ in read.tags} >= {"svg", "table", "details"}
    for tag, attributes in read.tags:
        assert tag not in ("form", "button", "input", "iframe", "object", "base"), tag
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert not ({"href", "src", "action"} & set(attributes)) or tag == "link", (tag, attributes)


def test_text_that_hides_or_turns_its_direction_is_shown_as_such(board: Board) -> None:
    trail = [msgspec.structs.replace(board.trail[0], why="ab\u202egnp.exe\u0000\u0085"), *board.trail[1:]]
    page = render(msgspec.structs.replace(board, trail=trail))
    assert "\u202e" not in page
    assert "ab\N{REPLACEMENT CHARACTER}gnp.exe" in page


def test_the_policy_admits_exactly_the_script_that_is_there(board: Board) -> None:
    page = render(board, every=30)
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in security(30)
    read = Reading(page)
    (policy,) = [a["content"] for t, a in read.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == security(30)
    assert "script-src" not in security(None)
    assert "connect-src" not in security(None)
    still = render(board)
    assert "<script" not in still
    assert "refresh" not in still


def test_the_whole_story_is_told(board: Board) -> None:
    text = Reading(render(board)).text
    for said in (
        "Release 2 decides; release 4 serves 25% of the units.",
        "6.7 of 10.9 nats",
        "45 of 52 attempts left",
        "The step 'audit' asks for a look",
        "d20260323",
        "taken back",
        "KL 0.16 nats",
        "Canary: 'complaint' is worse than is tolerated.",
        "2026-07-18",
        "KL from production",
        "at least +3.0%",
        "+0.90% to +14.4% per unit",
    ):
        assert said in text, said
    assert not re.search(r"\b(nan|None|inf|undefined)\b", text)


def test_ids_are_there_once(board: Board) -> None:
    ids = [attributes["id"] for _, attributes in Reading(render(board, every=5)).tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    root = tmp_path / "registry"
    root.mkdir()
    write_registry(root, [], versions=0)
    text = Reading(render(board_of(root))).text
    for said in (
        "Nothing has been released yet; 'incumbent' decides.",
        "Nothing asks for your attention.",
        "not recorded",
        "No loop has run here",
        "No canary is in progress",
        "Nothing is watched",
        "No challenger was ever opened",
        "No gate, canary or watch has looked",
        "Nothing was promoted yet.",
    ):
        assert said in text, said


def test_an_unreadable_registry_is_not_said_to_be_empty(tmp_path: Path) -> None:
    board = board_of(tmp_path / "nowhere")
    text = Reading(render(board)).text
    assert headline(board) == "The registry cannot be read."
    assert "There is no registry in" in text
    assert [one["figure"] for one in tiles(board)][1:] == ["not known"] * 4
    assert "Nothing was released yet" not in text
    assert "No challenger was ever opened" not in text


def test_a_trail_that_cannot_be_read_leaves_the_rest(tmp_path: Path) -> None:
    root = populated(tmp_path / "registry")
    path = root / "records" / "000000000002.json"
    path.write_bytes(path.read_bytes() + b" ")
    board = board_of(root)
    text = Reading(render(board)).text
    assert headline(board) == f"{V[1][:8]} decides; its trail cannot be read."
    assert "000000000002.json" in text
    assert "6.7 of 10.9 nats" in text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"forced": True, "alpha": None}, "Release 1 decides, and nothing certifies it."),
        ({}, "Release 1 decides."),
    ],
)
def test_headlines(fields: dict, said: str) -> None:
    assert headline(small(record("promote", V[0], Aliases(production=V[0]), at(3, 1), "x") | fields)) == said


def test_the_headline_rounds_the_certified_gain_down(board: Board) -> None:
    done = small(*steps()[:5])
    gain = board.policies[2].certified
    assert gain is not None
    for least, said in ((0.042 * 0.0499, "at least +4.9% over"), (0.0, "no worse than")):
        sure = msgspec.structs.replace(gain, lower_bound=least)
        policies = [msgspec.structs.replace(done.policies[0], certified=sure), *done.policies[1:]]
        assert said in headline(msgspec.structs.replace(done, policies=policies))


def test_a_loop_alone_is_shown(tmp_path: Path) -> None:
    root = tmp_path / "registry"
    root.mkdir()
    write_registry(root, [], versions=0)
    write_loop(root / "loop")
    text = Reading(render(board_of(root))).text
    assert "125 earlier days in the pictures above." in text
    assert "hold 49%" in text


@pytest.mark.parametrize(
    ("confidence", "said"),
    [
        (0.999, "99.9%"),
        (1 - 0.001 / 52, "99.998%"),
        (0.9, "90%"),
        (0.95, "95%"),
        (0.9999, "99.99%"),
        (0.96666, "96.6%"),
    ],
)
def test_levels_are_rounded_down(confidence: float, said: str) -> None:
    assert wording.level(confidence) == said
