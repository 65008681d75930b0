"""``jumar ui``: one file, whole or not at all; a server that ends in order."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from board_kit import populated

from jumar import cli


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return populated(tmp_path_factory.mktemp("ui") / "registry")


def test_out_writes_one_file_and_ends(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "page.html"
    before = sorted(path for path in root.rglob("*"))
    assert cli.main(["ui", str(root), "--out", str(target)]) == 0
    page = target.read_text()
    assert page.startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    assert "<script" not in page
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert sorted(path for path in root.rglob("*")) == before
    assert "The step 'audit' asks for a look" in " ".join(capsys.readouterr().err.split())


def test_a_registry_that_is_not_there_is_a_page_too(tmp_path: Path) -> None:
    assert cli.main(["ui", str(tmp_path / "nowhere"), "--out", str(tmp_path / "page.html")]) == 0
    assert "The registry cannot be read." in (tmp_path / "page.html").read_text()


def test_a_file_that_cannot_be_written_leaves_nothing(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["ui", str(root), "--out", str(tmp_path / "no" / "page.html")]) == cli.BAD_INPUT
    assert "Traceback" not in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flags", [["--every", "0"], ["--port", "70000"], ["--host", "203.0.113.77"]])
def test_flags_outside_their_range_are_refused(root: Path, flags: list[str]) -> None:
    assert cli.main(["ui", str(root), *flags]) == cli.BAD_INPUT


def test_a_port_that_is_taken_is_said(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert cli.main(["ui", str(root), "--port", str(other.getsockname()[1])]) == cli.BAD_INPUT
    assert "Nothing can listen on" in capsys.readouterr().err


def test_it_serves_until_it_is_told_to_end(root: Path) -> None:
    words = [sys.executable, "-m", "jumar", "ui", str(root), "--port", "0"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            told = process.stderr.readline() + process.stderr.readline()
            found = re.search(r"http://127\.0\.0\.1:(\d+)", told)
            assert found, told
            asked = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=60)
            asked.request("GET", "/")
            answer = asked.getresponse()
            assert (answer.status, b"Release 2 decides" in answer.read()) == (200, True)
            asked.request("POST", "/", b"x")
            assert asked.getresponse().status == 405
            asked.close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()
