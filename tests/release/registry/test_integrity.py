"""A changed byte anywhere is told, and by the name of its file."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jumar.policy import load_policy
from jumar.release import Registry, ReleaseError, UncertifiedError

from .conftest import MakeRun

FILES = ("policy.onnx", "policy.json", "certificate.json", "manifest.json", "report.html", "version.json")
RECORDS = [f"records/{number:012d}.json" for number in (1, 2, 3)]
Damage = Callable[[bytes], bytes]


def flipped(at: float) -> Damage:
    """Another byte at this share of the file."""

    def damage(data: bytes) -> bytes:
        place = min(int(at * len(data)), len(data) - 1)
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

    return damage


DAMAGES = {
    "first byte": flipped(0),
    "a byte within": flipped(0.37),
    "another byte within": flipped(0.61),
    "last byte": flipped(1),
    "torn": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "longer": lambda data: data + b"\n",
}


@pytest.fixture(scope="module")
def standing(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with three records."""
    place = tmp_path_factory.mktemp("standing") / "registry"
    book = Registry.create(place)
    a, b = (book.register(make_run(k)).version for k in range(2))
    book.promote(a, why="x")
    book.promote(b, why="x", share=0.5)
    book.widen(1.0, why="x")
    return place


@pytest.fixture
def place(standing: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(standing, tmp_path / "registry"))


def test_a_registry_that_was_seen_and_is_gone(place: Path) -> None:
    """Where nothing can be seen any more nothing new can be seen either; that must not pass for a standstill."""
    book = Registry(place)
    assert book.state().number == 3
    for gone in (place, place / "records", place / RECORDS[2]):
        away = gone.rename(place.parent / "away")
        with pytest.raises(ReleaseError, match=re.escape(f"'{place / RECORDS[2]}' is missing")):
            book.state()
        away.rename(gone)
        assert book.state().number == 3
    whole = (place / RECORDS[2]).read_bytes()
    (place / RECORDS[2]).write_bytes(whole[:-9])
    with pytest.raises(ReleaseError, match=re.escape(f"'{place / RECORDS[2]}' was changed")):
        book.state()


def test_a_version_without_its_last_file(place: Path) -> None:
    book = Registry(place)
    version = book.state().version
    (place / "versions" / str(version) / "version.json").unlink()
    with pytest.raises(ReleaseError, match=r"not whole.*version\.json' is missing"):
        book.policy("production")


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_file_of_a_version(place: Path, make_run: MakeRun, damage: Damage) -> None:
    version = Registry(place).state().version
    for name in FILES:
        path = place / "versions" / str(version) / name
        whole = path.read_bytes()
        path.write_bytes(damage(whole))
        book = Registry(place)
        with pytest.raises(ReleaseError, match=re.escape(str(path))):
            book.policy("production")
        path.write_bytes(whole)
    assert Registry(place).policy("production").card.train_rows


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file(place: Path, name: str) -> None:
    version = Registry(place).state().version
    (place / "versions" / str(version) / name).unlink()
    said = re.escape(name)
    with pytest.raises(ReleaseError, match=said):
        Registry(place).policy("production")


def test_a_damaged_version_is_not_promoted_or_returned_to(place: Path) -> None:
    book = Registry(place)
    path = place / "versions" / str(book.state().aliases.previous) / "policy.onnx"
    path.write_bytes(flipped(0.5)(path.read_bytes()))
    with pytest.raises(ReleaseError, match=r"policy\.onnx' has changed"):
        book.rollback(why="x")
    with pytest.raises(ReleaseError, match=r"policy\.onnx' has changed"):
        book.promote("previous", why="x")
    assert book.state().number == 3


def test_a_version_under_another_name(place: Path) -> None:
    state = Registry(place).state().aliases
    shutil.copytree(place / "versions" / str(state.production), place / "versions" / ("0" * 16))
    with pytest.raises(ReleaseError, match="another version than its folder"):
        Registry(place).policy("0" * 16)


def test_a_later_certificate(place: Path, make_run: MakeRun) -> None:
    """One that came after the version is held to its own name, and an alien one does not count."""
    book = Registry(place)
    run = make_run(5)
    version = book.register(run / "policy").version
    book.register(run)
    (path,) = (place / "versions" / version).glob("certificate-*.json")
    assert book.version(version).certificate is not None
    path.write_bytes(flipped(0.5)(path.read_bytes()))
    with pytest.raises(ReleaseError, match=path.name):
        book.version(version)
    path.unlink()
    shutil.copyfile(run / "certificate.json", path.with_name("certificate.json"))
    with pytest.raises(UncertifiedError):
        book.promote(version, why="x")


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_record(place: Path, make_run: MakeRun, damage: Damage) -> None:
    for name in RECORDS:
        whole = (place / name).read_bytes()
        (place / name).write_bytes(damage(whole))
        with pytest.raises(ReleaseError, match=r"records/00000000000\d\.json"):
            Registry(place).history()
        with pytest.raises(ReleaseError, match=r"records/00000000000\d\.json"):
            Registry(place).rollback(why="x")
        (place / name).write_bytes(whole)
    (place / RECORDS[-1]).write_bytes(damage((place / RECORDS[-1]).read_bytes()))
    with pytest.raises(ReleaseError, match=RECORDS[-1]):
        Registry(place).state()


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_the_opening(place: Path, damage: Damage) -> None:
    path = place / "registry.json"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ReleaseError, match=r"registry\.json"):
        Registry(place)


def test_records_that_are_missing_or_exchanged(place: Path) -> None:
    first, second, third = (place / name for name in RECORDS)
    whole = second.read_bytes()
    second.unlink()
    for read in (Registry(place).history, Registry(place).state):
        with pytest.raises(ReleaseError, match=r"000002\.json' is missing"):
            read()
    second.write_bytes(first.read_bytes())
    with pytest.raises(ReleaseError, match=r"000002\.json' does not follow"):
        Registry(place).history()
    second.write_bytes(whole)
    other = place.parent / "other"
    Registry.create(other, who="someone else")
    shutil.copyfile(other / "registry.json", place / "registry.json")
    with pytest.raises(ReleaseError, match=r"000001\.json' does not follow"):
        Registry(place).history()
    assert third.exists()


def test_a_reader_that_knew_better_is_told(place: Path) -> None:
    """A record that is damaged when it arrives does not become the state."""
    reader, writer = Registry(place), Registry(place)
    known = reader.state()
    writer.rollback(why="x")
    path = place / "records" / "000000000004.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    with pytest.raises(ReleaseError, match=r"000004\.json"):
        reader.state()
    path.write_bytes(whole)
    assert reader.state().number == known.number + 1


def test_a_folder_of_a_version_is_a_policy_folder(place: Path) -> None:
    book = Registry(place)
    version = str(book.state().version)
    assert load_policy(place / "versions" / version).card == book.policy(version).card


def test_documents_of_later_versions_keep_their_seal(place: Path) -> None:
    """A field that this version does not know is covered by the seal, and no reason not to read the rest."""
    import msgspec

    from jumar.release.registry.documents import RegistryRecord, _canonical, _seal, opened

    entries = msgspec.json.decode((place / RECORDS[0]).read_bytes()) | {"zeal": 0.5}
    entries["record_sha256"] = _seal(entries, "record_sha256")
    assert opened(_canonical(entries), RegistryRecord, "later").number == 1
    with pytest.raises(ReleaseError, match="hash differs"):
        opened(_canonical(entries | {"zeal": 0.6}), RegistryRecord, "later")
