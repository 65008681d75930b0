"""The budget of a year, the one file that decides, and the lock."""

from __future__ import annotations

import datetime
from pathlib import Path

import msgspec
import pytest

from jumar.errors import OptionError
from jumar.release import Attempt, Ledger, ReleaseError
from jumar.release import ledger as books

NOON = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


def attempt(name: str, opened: datetime.datetime) -> Attempt:
    return Attempt(name=name, alpha=0.001 / 3, opened_at=opened, opened_by="me", manifest_sha256="", policy_sha256="")


def ledger(*days_ago: float) -> Ledger:
    rows = [attempt(f"c{i}", NOON - days * DAY) for i, days in enumerate(days_ago)]
    return msgspec.structs.replace(books.empty_ledger(0.999, 3), rows=rows)


@pytest.mark.parametrize(("confidence", "attempts"), [(0.999, 52), (0.99, 365), (0.95, 1), (1 - 1e-9, 366)])
def test_the_shares_add_up_to_the_budget_and_no_more(confidence: float, attempts: int) -> None:
    total = attempts * books.share_of(confidence, attempts)
    assert total == pytest.approx(1 - confidence, rel=1e-6)
    assert total <= (1 - confidence) * (1 + 1e-6)


def test_an_attempt_too_many_within_a_year_is_refused() -> None:
    books.admit(ledger(), 0.999, 3, NOON)
    books.admit(ledger(10, 20), 0.999, 3, NOON)
    books.admit(ledger(10, 20, 365), 0.999, 3, NOON)  # the third is a year old today
    with pytest.raises(ReleaseError, match="All 3 attempts of the last 365 days are spent"):
        books.admit(ledger(10, 20, 364.99), 0.999, 3, NOON)


def test_the_refusal_says_when_the_next_one_is_free() -> None:
    full = ledger(300, 200, 100)
    with pytest.raises(ReleaseError, match="2026-08-05 12:00:00 UTC"):
        books.admit(full, 0.999, 3, NOON)
    free = datetime.datetime(2026, 8, 5, 12, tzinfo=datetime.UTC)
    books.admit(full, 0.999, 3, free)
    with pytest.raises(ReleaseError):
        books.admit(full, 0.999, 3, free - datetime.timedelta(seconds=1))


def test_no_window_of_a_year_ever_holds_more_than_planned() -> None:
    """Open whenever it is allowed, for six years: brute force over all windows."""
    book = books.empty_ledger(0.9, 4)
    for week in range(6 * 52):
        now = NOON + week * 7 * DAY
        try:
            books.admit(book, 0.9, 4, now)
        except ReleaseError:
            continue
        book = books.with_row(book, attempt(f"w{week}", now))
    opened = [row.opened_at for row in book.rows]
    assert len(opened) >= 20
    for start in opened:
        assert sum(start <= one < start + 365 * DAY for one in opened) <= 4


def test_all_challengers_share_one_budget() -> None:
    for other in ((0.99, 3), (0.999, 4)):
        with pytest.raises(ReleaseError, match=r"--confidence 0.999 --attempts 3"):
            books.admit(ledger(), *other, NOON)


@pytest.mark.parametrize("budget", [(1.0, 52), (0.3, 52), (0.999, 0), (0.999, 1000), (float("nan"), 5)])
def test_budgets_that_are_none(budget: tuple[float, int]) -> None:
    with pytest.raises(OptionError, match=r"--confidence|--attempts"):
        books.checked_budget(*budget)


def test_a_ledger_reads_back_and_a_changed_one_is_refused(tmp_path: Path) -> None:
    assert books.read_ledger(tmp_path) is None
    book = ledger(10, 20)
    books.write_ledger(tmp_path, book)
    assert books.read_ledger(tmp_path) == book
    path = tmp_path / "ledger.json"
    path.write_text(path.read_text().replace('"open"', '"passed"', 1))
    with pytest.raises(ReleaseError, match="changed by hand"):
        books.read_ledger(tmp_path)
    path.write_text("{")
    with pytest.raises(ReleaseError, match="cannot be read"):
        books.read_ledger(tmp_path)


def test_a_row_is_replaced_by_name_and_keeps_its_place() -> None:
    book = ledger(30, 20, 10)
    closed = msgspec.structs.replace(book.rows[1], outcome="closed")
    assert [row.outcome for row in books.with_row(book, closed).rows] == ["open", "closed", "open"]
    assert [row.name for row in books.with_row(book, attempt("new", NOON)).rows] == ["c0", "c1", "c2", "new"]


def test_names_are_numbered_when_taken() -> None:
    assert books.free_name("x", ledger(1)) == "x"
    assert books.free_name("c0", ledger(1)) == "c0-2"
    assert books.free_name("c0", books.with_row(ledger(1), attempt("c0-2", NOON))) == "c0-3"


def test_the_second_process_waits_and_then_is_refused(tmp_path: Path) -> None:
    with (
        books.locked(tmp_path, 0.0),
        pytest.raises(ReleaseError, match="Another process is writing"),
        books.locked(tmp_path, 0.2),
    ):
        pass
    with books.locked(tmp_path, 0.0):
        pass


def test_moments_in_words() -> None:
    assert books.moment(NOON) == "2026-06-01 12:00:00 UTC"
    assert books.moment(NOON.replace(microsecond=5, tzinfo=None)) == "2026-06-01 12:00:00.000005 UTC"
