"""``jumar plan`` and the reading behind it: counts by brute force, figures that hang together, refusals in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jumar
from jumar import cli
from jumar.evaluate.planning.plan_log import GainPlan, plan
from jumar.evaluate.planning.tallies import TRAIN, measured, rows_per_day, tally_of
from jumar.logs import Log
from jumar.policy import load_policy

Capture = pytest.CaptureFixture[str]
Replace = Callable[..., pa.Table]
ROWS = 6_000


@pytest.fixture(scope="module")
def table(make_bandit: Callable[..., pa.Table]) -> pa.Table:
    """ε = 0.3, mean reward 0.45, a decision each 7 minutes for a bit more than 29 days."""
    made = make_bandit(ROWS)
    micros = 1_767_225_600_000_000 + np.arange(ROWS) * 420_000_000
    return made.append_column("time", pa.array(micros, pa.timestamp("us")))


@pytest.fixture(scope="module")
def path(table: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("plan") / "log.parquet"
    pq.write_table(table, place)
    return place


@pytest.fixture(scope="module")
def log(path: Path) -> Log:
    return jumar.read_log(path)


@pytest.fixture(scope="module")
def answer(log: Log) -> GainPlan:
    return plan(log, 0.05)


def frame_of(log: Log) -> pd.DataFrame:
    return pa.Table.from_batches(list(log.batches(*TRAIN))).to_pandas()


def test_counts_by_brute_force(log: Log):
    rows, tally = frame_of(log), tally_of(log)
    assert tally.count.sum() == len(rows)
    assert float(tally.count @ tally.reward) == pytest.approx(rows["__reward"].sum())
    assert float(tally.count @ tally.propensity) == pytest.approx(rows["__propensity"].sum())
    assert tally.count[tally.favourite].sum() == (rows["__propensity"] > 0.5).sum()
    assert tally.exploration == pytest.approx(0.3, rel=0.05)


def test_the_pmf_tells_the_favourite_where_no_action_has_half(log: Log, table: pa.Table, replace_columns: Replace):
    rng = np.random.default_rng(3)
    mu = rng.dirichlet([2.0, 2.0, 2.0], ROWS)
    action = (rng.random((ROWS, 1)) > np.cumsum(mu, axis=1)).sum(axis=1)
    known = replace_columns(
        table,
        action=np.array(["a", "b", "c"])[action],
        propensity=mu[np.arange(ROWS), action],
        pmf=pa.array(list(mu)),
    )
    opened = jumar.read_log(known)
    rows, tally = frame_of(opened), tally_of(opened)
    best = np.stack(rows["__pmf"].tolist()).argmax(axis=1)
    assert tally.count[tally.favourite].sum() == (rows["__action"] == best).sum()
    assert tally.led == pytest.approx(1.0, rel=0.05)
    blind = tally_of(jumar.read_log(known.drop(["pmf"])))
    assert blind.led < 0.7


def test_estimated_propensities_are_how_often(table: pa.Table):
    opened = jumar.read_log(table.drop(["propensity"]))
    rows, tally = frame_of(opened), tally_of(opened)
    share = (rows["__action"] == 0).mean()
    assert sorted(set(tally.propensity.tolist())) == pytest.approx(sorted([share, 1 - share]))
    assert "rough" in " ".join(plan(opened, 0.05).notes)


def test_days(log: Log, table: pa.Table, replace_columns: Replace):
    assert rows_per_day(log) == pytest.approx(86_400 / 420, rel=1e-3)
    dates = pd.date_range("2026-01-01", periods=10).repeat(ROWS // 10)
    assert rows_per_day(jumar.read_log(replace_columns(table, time=dates.to_numpy()))) == pytest.approx(ROWS / 10)
    assert rows_per_day(jumar.read_log(table.drop(["time"]))) is None


def test_figures_hang_together(answer: GainPlan):
    assert answer.production_value == pytest.approx(0.45, abs=0.02)
    assert answer.gain_per_decision == pytest.approx(0.05 * answer.production_value, rel=1e-3)
    assert answer.exploration == pytest.approx(0.3, rel=0.05)
    assert answer.rows is not None
    assert answer.rows_to_judge is not None
    assert answer.rows == pytest.approx(2 * answer.rows_to_judge, rel=0.02)
    assert answer.days == pytest.approx(answer.rows * 420 / 86_400, rel=0.01)
    assert answer.detectable_gain is not None
    assert answer.detectable_gain > 0.05  # more rows are needed than there are
    own = next(one for one in answer.by_exploration if one.exploration == answer.exploration)
    assert own.rows == pytest.approx(answer.rows, rel=0.01)
    assert own.detectable_gain == answer.detectable_gain


def test_more_exploration_and_more_rows_detect_smaller_gains(answer: GainPlan):
    rows = [one.rows for one in answer.by_exploration if one.rows is not None]
    assert len(rows) == 5
    assert rows == sorted(rows, reverse=True)
    for at in {one.exploration for one in answer.curve}:
        gains = [one.detectable_gain for one in answer.curve if one.exploration == at]
        known = [gain for gain in gains if gain is not None]
        assert gains[len(gains) - len(known) :] == known == sorted(known, reverse=True)
        assert len(known) >= 4


def test_a_gain_that_can_be_detected_needs_as_many_rows_as_there_are(log: Log, answer: GainPlan):
    assert answer.detectable_gain is not None
    assert plan(log, answer.detectable_gain).rows == pytest.approx(ROWS, rel=0.04)


def test_the_exploration_that_is_needed_is_enough(log: Log, answer: GainPlan):
    gain = 0.9 * (answer.detectable_gain or 0)
    needed = plan(log, gain).exploration_needed
    assert needed is not None
    assert 0.3 < needed < 0.5
    enough = plan(log, gain, exploration=(needed,)).by_exploration[-1]
    assert enough.exploration == needed
    assert enough.rows == pytest.approx(ROWS, rel=0.03)
    assert plan(log, 0.001).exploration_needed is None


def test_more_confidence_and_power_need_more(log: Log, answer: GainPlan):
    assert answer.rows is not None
    several: list[dict[str, Any]] = [{"confidence": 0.9999}, {"power": 0.95}, {"changed": 0.6}]
    for more in several:
        assert (plan(log, 0.05, **more).rows or 0) > answer.rows
    assert (plan(log, 0.1).rows or 0) < answer.rows


def test_own_units_change_nothing(log: Log, table: pa.Table, answer: GainPlan, replace_columns: Replace):
    cents = np.asarray(table["reward"]) * 100
    other = plan(jumar.read_log(replace_columns(table, reward=cents), reward_range=(0, 100)), 0.05)
    assert other.rows == answer.rows
    assert other.production_value == pytest.approx(100 * answer.production_value)


def test_common_rewards_are_predicted_only_where_the_pmf_is_known(answer: GainPlan, table: pa.Table):
    assert answer.variable == "doubly robust"
    # Of a third action only the logged one's probability is known.
    names = np.asarray(table["action"].to_pylist(), dtype=object)
    names[:60] = "c"
    third = table.set_column(table.schema.get_field_index("action"), "action", pa.array(names.tolist()))
    assert plan(jumar.read_log(third), 0.05).variable == "plain"


def test_the_booster_may_bet_where_nobody_comes_again(answer: GainPlan, table: pa.Table, replace_columns: Replace):
    assert answer.rows_boosted is None
    once = plan(jumar.read_log(replace_columns(table, unit=[f"u{i}" for i in range(ROWS)])), 0.05)
    assert once.rows is not None
    assert once.rows_boosted is not None
    assert 0.6 * once.rows < once.rows_boosted < 0.85 * once.rows


def test_same_log_same_plan(path: Path, answer: GainPlan):
    assert plan(path, 0.05) == answer


def test_without_exploration_it_says_how_much_and_for_how_long(table: pa.Table, replace_columns: Replace):
    certain = replace_columns(table, propensity=np.ones(ROWS))
    made = plan(jumar.read_log(certain), 0.3)
    assert (made.rows, made.rows_boosted, made.detectable_gain, made.exploration) == (None, None, None, 0.0)
    assert all(one.rows for one in made.by_exploration)
    assert made.exploration_needed is not None
    assert "no number of them is enough" in made.notes[0]


def test_a_policy_is_measured_on_rows_that_chose_nothing(bandit_log: Log, run_folder: Path):
    policy = load_policy(run_folder)
    seen = measured(bandit_log, policy)
    rows = pa.Table.from_batches(list(bandit_log.batches("validate")))
    action, mu = np.asarray(rows["__action"]), np.asarray(rows["__propensity"])
    features = rows.select([name for name in rows.column_names if not name.startswith("__")])
    taken = policy.pmf(features)[np.arange(len(action)), action]
    d = (taken / mu - 1) * np.asarray(rows["__reward"])
    law = seen.tally.law(0.3)
    assert law.gain == pytest.approx(d.mean(), rel=1e-4)
    assert law.second_moment == pytest.approx((d**2).mean(), rel=2e-3)
    made = plan(bandit_log, 0.2, policy=policy)
    assert made.policy == policy.name
    assert made.changed == pytest.approx(np.maximum(1 - taken / mu, 0).mean(), rel=1e-3)
    assert made.rows != plan(bandit_log, 0.2).rows


# The command line


def run(capsys: Capture, *words: str) -> tuple[int, str, str]:
    code = cli.main(["plan", *words])
    out, err = capsys.readouterr()
    return code, out, " ".join(err.split())


def test_json_is_the_plan(path: Path, answer: GainPlan, capsys: Capture):
    code, out, _ = run(capsys, str(path), "--gain", "0.05", "--json")
    assert code == 0
    assert msgspec.json.decode(out, type=GainPlan) == msgspec.structs.replace(answer, source=json.loads(out)["source"])


def test_the_table_holds_the_figures(path: Path, answer: GainPlan, capsys: Capture):
    code, out, _ = run(capsys, str(path), "--gain", "0.05", "--exploration", "0.1", "0.5")
    assert code == 0
    text = " ".join(out.split())
    assert f"{answer.rows:,} decisions" in text
    for words in ("+5.0%", "99.9%", "10%", "50%", "30% now", "Supposed is a policy", "explores 30%"):
        assert words in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--gain", "0"), "above 0"),
        (("--gain", "-0.1"), "above 0"),
        (("--gain", "nan"), "above 0"),
        (("--gain", "5"), "the most there can be"),
        (("--gain", "0.9"), "suppose more change"),
        (("--gain", "0.1", "--confidence", "1"), "confidence"),
        (("--gain", "0.1", "--power", "1"), "power"),
        (("--gain", "0.1", "--changed", "0"), "changed share"),
        (("--gain", "0.1", "--exploration", "0.1", "2"), "Exploration rates"),
        (("--gain", "0.1", "--policy", "nowhere"), "There is no policy"),
        ((), "--gain"),
    ],
)
def test_bad_input(path: Path, words: tuple[str, ...], told: str, capsys: Capture):
    code, out, err = run(capsys, str(path), *words)
    assert code == 2
    assert not out
    assert told in err


def test_rewards_that_never_came_give_no_scale(
    table: pa.Table, replace_columns: Replace, tmp_path: Path, capsys: Capture
):
    pq.write_table(replace_columns(table, reward=np.zeros(ROWS)), tmp_path / "zero.parquet")
    code, _, err = run(capsys, str(tmp_path / "zero.parquet"), "--gain", "0.1")
    assert code == 2
    assert "no scale" in err


def test_tiny_logs_are_planned_from_and_called_rough(table: pa.Table, tmp_path: Path, capsys: Capture):
    pq.write_table(table.slice(0, 60), tmp_path / "tiny.parquet")
    code, out, _ = run(capsys, str(tmp_path / "tiny.parquet"), "--gain", "0.1", "--json")
    assert code == 0
    assert "rough" in " ".join(json.loads(out)["notes"])


def test_every_field_is_documented():
    text = (Path(__file__).parents[1] / "docs/planning.md").read_text().partition("## Along timelines")[0]
    told = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    assert told == list(GainPlan.__struct_fields__)
