"""Days in order: what is learned, passes, is let in, watched and taken back; what a scheduler is told."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jumar import cli
from jumar.errors import LogError, OptionError
from jumar.evaluate import Finding
from jumar.loop import Loop, LoopConfig, NotYetError, facts, loop_config
from jumar.loop.documents import STEPS
from jumar.loop.folders import LEARNED
from jumar.release import BusyError, Gates, Registry, ReleaseError, UncertifiedError
from jumar.release.canary_plan import Stage
from jumar.release.canary_state import Canary
from jumar.release.ledger import locked

from .conftest import DAYS, Story
from .town import CONFIG, Town, date_of, morning

MakeTown = Callable[[int], Town]


def said(day: Any, step: str) -> str:
    return " ".join(day.step(step).said)


def quiet(config: LoopConfig) -> LoopConfig:
    """The same, but nothing is learned for a while."""
    return msgspec.structs.replace(config, least_rows=10**9)


def snapshot(folder: Path) -> dict[str, bytes]:
    files = [file for file in folder.rglob("*") if file.is_file() and file.name != ".lock"]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_a_town_gets_better_by_itself(story: Story) -> None:
    """The first version is let in at once; when the town turns, the next one is learned and let in by canary."""
    days = story.days
    assert all(day.complete and not day.attention for day in days)
    trail = Registry(story.root / "registry").history()
    assert [(one.what, one.share, one.attempt, one.forced) for one in trail] == [
        ("promote", 0.0, "d20250304", False),
        ("canary", 0.4, "d20250307", False),
        ("promote", 0.0, "d20250307", False),
    ]
    first, second = trail[0].version, trail[1].version
    assert [day.production for day in days] == ["incumbent"] * 3 + [first] * 5 + [second]
    assert [day.challenger for day in days] == [None] * 5 + [second, second, None, None]
    assert [day.opened for day in days] == ["", "d20250304", "", "", "d20250307", "", "", "", ""]
    rewards = [day.step("join").figures["rewarded"] for day in days]  # type: ignore[union-attr]
    assert rewards[3] < 0.5 * rewards[2] < 0.6 * rewards[8]
    ledger = Gates(story.root / "registry/gates").ledger()
    assert [row.outcome for row in ledger.rows] == ["passed", "passed"]
    assert [row.alpha for row in ledger.rows] == [pytest.approx(0.1 / 4)] * 2


def test_only_what_production_decided_is_counted(story: Story) -> None:
    """In a canary the challenger's units are nobody's evidence but the canary's."""
    for day in story.days:
        share = {5: 0.0, 6: 0.4, 7: 0.4}.get((day.date - date_of(0)).days, 0.0)
        join = day.step("join")
        assert join is not None
        assert join.figures["counted"] == pytest.approx((1 - share) * join.figures["written"], rel=0.1)


def test_what_was_only_screened_lets_nothing_in(story: Story, tmp_path: Path) -> None:
    """A screening is made at a confidence that nobody asked to be served at."""
    registry = Registry.create(tmp_path / "registry")
    version = registry.register(story.root / "registry/loop/days" / f"date={date_of(1)}" / LEARNED)
    assert version.certificate is None
    with pytest.raises(UncertifiedError, match="has no certificate"):
        registry.promote(version.version, why="it was learned")


def test_a_complete_day_is_not_touched(story: Story, town: MakeTown) -> None:
    mine = town(DAYS)
    before = snapshot(mine.root)
    for day in (0, 4, DAYS - 1):
        assert mine.loop(40).run(date_of(day)) == story.days[day]
    assert snapshot(mine.root) == before


def test_a_challenger_that_does_harm_is_taken_back(town: MakeTown) -> None:
    """What was good before the town turned is let in by hand: the canary ends it, for good."""
    mine = town(8)
    registry = mine.registry(7)
    production = registry.state().aliases.production
    bad = registry.history()[0].version
    assert bad != production
    registry.promote(str(bad), why="it was so good once", share=0.4, forced=True)
    day = mine.live(8)
    assert day.attention
    assert day.step("canary").attention  # type: ignore[union-attr]
    assert "was taken back" in said(day, "canary")
    assert "worse than is tolerated" in said(day, "canary")
    state = mine.registry(8).state()
    assert (state.what, state.aliases.production, state.aliases.challenger) == ("abandon", production, None)
    after = mine.live(9)
    assert not after.attention
    assert said(after, "canary") == "No canary is in progress."


