"""The files of a registry, in a folder or behind an fsspec address: read, listed, and created once, never replaced.

In: a folder or URL. Out: ``Files``. Only this room and the board import this module. A folder needs nothing but the
file system; everything else needs fsspec (extra ``remote``) and a file system that can create a file only if it is not
there.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from jumar.files import creating, unwritable
from jumar.release.documents import ReleaseError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

# Where fsspec's ``pipe_file(mode="create")`` is one conditional request: If-None-Match (S3), ifGenerationMatch=0
# (Google Cloud Storage), overwrite=False (Azure); the memory of this process is guarded by a lock of ours. Everywhere
# else fsspec asks whether the file exists and then writes, which two writers can do at once.
EXCLUSIVE = frozenset({"memory", "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"})
_HALF = re.compile(r"\..+-[a-z0-9_]{8}")
_STALE_S = 24 * 3600.0
_AT_ONCE = 16


class Files(Protocol):
    """Files by their names below one place, parted by "/"."""

    @property
    def place(self) -> str:
        """What a user calls it."""
        ...

    @property
    def folder(self) -> Path | None:
        """Where it is on this machine, None where it lies elsewhere."""
        ...

    @property
    def exclusive(self) -> bool:
        """Of two writers that create the same file, one is told that it came second."""
        ...

    def read(self, name: str) -> bytes | None:
        """The content of a file, None where there is none."""
        ...

    def read_all(self, names: Sequence[str]) -> list[bytes | None]:
        """The same for many."""
        ...

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted, without half-written ones; none where there is no folder."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Create a file; False where another one lies there. Doing it again with the same bytes is True again."""
        ...

    def keeps_writers_apart(self) -> bool:
        """``exclusive``, tried out: whether a second creation of the same file is refused here and now."""
        ...


def files_at(url: str | os.PathLike[str]) -> Files:
    """The files of a folder or an address.

    Raises:
        ReleaseError: fsspec, or what it needs for this kind of address, is missing.
    """
    given = os.fspath(url)
    kind, parted, path = given.partition("://")
    if not parted:
        return LocalFiles(Path(given))
    if kind in ("file", "local"):
        return LocalFiles(Path(path))
    return RemoteFiles(given)


class LocalFiles:
    """A folder of this machine, or one that it has mounted."""

    exclusive = True

    def __init__(self, folder: Path) -> None:
        self.folder, self.place = folder, str(folder)

    def read(self, name: str) -> bytes | None:
        """See ``Files``."""
        path = self.folder / name
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ReleaseError(
                f"'{path}' cannot be read ({error.strerror or error})", remedy="Look at its rights and at the disk."
            ) from error

    def read_all(self, names: Sequence[str]) -> list[bytes | None]:
        """See ``Files``."""
        return [self.read(name) for name in names]

    def names(self, folder: str) -> list[str]:
        """See ``Files``."""
        path = self.folder / folder
        try:
            return sorted(name for name in os.listdir(path) if not _HALF.fullmatch(name))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise ReleaseError(
                f"'{path}' cannot be read ({error.strerror or error})", remedy="Look at its rights and at the disk."
            ) from error

    def create(self, name: str, data: bytes) -> bool:
        """See ``Files``."""
        path = self.folder / name
        self._sweep(path.parent)
        return creating(path, data) or self.read(name) == data

    def keeps_writers_apart(self) -> bool:
        """See ``Files``; a hard link is never put over a file."""
        return True

    def _sweep(self, folder: Path) -> None:
        """Remove what processes killed more than a day ago were about to put in place."""
        if not folder.is_dir():
            return
        old = time.time() - _STALE_S
        try:
            for entry in os.scandir(folder):
                with contextlib.suppress(FileNotFoundError):  # another writer has just put it in place
                    if _HALF.fullmatch(entry.name) and entry.is_file() and entry.stat().st_mtime < old:
                        Path(entry).unlink()
        except OSError as error:
            raise unwritable(folder, error) from error


class RemoteFiles:
    """Whatever fsspec reaches."""

    folder = None
    _one_at_a_time = threading.Lock()

    def __init__(self, url: str) -> None:
        self.place = without_password(url).rstrip("/")
        if "::" in url:
            raise ReleaseError(
                f"'{self.place}' is an address behind another, which may show an older state than there is",
                remedy="Name the address itself.",
            )
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise ReleaseError(
                f"'{self.place}' needs fsspec, which is not installed",
                remedy="Install it with: pip install 'jumar[remote]'",
            ) from error
        try:
            self._system, root = url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise ReleaseError(
                f"'{self.place}' cannot be reached ({error})",
                remedy="Check the address, and install what fsspec needs for it, such as s3fs, gcsfs or adlfs.",
            ) from error
        self._root = str(root).rstrip("/")
        self.exclusive = bool(_protocols(self._system) & EXCLUSIVE)

    def read(self, name: str) -> bytes | None:
        """See ``Files``."""
        try:
            with self._told("read"):
                return bytes(self._system.cat_file(self._path(name)))
        except FileNotFoundError:
            return None

    def read_all(self, names: Sequence[str]) -> list[bytes | None]:
        """See ``Files``."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(self.read, names))

    def names(self, folder: str) -> list[str]:
        """See ``Files``; never out of a cache."""
        path = self._path(folder)
        try:
            with self._told("listed"):
                self._system.invalidate_cache(path)
                found = self._system.ls(path, detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(str(one).rstrip("/").rpartition("/")[2] for one in found)

    def create(self, name: str, data: bytes) -> bool:
        """See ``Files``.

        Whatever the client reports, the file itself says whose it is: a request whose answer was lost is sent again by
        most clients, and the second one then finds the file that the first one made.
        """
        try:
            self._put(name, data)
            return True
        except Exception as error:  # each of these clients has exceptions of its own
            found = self.read(name)
            if found is None:
                if isinstance(error, ReleaseError):
                    raise
                raise self._failure("written", error) from error
            return found == data

    def keeps_writers_apart(self) -> bool:
        """See ``Files``. A store that speaks S3's language need not know its conditions."""
        if not self.exclusive:
            return False
        name = f"probe-{secrets.token_hex(8)}"
        first = self.create(name, b"first")
        second = self.create(name, b"second")
        with self._told("written"):
            self._system.rm_file(self._path(name))
        return first and not second

    def _put(self, name: str, data: bytes) -> None:
        path = self._path(name)
        with self._one_at_a_time:
            if not self.exclusive:  # these have real folders
                self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._system.pipe_file(path, data, mode="create")

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _told(self, done: str) -> Iterator[None]:
        """What goes wrong on the way becomes an error that a user can read; a missing file stays one."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            raise
        except Exception as error:  # each of these clients has exceptions of its own
            raise self._failure(done, error) from error

    def _failure(self, done: str, error: Exception) -> ReleaseError:
        return ReleaseError(
            f"'{self.place}' cannot be {done} ({type(error).__name__}: {str(error)[:200]})",
            remedy="Check the address, the network and your credentials.",
        )


def without_password(url: str) -> str:
    """An address as it may be shown."""
    return re.sub(r"://[^/@]*@", "://", url)


def _protocols(system: AbstractFileSystem) -> set[str]:
    """The names that a file system goes by."""
    known = system.protocol
    return {known} if isinstance(known, str) else set(known)
