"""Contexts in JSON to columns, checked against the schema that the policy learned from.

In: the policy's ``LogSchema`` and raw JSON objects. Out: plain rows for scoring and logging, and for each context that
does not fit a reason in words. Nothing is repaired: a context either fits as it is or is not decided on.

A value of null is a missing value, which the policy has its own rule for. A feature that is not named at all is
refused, since it is most often misspelt; names that the policy does not know are ignored, since the next version may
want them.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Union

import msgspec
import pyarrow as pa

from jumar.logs.schema import Feature, LogSchema

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_INTEGER = re.compile(r"(u?)int(8|16|32|64)")
_LIST = re.compile(r"(?:large_)?list<[^:]*: (.*?)>")
_LONGEST = 500  # characters of a reason


class MalformedError(ValueError):
    """Not even a context of another schema."""


class ContextReader:
    """Reads the contexts of one policy.

    Args:
        schema: of the log that the policy learned from.

    Attributes:
        features: Arrow names and types in which contexts are logged.
        type: of one context, for msgspec and for the documents of the service.
    """

    def __init__(self, schema: LogSchema) -> None:
        self._names = [feature.name for feature in schema.features]
        kinds = [_logged(feature) for feature in schema.features]
        self.features = pa.schema(list(zip(self._names, kinds, strict=True)))
        fields = [(f"f{place}", _python(kind)) for place, kind in enumerate(kinds)]
        named = {f"f{place}": name for place, name in enumerate(self._names)}
        self.type = msgspec.defstruct("Context", fields, rename=named, kw_only=True)
        self._decode = msgspec.json.Decoder(self.type).decode
        self._whole: list[Callable[[Any], Any] | None] = [_number_of_time(kind) for kind in kinds]
        self.missing: tuple[Any, ...] = (None,) * len(kinds)

    def row(self, context: bytes | msgspec.Raw) -> tuple[tuple[Any, ...], str | None]:
        """The values of one context in the order of ``features``, all null where it does not fit; and why, or None.

        Args:
            context: a JSON value.

        Raises:
            MalformedError: it holds what no schema takes: a number beyond all ranges, broken text, too many levels.
        """
        try:
            row = msgspec.structs.astuple(self._decode(context))
            return tuple(v if f is None else f(v) for v, f in zip(row, self._whole, strict=True)), None
        except msgspec.ValidationError as error:
            if "out of range" in str(error):
                raise MalformedError(f"context: {error}"[:_LONGEST]) from error
            return self.missing, f"context: {error}"[:_LONGEST]
        except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
            raise MalformedError(f"context: {error}"[:_LONGEST]) from error

    def of_log(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The contexts of rows of a log, which has their columns under other types, perhaps."""
        columns = [rows.column(field.name).cast(field.type) for field in self.features]
        return pa.RecordBatch.from_arrays(columns, schema=self.features)

    def columns(self, rows: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
        """Rows to columns by the name of the feature."""
        lists = map(list, zip(*rows, strict=True)) if rows else ([] for _ in self._names)
        return dict(zip(self._names, lists, strict=True))


def _logged(feature: Feature) -> pa.DataType:
    """The type in which a feature is logged: what the policy learned from, with all fractions in double precision."""
    learned = feature.arrow_type
    if feature.kind == "time":
        zone = "UTC" if "tz=" in learned else None
        return pa.date32() if learned.startswith("date") else pa.timestamp("us", zone)
    if feature.kind == "ids":
        found = _LIST.fullmatch(learned)
        inner = found[1] if found else "string"
        return pa.list_(pa.int64() if _INTEGER.fullmatch(inner) else pa.string())
    if feature.kind == "boolean" or learned == "bool":
        return pa.bool_()
    if _INTEGER.fullmatch(learned):
        return pa.type_for_alias(learned)
    if feature.kind == "number" and "string" not in learned:
        return pa.float64()
    return pa.string()


def _python(kind: pa.DataType) -> Any:
    """What msgspec takes for it, or null."""
    if pa.types.is_list(kind):
        return list[_python(kind.value_type)] | None
    if pa.types.is_integer(kind):
        found = _INTEGER.fullmatch(str(kind))
        assert found is not None
        bits = int(found[2]) - (not found[1] or found[2] == "64")  # above 2⁶³ no number is told exactly
        bounds = msgspec.Meta(ge=0 if found[1] else -(2**bits), le=2**bits - 1)
        return Union[Annotated[int, bounds], None]  # noqa: UP007, msgspec's metadata knows no |
    if pa.types.is_timestamp(kind):
        told = msgspec.Meta(description="a moment by RFC 3339, UTC where no zone is given")
        return Union[Annotated[datetime.datetime, told], None]  # noqa: UP007, as above
    if pa.types.is_date(kind):
        return datetime.date | None
    return {pa.bool_(): bool, pa.float64(): float}.get(kind, str) | None


def _number_of_time(kind: pa.DataType) -> Callable[[Any], Any] | None:
    """Moments as microseconds since 1970, days as they are; None for all other types."""
    return _microseconds if pa.types.is_timestamp(kind) else None


def _microseconds(moment: datetime.datetime | None) -> int | None:
    """A moment without a zone is taken as UTC."""
    if moment is None:
        return None
    utc = moment.astimezone(datetime.UTC) if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    return (utc - _EPOCH) // _MICROSECOND
