"""Where the loop keeps its days.

In: the folder of a loop. Out: ``Folders``: paths, days as documents, days that may be learned from. This floor and
the board import it.
"""

from __future__ import annotations

import datetime
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import pyarrow.parquet as pq

from jumar.files import replacing, replacing_folder, unwritable
from jumar.loop.documents import FORMAT, Day
from jumar.release.documents import ReleaseError
from jumar.release.ledger import locked
from jumar.serve.join import LOG

LOOP, DAY_FILE, COUNTED, LEARNED = "loop", "day.json", "counted.parquet", "learned"
SCREENING = "screening.json"  # in LEARNED: what was a certificate, under a name that lets nothing into a registry
CANARY, WATCH = "canary.arrow", "watch.json"
WAIT_S = 5.0
Document = TypeVar("Document", bound=msgspec.Struct)


class Folders:
    """The folder of a loop.

    Args:
        folder: made if it is not there.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.root = Path(folder)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep other loops out.

        Raises:
            ReleaseError: one is at work.
            OutputError: the folder cannot be made.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.root, error) from error
        with locked(self.root, WAIT_S):
            yield

    def sweep(self, date: datetime.date) -> None:
        """Remove what a process that died in the middle of a write left beside its place."""
        for folder, pattern in ((self.root, ".*-*"), (self.joins, f".{_named(date)}-*"), (self.of(date), ".*-*")):
            for path in folder.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def of(self, date: datetime.date) -> Path:
        """The folder of one day."""
        return self.root / "days" / _named(date)

    @property
    def joins(self) -> Path:
        """The folder of joined logs."""
        return self.root / "joined"

    def joined(self, date: datetime.date) -> Path:
        """All decisions of a day with their rewards."""
        return self.joins / _named(date) / LOG

    def counted(self, date: datetime.date) -> Path:
        """Those of them that the production of that day made, fallbacks left out."""
        return self.of(date) / COUNTED

    def dates(self) -> list[datetime.date]:
        """Days that were begun, the earliest first."""
        names = (path.parent.name.removeprefix("date=") for path in self.root.glob(f"days/date=*/{DAY_FILE}"))
        return sorted(datetime.date.fromisoformat(name) for name in names)

    def read(self, date: datetime.date) -> Day | None:
        """What is known of a day, None where it was not begun.

        Raises:
            ReleaseError: its file is damaged, or of another version.
        """
        path = self.of(date) / DAY_FILE
        day = read_document(path, Day)
        if day is not None and day.format != FORMAT:
            raise ReleaseError(f"'{path}' has format {day.format}, not {FORMAT}", remedy="Use the version it names.")
        return day

    def write(self, day: Day) -> None:
        """Replace what is known of a day: after this one step its last step is done."""
        self.of(day.date).mkdir(parents=True, exist_ok=True)
        keep(self.of(day.date) / DAY_FILE, in_lines(day))

    def days(self) -> list[Day]:
        """All days that were begun, the earliest first."""
        return [day for date in self.dates() if (day := self.read(date)) is not None]

    def window(self, days: list[datetime.date], target: Path) -> Path:
        """A folder with the counted decisions of some days, none of them copied where links can do."""
        with replacing_folder(target) as place:
            for date in days:
                source, link = self.counted(date).resolve(), place / f"{date.isoformat()}.parquet"
                try:
                    os.link(source, link)
                except OSError:
                    link.write_bytes(source.read_bytes())
        return target

    def rows(self, date: datetime.date) -> int:
        """Counted decisions of a day."""
        path = self.counted(date)
        return pq.ParquetFile(path).metadata.num_rows if path.exists() else 0


def read_document(path: Path, kind: type[Document]) -> Document | None:
    """A document in JSON, None where there is none.

    Raises:
        ReleaseError: it is damaged.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReleaseError(f"'{path}' cannot be read ({error})", remedy="Restore it from a copy.") from error


def keep(path: Path, data: bytes) -> None:
    """Replace a file."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def in_lines(document: object) -> bytes:
    """A document as JSON that a person can read."""
    return msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=2) + b"\n"


def _named(date: datetime.date) -> str:
    return f"date={date.isoformat()}"
