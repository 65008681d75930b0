"""Pictures: marks at places worked out by hand, words escaped, every figure within the frame."""

from __future__ import annotations

import datetime
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from jumar.board import pictures
from jumar.board.view import DayView, WalkLook, WatchView
from jumar.release.watch import WatchDay
from jumar.report import words

MONDAY = datetime.date(2026, 3, 2)
DAY = datetime.timedelta(days=1)


def a_day(k: int, reward: float | None = None, production: str = "p", **shares: float) -> DayView:
    return DayView(
        date=MONDAY + k * DAY, production=production, challenger=None, opened="", complete=True, attention=False,
        counted=10, reward=reward, shares=shares, steps=[],
    )  # fmt: skip


def look(k: int, capital: float, estimate: float = 0.1, least: float = -0.1) -> WalkLook:
    return WalkLook(
        date=MONDAY + k * DAY, rows=100 * (k + 1), log_capital=capital, estimate=estimate, lower_bound=least
    )


def test_a_frame_puts_data_on_pixels() -> None:
    frame = pictures.Frame(200, 100, (10, 20), (0, 4), left=50, right=10, top=10, bottom=20)
    assert [frame.at(10), frame.at(15), frame.at(20)] == [50, 120, 190]
    assert [frame.up(0), frame.up(1), frame.up(4)] == [80, 62.5, 10]
    assert (frame.up(-9), frame.up(9)) == (80, 10)


def test_the_seven_day_mean_looks_back_and_never_ahead() -> None:
    drawn = pictures.rewards([a_day(k, 7.0 if k == 7 else 0.0) for k in range(16)], [], 400)
    assert drawn is not None
    main = re.search(r'<path class="main" d="M([^"]+)"', drawn)
    assert main is not None
    heights = [float(point.split()[1]) for point in main[1].split("L")]
    assert len(heights) == 16
    assert len({heights[k] for k in range(7)}) == 1
    assert len({heights[k] for k in range(7, 14)}) == 1
    assert heights[7] < heights[0] == heights[14]


def test_a_long_gap_breaks_the_line() -> None:
    drawn = pictures.rewards([a_day(k, 1.0) for k in (0, 1, 2, 20, 21)], [], 400)
    assert drawn is not None
    assert drawn.count('class="main"') == 2
    assert drawn.count('class="dot"') == 5


def test_another_policy_begins_another_line_with_a_mean_of_its_own() -> None:
    days = [a_day(k, 1.0, "old") for k in range(5)] + [a_day(k, 3.0, "new") for k in range(5, 9)]
    drawn = pictures.rewards(days, [], 400)
    assert drawn is not None
    lines = re.findall(r'class="main" d="M([^"]+)"', drawn)
    heights = [{point.split()[1] for point in line.split("L")} for line in lines]
    assert [line.count("L") + 1 for line in lines] == [5, 4]
    assert [len(height) for height in heights] == [1, 1]
    assert heights[0] != heights[1]


def test_columns_of_actions_fill_the_day() -> None:
    days = [a_day(0, None, a=0.5, b=0.3, c=0.2), a_day(1, None, a=1.0)]
    drawn = pictures.rates(days, ["a", "b", "c"], 400)
    assert drawn is not None
    rects = re.findall(r'class="(c\d)" x="([\d.]+)" y="([\d.]+)" width="[\d.]+" height="([\d.]+)"', drawn)
    tall = 224 - 8 - 24
    assert [(kind, round(float(height) / tall, 3)) for kind, _, _, height in rects] == [
        ("c0", 0.5), ("c1", 0.3), ("c2", 0.2), ("c0", 1.0),
    ]  # fmt: skip
    assert float(rects[1][2]) + float(rects[1][3]) == pytest.approx(float(rects[0][2]), abs=0.02)


