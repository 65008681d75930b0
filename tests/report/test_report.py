"""The report: true sentences, nothing breaks out, nothing overlaps, one file that needs no other."""

from __future__ import annotations

import html
import json
import re
import time
from io import StringIO
from pathlib import Path

import msgspec
import pytest
import report_runs as runs
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from jumar.errors import OutputError
from jumar.evaluate.certificate import RunSummary, WalkPoint
from jumar.report import charts, findings_table, render, verdict_panel, walk_table, words, write

PAGES = {name: make() for name, make in runs.ALL.items()}


def with_walk(walk: list[WalkPoint]) -> RunSummary:
    return msgspec.structs.replace(runs.certified(), walk=walk)


# Numbers for people


@pytest.mark.parametrize(
    ("value", "nearest", "down"),
    [
        (0.0764, "+7.6%", "+7.6%"),
        (0.0527, "+5.3%", "+5.2%"),
        (-0.0311, "−3.1%", "−3.2%"),
        (0.052, "+5.2%", "+5.2%"),
        (0.00604, "+0.60%", "+0.60%"),
        (0.0000312, "+0.0031%", "+0.0031%"),
        (1e-9, "0.0000%", "0.0000%"),
        (0.0, "0%", "0%"),
        (12.345, "+1,234%", "+1,234%"),
        (float("nan"), "–", "–"),
        (float("-inf"), "–", "–"),
        (None, "–", "–"),
    ],
)
def test_percent_rounds_a_lower_bound_down(value: float | None, nearest: str, down: str) -> None:
    assert words.percent(value) == nearest
    assert words.percent(value, down=True) == down


@given(st.floats(-5, 5, allow_nan=False))
def test_a_printed_lower_bound_is_never_above_the_true_one(bound: float) -> None:
    for text, unit in ((words.percent(bound, down=True), 100), (words.amount(bound, down=True), 1)):
        if "e" not in text:
            printed = float(re.sub(r"[%+,]", "", text).replace("−", "-")) / unit
            assert printed <= bound + 1e-10


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.312, "31%"),
        (0.0312, "3.1%"),
        (0.0031, "0.31%"),
        (1e-6, "<0.01%"),
        (0.0, "0%"),
        (1.0, "100%"),
        (0.999, "<100%"),
    ],
)
def test_share(value: float, text: str) -> None:
    assert words.share(value) == text


def test_other_figures() -> None:
    assert words.count(1_234_567) == "1,234,567"
    assert words.amount(0.012345) == "0.0123"
    assert words.amount(-1234.5, signed=True) == "−1,234"
    assert words.amount(3e-9) == "3.00e−09"
    assert words.plain(1.0) == "1"
    assert words.plural(1, "unit") == "1 unit"
    assert words.plural(2_000, "unit") == "2,000 units"
    assert [words.duration(s) for s in (0.42, 12.4, 75, 60, 3_725)] == [
        "0.4 s", "12 s", "1 min 15 s", "1 min", "1 h 2 min 5 s",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("confidence", "level", "odds"),
    [
        (0.999, "99.9%", ("1", "1,000")),
        (0.9999, "99.99%", ("1", "10,000")),
        (0.95, "95%", ("1", "20")),
        (0.97, "97%", ("3", "100")),
    ],
)
def test_confidence_as_a_frequency(confidence: float, level: str, odds: tuple[str, str]) -> None:
    assert words.level(confidence) == level
    assert words.odds(confidence) == odds


def test_clean_takes_escapes_and_direction_out_and_keeps_scripts() -> None:
    assert words.clean(runs.TURNED) == "�evil�[31m� naïve 日本語 🧗🏽\u200d♀️"
    assert words.clean("a\n\tb  c") == "a b c"
    assert words.clean("\ud800") == "�"
    assert words.clean("x" * 500, 10) == "x" * 9 + "…"


# Sentences


def test_headlines() -> None:
    assert words.headline(runs.certified().certificate) == (
        "The new policy is better than production: +7.6% value, at least +5.2% with 99.9% confidence, "
        "by changing 31% of decisions."
    )
    assert words.headline(runs.refused().certificate) == (
        "Production stays: no new policy earned a certificate with 99.9% confidence."
    )
    assert words.headline(runs.blocked().certificate) == (
        "Production stays: an audit stands in the way of a certificate with 99.9% confidence."
    )
    assert words.headline(runs.conditional().certificate).startswith(
        "If the estimated propensities are right, the new policy is better than production: "
    )


