"""From documents to the board, held against what the documents say and figures worked out by hand."""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from board_days import canary, watch
from board_kit import board_of, populated
from board_papers import ALPHA, NOW, V, at, certificate, record, steps, write_registry, write_version

from jumar.board.gathered import gather
from jumar.board.reading import Documents, Reader
from jumar.board.view import Board
from jumar.evaluate.certificate import ClaimResult
from jumar.loop.documents import STEPS, Day, LoopConfig, Step
from jumar.release import Aliases, Attempt, Ledger, Look, RegistryRecord
from jumar.release.documents import YEAR

DAY = datetime.timedelta(days=1)
MONDAY = datetime.date(2026, 3, 2)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    return board_of(populated(tmp_path_factory.mktemp("board") / "registry"))


def history(*given: dict[str, Any]) -> list[RegistryRecord]:
    rest = {"format": 1, "previous_sha256": "", "token": "", "jumar_version": ""}
    return [RegistryRecord(number=number, **rest | fields) for number, fields in enumerate(given, 1)]


def documents(trail: list[RegistryRecord], **more: Any) -> Documents:
    return Documents(registry="r", state=trail[-1] if trail else None, history=trail, **more)


def a_day(k: int, production: str, reward: float | None, counted: float = 100.0, **more: Any) -> Day:
    figures = {"counted": counted} | ({} if reward is None else {"reward": reward})
    given: dict[str, Any] = {"challenger": None, "record": 0, "config": LoopConfig(), "jumar_version": ""}
    joined = Step(name="join", said=["x"], figures=figures)
    done = [joined, *(Step(name=name, said=["x"]) for name in STEPS[1:])]
    return Day(format=1, date=MONDAY + k * DAY, production=production, steps=done, **given | more)


# policies


def test_releases_are_in_the_order_in_which_they_were_let_in_the_latest_first(board: Board) -> None:
    assert [(one.number, one.version, one.role) for one in board.policies] == [
        (4, V[3], "challenger"),
        (3, V[2], "taken back"),
        (2, V[1], "production"),
        (1, V[0], "previous"),
    ]
    assert board.production is board.policies[2]
    assert [one.record for one in board.policies] == [8, 6, 2, 1]


def test_what_was_rolled_back_or_replaced_says_so() -> None:
    one, two, three = V[:3]
    trail = history(
        record("promote", one, Aliases(production=one), at(3, 1), "x"),
        record("promote", two, Aliases(production=two, previous=one), at(3, 2), "x"),
        record("rollback", one, Aliases(production=one), at(3, 3), "x"),
        record("promote", three, Aliases(production=three, previous=one), at(3, 4), "x"),
    )
    roles = {one.version: one.role for one in gather(documents(trail), NOW).policies}
    assert roles == {three: "production", two: "rolled back", one: "previous"}
    later = history(*steps()[:1], record("promote", two, Aliases(production=two), at(5, 1), "x"))
    assert [one.role for one in gather(documents(later), NOW).policies] == ["production", "replaced"]


def test_the_certified_gain_is_that_of_the_last_look_of_the_gate(board: Board) -> None:
    gain = board.policies[2].certified
    last = next(one for one in board.challengers if one.name == "d20260508").walk[-1]
    assert gain is not None
    assert (gain.source, gain.passed, gain.rows) == ("gate", True, 185_760)
    assert (gain.estimate, gain.lower_bound) == (last.estimate, last.lower_bound)
    assert gain.confidence == pytest.approx(1 - ALPHA)


def test_without_a_gate_it_is_that_of_the_certificate(tmp_path: Path) -> None:
    write = record("promote", V[0], Aliases(production=V[0]), at(3, 1), "x", certificate_sha256="y", alpha=0.1)
    root = tmp_path / "registry"
    root.mkdir()
    write_registry(root, [write], versions=0)
    write_version(root, 0, certificate(0.003, 0.001, 0.2, 0.1))
    found = board_of(root).policies[0]
    assert found.certified is not None
    assert found.certified.source == "certificate"
    assert (found.certified.estimate, found.certified.lower_bound, found.certified.confidence) == (0.003, 0.001, 0.9)
    assert found.deviation is not None
    assert (found.deviation.changed, found.deviation.kl) == (0.2, 0.1)


def test_the_deviation_of_a_release_of_the_loop_is_that_of_the_run_it_was_learned_in(board: Board) -> None:
    deviations = [one.deviation for one in board.policies]
    assert [one and (one.changed, one.kl) for one in deviations] == [
        (0.09, 0.05),
        (0.21, 0.16),
        (0.12, 0.07),
        (0.18, 0.11),
    ]


def test_what_a_canary_showed_belongs_to_the_version_that_served_the_day_before(board: Board) -> None:
    changes = [one.canary and (one.canary.date.isoformat(), one.canary.change) for one in board.policies]
    assert changes == [("2026-07-18", 0.0093), ("2026-06-30", -0.0038), ("2026-06-02", 0.0093), None]


