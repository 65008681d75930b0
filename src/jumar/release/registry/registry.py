"""The registry: which policy is in production, which stands by, who changed that, when and why.

In: a folder or address, result folders of ``jumar improve``. Out: versions, policies, records. The command line, the
service and Python users import ``Registry`` through ``jumar.release``; how records follow each other ``trail`` knows,
what a version holds ``versions``, and how files are created ``files``.
"""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jumar.errors import OptionError
from jumar.policy import Policy
from jumar.release.documents import FORMAT, ReleaseError, user_name, utc
from jumar.release.registry.documents import (
    ALIASES,
    Aliases,
    Opening,
    RegistryRecord,
    UncertifiedError,
    Version,
    What,
    sealed,
)
from jumar.release.registry.files import Files, files_at
from jumar.release.registry.trail import OPENING_FILE, Known, Trail, in_force, overtaken
from jumar.release.registry.versions import Versions
from jumar.version import VERSION

if TYPE_CHECKING:
    from jumar.release.challenger import Gates

GATES = "gates"
Url = str | os.PathLike[str]
Clock = Callable[[], datetime.datetime]


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Registry:
    """A registry of policies.

    One object may serve many threads. Reading needs no lock and no clock; of several writers, in whatever process or on
    whatever machine, one wins and the others are told.

    Args:
        url: its folder, or any address that fsspec reads, such as ``s3://bucket/registry``.
        gates: the folder of gates whose ledger counts, too; by default ``gates`` in the registry's own folder.
        who: who is named in the records; by default the user of the machine.
        now: the clock, in UTC.

    Raises:
        ReleaseError: there is no registry, or it cannot be reached.
    """

    def __init__(self, url: Url, *, gates: Url | None = None, who: str | None = None, now: Clock = _now) -> None:
        self._files = files_at(url)
        self._trail, self._versions = Trail(self._files), Versions(self._files)
        self._who, self._now = who, now
        own = None if self._files.folder is None else self._files.folder / GATES
        self._gates = own if gates is None else Path(gates)

    @classmethod
    def create(
        cls,
        url: Url,
        *,
        single_writer: bool = False,
        gates: Url | None = None,
        who: str | None = None,
        now: Clock = _now,
    ) -> Registry:
        """Begin a registry where there is none.

        Args:
            url, gates, who, now: see the class.
            single_writer: your word that never two processes write to it at once. Only asked for where the file system
                cannot create a file exclusively; it is recorded.

        Raises:
            ReleaseError: there is one, other things are there, or the file system cannot keep two writers apart.
        """
        files = files_at(url)
        taken = [name for name in files.names("") if name != GATES]
        if taken:
            holds = "a registry already" if OPENING_FILE in taken else f"other things, for example '{taken[0]}'"
            raise ReleaseError(f"'{files.place}' holds {holds}", remedy="Use it as it is, or name an empty place.")
        if not single_writer and not files.keeps_writers_apart():
            raise _not_exclusive(files)
        opening = Opening(
            format=FORMAT,
            created_at=utc(now()),
            created_by=who or user_name(),
            single_writer=single_writer,
            jumar_version=VERSION,
        )
        if not files.create(OPENING_FILE, sealed(opening)):
            raise ReleaseError(f"'{files.place}' was made a registry meanwhile", remedy="Use it as it is.")
        return cls(url, gates=gates, who=who, now=now)

    @property
    def url(self) -> str:
        """Where it is."""
        return self._files.place

    @property
    def gates(self) -> Gates | None:
        """The folder of gates, None where the registry has none."""
        from jumar.release.challenger import Gates  # with all that judging takes

        return None if self._gates is None else Gates(self._gates)

    # reading

    def state(self) -> RegistryRecord:
        """The last record: how all stands. Cheap enough to be asked every second.

        Raises:
            ReleaseError: a record is damaged, or the registry cannot be reached.
        """
        return self._trail.last().record

    def history(self) -> list[RegistryRecord]:
        """All records from the first on, every hash checked.

        Raises:
            ReleaseError: as for ``state``.
        """
        return [known.record for known in self._trail.all()[1:]]

    def version(self, version_or_alias: str) -> Version:
        """One version with its certificate.

        Raises:
            ReleaseError: there is none of that name, or a file was changed.
        """
        return self._versions.version(self.resolve(version_or_alias))

    def versions(self) -> list[Version]:
        """All versions, the one that was registered first first.

        Raises:
            ReleaseError: a file was changed.
        """
        return sorted(self._versions.all(), key=lambda one: (one.registered_at, one.version))

    def policy(self, version_or_alias: str) -> Policy:
        """The policy of a version, every file of it checked.

        Raises:
            ReleaseError: there is none of that name, or a file is missing or was changed.
        """
        return self._versions.policy(self.resolve(version_or_alias))

    def files(self, version_or_alias: str) -> dict[str, bytes]:
        """All files of a version by name, checked.

        Raises:
            ReleaseError: as for ``policy``.
        """
        return self._versions.files(self.resolve(version_or_alias))

    def resolve(self, version_or_alias: str) -> str:
        """The version that an alias stands for; any other word is the name of a version.

        Raises:
            ReleaseError: the alias stands for none.
        """
        if version_or_alias not in ALIASES:
            return version_or_alias
        version = getattr(self.state().aliases, version_or_alias)
        if version is None:
            raise ReleaseError(
                f"Nothing is '{version_or_alias}' in '{self.url}' now", remedy="See 'jumar show' for what is."
            )
        return version

    # writing

    def register(self, folder: Url, *, why: str = "") -> Version:
        """Store a policy with what certifies it; it serves nobody yet. Doing it again changes nothing.

        Args:
            folder: the result of ``jumar improve``, a challenger's folder of a ledger of gates, or a policy folder.
            why: for those who will ask.

        Raises:
            PolicyError: there is no policy in it, or it is damaged.
            ReleaseError: certificate and policy do not belong together, or it cannot be stored.
        """
        self._check_writable()
        return self._versions.register(folder, why.strip(), utc(self._now()), self._name())

    def promote(
        self, version: str, *, why: str, share: float = 1.0, forced: bool = False, expect: int | None = None
    ) -> RegistryRecord:
        """Let a version decide: for all units, or as a canary for a share of them. Promoting the challenger widens it.

        Args:
            version: its name or alias.
            why: for those who will ask.
            share: of units that it serves, above 0; 1 makes it production and production previous.
            forced: promote it even if nothing certifies it. That stays in the records for ever, with ``why``.
            expect: number of the record that this is decided on; if there are later ones, nothing is changed.

        Raises:
            UncertifiedError: nothing certifies it.
            OvertakenError: somebody else changed the registry meanwhile, or since ``expect``.
            ReleaseError: it is in production, another canary is in progress, or there is no such version.
            OptionError: no reason, or a share that is none.
        """
        trail = self._begun(why, expect)
        name, state = self.resolve(version), trail[-1].record
        _check_share(share)
        if name == state.aliases.production:
            raise ReleaseError(f"'{name}' is in production already", remedy="Nothing was changed.")
        if name == state.aliases.challenger:
            return self._widened(trail, share, why)
        if state.aliases.challenger is not None:
            raise ReleaseError(
                f"A canary of '{state.aliases.challenger}' is in progress",
                remedy="Promote it, or end it first with 'jumar abandon'.",
            )
        if share < 1 and state.aliases.production is None:
            raise ReleaseError(
                "There is no production that could serve the other units", remedy="Promote the first version to all."
            )
        evidence = self._evidence(self._versions.version(name), forced)
        if share < 1:
            aliases = Aliases(production=state.aliases.production, challenger=name, previous=state.aliases.previous)
            return self._append(trail, "canary", why, name, aliases, share, evidence)
        aliases = Aliases(production=name, previous=state.aliases.production)
        return self._append(trail, "promote", why, name, aliases, 0.0, evidence)

    def widen(self, share: float, *, why: str, expect: int | None = None) -> RegistryRecord:
        """Let the challenger serve a larger share of units; 1 makes it production.

        Raises:
            OvertakenError: somebody else changed the registry meanwhile, or since ``expect``.
            ReleaseError: there is no canary, or it is that wide already.
            OptionError: no reason, or a share that is none.
        """
        trail = self._begun(why, expect)
        _check_share(share)
        _challenger(trail)
        return self._widened(trail, share, why)

    def abandon(self, *, why: str, expect: int | None = None) -> RegistryRecord:
        """End the canary; production stays.

        Raises:
            OvertakenError: somebody else changed the registry meanwhile, or since ``expect``.
            ReleaseError: there is none.
            OptionError: no reason is given.
        """
        trail = self._begun(why, expect)
        name, state = _challenger(trail), trail[-1].record
        aliases = Aliases(production=state.aliases.production, previous=state.aliases.previous)
        return self._append(trail, "abandon", why, name, aliases, 0.0, _carried(state))

    def rollback(self, *, why: str, expect: int | None = None) -> RegistryRecord:
        """Return to the previous version, and end a canary if there is one.

        What was in production is left behind for good: rolling back again goes one further back.

        Raises:
            OvertakenError: somebody else changed the registry meanwhile, or since ``expect``.
            ReleaseError: there is no previous version.
            OptionError: no reason is given.
        """
        trail = self._begun(why, expect)
        stack = in_force([known.record for known in trail])
        if len(stack) < 2:
            canary = trail[-1].record.aliases.challenger is not None
            raise ReleaseError(
                "There is no previous version to return to",
                remedy="To end the canary, use 'jumar abandon'." if canary else "Promote another version instead.",
            )
        back = stack[-2]
        self._versions.policy(str(back.version))  # it must be whole before anybody relies on it
        aliases = Aliases(production=back.version, previous=stack[-3].version if len(stack) > 2 else None)
        return self._append(trail, "rollback", why, str(back.version), aliases, 0.0, _carried(back))

    def _begun(self, why: str, expect: int | None) -> list[Known]:
        """The whole trail, checked, for a writer who has a reason and sees what it expects."""
        if not why.strip():
            raise OptionError("A change takes a reason", remedy='Say for example --why "certified at 99.9%".')
        self._check_writable()
        trail = self._trail.all()
        if expect is not None and trail[-1].record.number != expect:
            raise overtaken(trail[-1].record, expect)
        return trail

    def _widened(self, trail: list[Known], share: float, why: str) -> RegistryRecord:
        state = trail[-1].record
        name = _challenger(trail)
        if share <= state.share:
            raise ReleaseError(
                f"'{name}' serves {state.share:.6g} of the units already",
                example=share,
                remedy="Name a larger share, or end the canary with 'jumar abandon'.",
            )
        self._versions.policy(name)
        if share < 1:
            return self._append(trail, "widen", why, name, state.aliases, share, _carried(state))
        aliases = Aliases(production=name, previous=state.aliases.production)
        return self._append(trail, "promote", why, name, aliases, 0.0, _carried(state))

    def _evidence(self, version: Version, forced: bool) -> dict[str, Any]:
        """What a version may be promoted on: a passed challenger, its certificate, or somebody's word.

        Raises:
            UncertifiedError: none of the three.
            ReleaseError: one of its files was changed.
        """
        self._versions.policy(version.version)
        gates = self.gates
        row = None if gates is None else gates.passed(version.policy_sha256, version.card_sha256)
        found = version.certificate
        certified = found is not None and found.verdict == "certified"
        if row is None and not certified and not forced:
            held = "has no certificate" if found is None else f"has a certificate that says '{found.verdict}'"
            raise UncertifiedError(
                f"Version '{version.version}' {held}, and no challenger with this policy has passed",
                remedy="Register the result folder of a certified run, let it pass as a challenger (jumar gate), or "
                "promote it with --force and a reason that stays in the records for ever.",
            )
        alpha = None
        if row is not None:
            alpha = row.alpha
        elif found is not None and certified:
            alpha = round(1.0 - found.confidence, 15)
        return {
            "forced": alpha is None,
            "certificate_sha256": version.certificate_sha256 if certified else "",
            "attempt": "" if row is None else row.name,
            "alpha": alpha,
        }

    def _append(
        self,
        trail: list[Known],
        what: What,
        why: str,
        version: str,
        aliases: Aliases,
        share: float,
        evidence: dict[str, Any],
    ) -> RegistryRecord:
        at = utc(self._now())
        fields = {"what": what, "why": why.strip(), "version": version, "aliases": aliases, "share": share} | evidence
        state = trail[-1].record
        begun = f"{version}:{state.number + 1}"
        fields["salt"] = "" if aliases.challenger is None else begun if what == "canary" else state.salt
        return self._trail.append(trail[-1], at=at, who=self._name(), **fields)

    def _check_writable(self) -> None:
        if not self._files.exclusive and not self._trail.opening.single_writer:
            raise _not_exclusive(self._files)

    def _name(self) -> str:
        return self._who or user_name()


def _challenger(trail: list[Known]) -> str:
    name = trail[-1].record.aliases.challenger
    if name is None:
        raise ReleaseError("No canary is in progress", remedy="Begin one with 'jumar promote VERSION --share 0.01'.")
    return name


def _carried(record: RegistryRecord) -> dict[str, Any]:
    """What the version of a record was let in on."""
    names = ("forced", "certificate_sha256", "attempt", "alpha")
    return {name: getattr(record, name) for name in names}


def _check_share(share: float) -> None:
    if not (math.isfinite(share) and 0 < share <= 1):
        raise OptionError("A share of units lies above 0, and is 1 at most", example=share, remedy="Say --share 0.01.")


def _not_exclusive(files: Files) -> ReleaseError:
    return ReleaseError(
        f"'{files.place}' lies where of two writers both could think that they were first",
        remedy="Use a folder, S3, Google Cloud Storage or Azure; or give your word with --single-writer, when the "
        "registry is created, that never two write at once.",
    )
