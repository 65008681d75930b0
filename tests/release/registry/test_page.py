"""The page about the registry names every field of every document, in order, and every file."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from jumar.release import Aliases, Registry, RegistryRecord
from jumar.release.registry.documents import Opening, VersionCard

from .conftest import MakeRun

PAGE = Path(__file__).resolve().parents[3] / "docs" / "registry.md"
DOCUMENTED = {"### `registry.json`": Opening, "### `version.json`": VersionCard, "### A record": RegistryRecord}


def first_cells(heading: str) -> list[str]:
    """The first column of the first table below a heading."""
    _, found, rest = PAGE.read_text().partition(f"\n{heading}\n")
    assert found
    table = rest[rest.index("\n|") :].strip().split("\n\n")[0].splitlines()[2:]
    return [line.split("|")[1].strip().strip("`") for line in table]


@pytest.mark.parametrize(("heading", "record"), DOCUMENTED.items(), ids=lambda x: getattr(x, "__name__", ""))
def test_every_field_is_documented(heading: str, record: type[msgspec.Struct]) -> None:
    assert first_cells(heading) == list(record.__struct_fields__)


def test_every_alias_is_documented() -> None:
    assert first_cells("## From a certificate to production") == list(Aliases.__struct_fields__)


def test_every_file_is_documented(make_run: MakeRun, tmp_path: Path) -> None:
    book = Registry.create(tmp_path / "registry")
    version = book.register(make_run(0)).version
    book.promote(version, why="x")
    there = {str(path.relative_to(tmp_path / "registry")) for path in (tmp_path / "registry").rglob("*.*")}
    told = {name.replace("0123456789abcdef", version) for name in first_cells("## What lies in it")}
    assert {name.replace("000000000042", "000000000001") for name in told} == there | {"gates/"}
