"""The documents of a registry: what it is, what a version holds, what was done, by whom and why.

In: nothing. Out: frozen records that become JSON, and the errors of a registry. The whole room imports this module.
"""

from __future__ import annotations

import datetime
from typing import Any, Literal, TypeVar

import msgspec

from jumar.evaluate.certificate import Certificate
from jumar.records import Record
from jumar.release.documents import ReleaseError, decoded, sha256

What = Literal["create", "canary", "widen", "promote", "abandon", "rollback"]
Alias = Literal["production", "challenger", "previous"]
ALIASES: tuple[Alias, ...] = ("production", "challenger", "previous")
Sealed = TypeVar("Sealed", "Opening", "VersionCard", "RegistryRecord")
_SEALS = {"Opening": "registry_sha256", "VersionCard": "version_sha256", "RegistryRecord": "record_sha256"}


class UncertifiedError(ReleaseError):
    """Nothing stands behind a version that it could be promoted on."""


class OvertakenError(ReleaseError):
    """Another writer changed the registry first; nothing was changed."""


class Opening(Record, frozen=True, kw_only=True):
    """``registry.json``: that there is a registry. The chain of records begins with its hash.

    Attributes:
        format: version of this layout.
        created_at, created_by: when, UTC, and by which user of the machine.
        single_writer: somebody gave their word that never two processes write at once, where the file system cannot
            tell them apart.
        jumar_version: who wrote it.
        registry_sha256: hash of the document with this field empty.
    """

    format: int
    created_at: datetime.datetime
    created_by: str
    single_writer: bool
    jumar_version: str
    registry_sha256: str = ""


class VersionCard(Record, frozen=True, kw_only=True):
    """``version.json``: what a version holds. It is written last; without it there is no such version.

    Attributes:
        format: version of this layout.
        version: its name: the first 16 hex digits of the hash of ``policy_sha256`` and ``card_sha256``.
        policy_sha256, card_sha256: hashes of ``policy.onnx`` and of ``policy.json``.
        files: hash of every file beside this one, by name.
        registered_at, registered_by: when, UTC, and by whom.
        why: in words; may be empty.
        source: the folder that it was registered from, as it was called.
        jumar_version: who wrote it.
        version_sha256: hash of the document with this field empty.
    """

    format: int
    version: str
    policy_sha256: str
    card_sha256: str
    files: dict[str, str]
    registered_at: datetime.datetime
    registered_by: str
    why: str
    source: str
    jumar_version: str
    version_sha256: str = ""


class Version(VersionCard, frozen=True, kw_only=True):
    """A version as it is handed out: its card, and what certifies it.

    Attributes:
        certificate: of this very policy, None where there is none; of several a certified one, the first.
        certificate_sha256: hash of that file; empty where there is none.
    """

    certificate: Certificate | None = None
    certificate_sha256: str = ""


class Aliases(Record, frozen=True, kw_only=True):
    """Which version each name stands for, None for none.

    Attributes:
        production: serves all units, but for the challenger's share.
        challenger: serves a share of units, in a canary.
        previous: what a rollback returns to.
    """

    production: str | None = None
    challenger: str | None = None
    previous: str | None = None


class RegistryRecord(Record, frozen=True, kw_only=True):
    """``records/<number>.json``: one step, and how all stands after it.

    Attributes:
        format: version of this layout.
        number: 1 for the first step; 0 for the creation, which is ``registry.json``.
        at, who: when, by the clock of the machine, UTC, and who.
        what: "canary" (a challenger serves a share), "widen", "promote", "abandon" (of the canary), "rollback".
        why: in words.
        forced: nothing certified stood behind ``version`` when it was let in; it was, on the word of ``who``.
        version: what the step is about: let in, widened, abandoned, or returned to.
        aliases: after the step.
        share: of units that the challenger serves; 0 without one.
        salt: deals out the arms of the canary, see ``release.arms``; never used twice, empty without one.
        certificate_sha256: of the certificate that ``version`` was let in on; empty for none.
        attempt: challenger of the ledger of gates that passed with this policy; empty for none.
        alpha: the error probability behind it; null where forced.
        previous_sha256: hash of the file of the record before, of ``registry.json`` for the first.
        token: random; two writers never write the same bytes.
        jumar_version: who wrote it.
        record_sha256: hash of the document with this field empty.
    """

    format: int
    number: int
    at: datetime.datetime
    who: str
    what: What
    why: str
    forced: bool
    version: str | None
    aliases: Aliases
    share: float
    salt: str
    certificate_sha256: str
    attempt: str
    alpha: float | None
    previous_sha256: str
    token: str
    jumar_version: str
    record_sha256: str = ""


def sealed(document: Sealed) -> bytes:
    """The document as it is written: with its own hash, so that a changed byte is noticed."""
    field = _SEALS[type(document).__name__]
    entries = msgspec.to_builtins(document, builtin_types=(datetime.datetime,))
    return _canonical(entries | {field: _seal(entries, field)})


def opened(data: bytes, kind: type[Sealed], what: str) -> Sealed:
    """A document from its bytes.

    The seal is of the entries as they stand, not of what this version makes of them: a document keeps it when later
    versions know more entries.

    Raises:
        ReleaseError: it is torn, of another version, or not as it was written.
    """
    found, field = decoded(data, kind, what), _SEALS[kind.__name__]
    entries = msgspec.json.decode(data)
    if _canonical(entries) != data or entries.get(field) != _seal(entries, field):
        raise ReleaseError(
            f"'{what}' is not as it was written: its hash differs",
            remedy="Restore it from a copy; it must not be edited.",
        )
    return found


def _seal(entries: dict[str, Any], field: str) -> str:
    return sha256(_canonical(entries | {field: ""}))


def _canonical(entries: dict[str, Any]) -> bytes:
    """Readable JSON: keys sorted, shortest decimals."""
    return msgspec.json.format(msgspec.json.encode(entries, order="sorted"), indent=2) + b"\n"