def test_many_actions_share_the_last_colour() -> None:
    day = a_day(0, None, "p", **{f"a{k}": (10 - k) / 55 for k in range(10)})
    actions = pictures.leading([day])
    assert actions == ["a0", "a1", "a2", "a3", "a4", "others"]
    assert pictures.part_of(day, "others", actions) == pytest.approx(sum(range(1, 6)) / 55)
    assert pictures.leading([a_day(0, None, b=0.4, a=0.6)]) == ["a", "b"]


def test_evidence_reaches_its_goal_on_the_line() -> None:
    drawn = pictures.evidence([look(0, 1.0), look(1, 5.0)], 5.0)
    assert drawn is not None
    goal = re.search(r'class="goal" d="M56 ([\d.]+)H', drawn)
    end = re.search(r'class="main end" cx="([\d.]+)" cy="([\d.]+)"', drawn)
    assert goal is not None
    assert end is not None
    assert goal[1] == end[2]


def test_one_look_is_a_dot_and_none_is_nothing() -> None:
    scale = words.Scale(1.0)
    one = pictures.gains([look(0, 1.0)], scale)
    assert one is not None
    assert 'class="main end"' in one
    assert 'class="main" d=' not in one
    assert pictures.gains([], scale) is pictures.evidence([], 1.0) is pictures.rewards([a_day(0)], [], 400) is None
    assert pictures.rates([a_day(0)], [], 400) is None


def test_a_lower_bound_far_below_does_not_flatten_the_estimate() -> None:
    drawn = pictures.gains(
        [look(0, 0.0, 0.1, -1e9), look(1, 0.0, 0.1, -0.1), look(2, 0.0, 0.1, -0.05)], words.Scale(1.0)
    )
    assert drawn is not None
    bound = re.search(r'class="bound" d="M([^"]+)"', drawn)
    assert bound is not None
    assert bound[1].count("L") == 1


@pytest.mark.parametrize("days", [1, 2, 8, 30, 60, 139, 366, 1000])
@pytest.mark.parametrize("width", [344, 760])
def test_dates_stay_apart_and_inside(days: int, width: int) -> None:
    drawn = pictures.rewards([a_day(k, float(k % 5)) for k in range(days)], [(MONDAY, "1"), (MONDAY + DAY, "2")], width)
    assert drawn is not None
    found = re.findall(r'<text class="tick" x="([\d.]+)" y="283.0" text-anchor="middle">([^<]+)<', drawn)
    assert found
    edges = [(float(x) - 6.4 * len(said) / 2, float(x) + 6.4 * len(said) / 2) for x, said in found]
    assert all(b[0] > a[1] for a, b in pairwise(edges))
    assert edges[-1][1] <= width


def test_every_word_is_escaped_and_the_picture_is_well_formed() -> None:
    changes = [(MONDAY, "<b>&\"'")]
    drawn = pictures.rewards([a_day(0, 1.0), a_day(1, 2.0)], changes, 400)
    assert drawn is not None
    assert "<b>" not in drawn
    texts = [one.text for one in ElementTree.fromstring(drawn).iter("text")]
    assert "<b>&\"'" in texts


def test_harm_has_a_line_for_each_metric() -> None:
    days = [
        WatchDay(
            date=MONDAY + k * DAY,
            day=k,
            decision="wait",
            reasons=[],
            rows=1,
            log_harm=[0.1 * k, -k],
            at_least=[],
            needs=3.0,
        )
        for k in range(3)
    ]
    watch = WatchView(current="a", previous="b", outcome="open", metrics=["reward", "late"], days_planned=28, days=days)
    drawn = pictures.harm(watch)
    assert drawn is not None
    assert ('class="l0" d=' in drawn, 'class="l1" d=' in drawn) == (True, True)


def test_an_interval_is_cut_at_its_axis() -> None:
    drawn = pictures.interval(-9.0, 0.5, (-1.0, 1.0), point=0.0, width=206)
    assert 'class="range thin " d="M3.0 11H153.0"' in drawn
    assert 'cx="103.0"' in drawn
