"""Whatever the user points at, as one Ibis table that can be asked and streamed.

In: a path, glob, folder, DuckDB table, data frame, Arrow table or Ibis table. Out: a ``Source``.
Every error of the engine leaves here as a ``LogError``. Imported inside ``jumar.logs`` only.
"""

from __future__ import annotations

import glob
import json
import os
import re
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from jumar.errors import LogError, OptionError
from jumar.logs.source_csv import csv_select, file_list, quoted
from jumar.logs.source_errors import ENGINE_ERRORS, PlainWords, Stamps, explained, stamps_of

_FORMATS = {
    "Parquet": (".parquet", ".pq"),
    "CSV": (".csv", ".csv.gz", ".tsv", ".tsv.gz"),
    "Arrow": (".arrow", ".feather", ".ipc"),
    "DuckDB": (".duckdb", ".ddb"),
}
_KNOWN = "Jumar reads .parquet, .csv, .csv.gz, .tsv, .arrow, .feather and .duckdb files."
NOT_FEATURES = b"jumar.not_features"
"""Key in the metadata of a Parquet file: a JSON list of columns that only become something else by the user's word."""


@dataclass(frozen=True)
class Source:
    """A table somewhere, and how to ask it.

    Attributes:
        name: what the user calls it.
        table: all columns of the source, in its own order of rows.
        files: the files it came from; empty for tables in memory.
        registered: Arrow objects that each new cursor must be told about.
        owned: the engine was opened here, so cursors of it see every view.
        not_features: columns that the files themselves say are no features.
        stamps: the files as they were when they were opened; asked later, they must still be the same.
    """

    name: str
    table: ir.Table
    files: tuple[str, ...] = ()
    registered: Mapping[str, Any] = field(default_factory=dict)
    owned: bool = True
    not_features: frozenset[str] = frozenset()
    stamps: Stamps = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stamps", stamps_of(self.files))

    @property
    def backend(self) -> Any:
        """The Ibis backend that holds the table."""
        return self.table.get_backend()

    def ask(self, expr: ir.Table) -> list[dict[str, Any]]:
        """All rows of a small result, as dictionaries.

        Raises:
            LogError: the engine could not read the source.
        """
        with self._plain_words():
            return self.backend.to_pyarrow(expr).to_pylist()

    def one(self, expr: ir.Table) -> dict[str, Any]:
        """The only row of an aggregate."""
        return self.ask(expr)[0]

    def arrow(self, expr: ir.Table) -> pa.Table:
        """A result small enough for memory."""
        with self._plain_words():
            return self.backend.to_pyarrow(expr)

    def stream(self, expr: ir.Table, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Batches of at most ``batch_rows`` rows, in the order of the source, in bounded memory.

        Raises:
            LogError: the engine could not read the source.
            OptionError: batches of no rows.
        """
        if batch_rows < 1:
            raise OptionError("A batch holds one row or more", example=batch_rows, remedy="Pass batch_rows ≥ 1.")
        with self._plain_words():
            for batch in self._reader(expr, batch_rows):
                for start in range(0, batch.num_rows, batch_rows):
                    yield batch.slice(start, batch_rows)

    def _reader(self, expr: ir.Table, batch_rows: int) -> pa.RecordBatchReader:
        if self.backend.name != "duckdb":
            return self.backend.to_pyarrow_batches(expr, chunk_size=batch_rows)
        # A cursor of its own: a second query on one connection would end the first stream.
        cursor = self.backend.con.cursor()
        cursor.execute("SET TimeZone = 'UTC'")
        for name, data in self.registered.items():
            cursor.register(name, data)
        query = self.backend.compile(expr)
        try:
            return cursor.execute(query).to_arrow_reader(batch_rows)
        except duckdb.CatalogException:
            if self.owned:
                raise
            # Temporary views of the user's connection exist on that connection only.
            return self.backend.raw_sql(query).to_arrow_reader(batch_rows)

    def _plain_words(self) -> PlainWords:
        return PlainWords(self.name, self.stamps)


def open_source(source: Any, *, csv_types: Mapping[str, str] | None = None) -> Source:
    """Opens anything that Jumar reads.

    Args:
        source: path, glob or folder (Parquet, CSV, Arrow), ``file.duckdb`` or ``file.duckdb::table``, a
            pandas or polars frame, a ``pyarrow.Table``, or an Ibis table.
        csv_types: engine types for columns of a CSV file that must not be guessed.

    Raises:
        LogError: there is nothing readable there.
    """
    if isinstance(source, Source):
        return source
    if isinstance(source, ir.Table):
        return Source(name="ibis table", table=source, owned=False)
    if isinstance(source, str | os.PathLike):
        return _open_path(os.fspath(source), csv_types or {})
    return _open_frame(source)


def _connect() -> Any:
    backend = ibis.duckdb.connect()
    backend.con.execute("SET enable_progress_bar = false")
    # What does not fit memory is spilled; by itself the engine would do so in the user's current folder.
    place = os.path.join(tempfile.gettempdir(), f"jumar-engine-{secrets.token_hex(8)}")
    backend.con.execute(f"SET temp_directory = {quoted(place)}")
    return backend


def _open_frame(frame: Any) -> Source:
    module = type(frame).__module__.split(".")[0]
    try:
        if isinstance(frame, pa.RecordBatch):
            table = pa.Table.from_batches([frame])
        elif isinstance(frame, pa.Table):
            table = frame
        elif module == "pandas":
            table = pa.Table.from_pandas(frame, preserve_index=False)
        elif module == "polars":
            table = (frame.collect() if hasattr(frame, "collect") else frame).to_arrow()
        else:
            raise LogError(
                f"A log cannot be read from a {type(frame).__name__}",
                remedy="Pass a path, a pandas or polars frame, a pyarrow Table, or an Ibis table.",
            )
    except (pa.ArrowException, ValueError, TypeError) as error:
        column = re.search(r"column (\S+) with type", str(error))
        raise LogError(
            "A column of the frame mixes types",
            column=column.group(1) if column else None,
            remedy="Give every column one type, for instance with astype(str).",
        ) from error
    return _register(table, f"{module} table in memory", ())


def _register(data: Any, name: str, files: tuple[str, ...]) -> Source:
    _refuse_twins(data.schema.names, name)
    backend = _connect()
    try:
        backend.con.register("source", data)
        table = backend.table("source")
    except ENGINE_ERRORS as error:
        raise explained(name, error) from error
    return Source(name=name, table=table, files=files, registered={"source": data})


def _open_path(text: str, csv_types: Mapping[str, str]) -> Source:
    path, _, inner = text.partition("::")
    if "://" in path:
        raise LogError(
            f"'{text}' is not on this machine",
            remedy="Copy it here, or open it with Ibis and pass the table.",
        )
    root, files = _files(path, text)
    form = _format(files, text)
    if inner and form != "DuckDB":
        raise LogError(f"'{path}' has no tables inside", remedy="Only a .duckdb file takes ::table.")
    for file in files:
        _readable(file, form)
    opened = {"Parquet": _open_parquet, "Arrow": _open_arrow}.get(form)
    if opened is not None:
        return opened(text, root, files)
    return _open_csv(text, files, csv_types) if form == "CSV" else _open_duckdb(text, files, inner)


def _files(path: str, text: str) -> tuple[str, list[str]]:
    """The folder that relative names start from, and every file meant, sorted."""
    here = Path(path).expanduser()
    if here.is_dir():
        inside = (p for p in here.rglob("*") if p.is_file())
        visible = (p for p in inside if not any(s[0] in "._" for s in p.relative_to(here).parts))
        files = sorted(str(p) for p in visible if _format_of(str(p)) not in (None, "DuckDB"))
        if not files:
            raise LogError(f"The folder '{text}' holds no file that Jumar reads", remedy=_KNOWN)
        return str(here), files
    if here.is_file():
        return str(here.parent), [str(here)]
    if glob.has_magic(path):
        files = sorted(f for f in glob.glob(str(here), recursive=True) if Path(f).is_file())
        if not files:
            raise LogError(f"No file matches '{text}'", remedy="Check the pattern and the folder.")
        return os.path.commonpath([str(Path(f).parent) for f in files]), files
    raise LogError(f"There is no file '{text}'", remedy=f"Check the path{_nearest_file(here)}.")


def _nearest_file(missing: Path) -> str:
    import difflib

    try:
        near = difflib.get_close_matches(missing.name, os.listdir(missing.parent), n=1)
    except OSError:
        return "; its folder does not exist either"
    return f"; did you mean '{near[0]}'" if near else ""


def _format_of(file: str) -> str | None:
    low = file.lower()
    return next((form for form, ends in _FORMATS.items() if low.endswith(ends)), None)


def _format(files: Sequence[str], text: str) -> str:
    forms = {_format_of(file) for file in files}
    if len(forms) > 1:
        raise LogError(f"'{text}' mixes kinds of files", remedy="Point at files of one kind.")
    form = forms.pop()
    if form is None:
        raise LogError(f"'{text}' is of no kind that Jumar knows by its name", remedy=_KNOWN)
    return form


def _readable(file: str, form: str) -> None:
    try:
        with open(file, "rb") as handle:
            head = handle.read(8)
    except OSError as error:
        raise explained(file, error) from error
    if not head:
        raise LogError(f"'{file}' is empty: 0 bytes", remedy="Write the log again.")
    actual = "Parquet" if head[:4] == b"PAR1" else "Arrow" if head[:6] == b"ARROW1" else None
    wrong = (actual is not None and actual != form) or (actual is None and form in ("Parquet", "Arrow"))
    if wrong:
        found = f"a file of kind {actual}" if actual else "something else"
        raise LogError(
            f"'{file}' is named like {form} but holds {found}",
            remedy="Give it the ending that fits its content, or write it again.",
        )


def _refuse_twins(names: Sequence[str], source: str) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if (twin := seen.get(name.lower())) is not None:
            raise LogError(
                f"'{source}' has two columns named alike, '{twin}' and '{name}' (the engine ignores case)",
                column=name,
                remedy="Rename one of them.",
            )
        seen[name.lower()] = name


def _view(backend: Any, select: str, name: str) -> ir.Table:
    try:
        # Not a temporary view: cursors of this connection must see it.
        backend.con.execute(f"CREATE VIEW source AS {select}")
        return backend.table("source")
    except ENGINE_ERRORS as error:
        raise explained(name, error) from error


def _hive(root: str, files: Sequence[str]) -> bool:
    return all("=" in os.path.relpath(os.path.dirname(file) or ".", root or ".") for file in files)


def _open_parquet(text: str, root: str, files: list[str]) -> Source:
    beside: set[str] = set()
    for file in files:
        try:
            schema = pq.read_schema(file)
        except ENGINE_ERRORS as error:
            raise explained(file, error) from error
        _refuse_twins(schema.names, file)
        beside |= set(json.loads((schema.metadata or {}).get(NOT_FEATURES, b"[]")))
        for column in schema:
            if pa.types.is_decimal256(column.type):
                raise LogError(
                    f"Decimals of more than 38 digits cannot be read, but the column is {column.type}",
                    column=column.name,
                    remedy="Cast the column to double.",
                )
    options = f"hive_partitioning = {str(_hive(root, files)).lower()}, union_by_name = {len(files) > 1}"
    table = _view(_connect(), f"SELECT * FROM read_parquet({file_list(files)}, {options})", text)
    return Source(name=text, table=table, files=tuple(files), not_features=frozenset(beside & set(table.columns)))


def _open_arrow(text: str, root: str, files: list[str]) -> Source:
    try:
        partitioning: Any = "hive" if _hive(root, files) else None
        data = ds.dataset(files, format="ipc", partitioning=partitioning, partition_base_dir=root)
    except (*ENGINE_ERRORS, ValueError) as error:
        raise explained(text, error) from error
    return _register(data, text, tuple(files))


def _open_csv(text: str, files: list[str], csv_types: Mapping[str, str]) -> Source:
    backend = _connect()
    try:
        select = csv_select(backend.con, text, files, csv_types)
    except ENGINE_ERRORS as error:
        raise explained(text, error) from error
    return Source(name=text, table=_view(backend, select, text), files=tuple(files))


def _open_duckdb(text: str, files: list[str], inner: str) -> Source:
    if len(files) > 1:
        raise LogError(f"'{text}' names several databases", remedy="Point at one .duckdb file.")
    backend = _connect()
    try:
        backend.con.execute(f"ATTACH {quoted(files[0])} AS base (READ_ONLY)")
        found = backend.con.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'base' UNION ALL "
            "SELECT schema_name, view_name FROM duckdb_views() WHERE database_name = 'base' AND NOT internal "
            "ORDER BY ALL"
        ).fetchall()
    except ENGINE_ERRORS as error:
        raise explained(text, error) from error
    names = {(f"{schema}.{name}" if schema != "main" else name): (schema, name) for schema, name in found}
    chosen = inner or (next(iter(names)) if len(names) == 1 else "")
    if chosen not in names:
        listed = ", ".join(names) or "none"
        what = f"there is no table '{inner}'" if inner else "it is not clear which table is the log"
        raise LogError(
            f"In '{files[0]}' {what} (tables: {listed:.300})",
            remedy="Name the table after two colons: file.duckdb::table.",
        )
    schema, name = (part.replace('"', '""') for part in names[chosen])
    return Source(name=text, table=_view(backend, f'SELECT * FROM base."{schema}"."{name}"', text), files=tuple(files))
