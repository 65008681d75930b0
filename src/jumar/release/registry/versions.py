"""The versions of a registry: immutable folders, each named by the hash of its policy, every file checked at reading.

In: a policy folder or the result of ``jumar improve``. Out: ``Version`` and ``Policy``. Only ``registry`` imports this
module.

All files of a version are created once and ``version.json`` last: a process that was killed before that has registered
nothing, and registering again goes on with the files that it left.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterator
from pathlib import Path

from jumar.evaluate.certificate import Certificate
from jumar.logs.options import nearest
from jumar.policy import Policy, load_policy
from jumar.policy.artifact import CARD_FILE, MODEL_FILE, policy_of
from jumar.release.documents import FORMAT, ReleaseError, decoded, sha256
from jumar.release.registry.documents import Version, VersionCard, opened, sealed
from jumar.release.registry.files import Files
from jumar.release.store import policy_folder
from jumar.version import VERSION

VERSIONS, VERSION_FILE = "versions", "version.json"
CERTIFICATE, MANIFEST, REPORT = "certificate.json", "manifest.json", "report.html"
NAME = re.compile(r"[0-9a-f]{16}")
_LATER = re.compile(r"certificate-[0-9a-f]{16}\.json")
_CARD_FIELDS = VersionCard.__struct_fields__
_RESTORE = "Restore it from a copy, or register the policy in a new registry."


def name_for(policy_sha256: str, card_sha256: str) -> str:
    """The name of the version with these files."""
    return sha256(f"{policy_sha256}\n{card_sha256}\n".encode())[:16]


class Versions:
    """The versions of a registry.

    Args:
        files: of the registry.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    def register(self, folder: str | os.PathLike[str], why: str, at: datetime.datetime, who: str) -> Version:
        """Store a policy and what certifies it. Doing it again changes nothing, but for a certificate that is new.

        Raises:
            PolicyError: there is no policy in the folder, or it is damaged.
            ReleaseError: its certificate or manifest belongs to another policy, or a file cannot be stored.
        """
        held = _read_folder(folder)
        policy, card = sha256(held[MODEL_FILE]), sha256(held[CARD_FILE])
        version = name_for(policy, card)
        _check_certificate(held, policy, card, str(folder))
        if self._files.read(_path(version, VERSION_FILE)) is not None:
            return self._certified_too(self.version(version), held)
        stored = {self._store(version, name, data): sha256(data) for name, data in held.items()}
        document = VersionCard(
            format=FORMAT,
            version=version,
            policy_sha256=policy,
            card_sha256=card,
            files=dict(sorted(stored.items())),
            registered_at=at,
            registered_by=who,
            why=why,
            source=str(folder),
            jumar_version=VERSION,
        )
        if not self._files.create(_path(version, VERSION_FILE), sealed(document)):  # somebody else was quicker
            return self._certified_too(self.version(version), held)
        return self.version(version)

    def version(self, name: str) -> Version:
        """One version, its card and certificates checked.

        Raises:
            ReleaseError: there is none of that name, or a file was changed.
        """
        card = self._card(name)
        certificates = list(self._certificates(card))
        certified = [pair for pair in certificates if pair[1].verdict == "certified"]
        digest, certificate = next(iter(certified or certificates), ("", None))
        fields = {field: getattr(card, field) for field in _CARD_FIELDS}
        return Version(**fields, certificate=certificate, certificate_sha256=digest)

    def all(self) -> list[Version]:
        """All versions that are complete.

        Raises:
            ReleaseError: a file was changed.
        """
        named = [name for name in self._files.names(VERSIONS) if NAME.fullmatch(name)]
        cards = self._files.read_all([_path(name, VERSION_FILE) for name in named])
        return [self.version(name) for name, card in zip(named, cards, strict=True) if card is not None]

    def policy(self, name: str) -> Policy:
        """The policy of a version, from bytes whose hashes were checked; so was every other file of it.

        Raises:
            ReleaseError: there is no such version, or a file is missing or was changed.
        """
        held = self.files(name)
        return policy_of(held[MODEL_FILE], held[CARD_FILE], f"{self._files.place}/{VERSIONS}/{name}")

    def files(self, name: str) -> dict[str, bytes]:
        """All files of a version with their bytes, checked.

        Raises:
            ReleaseError: as for ``policy``.
        """
        card = self._card(name)
        data = self._files.read_all([_path(name, file) for file in card.files])
        return {file: self._whole(card, file, found) for file, found in zip(card.files, data, strict=True)}

    def _card(self, name: str) -> VersionCard:
        data = self._files.read(_path(name, VERSION_FILE)) if NAME.fullmatch(name) else None
        if data is None:
            known = self._files.names(VERSIONS)
            if name in known:
                where = f"{self._files.place}/{_path(name, VERSION_FILE)}"
                raise ReleaseError(
                    f"The version is not whole: '{where}' is missing",
                    remedy="Register its folder again, or restore the file from a copy.",
                )
            near = nearest(name, known)
            raise ReleaseError(
                f"There is no version '{name}' in '{self._files.place}'",
                remedy=f"Did you mean '{near}'?"
                if near
                else "See 'jumar history', or register RUN: jumar promote RUN.",
            )
        where = f"{self._files.place}/{_path(name, VERSION_FILE)}"
        card = opened(data, VersionCard, where)
        if name_for(card.policy_sha256, card.card_sha256) != name or card.version != name:
            raise ReleaseError(f"'{where}' describes another version than its folder is named after", remedy=_RESTORE)
        return card

    def _certificates(self, card: VersionCard) -> Iterator[tuple[str, Certificate]]:
        """Hash and content of every certificate: those it was registered with, then those that came later."""
        first = [name for name in card.files if name == CERTIFICATE or _LATER.fullmatch(name)]
        there = self._files.names(f"{VERSIONS}/{card.version}")
        later = [name for name in there if _LATER.fullmatch(name) and name not in first]
        for name in (*first, *later):
            data = self._whole(card, name, self._files.read(_path(card.version, name)))
            yield sha256(data), decoded(data, Certificate, f"{self._files.place}/{_path(card.version, name)}")

    def _certified_too(self, known: Version, held: dict[str, bytes]) -> Version:
        """The version, with the certificate that this registration brought if it had not had it."""
        if CERTIFICATE not in held:
            return known
        have = {digest for digest, _ in self._certificates(known)}
        if sha256(held[CERTIFICATE]) in have:
            return known
        for name in (MANIFEST, REPORT, CERTIFICATE):
            if name in held:
                self._create(known.version, _by_hash(name, held[name]), held[name])
        return self.version(known.version)

    def _store(self, version: str, name: str, data: bytes) -> str:
        """Create a file under its name, or beside what a killed or simultaneous registration put there.

        Returns:
            The name that it has.
        """
        if self._files.create(_path(version, name), data):
            return name
        if name in (MODEL_FILE, CARD_FILE):
            raise ReleaseError(
                f"'{self._files.place}/{_path(version, name)}' is not what its folder is named after",
                remedy="Remove that folder: no version is complete in it.",
            )
        return self._create(version, _by_hash(name, data), data)

    def _create(self, version: str, name: str, data: bytes) -> str:
        if not self._files.create(_path(version, name), data):
            raise ReleaseError(f"'{self._files.place}/{_path(version, name)}' was changed", remedy=_RESTORE)
        return name

    def _whole(self, card: VersionCard, name: str, data: bytes | None) -> bytes:
        """The bytes of a file, if they are as they were registered."""
        where = f"{self._files.place}/{_path(card.version, name)}"
        if data is None:
            raise ReleaseError(f"'{where}' is missing", remedy=_RESTORE)
        if sha256(data) != card.files[name] if name in card.files else name != _by_hash(CERTIFICATE, data):
            raise ReleaseError(f"'{where}' has changed since it was registered: its hash differs", remedy=_RESTORE)
        return data