def test_a_bound_that_does_not_exclude_zero_is_not_called_better() -> None:
    certificate = msgspec.structs.replace(runs.certified().certificate, lower_bound=-0.0001)
    sentence = words.headline(certificate)
    assert sentence.startswith("The new policy is not worse than production with 99.9% confidence: +7.6% value")
    assert "at least" not in sentence


def test_without_a_positive_production_value_gains_are_in_reward_units() -> None:
    assert "+0.00393" in words.headline(runs.crowded().certificate)
    assert "%" not in words.Scale(-1.0).show(0.5)


def test_what_would_be_enough_is_said_once_and_only_if_more_rows_would_help() -> None:
    certificate = runs.refused().certificate
    assert words.enough(certificate) == (
        "About 2,840,000 decisions to judge on would be enough, 19 times the 150,122 judged here."
    )
    for change in (
        {"reasons": ["about 2,840,000 gate rows would be enough"]},
        {"rows_needed": 150_122},
        {"rows_needed": None},
        {"verdict": "certified"},
    ):
        assert words.enough(msgspec.structs.replace(certificate, **change)) is None


def test_the_condition_is_said_once() -> None:
    certificate = runs.conditional().certificate
    assert words.condition(certificate) == (
        "The verdict holds if production's true probabilities are at most 10% above the estimates "
        "where the policy deviates, and not above them elsewhere."
    )
    none = msgspec.structs.replace(certificate, gamma=0.0)
    assert "nowhere above" in str(words.condition(none))
    told = msgspec.structs.replace(certificate, reasons=["Propensities were estimated, not logged."])
    assert words.condition(told) is None
    assert words.condition(runs.certified().certificate) is None


# The page


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_the_same_twice_small_and_refers_to_nothing(name: str) -> None:
    page = render(PAGES[name])
    assert page == render(runs.ALL[name]())
    assert len(page.encode("utf-8")) < 200_000
    assert "http:" not in page
    assert "https:" not in page
    assert not re.search(r"<(script|iframe|object|embed|img|base|form)\b", page)
    assert set(re.findall(r"""(?:src|href)=["']?([^"' >]*)""", html_only(page))) == {"data:,"}
    assert set(re.findall(r"url\(([^)]*)\)", page)) <= {"#hatch"}
    assert "default-src 'none'" in page
    assert "None" not in visible(page).replace("None in this run", "")
    assert "nan" not in visible(page).split()


def html_only(page: str) -> str:
    """The tags of a page without its text."""
    return " ".join(re.findall(r"<[^>]*>", page))


def visible(page: str) -> str:
    """The text of a page without its tags."""
    body = page[page.index("<body>") :]
    return html.unescape(re.sub(r"<[^>]*>", " ", body))


def test_the_certified_page_says_what_was_found() -> None:
    text = visible(render(runs.certified()))
    for words_in_order in (
        "Certified", "+7.6%", "+5.2%", "31%", "chosen", "production", "not tested", "requests_waiting",
        "Côte d’Ivoire", "yes, within ±0.5%", "at most 1 would be given", "of 1,000 runs",
        "150,122 decisions of 48,077 units", "0 to 1", "300,000", "9f2c9f2c", "41ab41ab", "0.1.0",
    ):  # fmt: skip
        assert words_in_order in text


def test_the_refused_page_says_why_and_what_would_be_enough() -> None:
    text = visible(render(runs.refused()))
    assert "Why it was refused" in text
    assert "2,840,000" in text
    assert "Could be as low as" in text
    assert "lower bound lies below the chart" in text
    assert "What changes" not in text


def test_two_hundred_actions_are_cut_to_the_largest_twelve_and_the_others() -> None:
    text = visible(render(runs.crowded()))
    assert "188 others together" in text
    assert "article 199 about something" in text
    assert "article 100 about something" not in text


def test_hostile_names_stay_text() -> None:
    page = render(runs.crowded())
    assert "&lt;script&gt;document.title=" in page
    assert "<script" not in page.lower()
    assert not re.search(r"<[^>]*\sonerror", page)
    assert "49" not in re.findall(r"&amp;(\S{0,6})", page)
    assert not set("\x00\x1b\u202e") & set(page)


