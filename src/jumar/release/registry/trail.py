"""The trail of a registry: numbered records, chained by hashes, of which the last is the state.

In: the files of a registry. Out: ``RegistryRecord`` values. Only ``registry`` imports this module.

A record is created only where none of its number is, so that creating number n + 1 is the compare-and-swap: of two
writers that both saw number n one creates it, and the other is told by whom. Nothing is ever replaced.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from jumar.release.documents import FORMAT, ReleaseError, sha256
from jumar.release.ledger import moment
from jumar.release.registry.documents import Aliases, Opening, OvertakenError, RegistryRecord, opened, sealed
from jumar.release.registry.files import Files
from jumar.version import VERSION

OPENING_FILE, RECORDS = "registry.json", "records"
_RESTORE = "Restore the registry from a copy; nothing was changed."
_WORDS = {
    "create": "created the registry",
    "canary": "began a canary of {0} at {1:.6g}",
    "widen": "widened the canary of {0} to {1:.6g}",
    "promote": "promoted {0}",
    "abandon": "abandoned the canary of {0}",
    "rollback": "rolled back to {0}",
}


@dataclass(frozen=True)
class Known:
    """A record and the hash of its bytes, which the next one has to name."""

    record: RegistryRecord
    sha256: str


class Trail:
    """The records of a registry.

    Args:
        files: of the registry.

    Raises:
        ReleaseError: there is no registry, or ``registry.json`` was changed.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        data = files.read(OPENING_FILE)
        if data is None:
            raise ReleaseError(
                f"There is no registry in '{files.place}'",
                remedy="Name another with --registry, or begin one with 'jumar promote --create'.",
            )
        self.opening = opened(data, Opening, f"{files.place}/{OPENING_FILE}")
        self._first = Known(_creation(self.opening), sha256(data))
        self._last: Known | None = None

    def last(self) -> Known:
        """The state: one listing at first, then no more than a look whether the next number is there and this one is.

        That nothing follows says little where the last record itself cannot be seen: a disk that is not mounted any
        more holds no next record either.

        Raises:
            ReleaseError: a record is missing, damaged, or does not follow the one before.
        """
        known = self._last or self._found()
        while (data := self._files.read(name_of(known.record.number + 1))) is not None:
            known = self._followed(known, data)
        name = name_of(known.record.number) if known.record.number else OPENING_FILE
        seen = self._files.read(name) if known is self._last else None
        if known is self._last and (seen is None or sha256(seen) != known.sha256):
            reason = "is missing" if seen is None else "was changed"
            raise ReleaseError(f"'{self._files.place}/{name}' {reason}", remedy=_RESTORE)
        self._last = known
        return known

    def all(self) -> list[Known]:
        """All records, the creation first, each checked against the one before.

        Raises:
            ReleaseError: as for ``last``.
        """
        names = [name_of(number) for number in self._numbers()]
        trail = [self._first]
        for name, data in zip(names, self._files.read_all(names), strict=True):
            if data is None:
                raise ReleaseError(f"'{self._files.place}/{name}' is missing", remedy=_RESTORE)
            trail.append(self._followed(trail[-1], data))
        return trail

    def append(self, after: Known, **fields: Any) -> RegistryRecord:
        """Write the next record, if nobody did meanwhile.

        Args:
            after: what was the last one when all of ``fields`` was decided.
            fields: of the record.

        Raises:
            OvertakenError: somebody did.
            ReleaseError, OutputError: it cannot be written.
        """
        record = RegistryRecord(
            format=FORMAT,
            number=after.record.number + 1,
            previous_sha256=after.sha256,
            token=secrets.token_hex(8),
            jumar_version=VERSION,
            **fields,
        )
        name, data = name_of(record.number), sealed(record)
        if not self._files.create(name, data):
            raise overtaken(self.last().record, after.record.number)
        return self._followed(after, data).record

    def _found(self) -> Known:
        """The last record that is listed, checked against the one before."""
        numbers = self._numbers()
        if not numbers:
            return self._first
        before = self._first.sha256
        if len(numbers) > 1:
            before = sha256(self._read(numbers[-2]))
        return self._linked(self._read(numbers[-1]), numbers[-1], before)

    def _numbers(self) -> list[int]:
        """1 to n."""
        names = [name for name in self._files.names(RECORDS) if name.endswith(".json") and name[:-5].isdecimal()]
        numbers = [int(name[:-5]) for name in names]
        for expected, number in enumerate(numbers, 1):
            if number != expected:
                raise ReleaseError(f"'{self._files.place}/{name_of(expected)}' is missing", remedy=_RESTORE)
        return numbers

    def _read(self, number: int) -> bytes:
        data = self._files.read(name_of(number))
        if data is None:
            raise ReleaseError(f"'{self._files.place}/{name_of(number)}' is missing", remedy=_RESTORE)
        return data

    def _followed(self, before: Known, data: bytes) -> Known:
        return self._linked(data, before.record.number + 1, before.sha256)

    def _linked(self, data: bytes, number: int, before_sha256: str) -> Known:
        """A record that stands where it says, after what it says."""
        name = f"{self._files.place}/{name_of(number)}"
        record = opened(data, RegistryRecord, name)
        if record.number != number or record.previous_sha256 != before_sha256:
            raise ReleaseError(
                f"'{name}' does not follow the record before it: one of them was changed", remedy=_RESTORE
            )
        return Known(record, sha256(data))


def name_of(number: int) -> str:
    """File of a record."""
    return f"{RECORDS}/{number:012d}.json"


def said(record: RegistryRecord) -> str:
    """What a record says was done, in a few words."""
    return _WORDS[record.what].format(record.version, record.share)


def overtaken(now: RegistryRecord, seen: int) -> OvertakenError:
    """For a writer who decided on an older state than there is."""
    return OvertakenError(
        f"The registry stands at record {now.number}, not at {seen}: {now.who} {said(now)} on "
        f"{moment(now.at.replace(microsecond=0))}",
        remedy="Nothing was changed; look with 'jumar show', then decide anew.",
    )


def in_force(trail: list[RegistryRecord]) -> list[RegistryRecord]:
    """The promotions that a rollback may return to, the last of them production's.

    A promotion adds itself, a rollback takes the last one away: however often one rolls back, nothing that was left
    behind comes again.
    """
    stack: list[RegistryRecord] = []
    for record in trail:
        if record.what == "promote":
            stack.append(record)
        elif record.what == "rollback":
            stack.pop()
    return stack


def _creation(opening: Opening) -> RegistryRecord:
    """The state of a registry in which nothing was done yet."""
    return RegistryRecord(
        format=FORMAT,
        number=0,
        at=opening.created_at,
        who=opening.created_by,
        what="create",
        why="",
        forced=False,
        version=None,
        aliases=Aliases(),
        share=0.0,
        salt="",
        certificate_sha256="",
        attempt="",
        alpha=None,
        previous_sha256="",
        token="",
        jumar_version=opening.jumar_version,
    )
