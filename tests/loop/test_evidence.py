"""What counts as evidence on a day, and for what: units without a name, challengers whose comparator is gone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from jumar.policy import Policy
from jumar.policy.exploration import parse_exploration
from jumar.release.canary_state import Canary
from jumar.serve.recorded import record

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


def by_hand(mine: Town, day: int, share: float = 0.0) -> str:
    """Let in again what was let in first: all of it, or a share; its version."""
    registry = mine.registry(day)
    first = str(registry.history()[0].version)
    registry.promote(first, why="by hand", forced=True, share=share or 1.0)
    return first


def test_a_capped_reward_is_capped_in_canary_and_watch(
    town: MakeTown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They test what the gate certifies."""
    (tmp_path / "jumar.toml").write_text("[log]\nreward_range = [0.0, 0.25]\ncap_reward = true\n")
    mine = town(8)
    mine.config = msgspec.structs.replace(mine.config, least_rows=10**9)
    by_hand(mine, 7, share=0.4)
    monkeypatch.chdir(tmp_path)
    figures = mine.live(8).step("canary").figures  # type: ignore[union-attr]
    assert 0.05 < figures["reward.production"] <= 0.25
    mine = Town(mine.root, mine.config)
    by_hand(mine, 8)
    assert "only lays the bets" in " ".join(mine.live(9).step("watch").said)  # type: ignore[union-attr]


def test_a_guardrail_that_must_get_better_is_watched_for_harm(town: MakeTown) -> None:
    mine = town(8)
    mine.config = msgspec.structs.replace(
        mine.config, least_rows=10**9, guardrail=["complaint:lower:margin=-0.1"], watch_days=0
    )
    by_hand(mine, 7, share=0.4)
    assert "was taken back" in " ".join(mine.live(8).step("canary").said)  # type: ignore[union-attr]
    canary = Canary.from_bytes((mine.registry_folder / "loop/canary.arrow").read_bytes())
    assert [(one.name, one.tolerance) for one in canary.record.plan.metrics] == [("reward", 0.0), ("complaint", 0.0)]


def test_a_challenger_opened_by_hand_is_judged_against_one_production_only(town: MakeTown) -> None:
    """Better than what decided first and than what decided later, on average, is not better than the later one."""
    mine = town(5)
    gates = mine.loop(5).gates
    counted = mine.registry_folder / "loop/days/date=2025-03-07/counted.parquet"
    learned = mine.registry_folder / "loop/days/date=2025-03-07/learned"
    gates.open(learned, counted, rows_planned=10**6, rows_most=10**7, name="hand", after="log", gain=0.95)
    mine.config = msgspec.structs.replace(mine.config, least_rows=10**9)
    assert "hand: open after" in " ".join(mine.live(5).step("gates").said)  # type: ignore[union-attr]
    for day in (6, 7):
        mine.live(day)
    assert gates.status("hand").attempt.outcome == "open"
    assert mine.registry(7).state().what == "promote", "another production"
    assert "hand was closed: production was replaced" in " ".join(
        mine.live(8).step("gates").said  # type: ignore[union-attr]
    )


def test_a_day_whose_rewards_are_all_alike_is_evidence(town: MakeTown, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether they are comes of what was drawn, and days are not chosen by their outcome."""
    monkeypatch.setattr(a_town, "BAD", 0.0)
    monkeypatch.setattr(a_town, "GOOD", 0.0)
    day = town(5).live(5)
    assert not day.held
    assert "d20250307: open after" in " ".join(day.step("gates").said)  # type: ignore[union-attr]


def test_the_watch_lets_both_policies_explore_as_the_service_does(
    town: MakeTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same policy again is not worse than itself, however much the service explores."""
    mine = town(8)
    mine.config = msgspec.structs.replace(mine.config, least_rows=10**9)
    registry = mine.registry(7)
    policy, model = registry.policy("production"), registry.files("production")["policy.onnx"]
    twin = Policy(msgspec.structs.replace(policy.card, train_rows=policy.card.train_rows + 1), model)
    twin.save(mine.root / "twin")
    registry.promote(registry.register(mine.root / "twin").version, why="the same", forced=True)
    monkeypatch.setattr(a_town, "record", partial(record, exploration=parse_exploration("floor:0.45")))
    for day in (8, 9):
        found = mine.live(day).step("watch")
    assert found is not None
    assert not found.attention, found.said
    assert abs(found.figures["log_harm"]) < 1e-6
