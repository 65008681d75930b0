"""A person's game and its server: the rules hold, the fog hides, and whatever is sent gets a plain answer."""

from __future__ import annotations

import base64
import http.client
import json
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from boards_of_play import JAILED, board, cell, field

from jumar.play import RANDOM, PlayError, Replay, maps, replay, rules, senses
from jumar.play.web import server
from jumar.play.web.commands import Game, Opponent
from jumar.play.web.desk import Desk, RefusedError
from jumar.play.web.known import known, told
from jumar.play.web.parts import rows_to_cells
from jumar.play.web.server import Service, serve

SMALL = maps.SIZES[1]
STRANGER = Opponent("random", RANDOM, jnp.zeros(1))
STAYS = [[0] * 4] * 3
EAST = [[2] * 4] * 3
Answer = tuple[int, dict[str, str], Any]


def over(game: Game, sweeps: Any = EAST) -> list[dict[str, Any]]:
    """Play a game to its end; all frames of it."""
    frames = list(game.frames)
    while not game.over:
        frames += game.turn(sweeps)
    return frames


@pytest.mark.parametrize("side", ["red", "blue"])
def test_a_game_of_a_person_is_a_game(side: str) -> None:
    game = Game(STRANGER, side=side, seed=3, size=SMALL, rounds=5, chance=1)
    assert len(game.frames) == (1 if side == "red" else 13)
    frames = over(game)
    played = replay.from_json(game.replay().to_json())
    names = (played.red, played.blue)
    assert names == (("you", "random") if side == "red" else ("random", "you"))
    assert len(played.actions) + 1 == len(frames)
    mine = [getattr(state, side) for state in played.states()]
    assert [frame["at"] for frame in frames] == [one.at.tolist() for one in mine]
    ended = game.view()["over"]
    assert ended["winner"] == played.winner
    assert frames[-1]["caption"].startswith(ended["text"])
    with pytest.raises(PlayError, match="has ended"):
        game.turn(STAYS)


def test_an_order_that_is_not_possible_is_a_stay() -> None:
    game = Game(STRANGER, seed=3, size=SMALL, rounds=2)
    before = game.frames[-1]["at"]
    frames = game.turn([[0, 0, 0, 4], [0, 0, 0, 4], [0, 0, 0, 4]])
    assert frames[11]["at"] == [*before[:3], before[3] - 2]


def test_each_side_looks_from_its_own_home() -> None:
    for side in ("red", "blue"):
        game = Game(STRANGER, side=side, seed=3, size=SMALL, rounds=1)
        assert [at % 14 for at in game.frames[0]["at"]] == [2, 2, 2, 2]
        assert game.view()["flag"] % 14 == 1
        assert game.view()["jails"] == [13, 8 * 14]


def test_frames_hold_what_the_side_knows_and_nothing_else() -> None:
    """Every frame of a whole game, against the states that the replay gives in the end."""
    see = jax.jit(senses.visible)
    told_of = {True: 0, False: 0}
    for side, seed in (("red", 3), ("blue", 4)):
        game = Game(STRANGER, side=side, seed=seed, size=SMALL, rounds=10, chance=2)
        frames = over(game)
        played = game.replay()
        ground = played.field()
        for frame, state in zip(frames, played.states(), strict=True):
            mine, theirs = (state.red, state.blue) if side == "red" else (state.blue, state.red)
            sees = np.asarray(see(ground, mine, theirs))
            foes = 125 - np.asarray(theirs.at)
            assert frame["foes"] == np.where(sees, foes, -1).tolist()
            haunts = ~sees & np.asarray(theirs.free) & (np.asarray(mine.when) > rules.NEVER)
            assert frame["ghosts"] == np.where(haunts, mine.last, -1).tolist()
            assert frame["thief"] in (-1, *np.flatnonzero(sees))
            assert frame["goal"] == (int(125 - ground.flag) if senses.knows_flag(ground, mine) else -1)
            for there in sees:
                told_of[bool(there)] += 1
    assert min(told_of.values()) > 100


def test_where_an_unseen_enemy_is_changes_nothing_of_what_is_told() -> None:
    look = jax.jit(known)

    def seen_by_red(*blue: tuple[int, int] | None) -> str:
        state = board([(2, 1), (2, 3), (3, 5), (4, 7)], blue, carries=1, loses=3)
        return json.dumps(told(field(), jax.tree.map(np.asarray, look(field(), state, 0)), "?"))

    near, far = (5, 4), JAILED
    assert seen_by_red(near, far, (12, 1), (11, 7)) == seen_by_red(near, far, (10, 4), (13, 8))
    assert seen_by_red(near, far, (12, 1), (11, 7)) != seen_by_red((6, 4), far, (12, 1), (11, 7))
    shown = json.loads(seen_by_red(near, far, (12, 1), (11, 7)))
    assert shown["foes"] == [cell(near), -1, -1, -1]
    assert (shown["held"], shown["lost"], shown["thief"]) == ([False, True, False, False], True, -1)