def test_before_and_after_weigh_days_by_their_decisions() -> None:
    days = [
        a_day(0, "old", 1.0, 100),
        a_day(1, "old", 2.0, 300),
        a_day(2, V[0], 4.0),
        a_day(3, V[0], None),
        a_day(4, V[0], 6.0),
    ]
    trail = history(record("promote", V[0], Aliases(production=V[0]), at(3, 3), "x"))
    served = gather(documents(trail, days=days), NOW).policies[0].served
    assert served is not None
    assert (served.before, served.after) == (1.75, 5.0)
    assert (served.days_before, served.days_after) == (2, 2)


def test_before_and_after_look_at_fourteen_days_and_at_the_policy_just_before() -> None:
    days = [a_day(k, "older", 9.0) for k in range(3)] + [a_day(k, "old", 2.0 + (k < 6)) for k in range(3, 20)]
    days += [a_day(k, V[0], 3.0 + 5 * (k >= 34)) for k in range(20, 40)]
    trail = history(record("promote", V[0], Aliases(production=V[0]), at(3, 22), "x"))
    served = gather(documents(trail, days=days), NOW).policies[0].served
    assert served is not None
    assert (served.before, served.after, served.days_before, served.days_after) == (2.0, 3.0, 14, 14)


def test_a_first_day_has_nothing_before_it() -> None:
    trail = history(record("promote", V[0], Aliases(production=V[0]), at(3, 1), "x"))
    assert gather(documents(trail, days=[a_day(0, V[0], 1.0)]), NOW).policies[0].served is None


# the gates


def test_challengers_tell_their_walk_and_what_they_need(board: Board) -> None:
    first = board.challengers[0]
    assert [one.name for one in board.challengers][:3] == ["by-hand", "d20260705", "d20260618"]
    assert (first.outcome, first.rows, first.rows_planned, first.rows_most) == ("open", 139_320, 140_000, 280_000)
    assert first.needs == pytest.approx(math.log(52 / 0.001))
    assert first.closest == pytest.approx(first.walk[-1].log_capital / first.needs)
    assert [look.rows for look in first.walk] == [15_480 * k for k in range(1, 10)]
    assert first.promise is None
    assert board.challengers[1].promise is not None
    assert board.challengers[1].against == V[1]


def test_the_ledger_counts_what_the_last_365_days_spent() -> None:
    rows = [
        Attempt(
            name=f"a{k}",
            alpha=1e-4,
            opened_at=NOW - YEAR + k * DAY,
            opened_by="x",
            manifest_sha256="",
            policy_sha256="",
        )
        for k in range(-2, 3)
    ]
    ledger = Ledger(format=1, confidence=0.999, attempts=10, rows=rows)
    found = gather(documents([], ledger=ledger), NOW).ledger
    assert found is not None
    assert (found.spent, found.left, len(found.rows)) == (2, 8, 5)
    assert found.alpha == pytest.approx(0.001)
    assert found.alpha_spent == pytest.approx(0.0002)
    assert found.alpha_left == pytest.approx(0.0008)
    assert found.next_free == NOW + DAY


# guardrails


def look_with(better: str, estimate: float, least: float, change: float) -> Look:
    claim = ClaimResult(
        kind="metric", metric="late", better=better, margin=0.1, most=None, required=True, claim="x", production=2.0,  # type: ignore[arg-type]
        change=change, estimate=estimate, lower_bound=least, log_capital=1.0, verdict="failed",
    )  # fmt: skip
    return Look(
        number=1, at=NOW, source="x", rows=1, left_out=0, first=NOW, last=NOW, content_sha256="", rows_so_far=1,
        log_capital=1.0, estimate=0.0, lower_bound=0.0, production_value=1.0, claims=[claim],
        verdict="refused", reasons=[],
    )  # fmt: skip


@pytest.mark.parametrize(("better", "bound"), [("lower", 0.35), ("higher", -0.25)])
def test_a_guardrail_of_the_gate_is_bounded_on_its_worse_side(better: str, bound: float) -> None:
    # 'lower': 1.1·2.0 − C(new) = 0.15 and at least −0.15, so that C(new) is at most 2.35: a change of 0.35 at worst.
    row = Attempt(name="one", alpha=0.1, opened_at=NOW, opened_by="x", manifest_sha256="", policy_sha256="", looks=1)
    ledger = Ledger(format=1, confidence=0.9, attempts=1, rows=[row])
    looks = {"one": [look_with(better, 0.15, -0.15, 0.05)]}
    (found,) = gather(documents([], ledger=ledger, looks=looks), NOW).guardrails
    assert (found.metric, found.where, found.state) == ("late", "gate, one", "open")
    assert found.bound == pytest.approx(bound)


