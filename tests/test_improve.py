"""The main job on small logs whose truth is known: certified, or refused with the sentence that fits."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose

import jumar
from jumar.errors import OptionError, OutputError
from jumar.improvement import Improvement
from jumar.logs import Log
from jumar.worlds import Notifications

MakeBandit = Callable[..., pa.Table]
FIELDS = {
    "verdict",
    "confidence",
    "metric",
    "estimate",
    "lower_bound",
    "relative_estimate",
    "relative_lower_bound",
    "production_value",
    "rows",
    "units",
    "temperature",
    "deviation",
    "guardrails",
    "audits",
    "reasons",
    "manifest_sha256",
}


def improve(table: pa.Table, confidence: float = 0.99, **options: Any) -> Improvement:
    return jumar.improve(jumar.read_log(table), confidence=confidence, **options)


@pytest.fixture(scope="module")
def table(make_bandit: MakeBandit) -> pa.Table:
    return make_bandit()


@pytest.fixture(scope="module")
def refusals(
    table: pa.Table, make_bandit: MakeBandit, replace_columns: Callable[..., pa.Table]
) -> dict[str, Improvement]:
    """Every log that must not be certified, judged once."""
    p = np.asarray(table["propensity"])
    takes_b = np.asarray(table["action"]) == "b"
    certain = table.filter(pa.array(~takes_b | (np.asarray(table["segment"]) == "right")))
    right_b = (np.asarray(certain["segment"]) == "right") & (np.asarray(certain["action"]) == "b")
    sure = certain.filter(pa.array((np.asarray(certain["segment"]) == "left") | right_b))
    logs = {
        "indifferent": make_bandit(effect=0.0, seed=5),
        "few rows": make_bandit(500),
        "handful": make_bandit(30),
        "deterministic": replace_columns(sure, propensity=np.ones(len(sure))),
        "all too large": replace_columns(table, propensity=np.minimum(1.2 * p, 1.0)),
        "all too small": replace_columns(table, propensity=0.8 * p),
        "one action": replace_columns(table, propensity=np.where(takes_b, 0.8 * p, p)),
    }
    return {name: improve(log) for name, log in logs.items()}


def test_a_certified_run_holds_what_it_should(certified: Improvement, run_folder: Path) -> None:
    names = ["certificate.json", "manifest.json", "metrics.jsonl", "policy", "report.html"]
    assert sorted(path.name for path in run_folder.iterdir()) == names
    certificate = json.loads((run_folder / "certificate.json").read_bytes())
    assert set(certificate) >= FIELDS
    assert certificate["verdict"] == "certified"
    assert set(certificate["deviation"]) == {"kl", "changed", "ess", "max_weight"}
    assert 0 < certificate["lower_bound"] < certificate["estimate"]
    assert certificate["relative_estimate"] == certificate["estimate"] / certificate["production_value"]
    assert certificate["rows"] == certified.summary.log.gate_rows
    assert "</html>" in (run_folder / "report.html").read_text()
    looks = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    assert {look["part"] for look in looks} == {"clone", "value"}


def test_the_certificate_the_manifest_and_the_policy_belong_together(certified: Improvement, run_folder: Path) -> None:
    certificate = json.loads((run_folder / "certificate.json").read_bytes())
    manifest = json.loads((run_folder / "manifest.json").read_bytes())
    assert hashlib.sha256((run_folder / "manifest.json").read_bytes()).hexdigest() == certificate["manifest_sha256"]
    graph = hashlib.sha256((run_folder / "policy" / "policy.onnx").read_bytes()).hexdigest()
    assert certificate["policy_sha256"] == graph
    card = hashlib.sha256((run_folder / "policy" / "policy.json").read_bytes()).hexdigest()
    assert certificate["card_sha256"] == card
    assert graph in [one["policy_sha256"] for one in manifest["candidates"]]
    assert certified.plan is not None
    assert certified.plan.sha256() == certificate["manifest_sha256"]


def test_the_certificate_tells_the_truth(certified: Improvement) -> None:
    # Production earns ½·(0.85·0.7 + 0.15·0.2) + ½·(0.85·0.2 + 0.15·0.7) = 0.45; with a tenth explored 0.675 is most.
    certificate = certified.certificate
    assert certificate.lower_bound is not None
    assert certificate.production_value == pytest.approx(0.45, abs=0.02)
    assert certificate.lower_bound < 0.225
    assert certificate.estimate == pytest.approx(0.225, abs=0.04)
    assert certified.summary.clone is not None
    assert certified.summary.change is not None
    assert certified.summary.change.segments[0].feature == "segment"


def test_evaluating_the_released_policy_agrees_with_its_certificate(
    certified: Improvement, bandit_log: Log, run_folder: Path
) -> None:
    result = jumar.evaluate(run_folder, bandit_log, confidence=0.99)
    certificate = certified.certificate
    assert result.rows == certificate.rows
    assert result.gain.value == pytest.approx(certificate.estimate, abs=0.01)  # plain there, doubly robust here
    assert result.claims[0].estimate == pytest.approx(result.gain.value, abs=1e-9)
    assert result.deviation.kl == pytest.approx(certificate.deviation and certificate.deviation.kl, rel=1e-4)
    assert 0 < result.gain_bound.low < result.gain.value
    assert result.ips.low < 0.675 < (result.ips.high or 1)
    assert_allclose([result.snips.value, result.dr.value, result.dm.value], 0.675, atol=0.05)


def test_more_confidence_never_means_more_change(make_bandit: MakeBandit) -> None:
    log = jumar.read_log(make_bandit(6_000, seed=3, effect=0.6))
    certificates = [jumar.improve(log, confidence=c, members=2).certificate for c in (0.9, 0.9999999)]
    changed = [one.deviation.changed if one.deviation else 0.0 for one in certificates]
    assert changed == sorted(changed, reverse=True)
    assert certificates[0].verdict == "certified"


def test_no_log_that_should_be_refused_is_certified(refusals: dict[str, Improvement]) -> None:
    assert {name: result.certificate.verdict for name, result in refusals.items()} == dict.fromkeys(refusals, "refused")
    assert all(result.policy is None for result in refusals.values())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("indifferent", ("gain", "better than production", "nothing to certify")),
        ("few rows", ("too few", "gate rows", "gain")),
        ("handful", ("30 decisions", "too few")),
        ("deterministic", ("with certainty",)),
        ("all too large", ("propensit",)),
        ("all too small", ("propensit",)),
        ("one action", ("propensit", "'b'")),
    ],
)
def test_every_refusal_says_its_own_reason(refusals: dict[str, Improvement], name: str, words: tuple[str, ...]) -> None:
    reasons = " ".join(refusals[name].certificate.reasons)
    wanted = words if name not in ("indifferent", "few rows") else ()
    assert reasons
    assert all(word in reasons for word in wanted), reasons
    if not wanted:
        assert any(word in reasons.lower() for word in words), reasons


def test_refusals_differ_in_their_first_sentence(refusals: dict[str, Improvement]) -> None:
    first = {name: result.certificate.reasons[0] for name, result in refusals.items()}
    assert len(set(first.values())) == len(first), first


def test_a_refusal_saves_its_reasons_and_no_policy(refusals: dict[str, Improvement], tmp_path: Path) -> None:
    for place, (name, result) in enumerate(refusals.items()):
        folder = result.save(tmp_path / str(place))
        assert not (folder / "policy").exists(), name
        assert json.loads((folder / "certificate.json").read_bytes())["verdict"] == "refused"
        assert (folder / "report.html").stat().st_size > 1_000


def test_a_refused_run_replaces_the_policy_of_an_earlier_one(
    certified: Improvement, refusals: dict[str, Improvement], tmp_path: Path
) -> None:
    certified.save(tmp_path / "run")
    refusals["few rows"].save(tmp_path / "run")
    assert not (tmp_path / "run" / "policy").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_log_without_propensities_is_certified_on_a_condition_only(table: pa.Table) -> None:
    certificate = improve(table.drop_columns(["propensity"])).certificate
    assert certificate.verdict in ("conditional", "refused")
    assert "stimated" in " ".join(certificate.reasons)
    if certificate.verdict == "conditional":
        assert certificate.gamma is not None


def test_an_action_that_training_never_saw_is_not_released_on_hope(table: pa.Table) -> None:
    """Action 'c' is taken by units of the gate alone, always richly rewarded there."""
    log = jumar.read_log(table)
    gate = {unit for batch in log.batches("gate") for unit in batch.column("__unit").to_pylist()}
    rng = np.random.default_rng(0)
    third = np.array([unit in gate for unit in table["unit"].to_pylist()]) & (rng.random(len(table)) < 0.1)
    action = np.where(third, "c", np.asarray(table["action"]))
    odds = np.where(third, 0.1, 0.9 * np.asarray(table["propensity"]))
    reward = np.where(third, 1.0, np.asarray(table["reward"]))
    held = {"action": pa.array(action), "propensity": pa.array(odds), "reward": pa.array(reward)}
    holed = pa.table({name: held.get(name, table[name]) for name in table.column_names})
    result = improve(holed)
    if result.policy is None:
        assert result.certificate.reasons
        return
    assert result.policy.pmf(holed)[:, 2].max() < 0.02
    told = " ".join(finding.sentence for finding in result.certificate.audits)
    assert "never tried" in told


def test_a_region_where_an_action_was_never_taken_is_left_alone(
    table: pa.Table, replace_columns: Callable[..., pa.Table]
) -> None:
    """In a third segment production never takes 'b'; nothing can be known of it there."""
    hole = np.random.default_rng(1).random(len(table)) < 0.3
    changes = {
        "segment": np.where(hole, "hole", np.asarray(table["segment"])),
        "action": np.where(hole, "a", np.asarray(table["action"])),
        "propensity": np.where(hole, 1.0, np.asarray(table["propensity"])),
        "reward": np.where(hole, 0.0, np.asarray(table["reward"])),
    }
    result = improve(replace_columns(table, **changes))
    if result.policy is None:
        assert "not always available" in " ".join(result.certificate.reasons)
        return
    pmf = result.policy.pmf(replace_columns(table, **changes))
    assert pmf[hole, 1].max() < 0.02
    assert pmf[~hole, 1].mean() > 0.3


def test_the_reward_s_scale_and_origin_do_not_matter(table: pa.Table, replace_columns: Callable[..., pa.Table]) -> None:
    small = table.slice(0, 6_000)
    scaled = replace_columns(small, reward=1_000 * np.asarray(small["reward"]) - 300)
    one = improve(small, members=2, candidates=3)
    other = jumar.improve(jumar.read_log(scaled, reward_range=(-300, 700)), confidence=0.99, members=2, candidates=3)
    assert one.policy is not None
    assert other.policy is not None
    assert_allclose(one.policy.pmf(small), other.policy.pmf(scaled), atol=1e-6)
    ours, theirs = one.certificate, other.certificate
    assert theirs.lower_bound is not None
    assert_allclose(theirs.lower_bound, 1_000 * (ours.lower_bound or 0), rtol=1e-6)
    assert_allclose(theirs.production_value, 1_000 * ours.production_value - 300, rtol=1e-6)


def test_the_same_log_and_seed_give_the_same_bytes_in_any_process(table: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(table.slice(0, 6_000), path)
    program = (
        "import sys, jumar; log = jumar.read_log(sys.argv[1]);"
        "jumar.improve(log, confidence=0.99, members=2, candidates=3).save(sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", program, str(path), str(tmp_path / "there")], check=True)
    log = jumar.read_log(str(path))
    jumar.improve(log, confidence=0.99, members=2, candidates=3).save(tmp_path / "here")
    for name in ("policy/policy.onnx", "policy/policy.json", "certificate.json", "manifest.json", "metrics.jsonl"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes(), name


def test_two_hundred_actions_and_a_single_feature_run(make_bandit: MakeBandit) -> None:
    rng = np.random.default_rng(0)
    rows = 4_000
    action = rng.integers(0, 200, rows)
    columns = {"x": rng.normal(size=rows), "action": action, "propensity": np.full(rows, 1 / 200)}
    reward = (rng.random(rows) < 0.1 + 0.5 * (action < 100)).astype(float)
    result = improve(pa.table(columns | {"reward": reward}), members=2, candidates=3)
    assert result.summary.walk
    if result.policy is not None:
        assert result.policy.pmf(pa.table(columns)).shape == (rows, 200)


def test_a_world_in_which_the_action_does_not_matter_is_refused() -> None:
    log = Notifications(variant="indifferent").log(20_000, 4)
    result = jumar.improve(jumar.read_log(log), confidence=0.999)
    assert result.certificate.verdict == "refused"
    assert result.certificate.lower_bound is None or result.certificate.lower_bound <= 0


@pytest.mark.parametrize(
    "options",
    [
        {"confidence": 1.0},
        {"confidence": 0.3},
        {"confidence": float("nan")},
        {"exploration": 0.7},
        {"candidates": 0},
        {"candidates": 11},
        {"pessimism": -1.0},
        {"members": 0},
    ],
)
def test_options_outside_their_range_are_refused(bandit_log: Log, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        jumar.improve(bandit_log, **options)


def test_a_folder_in_the_way_is_left_alone(certified: Improvement, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("run", "file"):
        with pytest.raises(OutputError):
            certified.save(tmp_path / name)
    assert (tmp_path / "run" / "precious").read_text() == (tmp_path / "file").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "run"]


@pytest.mark.parametrize("failing", ["write", "swap"])
def test_a_failed_save_leaves_the_older_result(
    certified: Improvement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    run = certified.save(tmp_path / "run")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    genuine = Path.replace

    def swap(self: Path, target: Any) -> Path:
        if self.is_dir() and Path(target) == run:
            raise OSError(5, os.strerror(5))
        return genuine(self, target)

    def full(*args: Any) -> None:
        raise OSError(28, os.strerror(28))

    if failing == "write":
        monkeypatch.setattr("jumar.improvement.write_report", full)
    else:
        monkeypatch.setattr(Path, "replace", swap)
    with pytest.raises(OutputError):
        certified.save(run)
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_interrupt_leaves_nothing_and_says_130(bandit_file: Path, tmp_path: Path) -> None:
    # A shell's background jobs ignore the signal, and so do their children: the first line undoes that.
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "import jumar.improvement as job; from jumar import cli; learn = job.learn\n"
        "def told(*a): print('learning', flush=True); return learn(*a)\n"
        "job.learn = told; sys.exit(cli.main(sys.argv[1:]))"
    )
    arguments = [sys.executable, "-c", program, "improve", str(bandit_file), "--out", str(tmp_path / "run")]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "learning\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert not list(tmp_path.iterdir())
