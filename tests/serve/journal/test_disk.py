"""Disks that are full or broken: nothing is acknowledged that is not there, and it goes on once they are not."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from jumar.serve.journal import Journal, recover
from jumar.serve.journal.frames import scan

from . import DAY, SCHEMA, decisions, numbers, sealed


class Disk:
    """A disk that can be full or broken."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room: int | None = None
        self.broken = self.stuck = False
        self._real = {name: getattr(os, name) for name in ("pwrite", "fdatasync", "ftruncate", "posix_fallocate")}
        for name in self._real:
            monkeypatch.setattr(os, name, getattr(self, name))

    def pwrite(self, handle: int, data: Any, position: int) -> int:
        if self.room is None:
            return self._real["pwrite"](handle, data, position)
        if self.room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        take = min(self.room, len(data))
        self.room -= take
        return self._real["pwrite"](handle, bytes(data)[:take], position)

    def posix_fallocate(self, handle: int, position: int, length: int) -> None:
        if self.room is not None:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._real["posix_fallocate"](handle, position, length)

    def fdatasync(self, handle: int) -> None:
        if self.broken:
            raise OSError(errno.EIO, "Input/output error")
        self._real["fdatasync"](handle)

    def ftruncate(self, handle: int, size: int) -> None:
        if self.stuck:
            raise OSError(errno.EIO, "Input/output error")
        self._real["ftruncate"](handle, size)


@pytest.mark.parametrize("room", [0, 1, 100, 1_000])
def test_a_full_disk_refuses_and_is_forgotten_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    disk = Disk(monkeypatch)
    with Journal(tmp_path) as journal:
        journal.append("decisions", decisions([0]), SCHEMA).result(30)
        disk.room = room
        for i in (1, 2):
            error = journal.append("decisions", decisions([i]), SCHEMA).exception(30)
            assert isinstance(error, OSError)
            assert error.errno == errno.ENOSPC
        disk.room = None
        journal.append("decisions", decisions([3]), SCHEMA).result(30)
        (path,) = (tmp_path / "open").iterdir()
        found = scan(path.read_bytes())
        assert (found.rows, found.torn, found.damaged) == (2, 0, 0)
        assert journal.counts.refused == 2
    assert numbers(tmp_path) == [0, 3]
    assert sealed(tmp_path)["__sequence"].to_pylist() == [0, 1]


def test_a_full_disk_before_the_first_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    disk.room = 0
    with Journal(tmp_path) as journal:
        assert isinstance(journal.append("decisions", decisions([0]), SCHEMA).exception(30), OSError)
        disk.room = None
        journal.append("decisions", decisions([1]), SCHEMA).result(30)
    assert numbers(tmp_path) == [1]
    assert not list((tmp_path / "open").iterdir())


@pytest.mark.parametrize("stuck", [False, True])
def test_a_flush_that_fails_ends_the_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stuck: bool) -> None:
    """After a failed flush nothing more may be believed of that file: the next rows go into another one."""
    disk = Disk(monkeypatch)
    with Journal(tmp_path) as journal:
        journal.append("decisions", decisions([0]), SCHEMA).result(30)
        disk.broken, disk.stuck = True, stuck
        error = journal.append("decisions", decisions([1]), SCHEMA).exception(30)
        assert isinstance(error, OSError)
        assert error.errno == errno.EIO
        disk.broken = disk.stuck = False
        journal.append("decisions", decisions([2]), SCHEMA).result(30)
    assert numbers(tmp_path) == [0, 2]
    assert sealed(tmp_path)["__sequence"].to_pylist() == [0, 2]  # 1 might have turned up later, so nobody else has it
    assert len(list((tmp_path / "decisions" / f"date={DAY}").iterdir())) == 2


def test_a_real_limit_of_file_size(tmp_path: Path) -> None:
    """The kernel refuses to let the file grow; what it acknowledged before is there."""
    code = f"""
import json, resource, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from pathlib import Path
from journal import SCHEMA, decisions
from jumar.serve.journal import Journal
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
said = []
journal = Journal(Path({str(tmp_path)!r}))
for i in range(60):
    error = journal.append("decisions", decisions([i]), SCHEMA).exception(30)
    said.append(None if error is None else type(error).__name__)
print(json.dumps(said), flush=True)
import os
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    kept = [i for i, error in enumerate(said) if error is None]
    assert 5 < len(kept) < 60
    assert set(said) == {None, "OSError"}
    found = recover(tmp_path)
    assert (found.rows, found.bytes_cut) == (len(kept), 0)
    assert numbers(tmp_path) == kept


def test_sealing_waits_for_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jumar.serve.journal import journal as module
    from jumar.serve.journal import sealing

    real = sealing.seal
    monkeypatch.setattr(module, "seal", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with Journal(tmp_path, segment_rows=1) as journal:
        journal.append("decisions", decisions([0]), SCHEMA).result(30)
        while not journal.counts.unsealed:
            time.sleep(0.01)
        monkeypatch.setattr(module, "seal", real)
        journal.append("decisions", decisions([1]), SCHEMA).result(30)
    assert numbers(tmp_path) == [0, 1]
    assert journal.counts.sealed == 2
    assert not list((tmp_path / "open").iterdir())
