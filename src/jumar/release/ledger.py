"""The ledger of a year: who may open an attempt, what it costs, and the one file whose replacement decides everything.

In: a folder of gates. Out: ``Ledger`` values, read whole and written whole, and the lock that writers hold. Only
``challenger`` and the loop import this module.

Each attempt is a test at α/J, where α = 1 − confidence and J is the number of attempts that may be opened within 365
days. By the union bound, some attempt of any such period releases a worse policy with probability at most α, however
their rows overlap and whatever made people open them.
"""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from jumar.errors import OptionError
from jumar.evaluate.estimators.estimator import MOST_CONFIDENCE
from jumar.files import replacing, unwritable
from jumar.release.documents import FORMAT, YEAR, Attempt, BusyError, Ledger, ReleaseError, decoded, encoded, sha256

LEDGER_FILE, LOCK_FILE = "ledger.json", ".lock"
MOST_ATTEMPTS = 366
PAUSE_S = 0.05


def share_of(confidence: float, attempts: int) -> float:
    """α_j = (1 − confidence)/attempts: the error probability of one attempt."""
    return round(1.0 - confidence, 15) / attempts


def checked_budget(confidence: float, attempts: int) -> None:
    """Refuses a budget that is none.

    Raises:
        OptionError: confidence or attempts outside their range.
    """
    if not 0.5 <= confidence <= MOST_CONFIDENCE:
        raise OptionError(
            "The confidence must be at least 0.5, and below 1 by at least a billionth",
            example=confidence,
            remedy="Try --confidence 0.999.",
        )
    if not 1 <= attempts <= MOST_ATTEMPTS:
        raise OptionError(
            f"A ledger plans 1 to {MOST_ATTEMPTS} attempts a year",
            example=attempts,
            remedy="One a week is --attempts 52.",
        )


def admit(ledger: Ledger, confidence: float, attempts: int, now: datetime.datetime) -> None:
    """Refuses an attempt that the budget does not cover.

    Raises:
        ReleaseError: another budget was stated before, or all attempts of the last 365 days are spent.
    """
    if (ledger.confidence, ledger.attempts) != (confidence, attempts):
        raise ReleaseError(
            f"This ledger divides {1 - ledger.confidence:.6g} of error into {ledger.attempts} attempts a year, and all "
            "its challengers share that budget",
            example=f"--confidence {confidence:.10g} --attempts {attempts}",
            remedy=f"Say --confidence {ledger.confidence:.10g} --attempts {ledger.attempts}, or nothing.",
        )
    taken = spent(ledger, now)
    if len(taken) >= attempts:
        free = taken[-attempts] + YEAR
        raise ReleaseError(
            f"All {attempts} attempts of the last 365 days are spent, and with them the whole {1 - confidence:.6g}",
            remedy=f"Wait until {moment(free)}, when the oldest is a year old. Looking at challengers that are open "
            "is free.",
        )


def spent(ledger: Ledger, now: datetime.datetime) -> list[datetime.datetime]:
    """When the attempts of the last 365 days were opened, the oldest first."""
    return sorted(row.opened_at for row in ledger.rows if row.opened_at > now - YEAR)


def read_ledger(folder: Path) -> Ledger | None:
    """The ledger of a folder, None where there is none yet.

    Raises:
        ReleaseError: it was changed by something other than this program.
    """
    path = folder / LEDGER_FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ReleaseError(
            f"'{path}' cannot be read ({error.strerror or error})", remedy="Name the folder of gates with --gates."
        ) from error
    sealed = decoded(data, Ledger, str(path))
    ledger = msgspec.structs.replace(sealed, ledger_sha256="")
    if _sealed(ledger) != sealed:
        raise ReleaseError(
            f"'{path}' was changed by hand", remedy="Restore it from a copy; nothing is released from it."
        )
    return ledger


def write_ledger(folder: Path, ledger: Ledger) -> None:
    """Replace the ledger: after this one step the attempt stands as the new rows say."""
    with replacing(folder / LEDGER_FILE) as temporary:
        temporary.write_bytes(encoded(_sealed(ledger)))


def with_row(ledger: Ledger, row: Attempt) -> Ledger:
    """The ledger with the row of that name replaced, or added at the end."""
    rows = [row if one.name == row.name else one for one in ledger.rows]
    if all(one.name != row.name for one in ledger.rows):
        rows.append(row)
    return msgspec.structs.replace(ledger, rows=rows)


def free_name(wanted: str, ledger: Ledger) -> str:
    """The name, or the name with the first number that nobody has."""
    taken = {row.name for row in ledger.rows}
    numbered = (wanted if n == 1 else f"{wanted}-{n}" for n in range(1, len(taken) + 2))
    return next(name for name in numbered if name not in taken)


def empty_ledger(confidence: float, attempts: int) -> Ledger:
    """A budget that nobody has drawn on."""
    return Ledger(format=FORMAT, confidence=confidence, attempts=attempts, rows=[])


@contextmanager
def locked(folder: Path, wait_s: float) -> Iterator[None]:
    """Hold the folder's lock; the system lets go of it even where the process is killed.

    Raises:
        ReleaseError: another process holds it for longer than ``wait_s`` seconds.
    """
    import fcntl  # not on every system; reading a ledger needs no lock

    try:
        handle = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise unwritable(folder / LOCK_FILE, error) from error
    try:
        end = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise BusyError(
                        f"Another process is writing to '{folder}'", remedy="Nothing was changed; run it again."
                    ) from None
                time.sleep(PAUSE_S)
        yield
    finally:
        os.close(handle)


def moment(when: datetime.datetime) -> str:
    """A moment in words: UTC, with the part of a second only where it has one."""
    utc = when.astimezone(datetime.UTC) if when.tzinfo else when.replace(tzinfo=datetime.UTC)
    text = utc.isoformat(sep=" ", timespec="microseconds" if utc.microsecond else "seconds")
    return text.replace("+00:00", " UTC")


def _sealed(ledger: Ledger) -> Ledger:
    """The ledger with its own hash, so that an edited row is noticed."""
    return msgspec.structs.replace(ledger, ledger_sha256=sha256(encoded(ledger)))