def test_no_tree_is_told_that_was_not_seen() -> None:
    game = Game(STRANGER, seed=5, size=SMALL, rounds=3)
    state: dict[str, Any] = game.frames[0]
    wood = rows_to_cells(maps.one(maps.draw(5, 1, SMALL), 0).trees, 14)

    def cells(name: str) -> np.ndarray:
        packed = np.frombuffer(base64.b64decode(state[name]), np.uint8)
        return np.unpackbits(packed, bitorder="little")[:126].astype(bool)

    assert (cells("trees") == (wood & cells("explored"))).all()
    assert not (cells("open") & ~cells("explored")).any()
    assert (wood & ~cells("explored")).any()


@pytest.mark.parametrize(
    "steps",
    [None, 3, "stay", [], [[0] * 4] * 2, [[0] * 4] * 4, [[0] * 3] * 3, [[0, 0, 0, 5]] * 3, [[0, 0, 0, -1]] * 3,
     [[0, 0, 0, 1.0]] * 3, [[0, 0, 0, True]] * 3, [[0, 0, 0, None]] * 3, [{}] * 3, [["0"] * 4] * 3],
)  # fmt: skip
def test_turns_that_are_none(steps: Any) -> None:
    game = Game(STRANGER, seed=3, size=SMALL, rounds=2)
    with pytest.raises(PlayError, match="3 lists of 4 actions"):
        game.turn(steps)
    assert len(game.frames) == 1


def test_games_that_do_not_exist() -> None:
    for wrong in ({"side": "green"}, {"rounds": 0}, {"rounds": 61}, {"size": (3, 3)}, {"seed": -1}):
        with pytest.raises(PlayError) as refused:
            Game(STRANGER, **{"size": SMALL, **wrong})
        assert refused.value.remedy
    with pytest.raises(PlayError, match="one at a time"):
        Opponent("crowd", RANDOM, jnp.zeros(2))
    with pytest.raises(PlayError, match="goes on"):
        Game(STRANGER, size=SMALL).replay()


def test_the_games_used_last_are_kept() -> None:
    desk = Desk([STRANGER], [SMALL], kept=2)
    first, second = (desk.begin({"seed": seed})["token"] for seed in (1, 2))
    desk.look(first)
    third = desk.begin({"seed": 3})["token"]
    assert [desk.look(token)["seed"] for token in (first, third)] == [1, 3]
    with pytest.raises(RefusedError, match="no such game") as refused:
        desk.look(second)
    assert refused.value.status == 404
    assert len({first, second, third}) == 3


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service([STRANGER, Opponent("a <b>stranger</b>", RANDOM, jnp.zeros(1))], port=0, sizes=[SMALL]) as one:
        yield one


Ask = Callable[..., Answer]


@pytest.fixture
def ask(service: Service) -> Ask:
    """Ask the server, with whatever headers and bytes."""

    def asked(method: str, path: str, body: Any = None, **headers: str) -> Answer:
        place = urlsplit(service.address).netloc
        connection = http.client.HTTPConnection(place, timeout=20)
        try:
            if not isinstance(body, bytes | None):
                body, headers = json.dumps(body).encode(), {"content-type": "application/json", **headers}
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            content, about = answer.read(), {name.lower(): value for name, value in answer.getheaders()}
            is_json = content and about["content-type"] == "application/json"
            return answer.status, about, json.loads(content) if is_json else content.decode()
        finally:
            connection.close()

    return asked


def test_a_whole_game_through_the_server(ask: Ask) -> None:
    status, about, page = ask("GET", "/")
    assert (status, about["content-type"]) == (200, "text/html; charset=utf-8")
    assert about["content-security-policy"] == "frame-ancestors 'none'"
    assert "<b>" not in page
    assert page.count("<script") == 2
    status, _, begun = ask("POST", "/games", {"opponent": "random", "side": "blue", "size": [14, 9], "seed": 4,
                                              "rounds": 2})  # fmt: skip
    assert status == 200
    assert (begun["side"], begun["seed"], begun["rounds"], begun["over"]) == ("blue", 4, 2, None)
    path = f"/games/{begun['token']}"
    for early in ("watch", "replay"):
        assert ask("GET", f"{path}/{early}")[0] == 409
    view = begun
    while view["over"] is None:
        status, _, view = ask("POST", f"{path}/turn", {"steps": EAST})
        assert status == 200
    assert ask("GET", path)[2] == view
    status, about, document = ask("GET", f"{path}/replay")
    assert about["content-disposition"] == 'attachment; filename="capture-the-flag.json"'
    played: Replay = replay.from_json(json.dumps(document))
    assert (played.red, played.blue, played.winner) == ("random", "you", view["over"]["winner"])
    status, about, page = ask("GET", f"{path}/watch")
    assert (status, about["content-type"]) == (200, "text/html; charset=utf-8")
    assert "You against random" in page
    assert ask("POST", f"{path}/turn", {"steps": EAST})[0] == 409


