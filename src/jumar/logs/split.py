"""Which rows may fit, stop, validate or judge: decided by the unit alone, the same for ever.

In: columns as Ibis expressions. Out: the salted hash of a unit, the parts as ranges of it, and the uniform
number that belongs to a decision. Pure expressions; the floors above use them through ``jumar.logs``.
"""

# Ibis' annotations know columns only as bare values.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportReturnType=false, reportIndexIssue=false, reportOptionalSubscript=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import ibis
import ibis.expr.types as ir

from jumar.errors import OptionError
from jumar.logs.schema import Part

SPLIT_SALT = "jumar-split:"

# A part is [low, high) of the hash read as a fraction of its range.
PARTS: Mapping[Part, tuple[float, float]] = MappingProxyType(
    {"fit": (0.0, 0.35), "stop": (0.35, 0.40), "validate": (0.40, 0.50), "gate": (0.50, 1.0)}
)


# DuckDB answers with 128 bits, a type that Ibis lacks; declared as 64, shifts and casts come out the same.
# Its functions for the halves of the digest are five times slower.
@ibis.udf.scalar.builtin(signature=(("string",), "uint64"))
def md5_number(text: ir.Value) -> ir.Value:
    """The md5 digest of ``text`` as a little-endian integer (DuckDB's own function)."""


def unit_hash(unit: ir.StringValue) -> ir.StringValue:
    """Hex md5 of the salted unit: ``hashlib.md5(("jumar-split:" + unit).encode()).hexdigest()``."""
    return (ibis.literal(SPLIT_SALT) + unit).hexdigest("md5")


def hex_bound(fraction: float) -> str:
    """First eight hex digits of the smallest hash at or above ``fraction`` of the range."""
    return f"{round(fraction * 2**32):08x}"


def in_parts(unit_hash: ir.StringValue, parts: tuple[Part, ...], share: float = 1.0) -> ir.BooleanValue:
    """True where the hash falls into one of ``parts``, or into the lowest ``share`` of each.

    Raises:
        OptionError: a part that does not exist.
    """
    for part in parts:
        if part not in PARTS:
            raise OptionError(f"'{part}' is not a part of a log", remedy=f"The parts are {', '.join(sorted(PARTS))}.")
    ranges = []
    for part in PARTS:
        if part in parts:
            low, high = PARTS[part]
            high = low + share * (high - low)
            above = unit_hash >= hex_bound(low)
            ranges.append(above if high >= 1.0 else above & (unit_hash < hex_bound(high)))
    return ibis.or_(*ranges)


def uniform(salt: str, decision_id: ir.StringValue) -> ir.FloatingValue:
    """A number in [0, 1) that belongs to a decision: the top 53 bits of its md5 over 2⁵³.

    The same number in Python::

        digest = hashlib.md5(f"{salt}:{decision_id}".encode()).digest()
        (int.from_bytes(digest, "little") >> 75) / 2**53

    Args:
        salt: names the policy and the purpose, so that two uses are independent.
        decision_id: the canonical ``__id``.
    """
    digest = md5_number(ibis.literal(f"{salt}:") + decision_id)
    return (digest >> 75).cast("float64") / float(2**53)
