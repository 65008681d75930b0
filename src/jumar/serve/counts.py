"""How many decisions each unit has had today, for exploration that gives every unit one random decision a day.

In: units, decision ids, the date. Out: which decision of the day each one is. The service keeps one of these per
process and fills it from the decision log when it starts, so that a restart gives nobody a second random decision.

Several processes share no memory. So each unit and day belongs to one of them, by hash: only there may the unit's
decisions be random, and the others answer 0. A repeated decision id keeps its number.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from jumar.policy.sampling import hash_key, uniforms


class DayCounts:
    """Counts of one process.

    Args:
        turns: numbers above it are not told apart.
        salt: of the service.
        slot, slots: which process this is, of how many.
    """

    def __init__(self, turns: int, salt: str, slot: int = 0, slots: int = 1) -> None:
        self._turns, self._salt, self._slot, self._slots = turns, salt, slot, slots
        self._day = datetime.date.min
        self._known: dict[str, dict[str, int]] = {}

    def count(self, units: Sequence[str | None], ids: Sequence[str], day: datetime.date) -> list[int]:
        """Numbers [rows] from 1; 0 without a unit, where another process counts, or for a day that is over."""
        if day > self._day:
            self._day, self._known = day, {}
        elif day < self._day:  # the clock was set back: what that day's units have had is forgotten
            return [0] * len(ids)
        mine = self._mine(units)
        return [
            self._number(unit, one) if unit is not None and here else 0
            for unit, one, here in zip(units, ids, mine, strict=True)
        ]

    def restore(self, day: datetime.date, rows: Iterable[tuple[str | None, str, str]]) -> None:
        """Learn from the log what was decided today.

        Args:
            day: today.
            rows: unit, decision id and ``exploration`` of decisions, in any order.
        """
        self._day = day
        for unit, one, told in rows:
            mode, turns, number = [*told.split(":"), "", ""][:3]
            if unit is not None and mode == "budget" and number not in ("", "0"):
                same = turns == f"{self._turns:g}"
                self._known.setdefault(unit, {})[one] = int(number) if same else self._turns + 1

    def _number(self, unit: str, one: str) -> int:
        seen = self._known.setdefault(unit, {})
        number = seen.get(one)
        if number is None:
            number = min(max(seen.values(), default=0) + 1, self._turns + 1)
            if number <= self._turns:
                seen[one] = number
            elif not seen:
                self._known.pop(unit)
        return number

    def _mine(self, units: Sequence[str | None]) -> list[bool]:
        if self._slots == 1:
            return [True] * len(units)
        key = hash_key("slot", self._salt, self._day.isoformat())
        places = uniforms(key, [unit or "" for unit in units]) * self._slots
        return (places.astype(int) == self._slot).tolist()


def decided_today(folder: Path, day: datetime.date) -> Iterable[tuple[str | None, str, str]]:
    """Unit, decision id and ``exploration`` of a day's sealed decisions; files that cannot be read are passed over."""
    for path in sorted((folder / "decisions" / f"date={day.isoformat()}").glob("*.parquet")):
        try:
            table = pq.ParquetFile(path).read(columns=["unit", "decision_id", "exploration"])
        except (OSError, pa.ArrowException):
            continue
        yield from zip(*(table[name].to_pylist() for name in ("unit", "decision_id", "exploration")), strict=True)