@pytest.mark.parametrize(
    "walk",
    [
        [runs.point(0.0, 0.0, 0.0)],
        [runs.point(0.1, -0.02, -0.5, "failed")],
        [runs.point(0.1, 0.01, float("-inf"), "not tested"), runs.point(0.2, 0.02, -4e9, "not tested")],
        [runs.point(0.1, 0.01, 0.001), runs.point(0.1, 0.01, 0.001, released=True)],
        [runs.point(0.1, float("nan"), float("nan"), "failed")],
        [runs.point(1.0, 3e6, 1e6, released=True)],
        [runs.point(1e-9, 1e-12, 1e-13, released=True)],
    ],
)
def test_odd_walks_are_drawn(walk: list[WalkPoint]) -> None:
    page = render(with_walk(walk))
    drawing = page[page.index('<div class="wide">') : page.index("<figcaption>")]
    assert "NaN" not in drawing
    assert "Infinity" not in drawing
    assert "undefined" not in drawing


@given(
    st.floats(-1e3, 1e3, allow_nan=False).map(lambda x: round(x, 6)),
    st.floats(1e-6, 1e3, allow_nan=False),
    st.integers(2, 8),
)
def test_ticks_cover_the_range_with_few_round_steps(low: float, width: float, about: int) -> None:
    found, step = charts.ticks(low, low + width, about)
    assert found[0] <= low + 1e-6 * step
    assert found[-1] >= low + width - 1e-6 * step
    assert 2 <= len(found) <= about + 3


def test_the_drawing_marks_what_was_refused_and_what_was_chosen() -> None:
    spec = charts.walk_chart(runs.walk(), words.Scale(0.0517)).to_dict()
    text = json.dumps(spec)
    assert '"text": "+7.6%, at least +5.2%"' in text
    assert "url(#hatch)" in text
    stretches = charts._refused(
        [
            {"x": 0.1, "verdict": "passed"},
            {"x": 0.2, "verdict": "failed"},
            {"x": 0.4, "verdict": "not tested"},
        ],
        0.5,
    )
    assert stretches == [{"a": pytest.approx(0.15), "b": 0.5}]


def test_a_page_takes_less_than_two_seconds() -> None:
    render(runs.certified())  # the drawing engine starts once per process
    begin = time.process_time()
    render(runs.certified())
    assert time.process_time() - begin < 2.0


# The file


def test_write_replaces_the_old_page_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old", encoding="utf-8")
    assert write(runs.blocked(), path) == path
    assert path.read_text(encoding="utf-8") == render(runs.blocked())
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_write_that_fails_leaves_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("old", encoding="utf-8")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        write(runs.blocked(), path)
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_write_into_a_missing_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="folder that exists"):
        write(runs.blocked(), tmp_path / "absent" / "report.html")
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError):
        write(runs.blocked(), tmp_path / "taken")
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


# The terminal


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", PAGES)
def test_the_terminal_shows_whole_words(name: str, width: int) -> None:
    run = PAGES[name]
    out = StringIO()
    console = Console(file=out, width=width, force_terminal=False)
    console.print(verdict_panel(run.certificate))
    console.print(walk_table(run.walk, run.certificate.production_value))
    console.print(findings_table(run.certificate.audits + run.log_findings))
    text = out.getvalue()
    assert run.certificate.verdict.upper() in text
    assert all(len(line) <= width for line in text.splitlines())
    assert text.count("not tested") == sum(p.verdict == "not tested" for p in run.walk)
    assert text.count("chosen") == sum(p.released for p in run.walk)
    assert not set("\x00\x1b\u202e") & set(text)


def test_the_terminal_takes_no_markup_from_names() -> None:
    certificate = msgspec.structs.replace(runs.certified().certificate, metric="[red]value[/red][/]")
    out = StringIO()
    Console(file=out, width=200).print(verdict_panel(certificate))
    assert "[red]value[/red][/] per decision" in out.getvalue()


def test_walk_without_production_value_is_in_reward_units() -> None:
    out = StringIO()
    Console(file=out, width=100).print(walk_table(runs.walk()))
    assert "+0.00393" in out.getvalue()