def test_guardrails_come_from_gate_canary_and_watch(board: Board) -> None:
    assert [(one.where, one.state) for one in board.guardrails] == [
        ("gate, by-hand", "open"),
        ("canary", "no harm"),
        ("watch", "no harm"),
    ]
    harmed = watch()
    last = msgspec.structs.replace(harmed.days[-1], log_harm=[0.0, harmed.days[-1].needs])
    harmed = msgspec.structs.replace(harmed, days=[*harmed.days[:-1], last])
    assert [one.state for one in gather(documents([], watch=harmed), NOW).guardrails] == ["harm"]


# what asks for a person


def told(found: Documents, now: datetime.datetime = NOW) -> list[tuple[str, str]]:
    return [(one.level, one.what) for one in gather(found, now).notices]


def test_the_story_asks_for_two_looks(board: Board) -> None:
    assert [(one.level, one.at, one.what) for one in board.notices] == [
        ("warn", None, f"The canary of {V[3]} is not going well"),
        ("warn", datetime.date(2026, 7, 16), "The step 'audit' asks for a look"),
    ]


def test_nothing_is_told_where_all_is_well() -> None:
    trail = history(record("promote", V[0], Aliases(production=V[0]), at(3, 1), "x"))
    days = [a_day(0, V[0], 1.0)]
    assert told(documents(trail, days=days), at(3, 4, 5)) == []


def test_rollbacks_are_told_for_a_week() -> None:
    one, two = V[:2]
    trail = history(
        record("promote", one, Aliases(production=one), at(7, 1), "x"),
        record("promote", two, Aliases(production=two, previous=one), at(7, 2), "x"),
        record("rollback", one, Aliases(production=one), at(7, 14), "Watch: worse"),
    )
    assert told(documents(trail)) == [("bad", f"Rolled back to {one}")]
    assert told(documents(trail), NOW + 3 * DAY) == []


def test_what_was_forced_is_told_as_long_as_it_decides() -> None:
    one, two = V[:2]
    forced = record("promote", one, Aliases(production=one), at(3, 1), "trust me", forced=True, alpha=None)
    assert told(documents(history(forced))) == [("warn", f"Nothing certifies {one}, which decides")]
    after = record("promote", two, Aliases(production=two, previous=one), at(3, 2), "x")
    assert told(documents(history(forced, after))) == []


def test_a_loop_that_stands_still_and_a_day_that_was_cut_off_are_told() -> None:
    trail = history(record("promote", V[0], Aliases(production=V[0]), at(3, 1), "x"))
    days = [a_day(0, V[0], 1.0)]
    # With a wait of a day the 3rd can be run from the 5th on; a day's grace later it is missed.
    assert told(documents(trail, days=days), datetime.datetime(2026, 3, 5, 23, tzinfo=datetime.UTC)) == []
    late = told(documents(trail, days=days), datetime.datetime(2026, 3, 6, 0, 1, tzinfo=datetime.UTC))
    assert late == [("warn", "No day was finished after 2026-03-02")]
    cut = a_day(1, V[0], 1.0)
    cut = msgspec.structs.replace(cut, steps=cut.steps[:3])
    assert told(documents(trail, days=[*days, cut]), at(3, 5)) == [("warn", "The day is not complete")]


def test_a_ledger_that_runs_out_is_told() -> None:
    row = Attempt(name="one", alpha=0.05, opened_at=NOW - DAY, opened_by="x", manifest_sha256="", policy_sha256="")
    ledger = Ledger(format=1, confidence=0.9, attempts=1, rows=[row])
    assert told(documents([], ledger=ledger)) == [("warn", "All attempts are spent")]


def test_a_canary_that_nears_harm_is_told_only_while_it_runs() -> None:
    trail = history(*steps())
    assert ("warn", f"The canary of {V[3]} is not going well") in told(documents(trail, canary=canary()))
    ended = history(*steps(), record("abandon", V[3], Aliases(production=V[1]), at(3, 1), "x"))
    assert not any("canary of" in what for _, what in told(documents(ended, canary=canary())))


def test_a_watch_that_nears_a_rollback_is_told() -> None:
    seen = watch()
    last = msgspec.structs.replace(seen.days[10], log_harm=[0.6 * seen.days[10].needs, 0.0])
    going = msgspec.structs.replace(seen, outcome="open", days=[*seen.days[:10], last])
    assert told(documents(history(*steps()[:1]), watch=going)) == [("warn", f"{V[1]} may be worse than {V[0]}")]
    assert told(documents(history(*steps()[:1]), watch=seen)) == []


def test_the_board_becomes_json_and_comes_back(board: Board) -> None:
    assert msgspec.json.decode(msgspec.json.encode(board), type=Board) == board


def test_an_address_without_gates_or_loop_is_read_as_well() -> None:
    pytest.importorskip("fsspec")
    import uuid

    from jumar.release import Registry

    url = f"memory://{uuid.uuid4().hex}/registry"
    Registry.create(url)
    found = gather(Reader(url).read(), NOW)
    assert (found.notices, found.unread, found.ledger, found.folder) == ([], [], None, "")
    assert found.state is not None
