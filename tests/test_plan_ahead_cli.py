"""``jumar plan --discount``: figures that hang together, in Python, as JSON and as a table; refusals in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jumar
from jumar import cli
from jumar.errors import JumarError
from jumar.evaluate.planning.plan_ahead import DeviationPoint, ReturnPlan
from jumar.evaluate.planning.plan_log import GainPlan, plan
from jumar.logs import Log, timeline_of

Capture = pytest.CaptureFixture[str]
UNITS, DAYS, RATE = 1_500, 4, 0.3
WORDS = ("--gain", "0.1", "--discount", "0.9", "--per", "day", "--end", "end")
ASKED: dict[str, Any] = {"discount": 0.9, "per": "day"}


def table_of(units: int, rate: float = RATE, seed: int = 0) -> pa.Table:
    """A unit a quarter of an hour, four daily decisions each; ε-greedy, and no action does anything."""
    rng, rows = np.random.default_rng(seed), units * DAYS
    other = rng.random(rows) < rate / 2
    begun = 900 * np.arange(units)
    return pa.table(
        {
            "unit": np.repeat([f"u{i}" for i in range(units)], DAYS),
            "time": np.repeat(begun, DAYS) + np.tile(86_400 * np.arange(DAYS), units),
            "decision_id": [f"d{i}" for i in range(rows)],
            "noise": rng.normal(size=rows),
            "action": np.where(other, "b", "a"),
            "propensity": np.where(other, rate / 2, 1 - rate / 2),
            "reward": (rng.random(rows) < 0.4).astype(float),
            "end": np.tile(np.arange(DAYS) == DAYS - 1, units),
        }
    )


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return table_of(UNITS)


@pytest.fixture(scope="module")
def path(table: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("ahead") / "log.parquet"
    pq.write_table(table, place)
    return place


@pytest.fixture(scope="module")
def log(path: Path) -> Log:
    return jumar.read_log(path, end="end")


@pytest.fixture(scope="module")
def answer(log: Log) -> ReturnPlan:
    return plan(log, 0.1, **ASKED)


def whole(points: list[DeviationPoint]) -> list[float]:
    return [one.whole.units or np.inf for one in points]


def test_figures_hang_together(answer: ReturnPlan):
    reach = 1 + 0.9 + 0.81 + 0.729
    assert answer.production_value == pytest.approx(0.4 * reach, rel=0.06)
    # Σ γ^2t·0.24 is the variance of what a unit brings.
    assert answer.return_sd == pytest.approx(np.sqrt(0.24 * sum(0.81**t for t in range(4))), rel=0.06)
    assert answer.gain_per_unit == pytest.approx(0.1 * answer.production_value, rel=1e-3)
    assert (answer.log_units, answer.log_rows) == (UNITS, UNITS * DAYS)
    assert (answer.decisions_per_unit, answer.long_episode, answer.most_per_unit) == (4, 4, 4)
    assert (answer.timeline, answer.deviation_budget) == (timeline_of(0.9, "day"), 2.0)
    assert answer.return_cap == pytest.approx(reach, abs=0.01)
    assert answer.kept_under_cap == pytest.approx(1.0, abs=1e-3)
    now = answer.now
    assert now is not None
    assert now.deviation == pytest.approx(2.0, rel=1e-3)
    assert now.product_square == pytest.approx(1.5**4, rel=1e-3)
    assert now.whole.units is not None
    assert now.whole.units_to_judge is not None
    assert now.whole.units == pytest.approx(2 * now.whole.units_to_judge, rel=0.02)
    assert now.whole.decisions == pytest.approx(4 * now.whole.units, rel=0.02)
    assert now.whole.days == pytest.approx(now.whole.units * (answer.log_days or 0) / UNITS, rel=0.01)
    assert now in answer.by_deviation
    assert now in answer.by_exploration
    assert answer.units_boosted is not None
    assert 0.5 * now.whole.units < answer.units_boosted < 0.95 * now.whole.units


def test_who_strays_further_or_explores_less_needs_more(answer: ReturnPlan):
    assert [one.deviation for one in answer.by_deviation] == sorted(one.deviation for one in answer.by_deviation)
    assert whole(answer.by_deviation) == sorted(whole(answer.by_deviation))
    assert len(answer.by_deviation) >= 6
    assert whole(answer.by_exploration) == sorted(whole(answer.by_exploration), reverse=True)
    for one in (*answer.by_deviation, *answer.by_exploration):
        if one.whole.detectable_gain is not None and one.whole.units is not None:
            assert (one.whole.detectable_gain <= 0.1) == (one.whole.units <= UNITS)
    # Far from production one weight takes less than a product of them.
    far = answer.by_deviation[-1]
    assert far.single.units is not None
    assert far.single.units < (far.whole.units or np.inf)


def test_remedies_are_enough(log: Log, answer: ReturnPlan):
    assert answer.now is not None
    assert answer.now.whole.units is not None
    assert answer.now.whole.units > UNITS
    assert answer.largest_deviation is not None
    largest = answer.largest_deviation
    near = plan(log, 0.1, discount=0.9, per="day", deviation_budget=largest, exploration=(0.3,)).now
    assert near is not None
    assert near.whole.units is not None
    assert near.whole.units <= 1.02 * UNITS
    assert [one.share for one in answer.canary] == [0.05, 0.25, 0.5]
    assert [one.units for one in answer.canary] == sorted((one.units for one in answer.canary), reverse=True)


def test_more_confidence_gain_and_budget(log: Log, answer: ReturnPlan):
    def units(gain: float = 0.1, **other: Any) -> float:
        asked: dict[str, Any] = ASKED | {"exploration": (0.3,)} | other
        found = plan(log, gain, **asked).now
        assert found is not None
        return found.whole.units or np.inf

    now = (answer.now and answer.now.whole.units) or 0
    assert units(confidence=0.9999) > now > units(0.2)
    assert units(power=0.95) > now


def test_a_discount_of_zero_counts_first_decisions_alone(log: Log):
    now = plan(log, 0.1, discount=0.0, exploration=(0.3,))
    assert (now.decisions_per_unit, now.long_episode) == (1, 1)
    assert now.production_value == pytest.approx(0.4, abs=0.05)


def test_the_same_log_gives_the_same_plan_and_its_rewards_may_be_in_cents(
    path: Path, table: pa.Table, answer: ReturnPlan
):
    assert plan(jumar.read_log(path, end="end"), 0.1, **ASKED) == answer
    place = table.schema.get_field_index("reward")
    cents = table.set_column(place, "reward", pa.array(np.asarray(table["reward"]) * 100))
    other = plan(jumar.read_log(cents, end="end", reward_range=(0, 100)), 0.1, **ASKED)
    assert other.now == answer.now
    assert other.production_value == pytest.approx(100 * answer.production_value, rel=1e-3)


def test_without_exploration_it_says_so_and_how_long_others_take(table: pa.Table):
    place = table.schema.get_field_index("propensity")
    certain = table.set_column(place, "propensity", pa.array(np.ones(len(table))))
    made = plan(jumar.read_log(certain, end="end"), 0.1, **ASKED)
    assert (made.now, made.units_boosted, made.by_deviation) == (None, None, [])
    assert any(one.whole.units for one in made.by_exploration)
    assert any("no number of units is enough" in note for note in made.notes)


def test_a_cohort_is_told_from_units_that_keep_coming(table: pa.Table, answer: ReturnPlan):
    place = table.schema.get_field_index("time")
    at_once = table.set_column(place, "time", pa.array(np.tile(86_400 * np.arange(DAYS), UNITS)))
    found = plan(jumar.read_log(at_once, end="end"), 0.1, **ASKED, exploration=(0.3,))
    assert any("there from the first" in note for note in found.notes)
    assert not any("there from the first" in note for note in answer.notes)


def test_without_a_discount_nothing_is_new(log: Log):
    assert isinstance(plan(log, 0.1), GainPlan)


# The command line


def run(capsys: Capture, *words: str) -> tuple[int, str, str]:
    code = cli.main(["plan", *words])
    out, err = capsys.readouterr()
    return code, out, " ".join(err.split())


def test_json_is_the_plan(path: Path, answer: ReturnPlan, capsys: Capture):
    code, out, _ = run(capsys, str(path), *WORDS, "--json")
    assert code == 0
    assert msgspec.json.decode(out, type=ReturnPlan) == msgspec.structs.replace(
        answer, source=json.loads(out)["source"]
    )


def test_the_table_holds_the_figures(path: Path, answer: ReturnPlan, capsys: Capture):
    code, out, _ = run(capsys, str(path), *WORDS)
    assert code == 0
    assert answer.now is not None
    text = " ".join(out.split())
    assert f"about {answer.now.whole.units:,} units" in text
    for words in ("+10.0% in discounted return", "99.9%", " now ", "one deviation", "a canary of 25%", "estimate"):
        assert words in text, words
    for one in answer.canary:
        assert f"{one.units:,} units in both arms" in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--gain", "0.1", "--discount", "1"), "from 0 to below 1"),
        (("--gain", "0.1", "--discount", "-0.1"), "from 0 to below 1"),
        (("--gain", "0.1", "--discount", "nan"), "from 0 to below 1"),
        (("--gain", "0.1", "--discount", "0.9", "--per", "fortnight"), "--per takes a time"),
        (("--gain", "0.1", "--discount", "0.9", "--gap", "0"), "--gap takes a time"),
        (("--gain", "0.1", "--per", "day"), "needs a discount"),
        (("--gain", "0.1", "--deviation-budget", "2"), "deviation budget"),
        (("--gain", "0.1", "--discount", "0.9", "--deviation-budget", "0"), "number above 0"),
        (("--gain", "0.1", "--discount", "0.9", "--deviation-budget", "nan"), "number above 0"),
        (("--gain", "0.1", "--discount", "0.9", "--end", "finish"), "finish"),
        (("--gain", "20", "--discount", "0.9"), "between 0 and 10"),
        (("--gain", "-1", "--discount", "0.9"), "above 0"),
    ],
)
def test_bad_input(path: Path, words: tuple[str, ...], told: str, capsys: Capture):
    code, out, err = run(capsys, str(path), *words)
    assert code == 2
    assert not out
    assert told in err


@pytest.mark.parametrize("missing", ["unit", "time", "propensity"])
def test_what_a_log_needs(table: pa.Table, missing: str):
    with pytest.raises(JumarError, match=f"no {missing}|logged propensities"):
        plan(jumar.read_log(table.drop_columns([missing]), end="end"), 0.1, **ASKED)


@pytest.mark.parametrize(("worth", "told"), [(0.0, "no scale"), (-1.0, "which may be negative")])
def test_rewards_that_give_no_scale(table: pa.Table, worth: float, told: str):
    place = table.schema.get_field_index("reward")
    reward = np.where(np.asarray(table["reward"]) > 0, worth, 0.0)
    odd = jumar.read_log(
        table.set_column(place, "reward", pa.array(reward)), end="end", reward_range=(min(worth, 0), 1)
    )
    with pytest.raises(JumarError, match=told):
        plan(odd, 0.1, **ASKED)


def test_tiny_logs_are_planned_from_and_called_rough():
    made = plan(jumar.read_log(table_of(40), end="end"), 0.5, **ASKED, exploration=(0.3,))
    assert any("is rough" in note for note in made.notes)


def test_every_field_is_documented():
    text = (Path(__file__).parents[1] / "docs/planning.md").read_text().partition("## Along timelines")[2]
    told = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    assert told == list(ReturnPlan.__struct_fields__)
