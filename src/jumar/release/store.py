"""The files of a folder of gates: read with their hashes checked, written so that one replacement decides everything.

In: a folder. Out: documents. ``challenger`` imports this module, and the board reads through it.

The order of writes. Of all files only ``ledger.json`` changes, and it is replaced as a whole; everything else is
written before that, under a name that the ledger does not know yet, and found through a hash that stands in the ledger.
So the replacement of the ledger is the moment at which an attempt is opened, rows are counted and a verdict is given,
all at once. What a killed process leaves behind is in no ledger: the next writer sweeps it away or writes over it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from jumar.files import replacing, replacing_folder, unwritable
from jumar.logs.options import nearest
from jumar.policy import Policy, load_policy
from jumar.policy.artifact import CARD_FILE, MODEL_FILE
from jumar.release import ledger as books
from jumar.release.documents import FORMAT, Attempt, Ledger, Manifest, ReleaseError, State, decoded, encoded, sha256

MANIFEST_FILE, POLICY_FOLDER = "manifest.json", "policy"
# What this module may have made itself: a file or folder of a challenger, and what ``files`` writes on the way to one.
_OWN = re.compile(r"manifest\.json|policy|state-\d{6}\.json")
_HALF_FILE = re.compile(r"\.(ledger\.json|state-\d{6}\.json)-[a-z0-9_]{8}")
_HALF_FOLDER = re.compile(r"\.[A-Za-z0-9_-]+-[a-z0-9_]{8}")


class Store:
    """One folder of gates.

    Args:
        folder: where.
        wait_s: how long to wait for another process that writes.
    """

    def __init__(self, folder: str | os.PathLike[str], wait_s: float) -> None:
        self.folder, self.wait_s = Path(folder), wait_s

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock, in a folder without anything half-written.

        Raises:
            ReleaseError: another process writes.
            OutputError: the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.folder, error) from error
        with books.locked(self.folder, self.wait_s):
            self._sweep(self.folder)
            yield

    def known_ledger(self) -> Ledger | None:
        """The ledger, None where nothing was ever opened.

        Raises:
            ReleaseError: it was changed.
        """
        found = books.read_ledger(self.folder)
        looked = None if found else next(self.folder.glob("*/state-*.json"), None)
        if looked is not None:
            raise ReleaseError(
                f"'{self.folder}' has no ledger, but challengers that were judged lie in it",
                example=looked.parent.name,
                remedy="Restore ledger.json from a copy, or begin another folder: a new one forgets what was spent.",
            )
        return found

    def ledger(self) -> Ledger:
        """The ledger.

        Raises:
            ReleaseError: there is none, or it was changed.
        """
        found = self.known_ledger()
        if found is None:
            raise ReleaseError(
                f"There is no ledger in '{self.folder}'",
                remedy="Open a challenger first with 'jumar gate open', or name another folder with --gates.",
            )
        return found

    def attempt(self, name: str) -> Attempt:
        """The challenger's row.

        Raises:
            ReleaseError: there is none of that name.
        """
        rows = {row.name: row for row in self.ledger().rows}
        if name not in rows:
            near = nearest(name, rows)
            raise ReleaseError(
                f"There is no challenger '{name}' in '{self.folder}'",
                remedy=f"Did you mean '{near}'?" if near else f"There are: {', '.join(rows)}.",
            )
        return rows[name]

    def open_attempt(self, name: str) -> Attempt:
        """The row of a challenger that is still open.

        Raises:
            ReleaseError: there is none, or it is decided.
        """
        attempt = self.attempt(name)
        if attempt.outcome != "open":
            verb = "it passed" if attempt.outcome == "passed" else f"it was {attempt.outcome}"
            decided = attempt.decided_at or attempt.opened_at
            raise ReleaseError(
                f"'{name}' is not open any more: {verb} on {books.moment(decided.replace(microsecond=0))}",
                remedy="Nothing can be added to it; a new attempt needs a new challenger.",
            )
        return attempt

    def manifest(self, attempt: Attempt) -> Manifest:
        """What was frozen.

        Raises:
            ReleaseError: the file was changed.
        """
        path = self.folder / attempt.name / MANIFEST_FILE
        return decoded(_whole(path, attempt.manifest_sha256, attempt.name), Manifest, str(path))

    def policy(self, manifest: Manifest) -> Policy:
        """The policy that was frozen.

        Raises:
            ReleaseError: a file was changed.
        """
        place = self.folder / manifest.name / POLICY_FOLDER
        for file, digest in ((MODEL_FILE, manifest.policy_sha256), (CARD_FILE, manifest.card_sha256)):
            _whole(place / file, digest, manifest.name)
        return load_policy(place)

    def state(self, attempt: Attempt) -> State:
        """What has been seen; empty before the first look.

        Raises:
            ReleaseError: the file was changed.
        """
        if not attempt.looks:
            return State(format=FORMAT, manifest_sha256=attempt.manifest_sha256, looks=[], gate={})
        path = self.folder / attempt.name / state_name(attempt.looks)
        return decoded(_whole(path, attempt.state_sha256, attempt.name), State, str(path))

    def write_challenger(self, manifest: Manifest, source: Path | None, policy: Policy) -> Manifest:
        """Policy and manifest in a folder of their own, which counts for nothing until the ledger names it.

        Args:
            manifest: still without the hash of the card.
            source: the policy's folder, whose bytes are copied; None to write the policy.
            policy: what is in it.

        Raises:
            ReleaseError: something that is no challenger lies in that place.
        """
        place = self.folder / manifest.name
        if place.exists():  # left by a process that was killed, or somebody's own
            self._clear(place)
        with replacing_folder(place) as temporary:
            to = temporary / POLICY_FOLDER
            if source is None:
                policy.save(to)
            else:
                to.mkdir()
                for name in (MODEL_FILE, CARD_FILE):
                    shutil.copyfile(source / name, to / name)
            manifest = msgspec.structs.replace(manifest, card_sha256=sha256((to / CARD_FILE).read_bytes()))
            (temporary / MANIFEST_FILE).write_bytes(encoded(manifest))
        return manifest

    def write_look(self, attempt: Attempt, state: State) -> Attempt:
        """The state under a new name, then the ledger that knows its hash; then the state before it goes.

        Args:
            attempt: the row as it will stand, but for the hash.
            state: after the look.
        """
        place = self.folder / attempt.name
        self._sweep(place)
        data = encoded(state)
        with replacing(place / state_name(attempt.looks)) as temporary:
            temporary.write_bytes(data)
        row = msgspec.structs.replace(attempt, state_sha256=sha256(data))
        self.write_row(row, self.ledger())
        for file in place.glob("state-*.json"):
            if file.name != state_name(attempt.looks):
                file.unlink(missing_ok=True)
        return row

    def write_row(self, row: Attempt, ledger: Ledger) -> None:
        """The one step that decides: the ledger with this row."""
        books.write_ledger(self.folder, books.with_row(ledger, row))

    def _clear(self, place: Path) -> None:
        if others := _others(place) if place.is_dir() else [place.name]:
            raise ReleaseError(
                f"'{place}' is in the way, and no challenger made it",
                example=others[0],
                remedy="Move it away, or choose another --name.",
            )
        shutil.rmtree(place)

    def _sweep(self, place: Path) -> None:
        """Remove what a killed process was about to put in place; the lock says that no living one is."""
        for entry in place.iterdir():
            if _HALF_FILE.fullmatch(entry.name):
                entry.unlink(missing_ok=True)
            elif _HALF_FOLDER.fullmatch(entry.name) and entry.is_dir() and not _others(entry):
                shutil.rmtree(entry, ignore_errors=True)


def _others(place: Path) -> list[str]:
    """What lies in a folder and is not of a challenger's making."""
    return sorted(one.name for one in place.iterdir() if not _OWN.fullmatch(one.name))


def policy_folder(path: str | os.PathLike[str]) -> Path:
    """The folder that holds the policy: the given one, or its folder "policy"."""
    place = Path(path)
    return place if (place / CARD_FILE).exists() else place / POLICY_FOLDER


def state_name(look: int) -> str:
    """File of the state after a look."""
    return f"state-{look:06d}.json"


def _whole(path: Path, digest: str, name: str) -> bytes:
    """The bytes of a file that must not have changed.

    Raises:
        ReleaseError: it is missing, or its hash differs from the one that was recorded.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReleaseError(
            f"'{path}' of challenger '{name}' is missing or cannot be read", remedy="Restore it from a copy."
        ) from error
    if sha256(data) != digest:
        raise ReleaseError(
            f"'{path}' has changed since it was recorded: its hash differs",
            remedy=f"Restore it from a copy, or give '{name}' up with 'jumar gate close'.",
        )
    return data
