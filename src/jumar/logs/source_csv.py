"""CSV files as a source: the dialect is told from the header, types from every row.

In: paths. Out: the engine's table and its name. Imported by ``jumar.logs.source`` only.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from jumar.errors import LogError


def quoted(text: str) -> str:
    """Text as a literal of the engine."""
    return "'" + text.replace("'", "''") + "'"


def file_list(files: Sequence[str]) -> str:
    """Paths as a literal list, with the patterns that the engine would expand in them taken literally."""
    return "[" + ", ".join(quoted(re.sub(r"([\[*?])", r"[\1]", file)) for file in files) + "]"


def csv_select(con: Any, text: str, files: Sequence[str], csv_types: Mapping[str, str]) -> str:
    """The query that reads the files, every column with the one type that fits all its values.

    Args:
        con: the engine's connection.
        text: what the user calls the files.
        files: paths; columns are matched by name between them.
        csv_types: engine types for columns that must not be guessed.

    Raises:
        LogError: a compressed file was cut short, or there are no columns.
        duckdb.Error: the files are no table.
    """
    header = _header(files[0])
    dialect = f"header = true, delim = {quoted(_delimiter(header))}, quote = '\"', escape = '\"'"
    for file in files:
        _whole(file)
    reader = f"SELECT * FROM read_csv({file_list(files)}, {dialect}"
    if len(files) > 1:
        reader += ", union_by_name = true"
    try:
        # Types are guessed once, from every row: a guess from the first rows fails in the middle of the file.
        found = con.execute(f"DESCRIBE {reader}, sample_size = -1)").fetchall()
    except duckdb.InvalidInputException:
        _find_bad_line(con, files, dialect)
        raise
    if not found:
        raise LogError(f"'{text}' has no columns", remedy="A CSV log starts with a line of column names.")
    if con.execute(f"SELECT 1 FROM ({reader})) LIMIT 1").fetchone() is None:
        raise LogError(f"'{text}' has no rows", remedy="Point at a log that holds decisions.")
    types = {name: csv_types.get(name, kind) for name, kind, *_ in found}
    pairs = ", ".join(f"{quoted(name)}: {quoted(kind)}" for name, kind in types.items())
    return f"{reader}, types = {{{pairs}}})"


def _open(file: str) -> Any:
    return gzip.open(file, "rb") if file.lower().endswith(".gz") else open(file, "rb")


def _header(file: str) -> str:
    with _open(file) as handle:
        return handle.readline(1 << 20).decode("utf-8", "replace")


def _delimiter(header: str) -> str:
    bare = re.sub(r'"[^"]*"', "", header)
    return max(",;\t|", key=bare.count)


def _whole(file: str) -> None:
    """Reads a compressed file to its checksum: the engine takes the rest of a broken one for all of it."""
    if not file.lower().endswith(".gz"):
        return
    try:
        with gzip.open(file, "rb") as handle:
            while handle.read(1 << 22):
                pass
    except (EOFError, OSError) as error:
        raise LogError(f"'{file}' is damaged or was cut short", remedy="Copy or compress it again.") from error


def _find_bad_line(con: Any, files: Sequence[str], dialect: str) -> None:
    """Reads everything as text, so that the engine's error names the line that does not fit."""
    for file in files:
        width = len(re.findall(re.escape(_delimiter(_header(file))), re.sub(r'"[^"]*"', "", _header(file)))) + 1
        columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(width))
        options = f"{dialect}, auto_detect = false, columns = {{{columns}}}"
        # Every column is asked for: a count alone would skip over the values.
        con.execute(f"SELECT max(COLUMNS(*)) FROM read_csv({file_list([file])}, {options})").fetchall()
