"""Registries behind addresses: what keeps two writers apart, what does not, and what goes wrong on the way."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from jumar.release import OvertakenError, Registry, ReleaseError
from jumar.release.registry import files as files_module
from jumar.release.registry.files import RemoteFiles

from .conftest import MakeRun


class Plain(MemoryFileSystem):
    """Asks whether a file exists, then writes, into folders that must be there: what fsspec does with most servers."""

    protocol = "plain"
    store: Any = {}
    pseudo_dirs: Any = [""]

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.removeprefix("plain:/"))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **given: Any) -> None:
        assert self.isdir(self._parent(path))
        super().pipe_file(path, value, mode=mode, **given)


class Lax(MemoryFileSystem):
    """Says S3 and ignores its conditions, as some stores that speak its language do."""

    protocol = "lax"
    store: Any = {}
    pseudo_dirs: Any = [""]

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **given: Any) -> None:
        super().pipe_file(path, value, mode="overwrite", **given)


class Lossy(MemoryFileSystem):
    """Writes, loses the answer, asks again and is told that the file exists: what a client's retry does."""

    protocol = "lossy"
    store: Any = {}
    pseudo_dirs: Any = [""]

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **given: Any) -> None:
        super().pipe_file(path, value, mode=mode, **given)
        raise FileExistsError(path)


class Broken(MemoryFileSystem):
    """Fails at whatever ``fails`` says, with an exception of its own."""

    protocol = "broken"
    store: Any = {}
    pseudo_dirs: Any = [""]
    fails = ""

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **given: Any) -> Any:
        self._check("read")
        return super().cat_file(path, start, end, **given)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **given: Any) -> None:
        self._check("write")
        super().pipe_file(path, value, mode=mode, **given)

    def ls(self, path: str, detail: bool = True, **given: Any) -> Any:
        self._check("list")
        return super().ls(path, detail=detail, **given)

    def _check(self, what: str) -> None:
        if what in self.fails:
            raise RuntimeError("no credentials")


SYSTEMS = (Plain, Lax, Lossy, Broken)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    for system in SYSTEMS:
        fsspec.register_implementation(system.protocol, system, clobber=True)
    believed = files_module.EXCLUSIVE | {"lax", "lossy", "broken"}
    monkeypatch.setattr(files_module, "EXCLUSIVE", believed)
    monkeypatch.setattr(Broken, "fails", "")


def place(kind: str) -> str:
    return f"{kind}://{uuid.uuid4().hex}/registry"


def test_what_cannot_keep_writers_apart_is_refused(make_run: MakeRun) -> None:
    for kind in ("plain", "lax"):
        url = place(kind)
        with pytest.raises(ReleaseError, match="of two writers both could think"):
            Registry.create(url)
        with pytest.raises(ReleaseError, match="There is no registry"):
            Registry(url)


def test_a_single_writer_may_give_their_word(make_run: MakeRun) -> None:
    """It is asked for once, recorded, and holds for those who open the registry later."""
    url = place("plain")
    Registry.create(url, single_writer=True)
    book = Registry(url)
    record = book.promote(book.register(make_run(0)).version, why="x")
    assert Registry(url).history() == [record]
    assert b'"single_writer": true' in fsspec.filesystem("plain").cat_file(f"{url}/registry.json")


def test_reading_needs_no_such_word(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that was copied to such a place can be read there and not written."""
    url = place("lossy")
    book = Registry.create(url)
    version = book.register(make_run(0)).version
    book.promote(version, why="x")
    monkeypatch.setattr(files_module, "EXCLUSIVE", frozenset())
    copied = Registry(url)
    assert copied.policy("production").card == book.policy("production").card
    for write in (lambda: copied.rollback(why="x"), lambda: copied.register(make_run(0))):
        with pytest.raises(ReleaseError, match="of two writers"):
            write()


def test_an_answer_that_was_lost(make_run: MakeRun) -> None:
    """The file itself says whose it is: neither a false alarm nor a false victory."""
    url = place("lossy")
    book = Registry.create(url)
    a, b = (book.register(make_run(k)).version for k in range(2))
    assert book.promote(a, why="x").number == 1
    other = Registry(url)
    other.promote(b, why="x")
    with pytest.raises(OvertakenError):
        book.promote(b, why="x", expect=1)
    assert [record.version for record in book.history()] == [a, b]


@pytest.mark.parametrize(("fails", "said"), [("read", "cannot be read"), ("list", "cannot be listed")])
def test_a_registry_that_cannot_be_reached(fails: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = place("broken")
    Registry.create(url)
    monkeypatch.setattr(Broken, "fails", fails)
    with pytest.raises(ReleaseError, match=rf"{said} .RuntimeError: no credentials"):
        Registry(url).state()


def test_a_write_that_fails_changes_nothing(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    url = place("broken")
    book = Registry.create(url)
    version = book.register(make_run(0)).version
    monkeypatch.setattr(Broken, "fails", "write")
    with pytest.raises(ReleaseError, match=r"cannot be written .RuntimeError: no credentials"):
        book.promote(version, why="x")
    monkeypatch.setattr(Broken, "fails", "")
    assert book.history() == []
    assert book.promote(version, why="x").number == 1


def test_a_listing_never_comes_from_a_cache(make_run: MakeRun) -> None:
    reader = Registry.create(place("memory"))
    writer = Registry(reader.url)
    writer.promote(writer.register(make_run(0)).version, why="x")
    assert Registry(reader.url).state().number == 1


def test_addresses_that_are_none() -> None:
    with pytest.raises(ReleaseError, match="behind another"):
        Registry("simplecache::memory://x")
    with pytest.raises(ReleaseError, match="cannot be reached"):
        Registry("nosuchthing://x")


def test_passwords_are_not_shown() -> None:
    with pytest.raises(ReleaseError) as raised:
        Registry("plain://anna:secret@host/registry")
    assert "secret" not in str(raised.value)
    assert RemoteFiles("plain://anna:secret@host/registry").place == "plain://host/registry"


def test_a_file_address_is_a_folder(tmp_path: Path) -> None:
    Registry.create(f"file://{tmp_path}/registry")
    assert (tmp_path / "registry" / "registry.json").exists()


def test_a_folder_needs_no_fsspec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fsspec", "fsspec.core"):
        monkeypatch.setitem(sys.modules, name, None)
    assert Registry.create(tmp_path / "registry").state().number == 0
    with pytest.raises(ReleaseError, match=r"jumar\[remote\]"):
        Registry("memory://registry")
