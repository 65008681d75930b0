"""The board over HTTP, in process: it reads, it says what it may not, and a defect is told and ends nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest
from board_kit import ask, populated
from board_papers import NOW

from jumar.board.page import security
from jumar.board.reading import Documents, Reader
from jumar.board.server import BoardApp
from jumar.board.view import Board


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return populated(tmp_path_factory.mktemp("served") / "registry")


@pytest.fixture
def app(root: Path) -> BoardApp:
    return BoardApp(Reader(root), now=lambda: NOW)


def test_the_page_and_its_headers(app: BoardApp) -> None:
    status, headers, body = ask(app, "/")
    assert status == 200
    assert b"Release 2 decides" in body
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["content-security-policy"] == security(30) + "; frame-ancestors 'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert int(headers["content-length"]) == len(body)


def test_a_page_that_did_not_change_is_not_sent_again(root: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(root, tmp_path / "registry"))
    minutes = iter([NOW, NOW.replace(minute=13), NOW.replace(minute=14)])
    app = BoardApp(Reader(copy), fresh_s=-1.0, now=lambda: next(minutes))
    tag = ask(app, "/")[1]["etag"]
    status, headers, body = ask(app, "/", if_none_match=tag)
    assert (status, body, headers["etag"]) == (304, b"", tag)
    (copy / "loop" / "watch.json").unlink()
    status, headers, body = ask(app, "/", if_none_match=tag)
    assert status == 200
    assert headers["etag"] != tag


def test_the_state_is_the_board(app: BoardApp) -> None:
    status, headers, body = ask(app, "/state.json")
    board = msgspec.json.decode(body, type=Board)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert (board.at, len(board.policies), board.unread) == (NOW, 4, [])


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/state.json", "/healthz"])
def test_nothing_can_be_written(app: BoardApp, method: str, path: str) -> None:
    status, headers, _ = ask(app, path, method)
    assert (status, headers["allow"]) == (405, "GET, HEAD")


def test_heads_have_no_body(app: BoardApp) -> None:
    status, headers, body = ask(app, "/", "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 10_000


def test_other_paths_are_not_there(app: BoardApp) -> None:
    assert [ask(app, path)[0] for path in ("/x", "//", "/../registry.json", "/state.json/", "")] == [404] * 5
    assert ask(app, "/healthz")[0] == 200


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8701", "[::1]:8701", "LOCALHOST:1"])
def test_it_answers_under_the_machines_own_names(app: BoardApp, host: str) -> None:
    assert ask(app, "/healthz", host=host)[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8701", "127.0.0.1.evil.example", "", "[::2]:8701"])
def test_a_page_of_the_web_cannot_read_it_through_a_browser(app: BoardApp, root: Path, host: str) -> None:
    assert ask(app, "/", host=host)[0] == 403
    assert ask(BoardApp(Reader(root), only_local=False), "/healthz", host=host)[0] == 200


def test_documents_are_read_at_most_every_other_second(root: Path) -> None:
    class Counting(Reader):
        times = 0

        def read(self) -> Documents:
            self.times += 1
            return super().read()

    reader = Counting(root)
    app = BoardApp(reader, fresh_s=3600.0)
    for path in ("/", "/state.json", "/", "/healthz"):
        ask(app, path)
    assert reader.times == 1


def test_a_defect_is_told_and_the_next_request_is_answered(root: Path) -> None:
    class Failing(Reader):
        fails = True

        def read(self) -> Documents:
            if self.fails:
                raise ZeroDivisionError("<b>")
            return super().read()

    reader = Failing(root)
    app = BoardApp(reader)
    status, headers, body = ask(app, "/")
    assert (status, headers["content-type"]) == (500, "text/plain; charset=utf-8")
    assert body == b"A defect of the board: ZeroDivisionError: <b>"
    reader.fails = False
    assert ask(app, "/")[0] == 200
