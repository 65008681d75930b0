"""What numbers in a column of times stand for: seconds since 1970, or thousandths of them.

In: the counts of the checking pass. Out: what turns the numbers into seconds, or the ``LogError`` that numbers deserve
which are no times. Imported inside ``jumar.logs`` only.
"""

from __future__ import annotations

import ibis.expr.datatypes as dt

from jumar.errors import LogError
from jumar.logs.basics import Basics
from jumar.logs.schema import Roles
from jumar.logs.source import Source

FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799  # the years 1 to 9999
_SCALES = (("seconds", 1.0, 1e11), ("milliseconds", 1e-3, 1e14), ("microseconds", 1e-6, 1e17))
_SINCE_ZERO = 1e8  # numbers below may count from anywhere, so they do not say what they are


def time_scale(origin: Source, roles: Roles, basics: Basics, notes: list[str]) -> float:
    """Seconds per unit of a numeric time, told from how far the numbers reach.

    Raises:
        LogError: the least and the greatest number cannot be of one scale, or lie outside the years 1 to 9999.
    """
    if roles.time is None or not isinstance(origin.table[roles.time].type(), dt.Numeric):
        return 1.0
    seen = basics.columns[roles.time]
    low, high = seen.low or 0.0, seen.high or 0.0
    word, scale = _scale_of(high)
    if low > _SINCE_ZERO and _scale_of(low)[0] != word:
        raise LogError(
            f"Some times can only be {_scale_of(low)[0]} since 1970 and others only {word}: {low:g} to {high:g}",
            column=roles.time,
            example=high,
            remedy="Give all times one scale, or mend those that are wrong.",
        )
    if not (low * scale >= FIRST_SECOND and high * scale <= LAST_SECOND):
        raise LogError(
            "Some times lie outside the years 1 to 9999",
            column=roles.time,
            example=low if low * scale < FIRST_SECOND else high,
            remedy="Mend those times; numbers are seconds since 1970, or milli-, micro- or nanoseconds.",
        )
    notes.append(f"'{roles.time}' holds numbers, read as {word} since 1970.")
    return scale


def _scale_of(number: float) -> tuple[str, float]:
    """The scale that a number of today would have: its name, and seconds per unit."""
    return next(((word, scale) for word, scale, most in _SCALES if abs(number) < most), ("nanoseconds", 1e-9))
