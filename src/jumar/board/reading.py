"""Documents of a registry, its gates and its loop, read so that one that is damaged hides no other.

In: a registry's folder or address, the folder of a loop. Out: ``Documents``, and what could not be read, in sentences.
``gathered`` makes the board of them. What cannot change any more is read once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from jumar.errors import JumarError
from jumar.evaluate.certificate import Certificate
from jumar.loop.documents import Day
from jumar.loop.folders import CANARY, LEARNED, LOOP, SCREENING, WATCH, Folders, read_document
from jumar.release.canary_plan import CanaryRecord
from jumar.release.canary_state import Canary
from jumar.release.documents import Attempt, Ledger, Look, Manifest, ReleaseError
from jumar.release.registry.documents import RegistryRecord, Version
from jumar.release.registry.files import files_at
from jumar.release.registry.registry import GATES, Registry
from jumar.release.store import Store
from jumar.release.watch import Watch

Found = TypeVar("Found")
_BROKEN = (JumarError, OSError, ValueError, msgspec.MsgspecError)


@dataclass(frozen=True, kw_only=True)
class Documents:
    """What was read.

    Attributes:
        registry, folder: where; ``folder`` is empty where no loop is known.
        state: of the registry, None where it cannot be read; ``history`` of it, empty where it cannot.
        versions: those that the history names, by name.
        ledger: of the gates; ``manifests``, ``looks`` of its challengers, by name.
        days: of the loop, the earliest first; ``learned`` certificates of what was opened on them, by challenger.
        canary, watch: the latest.
        troubles: what could not be read, in sentences; ``unread`` names the parts: "registry", "trail", "versions",
            "ledger", "challengers", "days", "learned", "canary", "watch".
    """

    registry: str
    folder: str = ""
    state: RegistryRecord | None = None
    history: list[RegistryRecord] = field(default_factory=list)
    versions: dict[str, Version] = field(default_factory=dict)
    ledger: Ledger | None = None
    manifests: dict[str, Manifest] = field(default_factory=dict)
    looks: dict[str, list[Look]] = field(default_factory=dict)
    days: list[Day] = field(default_factory=list)
    learned: dict[str, Certificate] = field(default_factory=dict)
    canary: CanaryRecord | None = None
    watch: Watch | None = None
    troubles: list[str] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)


class _Tries:
    """Calls that may fail without hiding what others find."""

    def __init__(self) -> None:
        self.troubles: list[str] = []
        self.unread: set[str] = set()

    def __call__(self, part: str, read: Callable[[], Found], otherwise: Found) -> Found:
        """What ``read`` gives, else ``otherwise`` and a note."""
        try:
            return read()
        except _BROKEN as error:
            self.troubles.append(_sentence(error))
            self.unread.add(part)
            return otherwise


class Reader:
    """Reads again and again.

    Args:
        registry: its folder or address.
        folder: of the loop; by default ``loop`` in the registry's own folder.
    """

    def __init__(self, registry: str | os.PathLike[str], folder: str | os.PathLike[str] | None = None) -> None:
        self.url, self._given = os.fspath(registry), None if folder is None else Path(folder)
        self._history: list[RegistryRecord] = []
        self._versions: dict[str, Version] = {}
        self._canary: tuple[tuple[int, int], CanaryRecord] | None = None

    def read(self) -> Documents:
        """Everything as it is now. It raises nothing that a damaged or absent document could cause."""
        tried = _Tries()
        place, own = tried("registry", self._place, (self.url, None))
        book = tried("registry", lambda: Registry(self.url), None)
        state = tried("registry", book.state, None) if book else None
        history = tried("trail", lambda: self._trail(book, state, own is None), []) if book and state else []
        loop = self._given or (own / LOOP if own else None)
        known = loop is not None and (self._given is not None or loop.is_dir())
        ledger, manifests, looks = self._read_gates(own / GATES, tried) if own else (None, {}, {})
        days = _days(Folders(loop), tried) if known and loop else []
        learned = _learned(Folders(loop), days, tried) if known and loop else {}
        canary = tried("canary", lambda: self._read_canary(loop / CANARY), None) if known and loop else None
        watch = tried("watch", lambda: read_document(loop / WATCH, Watch), None) if known and loop else None
        return Documents(
            registry=place,
            folder=str(loop) if known else "",
            state=state,
            history=history,
            versions=self._named(book, history, tried) if book else {},
            ledger=ledger,
            manifests=manifests,
            looks=looks,
            days=days,
            learned=learned,
            canary=canary,
            watch=watch,
            troubles=tried.troubles,
            unread=tried.unread,
        )

    def _place(self) -> tuple[str, Path | None]:
        files = files_at(self.url)
        return files.place, files.folder

    def _trail(self, book: Registry, state: RegistryRecord, remote: bool) -> list[RegistryRecord]:
        """All records; of a registry that is far away they are fetched only where there are new ones."""
        if not remote or not self._history or self._history[-1] != state:
            self._history = book.history()
        return self._history

    def _named(self, book: Registry, history: list[RegistryRecord], tried: _Tries) -> dict[str, Version]:
        """Versions of the history; one that has a certificate cannot change."""
        for name in sorted({record.version for record in history if record.version}):
            known = self._versions.get(name)
            if known is None or known.certificate is None:
                found = tried("versions", lambda name=name: book.version(name), None)
                if found is not None:
                    self._versions[name] = found
        return self._versions

    def _read_gates(
        self, folder: Path, tried: _Tries
    ) -> tuple[Ledger | None, dict[str, Manifest], dict[str, list[Look]]]:
        """The ledger, and of each challenger what was frozen and seen."""
        store = Store(folder, 0.0)
        ledger = tried("ledger", store.known_ledger, None) if folder.is_dir() else None
        manifests, looks = {}, {}
        for row in ledger.rows if ledger else []:
            found = tried("challengers", lambda row=row: _challenger(store, row), None)
            if found is not None:
                manifests[row.name], looks[row.name] = found
        return ledger, manifests, looks

    def _read_canary(self, path: Path) -> CanaryRecord | None:
        """The latest canary, None where there is none; read again where its file was replaced: it may be large."""
        try:
            seen = path.stat()
            key = (seen.st_mtime_ns, seen.st_ino)
            if self._canary is None or self._canary[0] != key:
                self._canary = (key, Canary.from_bytes(path.read_bytes()).record)
        except FileNotFoundError:
            return None
        except ReleaseError as error:
            raise ReleaseError(f"'{path}': {error.what}", remedy=error.remedy) from error
        return self._canary[1]


def _days(folders: Folders, tried: _Tries) -> list[Day]:
    found = [tried("days", lambda date=date: folders.read(date), None) for date in tried("days", folders.dates, [])]
    return [day for day in found if day is not None]


def _learned(folders: Folders, days: list[Day], tried: _Tries) -> dict[str, Certificate]:
    """Certificates of the runs that challengers were learned in."""
    found = {}
    for day in days:
        path = folders.of(day.date) / LEARNED / SCREENING
        if day.opened:
            certificate = tried("learned", lambda path=path: read_document(path, Certificate), None)
            if certificate is not None:
                found[day.opened] = certificate
    return found


def _challenger(store: Store, row: Attempt) -> tuple[Manifest, list[Look]]:
    """What was frozen and seen; where it was looked at between two reads, as it is after that."""
    while True:
        try:
            return store.manifest(row), store.state(row).looks
        except ReleaseError:
            now = store.attempt(row.name)
            if now == row:
                raise
            row = now


def _sentence(error: BaseException) -> str:
    """An error as one line of the page."""
    said = " ".join(str(error).split())
    return said if isinstance(error, JumarError) else f"{type(error).__name__}: {said}"
