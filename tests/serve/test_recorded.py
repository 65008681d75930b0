"""Batches into the decision log decide what the service would decide, and say so in the same rows."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jumar import cli
from jumar.errors import LogError, OptionError, PolicyError
from jumar.policy import Policy
from jumar.policy.exploration import parse_exploration
from jumar.release import Registry
from jumar.release.arms import places
from jumar.serve import recorded
from jumar.serve.decider import Decider
from jumar.serve.join import join
from jumar.serve.recorded import record

ROWS = 500
DAY = datetime.datetime(2025, 3, 3, tzinfo=datetime.UTC)


@pytest.fixture
def rows(make_bandit: Callable[..., pa.Table]) -> pa.Table:
    """Rows to decide about, as the bandit's log has them, with times."""
    table = make_bandit(ROWS, 5, extra=True).drop_columns(["action", "propensity", "reward"])
    moments = np.datetime64(DAY.replace(tzinfo=None), "us") + np.arange(ROWS).astype("timedelta64[s]")
    return table.append_column("time", pa.array(moments, pa.timestamp("us", "UTC")))


@pytest.fixture
def registry(run_folder: Path, tmp_path: Path) -> Registry:
    made = Registry.create(tmp_path / "registry")
    made.promote(made.register(run_folder).version, why="certified")
    return made


def logged(log: Path) -> pa.Table:
    files = sorted(log.glob("decisions/*/*.parquet"))
    return pa.concat_tables([pq.ParquetFile(file).read() for file in files]).sort_by("decision_id")


def test_every_row_is_decided_as_the_service_does(registry: Registry, rows: pa.Table, tmp_path: Path) -> None:
    counts = record(registry, rows, tmp_path / "log")
    version = registry.state().aliases.production
    assert counts == {version: ROWS}
    found = logged(tmp_path / "log")
    decider = Decider(registry.policy("production"), salt="jumar", version=str(version))
    ordered = rows.sort_by("decision_id").combine_chunks()
    batch = ordered.select(decider.reader.features.names).cast(decider.reader.features).to_batches()[0]
    units = ordered["unit"].to_pylist()
    decided = decider.decide(batch, units, ordered["decision_id"].to_pylist())
    assert found["action"].to_pylist() == list(decided.actions)
    assert np.array_equal(found["propensity"].to_numpy(), decided.propensity)
    assert found["unit"].to_pylist() == units
    assert set(found["policy"].to_pylist()) == {version}


def test_a_second_run_is_counted_once(registry: Registry, rows: pa.Table, tmp_path: Path) -> None:
    log = tmp_path / "log"
    record(registry, rows, log)
    record(registry, rows, log)
    told = join(log, DAY.date(), out=tmp_path / "joined", wait="1s", watermark=DAY + datetime.timedelta(days=2))
    assert (told.decisions, told.duplicate, told.conflicting, told.written) == (2 * ROWS, ROWS, 0, ROWS)


def test_the_challenger_decides_about_its_units(
    registry: Registry, rows: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where rows come in many batches, of which more wait than the log takes at a time."""
    monkeypatch.setattr(recorded, "BATCH_ROWS", 64)
    card, model = registry.policy("production").card, registry.files("production")["policy.onnx"]
    Policy(msgspec.structs.replace(card, train_rows=card.train_rows + 1), model).save(tmp_path / "other")
    registry.promote(registry.register(tmp_path / "other").version, why="to see", share=0.3, forced=True)
    counts = record(registry, rows, tmp_path / "log")
    state = registry.state()
    found = logged(tmp_path / "log")
    exposed = places(found["unit"], state.salt) < 0.3
    expected = np.where(exposed, str(state.aliases.challenger), str(state.aliases.production))
    assert found["policy"].to_pylist() == expected.tolist()
    assert counts[str(state.aliases.challenger)] == int(exposed.sum())


def test_one_column_deals_out_the_arms_where_a_policy_knows_no_unit(
    registry: Registry, rows: pa.Table, tmp_path: Path
) -> None:
    """Every row is decided once, and both arms log the unit by which they were dealt out."""
    policy, model = registry.policy("production"), registry.files("production")["policy.onnx"]
    roles = msgspec.structs.replace(policy.card.log_schema.roles, unit=None)
    schema = msgspec.structs.replace(policy.card.log_schema, roles=roles)
    Policy(msgspec.structs.replace(policy.card, log_schema=schema), model).save(tmp_path / "unitless")
    challenger = str(registry.state().aliases.production)
    registry.promote(registry.register(tmp_path / "unitless").version, why="learned without units", forced=True)
    registry.promote(challenger, why="to see", share=0.3)
    record(registry, rows, tmp_path / "log")
    found, state = logged(tmp_path / "log"), registry.state()
    exposed = places(rows.sort_by("decision_id")["unit"], state.salt) < 0.3
    expected = np.where(exposed, challenger, str(state.aliases.production))
    assert found["policy"].to_pylist() == expected.tolist()
    assert found["unit"].to_pylist() == rows.sort_by("decision_id")["unit"].to_pylist()


def test_what_cannot_be_logged(registry: Registry, rows: pa.Table, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(LogError, match="need an id"):
        record(registry, rows.drop_columns(["decision_id"]), log)
    with pytest.raises(LogError, match="segment"):
        record(registry, rows.drop_columns(["segment"]), log)
    with pytest.raises(OptionError, match="only the service does"):
        record(registry, rows, log, exploration=parse_exploration("budget:3"))
    with pytest.raises(PolicyError, match="no production"):
        record(Registry.create(tmp_path / "empty"), rows, log)
    assert not list(log.glob("decisions/*/*.parquet"))


def test_the_command(registry: Registry, rows: pa.Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(rows, tmp_path / "rows.parquet")
    given = ["score", str(registry.url), str(tmp_path / "rows.parquet")]
    assert cli.main([*given, "--log", str(tmp_path / "log")]) == 0
    assert f"{ROWS} decisions by" in capsys.readouterr().out
    assert logged(tmp_path / "log").num_rows == ROWS
    assert cli.main(given) == 2
    assert cli.main([*given, str(tmp_path / "out.parquet"), "--log", str(tmp_path / "log")]) == 2
    assert "either into a file or into a log" in capsys.readouterr().err