def _read_folder(folder: str | os.PathLike[str]) -> dict[str, bytes]:
    """The files of a policy and, where the folder is a result, of what certifies it, by name."""
    load_policy(folder)
    place = policy_folder(folder)
    held = {name: (place / name).read_bytes() for name in (MODEL_FILE, CARD_FILE)}
    beside = [Path(folder) / name for name in (CERTIFICATE, MANIFEST, REPORT)]
    return held | {path.name: path.read_bytes() for path in beside if path.is_file()}


def _check_certificate(held: dict[str, bytes], policy_sha256: str, card_sha256: str, folder: str) -> None:
    """Refuses a certificate that speaks of another policy, or of another plan than the one beside it."""
    if CERTIFICATE not in held:
        return
    certificate = decoded(held[CERTIFICATE], Certificate, f"{folder}/{CERTIFICATE}")
    if (certificate.policy_sha256, certificate.card_sha256 or card_sha256) != (policy_sha256, card_sha256):
        raise ReleaseError(
            f"'{folder}/{CERTIFICATE}' speaks of another policy than the one beside it",
            remedy="Register a result folder as 'jumar improve' wrote it.",
        )
    if sha256(held.get(MANIFEST, b"")) != certificate.manifest_sha256:
        raise ReleaseError(
            f"'{folder}/{MANIFEST}' is not the plan that the certificate beside it was given by",
            remedy="Register a result folder as 'jumar improve' wrote it.",
        )


def _by_hash(name: str, data: bytes) -> str:
    """A name that says what is in the file, for a second one of its kind."""
    stem, dot, ending = name.partition(".")
    return f"{stem}-{sha256(data)[:16]}{dot}{ending}"


def _path(version: str, name: str) -> str:
    return f"{VERSIONS}/{version}/{name}"
