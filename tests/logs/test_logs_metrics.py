"""Metrics beside the reward: scaled by their bounds, checked like rewards, never features, no part of a policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jumar.errors import LogError, OptionError
from jumar.logs import LogSchema, Metric, metric_values, production_pmf, read_for, read_log


@pytest.fixture
def measured(frame: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return frame.assign(complaint=rng.random(len(frame)) < 0.02, minutes=rng.uniform(0, 30, len(frame)))


def test_metrics_are_scaled_in_the_order_of_declaration(measured: pd.DataFrame) -> None:
    log = read_log(measured, metrics=["minutes:-10..30", "complaint"])
    assert log.metrics == (
        Metric(name="minutes", low=-10, high=30),
        Metric(name="complaint", low=0, high=1, bounds_declared=False),
    )
    assert log.metric_columns == ("__metric_0", "__metric_1")
    batch = next(log.batches())
    np.testing.assert_allclose(batch.column("__metric_0"), (measured.minutes + 10) / 40)
    np.testing.assert_array_equal(batch.column("__metric_1"), measured.complaint.astype(float))
    np.testing.assert_array_equal(
        metric_values(batch, 2), np.stack([batch.column("__metric_0"), batch.column("__metric_1")], axis=1)
    )
    assert metric_values(batch, 0) is None
    assert [feature.name for feature in log.schema.features] == ["x", "country", "new"]
    assert [note for note in log.notes if "complaint" in note]
    assert not [note for note in log.notes if "minutes" in note]


def test_a_policy_knows_nothing_of_metrics(measured: pd.DataFrame, frame: pd.DataFrame) -> None:
    """So that the schema, and the hash of a card that holds it, is what it was before there were metrics."""
    log = read_log(measured, metrics=["minutes:0..30", "complaint"])
    assert log.schema == read_log(frame).schema
    assert b"metric" not in msgspec.json.encode(log.schema)


def test_metrics_may_come_as_records_or_from_the_settings(
    measured: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = (Metric(name="minutes", low=0, high=30),)
    assert read_log(measured, metrics=wanted, ignore=["complaint"]).metrics == wanted
    assert read_log(measured, metrics="minutes:0..30", ignore=["complaint", "minutes"]).metrics == wanted
    monkeypatch.chdir(tmp_path)
    Path("jumar.toml").write_text('[log]\nmetrics = ["minutes:0..30", "complaint"]\n')
    assert [metric.name for metric in read_log(measured).metrics] == ["minutes", "complaint"]
    assert [metric.name for metric in read_log(measured, metrics=["complaint"]).metrics] == ["complaint"]


def test_numbers_in_a_range_may_be_spelled_as_numbers_are(measured: pd.DataFrame) -> None:
    named = measured.rename(columns={"minutes": "time:spent"})
    log = read_log(named, metrics=["time:spent:-.5..1e+02"], ignore=["complaint"])
    assert log.metrics == (Metric(name="time:spent", low=-0.5, high=100.0),)


def test_the_reward_may_be_a_metric_again(measured: pd.DataFrame) -> None:
    ranged = measured.assign(reward=measured.reward * 9)
    log = read_log(ranged, reward_range=(0, 5), cap_reward=True, metrics=["reward"], ignore=["complaint", "minutes"])
    batch = next(log.batches())
    assert log.metrics == (Metric(name="reward", low=0, high=5),)
    assert batch.column("__metric_0").equals(batch.column("__reward"))
    wider = read_log(ranged, reward_range=(0, 9), metrics=["reward:0..18"], ignore=["complaint", "minutes"])
    np.testing.assert_allclose(next(wider.batches()).column("__metric_0"), measured.reward / 2)


def test_an_ignored_column_has_no_role_but_may_be_a_metric(measured: pd.DataFrame) -> None:
    named = measured.rename(columns={"minutes": "timestamp"}).drop(columns="time")
    with pytest.raises(LogError, match="--ignore timestamp"):
        read_log(named, metrics=["timestamp:0..30"])
    log = read_log(named, metrics=["timestamp:0..30"], ignore=["timestamp"])
    assert log.schema.roles.time is None
    assert log.metrics[0].name == "timestamp"


REFUSED: list[tuple[Any, ...]] = [
    ({}, ["minuts:0..30"], {}, "no column 'minuts'", None, None),
    ({}, ["minutes"], {}, "bounds of a metric must be declared", None, None),
    ({3: 40.0, 5: 31.0}, ["minutes:0..30"], {}, "outside the declared range 0 to 30", 2, 40.0),
    ({3: -1.0}, ["minutes:0..30"], {}, "outside the declared range", 1, -1.0),
    ({3: np.nan, 5: np.nan}, ["minutes:0..30"], {}, "missing, not a number", 2, "null"),
    ({3: np.inf}, ["minutes:0..30"], {}, "infinite", 1, np.inf),
    ({}, ["propensity"], {}, "both the propensity and a metric", None, None),
    ({}, ["minutes:0..30"], {"unit": "minutes"}, "both the unit and a metric", None, None),
    ({}, ["minutes:0..30"], {"features": ["x", "minutes"]}, "cannot also be a feature", None, None),
    ({}, ["country"], {}, "must be numbers or booleans", None, None),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case[3][:30])
def test_what_no_metric_can_be(measured: pd.DataFrame, case: tuple[Any, ...]) -> None:
    values, metrics, options, says, count, example = case
    for row, value in values.items():
        measured.loc[row, "minutes"] = value
    with pytest.raises(LogError, match=says) as caught:
        read_log(measured, metrics=metrics, **options)
    assert (caught.value.count, caught.value.example) == (count, example)
    assert caught.value.column == metrics[0].split(":")[0]


@pytest.mark.parametrize(
    ("metrics", "says"),
    [(["minutes:3..3"], "not a range"), (["minutes:3..1"], "not a range"), (["a", "a:0..2"], "twice"), ([""], "name")],
)
def test_words_that_are_no_metric(measured: pd.DataFrame, metrics: list[str], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        read_log(measured, metrics=metrics)


def test_canonical_names_are_kept_free(frame: pd.DataFrame) -> None:
    for name in ("__metric_0", "__place"):
        with pytest.raises(LogError, match="Jumar's own"):
            read_log(frame.assign(**{name: 1.0}))


def test_a_policy_is_judged_with_metrics(measured: pd.DataFrame, frame: pd.DataFrame) -> None:
    schema: LogSchema = read_log(frame).schema
    log = read_for(schema, measured, need="decisions", metrics=["minutes:0..30"])
    np.testing.assert_allclose(next(log.batches()).column("__metric_0"), measured.minutes / 30)
    assert read_for(schema, log, need="decisions").metrics == log.metrics
    assert read_for(schema, log, need="features").metrics == ()
    with pytest.raises(LogError, match="outside"):
        read_for(schema, measured, need="decisions", metrics=["minutes:0..3"])
    with pytest.raises(LogError, match="feature"):
        read_for(schema, measured, need="decisions", metrics=["x:-9..9"])


def test_production_pmf_is_logged_implied_or_unknown(frame: pd.DataFrame) -> None:
    three = next(read_log(frame).batches())
    assert production_pmf(three, 3) is None
    pmf = [[0.25, 0.5, 0.25]] * len(frame)
    logged = next(read_log(pa.Table.from_pandas(frame).append_column("pmf", pa.array(pmf))).batches())
    np.testing.assert_array_equal(production_pmf(logged.slice(3, 5), 3), pmf[:5])
    two = frame.assign(action=np.where(frame.action == "push", "send", "hold"), propensity=0.25)
    found = production_pmf(next(read_log(two).batches()).slice(1), 2)
    assert found is not None
    sent = (two.action == "send").to_numpy()[1:]
    np.testing.assert_array_equal(found, np.where(sent[:, None], [0.75, 0.25], [0.25, 0.75]))
    assert production_pmf(next(read_log(two.drop(columns="propensity")).batches()), 2) is None