def test_a_production_that_does_harm_is_watched_and_taken_back(town: MakeTown) -> None:
    mine = town(8)
    mine.config = quiet(mine.config)
    registry = mine.registry(7)
    good, bad = registry.state().aliases.production, str(registry.history()[0].version)
    registry.promote(bad, why="by hand", forced=True)
    assert mine.live(8).production == bad
    second = mine.live(9)
    assert second.step("watch").attention  # type: ignore[union-attr]
    assert "is worse than under" in said(second, "watch")
    assert mine.registry(9).state().what == "rollback"
    assert mine.registry(9).state().aliases.production == good
    third = mine.live(10)
    assert third.production == good
    assert said(third, "watch") == "Production came back by a rollback; it was watched before."


def block(patch: pytest.MonkeyPatch) -> None:
    finding = Finding(name="calibration", verdict="blocked", sentence="Propensities are wrong.", figures={})
    patch.setattr(facts, "audit", lambda log: [finding])


def test_a_blocked_day_is_no_evidence_and_lets_nothing_in(town: MakeTown) -> None:
    """Not for a challenger that waits for it, nor for what is learned later."""
    mine = town(5)
    with pytest.MonkeyPatch.context() as patch:
        block(patch)
        day = mine.live(5)
    assert day.attention
    assert said(day, "gates") == "d20250307 does not count the day: an audit blocks."
    assert Gates(mine.registry_folder / "gates").status("d20250307").looks == []
    assert said(day, "learn") == "An audit blocks."
    assert "passed" in said(mine.live(6), "gates")


@pytest.mark.parametrize("rows", [1, 4])
def test_a_day_with_hardly_a_decision_holds_nothing_up(town: MakeTown, rows: int) -> None:
    mine = town(5)
    day = mine.live(5, rows=rows)
    assert day.complete
    assert day.held == (rows == 1), "one decision cannot be audited; four that brought the same can"
    assert Gates(mine.registry_folder / "gates").status("d20250307").attempt.outcome == "open"
    assert "passed" in said(mine.live(6), "gates")


def test_a_canary_ends_on_the_first_day_that_is_not_blocked(town: MakeTown) -> None:
    mine = town(7)
    with pytest.MonkeyPatch.context() as patch:
        block(patch)
        assert "goes on serving 0.4" in said(mine.live(7), "canary")
    assert mine.registry(7).state().share == 0.4
    assert "serves 1 of the units from now on" in said(mine.live(8), "canary")
    assert mine.registry(8).state().aliases.challenger is None


def test_challengers_of_a_production_that_was_replaced_are_closed(town: MakeTown) -> None:
    """What they were compared with is gone, and what they spent stays spent."""
    mine = town(5)
    registry, gates = mine.registry(4), Gates(mine.registry_folder / "gates")
    version = registry.register(mine.registry_folder / "gates/d20250307").version
    registry.promote(version, why="by hand", forced=True)
    assert gates.status("d20250307").attempt.outcome == "open"
    day = mine.live(5)
    assert said(day, "gates").startswith("d20250307 was closed: production was replaced")
    assert [row.outcome for row in gates.ledger().rows] == ["passed", "closed"]
    mine.config = quiet(mine.config)
    assert said(mine.live(6), "gates") == "No challenger is open."


def test_a_day_that_is_not_over_is_left_alone(town: MakeTown) -> None:
    mine = town(8)
    before = snapshot(mine.root)
    early = Loop(mine.registry_folder, mine.log, config=CONFIG, now=lambda: morning(8) - datetime.timedelta(seconds=5))
    with pytest.raises(NotYetError, match="rewards of its decisions may still come"):
        early.run(date_of(8))
    with pytest.raises(NotYetError, match="9999-12-31 is not over"):
        early.run("9999-12-31")
    assert snapshot(mine.root) == before


def test_a_day_without_decisions_says_so(town: MakeTown) -> None:
    mine = town(8)
    with pytest.raises(LogError, match="holds no decision of 2025-03-20"):
        mine.loop(17).run("2025-03-20")


@pytest.mark.parametrize(("wait", "day"), [("1s", 8), ("5s", 8), ("6s", 7), ("24h", 7), ("3d", 5)])
def test_the_last_day_whose_rewards_are_complete(town: MakeTown, wait: str, day: int) -> None:
    """At five seconds past midnight: by what is waited for."""
    mine = town(8)
    mine.config = msgspec.structs.replace(CONFIG, wait=wait)
    assert mine.loop(8).last_complete() == date_of(day)


