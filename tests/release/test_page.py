"""The page about challengers names every field of every document, in order."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from jumar.release import Attempt, Ledger, Look, Manifest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "challengers.md"
DOCUMENTED = {
    "### `ledger.json`": Ledger,
    "### A row of the ledger": Attempt,
    "### `manifest.json`": Manifest,
    "### A look": Look,
}


@pytest.mark.parametrize(("heading", "record"), DOCUMENTED.items(), ids=lambda x: getattr(x, "__name__", ""))
def test_every_field_is_documented(heading: str, record: type[msgspec.Struct]) -> None:
    _, found, rest = PAGE.read_text().partition(f"\n{heading}\n")
    assert found
    table = rest[rest.index("\n|") :].strip().split("\n\n")[0].splitlines()[2:]
    told = [line.split("|")[1].strip().strip("`") for line in table]
    assert told == list(record.__struct_fields__)
