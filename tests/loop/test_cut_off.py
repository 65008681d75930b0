"""Killed between any two writes, a day that is run again ends as if nothing had happened, and nothing is done twice."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from executioner import Executioner, KilledError
from jumar.loop import Day, Step, facts, judging
from jumar.loop.documents import StepName
from jumar.release import Gates, Registry, challenger
from jumar.release.canary_state import Canary

from .town import Town, date_of

MakeTown = Callable[[int], Town]
SEALS = ("token", "previous_sha256", "record_sha256")


@pytest.fixture(autouse=True)
def worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes before the writes is worked out once, and remembered."""

    def once(place: Any, name: str) -> None:
        known: list[Any] = []
        call = getattr(place, name)

        def remembered(*given: Any, **named: Any) -> Any:
            if not known:
                known.append(call(*given, **named))
            return known[0]

        monkeypatch.setattr(place, name, remembered)

    for name in ("load_policy", "read_for", "checked_log", "plan_of", "receive", "judge"):
        once(challenger, name)
    once(judging, "improve")
    once(facts, "audit")


def outcome(town: Town, day: int) -> dict[str, Any]:
    """Everything that must be the same whether or not a run was cut off; the registry's seals hold random numbers."""
    loop = town.registry_folder / "loop"
    records = [msgspec.to_builtins(one) for one in Registry(town.registry_folder).history()]
    found: dict[str, Any] = {
        "day": (loop / f"days/date={date_of(day)}/day.json").read_bytes(),
        "files": sorted(str(path.relative_to(loop)) for path in loop.rglob("*") if path.name != ".lock"),
        "trail": [
            {k: v for k, v in one.items() if k not in ("token", "previous_sha256", "record_sha256")} for one in records
        ],
        "versions": [one.version for one in Registry(town.registry_folder).versions()],
    }
    gates = Gates(town.registry_folder / "gates")
    found["ledger"] = gates.known_ledger()
    if found["ledger"] is not None:
        found["standings"] = [gates.status(row.name) for row in found["ledger"].rows]
    if (loop / "canary.arrow").exists():
        found["canary"] = Canary.from_bytes((loop / "canary.arrow").read_bytes()).record
    if (loop / "watch.json").exists():
        found["watch"] = (loop / "watch.json").read_bytes()
    return found


def killed_everywhere(town: Town, day: int, *, after: StepName | None, stride: int = 1) -> Day:
    """Kill the day at every call after a step; run it again, and it ends as the unbroken run does.

    Returns:
        The day.
    """

    def dies(step: Step) -> None:
        if step.name == after:
            raise KilledError

    before = town.registry_folder.with_name("before")
    if after is not None:
        with pytest.raises(KilledError):
            town.loop(day).run(date_of(day), told=dies)
    shutil.copytree(town.registry_folder, before)
    found = town.loop(day).run(date_of(day))
    unbroken, at, kills = outcome(town, day), 1, 0
    while True:
        shutil.rmtree(town.registry_folder)
        shutil.copytree(before, town.registry_folder)
        with pytest.MonkeyPatch.context() as patch:
            executioner = Executioner(patch, at)
            with contextlib.suppress(KilledError):
                town.loop(day).run(date_of(day))
        if executioner.calls < at:
            break
        assert town.loop(day).run(date_of(day)) == found, at
        broken = outcome(town, day)
        for name, content in unbroken.items():
            assert broken[name] == content, (at, name)
        at, kills = at + stride, kills + 1
    assert kills > 5
    return found


def test_joining_and_auditing(town: MakeTown) -> None:
    mine = town(0)
    mine.decide(0)
    killed_everywhere(mine, 0, after=None, stride=7)


def test_learning_spends_one_attempt(town: MakeTown) -> None:
    mine = town(1)
    mine.decide(1)
    day = killed_everywhere(mine, 1, after="release", stride=4)
    assert day.opened == "d20250304"
    ledger = Gates(mine.registry_folder / "gates").known_ledger()
    assert ledger is not None
    assert len(ledger.rows) == 1


@pytest.mark.parametrize(("before", "what"), [(2, "promote"), (5, "canary")])
def test_a_gate_that_is_passed_lets_in_once(town: MakeTown, before: int, what: str) -> None:
    mine = town(before)
    mine.decide(before)
    known = len(Registry(mine.registry_folder).history())
    day = killed_everywhere(mine, before, after="audit", stride=3)
    assert "passed" in day.step("gates").said[0]  # type: ignore[union-attr]
    assert [one.what for one in Registry(mine.registry_folder).history()][known:] == [what]


def test_a_canary_that_ends_well(town: MakeTown) -> None:
    mine = town(7)
    mine.decide(7)
    day = killed_everywhere(mine, 7, after="gates", stride=2)
    assert "serves 1 of the units" in day.step("canary").said[0]  # type: ignore[union-attr]


def test_a_canary_that_ends_badly(town: MakeTown) -> None:
    mine = town(8)
    mine.config = msgspec.structs.replace(mine.config, least_rows=10**9)
    registry = mine.registry(7)
    registry.promote(str(registry.history()[0].version), why="by hand", share=0.4, forced=True)
    mine.decide(8)
    day = killed_everywhere(mine, 8, after="gates", stride=3)
    assert day.step("canary").attention  # type: ignore[union-attr]


def test_a_watch_that_ends_badly(town: MakeTown) -> None:
    mine = town(8)
    mine.config = msgspec.structs.replace(mine.config, least_rows=10**9)
    registry = mine.registry(7)
    registry.promote(str(registry.history()[0].version), why="by hand", forced=True)
    mine.live(8)
    mine.decide(9)
    day = killed_everywhere(mine, 9, after="canary", stride=2)
    assert day.step("watch").attention  # type: ignore[union-attr]
    assert [one.what for one in Registry(mine.registry_folder).history()][-1] == "rollback"