def test_days_come_in_order(town: MakeTown) -> None:
    """A later day makes earlier ones impossible; missed ones are known, and come first."""
    mine = town(7)
    elsewhere = Loop(mine.registry_folder, mine.log, folder=mine.root / "elsewhere", config=quiet(CONFIG))
    elsewhere.run(date_of(5))
    with pytest.raises(ReleaseError, match="The day 2025-03-08 was run already"):
        elsewhere.run(date_of(4))
    mine.decide(7)
    mine.decide(8)
    assert mine.loop(8).pending(date_of(8)) == [date_of(7), date_of(8)]
    assert mine.loop(8).pending("2025-03-04") == [datetime.date(2025, 3, 4)]
    with pytest.raises(ReleaseError, match="The day 2025-03-10 is not complete"):
        mine.loop(8).run(date_of(8))


def test_two_loops_do_not_meet(town: MakeTown) -> None:
    mine = town(8)
    mine.decide(8)
    with pytest.MonkeyPatch.context() as patch, locked(mine.registry_folder / "loop", 1.0):
        patch.setattr("jumar.loop.folders.WAIT_S", 0.01)
        with pytest.raises(BusyError):
            mine.loop(8).run(date_of(8))


def test_a_damaged_day_is_refused(town: MakeTown) -> None:
    mine = town(8)
    path = mine.registry_folder / "loop/days/date=2025-03-10/day.json"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ReleaseError, match="cannot be read"):
        mine.live(8)


def test_what_the_canary_saw_lies_in_its_file(story: Story) -> None:
    canary = Canary.from_bytes((story.root / "registry/loop/canary.arrow").read_bytes())
    assert canary.record.outcome == "done"
    assert [day.date for day in canary.record.days] == [date_of(day) for day in (4, 5, 6, 7)]


# Settings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[loop]\nevery = 0", "every of"),
        ('[loop]\nwait = "soon"', "takes a time"),
        ("[loop]\nscreening = 0.4", "screening of"),
        ('[loop]\nwait = "99999999999999999999d"', "366 days at most"),
        ("[loop]\nexploration = 0.9", "exploration of"),
        ("[loop]\nconfidence = 1.5", "confidence must be"),
        ("[loop]\nstages = []", "needs stages"),
        ("[loop]\nstages = [{share = 0.5, looks = [1]}]", "at least two days"),
        ("[loop]\nwindows = 3", "unknown field `windows`"),
        ("[loop\n", "is not TOML"),
    ],
)
def test_settings_that_are_none(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "jumar.toml"
    path.write_text(text)
    with pytest.raises(OptionError, match=said):
        loop_config(path)


def test_settings_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert loop_config(None) == LoopConfig()
    with pytest.raises(OptionError, match="cannot be read"):
        loop_config("nowhere.toml")
    Path("jumar.toml").write_text(
        '[loop]\nevery = 3\nguardrail = ["complaint:lower"]\n[[loop.stages]]\nshare = 0.1\nlooks = [2]\n'
    )
    found = loop_config(None)
    assert (found.every, found.guardrail, found.stages) == (3, ["complaint:lower"], [Stage(share=0.1, looks=[2])])


# The command


def test_exit_codes(town: MakeTown, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = town(8)
    mine.decide(8)
    mine.decide(9)
    (tmp_path / "jumar.toml").write_text('[loop]\nwait = "1s"\nconfidence = 0.9\nattempts = 4\nevery = 100\n')
    words = ["loop", str(mine.registry_folder), "--log", str(mine.log), "--config", str(tmp_path / "jumar.toml")]
    assert cli.main([*words, "--date", "2025-03-12"]) == 0
    shown = capsys.readouterr().out
    assert "2025-03-11" in shown, "the day that was missed is run first"
    assert "2025-03-12" in shown
    assert cli.main([*words, "--date", "2025-03-12", "--json"]) == 0
    assert [step["name"] for step in json.loads(capsys.readouterr().out)[0]["steps"]] == list(STEPS)
    mine.decide(10)
    with pytest.MonkeyPatch.context() as patch:
        block(patch)
        assert cli.main([*words, "--date", "2025-03-13"]) == 3
    assert cli.main([*words, "--date", "2025-03-13"]) == 3
    assert cli.main([*words, "--date", "2999-01-01"]) == 75
    assert "may still come" in capsys.readouterr().err
    assert cli.main([*words, "--date", "soon"]) == 2
    assert cli.main(words) == 2, "the last day that is over holds no decision"
    assert cli.main(["loop", str(tmp_path), "--log", str(mine.log), "--date", "2025-03-13"]) == 2
    assert "--date takes a date" in capsys.readouterr().err
