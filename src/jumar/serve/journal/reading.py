"""What a log holds of some days: sealed files, and segments that are still open as far as they are whole.

In: a folder, a stream, days. Out: Parquet files, for as long as somebody reads them. ``jumar.serve.join`` uses it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from jumar.serve.journal.frames import scan
from jumar.serve.journal.recovery import checked_span, damaged, gaps_of
from jumar.serve.journal.sealing import day_folder, seal
from jumar.serve.journal.segment import OPEN, SegmentName, parsed
from jumar.serve.journal.sink import MOMENT, SEQUENCE, WRITER, JournalError, Stream

_NEEDED = {"decision_id": pa.string(), "time": MOMENT, WRITER: pa.string(), SEQUENCE: pa.int64()}


@dataclass(frozen=True)
class LogFiles:
    """Files of one stream.

    Attributes:
        by_day: files of each day since 1970, sorted.
        open_segments: how many segments were read before they were sealed.
        gaps: sequence numbers missing between these files, by writer.
    """

    by_day: dict[int, list[Path]]
    open_segments: int
    gaps: dict[str, int]

    def of(self, days: Sequence[int]) -> list[Path]:
        """Files of some of the days."""
        return [file for day in days for file in self.by_day.get(day, ())]


@contextmanager
def log_files(folder: Path, stream: Stream, days: Sequence[int]) -> Iterator[LogFiles]:
    """Every row of the days that is durable now, each once.

    Raises:
        JournalError: a sealed file cannot be read, or holds a segment that another file holds, too.
    """
    with tempfile.TemporaryDirectory(prefix="jumar-open-") as place:
        snapshot = Path(place)
        names = {name for path in _open_files(folder) if (name := parsed(path.name)) and name.stream == stream}
        taken = {name for name in names if _take(folder, snapshot, name)}
        sealed = {day: sorted(day_folder(folder, stream, day).glob("*.parquet")) for day in days}
        for name in list(taken):
            if not any(file.name == name.sealed_file for files in sealed.values() for file in files):
                continue
            # It is being sealed, or was since. While it lies in both places, what is open is complete; then it is gone.
            if (folder / OPEN / name.open_file).exists() and _take(folder, snapshot, name):
                sealed = {day: [f for f in files if f.name != name.sealed_file] for day, files in sealed.items()}
            else:
                taken.remove(name)
                sealed = {day: sorted(day_folder(folder, stream, day).glob("*.parquet")) for day in days}
        still_open = {name.sealed_file for name in taken}
        by_day = {
            day: [
                *(file for file in files if file.name not in still_open),
                *(
                    file
                    for file in sorted(day_folder(snapshot, stream, day).glob("*.parquet"))
                    if file.name in still_open
                ),
            ]
            for day, files in sealed.items()
        }
        _refuse_strangers(file for files in by_day.values() for file in files)
        _refuse_twins(by_day)
        gaps = gaps_of(folder, stream, (file for files in by_day.values() for file in files))
        yield LogFiles({day: files for day, files in by_day.items() if files}, len(still_open), gaps)


def _open_files(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / OPEN).iterdir() if path.is_file()) if (folder / OPEN).is_dir() else []


def _take(folder: Path, snapshot: Path, name: SegmentName) -> bool:
    """Seal an open segment, as far as it goes, into a folder of our own; False if it is not open any more."""
    try:
        data = (folder / OPEN / name.open_file).read_bytes()
    except FileNotFoundError:
        return False
    seal(snapshot, name, scan(data).batches)
    return True


def _refuse_strangers(files: Iterable[Path]) -> None:
    """Files that no journal could have written: they would be taken for rows that say nothing."""
    for file in files:
        if not file.is_file():
            raise JournalError(f"'{file}' is no file", remedy="Move it out of the log.")
        try:
            schema = pq.read_schema(file)
        except (pa.ArrowException, OSError) as error:
            raise damaged(file) from error
        for name, kind in _NEEDED.items():
            if name not in schema.names or schema.field(name).type != kind:
                raise JournalError(
                    f"'{file}' is no file of a decision log: it needs a column of type {kind}",
                    column=name,
                    remedy="Move it out of the log.",
                )


def _refuse_twins(by_day: dict[int, list[Path]]) -> None:
    for files in by_day.values():
        seen: dict[tuple[str, int], Path] = {}
        for file in files:
            if (span := checked_span(file)) is None:
                continue
            if (twin := seen.setdefault((span.writer, span.segment), file)) != file:
                raise JournalError(
                    f"'{twin.name}' and '{file.name}' hold the same segment, so its rows would count twice",
                    remedy=f"Move one of them out of '{file.parent}'.",
                )
