"""``jumar serve`` as a process: it starts, decides, follows, survives, ends, and its log is whole."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from service_kit import CONTEXT, make_policy, make_registry
from test_watching import rows_of

from jumar import cli
from jumar.serve.journal import recover

TOKEN = "a-token-of-some-length"


@contextmanager
def running(place: Path, *flags: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A service and its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "jumar", "serve", str(place / "registry"), "--log", str(place / "log"), "--port", "0",
         "--poll", "0.05", *flags],
        stderr=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "200"},
    )  # fmt: skip
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        assert "Deciding by" in line, line + process.stderr.read()
        port = int(line.rsplit(":", 1)[1])
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                if call(port, "GET", "/healthz")[0] == 200:
                    break
            except OSError:
                pass
            time.sleep(0.05)
        yield port, process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def call(port: int, method: str, path: str, document: Any = None, token: str = TOKEN) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
        connection.request(method, path, None if document is None else json.dumps(document), headers)
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, json.loads(body) if answer.headers[
            "content-type"
        ] == "application/json" else body.decode()
    finally:
        connection.close()


def ended(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(60)


def test_a_service_from_start_to_end(tmp_path: Path) -> None:
    registry, (one, two) = make_registry(tmp_path, make_policy(1), make_policy(2))
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    told = []
    with running(tmp_path, "--token-file", str(tmp_path / "token"), "--explore", "floor:0.1") as (port, process):
        assert call(port, "POST", "/decide", {"context": CONTEXT}, token="no")[0] == 401
        for i in range(20):
            status, answer = call(port, "POST", "/decide", {"context": CONTEXT, "decision_id": f"d{i}", "unit": "u"})
            assert status == 200
            told.append(answer)
        assert call(port, "POST", "/reward", {"decision_id": "d1", "value": 1, "metrics": {"m": 2}})[0] == 200
        registry.promote(two, why="better", forced=True)
        until = time.monotonic() + 30
        while call(port, "GET", "/healthz")[1]["production"] != two and time.monotonic() < until:
            time.sleep(0.05)
        told.append(call(port, "POST", "/decide", {"context": CONTEXT, "decision_id": "last"})[1])
        # What no HTTP library would send.
        for sent in (b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\nx: " + b"y" * 100_000 + b"\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port), 30) as raw:
                raw.sendall(sent)
                with suppress(ConnectionResetError):
                    assert not raw.recv(100).startswith(b"HTTP/1.1 2")
        body = b"POST /decide HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer "
        with socket.create_connection(("127.0.0.1", port), 30) as raw:
            raw.sendall(body + TOKEN.encode() + b"\r\ncontent-length: 1000000000\r\n\r\n")
            assert raw.recv(100).startswith(b"HTTP/1.1 413")
        assert 'jumar_decisions_total{policy="' in call(port, "GET", "/metrics")[1]
        assert ended(process) == 0
    assert {one["policy"] for one in told} == {one, two}
    logged = {row["decision_id"]: row for row in rows_of(tmp_path / "log")}
    assert set(logged) == {answer["decision_id"] for answer in told}
    for answer in told:
        assert {name: logged[answer["decision_id"]][name] for name in answer} == answer
        assert min(answer["pmf"]) >= 0.1 - 1e-9
    assert not list((tmp_path / "log" / "open").iterdir())
    assert list((tmp_path / "log" / "rewards").rglob("*.parquet"))


def test_workers_share_a_port_and_one_that_is_killed_comes_back(tmp_path: Path) -> None:
    make_registry(tmp_path, make_policy(1))
    told = []
    with running(tmp_path, "--workers", "2") as (port, process):
        seen: dict[int, int] = {}
        until = time.monotonic() + 60
        while len(seen) < 2 and time.monotonic() < until:
            seen[call(port, "GET", "/healthz")[1]["worker"]] = 1
        assert set(seen) == {0, 1}
        for i in range(30):
            told.append(call(port, "POST", "/decide", {"context": CONTEXT, "decision_id": f"d{i}"})[1])
        children = children_of(process.pid)
        assert len(children) == 2
        os.kill(int(children[0]), signal.SIGKILL)
        assert process.stderr is not None
        assert "started again" in process.stderr.readline()
        for i in range(30, 40):
            told.append(call(port, "POST", "/decide", {"context": CONTEXT, "decision_id": f"d{i}"})[1])
        time.sleep(1.1)  # figures of the other process are up to a second old
        text = call(port, "GET", "/metrics")[1]
        assert 'jumar_requests_total{route="/decide",status="200"}' in text
        children = children_of(process.pid)
        os.kill(process.pid, signal.SIGKILL)  # workers must not outlive what started them
        process.wait()
        until = time.monotonic() + 60
        while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < until:
            time.sleep(0.05)
    recover(tmp_path / "log")
    assert {row["decision_id"] for row in rows_of(tmp_path / "log")} == {answer["decision_id"] for answer in told}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--host", "0.0.0.0"], "--no-auth"),
        (["--explore", "greedy"], "modes are"),
        (["--explore", "floor:0.4"], "3 actions"),
        (["--default-action", "z"], "does not know"),
        (["--port", "70000"], "65535"),
        (["--workers", "0"], "--workers"),
        (["--token-file", "no/such"], "cannot be read"),
    ],
)
def test_what_cannot_be_served_is_said_at_once(
    tmp_path: Path, flags: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_registry(tmp_path, make_policy(1))
    code = cli.main(["serve", str(tmp_path / "registry"), "--log", str(tmp_path / "log"), *flags])
    assert code == 2
    assert word in " ".join(capsys.readouterr().err.split())


def test_a_registry_without_production_and_a_port_that_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from jumar.release import Registry

    Registry.create(str(tmp_path / "empty"))
    assert cli.main(["serve", str(tmp_path / "empty"), "--log", str(tmp_path / "log")]) == 2
    assert "production" in capsys.readouterr().err
    make_registry(tmp_path, make_policy(1))
    monkeypatch.setattr("jumar.serve.server._TAKEN_S", 0.1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert cli.main(["serve", str(tmp_path / "registry"), "--log", str(tmp_path / "log"), "--port", port]) == 2
    assert "Nothing can listen" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("token", ["short", "two words of some length", "ümlaute-sind-kein-token"])
def test_tokens_that_are_none(tmp_path: Path, token: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "token").write_text(token)
    code = cli.main(["serve", "registry", "--log", "log", "--token-file", str(tmp_path / "token")])
    assert code == 2
    assert token not in capsys.readouterr().err
