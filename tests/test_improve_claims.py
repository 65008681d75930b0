"""The main job when more is asked than not to be worse: claims, costs, units, further candidates, another learner."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jumar
from jumar import cli
from jumar.errors import OptionError, PolicyError
from jumar.improvement import Improvement

SMALL = {"confidence": 0.99, "members": 2, "candidates": 4}


@pytest.fixture(scope="module")
def table(make_bandit: Callable[..., pa.Table]) -> pa.Table:
    """The bandit, with complaints that only 'b' in the wrong segment brings, and minutes spent."""
    table = make_bandit(16_000)
    rng = np.random.default_rng(3)
    wrong = (np.asarray(table["action"]) == "b") & (np.asarray(table["segment"]) == "left")
    complaints = (rng.random(len(table)) < np.where(wrong, 0.3, 0.02)).astype(float)
    minutes = 10 * np.asarray(table["reward"]) + rng.random(len(table))
    return table.append_column("complaints", pa.array(complaints)).append_column("minutes", pa.array(minutes))


@pytest.fixture(scope="module")
def file(table: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("claims") / "log.parquet"
    pq.write_table(table, path)
    return path


def improve(source: object, metrics: tuple[str, ...] = (), **asked: object) -> Improvement:
    log = jumar.read_log(source, metrics=("complaints", "minutes:0..20", *metrics))
    return jumar.improve(log, **(SMALL | asked))  # pyright: ignore[reportArgumentType]


def test_claims_on_the_command_line(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "run"
    words = ["improve", str(file), "--out", str(out), "--confidence", "0.99", "--candidates", "4"]
    words += ["--guardrail", "complaints:lower", "--guardrail", "minutes:higher:range=0..20", "--budget", "b=0.7"]
    assert cli.main([*words, "--baseline", "complaints"]) == cli.CERTIFIED, capsys.readouterr()
    certificate = json.loads((out / "certificate.json").read_bytes())
    assert [one["metric"] for one in certificate["claims"]] == ["reward", "complaints", "minutes", "b"]
    assert [one["metric"] for one in certificate["guardrails"]] == ["complaints", "minutes"]
    for one in certificate["claims"]:
        assert one["verdict"] == "passed"
        assert one["lower_bound"] < one["estimate"]
        assert one["claim"] in certificate["claim"]
    report = (out / "report.html").read_text()
    assert "What a release had to fulfil" in report
    assert "Cost against value" in report
    assert "sorted by predicted complaints" in report
    assert "is not above production" in " ".join(capsys.readouterr().out.split())
    code = cli.main(
        ["evaluate", str(out / "policy"), str(file), "--guardrail", "complaints:lower", "--reduce", "b=0.9"]
    )
    assert code == cli.NOT_CERTIFIED
    assert "90% less often" in " ".join(capsys.readouterr().out.split())


def test_a_claim_that_is_false_is_refused_with_its_name(table: pa.Table):
    result = improve(table, guardrail="minutes:higher:margin=-0.9")
    assert result.certificate.verdict == "refused"
    assert result.policy is None
    assert "minutes" in result.certificate.reasons[0]
    value, rail = result.certificate.claims
    assert (value.verdict, rail.verdict) == ("passed", "failed")


def test_more_is_asked_than_there_is_to_gain(table: pa.Table):
    assert improve(table, gain=0.1).certificate.verdict == "certified"
    refused = improve(table, gain=0.9).certificate
    assert refused.verdict == "refused"
    assert [one.required for one in refused.claims] == [True, True]


def test_costs_are_kept_on_rows_to_come(table: pa.Table):
    plain, fewer = improve(table), improve(table, reduce=["a=0.1"])
    assert plain.policy is not None
    assert fewer.policy is not None
    now = float((np.asarray(table["action"]) == "a").mean())
    assert fewer.policy.pmf(table)[:, 0].mean() <= 0.9 * now + 0.01
    assert fewer.policy.card.costs == [1.0, 0.0]
    assert plain.policy.card.costs == []
    assert fewer.summary.frontier is not None
    assert fewer.summary.frontier.cost == "a"


def test_rows_of_units_that_never_return_are_bet_on_in_random_order(table: pa.Table):
    once = table.set_column(table.schema.get_field_index("unit"), "unit", table["decision_id"])
    boosted = improve(once.append_column("time", pa.array(1_700_000_000 + np.arange(len(table))))).certificate
    assert boosted.boosted
    assert any("random order" in one for one in boosted.assumptions)
    assert not improve(table).certificate.boosted  # units return
    assert not improve(table.drop_columns(["unit"])).certificate.boosted  # nobody knows whether they do


def test_evidence_is_counted_by_unit_where_arms_are_kept(table: pa.Table):
    unit = np.arange(len(table)) // 8
    rng = np.random.default_rng(0)
    arm = np.repeat(rng.random(len(table) // 8) < 0.5, 8)
    action = np.where(arm, "b", "a")
    better = (action == "b") == (np.asarray(table["segment"]) == "right")
    reward = (rng.random(len(table)) < np.where(better, 0.7, 0.2)).astype(float)
    kept = pa.table(
        {
            "segment": table["segment"],
            "x": np.asarray(table["x"]) if "x" in table.column_names else rng.normal(size=len(table)),
            "unit": [f"u{one}" for one in unit],
            "time": 1_700_000_000 + np.arange(len(table)),
            "action": action,
            "propensity": np.full(len(table), 0.5),
            "reward": reward,
        }
    )
    log = jumar.read_log(kept)
    found = jumar.improve(log, **SMALL).certificate  # pyright: ignore[reportArgumentType]
    assert found.evidence == "unit"
    assert found.pieces * 7 < found.rows <= found.pieces * 8
    assert any("counted by unit" in one for one in found.reasons)
    assert found.verdict == "certified"
    asked = jumar.improve(log, evidence="decision", **SMALL).certificate  # pyright: ignore[reportArgumentType]
    assert asked.evidence == "decision"
    with pytest.raises(OptionError, match="no units"):
        jumar.improve(jumar.read_log(kept.drop_columns(["unit"])), evidence="unit")


def test_policies_from_elsewhere_are_put_to_the_same_gate(table: pa.Table, tmp_path: Path):
    other = improve(table, seed=5, candidates=1)
    assert other.policy is not None
    other.policy.save(tmp_path / "other")
    result = improve(table, candidate=[tmp_path / "other"])
    assert result.plan is not None
    assert [point.name for point in result.summary.walk].count("other") == 1
    changed = [point.deviation.changed for point in result.summary.walk]
    assert changed == pytest.approx(sorted(changed), abs=0.02)
    named = next(one for one in result.plan.candidates if one.name)
    assert named.policy_sha256 == other.policy.card.model_sha256
    assert named.temperature is None
    with pytest.raises(PolicyError, match="twice"):
        improve(table, candidate=[other.policy, tmp_path / "other"])
    renamed = table.set_column(table.schema.get_field_index("action"), "action", pa.array(
        np.char.add(np.asarray(table["action"]).astype(str), "!")
    ))  # fmt: skip
    with pytest.raises(PolicyError, match="actions"):
        improve(renamed, candidate=[other.policy])


def test_the_direct_learner_is_gated_alike(table: pa.Table):
    result = improve(table, learner="direct")
    assert result.certificate.verdict == "certified"
    assert result.policy is not None
    right = np.asarray(table["segment"]) == "right"
    pmf = result.policy.pmf(table)[:, 1]
    assert pmf[right].mean() > 0.8
    assert pmf[~right].mean() < 0.3