def test_a_game_that_is_not_described_is_a_usual_one(ask: Ask) -> None:
    status, _, begun = ask("POST", "/games", {"rounds": 1})
    assert (status, begun["side"], begun["rounds"], begun["opponent"]) == (200, "red", 1, "random")
    # From its seed the whole map follows.
    assert begun["seed"] is None
    seeds = set()
    for token in (begun["token"], ask("POST", "/games", {"rounds": 1, "seed": None})[2]["token"]):
        seeds.add(ask("POST", f"/games/{token}/turn", {"steps": STAYS})[2]["seed"])
    assert len(seeds - {None}) == 2


JSON = {"content_type": "application/json"}


@pytest.mark.parametrize(
    ("status", "method", "path", "body", "headers"),
    [
        (404, "GET", "/nothing", None, {}),
        (404, "GET", "/../../etc/passwd", None, {}),
        (404, "GET", "/%2e%2e/%2e%2e/etc/passwd", None, {}),
        (404, "GET", "/style.css", None, {}),
        (404, "GET", "/games/nobody", None, {}),
        (404, "GET", "/games/nobody/watch", None, {}),
        (404, "GET", "/games/nobody/replay", None, {}),
        (404, "GET", "/games/" + "x" * 500, None, {}),
        (404, "POST", "/games/nobody/turn", {"steps": STAYS}, {}),
        (405, "POST", "/", {}, {}),
        (405, "GET", "/games", None, {}),
        (405, "DELETE", "/games/nobody", None, {}),
        (405, "PUT", "/games", b"{}", {}),
        (405, "OPTIONS", "/games", None, {}),
        (405, "NONSENSE", "/", None, {}),
        (415, "POST", "/games", b"{}", {}),
        (415, "POST", "/games", b"{}", {"content_type": "text/plain"}),
        (400, "POST", "/games", b"{", JSON),
        (400, "POST", "/games", b"", JSON),
        (400, "POST", "/games", b"\xff\xfe", JSON),
        (400, "POST", "/games", b"[" * 60_000, JSON),
        (400, "POST", "/games", b"9" * 60_000, JSON),
        (413, "POST", "/games", b" " * 65_537, JSON),
        (413, "POST", "/games", b"", {"content_length": "99999999", **JSON}),
        (411, "POST", "/games", b"", {"content_length": "-1", **JSON}),
        (411, "POST", "/games", b"", {"content_length": "many", **JSON}),
        (411, "POST", "/games", b"2\r\n{}\r\n0\r\n\r\n", {"transfer_encoding": "chunked", **JSON}),
        (400, "POST", "/games", [], {}),
        (400, "POST", "/games", {"colour": "red"}, {}),
        (400, "POST", "/games", {"opponent": "nobody"}, {}),
        (400, "POST", "/games", {"opponent": ["random"]}, {}),
        (400, "POST", "/games", {"opponent": {"random": 1}}, {}),
        (400, "POST", "/games", {"side": 0}, {}),
        (400, "POST", "/games", {"size": [20, 13]}, {}),
        (400, "POST", "/games", {"size": [14.5, 9]}, {}),
        (400, "POST", "/games", {"size": "14"}, {}),
        (400, "POST", "/games", {"seed": -1}, {}),
        (400, "POST", "/games", {"seed": 2**31}, {}),
        (400, "POST", "/games", {"seed": 1.5}, {}),
        (400, "POST", "/games", {"seed": True}, {}),
        (400, "POST", "/games", b'{"seed": NaN}', JSON),
        (400, "POST", "/games", {"rounds": 0}, {}),
        (400, "POST", "/games", {"rounds": 61}, {}),
        (400, "POST", "/games", {"rounds": "4"}, {}),
        (403, "GET", "/", None, {"host": "evil.example"}),
        (403, "GET", "/", None, {"host": "evil.example:80"}),
        (403, "GET", "/", None, {"host": "127.0.0.1.evil.example"}),
        (403, "GET", "/", None, {"host": "127.0.0.1@evil.example"}),
        (403, "GET", "/", None, {"host": ""}),
        (403, "GET", "/", None, {"host": "[:"}),
        (403, "POST", "/games", {}, {"origin": "http://evil.example"}),
        (403, "POST", "/games", {}, {"origin": "null"}),
        (403, "POST", "/games", {}, {"origin": "http://127.0.0.1:1"}),
        (403, "POST", "/games", {}, {"sec_fetch_site": "cross-site"}),
    ],
)
def test_whatever_is_sent_gets_a_plain_answer(
    ask: Ask, status: int, method: str, path: str, body: Any, headers: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    got, about, answer = ask(method, path, body, **headers)
    assert (got, about["content-type"], about["connection"]) == (status, "application/json", "close")
    assert set(answer) == {"what", "remedy"}
    assert answer["what"]
    assert answer["remedy"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"GET http://[ HTTP/1.1\r\nhost: localhost\r\n\r\n", 404),
     (b"nonsense\r\n\r\n", 400), (b"GET / HTTP/9.9\r\n\r\n", 505), (b"GET /" + b"x" * 70_000 + b"\r\n\r\n", 414),
     (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", 431)],
)  # fmt: skip
def test_what_is_no_request(service: Service, sent: bytes, status: int) -> None:
    place = urlsplit(service.address)
    with socket.create_connection((place.hostname, place.port), 20) as raw:
        raw.sendall(sent)
        answer = b""
        while more := raw.recv(65_536):
            answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert set(json.loads(body)) == {"what", "remedy"}


def test_a_body_that_ends_early_and_a_head_alone(
    service: Service, ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    place = urlsplit(service.address)
    with socket.create_connection((place.hostname, place.port), 20) as raw:
        head = ("POST /games HTTP/1.1", "host: localhost", "content-type: application/json", "content-length: 50")
        raw.sendall("\r\n".join([*head, "", "{"]).encode())
    status, _, answer = ask("HEAD", "/")
    assert (status, answer) == (405, "")
    own = service.address.rstrip("/")
    assert ask("POST", "/games", {}, origin=own, sec_fetch_site="same-origin")[0] == 200
    assert ask("GET", "/", host="localhost:99")[0] == 200
    assert capsys.readouterr().err == ""


def test_a_body_that_nobody_asked_for_is_no_request(service: Service) -> None:
    place = urlsplit(service.address)
    hidden = b"POST /games HTTP/1.1\r\nhost: localhost\r\n\r\n"
    with socket.create_connection((place.hostname, place.port), 20) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(hidden) + hidden)
        answer = b""
        while more := raw.recv(65_536):
            answer += more
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_who_is_slow_keeps_nobody_out(service: Service, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTIONS", 3)
    place = urlsplit(service.address)
    slow = [socket.create_connection((place.hostname, place.port), 20) for _ in range(6)]
    for one in slow:
        with suppress(OSError):  # the first have ended by now
            one.sendall(b"GET / HT")
    assert ask("GET", "/")[0] == 200
    with suppress(OSError):
        while slow[0].recv(65_536):
            pass
    for one in slow:
        one.close()


def test_turns_that_are_none_through_the_server(ask: Ask) -> None:
    token = ask("POST", "/games", {})[2]["token"]
    for body in ([], {}, {"steps": STAYS[:2]}, {"steps": [[0, 0, 0, "1"]] * 3}, None, 3):
        status, _, answer = ask("POST", f"/games/{token}/turn", body if body is not None else b"null",
                                content_type="application/json")  # fmt: skip
        assert (status, set(answer)) == (400, {"what", "remedy"})
    assert len(ask("GET", f"/games/{token}")[2]["frames"]) == 1


def test_a_server_that_cannot_be(service: Service) -> None:
    port = urlsplit(service.address).port
    assert port
    with pytest.raises(PlayError, match="port is taken"):
        serve([STRANGER], port=port)
    with pytest.raises(PlayError, match="port is taken"):
        serve([STRANGER], port=99_999)
    with pytest.raises(PlayError, match="host is not this machine"):
        serve([STRANGER], host="ü" * 70)
    with pytest.raises(PlayError, match="this one is empty"):
        serve([STRANGER], host="")
    for wrong in ([], [STRANGER, STRANGER]):
        with pytest.raises(PlayError, match="each of another name"):
            serve(wrong)


def test_it_serves_until_it_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "prepare", lambda opponents, sizes: None)
    heard = []

    def ready(line: str) -> None:
        heard.append(line)
        signal.raise_signal(signal.SIGINT)

    serve([STRANGER], port=0, ready=ready)
    assert heard[0].startswith("Ready: open http://127.0.0.1:")
