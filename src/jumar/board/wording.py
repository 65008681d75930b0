"""Small words of the board: dates, versions, levels, grounds.

In: figures and records. Out: plain strings. Only this floor imports this module.
"""

from __future__ import annotations

import datetime
import math
import re

from jumar.board.view import Board, PolicyView
from jumar.release.registry.documents import RegistryRecord
from jumar.report import words

_VERSION = re.compile(r"[0-9a-f]{16}")


def short(version: str) -> str:
    """Enough of a version's name to tell it from others."""
    return version[:8] if _VERSION.fullmatch(version) else words.clean(version, 24)


def version_name(version: str | None) -> str:
    """A version in full, other names bounded."""
    return words.clean(version or "none", 40)


def day(date: datetime.date) -> str:
    """A date for people."""
    return f"{date.day} {date:%b} {date.year}"


def moment(when: datetime.datetime) -> str:
    """A moment for people, UTC."""
    return f"{day(when.date())}, {when:%H:%M}"


def level(confidence: float) -> str:
    """A confidence, rounded down to where its error shows two figures: 0.9999807 → "99.998%"."""
    error = 100 * (1.0 - confidence)
    decimals = max(1 - math.floor(math.log10(error)), 0) if error > 0 else 12
    floor = 10.0**-decimals * math.floor((100.0 - error) * 10.0**decimals + 1e-6)
    return f"{floor:.{decimals}f}".rstrip("0").rstrip(".") + "%"


def alpha(x: float) -> str:
    """An error probability as a percentage."""
    return f"{100 * x:.3g}%"


def nats(x: float, needs: float) -> str:
    """Evidence beside what is needed."""
    return f"{x:.1f} of {needs:.1f} nats".replace("-", words.MINUS)


def grounds(policy: PolicyView) -> str:
    """What a version was let in on."""
    if policy.forced:
        return f"forced by {words.clean(policy.who, 40)}"
    error = "" if policy.alpha is None else f", α = {alpha(policy.alpha)}"
    return f"passed the gate as {policy.attempt}{error}" if policy.attempt else f"by its certificate{error}"


def since(board: Board, version: str) -> RegistryRecord:
    """The record from which on a version has been in production without a break."""
    found = board.trail[0]
    for record in board.trail:
        if record.aliases.production != version:
            break
        found = record
    return found


def changes(board: Board) -> list[tuple[datetime.date, str]]:
    """When what decides changed, and the number of the release that took over."""
    numbers = {one.version: one.number for one in board.policies}
    return [
        (one.at.date(), f"{'↩' if one.what == 'rollback' else ''}{numbers.get(one.version or '', '')}")
        for one in board.trail[::-1]
        if one.what in ("promote", "rollback")
    ]
