"""A damaged or absent document is told, and hides no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from board_days import canary
from board_kit import board_of, populated
from board_papers import V

from jumar.board.reading import Reader


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return populated(tmp_path / "registry")


def test_everything_is_read(root: Path) -> None:
    found = Reader(root).read()
    assert (found.troubles, found.unread) == ([], set())
    assert len(found.history) == 10
    assert set(found.versions) == set(V[:4])
    assert found.ledger is not None
    assert set(found.looks) == set(found.manifests) == {row.name for row in found.ledger.rows}
    assert len(found.days) == 139
    assert set(found.learned) == {"d20260413", "d20260508", "d20260618", "d20260705"}
    assert found.canary == canary()
    assert found.watch is not None
    assert found.folder == str(root / "loop")


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "registry": (lambda root: torn(root / "registry.json"), "registry.json"),
    "trail": (lambda root: torn(root / "records" / "000000000004.json"), "000000000004.json"),
    "versions": (lambda root: torn(root / "versions" / V[0] / "version.json"), V[0]),
    "ledger": (lambda root: torn(root / "gates" / "ledger.json"), "ledger.json"),
    "challengers": (lambda root: torn(root / "gates" / "d20260508" / "state-000012.json"), "d20260508"),
    "days": (lambda root: torn(root / "loop" / "days" / "date=2026-07-01" / "day.json"), "date=2026-07-01"),
    "learned": (
        lambda root: torn(root / "loop" / "days" / "date=2026-07-05" / "learned" / "screening.json"),
        "screening.json",
    ),
    "canary": (lambda root: torn(root / "loop" / "canary.arrow"), "canary.arrow"),
    "watch": (lambda root: torn(root / "loop" / "watch.json"), "watch.json"),
}


@pytest.mark.parametrize("part", DAMAGE)
def test_damage_is_told_and_stays_where_it_is(root: Path, part: str) -> None:
    damage, named = DAMAGE[part]
    whole = Reader(root).read()
    damage(root)
    found = Reader(root).read()
    assert found.unread == {part}
    assert len(found.troubles) == 1
    assert named in found.troubles[0]
    assert len(found.days) == len(whole.days) - (part == "days")
    assert (found.watch is None) == (part == "watch")
    assert (found.canary is None) == (part == "canary")
    assert (found.ledger is None) == (part == "ledger")
    assert (found.state is None) == (part == "registry")
    board = board_of(root)
    assert (board.notices[0].level, board.notices[0].what) == ("bad", "Could not be read")
    assert board.unread == [part]


def test_a_place_without_a_registry_says_so(tmp_path: Path) -> None:
    found = Reader(tmp_path / "nowhere").read()
    assert (found.state, found.folder) == (None, "")
    assert "There is no registry" in found.troubles[0]


def test_an_address_that_cannot_be_reached_says_so() -> None:
    found = Reader("nosuchprotocol://host/registry").read()
    assert found.state is None
    assert "cannot be reached" in found.troubles[0]


def test_a_registry_that_goes_away_is_noticed(root: Path) -> None:
    reader = Reader(root)
    assert reader.read().state is not None
    root.rename(root.with_name("elsewhere"))
    assert reader.read().state is None


def test_what_changes_is_read_again(root: Path) -> None:
    reader = Reader(root)
    before = reader.read()
    other = populated(root.with_name("other"))
    path = root / "loop" / "watch.json"
    path.write_bytes((other / "loop" / "watch.json").read_bytes().replace(b'"outcome":"done"', b'"outcome":"open"'))
    after = reader.read()
    assert before.watch is not None
    assert after.watch is not None
    assert (before.watch.outcome, after.watch.outcome) == ("done", "open")


def test_another_folder_of_a_loop_can_be_named(root: Path, tmp_path: Path) -> None:
    moved = (root / "loop").rename(tmp_path / "elsewhere")
    assert Reader(root).read().days == []
    assert len(Reader(root, moved).read().days) == 139
