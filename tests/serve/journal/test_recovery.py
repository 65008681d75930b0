"""After a crash: everything acknowledged is kept, living writers are left alone, doing it twice changes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jumar.errors import OutputError
from jumar.serve.journal import Journal, JournalError, recover
from jumar.serve.journal import recovery as module
from jumar.serve.journal.frames import Encoder, scan
from jumar.serve.journal.reading import log_files
from jumar.serve.journal.segment import segment_schema

from . import DAY, SCHEMA, decisions, numbers, sealed

DAYS = [20_458]  # 2026-01-05
KILL = Path(__file__).parents[3] / "benchmarks" / "kill.py"


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A log whose writer died with two batches in its open segment, three rows and two."""
    return left_behind(tmp_path / "log")


def left_behind(folder: Path, name: str = "w") -> Path:
    elsewhere = folder.parent / f"writer-{name}"
    with Journal(elsewhere, writer=name) as journal:
        journal.append("decisions", decisions([0, 1, 2]), SCHEMA).result(30)
        journal.append("decisions", decisions([3, 4]), SCHEMA).result(30)
        (path,) = (elsewhere / "open").iterdir()
        (folder / "open").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / "open")
    return folder


def segment_of(folder: Path) -> Path:
    return next((folder / "open").iterdir())


def test_what_a_dead_writer_left_is_sealed_once(left: Path) -> None:
    found = recover(left)
    assert (found.segments, found.rows, found.bytes_cut, found.live) == (1, 5, 0, 0)
    assert (found.gaps, found.damaged) == ({}, [])
    assert numbers(left) == [0, 1, 2, 3, 4]
    assert not list((left / "open").iterdir())
    assert recover(left) == module.Recovery(segments=0, rows=0, bytes_cut=0, live=0, gaps={}, damaged=[])


def test_a_torn_tail_is_cut_and_counted(left: Path) -> None:
    path = segment_of(left)
    whole = scan(path.read_bytes()).end
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(whole - 40)
        file.truncate(size)  # what a file system that lost the last blocks leaves: zeros
    found = recover(left)
    assert found.rows == 3
    assert found.bytes_cut > 0
    assert (found.gaps, found.damaged) == ({}, [])
    assert numbers(left) == [0, 1, 2]


def test_a_batch_damaged_in_the_middle_is_set_aside_and_missed(left: Path) -> None:
    path = segment_of(left)
    data = bytearray(path.read_bytes())
    first = len(Encoder(segment_schema(SCHEMA)).header)
    data[first + 400 : first + 600] = b"?" * 200
    path.write_bytes(data)
    found = recover(left)
    assert numbers(left) == [3, 4]
    assert found.damaged == [f"damaged/{path.name}"]
    assert (left / "damaged" / path.name).read_bytes() == bytes(data)
    assert not list((left / "open").iterdir())
    assert recover(left).damaged == []


def test_a_segment_without_a_beginning_is_set_aside(left: Path) -> None:
    path = segment_of(left)
    path.write_bytes(b"nothing that anybody could read")
    found = recover(left)
    assert (found.rows, found.damaged) == (0, [f"damaged/{path.name}"])


def test_missing_numbers_are_counted_within_and_between_segments(tmp_path: Path) -> None:
    with Journal(tmp_path, segment_rows=1) as journal:
        for i in range(6):
            journal.append("decisions", decisions([3 * i, 3 * i + 1, 3 * i + 2]), SCHEMA).result(30)
    for number in (3, 4):
        (tmp_path / "decisions" / f"date={DAY}" / f"{journal.writer}-{number:06d}.parquet").unlink()
    gaps = module.gaps_of(tmp_path, "decisions", (tmp_path / "decisions").glob("date=*/*.parquet"))
    assert gaps == {journal.writer: 6}
    with log_files(tmp_path, "decisions", DAYS) as found:
        assert found.gaps == {journal.writer: 6}
        assert len(found.of(DAYS)) == 4


def test_a_segment_under_other_dates_is_no_gap(tmp_path: Path) -> None:
    with Journal(tmp_path, segment_rows=1) as journal:
        for first in (0, 90_000, 1):
            journal.append("decisions", decisions([first]), SCHEMA).result(30)
    with log_files(tmp_path, "decisions", DAYS) as found:
        assert len(found.of(DAYS)) == 2
        assert found.gaps == {}


def test_living_writers_are_left_alone(tmp_path: Path) -> None:
    left_behind(tmp_path / "log", "dead")
    with Journal(tmp_path / "log", writer="alive") as journal:
        journal.append("decisions", decisions([10]), SCHEMA).result(30)
        found = recover(tmp_path / "log")
        assert (found.segments, found.rows, found.live) == (1, 5, 1)
        journal.append("decisions", decisions([11]), SCHEMA).result(30)
        assert [path.name.split("-")[1] for path in (tmp_path / "log/open").iterdir()] == ["alive"]
    assert numbers(tmp_path / "log") == [0, 1, 2, 3, 4, 10, 11]


