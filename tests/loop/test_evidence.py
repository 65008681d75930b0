"""What counts as evidence on a day, and for what: units without a name, challengers whose comparator is gone."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from jumar.release.canary_state import Canary

from . import town as a_town
from .town import Town

MakeTown = Callable[[int], Town]


def test_decisions_without_a_unit_are_in_no_arm(town: MakeTown, monkeypatch: pytest.MonkeyPatch) -> None:
    """Production decides them in a canary; the id that the join puts in the unit's place must not deal out an arm."""
    every, contexts_of = 5, a_town.contexts_of

    def some_nameless(rng: np.random.Generator, day: int, rows: int) -> pa.Table:
        contexts = contexts_of(rng, day, rows)
        units = [None if place % every == 0 else unit for place, unit in enumerate(contexts["unit"].to_pylist())]
        return contexts.set_column(1, "unit", pa.array(units, pa.string()))

    monkeypatch.setattr(a_town, "contexts_of", some_nameless)
    mine = town(6)
    mine.config = msgspec.structs.replace(mine.config, least_rows=10**9)
    for day in (6, 7):
        found = mine.live(day).step("canary")
    assert found is not None
    assert not found.attention, found.said
    canary = Canary.from_bytes((mine.registry_folder / "loop/canary.arrow").read_bytes())
    assert [one.astray for one in canary.record.days] == [0.0] * len(canary.record.days)
    assert canary.record.outcome == "done"
