"""The registry as it is used from the command line: what is said, what is printed as JSON, which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jumar import cli
from jumar.release import Registry

from .conftest import MakeRun

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def said(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Capture:
    monkeypatch.chdir(tmp_path)
    return capsys


def run_cli(capsys: Capture, *words: str) -> tuple[int, str]:
    """Exit code, and all that was said, in one line."""
    code = cli.main(list(words))
    out = capsys.readouterr()
    assert "Traceback" not in out.err
    assert "defect" not in out.err
    return code, " ".join((out.out + out.err).split())


def test_a_year_in_short(said: Capture, make_run: MakeRun, uncertified: Path) -> None:
    runs = [str(make_run(k)) for k in range(3)]
    book = ("--registry", "reg")
    code, text = run_cli(said, "promote", runs[0], "--why", "first", *book)
    assert (code, "There is no registry in 'reg'" in text, "--create" in text) == (2, True, True)
    assert not Path("reg").exists()
    code, text = run_cli(said, "promote", runs[0], "--why", "first", *book, "--create")
    a = Registry("reg").state().version
    assert (code, f"production nothing → {a}" in text, "certified, α = 0.01" in text) == (0, True, True)
    code, text = run_cli(said, "promote", runs[0], "--why", "again", *book)
    assert (code, "in production already" in text) == (2, True)
    code, text = run_cli(said, "promote", runs[1], "--share", "0.01", "--why", "canary", *book)
    b = str(Registry("reg").state().version)
    assert (code, f"challenger {b} serves 1.0% of the units" in text) == (0, True)
    code, text = run_cli(said, "promote", "challenger", "--share", "0.25", "--why", "no harm", *book, "--json")
    record = json.loads(text)
    assert (code, record["what"], record["share"], record["number"]) == (0, "widen", 0.25, 3)
    code, text = run_cli(said, "show", *book)
    assert code == 0
    for part in (f"production {a}", f"challenger {b}", "serves 25% of the units", "previous nothing", "versions 2"):
        assert part in text
    assert run_cli(said, "promote", "challenger", "--why", "no harm", *book)[0] == 0
    code, text = run_cli(said, "rollback", "--why", "complaints", *book)
    assert (code, f"production {b} → {a}" in text, f"previous {a} → nothing" in text) == (0, True, True)
    code, text = run_cli(said, "rollback", "--why", "complaints", *book)
    assert (code, "no previous version" in text) == (2, True)
    run_cli(said, "promote", b, "--share", "0.5", "--why", "mended", *book)
    code, text = run_cli(said, "abandon", "--why", "not mended", *book)
    assert (code, f"challenger {b} → nothing" in text, "certified" in text) == (0, True, False)
    code, text = run_cli(said, "history", *book)
    assert code == 0
    assert [text.index(f" {n} 20") for n in range(2, 8)] == sorted(text.index(f" {n} 20") for n in range(2, 8))
    assert all(why in text for why in ("first", "canary", "no harm", "complaints", "mended", "not mended"))
    code, text = run_cli(said, "history", *book, "--json")
    assert [one["what"] for one in json.loads(text)] == [
        "promote", "canary", "widen", "promote", "rollback", "canary", "abandon",
    ]  # fmt: skip


def test_nothing_uncertified_and_force(said: Capture, make_run: MakeRun, uncertified: Path) -> None:
    book = ("--registry", "reg")
    code, text = run_cli(said, "promote", str(uncertified), "--why", "hope", *book, "--create")
    assert (code, "has no certificate" in text, "--force" in text) == (3, True, True)
    code, text = run_cli(said, "promote", str(uncertified), "--why", "hope", *book, "--force")
    assert (code, "FORCED: nothing certifies it" in text) == (0, True)
    for command in ("history", "show"):
        code, text = run_cli(said, command, *book)
        assert (code, "FORCED: nothing certifies it" in text, "hope" in text) == (0, True, True)


def test_a_lost_race(said: Capture, make_run: MakeRun) -> None:
    book = ("--registry", "reg")
    run_cli(said, "promote", str(make_run(0)), "--why", "x", *book, "--create")
    code, text = run_cli(said, "promote", str(make_run(1)), "--why", "x", *book, "--expect", "0")
    assert (code, "stands at record 1, not at 0" in text) == (3, True)
    code, text = run_cli(said, "rollback", "--why", "x", *book, "--expect", "0")
    assert (code, "stands at record 1, not at 0" in text) == (3, True)


def test_one_version(said: Capture, make_run: MakeRun) -> None:
    book = ("--registry", "reg")
    run_cli(said, "promote", str(make_run(0)), "--why", "because", *book, "--create")
    version = str(Registry("reg").state().version)
    code, text = run_cli(said, "show", "production", *book)
    assert code == 0
    for part in (f"version {version} production", "certificate certified", "policy.onnx", "because", "at least"):
        assert part in text
    code, text = run_cli(said, "show", version, *book, "--json")
    document = json.loads(text)
    assert (document["version"], document["certificate"]["verdict"]) == (version, "certified")
    card = Path("reg/versions") / version / "policy.json"
    card.write_bytes(card.read_bytes() + b" ")
    code, text = run_cli(said, "show", "production", *book)
    assert (code, "policy.json' has changed since it was registered" in text) == (2, True)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["promote", "nowhere", "--why", "x", "--create"], "There is no policy in 'nowhere'"),
        (["promote", "challenger", "--why", "x", "--create"], "Nothing is 'challenger'"),
        (["promote", "nowhere", "--why", "x", "--single-writer"], "Add --create"),
        (["show"], "There is no registry"),
        (["history"], "There is no registry"),
        (["abandon", "--why", "x"], "There is no registry"),
        (["mirror", "sqlite:///x.db"], "There is no registry"),
    ],
)
def test_bad_input(said: Capture, words: list[str], part: str) -> None:
    code, text = run_cli(said, *words)
    assert (code, part in text) == (2, True), text


def test_a_mistyped_folder_begins_no_registry(said: Capture, make_run: MakeRun) -> None:
    """The message names the result folder that lies one floor down, as that of ``make demo`` does."""
    demo = Path("demo")
    demo.mkdir()
    make_run(0).rename(demo / "result")
    code, text = run_cli(said, "promote", "demo", "--why", "x", "--create")
    assert (code, "There is one in 'demo/result'" in text) == (2, True), text
    assert not Path("registry").exists()


def test_the_registry_may_come_first(said: Capture, make_run: MakeRun) -> None:
    """As it does for serve, loop and ui."""
    run_cli(said, "promote", str(make_run(0)), "--why", "x", "--registry", "reg", "--create")
    assert run_cli(said, "history", "reg")[0] == 0
    for command in ("rollback", "abandon"):
        code, text = run_cli(said, command, "reg", "--why", "x")
        assert (code, "There is no registry" in text) == (2, False), text


def test_words_from_outside_take_no_effect(said: Capture, make_run: MakeRun) -> None:
    """Neither rich's markup nor terminal escapes in a reason or a name."""
    book = Registry.create("reg", who="an\x1b[31mna [red]")
    book.promote(book.register(make_run(0), why="[bold]\x1b[2J").version, why="[red]\x1b]0;x\x07 [/]")
    for words in (("history",), ("show",), ("show", "production")):
        assert cli.main([*words, "--registry", "reg"]) == 0
        out = said.readouterr().out
        assert not {"\x1b", "\x07"} & set(out)
        assert "[red]" in out