def test_killed_between_any_two_steps_of_sealing(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call that changes the disk fails once; the next recovery puts it right, and no row comes twice."""
    calls = ("replace", "unlink", "fsync", "mkdir", "rename")
    for name in calls:
        for after in range(12):
            folder = left.parent / f"{name}-{after}"
            shutil.copytree(left, folder)
            real, seen = getattr(os, name), [0]

            def failing(*given: object, real=real, seen=seen, after=after, **more: object) -> object:  # type: ignore[no-untyped-def]
                seen[0] += 1
                if seen[0] > after:
                    raise OSError(5, "killed here")
                return real(*given, **more)

            with monkeypatch.context() as patch:
                patch.setattr(os, name, failing)
                try:
                    recover(folder)
                    done = True
                except OutputError:
                    done = False
            if not done:
                with log_files(folder, "decisions", DAYS) as found:  # readable in between, each row once
                    assert len(found.of(DAYS)) == 1
            recover(folder)
            assert numbers(folder) == [0, 1, 2, 3, 4]
            assert len(sealed(folder)) == 5
            hidden = [file.name for file in (folder / "decisions").rglob(".*")]
            assert hidden == []


def test_a_file_that_never_got_its_name(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    young = tmp_path / "open" / ".decisions-w-000001.arrows"
    old = tmp_path / "open" / ".decisions-w-000002.arrows"
    for path in (young, old):
        path.write_bytes(b"")
    os.utime(old, (0, 0))
    (tmp_path / "open" / "notes.txt").write_text("somebody's")
    found = recover(tmp_path)
    assert (found.segments, found.live) == (0, 0)
    assert sorted(path.name for path in (tmp_path / "open").iterdir()) == [young.name, "notes.txt"]


def test_nothing_to_recover(tmp_path: Path) -> None:
    assert recover(tmp_path / "nowhere").segments == 0
    assert not (tmp_path / "nowhere").exists()


def test_open_segments_are_read_as_far_as_they_are_whole(left: Path) -> None:
    with log_files(left, "decisions", DAYS) as found:
        assert found.open_segments == 1
        assert len(found.of(DAYS)) == 1
    with log_files(left, "rewards", DAYS) as found:
        assert found.of(DAYS) == []
    assert segment_of(left).exists()


def test_half_sealed_segments_are_read_once(left: Path) -> None:
    """Sealed, but killed before the segment was removed."""
    shutil.copytree(left / "open", left / "kept")
    recover(left)
    shutil.copytree(left / "kept", left / "open", dirs_exist_ok=True)
    with log_files(left, "decisions", DAYS) as found:
        assert len(found.of(DAYS)) == 1
    assert recover(left).rows == 5
    assert numbers(left) == [0, 1, 2, 3, 4]


def test_the_same_segment_under_two_names_is_refused(left: Path) -> None:
    recover(left)
    (file,) = (left / "decisions" / f"date={DAY}").iterdir()
    shutil.copy(file, file.with_name("copy.parquet"))
    with pytest.raises(JournalError, match="count twice"), log_files(left, "decisions", DAYS):
        pass


def test_a_sealed_file_that_is_damaged_is_named(left: Path) -> None:
    recover(left)
    (file,) = (left / "decisions" / f"date={DAY}").iterdir()
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(JournalError, match=file.name), log_files(left, "decisions", DAYS):
        pass


WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from journal import SCHEMA, decisions
from jumar.serve.journal import Journal
with Journal(sys.argv[1], writer=sys.argv[3], segment_rows=20) as journal:
    first = int(sys.argv[4])
    for i in range(first, first + 100):
        journal.append("decisions", decisions([i]), SCHEMA).result(30)
"""


def test_two_processes_write_to_one_folder_while_a_third_recovers(tmp_path: Path) -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(Path(__file__).parents[1]), name, first])
        for name, first in (("a", "0"), ("b", "1000"))
    ]
    while any(child.poll() is None for child in children):
        recover(tmp_path)
    assert [child.returncode for child in children] == [0, 0]
    assert numbers(tmp_path) == [*range(100), *range(1000, 1100)]
    assert recover(tmp_path).gaps == {}
    table = sealed(tmp_path)
    for name in "ab":
        mine = [
            s for w, s in zip(*(table[c].to_pylist() for c in ("__writer", "__sequence")), strict=True) if w[0] == name
        ]
        assert mine == list(range(100))


def test_killed_twenty_times_under_load() -> None:
    """The benchmark's own program: nothing acknowledged is lost, nothing comes twice after the join."""
    done = subprocess.run(
        [sys.executable, str(KILL), "--kills", "20", "--most", "0.05"], capture_output=True, text=True, check=False
    )
    figures = {line.strip().split("  ")[0]: line.split() for line in done.stdout.splitlines() if line}
    lost = next(words for name, words in figures.items() if name.endswith("lost"))
    assert lost[-1] == "met", done.stdout + done.stderr
    for name in ("duplicated after the join", "invented", "sequence numbers missing"):
        assert figures[name][-1] == "met", done.stdout


def test_what_is_no_file_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "open" / "decisions-w-aa-000001.arrows").mkdir(parents=True)
    os.mkfifo(tmp_path / "open" / "decisions-w-aa-000002.arrows")
    (tmp_path / "open" / "decisions-w-aa-000003.arrows").write_bytes(b"no segment")
    found = recover(tmp_path)
    assert (found.segments, found.rows) == (1, 0)
    assert found.said == [
        "Set 'damaged/decisions-w-aa-000003.arrows' aside in the log, because parts of it cannot be read"
    ]
