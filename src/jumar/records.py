"""Records that several floors fill: the base of all documents, and the finding of an audit.

In: numbers. Out: immutable records that become JSON through msgspec. Every floor may import this module.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all documents: immutable, keyword-only, JSON through msgspec."""


class Finding(Record, frozen=True, kw_only=True):
    """One audit: its name, whether it blocks, one plain sentence, and the figures behind it."""

    name: str
    verdict: Literal["ok", "warning", "blocked"]
    sentence: str
    figures: dict[str, float | int | str | list[float] | dict[str, float] | None] = {}
