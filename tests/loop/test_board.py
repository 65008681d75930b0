"""What the board makes of days that were really lived."""

from __future__ import annotations

import datetime

import pyarrow.parquet as pq
import pytest

from jumar.board import Reader, gather, render
from jumar.board.view import Board
from jumar.loop.folders import Folders

from .conftest import DAYS, Story
from .town import morning


@pytest.fixture(scope="module")
def board(story: Story) -> Board:
    return gather(Reader(story.root / "registry").read(), morning(DAYS))


def test_rewards_and_rates_are_those_of_the_decisions_that_were_counted(story: Story, board: Board) -> None:
    folders = Folders(story.root / "registry/loop")
    for day in board.days:
        rows = pq.read_table(folders.counted(day.date)).to_pydict()
        assert day.counted == len(rows["reward"])
        assert day.reward == pytest.approx(sum(rows["reward"]) / len(rows["reward"]))
        assert day.shares == {
            action: pytest.approx(rows["action"].count(action) / len(rows["action"])) for action in ("a", "b")
        }


def test_both_releases_are_told_with_what_certified_them_and_what_came_of_them(story: Story, board: Board) -> None:
    assert (board.unread, board.notices) == ([], [])
    second, first = board.policies
    assert [(one.role, one.attempt, one.days) for one in (first, second)] == [
        ("previous", "d20250304", 5),
        ("production", "d20250307", 1),
    ]
    for one in (first, second):
        assert one.certified is not None
        assert one.certified.passed
        assert one.certified.lower_bound > 0
        assert one.deviation is not None
        assert 0.1 < one.deviation.changed < 1.0
        assert one.served is not None
    assert first.served is not None
    assert (first.served.days_before, first.served.days_after) == (3, 5)
    assert first.canary is None
    assert second.canary is not None
    assert second.canary.date == datetime.date(2025, 3, 10)
    assert second.canary.at_least < second.canary.change < second.canary.at_most
    assert second.canary.change > 0
    assert board.canary is not None
    assert (board.canary.outcome, board.canary.running) == ("done", False)


def test_the_page_tells_it(board: Board) -> None:
    page = render(board)
    assert "Release 2 decides, certified to bring at least" in page
    assert "Nothing asks for your attention." in page
    assert "2 of 4 attempts left" in page
